//! What stateful translators remember about their clients (contract 1.1, interface `stateful`).
//!
//! A [`super::Slot`] has the states of its clients by endpoint name, whatever generation it is at: they go with a client
//! that moves from one shard to another, and go away with the slot. [`super::Caller`] reads and writes them. A client is at
//! one shard at a time, so two threads hardly ever want the same lock; for other translators none is taken.

use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHasher};

/// Endpoint name → state.
#[derive(Debug)]
pub(super) struct States {
    stripes: Vec<Mutex<Stripe>>,
    /// What all of them cost.
    bytes: AtomicUsize,
    most: usize,
    /// How many had no room.
    lost: AtomicUsize,
}

type Stripe = FxHashMap<Box<str>, Box<[u8]>>;

impl Default for States {
    fn default() -> Self {
        Self::with_room(ROOM)
    }
}

impl States {
    /// None yet, and never more than so many bytes.
    fn with_room(most: usize) -> Self {
        let stripes = std::iter::repeat_with(Mutex::default).take(STRIPES).collect();
        Self { stripes, bytes: AtomicUsize::new(0), most, lost: AtomicUsize::new(0) }
    }

    /// The state of a client; empty if there is none.
    pub(super) fn get(&self, endpoint: &str) -> Vec<u8> {
        self.stripe(endpoint).get(endpoint).map(|state| state.to_vec()).unwrap_or_default()
    }

