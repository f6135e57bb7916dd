//! What the store promises, with real files and with a disk that fails and crashes when it is told to.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;

use super::*;

mod crash;
mod disk;
mod file;
mod model;
mod queue;

const PLAIN: Table = Table::plain("plain");
const OTHER: Table = Table::encrypted("other");

/// A batch that writes one value.
fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(ASSOCIATIONS, key, value.as_bytes().to_vec());
    batch
}

/// Hands it over and waits until it is durable.
fn write(store: &Store, mut batch: Batch) -> Result<(), Abandoned> {
    let (done, is_done) = mpsc::channel();
    batch.on_done(move |result| done.send(result).unwrap());
    store.writer().write(batch).unwrap();
    is_done.recv().unwrap()
}

/// Holds the writer's thread until what is returned is dropped.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, is_released) = mpsc::channel::<()>();
    let (held, is_held) = mpsc::channel();
    let mut batch = Batch::new();
    batch.on_done(move |_| {
        held.send(()).unwrap();
        let _ = is_released.recv();
    });
    store.writer().write(batch).unwrap();
    is_held.recv().unwrap();
    release
}

/// All of a table; every entry can be read.
fn entries(store: &Store, table: Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let contents = store.read(table).unwrap();
    assert_eq!(contents.unreadable, []);
    contents.entries.into_iter().map(|(key, value)| (key, value.to_vec())).collect()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}
