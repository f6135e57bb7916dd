use super::*;

#[test]
fn what_was_written_is_there_after_closing_and_opening() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut batch = Batch::new();
    batch.put(ASSOCIATIONS, *b"one", b"first".to_vec());
    batch.put(ASSOCIATIONS, *b"two", b"second".to_vec());
    batch.remove(ASSOCIATIONS, *b"one");
    store.writer().write(batch).unwrap();
    store.close().unwrap();
    let contents = Store::open(folder.path()).unwrap().read(ASSOCIATIONS).unwrap();
    assert_eq!(contents.entries, [(b"two".to_vec(), b"second".to_vec().into())]);
    assert_eq!(contents.unreadable, []);
}
