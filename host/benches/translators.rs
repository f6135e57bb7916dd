//! What one call costs: the default translator as a component, through the same `Caller` as in the gateway, and compiled
//! natively; and a script that publishes the same. `make bench-translators` prints times and ratios of one run.
//!
//! All three are called in turn, a batch each, for many rounds; what is printed is the median of the batches. Natively the
//! event is cloned for each call, since a component gets one of its own, too.
#![allow(clippy::unwrap_used)] // a measurement

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tidegate::plugin::contract::{events, types};
use tidegate::plugin::{Artifact, Caller, Engine, Generation, Limits, Policy, Slot};
use tidegate_emqx::Emqx;
use tidegate_sdk as sdk;
use tidegate_sdk::Translator as _;

const SCRIPT: &str = "
function uplink(event) {
  if (event.type !== 'notified') return [];
  const content = event.samples.map(({ path, value }) => ({ path, value }));
  const data = { reqPath: event.path, content, codeMsg: 'content', code: event.code };
  return { topic: 'up/notify', payload: { seqNum: 7, msgType: 'notify', ep: event.endpoint, data } };
}
";

fn main() {
    let limits = Limits::default();
    let engine = Engine::new(&limits).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("same.js");
    std::fs::write(&file, SCRIPT).unwrap();
    let caller = |artifact: &Artifact| {
        let generation = Generation::prove(&engine, artifact, &json!({}), &limits).unwrap();
        Caller::new(Arc::new(Slot::new("bench", Policy::default(), generation)))
    };
    let mut component = caller(&Artifact::built_in("emqx").unwrap());
    let mut script = caller(&Artifact::read(&file).unwrap());
    let (native, _) = Emqx::configure("{}").map_err(|wrong| format!("{wrong:?}")).unwrap();
    let context = context(&native);
    if std::env::args().any(|argument| argument == "--profile") {
        return profile(&mut component, &context);
    }
    println!(
        "{:>7}  {:>12} {:>12} {:>12}  {:>12} {:>12}",
        "samples", "native us", "wasm us", "script us", "wasm/native", "script/wasm"
    );
    for count in [1, 10, 100] {
        let owned = owned_event(count, &context);
        let samples = borrowed_samples(count);
        let borrowed = borrowed_event(&samples, &context);
        let expected = payload(&native.uplink(owned.clone()).unwrap());
        assert_eq!(Some(expected), published(component.uplink(&borrowed).unwrap()), "the same comes out");
        assert!(published(script.uplink(&borrowed).unwrap()).is_some());
        let [native, wasm, script] = measure([
            &mut || drop(std::hint::black_box(native.uplink(owned.clone()))),
            &mut || drop(std::hint::black_box(component.uplink(&borrowed))),
            &mut || drop(std::hint::black_box(script.uplink(&borrowed))),
        ]);
        println!(
            "{count:>7}  {native:>12.2} {wasm:>12.2} {script:>12.2}  {:>12.2} {:>12.2}",
            wasm / native,
            script / wasm
        );
    }
}

/// Only the component with one sample, for a profiler: `perf record target/release/deps/translators-… --profile`.
fn profile(component: &mut Caller, context: &str) {
    let samples = borrowed_samples(1);
    let event = borrowed_event(&samples, context);
    let begun = Instant::now();
    for _ in 0..PROFILED {
        std::hint::black_box(component.uplink(&event)).unwrap();
    }
    println!("{:.3} us", begun.elapsed().as_secs_f64() * 1e6 / f64::from(PROFILED));
}

