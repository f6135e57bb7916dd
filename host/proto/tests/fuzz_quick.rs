//! The fuzz target's body on stable Rust: its corpus, and 20 000 mutations of it.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these helpers belong to them

#[path = "../fuzz/coap_endpoint_body.rs"]
mod coap_endpoint_body;
mod sim;

use std::fs;
use std::path::Path;

use coap_endpoint_body::run;
use sim::Seeded;

fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/coap_endpoint");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn the_corpus_holds_the_invariants_and_reaches_every_event() {
    let seen = corpus().iter().map(|input| run(input)).fold([0; 5], |mut sum, seen| {
        sum.iter_mut().zip(seen).for_each(|(sum, seen)| *sum += seen);
        sum
    });
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}

#[test]
fn mutations_of_the_corpus_hold_the_invariants() {
    let (corpus, mut chance) = (corpus(), Seeded(20));
    for _ in 0..20_000 {
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
        run(&input);
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_scripts_hold_the_invariants(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        run(&input);
    }
}
