//! EMQX's contract without a gateway: the recorded cases go through the translator natively, in `strict`. Commands become
//! requests, whose messages are put together here as the gateway would; answers become JSON.
//!
//! The cases are in `spec/emqx-golden.json` of the folder that `TIDEGATE_SHARED` names, or of `shared` beside the repository.
//! `tests/tests/golden` replays them through the whole gateway.

mod case;
mod client;
mod wire;

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::case::{Case, Tree, bytes};
use self::client::Client;
use crate::tlv::{self, Body, Entry, EntryKind};

#[test]
fn the_translator_follows_the_recorded_cases() {
    let Some(cases) = cases() else { return };
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases.iter().filter(|case| case.class != "defect" && KINDS.contains(&case.kind.as_str())) {
        let count = counts.entry(case.kind.clone()).or_default();
        match Client::new(case).run() {
            Ok(()) => count[0] += 1,
            Err(client::Unfollowed::NotNative) => count[1] += 1,
            Err(client::Unfollowed::Wrong(why)) => wrong.push(format!("{}: {why}", case.name)),
        }
    }
    for (kind, [followed, left_out]) in &counts {
        eprintln!("{kind:<14}{followed:>5} followed{left_out:>5} need the gateway");
    }
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n"));
    let followed: usize = counts.values().map(|[followed, _]| followed).sum();
    assert!(followed > 0, "no case could be followed");
}

#[test]
fn recorded_tlv_is_read_and_written_again() {
    let Some(cases) = cases() else { return };
    let mut count = 0;
    for case in cases.iter().filter(|case| case.kind == "tlv") {
        let given = bytes(case.given.tlv_hex.as_deref().unwrap());
        let entries = tlv::parse(&given).unwrap();
        let expected = case.expect.tree.as_ref().unwrap();
        assert!(same_tree(&entries, expected), "{}: {entries:02x?}", case.name);
        let again = bytes(case.expect.reencoded_hex.as_deref().unwrap());
        assert_eq!(written(&entries), again, "{}", case.name);
        count += 1;
    }
    assert!(count > 0, "no case of TLV");
}

fn same_tree(entries: &[Entry<'_>], expected: &[Tree]) -> bool {
    let same = |(entry, expected): (&Entry<'_>, &Tree)| {
        let kind = match entry.kind {
            EntryKind::ObjectInstance => "object_instance",
            EntryKind::ResourceInstance => "resource_instance",
            EntryKind::MultipleResource => "multiple_resource",
            EntryKind::Resource => "resource",
        };
        let body = match (&entry.body, &expected.value_hex, &expected.children) {
            (Body::Value(value), Some(hex), None) => *value == bytes(hex),
            (Body::Entries(below), None, Some(children)) => same_tree(below, children),
            _ => false,
        };
        kind == expected.kind && entry.id == expected.id && body
    };
    entries.len() == expected.len() && entries.iter().zip(expected).all(same)
}

fn written(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        match &entry.body {
            Body::Value(value) => tlv::write(&mut out, entry.kind, entry.id, value),
            Body::Entries(below) => tlv::write(&mut out, entry.kind, entry.id, &written(below)),
        }
    }
    out
}

fn cases() -> Option<Vec<Case>> {
    let folder = std::env::var_os("TIDEGATE_SHARED").map(PathBuf::from);
    // emqx → plugins → repository → the folder it lies in
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let file = folder.join("spec/emqx-golden.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: {} is missing", file.display());
        return None;
    };
    let cases: Vec<Box<RawValue>> = serde_json::from_str(&text).expect("a list of cases");
    let wanted = cases.iter().filter(|case| {
        let outline: Outline = serde_json::from_str(case.get()).expect("a case has a kind");
        outline.kind == "tlv" || KINDS.contains(&outline.kind.as_str())
    });
    Some(
        wanted
            .map(|case| serde_json::from_str(case.get()).expect("a case as the specification has it"))
            .collect(),
    )
}

#[derive(Deserialize)]
struct Outline {
    kind: String,
}

/// What needs no clock, no second device and no HTTP.
const KINDS: [&str; 6] = ["register", "update", "deregister", "auto_observe", "command", "topic"];
