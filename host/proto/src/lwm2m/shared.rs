//! What many registrations have alike, held once: the clients of a fleet list the same objects, with the same
//! parameters. [`Registration`](super::registration::Registration) takes it from here when a client registers or updates, which
//! also spares it to read the links again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::registration::Links;

/// Texts and links that registrations have, or had lately.
///
/// Clients choose what is in it: the maps are those of std, whose keys nobody can make collide, and never hold more than
/// a fixed number of entries. What is thrown out stays with who has it, and is held once more for who comes later.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    texts: HashSet<Arc<str>>,
    /// By payload.
    links: HashMap<Arc<[u8]>, Links>,
}

impl Shared {
    /// A text, if it is so short that others may have it too; else one of its own.
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if text.len() > LONG {
            return text.into();
        }
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= MOST {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            if self.texts.len() > MOST / 2 {
                self.texts.clear();
            }
        }
        let text: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&text));
        text
    }

    /// The links of this payload, if they were [kept](Self::keep_links).
    pub(crate) fn links(&self, payload: &[u8]) -> Option<&Links> {
        self.links.get(payload)
    }

    /// Keeps the links of a payload for others, if it is not so long that few would fill the memory.
    pub(crate) fn keep_links(&mut self, links: &Links) {
        if links.payload.len() > LONG_LINKS {
            return;
        }
        if self.links.len() >= MOST {
            // Its key and its value hold a payload each.
            self.links.retain(|payload, _| Arc::strong_count(payload) > 2);
            if self.links.len() > MOST / 2 {
                self.links.clear();
            }
        }
        self.links.insert(Arc::clone(&links.payload), links.clone());
    }
}

/// Bytes of a text; a longer one is hardly anybody else's.
const LONG: usize = 16;
/// Bytes of links.
const LONG_LINKS: usize = 4_096;
/// Entries.
const MOST: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn links(number: usize) -> Links {
        Links::parse(format!("</3303/{number}>").as_bytes(), "/").expect("links")
    }

    #[test]
    fn what_is_alike_is_held_once() {
        let mut shared = Shared::default();
        let (one, other) = (shared.text("lwm2m"), shared.text("lwm2m"));
        assert!(Arc::ptr_eq(&one, &other));
        let (one, other) = (shared.text("urn:imei:123456789012345"), shared.text("urn:imei:123456789012345"));
        assert!(!Arc::ptr_eq(&one, &other), "it is one client's");
    }

    #[test]
    fn it_never_grows_beyond_its_bound_whoever_fills_it() {
        let mut shared = Shared::default();
        let held: Vec<_> = (0..3 * MOST).map(|number| shared.text(&number.to_string())).collect();
        assert!(shared.texts.len() <= MOST);
        assert_eq!(&*held[0], "0", "what is thrown out stays with who has it");
        for number in 0..3 * MOST {
            shared.keep_links(&links(number));
        }
        assert!(shared.links.len() <= MOST);
    }

    #[test]
    fn what_is_in_use_stays_when_it_is_full_of_what_is_not() {
        let mut shared = Shared::default();
        let (text, of) = (shared.text("86400"), links(0));
        shared.keep_links(&of);
        for number in 1..2 * MOST {
            shared.text(&format!("x{number}"));
            shared.keep_links(&links(number));
        }
        assert!(Arc::ptr_eq(&shared.text("86400"), &text));
        assert!(shared.links(&of.payload).is_some_and(|known| Arc::ptr_eq(&known.payload, &of.payload)));
    }
}
