use tidegate_proto::coap::Peer;
use tidegate_proto::coap::endpoint::Delivery;
use tidegate_proto::lwm2m::operation::OperationName;
use tidegate_proto::lwm2m::registration::{Registration, Version};
use tidegate_proto::lwm2m::server::{Asked, Content, End, Receipt};

use super::*;
use crate::bridge::{Routing, bind_context};
use crate::config::OnFault;
use crate::mqtt::{Drain, Outbox};
use crate::net::Directory;
use crate::plugin::{Artifact, Engine, Generation, Limits, Origin, Policy};

const HOSTILE: &[u8] = include_bytes!("../../../tests/fixtures/hostile.wasm");
/// Publishes the state that it is given, and makes it one byte longer.
const STATEFUL: &[u8] = include_bytes!("../../../tests/fixtures/stateful.wasm");

/// A bridge with one slot, `test`, that the hostile guest stands in.
struct Scene {
    engine: Engine,
    slot: Arc<Slot>,
    shared: Shared,
    bridge: UplinkBridge,
    drain: Drain,
}

fn generation(engine: &Engine, mode: &str) -> Generation {
    generation_of(HOSTILE, engine, mode)
}

fn generation_of(bytes: &[u8], engine: &Engine, mode: &str) -> Generation {
    let limits = Limits::default();
    let artifact = Artifact::new(bytes.to_vec(), Origin::Memory("test".to_owned())).unwrap();
    Generation::prove(engine, &artifact, &serde_json::json!({ "mode": mode }), &limits).unwrap()
}

impl Scene {
    fn new(mode: &str, policy: Policy, room: usize) -> Self {
        Self::with(HOSTILE, mode, policy, room)
    }

    fn with(bytes: &[u8], mode: &str, policy: Policy, room: usize) -> Self {
        let engine = Engine::new(&Limits::default()).unwrap();
        let slot = Arc::new(Slot::new("test", policy, generation_of(bytes, &engine, mode)));
        let routing = Routing::new(vec![Arc::clone(&slot)], [], [], Some("test")).unwrap();
        let shared = Shared::new(Directory::new(), tidegate_proto::lwm2m::model::Models::default(), routing);
        let (mut lanes, drain) = Outbox::in_memory(1, room);
        let bridge = UplinkBridge::new(0, shared.clone(), lanes.pop().unwrap(), Vec::new());
        Self { engine, slot, shared, bridge, drain }
    }

    fn notify(&mut self, endpoint: &str, slot: &str) -> (Settlement, Vec<server::Request>) {
        let mut requests = Vec::new();
        let settlement = self.bridge.handle(&notified(endpoint, slot), &mut requests);
        (settlement, requests)
    }

    /// The endpoints that the guest has published, and the topics of everything else.
    fn published(&mut self) -> Vec<String> {
        let mut published = Vec::new();
        self.bridge.commit();
        while let Some(publication) = self.drain.try_recv() {
            published.push(match publication.topic.as_str() {
                "good" | "state" => String::from_utf8(publication.payload).unwrap(),
                _ => publication.topic,
            });
        }
        published
    }

    fn offer(&self, mode: &str) {
        self.slot.offer(Arc::new(generation(&self.engine, mode)));
    }
}

fn registration(endpoint: &str) -> Arc<Registration> {
    Arc::new(Registration {
        endpoint: endpoint.into(),
        location: "/rd/x".into(),
        version: Version::V1_1,
        lifetime: 300,
        binding: "".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: [].into(),
        parameters: vec![],
        content_formats: None,
        links: [].into(),
        peer: Peer::plain(([127, 0, 0, 1], 5683).into()),
    })
}

fn notified(endpoint: &str, slot: &str) -> Event {
    let path = Path::new([3303, 0, 5700]);
    Event::Notified {
        registration: registration(endpoint),
        asked: Asked { operation: OperationName::Observe, path, context: bind_context(slot, "") },
        code: 0x45,
        delivery: Delivery::NonConfirmable,
        sequence: Some(1),
        content: Content { format: Some(0), payload: b"21".to_vec() },
        receipt: None,
    }
}

