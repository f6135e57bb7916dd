//! What applications publish: a command becomes a request, or an answer that says what is wrong with it.
//!
//! [`data`] reads a command's `data`; [`operation`] makes the operation of it, [`write`] one that carries values, and
//! [`composite`] one on several paths at once.

mod composite;
mod data;
mod operation;
mod write;

use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tidegate_sdk::{Action, Fault, Level, Message, Recipient, Request};

use self::data::Data;
use crate::answer::write_code;
use crate::context::{self, Command, Members, pieces};
use crate::json;
use crate::mountpoint::Addressed;
use crate::registration::{names_endpoint, publish};
use crate::reply::{ReplyTo, respond};
use crate::settings::{Settings, Topic};

/// A command, to the client that its topic names.
pub(crate) fn translate(settings: &Settings, message: &Message) -> Result<Vec<Action>, Fault> {
    let Some(addressed) = settings.mountpoint.address(&message.topic, &settings.translators.command.topic)
    else {
        // The filter cannot always be as narrow as the topics are: our own publications may come back.
        tidegate_sdk::log(Level::Trace, &format!("{} is not a topic of commands", message.topic));
        return Ok(vec![]);
    };
    let envelope = match Envelope::parse(&message.payload) {
        Ok(envelope) => envelope,
        Err(why) => return Ok(refuse_unread(settings, &addressed, message, &why)),
    };
    match request(settings, &addressed, message, &envelope) {
        Ok(request) => Ok(vec![Action::Perform(request)]),
        Err(refusal) => Ok(envelope.refuse(settings, &addressed, message, &refusal)),
    }
}

/// Why a command is not carried out.
#[derive(Debug)]
struct Refusal {
    why: String,
    /// Whether EMQX answers it; it drops most.
    is_answered_by_emqx: bool,
}

impl Refusal {
    fn answered(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_answered_by_emqx: true }
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { why, is_answered_by_emqx: false }
    }
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self::from(why.to_owned())
    }
}

/// A command's outer object.
struct Envelope {
    members: Members,
    message_type: Option<String>,
    data: Option<String>,
}

impl Envelope {
    fn parse(payload: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(payload).map_err(|_| "the command is not UTF-8")?;
        let raw: BTreeMap<String, &RawValue> = serde_json::from_str(text)
            .map_err(|error| format!("the command is not a JSON object: {error}"))?;
        let mut members: Members =
            raw.into_iter().map(|(name, value)| (name, json::compact(value.get()))).collect();
        let message_type = members.remove("msgType");
        let data = members.remove("data");
        Ok(Self { members, message_type, data })
    }

    /// The command in EMQX's words, if it is one.
    fn command(&self) -> Option<Command> {
        let name: String = serde_json::from_str(self.message_type.as_deref()?).ok()?;
        Command::named(&name)
    }

    /// Whether `encoding` says that values are hexadecimal.
    fn is_hex(&self) -> bool {
        self.members.get("encoding").is_some_and(|of| of == "\"hex\"")
    }

    /// Whether it is to be sent beside a command that is unanswered: `mheaders.ttl` is 0.
    fn is_urgent(&self) -> bool {
        let headers = self.members.get("mheaders");
        let headers = headers.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        headers.is_some_and(|of| of.get("ttl").and_then(serde_json::Value::as_u64) == Some(0))
    }

    /// An answer of 4.00 on the topic of the command's `msgType`.
    fn refuse(
        &self,
        settings: &Settings,
        addressed: &Addressed,
        message: &Message,
        refusal: &Refusal,
    ) -> Vec<Action> {
        if settings.is_strict() && !refusal.is_answered_by_emqx {
            return vec![];
        }
        let data = self.data.as_deref().and_then(|data| Data::parse(data).ok()).unwrap_or_default();
        let path = if self.command().is_some_and(Command::is_composite) {
            Some("/".to_owned())
        } else {
            data.told()
        };
        let message_type = self.message_type.as_deref().unwrap_or("null");
        let why = (!settings.is_strict()).then_some(refusal.why.as_str());
        let mut members = self.members.clone();
        if names_endpoint(settings)
            && let [Recipient::Endpoint(endpoint)] = addressed.recipients.as_slice()
        {
            // The one whom the topic names; where it may name several, nobody has looked who is there.
            let mut name = Vec::new();
            json::string(&mut name, endpoint);
            members.insert("ep".to_owned(), String::from_utf8(name).unwrap_or_default());
        }
        let payload = bad_request(&members, message_type, path.as_deref(), why);
        vec![match ReplyTo::of(settings, message) {
            Some(reply_to) => respond(settings, Some(&reply_to), &addressed.mountpoint, payload),
            None => publish(&addressed.mountpoint, topic_of(settings, message_type), payload),
        }]
    }
}

