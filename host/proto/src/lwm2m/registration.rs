//! Registrations: what a client says of itself in Register and Update, parsed (core 1.2.1 section 6.2).
//!
//! The server calls `from_register` and `updated`; everything else only reads.

use std::sync::Arc;

use super::format::link;
use super::path::Path;
use super::shared::Shared;
use crate::coap::Peer;
use crate::coap::message::Code;

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

/// Query parameters: in order of first appearance, each once, the latest value. `None`: no `=`. Texts that many clients
/// have are held once.
pub type Parameters = Vec<(Arc<str>, Option<Arc<str>>)>;

/// A registration as it stands; a snapshot that is replaced, never changed. What many clients have alike is held once,
/// for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Endpoint name.
    pub endpoint: Arc<str>,
    /// Location path, such as `/rd/0Ab…`.
    pub location: Box<str>,
    /// The version the client asked for, recognised.
    pub version: Version,
    /// Seconds, as given (default 86400).
    pub lifetime: u32,
    /// `b`, empty if absent.
    pub binding: Arc<str>,
    /// `Q`, a binding with Q, or an `apn` that EMQX takes for the same.
    pub queue_mode: bool,
    /// `/` or the prefix of its links, without trailing slash.
    pub alternate_path: Arc<str>,
    /// Objects and instances, in the client's order. Links to anything else are left out.
    pub objects: Arc<[Link]>,
    /// What the queries of Register and Updates said.
    pub parameters: Parameters,
    /// The links payload as the client wrote it last.
    pub links: Arc<[u8]>,
    /// The content formats that the client lists (`ct`) at the link of its alternate path; none if it has not listed any.
    /// Leshan's Updates leave the list out, so one that an Update does not repeat stands.
    pub content_formats: Option<Arc<[u16]>>,
    /// Where it is reached.
    pub peer: Peer,
}

/// What [`Registration::restored`] wants; see there.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) endpoint: Arc<str>,
    pub(crate) location: Box<str>,
    pub(crate) version: Version,
    pub(crate) lifetime: u32,
    pub(crate) alternate_path: Arc<str>,
    pub(crate) parameters: Parameters,
    pub(crate) links: Arc<[u8]>,
    pub(crate) content_formats: Option<Arc<[u16]>>,
    pub(crate) peer: Peer,
}

/// Why a Register or Update is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The answer's code.
    pub(crate) code: Code,
    /// Its diagnostic payload (RFC 7252 section 5.5.2).
    pub(crate) diagnostic: String,
}

impl Registration {
    /// What a Register asks for (core 1.2.1 section 6.2.1). An unknown object or attribute never fails it. `identity`: the
    /// endpoint name that was authenticated, which the Register may leave out.
    pub(crate) fn from_register<'q>(
        queries: impl Iterator<Item = &'q [u8]>,
        payload: &[u8],
        peer: Peer,
        location: Box<str>,
        identity: Option<&Arc<str>>,
        shared: &mut Shared,
    ) -> Result<Self, Rejection> {
        let mut parameters = Parameters::with_capacity(queries.size_hint().0);
        merge(&mut parameters, queries, shared)?;
        let endpoint = endpoint(&mut parameters, identity)?;
        let version = version(&parameters)?;
        let lifetime = lifetime(&parameters)?;
        let links = Links::read(payload, "/", shared)?;
        Ok(Self {
            endpoint,
            location,
            version,
            lifetime: lifetime.unwrap_or(DEFAULT_LIFETIME),
            binding: binding(&parameters, shared),
            queue_mode: queue_mode(&parameters),
            alternate_path: links.alternate_path.unwrap_or_else(|| shared.text("/")),
            objects: links.objects,
            parameters,
            links: links.payload,
            content_formats: links.content_formats,
            peer,
        })
    }

    /// This registration after an Update (core 1.2.1 section 6.2.2), and whether the Update brought object links. They
    /// replace the old ones. The endpoint name and the version stay, whatever the Update says.
    pub(crate) fn updated<'q>(
        &self,
        queries: impl Iterator<Item = &'q [u8]>,
        payload: &[u8],
        peer: Peer,
        shared: &mut Shared,
    ) -> Result<(Self, bool), Rejection> {
        let mut parameters = self.parameters.clone();
        merge(&mut parameters, queries, shared)?;
        let lifetime = lifetime(&parameters)?.unwrap_or(self.lifetime);
        let mut updated = Self {
            endpoint: Arc::clone(&self.endpoint),
            location: self.location.clone(),
            version: self.version,
            lifetime,
            binding: binding(&parameters, shared),
            queue_mode: queue_mode(&parameters),
            alternate_path: Arc::clone(&self.alternate_path),
            objects: Arc::clone(&self.objects),
            parameters,
            links: Arc::clone(&self.links),
            content_formats: self.content_formats.clone(),
            peer,
        };
        let links_changed = !payload.is_empty();
        if links_changed {
            // Most clients do not repeat the link that names the alternate path; the others are still below it.
            let links = Links::read(payload, &self.alternate_path, shared)?;
            updated.alternate_path = links.alternate_path.unwrap_or(updated.alternate_path);
            updated.objects = links.objects;
            updated.links = links.payload;
            updated.content_formats = links.content_formats.or(updated.content_formats);
        }
        Ok((updated, links_changed))
    }

    /// A registration of which this much was kept over a restart; the rest follows from it. None if its links are none.
    pub(crate) fn restored(kept: Kept, shared: &mut Shared) -> Option<Self> {
        let links = Links::read(&kept.links, &kept.alternate_path, shared).ok()?;
        Some(Self {
            endpoint: kept.endpoint,
            location: kept.location,
            version: kept.version,
            lifetime: kept.lifetime,
            binding: binding(&kept.parameters, shared),
            queue_mode: queue_mode(&kept.parameters),
            alternate_path: shared.text(&kept.alternate_path),
            objects: links.objects,
            parameters: kept.parameters,
            links: links.payload,
            content_formats: kept.content_formats,
            peer: kept.peer,
        })
    }

    /// The bytes that it takes, roughly, if no other client has the same links.
    pub(crate) fn size(&self) -> usize {
        let parameter = |(name, value): &(Arc<str>, Option<Arc<str>>)| {
            AROUND + name.len() + value.as_ref().map_or(0, |value| value.len())
        };
        let attributes = |link: &Link| {
            link.attributes.iter().map(|(name, value)| AROUND + name.len() + value.len()).sum::<usize>()
        };
        let parameters: usize = self.parameters.iter().map(parameter).sum();
        let objects: usize = self.objects.iter().map(|link| size_of::<Link>() + attributes(link)).sum();
        let formats = self.content_formats.as_ref().map_or(0, |formats| size_of_val(&**formats));
        size_of::<Self>() + self.endpoint.len() + self.links.len() + parameters + objects + formats
    }

    /// The version (`ver`) of an object, if the client states it at the object or at one of its instances.
    pub fn object_version(&self, object: u16) -> Option<&str> {
        let links = self.objects.iter().filter(|link| link.path.object() == Some(object));
        links.flat_map(|link| &link.attributes).find(|(name, _)| &**name == "ver").map(|(_, value)| &**value)
    }

    /// The value of a query parameter; none if the client did not give it, or gave it without a value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        value(&self.parameters, name).flatten()
    }
}

