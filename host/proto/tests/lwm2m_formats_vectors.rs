//! The content formats against the examples of the standards, and the corpus of the fuzz target `lwm2m_json` with
//! mutations of it, for those who have no fuzzer at hand.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these helpers belong to them

#[path = "../fuzz/lwm2m_json_body.rs"]
mod body;

use std::fs;
use std::path::Path as File;

use proptest::prelude::*;

fn corpus() -> Vec<Vec<u8>> {
    let folder = File::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/lwm2m_json");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn the_corpus_of_lwm2m_json_can_be_read() {
    let corpus = corpus();
    assert!(!corpus.is_empty());
    for input in corpus {
        assert!(body::run(&input), "{}", input.escape_ascii());
    }
}

/// One change to an input.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    /// What stands at the second place again at the first.
    Repeat(prop::sample::Index, prop::sample::Index, usize),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        let byte = || prop_oneof![any::<u8>(), prop::sample::select(&b"/0123456789.-e\"{}[],:nvtsbo"[..])];
        prop_oneof![
            (at(), byte()).prop_map(|(at, byte)| Self::Set(at, byte)),
            (at(), byte()).prop_map(|(at, byte)| Self::Insert(at, byte)),
            at().prop_map(Self::Remove),
            (at(), at(), 1_usize..20).prop_map(|(to, from, length)| Self::Repeat(to, from, length)),
        ]
    }

    fn apply(&self, input: &mut Vec<u8>) {
        if input.is_empty() {
            return;
        }
        let length = input.len();
        match self {
            Self::Set(at, byte) => input[at.index(length)] = *byte,
            Self::Insert(at, byte) => input.insert(at.index(length), *byte),
            Self::Remove(at) => drop(input.remove(at.index(length))),
            Self::Repeat(to, from, size) => {
                let from = from.index(length);
                let part = input[from..length.min(from + size)].to_vec();
                let to = to.index(length);
                input.splice(to..to, part);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_of_lwm2m_json_hold_for_damaged_payloads(
        mut input in prop::sample::select(corpus()),
        changes in prop::collection::vec(Change::any(), 1..4),
    ) {
        changes.iter().for_each(|change| change.apply(&mut input));
        body::run(&input);
    }
}
