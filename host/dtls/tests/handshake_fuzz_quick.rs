//! The bodies of the fuzz targets for handshakes on stable Rust: their corpora, and mutations of them.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these functions belong to them

#[path = "../fuzz/handshake_body.rs"]
mod handshake_body;

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

/// An input of a corpus, or two in a row, with some bytes changed and perhaps cut.
fn mutation(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    let inputs = prop::collection::vec(prop::sample::select(corpus(target)), 1..3);
    let cut = prop::option::of(any::<prop::sample::Index>());
    (inputs, changes, cut).prop_map(|(inputs, changes, cut)| {
        let mut input = inputs.concat();
        for (at, byte) in changes {
            *at.get_mut(&mut input) = byte;
        }
        if let Some(cut) = cut {
            input.truncate(cut.index(input.len()));
        }
        input
    })
}

#[test]
fn the_corpora_are_what_clients_send() {
    let hellos = corpus("client_hello");
    assert!(hellos.len() > 3 && hellos.iter().all(|input| handshake_body::client_hello(input)));
    let seen: Vec<_> =
        corpus("handshake_message").iter().map(|input| handshake_body::handshake_message(input)).collect();
    // Finished is encrypted, and is the one record of each client that has no place here.
    assert!(seen.iter().all(|[admitted, refused, _]| *admitted > 2 && *refused == 1), "{seen:?}");
    assert!(seen.iter().any(|[_, _, identities]| *identities == 1), "{seen:?}");
}

#[test]
fn every_target_is_run_here() {
    let names =
        files("fuzz_targets").into_iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    // The others are those of records (`record_fuzz_quick.rs`) and of whole associations (`mischief/feed.rs`).
    let is_here = |name: &String| !name.starts_with("record_") && !name.starts_with("association_");
    let names: Vec<_> = names.filter(is_here).collect();
    assert_eq!(names, ["client_hello", "handshake_message"]);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

proptest! {
    #[test]
    fn mutations_of_the_corpora_hold_the_promises(
        hello in mutation("client_hello"),
        handshake in mutation("handshake_message"),
    ) {
        handshake_body::client_hello(&hello);
        handshake_body::handshake_message(&handshake);
    }

    #[test]
    fn arbitrary_inputs_hold_the_promises(input in prop::collection::vec(any::<u8>(), 0..300)) {
        handshake_body::client_hello(&input);
        handshake_body::handshake_message(&input);
    }
}