fn holding(most: usize) -> Policy {
    Policy { on_fault: OnFault::Hold, hold: most, ..Policy::default() }
}

#[test]
fn a_notification_for_a_translator_that_is_gone_is_the_last_of_its_observation() {
    let mut scene = Scene::new("g", Policy::default(), 9);
    let (settlement, requests) = scene.notify("a", "gone");
    assert_eq!((settlement, scene.published().len()), (Settlement::Accepted, 0));
    let expected = Operation::CancelObservation {
        path: Path::new([3303, 0, 5700]),
        queries: Vec::new(),
        mode: CancelMode::Passive,
    };
    assert_eq!((requests.len(), &requests[0].operation, &*requests[0].endpoint), (1, &expected, "a"));
}

#[test]
fn held_events_are_published_once_and_before_newer_ones() {
    let mut scene = Scene::new("t", holding(9), 99);
    for endpoint in ["1", "2"] {
        assert_eq!(scene.notify(endpoint, "test").0, Settlement::Accepted);
    }
    assert_eq!(scene.published(), ["tidegate/fault"]);
    scene.offer("g");
    // It came before the turn in which they are tried.
    scene.notify("3", "test");
    assert!(scene.published().is_empty());
    assert!(scene.bridge.flush(&mut Vec::new()));
    assert_eq!(scene.published(), ["1", "2", "3"]);
    scene.notify("4", "test");
    assert!(scene.bridge.flush(&mut Vec::new()));
    assert_eq!(scene.published(), ["4"]);
}

#[test]
fn what_fails_again_or_finds_no_room_is_published_raw() {
    let mut scene = Scene::new("t", holding(2), 99);
    for endpoint in ["1", "2", "3"] {
        scene.notify(endpoint, "test");
    }
    assert_eq!(scene.published(), ["tidegate/fault", "tidegate/raw/1"]);
    scene.offer("f");
    assert!(scene.bridge.flush(&mut Vec::new()));
    assert_eq!(scene.published(), ["tidegate/raw/2", "tidegate/raw/3"]);
    assert_eq!((scene.slot.totals().held, scene.slot.totals().fallen), (0, 1));
}

#[test]
fn a_crash_ends_the_turn_so_that_others_get_theirs() {
    let mut scene = Scene::new("f", holding(9), 99);
    for endpoint in ["1", "2", "3"] {
        scene.notify(endpoint, "test");
    }
    scene.published();
    // The generation before has failed, so that the slot cannot go back to it while the new one is tried.
    scene.offer("t");
    assert!(!scene.bridge.flush(&mut Vec::new()), "there is more");
    assert_eq!(scene.published(), ["tidegate/raw/1"]);
}

#[test]
fn a_full_lane_holds_the_replay_up_and_loses_nothing() {
    let mut scene = Scene::new("t", holding(9), 1);
    for endpoint in ["1", "2", "3"] {
        assert_eq!(scene.notify(endpoint, "test").0, Settlement::Accepted, "it must not come again");
    }
    scene.offer("g");
    let mut published = scene.published();
    for _ in 0..9 {
        scene.bridge.flush(&mut Vec::new());
        published.extend(scene.published());
    }
    assert_eq!(published, ["tidegate/fault", "1", "2", "3"]);
}

#[test]
fn what_is_held_is_published_raw_when_its_slot_goes_its_policy_changes_or_the_gateway_stops() {
    let raw = ["tidegate/fault", "tidegate/raw/1"];
    let mut scene = Scene::new("t", holding(9), 99);
    scene.notify("1", "test");
    scene.shared.routing.store(Arc::new(Routing::new(vec![], [], [], None).unwrap()));
    scene.bridge.flush(&mut Vec::new());
    assert_eq!(scene.published(), raw);

    let mut scene = Scene::new("t", holding(9), 99);
    scene.notify("1", "test");
    scene.slot.set_policy(Policy::default());
    scene.bridge.flush(&mut Vec::new());
    assert_eq!(scene.published(), raw);

    let mut scene = Scene::new("t", holding(9), 99);
    scene.notify("1", "test");
    scene.bridge.close();
    assert_eq!(scene.published(), raw);
}

