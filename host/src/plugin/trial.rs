//! Calls with inputs and results as JSON: for cases, whose authors write no Rust types.
//!
//! A call is made as
//! [`super::Caller`] makes it, under the same limits and with the same checks of what comes out; but the gateway's own types
//! are left out, and values go by the types that the component has.
//!
//! The JSON is that of serde on the SDK's types: a record is an object with keys in snake_case, a variant `"Name"` or
//! `{"Name": value}` in CamelCase, an option null or the value, a list or a tuple an array.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_case::Input;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Func, Instance, Val};

use super::instance::{State, arm, classify, store};
use super::json::{from_val, to_val};
use super::{Fault, Generation, Limits, actions};

/// A translator that is configured for cases, and what may be known about its calls.
pub struct Trial {
    store: Store<State>,
    uplink: Func,
    downlink: Func,
    limits: Limits,
    /// By endpoint name, if the translator is stateful.
    states: Option<BTreeMap<String, Vec<u8>>>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The actions, each as JSON, or why there are none.
    pub result: Result<Vec<Value>, Fault>,
    /// Units of fuel that the call used.
    pub fuel: u64,
    /// Bytes of the instance's memory after it.
    pub memory: usize,
    /// What the translator logged, each line with its level in front.
    pub log: Vec<String>,
    /// Time that the call took, without that of the JSON.
    pub time: Duration,
}

impl Trial {
    /// A new instance, with these settings in place of the generation's own; defaults are filled in.
    ///
    /// # Errors
    /// The settings are refused, or the translator cannot be configured.
    pub fn start(generation: &Generation, settings: &Value) -> Result<Self, Fault> {
        let settings =
            generation.settings_with(settings).map_err(|rejection| Fault::Malformed(rejection.reason))?;
        let name: Arc<str> = generation.origin().to_string().into();
        let mut store = store(generation, &name)?;
        store.data_mut().record();
        let pre = generation.pre().instance_pre();
        let instance = pre.instantiate(&mut store).map_err(|error| classify(&error))?;
        let configure = function(&mut store, &instance, "setup", "configure")?;
        let mut results = [Val::Bool(false)];
        configure
            .call(&mut store, &[Val::String(settings)], &mut results)
            .map_err(|error| classify(&error))?;
        let [result] = results;
        if let Val::Result(Err(diagnostics)) = result {
            let diagnostics = diagnostics.map(|of| from_val(*of)).unwrap_or_default();
            return Err(Fault::Malformed(format!("settings refused: {}", describe(&diagnostics))));
        }
        let is_stateful = generation.pre().is_stateful();
        let uplink =
            function(&mut store, &instance, if is_stateful { "stateful" } else { "uplink" }, "translate")?;
        let downlink = function(&mut store, &instance, "downlink", "translate")?;
        let states = is_stateful.then(BTreeMap::new);
        Ok(Self { store, uplink, downlink, limits: generation.limits().clone(), states })
    }

    /// Forgets the clients: another case begins. Between the steps of one, a stateful translator's states are kept.
    pub fn forget(&mut self) {
        if let Some(states) = &mut self.states {
            states.clear();
        }
    }

    /// One call. After a crash the next one fails, too.
    pub fn call(&mut self, input: &Input) -> Tried {
        let (function, value, states) = match input {
            Input::Uplink(event) => (self.uplink, event, self.states.as_ref()),
            Input::Downlink(message) => (self.downlink, message, None),
        };
        let endpoint = endpoint(value).filter(|_| has_state(value));
        let state = states.map(|states| endpoint.and_then(|of| states.get(of)).cloned().unwrap_or_default());
        let limits = self.limits.for_input(payload_size(value) + state.as_ref().map_or(0, Vec::len));
        let mut time = Duration::ZERO;
        let result = self.attempt(function, value, state.as_deref(), &limits, &mut time);
        let result = result.and_then(|done| self.keep(done, endpoint, &limits));
        if let (Some(states), Some(ended)) = (&mut self.states, value.get("Ended")) {
            states.remove(ended["client"]["endpoint"].as_str().unwrap_or_default());
        }
        let left = self.store.get_fuel().unwrap_or_default();
        Tried {
            result,
            fuel: limits.fuel.saturating_sub(left),
            memory: self.store.data().memory_used(),
            log: self.store.data_mut().recorded(),
            time,
        }
    }

