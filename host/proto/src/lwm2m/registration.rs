//! Registrations: what a client says of itself, parsed (core 1.2.1 section 6.2).
//!
//! The server calls [`Parameters::parse`] on the query of a Register or an Update and [`Links::parse`] on its payload.
//! Both take what real clients send; what they refuse has a reason that fits in a diagnostic payload.

use std::sync::Arc;

use super::format::link;
use super::path::Path;
use crate::coap::Peer;

/// LwM2M enabler version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Version {
    V1_0,
    V1_1,
    V1_2,
}

/// One object link of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// An object or an object instance.
    pub path: Path,
    /// Attributes, unquoted; one without `=` has an empty value.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

/// A registration as it stands; a snapshot that is replaced, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Endpoint name.
    pub endpoint: Arc<str>,
    /// Location path, such as `/rd/AC8x…`.
    pub location: Box<str>,
    /// The version the client asked for, recognised.
    pub version: Version,
    /// Seconds, as given (default 86400).
    pub lifetime: u32,
    /// `b`, empty if absent.
    pub binding: Box<str>,
    /// `Q`, or a binding with Q, or an access point that means the same.
    pub queue_mode: bool,
    /// `/`, or the prefix of its links without trailing slash.
    pub alternate_path: Box<str>,
    /// Objects and instances.
    pub objects: Vec<Link>,
    /// Query parameters: in order of first appearance, each once, the latest value. `None`: no `=`.
    pub parameters: Vec<(Box<str>, Option<Box<str>>)>,
    /// The links payload as the client wrote it last.
    pub links: Box<[u8]>,
    /// Where it is reached.
    pub peer: Peer,
}

impl Registration {
    /// The version of an object (`ver`) that the client has, if it says so at the object or at one of its instances.
    pub fn object_version(&self, object: u16) -> Option<&str> {
        let links = self.objects.iter().filter(|link| link.path.object() == Some(object));
        links.flat_map(|link| &link.attributes).find(|(name, _)| **name == *"ver").map(|(_, value)| &**value)
    }

    pub(crate) fn parameter<'a>(
        parameters: &'a [(Box<str>, Option<Box<str>>)],
        name: &str,
    ) -> Option<&'a str> {
        parameters.iter().find(|(key, _)| **key == *name).and_then(|(_, value)| value.as_deref())
    }
}

/// The query of a Register or an Update.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) items: Vec<(Box<str>, Option<Box<str>>)>,
}

impl Parameters {
    /// Split each item at its first `=`. The latest of several items of one name counts, at the place of the first.
    pub(crate) fn parse<'a>(query: impl Iterator<Item = &'a [u8]>) -> Result<Self, String> {
        let mut parameters = Self::default();
        for item in query {
            let Ok(item) = std::str::from_utf8(item) else {
                return Err("a query item is not UTF-8".to_owned());
            };
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name, Some(value.into())),
                None => (item, None),
            };
            parameters.set(name.into(), value);
        }
        Ok(parameters)
    }

    /// These parameters over older ones.
    pub(crate) fn over(self, older: &[(Box<str>, Option<Box<str>>)]) -> Self {
        let mut merged = Self { items: older.to_vec() };
        for (name, value) in self.items {
            merged.set(name, value);
        }
        merged
    }

    fn set(&mut self, name: Box<str>, value: Option<Box<str>>) {
        match self.items.iter_mut().find(|(key, _)| *key == name) {
            Some(item) => item.1 = value,
            None => self.items.push((name, value)),
        }
    }

    /// `ep`: 1 to 255 bytes without control characters.
    pub(crate) fn endpoint(&self) -> Result<Arc<str>, String> {
        let endpoint = Registration::parameter(&self.items, "ep").unwrap_or_default();
        if endpoint.is_empty() {
            return Err("missing ep".to_owned());
        }
        if endpoint.len() > 255 {
            return Err("ep is longer than 255 bytes".to_owned());
        }
        if endpoint.chars().any(char::is_control) {
            return Err("ep has control characters".to_owned());
        }
        Ok(endpoint.into())
    }

    /// `lwm2m`, or what was given instead.
    pub(crate) fn version(&self) -> Result<Version, String> {
        match Registration::parameter(&self.items, "lwm2m") {
            Some("1" | "1.0") => Ok(Version::V1_0),
            Some("1.1") => Ok(Version::V1_1),
            Some("1.2") => Ok(Version::V1_2),
            Some(other) => Err(format!("lwm2m={} is not 1.0, 1.1 or 1.2", shorten(other))),
            None => Err("missing lwm2m: 1.0, 1.1 or 1.2".to_owned()),
        }
    }

    /// `lt` in seconds; a day if it is absent (core 1.2.1 section 6.2.1).
    pub(crate) fn lifetime(&self) -> Result<u32, String> {
        match Registration::parameter(&self.items, "lt") {
            None => Ok(DEFAULT_LIFETIME),
            Some(text) => {
                text.parse().map_err(|_| format!("lt={} is not a number of seconds", shorten(text)))
            }
        }
    }

    /// `b`.
    pub(crate) fn binding(&self) -> &str {
        Registration::parameter(&self.items, "b").unwrap_or_default()
    }

    /// `Q` (LwM2M 1.1), a binding with Q (1.0), or an access point name by which some networks say the same.
    pub(crate) fn queue_mode(&self) -> bool {
        self.items.iter().any(|(name, _)| **name == *"Q")
            || self.binding().contains('Q')
            || Registration::parameter(&self.items, "apn").is_some_and(|apn| QUEUE_MODE_APNS.contains(&apn))
    }
}

