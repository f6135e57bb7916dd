//! What bad translators can do, and that the next call works. The guest is `tests/fixtures/hostile.wat`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::contract::{events, types};
use super::*;

const HOSTILE: &[u8] = include_bytes!("../../tests/fixtures/hostile.wasm");
const CONTRACT_2: &[u8] = include_bytes!("../../tests/fixtures/contract-2.wasm");
const WASI: &[u8] = include_bytes!("../../tests/fixtures/wasi.wasm");

fn prove_with(engine: &Engine, bytes: &[u8], mode: &str, limits: &Limits) -> Result<Generation, Rejection> {
    let artifact = Artifact::new(bytes.to_vec(), Origin::Memory("test".to_owned()))?;
    Generation::prove(engine, &artifact, &json!({ "mode": mode }), limits)
}

fn reject(bytes: &[u8], mode: &str) -> Rejection {
    let engine = Engine::new(&Limits::default()).unwrap();
    prove_with(&engine, bytes, mode, &Limits::default()).unwrap_err()
}

/// A slot with the hostile guest in a mode.
struct Bench {
    engine: Engine,
    limits: Limits,
    slot: Arc<Slot>,
    caller: Caller,
}

impl Bench {
    fn new(mode: &str) -> Self {
        Self::with(mode, Limits::default())
    }

    fn with(mode: &str, limits: Limits) -> Self {
        let engine = Engine::new(&limits).unwrap();
        let slot = Arc::new(Slot::new(
            "test",
            Policy::default(),
            prove_with(&engine, HOSTILE, mode, &limits).unwrap(),
        ));
        let caller = Caller::new(Arc::clone(&slot));
        Self { engine, limits, slot, caller }
    }

    fn generation(&self, mode: &str) -> Arc<Generation> {
        Arc::new(prove_with(&self.engine, HOSTILE, mode, &self.limits).unwrap())
    }

    fn uplink(&mut self) -> Result<Vec<types::Action>, Fault> {
        self.caller.uplink(&event("urn:dev:1"))
    }

    /// The fault of a bad call; then that the same thread's next call, on a good generation, works.
    fn fault(mut self) -> Fault {
        let fault = self.uplink().unwrap_err();
        self.slot.offer(self.generation("g"));
        assert_eq!(published(&self.uplink().unwrap()), [("good".to_owned(), b"urn:dev:1".to_vec())]);
        fault
    }
}

fn event(endpoint: &str) -> events::Event<'_> {
    events::Event::Failed(events::Failed {
        client: types::Client { endpoint, attributes: &[] },
        operation: types::OperationName::Read,
        path: types::Path { object: Some(3), object_instance: None, resource: None, resource_instance: None },
        context: "",
        failure: events::Failure::Timeout,
        received: 0,
    })
}

fn published(actions: &[types::Action]) -> Vec<(String, Vec<u8>)> {
    let messages = actions.iter().map(|action| match action {
        types::Action::Publish(message) => (message.topic.clone(), message.payload.clone()),
        types::Action::Perform(request) => panic!("{request:?}"),
    });
    messages.collect()
}

#[test]
fn good_calls_go_both_ways() {
    let mut bench = Bench::new("g");
    for _ in 0..3 {
        assert_eq!(published(&bench.uplink().unwrap()), [("good".to_owned(), b"urn:dev:1".to_vec())]);
    }
    let properties = types::PropertiesParam {
        response_topic: None,
        correlation: None,
        expiry: None,
        content_type: None,
        user: &[],
    };
    let message = types::MessageParam {
        topic: "dn/x",
        payload: b"\xff\x00",
        qos: types::Qos::AtMostOnce,
        retain: false,
        properties,
    };
    assert_eq!(
        published(&bench.caller.downlink(&message).unwrap()),
        [("dn/x".to_owned(), b"\xff\x00".to_vec())]
    );
    let totals = bench.slot.totals();
    let ok = Direction::ALL.map(|direction| totals.calls(direction, Outcome::Ok));
    assert_eq!((ok, totals.instances), ([3, 1], 1));
    assert!(totals.fuel.sum > 0 && totals.time.sum > 0 && totals.memory > 0);
}

