//! Which translators serve whom.
//!
//! 1. the first `[[route]]` that a client fits;
//! 2. else all translators of the plugin folder that claim it;
//! 3. else the default translator.
//!
//! `deployment` makes a new one when any of that changes, and `uplink` and `downlink` ask it for each event.

use std::sync::Arc;

use tidegate_proto::lwm2m::registration::Registration;

use crate::plugin::Slot;

/// The slots, and the ways to them.
#[derive(Debug)]
pub struct Routing {
    /// Those that serve, then those that only finish what they have begun.
    slots: Vec<Arc<Slot>>,
    serving: usize,
    routes: Vec<(Pattern, Vec<usize>)>,
    claims: Vec<(Claim, usize)>,
    default: Option<usize>,
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
        matches(&self.endpoints, &registration.endpoint)
            && has_one_of(registration, &self.objects)
            && self.listener.is_none_or(|listener| listener == registration.peer.listener)
    }
}

/// Which clients a translator says that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Globs over endpoint names, of which one must fit.
    pub endpoints: Vec<String>,
    /// Object ids of which a client has one; empty is all clients.
    pub objects: Vec<u16>,
}

impl Claim {
    fn fits(&self, registration: &Registration) -> bool {
        self.endpoints.iter().any(|glob| matches(glob, &registration.endpoint))
            && has_one_of(registration, &self.objects)
    }
}

impl Routing {
    /// `routes` are patterns with the names of their translators, in order; `claims` are names and what they claim, and
    /// `default` is the name of the translator for all others. A name without a slot is the error.
    pub fn new(
        slots: Vec<Arc<Slot>>,
        routes: impl IntoIterator<Item = (Pattern, Vec<String>)>,
        claims: impl IntoIterator<Item = (String, Claim)>,
        default: Option<&str>,
    ) -> Result<Self, String> {
        let number =
            |name: &str| slots.iter().position(|slot| slot.name() == name).ok_or_else(|| name.to_owned());
        let routes = routes.into_iter().map(|(pattern, names)| {
            Ok((pattern, names.iter().map(|name| number(name)).collect::<Result<_, String>>()?))
        });
        let routes = routes.collect::<Result<_, String>>()?;
        let mut claims: Vec<(String, Claim)> = claims.into_iter().collect();
        claims.sort_by(|(one, _), (other, _)| one.cmp(other));
        let claims = claims.into_iter().map(|(name, claim)| Ok((claim, number(&name)?)));
        let claims = claims.collect::<Result<_, String>>()?;
        let default = default.map(number).transpose()?;
        Ok(Self { serving: slots.len(), slots, routes, claims, default })
    }

    /// The same with slots that are on their way out: answers and notifications still find them, by what they have asked
    /// for, but no client and no message comes to them any more.
    #[must_use]
    pub fn with_draining(mut self, draining: impl IntoIterator<Item = Arc<Slot>>) -> Self {
        self.slots.truncate(self.serving);
        self.slots.extend(draining);
        self
    }

    /// All slots; the numbers elsewhere are positions in it.
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// Those of them that take MQTT messages; they are the first.
    pub fn serving(&self) -> &[Arc<Slot>] {
        &self.slots[..self.serving]
    }

    /// The slots that serve a client.
    pub fn slots_for(&self, registration: &Registration) -> Vec<usize> {
        if let Some((_, slots)) = self.routes.iter().find(|(pattern, _)| pattern.fits(registration)) {
            return slots.clone();
        }
        let claiming = self.claims.iter().filter(|(claim, _)| claim.fits(registration));
        let claiming: Vec<usize> = claiming.map(|(_, slot)| *slot).collect();
        if claiming.is_empty() { self.default.into_iter().collect() } else { claiming }
    }

    /// The slot of a name.
    pub fn slot_named(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name() == name)
    }
}

