//! The writer and its queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn ten_thousand_changes_that_wait_cost_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let release = hold(&store);
    let before = store.counters();
    for number in 0..10_000_u32 {
        let mut batch = Batch::new();
        batch.put(ASSOCIATIONS, number.to_be_bytes(), vec![1; 100]);
        store.writer().write(batch).unwrap();
    }
    assert_eq!(store.counters().queued, 10_000);
    assert_eq!(store.counters().queued_bytes, 10_000 * 104);
    drop(release);
    write(&store, Batch::new()).unwrap();
    let after = store.counters();
    assert_eq!((after.queued, after.queued_bytes, after.failures), (0, 0, 0));
    assert_eq!(after.changes - before.changes, 10_000);
    // One for all of them, and the last, empty batch may have come too late for it.
    assert!(after.commits - before.commits <= 2, "{} commits", after.commits - before.commits);
    assert_eq!(entries(&store, ASSOCIATIONS).len(), 10_000);
}

#[test]
fn a_full_queue_gives_the_batch_back_whole_and_later_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Limits { changes: 2, bytes: 100 }).unwrap();
    let release = hold(&store);
    store.writer().write(put("one", "1")).unwrap();
    let (mut two, (done, is_done)) = (put("two", "2"), mpsc::channel());
    two.on_done(move |result| done.send(result).unwrap());
    store.writer().write(two).unwrap();
    let back = store.writer().write(put("three", "3")).unwrap_err();
    assert_eq!(store.counters().queued, 2);
    drop(release);
    is_done.recv().unwrap().unwrap();
    write(&store, back).unwrap();
    assert_eq!(entries(&store, ASSOCIATIONS), texts(&[("one", "1"), ("two", "2"), ("three", "3")]));
}

#[test]
fn bytes_are_limited_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Limits { changes: 100, bytes: 8 }).unwrap();
    let release = hold(&store);
    store.writer().write(put("one", "12345")).unwrap();
    let changes = store.writer().write(put("k", "")).unwrap_err().into_changes();
    let value = Some(Vec::new().into());
    assert_eq!(changes, [Change { table: ASSOCIATIONS, key: b"k".to_vec(), value }]);
    drop(release);
}

#[test]
fn a_batch_beyond_the_limits_is_taken_when_nothing_else_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Limits { changes: 1, bytes: 8 }).unwrap();
    let mut batch = put("one", "a value beyond the limit");
    batch.put(ASSOCIATIONS, "two", b"2".to_vec());
    write(&store, batch).unwrap();
    assert_eq!(entries(&store, ASSOCIATIONS).len(), 2);
}

#[test]
fn batches_that_change_nothing_are_bounded_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Limits { changes: 3, bytes: 8 }).unwrap();
    let release = hold(&store);
    let taken = (0..10).filter(|_| store.writer().write(Batch::new()).is_ok()).count();
    assert_eq!(taken, 3);
    drop(release);
}

#[test]
fn changes_of_one_key_keep_their_order_within_a_batch_and_across_batches() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let release = hold(&store);
    let mut batch = put("within", "old");
    batch.put(ASSOCIATIONS, "within", b"new".to_vec());
    batch.put(ASSOCIATIONS, "removed", b"x".to_vec());
    batch.remove(ASSOCIATIONS, "removed");
    batch.remove(ASSOCIATIONS, "returned");
    batch.put(ASSOCIATIONS, "returned", b"x".to_vec());
    store.writer().write(batch).unwrap();
    for value in ["1", "2", "3"] {
        store.writer().write(put("across", value)).unwrap();
    }
    drop(release);
    write(&store, put("across", "4")).unwrap();
    let expected = texts(&[("within", "new"), ("returned", "x"), ("across", "4")]);
    assert_eq!(entries(&store, ASSOCIATIONS), expected);
}

#[test]
fn closing_writes_what_waits_tells_everybody_and_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (writer, told) = (store.writer(), Arc::new(AtomicUsize::new(0)));
    let release = hold(&store);
    for number in 0..100 {
        let (mut batch, told) = (put(&number.to_string(), "x"), Arc::clone(&told));
        batch.on_done(move |result| {
            result.unwrap();
            told.fetch_add(1, Ordering::Relaxed);
        });
        writer.write(batch).unwrap();
    }
    drop(release);
    store.close().unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 100);
    assert_eq!(writer.write(put("late", "x")).unwrap_err().len(), 1);
    assert_eq!(entries(&Store::open(folder.path()).unwrap(), ASSOCIATIONS).len(), 100);
}

#[test]
fn whoever_is_told_may_write_more_and_one_that_panics_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Limits { changes: 1, bytes: 100 }).unwrap();
    let (writer, (done, is_done)) = (store.writer(), mpsc::channel());
    let mut batch = put("one", "1");
    batch.on_done(move |_| {
        let mut more = put("two", "2");
        more.on_done(move |result| done.send(result).unwrap());
        writer.write(more).unwrap();
        panic!("this one is the test's");
    });
    store.writer().write(batch).unwrap();
    is_done.recv().unwrap().unwrap();
    assert_eq!(entries(&store, ASSOCIATIONS), texts(&[("one", "1"), ("two", "2")]));
}