#[test]
fn a_trap_costs_one_call() {
    let fault = Bench::new("t").fault();
    assert!(matches!(&fault, Fault::Trap { reason } if reason.contains("unreachable")), "{fault:?}");
    assert_eq!(fault.outcome(), "trap");
}

#[test]
fn a_spinning_call_ends_with_its_fuel() {
    assert_eq!(Bench::new("s").fault(), Fault::Limit(LimitKind::Fuel));
}

#[test]
fn a_spinning_call_with_much_fuel_ends_by_the_clock() {
    let limits = Limits { fuel: u64::MAX / 2, wall: Duration::from_millis(20), ..Limits::default() };
    assert_eq!(Bench::with("s", limits).fault(), Fault::Limit(LimitKind::Wall));
}

#[test]
fn a_call_that_takes_all_memory_is_told_so() {
    let fault = Bench::new("m").fault();
    assert!(matches!(fault, Fault::Limit(LimitKind::Memory { cap, .. }) if cap == 16 << 20), "{fault:?}");
}

#[test]
fn a_list_of_100_mb_that_is_not_there_is_refused() {
    assert_eq!(Bench::new("b").fault().outcome(), "invalid_output");
}

#[test]
fn a_small_memory_cannot_make_the_host_copy_100_mb() {
    let fault = Bench::new("a").fault();
    assert!(matches!(&fault, Fault::InvalidOutput(reason) if reason.contains("fuel")), "{fault:?}");
}

#[test]
fn more_bytes_than_allowed_are_refused() {
    let fault = Bench::new("o").fault();
    assert_eq!(fault, Fault::InvalidOutput("1179684 bytes in all, at most 1048576 are allowed".to_owned()));
}

#[test]
fn more_actions_than_allowed_are_refused() {
    let fault = Bench::new("c").fault();
    assert_eq!(fault, Fault::InvalidOutput("1001 actions, at most 1000 are allowed".to_owned()));
}

#[test]
fn topics_that_mqtt_forbids_are_refused() {
    let refused = |mode| match Bench::new(mode).fault() {
        Fault::InvalidOutput(reason) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("w"), "topic \"a/#\" contains '#'");
    assert_eq!(refused("n"), "topic \"a\\0b\" contains '\\0'");
    assert_eq!(refused("e"), "an empty topic");
    assert_eq!(refused("x"), "a topic of 65536 bytes, at most 65535 are allowed");
    assert!(refused("u").contains("utf-8"), "{}", refused("u"));
}

#[test]
fn a_result_that_is_neither_ok_nor_error_is_refused() {
    assert_eq!(Bench::new("d").fault().outcome(), "invalid_output");
}

#[test]
fn the_translators_own_faults_come_through() {
    assert_eq!(Bench::new("p").fault(), Fault::Unsupported("my reason".to_owned()));
    assert_eq!(Bench::new("f").fault(), Fault::Malformed("my reason".to_owned()));
    assert_eq!(Bench::new("i").fault(), Fault::Internal("my reason".to_owned()));
}

#[test]
fn a_flood_of_log_lines_does_not_fail_the_call() {
    assert_eq!(published(&Bench::new("l").uplink().unwrap()).len(), 1);
}

#[test]
fn configure_that_refuses_traps_or_spins_is_rejected() {
    let rejection = reject(HOSTILE, "R");
    assert_eq!(rejection.step, Step::Configured);
    assert_eq!(rejection.reason, "settings refused: translators.notify.qos: must be 0, 1 or 2");
    let rejection = reject(HOSTILE, "T");
    assert!(rejection.step == Step::Configured && rejection.reason.contains("unreachable"), "{rejection}");
    let rejection = reject(HOSTILE, "S");
    assert_eq!(
        rejection,
        Rejection { step: Step::Configured, reason: "the translator used all of its fuel".to_owned() }
    );
}

