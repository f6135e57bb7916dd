//! Commands: SenML on `PREFIX/ENDPOINT/VERB`.

use serde_json::json;
use tidegate_sdk::{
    Action, Body, CancelMode, CancelObservation, CancelObservationComposite, Fault, Message, Observe,
    ObserveComposite, Operation, Path, Read, ReadComposite, Sample, Write, WriteComposite, WriteMode,
    from_topic_level, perform,
};

use crate::resolve::{Record, resolve};
use crate::settings::Settings;
use crate::{base64, name};

/// A command becomes one request.
pub(crate) fn translate(settings: &Settings, message: &Message) -> Result<Vec<Action>, Fault> {
    let topic = &message.topic;
    let addressee = topic
        .strip_prefix(settings.prefix.as_str())
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.split_once('/'))
        .filter(|(_, verb)| VERBS.contains(verb));
    let Some((endpoint, verb)) = addressee else {
        return Err(Fault::Unsupported(format!("{topic} is no topic of commands")));
    };
    let endpoint = from_topic_level(endpoint);
    let malformed = |text: String| Fault::Malformed(format!("{topic}: {text}"));
    let records = resolve(&message.payload).map_err(malformed)?;
    let operation = match verb {
        "write" => write(&endpoint, records),
        _ => paths(&endpoint, &records).map(|paths| of_paths(verb, paths)),
    };
    let operation = operation.map_err(malformed)?;
    let context = json!({
        "operation": verb,
        "names": names(&operation),
        "topic": message.properties.response_topic,
        "correlation": message.properties.correlation.as_deref().map(base64::encode),
    });
    Ok(vec![perform(endpoint, operation, context.to_string())])
}

/// What is read or observed is named, and has no value.
fn paths(endpoint: &str, records: &[Record]) -> Result<Vec<Path>, String> {
    if records.is_empty() {
        return Err("no record names anything".into());
    }
    let path = |record: &Record| match &record.value {
        None => name::path(endpoint, &record.name).ok_or_else(|| no_path(&record.name)),
        Some(_) => Err(format!("{} has a value, which only a write may have", record.name)),
    };
    records.iter().map(path).collect()
}

fn of_paths(verb: &str, mut paths: Vec<Path>) -> Operation {
    let (queries, accept, mode) = (vec![], None, CancelMode::Active);
    let one = if paths.len() == 1 { paths.pop() } else { None };
    match (verb, one) {
        ("read", Some(path)) => Operation::Read(Read { path, queries, accept }),
        ("read", None) => Operation::ReadComposite(ReadComposite { paths, accept }),
        ("observe", Some(path)) => Operation::Observe(Observe { path, queries, accept }),
        ("observe", None) => Operation::ObserveComposite(ObserveComposite { paths, accept }),
        (_, Some(path)) => Operation::CancelObservation(CancelObservation { path, queries, mode }),
        (_, None) => Operation::CancelObservationComposite(CancelObservationComposite { paths, mode }),
    }
}

/// One resource, several of one object instance, or any several: Write, Write that updates, or Write-Composite.
fn write(endpoint: &str, records: Vec<Record>) -> Result<Operation, String> {
    let mut samples: Vec<Sample> = Vec::with_capacity(records.len());
    for record in records {
        let path = name::path(endpoint, &record.name).filter(|path| path.resource.is_some());
        let path = path.ok_or_else(|| format!("{:?} is no resource, such as /3/0/14", record.name))?;
        let value = record.value.ok_or_else(|| format!("{path} has no value"))?;
        samples.push(Sample { path, value: value.into(), kind: None, taken: None });
    }
    let Some(first) = samples.first().map(|sample| sample.path) else {
        return Err("no record has a value".into());
    };
    let instance = |path: &Path| (path.object, path.object_instance);
    let queries = vec![];
    if samples.len() == 1 {
        let body = Body::Samples(samples);
        return Ok(Operation::Write(Write { path: first, queries, mode: WriteMode::Replace, body }));
    }
    if samples.iter().all(|sample| instance(&sample.path) == instance(&first)) {
        let path = Path { resource: None, resource_instance: None, ..first };
        let body = Body::Samples(samples);
        return Ok(Operation::Write(Write { path, queries, mode: WriteMode::Update, body }));
    }
    Ok(Operation::WriteComposite(WriteComposite { body: Body::Samples(samples) }))
}

/// What an operation is about, for its answer.
fn names(operation: &Operation) -> Vec<String> {
    let several = |paths: &[Path]| paths.iter().map(Path::to_string).collect();
    match operation {
        Operation::Read(of) => several(&[of.path]),
        Operation::Observe(of) => several(&[of.path]),
        Operation::CancelObservation(of) => several(&[of.path]),
        Operation::ReadComposite(of) => several(&of.paths),
        Operation::ObserveComposite(of) => several(&of.paths),
        Operation::CancelObservationComposite(of) => several(&of.paths),
        Operation::Write(Write { body: Body::Samples(samples), .. })
        | Operation::WriteComposite(WriteComposite { body: Body::Samples(samples) }) => {
            samples.iter().map(|sample| sample.path.to_string()).collect()
        }
        _ => vec![],
    }
}

fn no_path(name: &str) -> String {
    format!("{name:?} is no path of this endpoint, such as /3303/0/5700")
}

/// Last levels of the topics of commands.
pub(crate) const VERBS: [&str; 4] = ["read", "write", "observe", "cancel"];