/// Microseconds of one call of each.
fn measure(mut calls: [&mut dyn FnMut(); 3]) -> [f64; 3] {
    let mut times: [Vec<f64>; 3] = Default::default();
    for call in &mut calls {
        let begun = Instant::now();
        while begun.elapsed() < WARM {
            call();
        }
    }
    for _ in 0..ROUNDS {
        for (call, times) in calls.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            for _ in 0..BATCH {
                call();
            }
            times.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// What the translator wants back with a notification: what it has given with its observe request.
fn context(native: &Emqx) -> String {
    let registration = sdk::Registration {
        location: "/rd/1".into(),
        version: "1.1".into(),
        lifetime: 300,
        binding: "U".into(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: vec![sdk::Link { path: sdk::Path::new(&[3303, 0]), attributes: vec![] }],
        parameters: vec![("ep".into(), Some(ENDPOINT.into()))],
        links: b"</3303/0>".to_vec(),
        peer: "192.0.2.1:5683".into(),
        attributes: vec![("defined-objects".into(), "3303".into())],
    };
    let client = sdk::Client { endpoint: ENDPOINT.into(), attributes: vec![] };
    let event = sdk::Event::Registered(sdk::Registered { client, registration, previous: None, received: 0 });
    let observe = native.uplink(event).unwrap().into_iter().find_map(|action| match action {
        sdk::Action::Perform(request) => Some(request.context),
        sdk::Action::Publish(_) => None,
    });
    observe.unwrap()
}

fn owned_event(count: u16, context: &str) -> sdk::Event {
    let samples = (0..count).map(|at| sdk::Sample {
        path: sdk::Path::new(&[3303, 0, 5600 + at]),
        value: sdk::Value::Float(value(at)),
        kind: Some(sdk::Kind::Float),
        taken: None,
    });
    sdk::Event::Notified(sdk::Notified {
        client: sdk::Client { endpoint: ENDPOINT.into(), attributes: vec![] },
        path: sdk::Path::new(&[3303, 0]),
        context: context.to_owned(),
        code: 0x45,
        delivery: sdk::Delivery::NonConfirmable,
        sequence: Some(7),
        content: sdk::Content {
            format: Some(11543),
            payload: vec![0; 12 * usize::from(count)],
            samples: samples.collect(),
            problem: None,
            attributes: vec![],
        },
        received: 1_767_225_600_000,
        attributes: vec![],
    })
}

fn borrowed_samples(count: u16) -> Vec<types::SampleParam<'static>> {
    let sample = |at| types::SampleParam {
        path: types::Path {
            object: Some(3303),
            object_instance: Some(0),
            resource: Some(5600 + at),
            resource_instance: None,
        },
        value: types::ValueParam::Float(value(at)),
        kind: Some(types::Kind::Float),
        taken: None,
    };
    (0..count).map(sample).collect()
}

fn borrowed_event<'a>(samples: &'a [types::SampleParam<'a>], context: &'a str) -> events::Event<'a> {
    const PAYLOAD: [u8; 1_200] = [0; 1_200];
    events::Event::Notified(events::Notified {
        client: types::Client { endpoint: ENDPOINT, attributes: &[] },
        path: types::Path {
            object: Some(3303),
            object_instance: Some(0),
            resource: None,
            resource_instance: None,
        },
        context,
        code: 0x45,
        delivery: events::Delivery::NonConfirmable,
        sequence: Some(7),
        content: types::Content {
            format: Some(11543),
            payload: &PAYLOAD[..12 * samples.len()],
            samples,
            problem: None,
            attributes: &[],
        },
        received: 1_767_225_600_000,
        attributes: &[],
    })
}

/// Temperatures, as sensors have them.
fn value(at: u16) -> f64 {
    20.0 + f64::from(at) / 8.0
}

fn payload(actions: &[sdk::Action]) -> Json {
    let Some(sdk::Action::Publish(message)) = actions.first() else { panic!("{actions:?}") };
    serde_json::from_slice(&message.payload).unwrap()
}

fn published(actions: Vec<types::Action>) -> Option<Json> {
    match actions.into_iter().next()? {
        types::Action::Publish(message) => serde_json::from_slice(&message.payload).ok(),
        types::Action::Perform(_) => None,
    }
}

const ENDPOINT: &str = "urn:imei:490154203237518";
const ROUNDS: usize = 201;
const BATCH: u32 = 100;
const PROFILED: u32 = 3_000_000;
/// Not measured: caches and instances are made.
const WARM: Duration = Duration::from_millis(200);
