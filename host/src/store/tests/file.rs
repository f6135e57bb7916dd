//! The files: what they may be, and what is refused.

use super::*;

/// A folder with a store that holds one value.
fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    write(&store, put("one", "a secret value")).unwrap();
    store.close().unwrap();
    folder
}

/// What the store says of a folder that it refuses.
fn refusal(folder: &Path) -> StoreError {
    Store::open(folder).expect_err("it is refused")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn folder_and_files_are_for_their_owner_alone() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new/data");
    write(&Store::open(&folder).unwrap(), put("one", "1")).unwrap();
    assert_eq!(mode(&folder), 0o700);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, [KEY, DATABASE]);
    assert_eq!((mode(&folder.join(KEY)), mode(&folder.join(DATABASE))), (0o600, 0o600));
    assert_eq!(fs::read(folder.join(KEY)).unwrap().len(), 32);
}

#[test]
fn encrypted_values_are_not_in_the_file_and_plain_ones_are() {
    let folder = written();
    let store = Store::open(folder.path()).unwrap();
    let mut batch = Batch::new();
    batch.put(PLAIN, "key", b"for everybody".to_vec());
    write(&store, batch).unwrap();
    drop(store);
    let bytes = fs::read(folder.path().join(DATABASE)).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"for everybody") && has(b"one") && !has(b"a secret value"));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    for open in [0o640, 0o604, 0o620, 0o644, 0o666] {
        let folder = written();
        let key = folder.path().join(KEY);
        fs::set_permissions(&key, fs::Permissions::from_mode(open)).unwrap();
        let error = refusal(folder.path());
        assert!(
            matches!(&error, StoreError::KeyOpen { path, mode } if *path == key && *mode == open),
            "{error}"
        );
        assert!(
            error.to_string().contains(&format!("{}", key.display()))
                && error.to_string().contains("chmod 600")
        );
    }
}

#[test]
fn a_key_for_reading_only_is_taken() {
    let folder = written();
    fs::set_permissions(folder.path().join(KEY), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(entries(&Store::open(folder.path()).unwrap(), ASSOCIATIONS).len(), 1);
}

#[test]
fn a_key_of_another_length_is_refused() {
    for length in [0, 16, 31, 33, 64] {
        let folder = written();
        let key = folder.path().join(KEY);
        fs::write(&key, vec![1; length]).unwrap();
        let error = refusal(folder.path());
        assert!(matches!(&error, StoreError::NoKey { path, .. } if *path == key), "{error}");
        assert!(error.to_string().contains(&format!("{length} bytes")), "{error}");
    }
}

#[test]
fn a_folder_or_a_broken_link_in_place_of_the_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(KEY)).unwrap();
    assert!(matches!(refusal(folder.path()), StoreError::NoKey { .. }));
    fs::remove_dir(folder.path().join(KEY)).unwrap();
    std::os::unix::fs::symlink(folder.path().join("nowhere"), folder.path().join(KEY)).unwrap();
    assert!(matches!(refusal(folder.path()), StoreError::KeyFile { .. }));
}

#[test]
fn a_database_without_its_key_is_refused_and_no_key_is_made() {
    let folder = written();
    let key = folder.path().join(KEY);
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    for _ in 0..2 {
        let error = refusal(folder.path());
        assert!(matches!(&error, StoreError::KeyMissing { key: path, .. } if *path == key), "{error}");
        assert!(!key.exists());
    }
    fs::write(&key, bytes).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(entries(&Store::open(folder.path()).unwrap(), ASSOCIATIONS).len(), 1);
}

#[test]
fn a_database_with_another_key_is_refused() {
    let folder = written();
    fs::write(folder.path().join(KEY), [9; 32]).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(&error, StoreError::OtherKey { .. }), "{error}");
}

#[test]
fn a_key_without_a_database_serves_for_a_new_one() {
    let folder = written();
    let bytes = fs::read(folder.path().join(KEY)).unwrap();
    fs::remove_file(folder.path().join(DATABASE)).unwrap();
    assert!(entries(&Store::open(folder.path()).unwrap(), ASSOCIATIONS).is_empty());
    assert_eq!(fs::read(folder.path().join(KEY)).unwrap(), bytes);
}

#[test]
fn a_crash_at_the_first_start_leaves_nothing_that_is_refused() {
    // Half a key under its first name, and a database that was made but never written.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key.new"), [1; 7]).unwrap();
    drop(redb::Database::create(folder.path().join(DATABASE)).unwrap());
    let store = Store::open(folder.path()).unwrap();
    write(&store, put("one", "1")).unwrap();
    assert!(!folder.path().join("key.new").exists());
}

#[test]
fn a_second_gateway_on_the_folder_is_refused_until_the_first_is_gone() {
    let folder = written();
    let store = Store::open(folder.path()).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(&error, StoreError::InUse { .. }), "{error}");
    write(&store, put("two", "2")).unwrap();
    drop(store);
    assert_eq!(entries(&Store::open(folder.path()).unwrap(), ASSOCIATIONS).len(), 2);
}

