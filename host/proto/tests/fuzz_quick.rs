//! The fuzz targets' bodies on stable Rust: their corpora, and mutations of them.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these helpers belong to them

#[path = "../fuzz/coap_endpoint_body.rs"]
mod coap_endpoint_body;
#[path = "../fuzz/lwm2m_formats_body.rs"]
mod lwm2m_formats_body;
#[path = "../fuzz/lwm2m_json_body.rs"]
mod lwm2m_json_body;
mod sim;

use std::fs;
use std::path::{Path, PathBuf};

use coap_endpoint_body::run;
use lwm2m_formats_body::FORMATS;
use sim::Seeded;

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(directory);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    files(&format!("corpus/{target}")).iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The targets of `lwm2m_formats_body` and `lwm2m_json_body`.
fn format_targets() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|(target, _)| *target).chain(["definition", "link", "lwm2m_json"])
}

/// Panics if a promise of the target does not hold for the input; whether it could be read.
fn run_format(target: &str, input: &[u8]) -> bool {
    match target {
        "lwm2m_json" => lwm2m_json_body::run(input),
        _ => lwm2m_formats_body::run(target, input),
    }
}

/// One input of a corpus, or two of them in a row, with some bytes changed.
fn mutation(corpus: &[Vec<u8>], chance: &mut Seeded) -> Vec<u8> {
    let mut input = corpus[chance.below(corpus.len() as u64) as usize].clone();
    if chance.percent(30) {
        input.extend_from_slice(&corpus[chance.below(corpus.len() as u64) as usize]);
    }
    for _ in 0..chance.below(8) {
        let at = chance.below(input.len() as u64) as usize;
        match chance.below(3) {
            0 => input[at] = chance.next() as u8,
            1 => input.insert(at, chance.next() as u8),
            _ if input.len() > 1 => drop(input.remove(at)),
            _ => {}
        }
    }
    input
}

#[test]
fn the_corpus_holds_the_invariants_and_reaches_every_event() {
    let seen = corpus("coap_endpoint").iter().map(|input| run(input)).fold([0; 5], |mut sum, seen| {
        sum.iter_mut().zip(seen).for_each(|(sum, seen)| *sum += seen);
        sum
    });
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}

#[test]
fn mutations_of_the_corpus_hold_the_invariants() {
    let (corpus, mut chance) = (corpus("coap_endpoint"), Seeded(20));
    for _ in 0..20_000 {
        run(&mutation(&corpus, &mut chance));
    }
}

#[test]
fn every_target_is_run_here() {
    let mut targets: Vec<_> = format_targets().chain(["coap_endpoint"]).map(str::to_owned).collect();
    targets.sort();
    let name = |file: &PathBuf| file.file_stem().unwrap().to_str().unwrap().to_owned();
    assert_eq!(files("fuzz_targets").iter().map(name).collect::<Vec<_>>(), targets);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    for target in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
    }
}

#[test]
fn what_clients_send_is_read_in_every_format() {
    for target in format_targets() {
        let read = corpus(target).iter().filter(|input| run_format(target, input)).count();
        // `link` has a path alone in its corpus, which is no link.
        let unread = if target == "link" { 1 } else { 0 };
        assert_eq!(read + unread, corpus(target).len(), "{target}");
        assert!(read > 1, "{target}");
    }
}

#[test]
fn mutations_of_what_clients_send_hold_the_promises() {
    for target in format_targets() {
        let (corpus, mut chance) = (corpus(target), Seeded(21));
        for _ in 0..4000 {
            run_format(target, &mutation(&corpus, &mut chance));
        }
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_scripts_hold_the_invariants(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        run(&input);
    }
}
