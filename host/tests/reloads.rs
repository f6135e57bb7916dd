//! A gateway that reloads for months must not grow. A process of its own, so that nothing else changes its size.
#![allow(clippy::unwrap_used)] // all of this is a test

use std::sync::Arc;

use serde_json::json;
use tidegate::plugin::contract::{events, types};
use tidegate::plugin::{Artifact, Caller, Engine, Generation, Limits, Origin, Policy, Slot};

const GUEST: &[u8] = include_bytes!("fixtures/hostile.wasm");

/// Another artifact each time: with a section that means nothing.
fn generation(engine: &Engine, number: u16) -> Generation {
    let mut bytes = GUEST.to_vec();
    let [high, low] = number.to_be_bytes();
    bytes.extend([0, 4, 1, b'x', high, low]);
    let artifact = Artifact::new(bytes, Origin::Memory(format!("number {number}"))).unwrap();
    Generation::prove(engine, &artifact, &json!({ "mode": "g" }), &Limits::default()).unwrap()
}

fn event() -> events::Event<'static> {
    events::Event::Failed(events::Failed {
        client: types::Client { endpoint: "urn:dev:1", attributes: &[] },
        operation: types::OperationName::Read,
        path: types::Path { object: Some(3), object_instance: None, resource: None, resource_instance: None },
        context: "",
        failure: events::Failure::Timeout,
        received: 0,
    })
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_thousand_reloads_leave_the_memory_as_it_was() {
    let engine = Engine::new(&Limits::default()).unwrap();
    let slot = Arc::new(Slot::new("test", Policy::default(), generation(&engine, 0)));
    let mut callers = [Caller::new(Arc::clone(&slot)), Caller::new(Arc::clone(&slot))];
    let mut reload = |number: u16| {
        slot.offer(Arc::new(generation(&engine, number)));
        for caller in &mut callers {
            assert_eq!(caller.uplink(&event()).unwrap().len(), 1);
        }
        resident()
    };
    // What allocators and the engine keep for the next time is there by then.
    let early: Vec<usize> = (1..=200).map(&mut reload).collect();
    let late: Vec<usize> = (201..=1_000).map(&mut reload).collect();
    let (before, after) = (early[100..].iter().max().unwrap(), late[700..].iter().max().unwrap());
    println!("resident after 200 reloads {before} bytes, after 1000 {after} bytes");
    assert!(*after < before + before / 10, "it grows: {before} bytes, then {after}");
    assert_eq!(slot.offered(), 1_000);
}
