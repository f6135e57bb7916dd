//! A disk that fails when it is told to, and that keeps only what was synced when it loses its power.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::*;

/// What is written, what of it is durable, and whether writing works.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    written: Vec<u8>,
    durable: Vec<u8>,
    is_full: bool,
    /// Called once at the next refused write.
    refused: Option<mpsc::Sender<()>>,
}

impl Disk {
    /// A disk that has what another would have after its power was cut.
    fn after_power_cut(&self) -> Self {
        let durable = self.0.lock().unwrap().durable.clone();
        Self(Arc::new(Mutex::new(Platters { written: durable.clone(), durable, ..Platters::default() })))
    }

    /// From now on nothing can be written. What is returned hears of the first attempt.
    fn fill(&self) -> mpsc::Receiver<()> {
        let (refused, is_refused) = mpsc::channel();
        let mut platters = self.0.lock().unwrap();
        (platters.is_full, platters.refused) = (true, Some(refused));
        is_refused
    }

    fn free(&self) {
        self.0.lock().unwrap().is_full = false;
    }

    /// A store on it, with its key in a folder.
    fn open(&self, folder: &Path) -> Store {
        self.try_open(folder).unwrap()
    }

    fn try_open(&self, folder: &Path) -> Result<Store, StoreError> {
        let disk = self.clone();
        Store::start(
            folder,
            Limits::default(),
            Box::new(move |builder| builder.create_with_backend(disk.clone())),
        )
    }

    fn change(&self, change: impl FnOnce(&mut Platters)) -> io::Result<()> {
        let mut platters = self.0.lock().unwrap();
        if platters.is_full {
            if let Some(refused) = platters.refused.take() {
                let _ = refused.send(());
            }
            return Err(io::ErrorKind::StorageFull.into());
        }
        change(&mut platters);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let platters = self.0.lock().unwrap();
        let bytes = platters.written.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(|platters| platters.written.resize(usize::try_from(length).unwrap(), 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|platters| platters.durable = platters.written.clone())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.change(|platters| platters.written[offset..offset + data.len()].copy_from_slice(data))
    }
}

#[test]
fn done_is_called_when_a_power_cut_would_lose_nothing_of_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = disk.open(folder.path());
    for round in 0..20 {
        let (mut batch, (done, is_done)) = (put(&round.to_string(), "x"), mpsc::channel());
        let writing = disk.clone();
        batch.on_done(move |result| done.send((result, writing.after_power_cut())).unwrap());
        store.writer().write(batch).unwrap();
        let (result, after) = is_done.recv().unwrap();
        assert_eq!(result, Ok(()));
        assert_eq!(entries(&after.open(folder.path()), ASSOCIATIONS).len(), round + 1);
    }
}

/// Older bounds of record numbers would make nonces repeat.
#[test]
fn a_damaged_commit_is_refused_and_not_given_up_for_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = disk.open(folder.path());
    write(&store, put("one", "the value before")).unwrap();
    write(&store, put("one", "the value")).unwrap();
    let durable = disk.0.lock().unwrap().durable.clone();
    let used: Vec<usize> = (64..durable.len()).filter(|at| durable[*at] != 0).collect();
    let mut refused = 0;
    for at in used.iter().copied().step_by(used.len() / 150) {
        let damaged = disk.after_power_cut();
        damaged.0.lock().unwrap().written[at] ^= 0x55;
        match damaged.try_open(folder.path()) {
            Err(StoreError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
            Ok(store) => {
                assert_eq!(entries(&store, ASSOCIATIONS), texts(&[("one", "the value")]), "byte {at}")
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn what_a_full_disk_refuses_is_written_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = disk.open(folder.path());
    write(&store, put("before", "1")).unwrap();
    let is_refused = disk.fill();
    let (mut batch, (done, is_done)) = (put("during", "2"), mpsc::channel());
    batch.on_done(move |result| done.send(result).unwrap());
    store.writer().write(batch).unwrap();
    is_refused.recv().unwrap();
    store.writer().write(put("waiting", "3")).unwrap();
    assert!(is_done.try_recv().is_err());
    disk.free();
    is_done.recv().unwrap().unwrap();
    write(&store, put("after", "4")).unwrap();
    let counters = store.counters();
    assert!(counters.failures > 0 && !counters.is_failing && counters.queued == 0, "{counters:?}");
    assert_eq!(entries(&store, ASSOCIATIONS).len(), 4);
    drop(store);
    assert_eq!(entries(&disk.open(folder.path()), ASSOCIATIONS).len(), 4);
}

#[test]
fn closing_on_a_full_disk_says_what_is_lost_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = disk.open(folder.path());
    write(&store, put("before", "1")).unwrap();
    let is_refused = disk.fill();
    let (mut batch, (done, is_done)) = (put("one", "1"), mpsc::channel());
    batch.put(ASSOCIATIONS, "two", b"2".to_vec());
    batch.on_done(move |result| done.send(result).unwrap());
    store.writer().write(batch).unwrap();
    is_refused.recv().unwrap();
    store.writer().write(put("three", "3")).unwrap();
    assert_eq!(store.close(), Err(Lost { changes: 3 }));
    let reason = is_done.recv().unwrap().unwrap_err().reason;
    assert!(reason.contains(DATABASE), "{reason}");
    disk.free();
    assert_eq!(entries(&disk.open(folder.path()), ASSOCIATIONS), texts(&[("before", "1")]));
}

#[test]
fn another_database_in_its_place_is_not_written_to_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = disk.open(folder.path());
    let is_refused = disk.fill();
    store.writer().write(put("one", "1")).unwrap();
    is_refused.recv().unwrap();
    *disk.0.lock().unwrap() = Platters::default();
    assert_eq!(store.close(), Err(Lost { changes: 1 }));
}
