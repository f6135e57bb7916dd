//! A process that ends in the middle: the test binary runs itself as the gateway that is killed.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

/// Where the killed process has its store.
const FOLDER: &str = "TIDEGATE_TEST_STORE";
/// What it does before it is killed.
const WAITS: &str = "TIDEGATE_TEST_WAITS";
/// When it is killed: after so many batches were acknowledged.
const ENOUGH: u32 = 40;

#[test]
fn after_a_crash_exactly_what_was_acknowledged_is_there_when_nothing_else_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(crashed(folder.path(), true), (0..ENOUGH).collect::<Vec<_>>());
    let found = numbers(folder.path());
    assert_eq!(found, (0..ENOUGH).collect::<Vec<_>>());
}

#[test]
fn after_a_crash_what_was_not_acknowledged_is_there_up_to_some_batch_and_none_is_there_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = crashed(folder.path(), false);
    let found = numbers(folder.path());
    assert!(found.len() >= acknowledged.len() && acknowledged.len() == ENOUGH as usize);
    assert_eq!(found, (0..u32::try_from(found.len()).unwrap()).collect::<Vec<_>>());
}

/// Not a test of its own: what the others run in another process.
#[test]
#[ignore = "the others run it in a process of its own"]
fn gateway_that_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    let store = Store::open(&folder.join("data")).unwrap();
    for number in 0..10_000_u32 {
        let mut batch = Batch::new();
        batch.put(ASSOCIATIONS, number.to_be_bytes(), b"first".to_vec());
        batch.put(OTHER, number.to_be_bytes(), b"second".to_vec());
        let (folder, (done, is_done)) = (folder.clone(), mpsc::channel());
        batch.on_done(move |result| {
            result.unwrap();
            let mut file =
                OpenOptions::new().create(true).append(true).open(folder.join("acknowledged")).unwrap();
            file.write_all(&number.to_be_bytes()).unwrap();
            if number + 1 == ENOUGH {
                std::process::abort();
            }
            let _ = done.send(());
        });
        store.writer().write(batch).unwrap();
        if env::var_os(WAITS).is_some() {
            is_done.recv().unwrap();
        }
    }
}

/// Runs it in a process of its own, until it is killed. What was acknowledged before.
fn crashed(folder: &Path, waits: bool) -> Vec<u32> {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--nocapture", "store::tests::crash::gateway_that_is_killed"]);
    command.env(FOLDER, folder).stdout(Stdio::null()).stderr(Stdio::null());
    if waits {
        command.env(WAITS, "");
    }
    let status = command.status().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{status}");
    let bytes = fs::read(folder.join("acknowledged")).unwrap();
    bytes.chunks_exact(4).map(|number| u32::from_be_bytes(number.try_into().unwrap())).collect()
}

/// The numbers that are in both tables after it.
fn numbers(folder: &Path) -> Vec<u32> {
    let store = Store::open(&folder.join("data")).unwrap();
    let numbers = |table| -> Vec<u32> {
        let keys = entries(&store, table).into_keys();
        keys.map(|key| u32::from_be_bytes(key.as_slice().try_into().unwrap())).collect()
    };
    let (first, second) = (numbers(ASSOCIATIONS), numbers(OTHER));
    assert_eq!(first, second);
    first
}