    fn attempt(
        &mut self,
        function: Func,
        value: &Value,
        state: Option<&[u8]>,
        limits: &Limits,
        time: &mut Duration,
    ) -> Result<Value, Fault> {
        arm(&mut self.store, limits)?;
        let kind = function.ty(&self.store).params().next().map(|(_, kind)| kind);
        let kind = kind.ok_or_else(|| actions::invalid("translate takes nothing".to_owned()))?;
        let parameter =
            to_val(value, &kind).map_err(|text| Fault::Malformed(format!("the case's input: {text}")))?;
        let state = state.map(|state| Val::List(state.iter().copied().map(Val::U8).collect()));
        let parameters: Vec<Val> = std::iter::once(parameter).chain(state).collect();
        let mut results = [Val::Bool(false)];
        let begun = Instant::now();
        let called = function.call(&mut self.store, &parameters, &mut results);
        *time = begun.elapsed();
        called.map_err(|error| classify(&error))?;
        let [result] = results;
        match result {
            Val::Result(Ok(Some(done))) => Ok(from_val(*done)),
            Val::Result(Err(Some(fault))) => Err(own_fault(&from_val(*fault))),
            other => Err(actions::invalid(format!("{other:?}"))),
        }
    }

    /// The actions, once they and the new state, if there is one, are known to be good.
    fn keep(&mut self, done: Value, endpoint: Option<&str>, limits: &Limits) -> Result<Vec<Value>, Fault> {
        // Only a stateful translator returns a record.
        let Value::Object(mut outcome) = done else { return checked(done, limits) };
        let list = checked(outcome.remove("actions").unwrap_or_default(), limits)?;
        if let Some(Value::Array(state)) = outcome.get("state") {
            let bytes = state.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
            let state: Vec<u8> = bytes.collect();
            actions::check_state(&state)?;
            if let (Some(states), Some(endpoint)) = (&mut self.states, endpoint) {
                states.insert(endpoint.to_owned(), state);
            }
        }
        Ok(list)
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn describe(diagnostics: &Value) -> String {
    let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
    let line = |of| format!("{}: {}", text(of, "key"), text(of, "text"));
    diagnostics.as_array().map_or_else(String::new, |all| all.iter().map(line).collect::<Vec<_>>().join("; "))
}

/// A function of one of the contract's interfaces, in whatever version the component has of it.
fn function(
    store: &mut Store<State>,
    instance: &Instance,
    interface: &str,
    name: &str,
) -> Result<Func, Fault> {
    let missing = || actions::invalid(format!("it does not export {interface}"));
    let component = instance.instance_pre(&*store).component().clone();
    let wanted = format!("{}{interface}@", super::generation::PACKAGE);
    let kind = component.component_type();
    let engine = store.engine().clone();
    let export = kind.exports(&engine).map(|(export, _)| export).find(|export| export.starts_with(&wanted));
    let export = export.ok_or_else(missing)?;
    let within: ComponentExportIndex = component.get_export_index(None, export).ok_or_else(missing)?;
    let index = component.get_export_index(Some(&within), name).ok_or_else(missing)?;
    instance.get_func(store, index).ok_or_else(missing)
}

/// Actions that could be published, as [`actions::check`] sees them.
fn checked(list: Value, limits: &Limits) -> Result<Vec<Value>, Fault> {
    let Value::Array(list) = list else { return Err(actions::invalid("no list of actions".to_owned())) };
    if list.len() > limits.actions {
        let text = format!("{} actions, at most {} are allowed", list.len(), limits.actions);
        return Err(actions::invalid(text));
    }
    for action in &list {
        let message = &action["Publish"];
        for (what, topic) in
            [("topic", &message["topic"]), ("response topic", &message["properties"]["response_topic"])]
        {
            if let Some(topic) = topic.as_str() {
                actions::check_topic(what, topic)?;
            }
        }
    }
    let bytes: usize = list.iter().map(size).sum();
    if bytes > limits.bytes {
        return Err(actions::invalid(format!("{bytes} bytes in all, at most {} are allowed", limits.bytes)));
    }
    Ok(list)
}

/// Bytes of texts and byte lists.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) if list.first().is_some_and(Value::is_number) => list.len(),
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// Bytes of the payload of a message or of an event's content, or of a registration's links.
fn payload_size(input: &Value) -> usize {
    let event = input.as_object().and_then(|fields| fields.values().next()).unwrap_or(&Value::Null);
    let places = [&input["payload"], &event["content"]["payload"], &event["registration"]["links"]];
    places.into_iter().find_map(Value::as_array).map_or(0, Vec::len)
}

/// Whose event it is.
fn endpoint(event: &Value) -> Option<&str> {
    event.as_object()?.values().next()?["client"]["endpoint"].as_str()
}

/// As the gateway has it: the client of an event is registered.
fn has_state(event: &Value) -> bool {
    let failure = &event["Failed"]["failure"];
    !(failure == "UnknownClient" || failure == "Ended" || failure["Invalid"].is_string())
}

fn own_fault(fault: &Value) -> Fault {
    let text = |kind: &str| fault[kind].as_str().map(str::to_owned);
    let unsupported = text("Unsupported").map(Fault::Unsupported);
    let malformed = || text("Malformed").map(Fault::Malformed);
    let internal = || text("Internal").map(Fault::Internal);
    unsupported
        .or_else(malformed)
        .or_else(internal)
        .unwrap_or_else(|| actions::invalid(format!("an unknown fault: {fault}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::{Artifact, Engine, Origin};

    const HOSTILE: &[u8] = include_bytes!("../../tests/fixtures/hostile.wasm");

    fn failed() -> Value {
        let path =
            json!({ "object": 3, "object_instance": null, "resource": null, "resource_instance": null });
        json!({ "Failed": {
            "client": { "endpoint": "urn:dev:1", "attributes": [] }, "operation": "Read", "path": path,
            "context": "", "failure": "Timeout", "received": 0,
        } })
    }

    fn call(mode: &str, event: Value) -> Tried {
        let limits = Limits::default();
        let engine = Engine::new(&limits).unwrap();
        let artifact = Artifact::new(HOSTILE.to_vec(), Origin::Memory("test".to_owned())).unwrap();
        let generation = Generation::prove(&engine, &artifact, &json!({ "mode": "g" }), &limits).unwrap();
        let mut trial = Trial::start(&generation, &json!({ "mode": mode })).unwrap();
        trial.call(&Input::Uplink(event))
    }

    #[test]
    fn an_event_as_json_gives_actions_as_json() {
        let tried = call("g", failed());
        let actions = tried.result.unwrap();
        assert_eq!(actions[0]["Publish"]["topic"], "good");
        assert_eq!(actions[0]["Publish"]["payload"], json!(b"urn:dev:1".to_vec()));
        assert!(tried.fuel > 0 && tried.memory > 0);
    }

    #[test]
    fn limits_and_checks_are_those_of_the_gateway() {
        let fault = |mode| call(mode, failed()).result.unwrap_err();
        assert_eq!(fault("s").to_string(), "the translator used all of its fuel");
        assert_eq!(fault("w"), Fault::InvalidOutput("topic \"a/#\" contains '#'".to_owned()));
        assert_eq!(fault("f"), Fault::Malformed("my reason".to_owned()));
        assert_eq!(fault("t").outcome(), "trap");
    }

    #[test]
    fn what_does_not_fit_the_contract_is_named_by_its_place() {
        let mut event = failed();
        event["Failed"]["path"]["object"] = json!(70_000);
        let fault = call("g", event).result.unwrap_err().to_string();
        assert!(fault.contains("Failed.path.object: 70000 does not fit"), "{fault}");
        let mut event = failed();
        event["Failed"]["colour"] = json!(1);
        let fault = call("g", event).result.unwrap_err().to_string();
        assert!(fault.contains("there is no colour"), "{fault}");
    }
}
