//! Operations on one path.

use anyhow::{Context, Result, ensure};
use tidegate_proto::lwm2m::format::{LINK_FORMAT, LWM2M_CBOR, LWM2M_JSON, SENML_CBOR, SENML_JSON, TLV};
use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::Value;

use crate::matrix::Matrix;
use crate::stage::{ENDPOINT, Stage, refusal};
use crate::value::{
    INSTANCE, OBJECT, Values, everything, formats_for, initial_values, modes_for, other_values, samples,
    values,
};

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_read_in_each_format() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("read");
    for (path, expected) in everything() {
        for format in formats_for(path, &expected) {
            let answer = stage.ask(Operation::Read { path, queries: vec![], accept: Some(format) })?;
            matrix.check(path, format, stage.values(&answer, "2.05", format), &expected);
        }
    }
    matrix.finish()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_chooses_the_format_when_none_is_asked_for() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    for (path, expected) in everything() {
        let answer = stage.ask(Operation::Read { path, queries: vec![], accept: None })?;
        let samples = stage.server.samples(&answer)?;
        ensure!(answer.code == "2.05" && values(&samples) == expected, "{path}: {answer:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_asked_again_in_a_format_that_it_has() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    // It does not know LwM2M CBOR.
    let (path, queries, accept) = (INSTANCE, vec![], Some(LWM2M_CBOR));
    let answer = stage.ask(Operation::Read { path, queries: queries.clone(), accept })?;
    ensure!(answer.format != Some(LWM2M_CBOR), "{answer:?}");
    let format = answer.format.context("a format")?;
    ensure!(stage.values(&answer, "2.05", format)? == initial_values(), "{answer:?}");

    let answer = stage.ask(Operation::Observe { path, queries: queries.clone(), accept })?;
    ensure!(stage.values(&answer, "2.05", format)? == initial_values(), "{answer:?}");
    let changed = stage.change(path, &initial_values())?;
    let notified = stage.server.notified(&answer.context)?;
    ensure!(stage.values(&notified, "2.05", format)? == changed, "{notified:?}");

    // Bytes are sent as they are, and no others in their place.
    let path = Path::new([3442, 0, 120]);
    let body = stage.encoded(LWM2M_CBOR, path, &vec![(path, Value::Integer(7))])?;
    let answer = stage.ask(Operation::Write { path, queries, mode: WriteMode::Replace, body })?;
    ensure!(answer.code == "4.15", "{answer:?}");
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_observed_in_each_format() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("observe");
    for (path, expected) in everything() {
        for format in formats_for(path, &expected) {
            let observe = Operation::Observe { path, queries: vec![], accept: Some(format) };
            let answer = stage.ask(observe)?;
            matrix.check(path, format, stage.values(&answer, "2.05", format), &expected);

            let changed = stage.change(path, &expected)?;
            let notified = stage.server.notified(&answer.context)?;
            matrix.check(path, format, stage.values(&notified, "2.05", format), &changed);

            let mode = CancelMode::Active;
            let cancelled = stage.ask(Operation::CancelObservation { path, queries: vec![], mode })?;
            matrix.check(path, format, stage.values(&cancelled, "2.05", format), &changed);
            stage.reset()?;
        }
    }
    matrix.finish()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_written_in_each_format() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("write");
    for (path, before) in everything().into_iter().filter(|(path, _)| path.depth() > 1) {
        let written = other_values(&before);
        for format in formats_for(path, &before) {
            for mode in modes_for(path) {
                let body = match stage.encoded(format, path, &written) {
                    Ok(body) => body,
                    Err(error) => {
                        matrix.fail(path, format, &error);
                        continue;
                    }
                };
                let answer = stage.ask(Operation::Write { path, queries: vec![], mode, body })?;
                let outcome = if answer.code == "2.04" { stage.read(path) } else { Err(refusal(&answer)) };
                matrix.check(path, format, outcome, &written);
                stage.reset()?;
            }
        }
    }
    matrix.finish()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_written_values_in_a_format_that_it_has() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    for (path, before) in everything().into_iter().filter(|(path, _)| path.depth() > 1) {
        let written = other_values(&before);
        for mode in modes_for(path) {
            let body = Body::Samples(samples(&written));
            let answer = stage.ask(Operation::Write { path, queries: vec![], mode, body })?;
            ensure!(answer.code == "2.04", "{path}: {answer:?}");
            ensure!(stage.read(path)? == written, "{path}");
            stage.reset()?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn instances_are_created_in_a_leshan_device_in_each_format_and_deleted() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("create");
    for format in [TLV, LWM2M_JSON, SENML_JSON, SENML_CBOR] {
        let instance = Path::new([3442, format]);
        let wanted: Values = other_values(&initial_values())
            .into_iter()
            .map(|(path, value)| (below(instance, path), value))
            .collect();
        let body = match stage.encoded(format, OBJECT, &wanted) {
            Ok(body) => body,
            Err(error) => {
                matrix.fail(OBJECT, format, &error);
                continue;
            }
        };
        let answer = stage.ask(Operation::Create { path: OBJECT, queries: vec![], body })?;
        let outcome = if answer.code == "2.01" { stage.read(instance) } else { Err(refusal(&answer)) };
        matrix.check(instance, format, outcome, &wanted);

        let answer = stage.ask(Operation::Delete { path: instance, queries: vec![] })?;
        ensure!(answer.code == "2.02", "{answer:?}");
        let answer = stage.ask(Operation::Read { path: instance, queries: vec![], accept: None })?;
        ensure!(answer.code == "4.04", "{answer:?}");
    }
    matrix.finish()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_chooses_the_id_of_an_instance_and_says_it() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    // Resources without an instance around them (core 1.2.1 section 7.4.5): 110 is "new".
    let body = Body::Encoded { format: Some(TLV), payload: b"\xc3\x6enew".to_vec() };
    let answer = stage.ask(Operation::Create { path: OBJECT, queries: vec![], body })?;
    ensure!(answer.code == "2.01" && answer.location.as_deref() == Some("/3442/1"), "{answer:?}");
    let text = Path::new([3442, 1, 110]);
    ensure!(stage.read(text)? == [(text, Value::Text("new".into()))]);
    stage.server.links_changed()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn an_observation_of_a_leshan_device_ends_with_the_reset_of_its_next_notification() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let path = Path::new([3442, 0, 120]);
    let before = vec![(path, Value::Integer(1024))];
    let mode = CancelMode::Passive;
    let single = Operation::Observe { path, queries: vec![], accept: None };
    let composite = Operation::ObserveComposite { paths: vec![path], accept: None };
    let cancel_single = Operation::CancelObservation { path, queries: vec![], mode };
    let cancel_composite = Operation::CancelObservationComposite { paths: vec![path], mode };
    for (observe, cancel) in [(single, cancel_single), (composite, cancel_composite)] {
        let answer = stage.ask(observe)?;
        stage.change(path, &before)?;
        stage.server.notified(&answer.context)?;
        stage.server.submit(ENDPOINT, cancel);
        let resets = stage.server.unmatched_responses();
        stage.reset()?;
        stage.server.until("reset of a notification", |server| server.unmatched_responses() == resets + 1)?;
        // The device has taken the reset: another change is told to nobody. What it sends comes in order, so it would
        // have been here before the answers.
        stage.change(path, &before)?;
        stage.reset()?;
        ensure!(stage.server.unmatched_responses() == resets + 1);
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_sends_in_each_format() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let mut matrix = Matrix::new("send");
    for format in [SENML_JSON, SENML_CBOR] {
        stage.device.tell(&format!("send {format} /3442/0"))?;
        let sent = stage.server.sent()?;
        matrix.check(Path::root(), format, stage.values(&sent, "", format), &initial_values());
        stage.device.said(&["sent", "CHANGED"])?;
        stage.device.forget();
    }
    matrix.finish()
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_sends_what_it_collected_with_the_times() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let path = Path::new([3303, 0, 5700]);
    for format in [SENML_JSON, SENML_CBOR] {
        for command in ["notify 1.5", "collect /3303/0/5700", "notify 2.5", "collect /3303/0/5700"] {
            stage.device.tell(command)?;
        }
        stage.device.tell(&format!("flush {format}"))?;
        let sent = stage.server.sent()?;
        ensure!(sent.format == Some(format), "{sent:?}");
        let samples = stage.server.samples(&sent)?;
        let mut times = Vec::new();
        for (sample, value) in samples.iter().zip([1.5, 2.5]) {
            ensure!(sample.path == path && sample.value == Value::Float(value), "{samples:?}");
            times.push(sample.taken.context("a time")?);
        }
        // Milliseconds after 2020-09-13, that is not seconds or microseconds.
        let is_time = |time: &i64| (1_600_000_000_000..16_000_000_000_000).contains(time);
        ensure!(samples.len() == 2 && times.iter().all(is_time) && times.is_sorted(), "{samples:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn attributes_of_a_leshan_device_are_set_discovered_and_unset() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let path = Path::new([3442, 0, 120]);
    let discover = |stage: &mut Stage, path| -> Result<String> {
        let answer = stage.ask(Operation::Discover { path, queries: vec![], depth: None })?;
        ensure!(answer.code == "2.05" && answer.format == Some(LINK_FORMAT), "{answer:?}");
        Ok(String::from_utf8(answer.payload)?)
    };
    for (name, value) in ATTRIBUTES {
        let values = |value: Option<&str>| vec![(name.to_owned(), value.map(str::to_owned))];
        let answer = stage.ask(Operation::WriteAttributes { path, values: values(Some(value)) })?;
        ensure!(answer.code == "2.04", "{name}: {}", refusal(&answer));
        let links = discover(&mut stage, path)?;
        ensure!(links == format!("</3442/0/120>;{name}={value}"), "{links}");
        let answer = stage.ask(Operation::WriteAttributes { path, values: values(None) })?;
        ensure!(answer.code == "2.04", "{name}: {}", refusal(&answer));
        let links = discover(&mut stage, path)?;
        ensure!(links == "</3442/0/120>", "{links}");
    }
    let values = ATTRIBUTES.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).to_vec();
    let answer = stage.ask(Operation::WriteAttributes { path, values })?;
    ensure!(answer.code == "2.04", "{}", refusal(&answer));
    // Every one of them, and in a wider discovery beside the resource instances that a multiple resource has.
    let links = discover(&mut stage, INSTANCE)?;
    let all = ATTRIBUTES.map(|(name, value)| format!(";{name}={value}")).concat();
    ensure!(links.contains(&format!("</3442/0/120>{all},</3442/0/125>,")), "{links}");
    ensure!(discover(&mut stage, OBJECT)? == format!("</3442>,{links}"));
    ensure!(discover(&mut stage, Path::new([3442, 0, 1120]))? == "</3442/0/1120>;dim=1,</3442/0/1120/0>");
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn arguments_of_execute_reach_a_leshan_device() -> Result<()> {
    let Some(mut stage) = Stage::set()? else { return Ok(()) };
    let path = Path::new([3442, 0, 3]);
    let arguments = Some("0='first',5,9='a-b'".to_owned());
    let answer = stage.ask(Operation::Execute { path, queries: vec![], arguments })?;
    ensure!(answer.code == "2.04", "{answer:?}");
    let text = |id, text: &'static str| (Path::new([3442, 0, 4, id]), Value::Text(text.into()));
    let got = stage.read(Path::new([3442, 0, 4]))?;
    ensure!(got == [text(0, "first"), text(5, ""), text(9, "a-b")], "{got:?}");
    Ok(())
}

/// The same place below another instance.
fn below(instance: Path, path: Path) -> Path {
    let rest = path.ids().iter().skip(2);
    rest.fold(instance, |path, id| path.child(*id).expect("no deeper than it was"))
}

/// Such as Leshan knows them, in the order in which it lists them.
const ATTRIBUTES: [(&str, &str); 7] = [
    ("pmin", "1"),
    ("pmax", "100"),
    ("epmin", "1"),
    ("epmax", "100"),
    ("gt", "50"),
    ("lt", "10"),
    ("st", "5"),
];
