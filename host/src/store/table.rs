//! Tables, and what is changed in them: what whoever keeps something in the [store](super) works with.

use std::fmt;

use zeroize::Zeroizing;

use super::writer::Abandoned;

/// A table of the store: bytes by bytes. Whoever uses it declares it as a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    name: &'static str,
    encrypted: bool,
}

/// The DTLS associations: by the association's eight bytes what `tidegate_dtls` wrote down of it.
pub const ASSOCIATIONS: Table = Table::encrypted("associations");

/// The clients: by endpoint name what `tidegate_proto::lwm2m::server` wrote down of it.
pub const CLIENTS: Table = Table::encrypted("clients");

/// The events that translators have not been able to take (`on-fault = "hold"`): what the bridge wrote down of each.
pub const HELD: Table = Table::encrypted("held");

/// The clients that could not be read when the gateway started, as they were in [`CLIENTS`].
pub const UNREADABLE_CLIENTS: Table = Table::encrypted("unreadable-clients");

impl Table {
    /// A table whose values are encrypted; its keys are not.
    ///
    /// # Panics
    /// At compile time, for a name that is no word of lower-case letters and hyphens.
    pub const fn encrypted(name: &'static str) -> Self {
        Self { name: checked(name), encrypted: true }
    }

    /// A table of what is no secret.
    ///
    /// # Panics
    /// At compile time, for a name that is no word of lower-case letters and hyphens.
    pub const fn plain(name: &'static str) -> Self {
        Self { name: checked(name), encrypted: false }
    }

    /// What it is called in the database.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its values are encrypted.
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }
}

/// One change of one entry.
#[derive(PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub table: Table,
    /// The entry's key.
    pub key: Vec<u8>,
    /// Its new value, or none when it is removed. Wiped when it is written.
    pub value: Option<Zeroizing<Vec<u8>>>,
}

/// Changes that become durable together, in their order: after a crash there are all of them or none.
#[derive(Default)]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
    done: Option<Done>,
}

/// What is told how a batch ended.
pub(super) type Done = Box<dyn FnOnce(Result<(), Abandoned>) + Send>;

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Write an entry, over the one that is there.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Zeroizing<Vec<u8>>>) {
        self.push(Change { table, key: key.into(), value: Some(value.into()) });
    }

    /// Remove an entry. It need not be there.
    pub fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.push(Change { table, key: key.into(), value: None });
    }

    /// Call this once, on the writer's thread: after the changes are durable, or with the reason why they never will be.
    /// It may block, and then all writing waits; it may write more; it must not close the store. One call for each batch:
    /// the last one given counts.
    pub fn on_done(&mut self, done: impl FnOnce(Result<(), Abandoned>) + Send + 'static) {
        self.done = Some(Box::new(done));
    }

    /// How many changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes, for whoever got the batch back and wants to put it together anew. What was to be called is dropped.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The bytes of its keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_done(self) -> Option<Done> {
        self.done
    }

    fn push(&mut self, change: Change) {
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, |value| value.len());
        self.changes.push(change);
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_ref().map(|value| value.len());
        formatter
            .debug_struct("Change")
            .field("table", &self.table.name)
            .field("key", &self.key)
            .field("value_length", &value)
            .finish()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Batch").field("changes", &self.changes).finish_non_exhaustive()
    }
}

/// The name, which ends where associated data goes on with a key: it must not hold a NUL.
const fn checked(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty() && bytes.len() <= 64, "a table's name has 1 to 64 letters");
    let mut index = 0;
    while index < bytes.len() {
        assert!(bytes[index].is_ascii_lowercase() || bytes[index] == b'-', "a table's name is a word");
        index += 1;
    }
    name
}