/// A stray `notify` is answered on the notify topic, and so on.
fn topic_of<'a>(settings: &'a Settings, message_type: &str) -> &'a Topic {
    match message_type {
        "\"notify\"" => &settings.translators.notify,
        "\"register\"" => &settings.translators.register,
        "\"update\"" => &settings.translators.update,
        _ => &settings.translators.response,
    }
}

/// What cannot even be read is answered with the reason; EMQX drops it.
fn refuse_unread(settings: &Settings, addressed: &Addressed, message: &Message, why: &str) -> Vec<Action> {
    if settings.is_strict() {
        return vec![];
    }
    let payload = bad_request(&Members::new(), "null", None, Some(why));
    let reply_to = ReplyTo::of(settings, message);
    vec![respond(settings, reply_to.as_ref(), &addressed.mountpoint, payload)]
}

fn bad_request(members: &Members, message_type: &str, path: Option<&str>, why: Option<&str>) -> Vec<u8> {
    let [head, upper, middle, lower] = pieces(members);
    let mut out =
        format!("{{{head}{upper}\"msgType\":{message_type},{middle}\"data\":{{\"reqPath\":").into_bytes();
    match path {
        Some(path) => json::string(&mut out, path),
        None => out.extend_from_slice(b"null"),
    }
    if let Some(why) = why {
        out.extend_from_slice(b",\"reason\":");
        json::string(&mut out, why);
    }
    out.push(b',');
    write_code(&mut out, 0x80);
    out.push(b'}');
    out.extend_from_slice(lower.as_bytes());
    out.push(b'}');
    out
}

fn request(
    settings: &Settings,
    addressed: &Addressed,
    message: &Message,
    envelope: &Envelope,
) -> Result<Request, Refusal> {
    let Some(message_type) = &envelope.message_type else {
        return Err("the command has no msgType".into());
    };
    let Some(data_text) = &envelope.data else { return Err(Refusal::answered("the command has no data")) };
    let command = envelope
        .command()
        .ok_or_else(|| Refusal::answered(format!("there is no command of the msgType {message_type}")))?;
    let data = Data::parse(data_text)?;
    let (operation, told) = if command.is_composite() {
        // EMQX, to which it is no command, answers it.
        composite::operation(command, &data, envelope.is_hex())
            .map_err(|Refusal { why, .. }| Refusal::answered(why))?
    } else {
        let operation = match command {
            Command::Write => write::write(settings, &data, envelope.is_hex())?,
            Command::Create => write::create(settings, &data)?,
            _ => operation::operation(settings, command, &data)?,
        };
        (operation, data.told().unwrap_or_else(|| context::NO_PATH.to_owned()))
    };
    let mut members = envelope.members.clone();
    if command.is_observe() {
        // Its answers and notifications have one of their own.
        members.remove("seqNum");
    }
    if names_endpoint(settings) {
        // The answer tells whom it is from; the application cannot know better.
        members.remove("ep");
    }
    Ok(Request {
        recipients: addressed.recipients.clone(),
        operation,
        context: {
            let reply_to = ReplyTo::of(settings, message);
            let (reply_to, mountpoint) = (reply_to.as_ref(), &addressed.mountpoint);
            context::compose(command, reply_to, mountpoint, &told, &members, data_text)
        },
        expiry: message.properties.expiry,
        urgent: envelope.is_urgent(),
        attributes: else_only_client(settings),
    })
}

/// Where topics name no client, EMQX has every client obey. The gateway is asked to find the one that is meant only where
/// there is just one.
fn else_only_client(settings: &Settings) -> Vec<(String, String)> {
    if settings.is_strict() && !settings.mountpoint.names_client() {
        return vec![("else-only-client".to_owned(), String::new())];
    }
    vec![]
}

#[cfg(test)]
mod tests;