/// Takes the queries into the parameters. Split at the first `=`, since values may hold more of them.
fn merge<'q>(
    parameters: &mut Parameters,
    queries: impl Iterator<Item = &'q [u8]>,
    shared: &mut Shared,
) -> Result<(), Rejection> {
    for query in queries {
        let is_full = parameters.len() == MAX_PARAMETERS;
        let query = std::str::from_utf8(query)
            .map_err(|_| bad_request(format!("query {:?} is not UTF-8", String::from_utf8_lossy(query))))?;
        let (name, value) = match query.split_once('=') {
            Some((name, value)) => (name, Some(shared.text(value))),
            None => (query, None),
        };
        match parameters.iter_mut().find(|(known, _)| &**known == name) {
            Some((_, known)) => *known = value,
            // Updates may bring new names for ever.
            None if is_full => {
                return Err(bad_request(format!("more than {MAX_PARAMETERS} query parameters")));
            }
            None => parameters.push((shared.text(name), value)),
        }
    }
    Ok(())
}

/// The parameter of that name; inside, its value.
fn value<'p>(parameters: &'p Parameters, name: &str) -> Option<Option<&'p str>> {
    let (_, value) = parameters.iter().find(|(known, _)| &**known == name)?;
    Some(value.as_deref())
}

/// The endpoint name, held once with the identity and the parameter.
fn endpoint(parameters: &mut Parameters, identity: Option<&Arc<str>>) -> Result<Arc<str>, Rejection> {
    let given = parameters.iter_mut().find(|(name, _)| **name == *"ep").and_then(|(_, value)| value.as_mut());
    let endpoint = match (given.filter(|given| !given.is_empty()), identity) {
        (Some(given), Some(identity)) if given == identity => {
            *given = Arc::clone(identity);
            identity
        }
        (Some(given), _) => &*given,
        (None, Some(identity)) if !identity.is_empty() => identity,
        (None, _) => return Err(bad_request("missing ep")),
    };
    // A Uri-Query holds 255 bytes, but not every way into this function need keep to that.
    if endpoint.len() > MAX_ENDPOINT {
        return Err(bad_request(format!("ep is longer than {MAX_ENDPOINT} bytes")));
    }
    if endpoint.chars().any(char::is_control) {
        return Err(bad_request("ep holds a control character"));
    }
    Ok(Arc::clone(endpoint))
}

/// `b`, empty if absent.
fn binding(parameters: &Parameters, shared: &mut Shared) -> Arc<str> {
    let binding = parameters.iter().find(|(name, _)| **name == *"b").and_then(|(_, value)| value.as_ref());
    binding.map_or_else(|| shared.text(""), Arc::clone)
}