#[test]
fn a_file_cut_anywhere_is_rejected() {
    for length in [0, 3, 8, 9, 100, HOSTILE.len() / 2, HOSTILE.len() - 1] {
        let rejection = reject(&HOSTILE[..length], "g");
        assert!(matches!(rejection.step, Step::Identified | Step::Compiled), "{length}: {rejection}");
    }
}

#[test]
fn a_core_module_is_rejected_with_what_to_do() {
    let rejection = reject(b"\0asm\x01\0\0\0", "g");
    assert!(
        rejection.step == Step::Identified && rejection.reason.contains("a core module, not a component"),
        "{rejection}"
    );
}

#[test]
fn text_instead_of_wasm_is_rejected() {
    assert_eq!(reject(b"(component)", "g").reason, "not WebAssembly: it does not begin with \\0asm");
}

#[test]
fn an_empty_component_is_not_a_translator() {
    let rejection = reject(b"\0asm\x0d\0\x01\0", "g");
    assert_eq!(rejection.reason, "not a translator: it does not export tidegate:translator/setup@1.1.0");
}

#[test]
fn another_contract_is_rejected_with_both_versions() {
    let rejection = reject(CONTRACT_2, "g");
    assert_eq!(rejection.step, Step::Identified);
    assert!(rejection.reason.contains("version 2.0.0") && rejection.reason.contains("1.1.0"), "{rejection}");
}

#[test]
fn a_wasi_import_is_rejected_with_its_likely_cause() {
    let rejection = reject(WASI, "g");
    assert_eq!(rejection.step, Step::Linked);
    assert!(
        rejection.reason.contains("wasi:cli/exit@0.2.6") && rejection.reason.contains("wasm32-wasip2"),
        "{rejection}"
    );
}

#[test]
fn a_missing_file_is_rejected_by_name() {
    let rejection = Artifact::read(std::path::Path::new("no/such.wasm")).unwrap_err();
    assert!(rejection.step == Step::Read && rejection.reason.starts_with("no/such.wasm: "), "{rejection}");
}

#[test]
fn repeated_crashes_rest_the_slot_for_longer_each_time_until_a_call_works() {
    let mut bench = Bench::new("t");
    let mut now = Instant::now();
    let event = event("urn:dev:1");
    for _ in 0..2 {
        assert_eq!(bench.caller.uplink_at(now, &event).unwrap_err().outcome(), "trap");
    }
    for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(
            bench.caller.uplink_at(now, &event).unwrap_err().outcome(),
            "trap",
            "before a rest of {rest} s"
        );
        let almost = now + Duration::from_millis(rest * 1000 - 1);
        assert_eq!(
            bench.caller.uplink_at(almost, &event).unwrap_err().outcome(),
            "unavailable",
            "within {rest} s"
        );
        now += Duration::from_secs(rest);
    }
    bench.slot.offer(bench.generation("g"));
    bench.caller.uplink_at(now, &event).unwrap();
    // Long ago, so that it is not put back.
    bench.slot.offer_at(now - Duration::from_secs(60), bench.generation("t"));
    for _ in 0..2 {
        assert_eq!(bench.caller.uplink_at(now, &event).unwrap_err().outcome(), "trap");
    }
    assert_eq!(bench.caller.uplink_at(now, &event).unwrap_err().outcome(), "trap");
    assert_eq!(bench.caller.uplink_at(now, &event).unwrap_err().outcome(), "unavailable");
}

/// Prints what a call costs; run by hand: `cargo test --release -p tidegate --lib call_cost -- --ignored --nocapture`.
#[test]
#[ignore = "prints a measurement"]
fn call_cost() {
    let mut bench = Bench::new("g");
    let event = event("urn:dev:1");
    let start = Instant::now();
    for _ in 0..100_000 {
        bench.caller.uplink(&event).unwrap();
    }
    println!("{:.3} us for each call", start.elapsed().as_secs_f64() * 10.0);
}

