//! What a command leaves for its answers: every piece of their JSON that is known already, so that an answer, and each
//! notification of an observation, is put together without reading any JSON.
//!
//! An answer is, with keys in descending order:
//!
//! `{` head `"seqNum":N,` upper `"msgType":T,` middle `"data":{…}` lower `}`
//!
//! where head, upper, middle and lower are the command's other members, each with its comma.

use std::collections::BTreeMap;

use crate::json;
use crate::reply::ReplyTo;

/// What a command was, as its answers need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Read,
    Discover,
    Write,
    WriteAttributes,
    Execute,
    Create,
    Delete,
    Observe,
    CancelObserve,
    ReadComposite,
    WriteComposite,
    ObserveComposite,
    CancelObserveComposite,
}

/// The pieces, borrowed from the text that travels with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Context<'a> {
    pub(crate) command: Command,
    /// In front of every topic.
    pub(crate) mountpoint: &'a str,
    /// The path as the command had it, without query, not escaped, if it had one. The root for a composite.
    pub(crate) path: Option<&'a str>,
    /// The paths of a composite as the command had them, a JSON array.
    pub(crate) paths: Option<&'a str>,
    /// Where the answers are wanted; none: where all of them go.
    pub(crate) reply_to: Option<ReplyTo>,
    /// The client, if its answers are to say which one it is.
    pub(crate) endpoint: Option<&'a str>,
    head: &'a str,
    upper: &'a str,
    middle: &'a str,
    lower: &'a str,
    /// The command's `data` as it came.
    data: &'a str,
}

/// Members of a command besides `msgType` and `data`, by name; the values are JSON.
pub(crate) type Members = BTreeMap<String, String>;

impl Command {
    /// Its `msgType`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Discover => "discover",
            Self::Write => "write",
            Self::WriteAttributes => "write-attr",
            Self::Execute => "execute",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Observe => "observe",
            Self::CancelObserve => "cancel-observe",
            Self::ReadComposite => "read-composite",
            Self::WriteComposite => "write-composite",
            Self::ObserveComposite => "observe-composite",
            Self::CancelObserveComposite => "cancel-observe-composite",
        }
    }

    /// By its `msgType`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|command| command.name() == name)
    }

    /// Whether it is about several paths at once (LwM2M 1.1), which EMQX does not know.
    pub(crate) const fn is_composite(self) -> bool {
        matches!(
            self,
            Self::ReadComposite
                | Self::WriteComposite
                | Self::ObserveComposite
                | Self::CancelObserveComposite
        )
    }

    /// Whether notifications may follow its answer.
    pub(crate) const fn is_observe(self) -> bool {
        matches!(self, Self::Observe | Self::ObserveComposite)
    }
}

/// Writes the text that travels with a request. It is taken apart again by [`Context::parse`]. `path` is the command's
/// path, for a composite the JSON array of its paths.
pub(crate) fn compose(
    command: Command,
    reply_to: Option<&ReplyTo>,
    mountpoint: &str,
    path: &str,
    members: &Members,
    data: &str,
) -> String {
    let [head, upper, middle, lower] = pieces(members);
    // Both come from outside; the rest is JSON, which has control characters escaped.
    let (mountpoint, path) = (mountpoint.replace(SEPARATOR, " "), path.replace(SEPARATOR, " "));
    let reply_to = reply_to.map(|reply_to| format!("{REPLY_TO}{}", reply_to.write())).unwrap_or_default();
    [&format!("{}{reply_to}", command.name()), &mountpoint, &path, &head, &upper, &middle, &lower, data]
        .join(SEPARATOR.encode_utf8(&mut [0; 4]))
}

/// The members as four pieces: above `seqNum`, above `msgType`, above `data`, and the rest.
pub(crate) fn pieces(members: &Members) -> [String; 4] {
    let mut pieces = [const { String::new() }; 4];
    for (name, value) in members.iter().rev() {
        let at = match name.as_str() {
            "seqNum" => 0,
            name if name > "seqNum" => 0,
            name if name > "msgType" => 1,
            name if name > "data" => 2,
            _ => 3,
        };
        let mut key = Vec::new();
        crate::json::string(&mut key, name);
        let key = String::from_utf8_lossy(&key);
        let piece = &mut pieces[at];
        if at == 3 {
            piece.push(',');
        }
        piece.push_str(&key);
        piece.push(':');
        piece.push_str(value);
        if at != 3 {
            piece.push(',');
        }
    }
    pieces
}

