//! What `proto` says, in the contract's words, borrowed: nothing is copied before wasmtime copies it into the guest.

use tidegate_proto::coap::endpoint::Delivery;
use tidegate_proto::lwm2m::format::{self, Scope};
use tidegate_proto::lwm2m::model::{Defined, Models};
use tidegate_proto::lwm2m::operation::OperationName;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{Asked, Content, End, Event, Failure, Stage};
use tidegate_proto::lwm2m::value::{Kind, Sample, Value};

use super::split_context;
use crate::plugin::contract::{events, types};

/// Calls `call` with the event in the contract's words.
pub(crate) fn with_event<R>(
    event: &Event,
    models: &Models,
    received: i64,
    call: impl FnOnce(&events::Event<'_>) -> R,
) -> R {
    match event {
        Event::Registered { registration, previous, .. } => {
            with_registration(registration, models, |current| match previous {
                Some(previous) => with_registration(previous, models, |previous| {
                    let client = client(registration);
                    let previous = Some(previous);
                    call(&events::Event::Registered(events::Registered {
                        client,
                        registration: current,
                        previous,
                        received,
                    }))
                }),
                None => {
                    let client = client(registration);
                    let event =
                        events::Registered { client, registration: current, previous: None, received };
                    call(&events::Event::Registered(event))
                }
            })
        }
        Event::Updated { registration, links_changed, .. } => {
            with_registration(registration, models, |current| {
                let links_changed = *links_changed;
                let client = client(registration);
                call(&events::Event::Updated(events::Updated {
                    client,
                    registration: current,
                    links_changed,
                    received,
                }))
            })
        }
        Event::Ended { registration, reason, .. } => with_registration(registration, models, |current| {
            let reason = match reason {
                End::Deregistered => events::End::Deregistered,
                End::Expired => events::End::Expired,
                End::Removed => events::End::Removed,
            };
            let client = client(registration);
            call(&events::Event::Ended(events::Ended { client, registration: current, reason, received }))
        }),
        Event::Sent { registration, content, .. } => with_registration(registration, models, |current| {
            with_content(content, Path::root(), registration, models, |content| {
                let client = client(registration);
                call(&events::Event::Sent(events::Sent { client, registration: current, content, received }))
            })
        }),
        Event::Answered { .. } => with_answered(event, models, received, call),
        Event::Notified { .. } => with_notified(event, models, received, call),
        Event::Progressed { registration, asked, stage } => {
            call(&events::Event::Progressed(events::Progressed {
                client: client(registration),
                operation: operation_name(asked.operation),
                path: path(asked.path),
                context: split_context(&asked.context).1,
                stage: match *stage {
                    Stage::Queued => events::Stage::Queued,
                    Stage::Transmitted => events::Stage::Transmitted,
                    Stage::Acknowledged => events::Stage::Acknowledged,
                    Stage::Transferred(done, all) => events::Stage::Transferred((done, all)),
                },
                received,
            }))
        }
        Event::Failed { endpoint, asked, failure, .. } => call(&events::Event::Failed(events::Failed {
            client: types::Client { endpoint, attributes: &[] },
            operation: operation_name(asked.operation),
            path: path(asked.path),
            context: split_context(&asked.context).1,
            failure: self::failure(failure),
            received,
        })),
        Event::Refused { .. } => unreachable!("no translator is told"),
    }
}

fn with_notified<R>(
    event: &Event,
    models: &Models,
    received: i64,
    call: impl FnOnce(&events::Event<'_>) -> R,
) -> R {
    let Event::Notified { registration, asked, code, delivery: by, sequence, content, .. } = event else {
        unreachable!("only called for notifications")
    };
    with_body(content, *code, asked, registration, models, |content| {
        call(&events::Event::Notified(events::Notified {
            client: client(registration),
            path: path(asked.path),
            context: split_context(&asked.context).1,
            code: *code,
            delivery: delivery(*by),
            sequence: *sequence,
            content,
            received,
            attributes: &[],
        }))
    })
}

fn with_answered<R>(
    event: &Event,
    models: &Models,
    received: i64,
    call: impl FnOnce(&events::Event<'_>) -> R,
) -> R {
    let Event::Answered { registration, asked, code, delivery: by, sequence, content, location } = event
    else {
        unreachable!("only called for answers")
    };
    with_body(content, *code, asked, registration, models, |content| {
        call(&events::Event::Answered(events::Answered {
            client: client(registration),
            operation: operation_name(asked.operation),
            path: path(asked.path),
            context: split_context(&asked.context).1,
            code: *code,
            delivery: delivery(*by),
            sequence: *sequence,
            content,
            location: location.as_deref().unwrap_or_default(),
            received,
            attributes: &[],
        }))
    })
}

/// The body of an answer: the diagnostic of an error has no samples.
fn with_body<R>(
    content: &Content,
    code: u8,
    asked: &Asked,
    registration: &Registration,
    models: &Models,
    call: impl FnOnce(types::Content<'_>) -> R,
) -> R {
    let is_success = code >> 5 == 2;
    if is_success && asked.operation != OperationName::Discover {
        return with_content(content, asked.path, registration, models, call);
    }
    call(types::Content {
        format: content.format,
        payload: &content.payload,
        samples: &[],
        problem: None,
        attributes: &[],
    })
}

fn with_content<R>(
    content: &Content,
    path: Path,
    registration: &Registration,
    models: &Models,
    call: impl FnOnce(types::Content<'_>) -> R,
) -> R {
    let definitions = Defined::new(models, registration);
    let scope = Scope { alternate_path: &registration.alternate_path, ..Scope::new(path, &definitions) };
    let mut decoded = Vec::new();
    let problem = format::decode_into(content.format, &scope, &content.payload, &mut decoded)
        .err()
        .map(|of| of.to_string());
    let samples: Vec<_> = decoded.iter().map(sample).collect();
    call(types::Content {
        format: content.format,
        payload: &content.payload,
        samples: &samples,
        problem: problem.as_deref(),
        attributes: &[],
    })
}

fn with_registration<R>(
    of: &Registration,
    models: &Models,
    call: impl FnOnce(types::Registration<'_>) -> R,
) -> R {
    let attributes: Vec<Vec<(&str, &str)>> = of
        .objects
        .iter()
        .map(|link| link.attributes.iter().map(|(name, value)| (&**name, &**value)).collect())
        .collect();
    let objects: Vec<types::Link<'_>> = of
        .objects
        .iter()
        .zip(&attributes)
        .map(|(link, attributes)| types::Link { path: path(link.path), attributes })
        .collect();
    let parameters: Vec<(&str, Option<&str>)> =
        of.parameters.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
    let version =
        of.parameters.iter().find(|(name, _)| **name == *"lwm2m").and_then(|(_, value)| value.as_deref());
    let peer = of.peer.address.to_string();
    let defined = defined_objects(of, models);
    call(types::Registration {
        location: &of.location,
        version: version.unwrap_or_default(),
        lifetime: of.lifetime,
        binding: &of.binding,
        queue_mode: of.queue_mode,
        alternate_path: &of.alternate_path,
        objects: &objects,
        parameters: &parameters,
        links: &of.links,
        peer: &peer,
        attributes: &[("defined-objects", &defined)],
    })
}

/// The ids of the objects that have a definition, in the order in which the client lists them.
fn defined_objects(of: &Registration, models: &Models) -> String {
    let mut ids: Vec<String> = Vec::new();
    for object in of.objects.iter().filter_map(|link| link.path.object()) {
        let id = object.to_string();
        if models.definition(object, of.object_version(object)).is_some() && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.join(",")
}

fn client(registration: &Registration) -> types::Client<'_> {
    types::Client { endpoint: &registration.endpoint, attributes: &[] }
}

fn path(of: Path) -> types::Path {
    types::Path {
        object: of.object(),
        object_instance: of.instance(),
        resource: of.resource(),
        resource_instance: of.resource_instance(),
    }
}

fn sample<'a>(of: &'a Sample<'_>) -> types::SampleParam<'a> {
    types::SampleParam {
        path: path(of.path),
        value: value(&of.value),
        kind: of.kind.map(kind),
        taken: of.taken,
    }
}

fn value<'a>(of: &'a Value<'_>) -> types::ValueParam<'a> {
    match of {
        Value::Text(text) => types::ValueParam::Text(text),
        Value::Integer(number) => types::ValueParam::Integer(*number),
        Value::Unsigned(number) => types::ValueParam::Unsigned(*number),
        Value::Float(number) => types::ValueParam::Float(*number),
        Value::Boolean(flag) => types::ValueParam::Boolean(*flag),
        Value::Opaque(bytes) => types::ValueParam::Opaque(bytes),
        Value::Time(seconds) => types::ValueParam::Time(*seconds),
        Value::ObjectLink(link) => types::ValueParam::ObjectLink(types::ObjectLink {
            object: link.object,
            object_instance: link.instance,
        }),
        Value::CoreLink(text) => types::ValueParam::CoreLink(text),
        Value::Null => types::ValueParam::Null,
    }
}

fn kind(of: Kind) -> types::Kind {
    match of {
        Kind::Text => types::Kind::Text,
        Kind::Integer => types::Kind::Integer,
        Kind::Unsigned => types::Kind::Unsigned,
        Kind::Float => types::Kind::Float,
        Kind::Boolean => types::Kind::Boolean,
        Kind::Opaque => types::Kind::Opaque,
        Kind::Time => types::Kind::Time,
        Kind::ObjectLink => types::Kind::ObjectLink,
        Kind::CoreLink => types::Kind::CoreLink,
        Kind::Executable => types::Kind::Executable,
    }
}

fn delivery(of: Delivery) -> events::Delivery {
    match of {
        Delivery::Piggybacked => events::Delivery::Piggybacked,
        Delivery::Confirmable => events::Delivery::Confirmable,
        Delivery::NonConfirmable => events::Delivery::NonConfirmable,
    }
}

fn failure(of: &Failure) -> events::Failure<'_> {
    match of {
        Failure::Timeout => events::Failure::Timeout,
        Failure::Reset => events::Failure::Reset,
        Failure::Unreachable => events::Failure::Unreachable,
        Failure::UnknownClient => events::Failure::UnknownClient,
        Failure::Expired => events::Failure::Expired,
        Failure::QueueFull => events::Failure::QueueFull,
        Failure::Ended => events::Failure::Ended,
        Failure::Invalid(why) => events::Failure::Invalid(why),
    }
}

fn operation_name(of: OperationName) -> types::OperationName {
    match of {
        OperationName::Read => types::OperationName::Read,
        OperationName::Discover => types::OperationName::Discover,
        OperationName::Write => types::OperationName::Write,
        OperationName::WriteAttributes => types::OperationName::WriteAttributes,
        OperationName::Execute => types::OperationName::Execute,
        OperationName::Create => types::OperationName::Create,
        OperationName::Delete => types::OperationName::Delete,
        OperationName::Observe => types::OperationName::Observe,
        OperationName::CancelObservation => types::OperationName::CancelObservation,
        OperationName::ReadComposite => types::OperationName::ReadComposite,
        OperationName::WriteComposite => types::OperationName::WriteComposite,
        OperationName::ObserveComposite => types::OperationName::ObserveComposite,
        OperationName::CancelObservationComposite => types::OperationName::CancelObservationComposite,
    }
}