#[test]
fn a_generation_that_fails_at_once_gives_way_to_the_one_before() {
    let mut bench = Bench::new("g");
    let (now, event) = (Instant::now(), event("urn:dev:1"));
    let good = bench.slot.active().number();
    let changed = Arc::new(tokio::sync::Notify::new());
    bench.slot.notify(Arc::clone(&changed));
    bench.slot.offer_at(now, bench.generation("t"));
    for _ in 0..3 {
        assert_eq!(bench.caller.uplink_at(now, &event).unwrap_err().outcome(), "trap");
    }
    assert_eq!(bench.slot.active().number(), good);
    bench.caller.uplink_at(now, &event).unwrap();
    let status = bench.slot.status();
    assert_eq!((status.reverted, status.previous, status.state), (1, None, State::Active));
    let rejected = status.rejected.unwrap();
    assert_eq!(rejected.step, Step::Reverted);
    assert!(rejected.reason.contains("trap"), "{}", rejected.reason);
    let told = changed.notified();
    let mut told = std::pin::pin!(told);
    assert!(told.as_mut().enable(), "whoever watches the slot is told");
}

#[test]
fn a_generation_that_is_long_in_use_rests_instead() {
    for (calls, later) in [(100, Duration::ZERO), (0, Duration::from_secs(60))] {
        let mut bench = Bench::new("t");
        let (now, event) = (Instant::now(), event("urn:dev:1"));
        // Only its settings say whether it is good; the artifact is the same.
        let good = bench.generation("g");
        bench.slot.offer_at(now, Arc::clone(&good));
        for _ in 0..calls {
            bench.caller.uplink_at(now, &event).unwrap();
        }
        let number = bench.slot.active().number();
        for _ in 0..3 {
            bench.slot.record(Some(number), Outcome::Trap, now + later);
        }
        assert_eq!(bench.slot.active().number(), number, "{calls} calls, {later:?}");
        assert_eq!(bench.slot.status().state, State::Resting);
    }
}

#[test]
fn what_a_thread_began_on_the_old_generation_says_nothing_about_the_new_one() {
    let bench = Bench::new("t");
    let now = Instant::now();
    let old = bench.slot.active().number();
    bench.slot.offer_at(now, bench.generation("g"));
    let new = bench.slot.active().number();
    for _ in 0..5 {
        bench.slot.record(Some(old), Outcome::Trap, now);
    }
    assert_eq!((bench.slot.active().number(), bench.slot.status().state), (new, State::Active));
}

#[test]
fn of_three_generations_in_a_row_the_last_that_has_not_failed_comes_back() {
    let bench = Bench::new("g");
    let now = Instant::now();
    let first = bench.slot.active().number();
    bench.slot.offer_at(now, bench.generation("t"));
    let number = bench.slot.active().number();
    bench.slot.record(Some(number), Outcome::Trap, now);
    bench.slot.offer_at(now, bench.generation("t"));
    assert!(bench.slot.revert());
    assert_eq!(bench.slot.active().number(), first, "the second had failed");
    bench.slot.offer_at(now, bench.generation("g"));
    let third = bench.slot.active().number();
    bench.slot.offer_at(now, bench.generation("t"));
    assert!(bench.slot.revert() && !bench.slot.revert());
    assert_eq!(bench.slot.active().number(), third);
}

#[test]
fn a_topic_outside_of_the_fence_spoils_the_call() {
    let mut bench = Bench::new("g");
    bench.slot.set_policy(Policy { topics: vec!["up/#".to_owned()], ..Policy::default() });
    let fault = bench.uplink().unwrap_err();
    let reason = "topic \"good\" is not among `topics` of the configuration";
    assert_eq!(fault, Fault::InvalidOutput(reason.to_owned()));
    bench.slot.set_policy(Policy { topics: vec!["up/#".to_owned(), "+".to_owned()], ..Policy::default() });
    bench.uplink().unwrap();
}