#[test]
fn what_came_while_the_slot_rested_is_tried_when_it_has_recovered() {
    let mut scene = Scene::new("t", holding(9), 99);
    for endpoint in ["1", "2", "3", "4"] {
        scene.notify(endpoint, "test");
    }
    assert_eq!(scene.slot.totals().held, 4);
    scene.published();
    scene.offer("g");
    assert!(scene.bridge.flush(&mut Vec::new()));
    assert_eq!(scene.published(), ["1", "2", "3", "4"]);
}

#[test]
fn what_came_while_the_slot_rests_is_looked_at_again_though_nothing_else_comes() {
    let mut scene = Scene::new("t", holding(9), 99);
    for endpoint in ["1", "2", "3", "4"] {
        scene.notify(endpoint, "test");
    }
    let is_done = scene.bridge.flush(&mut Vec::new());
    // On a machine that is busy enough the rest is over by now.
    let is_tried = scene.published().contains(&"tidegate/raw/4".to_owned());
    assert_eq!(is_done, is_tried);
}

/// One that the client says again if it is not answered.
fn updated(endpoint: &str) -> Event {
    Event::Updated { registration: registration(endpoint), links_changed: false, receipt: Receipt(1) }
}

fn ended(endpoint: &str) -> Event {
    Event::Ended {
        registration: registration(endpoint),
        reason: End::Deregistered,
        receipt: Some(Receipt(1)),
    }
}

#[test]
fn what_found_no_room_comes_again_with_the_state_that_it_came_with() {
    let mut scene = Scene::with(STATEFUL, "c", Policy::default(), 1);
    let mut handle = |event: &Event| scene.bridge.handle(event, &mut Vec::new());
    assert_eq!(handle(&updated("a")), Settlement::Accepted);
    assert_eq!([handle(&updated("a")), handle(&updated("a"))], [Settlement::Refused; 2]);
    assert_eq!(scene.published(), [""]);
    assert_eq!(scene.bridge.handle(&updated("a"), &mut Vec::new()), Settlement::Accepted);
    assert_eq!(scene.published(), ["x"], "not \"xxx\"");
}

#[test]
fn a_client_that_has_ended_is_forgotten_once_that_is_accepted() {
    let mut scene = Scene::with(STATEFUL, "c", Policy::default(), 1);
    let mut handle = |event: &Event| scene.bridge.handle(event, &mut Vec::new());
    assert_eq!(handle(&updated("a")), Settlement::Accepted);
    assert_eq!(handle(&ended("a")), Settlement::Refused);
    assert_eq!(scene.published(), [""]);
    assert_eq!(scene.bridge.handle(&ended("a"), &mut Vec::new()), Settlement::Accepted);
    assert_eq!(scene.published(), ["x"], "its end is told with its state");
    assert_eq!(scene.bridge.handle(&updated("a"), &mut Vec::new()), Settlement::Accepted);
    assert_eq!(scene.published(), [""]);
}

#[test]
fn a_held_event_of_a_client_that_is_gone_leaves_no_state_behind() {
    let mut scene = Scene::with(STATEFUL, "t", holding(9), 99);
    scene.shared.directory.enter(&registration("here"), 0);
    for endpoint in ["gone", "here"] {
        scene.notify(endpoint, "test");
    }
    scene.published();
    scene.slot.offer(Arc::new(generation_of(STATEFUL, &scene.engine, "c")));
    assert!(scene.bridge.flush(&mut Vec::new()));
    assert_eq!(scene.published(), ["", ""]);
    for endpoint in ["gone", "here"] {
        scene.notify(endpoint, "test");
    }
    assert_eq!(scene.published(), ["", "x"]);
}
