//! What a translator says, in `proto`'s words. A translator may say nonsense: each answer here is checked.

use std::borrow::Cow;

use tidegate_proto::lwm2m::operation::{Body, CancelMode, Operation, OperationName, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::value::{Kind, ObjectLink, Sample, Value};

use crate::plugin::contract::types;

/// The operation that a translator asks for, or what is wrong with it.
pub(crate) fn operation(of: types::Operation) -> Result<Operation, String> {
    Ok(match of {
        types::Operation::Read(of) => {
            Operation::Read { path: path(of.path)?, queries: of.queries, accept: of.accept }
        }
        types::Operation::Discover(of) => {
            Operation::Discover { path: path(of.path)?, queries: of.queries, depth: of.depth }
        }
        types::Operation::Write(of) => {
            let mode = match of.mode {
                types::WriteMode::Replace => WriteMode::Replace,
                types::WriteMode::Update => WriteMode::Update,
            };
            Operation::Write { path: path(of.path)?, queries: of.queries, mode, body: body(of.body)? }
        }
        types::Operation::WriteAttributes(of) => {
            Operation::WriteAttributes { path: path(of.path)?, values: of.values }
        }
        types::Operation::Execute(of) => {
            Operation::Execute { path: path(of.path)?, queries: of.queries, arguments: of.arguments }
        }
        types::Operation::Create(of) => {
            Operation::Create { path: path(of.path)?, queries: of.queries, body: body(of.body)? }
        }
        types::Operation::Delete(of) => Operation::Delete { path: path(of.path)?, queries: of.queries },
        types::Operation::Observe(of) => {
            Operation::Observe { path: path(of.path)?, queries: of.queries, accept: of.accept }
        }
        types::Operation::CancelObservation(of) => Operation::CancelObservation {
            path: path(of.path)?,
            queries: of.queries,
            mode: cancel_mode(of.mode),
        },
        types::Operation::ReadComposite(of) => {
            Operation::ReadComposite { paths: paths(&of.paths)?, accept: of.accept }
        }
        types::Operation::WriteComposite(of) => Operation::WriteComposite { body: body(of.body)? },
        types::Operation::ObserveComposite(of) => {
            Operation::ObserveComposite { paths: paths(&of.paths)?, accept: of.accept }
        }
        types::Operation::CancelObservationComposite(of) => {
            Operation::CancelObservationComposite { paths: paths(&of.paths)?, mode: cancel_mode(of.mode) }
        }
    })
}

/// The name and the path of an operation, for its events; also of one that cannot be performed.
pub(crate) fn outline(of: &types::Operation) -> (OperationName, Path) {
    let at = |of: types::Path| path(of).unwrap_or_default();
    match of {
        types::Operation::Read(of) => (OperationName::Read, at(of.path)),
        types::Operation::Discover(of) => (OperationName::Discover, at(of.path)),
        types::Operation::Write(of) => (OperationName::Write, at(of.path)),
        types::Operation::WriteAttributes(of) => (OperationName::WriteAttributes, at(of.path)),
        types::Operation::Execute(of) => (OperationName::Execute, at(of.path)),
        types::Operation::Create(of) => (OperationName::Create, at(of.path)),
        types::Operation::Delete(of) => (OperationName::Delete, at(of.path)),
        types::Operation::Observe(of) => (OperationName::Observe, at(of.path)),
        types::Operation::CancelObservation(of) => (OperationName::CancelObservation, at(of.path)),
        types::Operation::ReadComposite(_) => (OperationName::ReadComposite, Path::root()),
        types::Operation::WriteComposite(_) => (OperationName::WriteComposite, Path::root()),
        types::Operation::ObserveComposite(_) => (OperationName::ObserveComposite, Path::root()),
        types::Operation::CancelObservationComposite(_) => {
            (OperationName::CancelObservationComposite, Path::root())
        }
    }
}

fn path(of: types::Path) -> Result<Path, String> {
    let levels = [of.object, of.object_instance, of.resource, of.resource_instance];
    let depth = levels.iter().take_while(|level| level.is_some()).count();
    if levels[depth..].iter().any(Option::is_some) {
        return Err(format!("a path with a level missing: {levels:?}"));
    }
    let ids: Vec<u16> = levels.into_iter().flatten().collect();
    Path::from_ids(&ids).ok_or_else(|| format!("not a path: {ids:?}"))
}

fn paths(of: &[types::Path]) -> Result<Vec<Path>, String> {
    of.iter().map(|of| path(*of)).collect()
}

fn cancel_mode(of: types::CancelMode) -> CancelMode {
    match of {
        types::CancelMode::Active => CancelMode::Active,
        types::CancelMode::Passive => CancelMode::Passive,
    }
}

fn body(of: types::Body) -> Result<Body, String> {
    Ok(match of {
        types::Body::Samples(samples) => {
            Body::Samples(samples.into_iter().map(sample).collect::<Result<_, _>>()?)
        }
        types::Body::Encoded(types::Encoded { format, payload }) => Body::Encoded { format, payload },
    })
}

fn sample(of: types::SampleResult) -> Result<Sample<'static>, String> {
    Ok(Sample { path: path(of.path)?, value: value(of.value), kind: of.kind.map(kind), taken: of.taken })
}

fn value(of: types::ValueResult) -> Value<'static> {
    match of {
        types::ValueResult::Text(text) => Value::Text(Cow::Owned(text)),
        types::ValueResult::Integer(number) => Value::Integer(number),
        types::ValueResult::Unsigned(number) => Value::Unsigned(number),
        types::ValueResult::Float(number) => Value::Float(number),
        types::ValueResult::Boolean(flag) => Value::Boolean(flag),
        types::ValueResult::Opaque(bytes) => Value::Opaque(Cow::Owned(bytes)),
        types::ValueResult::Time(seconds) => Value::Time(seconds),
        types::ValueResult::ObjectLink(link) => {
            Value::ObjectLink(ObjectLink { object: link.object, instance: link.object_instance })
        }
        types::ValueResult::CoreLink(text) => Value::CoreLink(Cow::Owned(text)),
        types::ValueResult::Null => Value::Null,
    }
}

fn kind(of: types::Kind) -> Kind {
    match of {
        types::Kind::Text => Kind::Text,
        types::Kind::Integer => Kind::Integer,
        types::Kind::Unsigned => Kind::Unsigned,
        types::Kind::Float => Kind::Float,
        types::Kind::Boolean => Kind::Boolean,
        types::Kind::Opaque => Kind::Opaque,
        types::Kind::Time => Kind::Time,
        types::Kind::ObjectLink => Kind::ObjectLink,
        types::Kind::CoreLink => Kind::CoreLink,
        types::Kind::Executable => Kind::Executable,
    }
}
