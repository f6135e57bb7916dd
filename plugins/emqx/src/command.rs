//! What applications publish: a command becomes a request, or an answer that says what is wrong with it.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tidegate_sdk::{
    Action, Body, CancelMode, CancelObservation, Create, Delete, Discover, Encoded, Execute, Fault, Message,
    Observe, Operation, Path, Read, Request, Write, WriteAttributes, WriteMode,
};

use crate::answer::write_code;
use crate::context::{self, Command, Members, pieces};
use crate::json;
use crate::mountpoint::Addressed;
use crate::registration::{names_endpoint, publish};
use crate::settings::{Settings, Topic};
use crate::value::{self, Element};

/// A command, to the client that its topic names.
pub(crate) fn translate(settings: &Settings, message: &Message) -> Result<Vec<Action>, Fault> {
    let Some(addressed) = settings.mountpoint.address(&message.topic, &settings.translators.command.topic)
    else {
        return Err(Fault::Unsupported(format!("{} is not a topic of commands", message.topic)));
    };
    let envelope = match Envelope::parse(&message.payload) {
        Ok(envelope) => envelope,
        Err(why) => return Ok(refuse_unread(settings, &addressed, &why)),
    };
    match request(settings, &addressed, message, &envelope) {
        Ok(request) => Ok(vec![Action::Perform(request)]),
        Err(refusal) => Ok(envelope.refuse(settings, &addressed, &refusal)),
    }
}

/// Why a command is not carried out.
struct Refusal {
    why: String,
    /// Whether EMQX answers it; it drops most.
    is_answered_by_emqx: bool,
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
        let raw: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)
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

    /// An answer of 4.00 on the topic of the command's `msgType`.
    fn refuse(&self, settings: &Settings, addressed: &Addressed, refusal: &Refusal) -> Vec<Action> {
        if settings.is_strict() && !refusal.is_answered_by_emqx {
            return vec![];
        }
        let data: BTreeMap<String, Box<RawValue>> =
            self.data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        let path = ["path", "basePath", "reqPath"]
            .iter()
            .find_map(|key| data.get(*key))
            .map_or("null", |path| path.get());
        let path = serde_json::from_str::<String>(path).ok();
        let path = path.as_deref().map(|path| path.split('?').next().unwrap_or_default());
        let message_type = self.message_type.as_deref().unwrap_or("null");
        let why = (!settings.is_strict()).then_some(refusal.why.as_str());
        let payload = bad_request(&self.members, message_type, path, why);
        let topic = topic_of(settings, message_type);
        vec![publish(&addressed.mountpoint, topic, payload)]
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
fn refuse_unread(settings: &Settings, addressed: &Addressed, why: &str) -> Vec<Action> {
    if settings.is_strict() {
        return vec![];
    }
    let payload = bad_request(&Members::new(), "null", None, Some(why));
    vec![publish(&addressed.mountpoint, &settings.translators.response, payload)]
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

/// The members of `data` that any command has a use for.
#[derive(Default, Deserialize)]
struct Data {
    path: Option<Box<RawValue>>,
    #[serde(rename = "basePath")]
    base_path: Option<Box<RawValue>>,
    #[serde(rename = "type")]
    kind: Option<Box<RawValue>>,
    value: Option<Box<RawValue>>,
    content: Option<Vec<RawElement>>,
}

#[derive(Deserialize)]
struct RawElement {
    path: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    value: Option<Box<RawValue>>,
}

/// A path as commands have it.
struct Target {
    /// As it was, without query.
    text: String,
    ids: Vec<u16>,
    queries: Vec<String>,
}

impl Target {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let mut ids = Vec::new();
        let trimmed = path.trim_matches('/');
        if !trimmed.is_empty() {
            for segment in trimmed.split('/') {
                let id = segment
                    .parse()
                    .map_err(|_| format!("{segment:?} in the path {path:?} is not a number up to 65535"))?;
                ids.push(id);
            }
        }
        if ids.len() > 4 {
            return Err(format!("the path {path:?} has more than four levels").into());
        }
        let queries = query.into_iter().flat_map(|query| query.split('&')).map(str::to_owned).collect();
        Ok(Self { text: path.to_owned(), ids, queries })
    }

    fn path(&self) -> Path {
        Path::new(&self.ids)
    }
}

fn request(
    settings: &Settings,
    addressed: &Addressed,
    message: &Message,
    envelope: &Envelope,
) -> Result<Request, Refusal> {
    let answered = |why: &str| Refusal { why: why.to_owned(), is_answered_by_emqx: true };
    if envelope.message_type.is_none() {
        return Err("the command has no msgType".into());
    }
    let Some(data_text) = &envelope.data else { return Err(answered("the command has no data")) };
    let command = envelope.command().ok_or_else(|| answered("there is no command of this msgType"))?;
    let data: Data = serde_json::from_str(data_text).map_err(|error| format!("data: {error}"))?;
    let encoding = Encoding::of(envelope);
    let (operation, told) = operation(settings, command, &data, data_text, encoding)?;
    let mut members = envelope.members.clone();
    if command == Command::Observe {
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
        context: context::compose(command, &addressed.mountpoint, &told, &members, data_text),
        expiry: message.properties.expiry,
        urgent: is_urgent(envelope),
        attributes: vec![],
    })
}