    /// Puts another state in place of a client's; an empty one forgets it. Without room there is none any more: a translator
    /// can begin anew, but not know that what it is given is old.
    pub(super) fn set(&self, endpoint: &str, state: Vec<u8>) {
        if state.is_empty() {
            return self.forget(endpoint);
        }
        let mut stripe = self.stripe(endpoint);
        let old = stripe.get(endpoint).map_or(0, |state| cost(endpoint, state));
        let new = cost(endpoint, &state);
        let before = self.bytes.fetch_add(new, Ordering::Relaxed);
        self.bytes.fetch_sub(old, Ordering::Relaxed);
        if before - old + new > self.most {
            stripe.remove(endpoint);
            self.bytes.fetch_sub(new, Ordering::Relaxed);
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::warn!(lost, endpoint, "no room for the state of a client: it is forgotten");
            }
            return;
        }
        stripe.insert(endpoint.into(), state.into());
    }

    /// Nothing is known about a client any more.
    pub(super) fn forget(&self, endpoint: &str) {
        // Nobody has anything: the case of every translator that is not stateful.
        if self.bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(state) = self.stripe(endpoint).remove(endpoint) {
            self.bytes.fetch_sub(cost(endpoint, &state), Ordering::Relaxed);
        }
    }

    fn stripe(&self, endpoint: &str) -> MutexGuard<'_, Stripe> {
        let hash = BuildHasherDefault::<FxHasher>::default().hash_one(endpoint);
        // The high bits: the map inside goes by the low ones.
        let at = usize::try_from(hash >> (u64::BITS - STRIPES.ilog2())).unwrap_or_default();
        // Nothing panics while it is held, so what is in there is whole.
        self.stripes[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(endpoint: &str, state: &[u8]) -> usize {
    ENTRY + endpoint.len() + state.len()
}

/// Bytes of one client's state.
pub(super) const STATE: usize = 64 << 10;
/// Bytes of all states of a slot: a million clients with a few metrics each.
const ROOM: usize = 256 << 20;
/// Bytes of an entry beside its texts.
const ENTRY: usize = 64;
/// A power of two.
const STRIPES: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::plugin::contract::{events, types};
    use crate::plugin::{Artifact, Caller, Engine, Fault, Generation, Limits, Origin, Policy, Slot, Trial};

    /// Publishes the state that it is given, and makes it one byte longer.
    const STATEFUL: &[u8] = include_bytes!("../../tests/fixtures/stateful.wasm");

    fn generation(engine: &Engine, mode: &str) -> Generation {
        let artifact = Artifact::new(STATEFUL.to_vec(), Origin::Memory("test".to_owned())).unwrap();
        Generation::prove(engine, &artifact, &json!({ "mode": mode }), &Limits::default()).unwrap()
    }

    fn caller(mode: &str) -> (Engine, Caller) {
        let engine = Engine::new(&Limits::default()).unwrap();
        let slot = Slot::new("test", Policy::default(), generation(&engine, mode));
        (engine, Caller::new(Arc::new(slot)))
    }

    fn failed<'a>(endpoint: &'a str, failure: events::Failure<'a>) -> events::Event<'a> {
        events::Event::Failed(events::Failed {
            client: types::Client { endpoint, attributes: &[] },
            operation: types::OperationName::Read,
            path: types::Path {
                object: None,
                object_instance: None,
                resource: None,
                resource_instance: None,
            },
            context: "",
            failure,
            received: 0,
        })
    }

    /// What the translator was given.
    fn call(caller: &mut Caller, endpoint: &str) -> Result<Vec<u8>, Fault> {
        let actions = caller.uplink(&failed(endpoint, events::Failure::Timeout))?;
        let [types::Action::Publish(message)] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(message.topic, "state", "not from `uplink`");
        Ok(message.payload.clone())
    }

    #[test]
    fn a_state_comes_back_once_it_is_accepted() {
        let (_engine, mut caller) = caller("c");
        assert_eq!(call(&mut caller, "a").unwrap(), b"");
        caller.accept();
        assert_eq!(call(&mut caller, "a").unwrap(), b"x");
        assert_eq!(call(&mut caller, "a").unwrap(), b"xx", "one event may be several calls");
        caller.discard();
        assert_eq!(call(&mut caller, "a").unwrap(), b"x", "the event has come again");
        caller.accept();
        assert_eq!(call(&mut caller, "b").unwrap(), b"", "of another client");
        assert_eq!(call(&mut caller, "a").unwrap(), b"xx");
    }

    #[test]
    fn a_state_is_the_slots_whoever_calls_and_whatever_generation() {
        let (engine, mut caller) = caller("c");
        call(&mut caller, "a").unwrap();
        caller.accept();
        let mut other = Caller::new(Arc::clone(caller.slot()));
        assert_eq!(call(&mut other, "a").unwrap(), b"x");
        other.accept();
        caller.slot().offer(Arc::new(generation(&engine, "n")));
        assert_eq!(call(&mut caller, "a").unwrap(), b"xx");
        caller.accept();
        assert_eq!(call(&mut caller, "a").unwrap(), b"xx", "it was left as it is");
        caller.slot().forget("a");
        assert_eq!(call(&mut caller, "a").unwrap(), b"");
    }

    #[test]
    fn an_empty_state_and_a_failed_call_are_what_they_say() {
        let (engine, mut caller) = caller("c");
        call(&mut caller, "a").unwrap();
        caller.accept();
        for (mode, fault) in [("t", "trap"), ("l", "invalid_output")] {
            caller.slot().offer(Arc::new(generation(&engine, mode)));
            assert_eq!(call(&mut caller, "a").unwrap_err().outcome(), fault);
            caller.accept();
            assert_eq!(caller.slot().states().get("a"), b"x", "as it was");
        }
        caller.slot().offer(Arc::new(generation(&engine, "e")));
        call(&mut caller, "a").unwrap();
        caller.accept();
        assert!(caller.slot().states().get("a").is_empty());
    }

    #[test]
    fn a_client_that_is_not_registered_has_no_state() {
        let (_engine, mut caller) = caller("c");
        call(&mut caller, "a").unwrap();
        caller.accept();
        for failure in [events::Failure::UnknownClient, events::Failure::Invalid("x"), events::Failure::Ended]
        {
            let actions = caller.uplink(&failed("a", failure)).unwrap();
            let [types::Action::Publish(message)] = &actions[..] else { panic!("{actions:?}") };
            assert!(message.payload.is_empty());
            caller.accept();
        }
        assert_eq!(call(&mut caller, "a").unwrap(), b"x", "nothing was kept");
    }

    #[test]
    fn a_trial_keeps_states_until_it_is_told_to_forget() {
        let engine = Engine::new(&Limits::default()).unwrap();
        let generation = generation(&engine, "c");
        let mut trial = Trial::start(&generation, &json!({ "mode": "c" })).unwrap();
        let path =
            json!({ "object": null, "object_instance": null, "resource": null, "resource_instance": null });
        let event = json!({ "Failed": {
            "client": { "endpoint": "a", "attributes": [] }, "operation": "Read", "path": path,
            "context": "", "failure": "Timeout", "received": 0,
        } });
        let mut given = || {
            trial.call(&tidegate_case::Input::Uplink(event.clone())).result.unwrap()[0]["Publish"]["payload"]
                .clone()
        };
        assert_eq!((given(), given(), given()), (json!([]), json!(b"x".to_vec()), json!(b"xx".to_vec())));
        let mut unknown = event.clone();
        unknown["Failed"]["failure"] = json!("UnknownClient");
        let stranger = trial.call(&tidegate_case::Input::Uplink(unknown)).result.unwrap();
        assert_eq!(stranger[0]["Publish"]["payload"], json!([]), "the client is not registered");
        let known = trial.call(&tidegate_case::Input::Uplink(event.clone())).result.unwrap();
        assert_eq!(known[0]["Publish"]["payload"], json!(b"xxx".to_vec()));
        trial.forget();
        let given = trial.call(&tidegate_case::Input::Uplink(event)).result.unwrap();
        assert_eq!(given[0]["Publish"]["payload"], json!([]));
    }

    #[test]
    fn a_state_is_there_until_it_is_replaced_or_forgotten() {
        let states = States::default();
        assert!(states.get("a").is_empty());
        states.set("a", vec![1]);
        states.set("b", vec![2]);
        states.set("a", vec![3, 4]);
        assert_eq!((states.get("a"), states.get("b")), (vec![3, 4], vec![2]));
        states.set("a", vec![]);
        states.forget("b");
        states.forget("c");
        assert_eq!((states.get("a"), states.get("b")), (vec![], vec![]));
        assert_eq!(states.bytes.load(Ordering::Relaxed), 0, "nothing is left behind");
    }

    #[test]
    fn a_state_without_room_is_forgotten_rather_than_old() {
        let states = States::with_room(3 * ENTRY);
        states.set("a", vec![1]);
        states.set("b", vec![1]);
        states.set("c", vec![1]);
        assert!(states.get("c").is_empty());
        states.set("b", vec![2; ENTRY]);
        assert!(states.get("b").is_empty(), "not [1]");
        states.set("c", vec![3]);
        assert_eq!((states.get("a"), states.get("c")), (vec![1], vec![3]));
    }
}
