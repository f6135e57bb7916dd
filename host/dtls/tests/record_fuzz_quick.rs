//! The fuzz targets' bodies on stable Rust: their corpora, and mutations of them.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these functions belong to them

#[path = "../fuzz/record_body.rs"]
mod record_body;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(directory);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    files(&format!("corpus/{target}")).iter().map(|file| fs::read(file).unwrap()).collect()
}

/// An input of a corpus, and bytes to put in it.
fn mutation(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    let inputs = prop::collection::vec(prop::sample::select(corpus(target)), 1..3);
    (inputs, changes).prop_map(|(inputs, changes)| {
        let mut input = inputs.concat();
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        input
    })
}

#[test]
fn the_corpora_are_read_and_reach_everything() {
    let mut records: Vec<_> = corpus("record_split").iter().map(|input| record_body::split(input)).collect();
    records.sort_unstable();
    assert!(records[0] == 0 && *records.last().unwrap() >= 3, "{records:?}");
    let seen =
        corpus("record_open").iter().map(|input| record_body::open(input)).fold([0; 5], |mut sum, seen| {
            sum.iter_mut().zip(seen).for_each(|(sum, seen)| *sum += seen);
            sum
        });
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}

#[test]
fn every_target_is_run_here() {
    let names =
        files("fuzz_targets").into_iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    // The others are those of handshakes (`handshake_fuzz_quick.rs`, `mischief/feed.rs`).
    let names: Vec<_> = names.filter(|name| name.starts_with("record_")).collect();
    assert_eq!(names, ["record_open", "record_split"]);
}

proptest! {
    #[test]
    fn mutations_of_the_corpora_hold_the_promises(
        split in mutation("record_split"),
        script in mutation("record_open"),
    ) {
        record_body::split(&split);
        record_body::open(&script);
    }

    #[test]
    fn arbitrary_inputs_hold_the_promises(input in prop::collection::vec(any::<u8>(), 0..600)) {
        record_body::split(&input);
        record_body::open(&input);
    }
}
