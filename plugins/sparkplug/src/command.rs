//! What host applications publish: NCMD and DCMD.

use prost::Message as _;
use tidegate_sdk::{
    Action, Body, Execute, Fault, Kind, Message, Operation, Path, Read, Sample, Value as Lwm2m, Write,
    WriteMode, perform,
};

use crate::node::REBOOT;
use crate::payload::{Metric, Payload, Value};
use crate::session::{NAMESPACE, REBIRTH};
use crate::settings::Settings;
use crate::{metric, name};

/// A command becomes requests. One that is retained is refused: it would be obeyed again after each restart.
pub(crate) fn translate(settings: &Settings, message: &Message) -> Result<Vec<Action>, Fault> {
    let topic = &message.topic;
    let levels: Vec<&str> = topic.split('/').collect();
    let unsupported = || Fault::Unsupported(format!("{topic} is no topic of commands"));
    let [NAMESPACE, group, kind, node, rest @ ..] = &levels[..] else { return Err(unsupported()) };
    if *group != settings.group {
        return Err(unsupported());
    }
    if message.retain {
        return Err(Fault::Malformed(format!("{topic}: a command must not be retained")));
    }
    let payload = Payload::decode(&message.payload[..])
        .map_err(|error| Fault::Malformed(format!("{topic}: no payload of Sparkplug B: {error}")))?;
    let endpoint = name::endpoint(node);
    let requests = payload.metrics.iter().map(|metric| match (*kind, rest) {
        ("NCMD", []) => node_command(&endpoint, metric),
        ("DCMD", [device]) => {
            let device = name::instance(device).ok_or_else(unsupported)?;
            device_command(settings, &endpoint, device, metric)
        }
        _ => Err(unsupported()),
    });
    Ok(requests.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn node_command(endpoint: &str, metric: &Metric) -> Result<Option<Action>, Fault> {
    let operation = match metric.name.as_deref() {
        // Only an event of the client has its state. This is the least that there always is an answer to, or none in time.
        Some(REBIRTH) => Operation::Read(Read { path: Path::new(&[3, 0]), queries: vec![], accept: None }),
        Some(REBOOT) => {
            Operation::Execute(Execute { path: Path::new(&[3, 0, 4]), queries: vec![], arguments: None })
        }
        other => {
            return Err(Fault::Unsupported(format!(
                "there is no node command {:?}",
                other.unwrap_or_default()
            )));
        }
    };
    let context = if metric.name.as_deref() == Some(REBIRTH) { REBORN } else { "" };
    match metric.value {
        Some(Value::Boolean(true)) => Ok(Some(perform(endpoint, operation, context))),
        // It says what already is.
        _ => Ok(None),
    }
}

fn device_command(
    settings: &Settings,
    endpoint: &str,
    (object, instance): (u16, u16),
    command: &Metric,
) -> Result<Option<Action>, Fault> {
    let by_alias = command.alias.map(metric::path);
    let by_name = || settings.names.path((object, instance), command.name.as_deref()?);
    let path = by_alias.or_else(by_name).filter(|path| {
        (path.object, path.object_instance) == (Some(object), Some(instance)) && path.resource.is_some()
    });
    let path = path.ok_or_else(|| {
        let (name, alias) = (&command.name, command.alias);
        Fault::Malformed(format!("{object}:{instance} has no metric {name:?} with alias {alias:?}"))
    })?;
    let (value, kind) =
        metric::written(command).ok_or_else(|| Fault::Malformed(format!("{path}: there is no value")))?;
    let context = context(settings, path, &value, kind);
    let samples = vec![Sample { path, value, kind: Some(kind), taken: None }];
    let body = Body::Samples(samples);
    let write = Operation::Write(Write { path, queries: vec![], mode: WriteMode::Replace, body });
    Ok(Some(perform(endpoint, write, context)))
}

/// What will be told as the new value once it is written: not every client notifies what it was told itself.
fn context(settings: &Settings, path: Path, value: &Lwm2m, kind: Kind) -> String {
    let sample = Sample { path, value: value.clone(), kind: Some(kind), taken: None };
    let Some(metric) = metric::of_sample(&sample, &settings.names, -1) else { return String::new() };
    let bytes = metric.encode_to_vec();
    if bytes.len() > CONTEXT {
        return String::new();
    }
    bytes.iter().fold(WRITTEN.to_owned(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

/// What a context says was written, at a time.
pub(crate) fn written(context: &str, now: Option<u64>) -> Option<Metric> {
    let digits = context.strip_prefix(WRITTEN)?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    let metric = Metric::decode(&bytes[..]).ok()?;
    Some(Metric { timestamp: now, ..metric })
}

/// Context of the request whose answer, or the lack of it, is the time for a rebirth.
pub(crate) const REBORN: &str = "rebirth";
const WRITTEN: &str = "written ";
/// Bytes of a value that is told before the client does.
const CONTEXT: usize = 256;
