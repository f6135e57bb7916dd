//! Which translators serve whom: `[[route]]`, first match wins; without a match the first translator does.

use std::sync::Arc;

use tidegate_proto::lwm2m::registration::Registration;

use crate::plugin::Slot;

/// The slots, and the routes to them.
#[derive(Debug)]
pub struct Routing {
    slots: Vec<Arc<Slot>>,
    routes: Vec<(Pattern, Vec<usize>)>,
}

/// Which clients a route is for: those that fit all of it.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Glob over endpoint names.
    pub endpoints: String,
    /// Object ids of which a client has one; empty is all clients.
    pub objects: Vec<u16>,
    /// Number of the listener that a client came in by; none is all.
    pub listener: Option<u16>,
}

impl Pattern {
    fn fits(&self, registration: &Registration) -> bool {
        let has = |object: &u16| registration.objects.iter().any(|link| link.path.object() == Some(*object));
        matches(&self.endpoints, &registration.endpoint)
            && (self.objects.is_empty() || self.objects.iter().any(has))
            && self.listener.is_none_or(|listener| listener == registration.peer.listener)
    }
}

impl Routing {
    /// `routes` are patterns with the names of their translators, in order. An unknown name is the error.
    pub fn new(
        slots: Vec<Arc<Slot>>,
        routes: impl IntoIterator<Item = (Pattern, Vec<String>)>,
    ) -> Result<Self, String> {
        let number = |name: String| slots.iter().position(|slot| slot.name() == name).ok_or(name);
        let routes = routes
            .into_iter()
            .map(|(pattern, names)| {
                Ok((pattern, names.into_iter().map(number).collect::<Result<_, String>>()?))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { slots, routes })
    }

    /// All slots; the numbers elsewhere are positions in it.
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// The slots that serve a client.
    pub fn slots_for(&self, registration: &Registration) -> &[usize] {
        let matching = self.routes.iter().find(|(pattern, _)| pattern.fits(registration));
        matching.map_or(if self.slots.is_empty() { &[] } else { &[0] }, |(_, slots)| slots)
    }

    /// The slot of a name.
    pub fn slot_named(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name() == name)
    }
}

/// Whether a glob matches all of a text: `*` is any run of characters, `?` any one.
fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut position) = (0, 0);
    // Where the last `*` stands, and how far it has been stretched: enough to step back to, since an earlier one
    // never has to stretch further once a later one was reached.
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        if at < glob.len() && glob[at] == '*' {
            star = Some((at, position));
            at += 1;
        } else if at < glob.len() && (glob[at] == '?' || glob[at] == text[position]) {
            at += 1;
            position += 1;
        } else if let Some((of, from)) = star {
            star = Some((of, from + 1));
            at = of + 1;
            position = from + 1;
        } else {
            return false;
        }
    }
    glob[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use tidegate_proto::coap::Peer;
    use tidegate_proto::lwm2m::path::Path;
    use tidegate_proto::lwm2m::registration::{Link, Version};

    use super::*;

    #[test]
    fn a_route_is_for_clients_that_fit_all_of_it() {
        let registration = Registration {
            endpoint: "urn:imei:1".into(),
            location: "/rd/x".into(),
            version: Version::V1_1,
            lifetime: 300,
            binding: "".into(),
            queue_mode: false,
            alternate_path: "/".into(),
            objects: vec![Link { path: Path::new([3303, 0]), attributes: vec![] }],
            parameters: vec![],
            content_formats: None,
            links: Box::default(),
            peer: Peer::plain(([127, 0, 0, 1], 5683).into()),
        };
        let fits = |endpoints: &str, objects: &[u16], listener| {
            Pattern { endpoints: endpoints.to_owned(), objects: objects.to_vec(), listener }
                .fits(&registration)
        };
        assert!(fits("*", &[], None) && fits("urn:*", &[1, 3303], Some(0)));
        assert!(!fits("x*", &[], None) && !fits("*", &[3304], None) && !fits("*", &[], Some(1)));
    }

    #[test]
    fn globs_match_whole_names() {
        for (glob, text) in [
            ("*", ""),
            ("*", "a"),
            ("urn:*", "urn:imei:1"),
            ("a?c", "abc"),
            ("*:1", "a:b:1"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in
            [("", "a"), ("urn:*", "URN:1"), ("a?c", "ac"), ("*:1", "a:12"), ("a*b", "ac"), ("?", "")]
        {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn a_glob_of_many_stars_ends_quickly() {
        assert!(!matches(&"*a".repeat(40), &"a".repeat(39)));
        assert!(!matches(&format!("{}b", "*a".repeat(20)), &"a".repeat(5_000)));
    }
}