impl<'a> Context<'a> {
    /// Takes apart what [`compose`] wrote.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(8, SEPARATOR);
        let mut next = || parts.next();
        let first = next()?;
        let (name, reply_to) =
            first.split_once(REPLY_TO).map_or((first, None), |(name, reply_to)| (name, Some(reply_to)));
        let command = Command::named(name)?;
        let (mountpoint, path) = (next()?, next()?);
        let is_composite = command.is_composite();
        Some(Self {
            command,
            mountpoint,
            path: if is_composite { Some(ROOT) } else { Some(path).filter(|path| *path != NO_PATH) },
            paths: is_composite.then_some(path),
            reply_to: reply_to.map(ReplyTo::read),
            endpoint: None,
            head: next()?,
            upper: next()?,
            middle: next()?,
            lower: next()?,
            data: next()?,
        })
    }

    /// An answer around the members of its `data`, which `data` writes.
    pub(crate) fn answer(
        &self,
        message_type: &str,
        sequence: Option<u32>,
        data: impl FnOnce(&mut Vec<u8>),
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            256 + self.head.len() + self.upper.len() + self.middle.len() + self.lower.len(),
        );
        out.push(b'{');
        out.extend_from_slice(self.head.as_bytes());
        if let Some(sequence) = sequence {
            out.extend_from_slice(b"\"seqNum\":");
            crate::json::integer(&mut out, sequence.into());
            out.push(b',');
        }
        out.extend_from_slice(self.upper.as_bytes());
        out.extend_from_slice(b"\"msgType\":\"");
        out.extend_from_slice(message_type.as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(self.middle.as_bytes());
        if let Some(endpoint) = self.endpoint {
            out.extend_from_slice(b"\"ep\":");
            crate::json::string(&mut out, endpoint);
            out.push(b',');
        }
        out.extend_from_slice(b"\"data\":");
        data(&mut out);
        out.extend_from_slice(self.lower.as_bytes());
        out.push(b'}');
        out
    }

    /// The command's own `data`, for what is not a final answer.
    pub(crate) fn own_data(&self, message_type: &str) -> Vec<u8> {
        self.answer(message_type, None, |out| out.extend_from_slice(self.data.as_bytes()))
    }

    /// As [`Self::own_data`], and why it came to that.
    pub(crate) fn own_data_and(&self, message_type: &str, reason: &str) -> Vec<u8> {
        self.answer(message_type, None, |out| {
            out.extend_from_slice(b"{\"reason\":");
            json::string(out, reason);
            let members = self.data.strip_prefix('{').unwrap_or("}");
            out.extend_from_slice(if members == "}" { b"" } else { b"," });
            out.extend_from_slice(members.as_bytes());
        })
    }
}

const ALL: [Command; 13] = [
    Command::Read,
    Command::Discover,
    Command::Write,
    Command::WriteAttributes,
    Command::Execute,
    Command::Create,
    Command::Delete,
    Command::Observe,
    Command::CancelObserve,
    Command::ReadComposite,
    Command::WriteComposite,
    Command::ObserveComposite,
    Command::CancelObserveComposite,
];

/// Stands for the path of a command that has none.
pub(crate) const NO_PATH: &str = "\u{1e}";

/// Stands before where the answers are wanted.
const REPLY_TO: char = '\u{1c}';

/// What a composite is told to be about.
const ROOT: &str = "/";

/// JSON has it escaped, and a topic of ours does not contain it.
const SEPARATOR: char = '\u{1f}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_keys_in_descending_order() {
        let members: Members =
            [("reqID", "7"), ("zz", "1"), ("cacheID", "\"c\""), ("imei", "null"), ("mheaders", "{}")]
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
        let text = compose(Command::Observe, None, "m/", "/3/0", &members, r#"{"path":"/3/0"}"#);
        let context = Context::parse(&text).unwrap();
        assert_eq!(
            (context.command, context.mountpoint, context.path),
            (Command::Observe, "m/", Some("/3/0"))
        );
        let answer = context.answer("notify", Some(5), |out| out.extend_from_slice(b"{}"));
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            r#"{"zz":1,"seqNum":5,"reqID":7,"msgType":"notify","mheaders":{},"imei":null,"data":{},"cacheID":"c"}"#
        );
        assert_eq!(
            String::from_utf8(context.own_data("ack")).unwrap(),
            r#"{"zz":1,"reqID":7,"msgType":"ack","mheaders":{},"imei":null,"data":{"path":"/3/0"},"cacheID":"c"}"#
        );
    }

    #[test]
    fn a_topic_with_control_characters_does_not_shift_the_pieces() {
        let text = compose(Command::Read, None, "m\u{1f}x/", "/3\u{1f}", &Members::new(), "{}");
        let context = Context::parse(&text).unwrap();
        assert_eq!((context.mountpoint, context.path, context.data), ("m x/", Some("/3 "), "{}"));
    }

    #[test]
    fn a_composite_is_about_the_root_and_its_paths() {
        let text = compose(Command::ReadComposite, None, "", r#"["/3/0/0","/1"]"#, &Members::new(), "{}");
        let context = Context::parse(&text).unwrap();
        assert_eq!((context.path, context.paths), (Some("/"), Some(r#"["/3/0/0","/1"]"#)));
    }

    #[test]
    fn what_is_no_context_is_refused() {
        for text in ["", "read", "read\u{1f}", "fly\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}"] {
            assert_eq!(Context::parse(text), None);
        }
    }
}