#[test]
fn a_truncated_or_emptied_file_is_set_aside_as_it_is_and_an_empty_one_begins() {
    let folder = written();
    let path = folder.path().join(DATABASE);
    let bytes = fs::read(&path).unwrap();
    let halves = [1, 100, 512, bytes.len() / 2, bytes.len() - 4096].map(|length| bytes[..length].to_vec());
    for damaged in halves.into_iter().chain([vec![0; bytes.len()], b"[not a database]".to_vec()]) {
        fs::write(&path, &damaged).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let aside = store.set_aside().unwrap().to_owned();
        let name = aside.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("tidegate.redb.damaged-"), "{name}");
        assert_eq!(fs::read(&aside).unwrap(), damaged);
        assert_eq!(entries(&store, ASSOCIATIONS), texts(&[]));
        write(&store, put("two", "2")).unwrap();
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(entries(&store, ASSOCIATIONS), texts(&[("two", "2")]));
        assert_eq!(store.set_aside(), None);
        drop(store);
        fs::remove_file(aside).unwrap();
    }
}

/// It is the operator who has to put the key back: nothing is damaged.
#[test]
fn a_key_that_is_wrong_sets_nothing_aside() {
    let folder = written();
    fs::write(folder.path().join(KEY), [7; 32]).unwrap();
    assert!(matches!(refusal(folder.path()), StoreError::OtherKey { .. }));
    fs::remove_file(folder.path().join(KEY)).unwrap();
    assert!(matches!(refusal(folder.path()), StoreError::KeyMissing { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the database");
}

#[test]
fn a_database_of_another_program_or_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    let write_row = |table: &str, key: &[u8], value: &[u8]| {
        let redb = redb::Database::create(&path).unwrap();
        let transaction = redb.begin_write().unwrap();
        let definition: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new(table);
        transaction.open_table(definition).unwrap().insert(key, value).unwrap();
        transaction.commit().unwrap();
    };
    write_row("theirs", b"key", b"value");
    assert!(matches!(refusal(folder.path()), StoreError::Foreign { .. }));
    assert!(!folder.path().join(KEY).exists());
    write_row("tidegate:mark", b"format", &[2]);
    let error = refusal(folder.path());
    assert!(matches!(error, StoreError::Later { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn no_flipped_byte_brings_other_values() {
    // Most bytes of the file belong to no page in use: redb need not notice those. What it lets pass must be right.
    let folder = written();
    let path = folder.path().join(DATABASE);
    let bytes = fs::read(&path).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut refused = 0;
    for at in used.iter().copied().step_by(used.len() / 60) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        let store = Store::open(folder.path()).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let found = entries(&store, ASSOCIATIONS);
        if let Some(aside) = store.set_aside() {
            refused += 1;
            assert_eq!(found, texts(&[]), "byte {at}");
            fs::remove_file(aside).unwrap();
        } else {
            assert_eq!(found, texts(&[("one", "a secret value")]), "byte {at}");
        }
    }
    assert!(refused > 0);
}

#[test]
fn values_that_were_swapped_are_reported_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut batch = Batch::new();
    for key in ["a", "b", "c"] {
        batch.put(ASSOCIATIONS, key, key.as_bytes().to_vec());
    }
    batch.put(OTHER, "d", b"d".to_vec());
    write(&store, batch).unwrap();
    drop(store);
    let redb = redb::Database::create(folder.path().join(DATABASE)).unwrap();
    let transaction = redb.begin_write().unwrap();
    {
        let table = |name| -> redb::TableDefinition<'static, &'static [u8], &'static [u8]> {
            redb::TableDefinition::new(name)
        };
        let mut rows = transaction.open_table(table("associations")).unwrap();
        let other = transaction.open_table(table("other")).unwrap();
        let value =
            |key: &str| redb::ReadableTable::get(&rows, key.as_bytes()).unwrap().unwrap().value().to_vec();
        let (a, b) = (value("a"), value("b"));
        let d = redb::ReadableTable::get(&other, b"d".as_slice()).unwrap().unwrap().value().to_vec();
        for (key, value) in [("a", b.as_slice()), ("b", &a), ("d", &d), ("e", b"short")] {
            rows.insert(key.as_bytes(), value).unwrap();
        }
    }
    transaction.commit().unwrap();
    drop(redb);
    let contents = Store::open(folder.path()).unwrap().read(ASSOCIATIONS).unwrap();
    assert_eq!(contents.entries, [(b"c".to_vec(), b"c".to_vec().into())]);
    let of = |key: &str, reason| (key.as_bytes().to_vec(), reason);
    let swapped = ["a", "b", "d"].map(|key| of(key, Unreadable::Authentication));
    assert_eq!(contents.unreadable, [&swapped[..], &[of("e", Unreadable::Format)]].concat());
}