/// The payload of a Register or an Update.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) alternate_path: Option<Box<str>>,
    pub(crate) objects: Vec<Link>,
}

impl Links {
    /// Links under the alternate path, or under `inherited` if the payload names none, are the objects. What is no
    /// object or object instance is passed over: an unknown link never fails a Register.
    pub(crate) fn parse(payload: &[u8], inherited: &str) -> Result<Self, String> {
        let links = link::parse(payload).map_err(|error| error.to_string())?;
        let root = links.iter().find(|link| {
            link.attributes
                .iter()
                .any(|(name, value)| *name == "rt" && value.split(' ').any(|rt| rt == "oma.lwm2m"))
        });
        let alternate_path = root.map(|link| {
            let trimmed = link.target.trim_end_matches('/');
            if trimmed.is_empty() { "/".into() } else { trimmed.into() }
        });
        let prefix = alternate_path.as_deref().unwrap_or(inherited).trim_end_matches('/');
        let objects = links.iter().filter_map(|link| {
            let path: Path = link.target.strip_prefix(prefix)?.parse().ok()?;
            let attributes =
                link.attributes.iter().map(|(name, value)| ((*name).into(), value.as_ref().into())).collect();
            (1..=2).contains(&path.depth()).then_some(Link { path, attributes })
        });
        let objects = objects.collect();
        Ok(Self { alternate_path, objects })
    }
}

/// What a device sent, short enough to send back.
fn shorten(text: &str) -> &str {
    let end = text.char_indices().nth(32).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

const DEFAULT_LIFETIME: u32 = 86_400;
const QUEUE_MODE_APNS: &[&str] = &["Ctnb", "psmA.eDRX0.ctnb", "psmC.eDRX0.ctnb", "psmF.eDRXC.ctnb"];

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(items: &[&str]) -> Parameters {
        Parameters::parse(items.iter().map(|item| item.as_bytes())).unwrap()
    }

    #[test]
    fn the_latest_of_several_items_counts_and_a_keyless_item_has_no_value() {
        let of = parameters(&["b=U", "ep=a", "Q", "ep=b=c"]);
        let expected: Vec<(Box<str>, Option<Box<str>>)> =
            vec![("b".into(), Some("U".into())), ("ep".into(), Some("b=c".into())), ("Q".into(), None)];
        assert_eq!(of.items, expected);
        assert!(of.queue_mode());
    }

    #[test]
    fn queue_mode_is_said_in_three_ways() {
        for (item, expected) in [
            ("Q", true),
            ("b=UQ", true),
            ("b=UQS", true),
            ("b=U", false),
            ("apn=Ctnb", true),
            ("apn=x", false),
        ] {
            assert_eq!(parameters(&[item]).queue_mode(), expected, "{item}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_register_is_said_shortly() {
        assert_eq!(parameters(&["ep="]).endpoint().unwrap_err(), "missing ep");
        assert_eq!(parameters(&["lwm2m=8.3"]).version().unwrap_err(), "lwm2m=8.3 is not 1.0, 1.1 or 1.2");
        assert_eq!(parameters(&["lt=-1"]).lifetime().unwrap_err(), "lt=-1 is not a number of seconds");
        assert_eq!(parameters(&[]).lifetime(), Ok(86_400));
        assert!(parameters(&[&format!("lt={}", "9".repeat(1000))]).lifetime().unwrap_err().len() < 80);
    }

    #[test]
    fn the_links_of_real_clients_are_understood() {
        let wakaama = br#"</>;rt="oma.lwm2m";ct=110,</1>;ver=1.1,</1/0>,</2/0>,</3/0>,</31024/10>"#;
        let links = Links::parse(wakaama, "/").unwrap();
        assert_eq!(links.alternate_path.as_deref(), Some("/"));
        let paths: Vec<String> = links.objects.iter().map(|link| link.path.to_string()).collect();
        assert_eq!(paths, ["/1", "/1/0", "/2/0", "/3/0", "/31024/10"]);
        // Quoted versions, a list of formats, spaces, an unquoted rt, an attribute without value, and a link that is no object.
        let other =
            br#"</lwm2m>;rt=oma.lwm2m;ct="60 110 112", </lwm2m/1>;ver="1.2", </lwm2m/3/0>;obs, </firmware>"#;
        let links = Links::parse(other, "/").unwrap();
        assert_eq!(links.alternate_path.as_deref(), Some("/lwm2m"));
        assert_eq!(links.objects.len(), 2);
        assert_eq!(links.objects[0].attributes, [("ver".into(), "1.2".into())]);
    }

    #[test]
    fn links_without_a_root_keep_the_alternate_path_of_before() {
        let links = Links::parse(b"</lwm2m/3/0>,</lwm2m/5/0>", "/lwm2m").unwrap();
        assert_eq!(links.alternate_path, None);
        assert_eq!(links.objects.len(), 2);
    }

    #[test]
    fn broken_links_are_refused_with_the_place() {
        let error = Links::parse(b"</3/0>,<no end", "/").unwrap_err();
        assert!(error.bytes().any(|byte| byte.is_ascii_digit()), "{error}");
    }
}
