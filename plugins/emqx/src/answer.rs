//! Answers, notifications, and what becomes of a request that has none.

use tidegate_sdk::{
    Action, Answered, Content, Delivery, Failed, Failure, Fault, Message, Notified, Progressed, Properties,
    Sent, Stage,
};

use crate::content::{self, Undecodable};
use crate::context::{Command, Context};
use crate::json;
use crate::registration::{head, names_endpoint, publish};
use crate::reply::respond;
use crate::settings::{Settings, Topic};

/// The answer to a command, or to an observation that was begun on registration.
pub(crate) fn answered(settings: &Settings, event: &Answered) -> Result<Vec<Action>, Fault> {
    let context = parse(settings, &event.context, &event.client.endpoint)?;
    let is_separate = event.delivery != Delivery::Piggybacked;
    if settings.is_strict() && context.command == Command::Observe && is_success(event.code) && is_separate {
        // EMQX takes any message of its own for a notification, also the first.
        return Ok(vec![notification(settings, &context, event.code, event.sequence, &event.content)]);
    }
    let sequence = event.sequence.filter(|sequence| context.command.is_observe() && *sequence != 0);
    let payload = render(settings, &context, context.command.name(), (event.code, sequence), &event.content);
    Ok(vec![respond(settings, context.reply_to.as_ref(), context.mountpoint, payload)])
}

/// A notification.
pub(crate) fn notified(settings: &Settings, event: &Notified) -> Result<Vec<Action>, Fault> {
    let context = parse(settings, &event.context, &event.client.endpoint)?;
    Ok(vec![notification(settings, &context, event.code, event.sequence, &event.content)])
}

/// Values that a client sent unasked, which EMQX does not know.
pub(crate) fn sent(settings: &Settings, event: &Sent) -> Vec<Action> {
    let endpoint = &event.client.endpoint;
    let mut out = head(settings, "send", endpoint);
    out.extend_from_slice(b"{\"content\":");
    content::write_samples(&mut out, &event.content);
    out.extend_from_slice(b"}}");
    let mountpoint = settings.mountpoint.render(&event.client, &event.registration);
    vec![publish(&mountpoint, &settings.translators.notify, out)]
}

/// An empty acknowledgement is told, as in EMQX; other steps only to those who want to know.
pub(crate) fn progressed(settings: &Settings, event: &Progressed) -> Result<Vec<Action>, Fault> {
    let stage = match event.stage {
        Stage::Acknowledged => None,
        _ if !settings.publish_progress => return Ok(vec![]),
        Stage::Queued => Some(("queued", None)),
        Stage::Transmitted => Some(("sent", None)),
        Stage::Transferred(bytes) => Some(("transferred", Some(bytes))),
    };
    let context = parse(settings, &event.context, &event.client.endpoint)?;
    let payload = match stage {
        None => context.own_data("ack"),
        Some((stage, bytes)) => context.answer("progress", None, |out| step(out, &context, stage, bytes)),
    };
    Ok(vec![respond(settings, context.reply_to.as_ref(), context.mountpoint, payload)])
}

/// `data` of a step on the way to an answer; of a large body, how many of its bytes are over.
fn step(out: &mut Vec<u8>, context: &Context<'_>, stage: &str, bytes: Option<(u64, u64)>) {
    out.push(b'{');
    if let Some((_, total)) = bytes {
        out.extend_from_slice(format!("\"total\":{total},").as_bytes());
    }
    out.extend_from_slice(format!("\"stage\":\"{stage}\",\"reqPath\":").as_bytes());
    match context.path {
        Some(path) => json::string(out, path),
        None => out.extend_from_slice(b"null"),
    }
    if let Some((done, _)) = bytes {
        out.extend_from_slice(format!(",\"done\":{done}").as_bytes());
    }
    out.push(b'}');
}

/// A request that came to nothing.
pub(crate) fn failed(settings: &Settings, event: &Failed) -> Result<Vec<Action>, Fault> {
    let context = parse(settings, &event.context, &event.client.endpoint)?;
    let refused = |code: u8, reason: &str| {
        let reason = (!settings.is_strict()).then_some(reason);
        context.answer(context.command.name(), None, |out| outcome(out, &context, code, reason))
    };
    let payload = match &event.failure {
        Failure::Reset => context.own_data("coap_reset"),
        Failure::Timeout => context.own_data("coap_timeout"),
        // In EMQX the queue goes silently with the session.
        Failure::Expired | Failure::Unreachable | Failure::Ended if settings.is_strict() => {
            return Ok(vec![]);
        }
        Failure::Expired => {
            context.own_data_and("coap_timeout", "it expired before the client could be asked")
        }
        Failure::Unreachable => context.own_data_and("coap_timeout", "the client cannot be reached"),
        Failure::Ended => context.own_data_and("coap_timeout", "the registration ended first"),
        // In EMQX nobody subscribes for a client that is not there.
        Failure::UnknownClient if settings.is_strict() => return Ok(vec![]),
        Failure::UnknownClient => {
            refused(0x84, &format!("no client {} is registered", event.client.endpoint))
        }
        Failure::QueueFull => refused(0xa3, "too many requests wait for this client"),
        Failure::Invalid(why) => refused(0x80, why),
    };
    Ok(vec![respond(settings, context.reply_to.as_ref(), context.mountpoint, payload)])
}