/// How values are written: `encoding` of the command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Hex,
}

impl Encoding {
    fn of(envelope: &Envelope) -> Self {
        if envelope.members.get("encoding").is_some_and(|of| of == "\"hex\"") {
            Self::Hex
        } else {
            Self::Plain
        }
    }
}

/// `mheaders.ttl` of 0 sends a command beside an unanswered one.
fn is_urgent(envelope: &Envelope) -> bool {
    let headers = envelope.members.get("mheaders");
    let headers = headers.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    headers.is_some_and(|of| of.get("ttl").and_then(serde_json::Value::as_u64) == Some(0))
}

/// The operation, and the path that its answers tell.
fn operation(
    settings: &Settings,
    command: Command,
    data: &Data,
    data_text: &str,
    encoding: Encoding,
) -> Result<(Operation, String), Refusal> {
    let text = |of: &Option<Box<RawValue>>, name: &str| match of {
        None => Ok(None),
        Some(raw) => serde_json::from_str::<Option<String>>(raw.get())
            .map_err(|_| Refusal::from(format!("data.{name} is not a text: {}", raw.get()))),
    };
    let path = text(&data.path, "path")?;
    let base_path = text(&data.base_path, "basePath")?;
    let told = path.as_deref().or(base_path.as_deref());
    let told = told.map_or("", |path| path.split('?').next().unwrap_or_default()).to_owned();
    if command == Command::Write || command == Command::Create {
        let operation = write(settings, command, data, (path.as_deref(), base_path.as_deref()), encoding)?;
        return Ok((operation, told));
    }
    let target = Target::parse(path.as_deref().ok_or("data.path is missing")?)?;
    let (path, queries) = (target.path(), target.queries.clone());
    let operation = match command {
        Command::Read => Operation::Read(Read { path, queries, accept: None }),
        Command::Discover => Operation::Discover(Discover { path, queries, depth: None }),
        Command::Observe => Operation::Observe(Observe { path, queries, accept: None }),
        Command::CancelObserve => {
            Operation::CancelObservation(CancelObservation { path, queries, mode: CancelMode::Active })
        }
        Command::Delete => Operation::Delete(Delete { path, queries }),
        Command::Execute => {
            let members: BTreeMap<String, Box<RawValue>> =
                serde_json::from_str(data_text).unwrap_or_default();
            let arguments = match members.get("args").map(|raw| raw.get()) {
                None => None,
                Some("null") if !settings.is_strict() => None,
                Some(raw) => Some(
                    serde_json::from_str::<String>(raw)
                        .map_err(|_| format!("data.args is not a text: {raw}"))?,
                ),
            };
            let arguments = arguments.filter(|arguments| arguments != "undefined");
            Operation::Execute(Execute { path, queries, arguments })
        }
        _ => Operation::WriteAttributes(WriteAttributes { path, values: attributes(settings, data_text)? }),
    };
    Ok((operation, target.text))
}