fn has_one_of(registration: &Registration, objects: &[u16]) -> bool {
    let has = |object: &u16| registration.objects.iter().any(|link| link.path.object() == Some(*object));
    objects.is_empty() || objects.iter().any(has)
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
    use crate::plugin::{Artifact, Engine, Generation, Limits, Origin, Policy};

    fn slot(name: &str) -> Arc<Slot> {
        let limits = Limits::default();
        let engine = Engine::new(&limits).unwrap();
        let bytes = include_bytes!("../../tests/fixtures/hostile.wasm").to_vec();
        let artifact = Artifact::new(bytes, Origin::Memory(name.to_owned())).unwrap();
        let settings = serde_json::json!({ "mode": "g" });
        let generation = Generation::prove(&engine, &artifact, &settings, &limits).unwrap();
        Arc::new(Slot::new(name, Policy::default(), generation))
    }

    fn client(endpoint: &str) -> Registration {
        Registration {
            endpoint: endpoint.into(),
            location: "/rd/x".into(),
            version: Version::V1_1,
            lifetime: 300,
            binding: "".into(),
            queue_mode: false,
            alternate_path: "/".into(),
            objects: [Link { path: Path::new([3303, 0]), attributes: vec![] }].into(),
            parameters: vec![],
            content_formats: None,
            links: [].into(),
            peer: Peer::plain(([127, 0, 0, 1], 5683).into()),
        }
    }

    #[test]
    fn a_route_is_for_clients_that_fit_all_of_it() {
        let fits = |endpoints: &str, objects: &[u16], listener| {
            Pattern { endpoints: endpoints.to_owned(), objects: objects.to_vec(), listener }
                .fits(&client("urn:imei:1"))
        };
        assert!(fits("*", &[], None) && fits("urn:*", &[1, 3303], Some(0)));
        assert!(!fits("x*", &[], None) && !fits("*", &[3304], None) && !fits("*", &[], Some(1)));
    }

    fn claim(endpoints: &[&str], objects: &[u16]) -> Claim {
        let endpoints = endpoints.iter().map(|&glob| glob.to_owned()).collect();
        Claim { endpoints, objects: objects.to_vec() }
    }

    #[test]
    fn a_claim_is_for_clients_with_one_of_the_names_and_one_of_the_objects() {
        let fits =
            |endpoints: &[&str], objects: &[u16]| claim(endpoints, objects).fits(&client("urn:imei:1"));
        assert!(fits(&["*"], &[]) && fits(&["x", "urn:*"], &[1, 3303]));
        assert!(!fits(&[], &[]) && !fits(&["x"], &[]) && !fits(&["*"], &[3304]));
    }

    fn route(endpoints: &str, names: &[&str]) -> (Pattern, Vec<String>) {
        let pattern = Pattern { endpoints: endpoints.to_owned(), objects: Vec::new(), listener: None };
        (pattern, names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn a_route_goes_before_claims_and_claims_before_the_default() {
        let slots = ["main", "routed", "b", "a"].map(slot);
        let claims = [("b".to_owned(), claim(&["c*"], &[])), ("a".to_owned(), claim(&["*"], &[3303]))];
        let routes = [route("r*", &["routed", "b"]), route("rx", &["a"])];
        let routing = Routing::new(slots.to_vec(), routes, claims, Some("main")).unwrap();
        assert_eq!(routing.slots_for(&client("rx")), [1, 2], "the first route wins");
        assert_eq!(
            routing.slots_for(&client("cx")),
            [3, 2],
            "all that claim it, in the order of their names"
        );
        assert_eq!(routing.slots_for(&client("x")), [3]);
        let without = Registration { objects: [].into(), ..client("x") };
        assert_eq!(routing.slots_for(&without), [0], "nobody claims it");
    }

    #[test]
    fn a_draining_slot_is_found_by_its_name_only() {
        let routing = Routing::new(vec![slot("main")], [], [], Some("main")).unwrap();
        let routing = routing.with_draining([slot("old")]);
        assert_eq!(
            (routing.slot_named("old"), routing.slots().len(), routing.serving().len()),
            (Some(1), 2, 1)
        );
        assert_eq!(routing.slots_for(&client("old")), [0]);
        assert_eq!(Routing::new(vec![], [route("*", &["old"])], [], None).unwrap_err(), "old");
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