/// A CoAP code as EMQX names it: `2.05` and `content`.
pub(crate) fn write_code(out: &mut Vec<u8>, code: u8) {
    let name = match code {
        0x41 => "created",
        0x42 => "deleted",
        0x43 => "valid",
        0x44 => "changed",
        0x45 => "content",
        0x5f => "continue",
        0x80 => "bad_request",
        0x81 => "unauthorized",
        0x82 => "bad_option",
        0x83 => "forbidden",
        0x84 => "not_found",
        0x85 => "method_not_allowed",
        0x86 => "not_acceptable",
        0x88 => "request_entity_incomplete",
        0x89 => "conflict",
        0x8c => "precondition_failed",
        0x8d => "request_entity_too_large",
        0x8f => "unsupported_content_format",
        0x96 => "unprocessable_entity",
        0x9d => "too_many_requests",
        0xa0 => "internal_server_error",
        0xa1 => "not_implemented",
        0xa2 => "bad_gateway",
        0xa3 => "service_unavailable",
        0xa4 => "gateway_timeout",
        0xa5 => "proxying_not_supported",
        0xa8 => "hop_limit_reached",
        _ => "unknown",
    };
    out.extend_from_slice(b"\"codeMsg\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"code\":\"");
    let (class, detail) = (code >> 5, code & 0x1f);
    out.extend_from_slice(&[b'0' + class, b'.', b'0' + detail / 10, b'0' + detail % 10]);
    out.push(b'"');
}

fn parse<'a>(settings: &Settings, context: &'a str, endpoint: &'a str) -> Result<Context<'a>, Fault> {
    let wrong = || Fault::Malformed(format!("not a context of this translator: {context:?}"));
    let mut context = Context::parse(context).ok_or_else(wrong)?;
    context.endpoint = names_endpoint(settings).then_some(endpoint);
    Ok(context)
}

fn notification(
    settings: &Settings,
    context: &Context<'_>,
    code: u8,
    sequence: Option<u32>,
    content: &Content,
) -> Action {
    let sequence = sequence.filter(|sequence| *sequence != 0);
    let payload = render(settings, context, "notify", (code, sequence), content);
    if context.path.is_some_and(|path| content::segments(path).next() == Some("5")) {
        // Firmware notifications go where an older product had them.
        return Action::Publish(Message {
            topic: format!("{}{FIRMWARE_TOPIC}", context.mountpoint),
            payload,
            qos: tidegate_sdk::Qos::AtMostOnce,
            retain: false,
            properties: Properties::default(),
        });
    }
    let topic: &Topic = &settings.translators.notify;
    publish(context.mountpoint, topic, payload)
}

/// The whole message. What cannot be decoded turns the answer into 4.00.
fn render(
    settings: &Settings,
    context: &Context<'_>,
    message_type: &str,
    (code, sequence): (u8, Option<u32>),
    content: &Content,
) -> Vec<u8> {
    context.answer(message_type, sequence, |out| {
        let start = out.len();
        let is_odd = settings.is_strict() && context.command == Command::Write && code == CONTENT;
        let code = match code {
            // EMQX takes the content of an answer to a write for a sign of success.
            _ if is_odd && content.payload.is_empty() => METHOD_NOT_ALLOWED,
            _ if is_odd => CHANGED,
            code => code,
        };
        let has_values = match context.command {
            Command::Read => is_success(code),
            Command::Discover
            | Command::Observe
            | Command::CancelObserve
            | Command::ReadComposite
            | Command::ObserveComposite
            | Command::CancelObserveComposite => code == CONTENT,
            _ => false,
        };
        if !has_values {
            return outcome(out, context, code, None);
        }
        open(out, context, None);
        out.extend_from_slice(b",\"content\":");
        let written = if context.command == Command::Discover {
            content::write_links(out, &content.payload, settings.is_strict());
            Ok(())
        } else if context.command.is_composite() {
            content::write_samples(out, content);
            Ok(())
        } else {
            content::write(out, content, context.path.unwrap_or_default(), settings)
        };
        if let Err(Undecodable(why)) = written {
            out.truncate(start);
            let reason = (!settings.is_strict()).then(|| content.problem.as_deref().unwrap_or(&why));
            return outcome(out, context, BAD_REQUEST, reason);
        }
        close(out, code);
    })
}

/// `data` without content.
fn outcome(out: &mut Vec<u8>, context: &Context<'_>, code: u8, reason: Option<&str>) {
    open(out, context, reason);
    close(out, code);
}

/// `data` up to its content.
fn open(out: &mut Vec<u8>, context: &Context<'_>, reason: Option<&str>) {
    out.extend_from_slice(b"{\"reqPath\":");
    match context.path {
        Some(path) => json::string(out, path),
        None => out.extend_from_slice(b"null"),
    }
    if let Some(reason) = reason {
        out.extend_from_slice(b",\"reason\":");
        json::string(out, reason);
    }
    if let Some(paths) = context.paths {
        out.extend_from_slice(b",\"paths\":");
        out.extend_from_slice(paths.as_bytes());
    }
}

/// `data` from its code on.
fn close(out: &mut Vec<u8>, code: u8) {
    out.push(b',');
    write_code(out, code);
    out.push(b'}');
}

const fn is_success(code: u8) -> bool {
    code >> 5 == 2
}

const CHANGED: u8 = 0x44;
const CONTENT: u8 = 0x45;
const BAD_REQUEST: u8 = 0x80;
const METHOD_NOT_ALLOWED: u8 = 0x85;
const FIRMWARE_TOPIC: &str = "/v1/up/dm";

#[cfg(test)]
mod tests;