/// 4.12 is what makes newer clients try an older version (core 1.2.1 section 6.2.1).
fn version(parameters: &Parameters) -> Result<Version, Rejection> {
    match value(parameters, "lwm2m").flatten().unwrap_or_default() {
        "1" | "1.0" => Ok(Version::V1_0),
        "1.1" => Ok(Version::V1_1),
        "1.2" => Ok(Version::V1_2),
        "" => Err(unsupported("missing LwM2M version; 1.0, 1.1 and 1.2 are supported".to_owned())),
        other => {
            let other = excerpt(other);
            Err(unsupported(format!("unsupported LwM2M version {other:?}; 1.0, 1.1 and 1.2 are")))
        }
    }
}

fn lifetime(parameters: &Parameters) -> Result<Option<u32>, Rejection> {
    let Some(text) = value(parameters, "lt") else { return Ok(None) };
    let text = text.unwrap_or_default();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(seconds) if digits => Ok(Some(seconds)),
        _ => Err(bad_request(format!("lt {:?} is not a number of seconds below 2^32", excerpt(text)))),
    }
}

fn queue_mode(parameters: &Parameters) -> bool {
    value(parameters, "Q").is_some()
        || value(parameters, "b").flatten().is_some_and(|binding| binding.contains('Q'))
        || value(parameters, "apn").flatten().is_some_and(|apn| QUEUE_MODE_APNS.contains(&apn))
}

/// The links of a Register or Update.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    /// What they were read from.
    pub(crate) payload: Arc<[u8]>,
    /// What was known as the alternate path.
    known: Arc<str>,
    /// Set if a link names it.
    alternate_path: Option<Arc<str>>,
    objects: Arc<[Link]>,
    content_formats: Option<Arc<[u16]>>,
}

impl Links {
    /// As [`parse`](Self::parse), unless they are known.
    fn read(payload: &[u8], known: &str, shared: &mut Shared) -> Result<Self, Rejection> {
        if let Some(links) = shared.links(payload).filter(|links| *links.known == *known) {
            return Ok(links.clone());
        }
        let links = Self::parse(payload, known)?;
        shared.keep_links(&links);
        Ok(links)
    }

    /// `known` is the alternate path where no link names it.
    pub(crate) fn parse(payload: &[u8], known: &str) -> Result<Self, Rejection> {
        let links = link::parse(payload).map_err(|error| bad_request(error.to_string()))?;
        let alternate_path: Option<Arc<str>> =
            links.iter().find(|link| is_root(link)).map(|link| normal(link.target));
        let prefix = alternate_path.as_deref().unwrap_or(known);
        let object = |link: &link::Link<'_>| {
            let path: Path = below(prefix, link.target).parse().ok()?;
            let attributes =
                link.attributes.iter().map(|(name, value)| ((*name).into(), value.as_ref().into())).collect();
            (1..=2).contains(&path.depth()).then_some(Link { path, attributes })
        };
        let objects = links.iter().filter_map(object).collect();
        let content_formats = links.iter().find(|link| is_root(link)).and_then(content_formats);
        Ok(Self { payload: payload.into(), known: known.into(), alternate_path, objects, content_formats })
    }
}

/// Whether a link names the alternate path: `rt` holds `oma.lwm2m` (core 1.2.1 section 7.2.1).
fn is_root(link: &link::Link<'_>) -> bool {
    let is_type = |value: &str| value.split_ascii_whitespace().any(|kind| kind == "oma.lwm2m");
    link.attributes.iter().any(|(name, value)| *name == "rt" && is_type(value))
}

/// What a link says in `ct`: numbers with spaces between.
fn content_formats(link: &link::Link<'_>) -> Option<Arc<[u16]>> {
    let (_, list) = link.attributes.iter().find(|(name, _)| *name == "ct")?;
    Some(list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// With a slash in front and none behind.
fn normal(path: &str) -> Arc<str> {
    format!("/{}", path.trim_matches('/')).into()
}

/// The target without the alternate path; as it is if it is not below it.
fn below<'t>(alternate_path: &str, target: &'t str) -> &'t str {
    let rest = target.strip_prefix(alternate_path.trim_end_matches('/'));
    rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(target)
}

fn bad_request(diagnostic: impl Into<String>) -> Rejection {
    Rejection { code: Code::BAD_REQUEST, diagnostic: diagnostic.into() }
}

fn unsupported(diagnostic: String) -> Rejection {
    Rejection { code: Code::PRECONDITION_FAILED, diagnostic }
}

/// What of a device's text is worth repeating to it.
fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(32)]
}

/// Bytes of a name and a value beside themselves.
const AROUND: usize = 2 * size_of::<Box<str>>();
/// Seconds (core 1.2.1 section 6.2.1).
const DEFAULT_LIFETIME: u32 = 86_400;
/// Bytes.
const MAX_ENDPOINT: usize = 255;
/// Parameters of one registration.
const MAX_PARAMETERS: usize = 64;
/// Access points whose devices sleep, as EMQX knows them.
const QUEUE_MODE_APNS: [&str; 4] = ["Ctnb", "psmA.eDRX0.ctnb", "psmC.eDRX0.ctnb", "psmF.eDRXC.ctnb"];

#[cfg(test)]
mod tests;