/// `pmin` and the like, in EMQX's order; texts, and numbers as its documentation has them. `null` is passed over.
fn attributes(settings: &Settings, data: &str) -> Result<Vec<(String, Option<String>)>, Refusal> {
    let data: BTreeMap<String, serde_json::Value> = serde_json::from_str(data).unwrap_or_default();
    let names: &[&str] = if settings.is_strict() { &ATTRIBUTES[..5] } else { &ATTRIBUTES };
    let mut values = Vec::new();
    for name in names {
        match data.get(*name) {
            None | Some(serde_json::Value::Null) => {}
            Some(serde_json::Value::String(text)) => values.push(((*name).to_owned(), Some(text.clone()))),
            Some(number @ serde_json::Value::Number(_)) => {
                values.push(((*name).to_owned(), Some(number.to_string())))
            }
            Some(other) => return Err(format!("data.{name} is neither a text nor a number: {other}").into()),
        }
    }
    Ok(values)
}

fn write(
    settings: &Settings,
    command: Command,
    data: &Data,
    (path, base_path): (Option<&str>, Option<&str>),
    encoding: Encoding,
) -> Result<Operation, Refusal> {
    let is_single = command == Command::Write && base_path.is_none_or(|base| base == "/") && path.is_some();
    if is_single {
        let target = Target::parse(path.unwrap_or_default())?;
        let kind = data.kind.as_deref().ok_or("data.type is missing")?;
        let kind: String = serde_json::from_str(kind.get()).map_err(|_| "data.type is not a text")?;
        let given = data.value.as_deref().ok_or("data.value is missing")?;
        let bytes = encode(settings, &kind, given, encoding)?;
        let payload = value::single(&target.ids, &bytes, settings.is_strict())?;
        return Ok(Operation::Write(Write {
            mode: WriteMode::Replace,
            body: body(payload),
            path: target.path(),
            queries: target.queries,
        }));
    }
    let base = base_path.or(path.filter(|_| command == Command::Create)).unwrap_or("/");
    let target = Target::parse(base)?;
    let elements = data
        .content
        .as_ref()
        .ok_or("data.content is missing, or there is no data.path with data.type and data.value")?;
    let mut parsed = Vec::with_capacity(elements.len());
    for (at, element) in elements.iter().enumerate() {
        let kind = element.kind.as_deref().ok_or_else(|| format!("data.content[{at}].type is missing"))?;
        let given = element.value.as_deref().ok_or_else(|| format!("data.content[{at}].value is missing"))?;
        let bytes = encode(settings, kind, given, encoding)?;
        parsed.push(Element::parse(element.path.as_deref().unwrap_or_default(), bytes)?);
    }
    let (path, queries) = (target.path(), target.queries.clone());
    if command == Command::Create {
        let payload = value::create(&target.ids, &parsed)?;
        return Ok(Operation::Create(Create { path, queries, body: body(payload) }));
    }
    let payload = value::batch(&target.ids, &parsed)?;
    let mode = if target.ids.len() == 2 { WriteMode::Update } else { WriteMode::Replace };
    Ok(Operation::Write(Write { path, queries, mode, body: body(payload) }))
}

fn encode(settings: &Settings, kind: &str, given: &RawValue, encoding: Encoding) -> Result<Vec<u8>, Refusal> {
    if encoding == Encoding::Plain {
        return value::encode(kind, given.get(), settings.is_strict()).map_err(Refusal::from);
    }
    let hex: Option<Vec<u8>> =
        serde_json::from_str::<String>(given.get()).ok().and_then(|text| value::from_hex(&text));
    let bytes = hex.ok_or_else(|| Refusal {
        why: format!("{} is not a text of hexadecimal digits", given.get()),
        is_answered_by_emqx: true,
    })?;
    value::encode_bytes(kind, &bytes, settings.is_strict()).map_err(Refusal::from)
}

fn body(payload: Vec<u8>) -> Body {
    Body::Encoded(Encoded { format: Some(TLV), payload })
}

const TLV: u16 = 11542;
/// In the order in which EMQX sends them, then those that it does not know.
const ATTRIBUTES: [&str; 10] = ["gt", "lt", "pmax", "pmin", "st", "epmin", "epmax", "edge", "con", "hqmax"];
