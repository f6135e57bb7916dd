//! Splits datagrams into records, and drives the two ends of an association by a script that is the fuzzer's input; checks
//! what must always hold.
//!
//! Shared by the fuzz targets and by `tests/record_fuzz_quick.rs`.

#![allow(dead_code)] // a target needs one half of it

use tidegate_dtls::record::content_type::{ALERT, CID};
use tidegate_dtls::record::{self, Aead, Header, Keys, RecordLayer, Refusal, Role};

/// Splits a datagram, whose first byte says how long connection IDs are. Returns the number of records.
pub(crate) fn split(input: &[u8]) -> usize {
    let Some((cid_length, datagram)) = input.split_first() else { return 0 };
    let cid_length = usize::from(*cid_length);
    let (mut end, mut count) = (0, 0);
    for range in record::split(datagram, cid_length) {
        assert_eq!(range.start, end, "one after the other");
        let record = &datagram[range.clone()];
        let header = Header::parse(record, cid_length).expect("a whole record has a header");
        assert_eq!(header.record_length(), record.len());
        assert_eq!(header.header_length, if record[0] == CID { 13 + cid_length } else { 13 });
        assert_eq!([header.content_type, header.version.to_be_bytes()[0]], record[..2]);
        let number = u64::from(header.epoch) << 48 | header.sequence;
        assert_eq!(number.to_be_bytes(), record[3..11]);
        (end, count) = (range.end, count + 1);
    }
    let rest = &datagram[end..];
    assert!(Header::parse(rest, cid_length).is_none_or(|header| header.record_length() > rest.len()));
    count
}

/// Runs a script to its end. Returns how many records were opened, were refused as replays, were refused as not authentic,
/// and were refused for their format; and how often the server was restored.
pub(crate) fn open(input: &[u8]) -> [u32; 5] {
    let mut script = Script { input };
    let Some([aead, cid]) = script.array() else { return [0; 5] };
    let aead = [Aead::Ccm8, Aead::Ccm, Aead::Gcm][usize::from(aead % 3)];
    let cid = [None, Some(&b""[..]), Some(b"c"), Some(b"01234567")][usize::from(cid % 4)];
    let layer = |role| {
        let keys = Keys::derive(aead, &[1; 48], &[2; 32], &[3; 32]);
        RecordLayer::new(role, keys, cid.map(Box::from), cid.map(Box::from))
    };
    let mut world = World {
        cid: cid.unwrap_or_default(),
        client: layer(Role::Client),
        server: layer(Role::Server),
        sent: Vec::new(),
        newest: None,
        failures: 0,
        seen: [0; 5],
    };
    while world.step(&mut script).is_some() {}
    world.seen
}

/// What is left of the input.
struct Script<'a> {
    input: &'a [u8],
}

impl<'a> Script<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.input.split_first_chunk()?;
        self.input = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// So many bytes, or as many as there are.
    fn take(&mut self, length: u8) -> &'a [u8] {
        let (taken, rest) = self.input.split_at(usize::from(length).min(self.input.len()));
        self.input = rest;
        taken
    }
}

/// A record that the client has sealed.
struct Sent {
    record: Vec<u8>,
    content_type: u8,
    content: Vec<u8>,
    opened: bool,
}

struct World {
    cid: &'static [u8],
    client: RecordLayer,
    server: RecordLayer,
    sent: Vec<Sent>,
    /// The highest number that was opened.
    newest: Option<usize>,
    failures: u32,
    seen: [u32; 5],
}

impl World {
    /// One step; none at the end of the script.
    fn step(&mut self, script: &mut Script<'_>) -> Option<()> {
        match script.byte()? % 10 {
            0 | 1 => self.send(script)?,
            2 | 3 => self.deliver(script.byte()?),
            4 => {
                let [which, at, change] = script.array()?;
                if let Some(mut record) = self.record(which) {
                    let at = usize::from(at) % record.len();
                    record[at] ^= change.max(1);
                    self.forged(record);
                }
            }
            5 => {
                let [which, length] = script.array()?;
                if let Some(mut record) = self.record(which) {
                    record.truncate(usize::from(length) % record.len());
                    self.forged(record);
                }
            }
            6 => {
                let length = script.byte()?;
                self.forged(script.take(length).to_vec());
            }
            7 => self.framed(script)?,
            8 => self.restore(),
            _ => {
                let length = script.byte()?;
                self.read(script.take(length));
            }
        }
        Some(())
    }

    fn send(&mut self, script: &mut Script<'_>) -> Option<()> {
        let [content_type, length] = script.array()?;
        let (content_type, content) = (20 + content_type % 4, script.take(length).to_vec());
        let mut record = Vec::new();
        self.client.seal(content_type, &content, &mut record).expect("there are numbers left");
        assert_eq!(record.len(), content.len() + self.client.overhead());
        self.sent.push(Sent { record, content_type, content, opened: false });
        Some(())
    }

    fn record(&self, which: u8) -> Option<Vec<u8>> {
        let which = usize::from(which).checked_rem(self.sent.len())?;
        Some(self.sent[which].record.clone())
    }

    /// The record comes as it was sent, perhaps not for the first time.
    fn deliver(&mut self, which: u8) {
        let Some(which) = usize::from(which).checked_rem(self.sent.len()) else { return };
        let sent = &mut self.sent[which];
        let old = self.newest.is_some_and(|newest| which + 64 <= newest);
        let mut record = sent.record.clone();
        match self.server.open(&mut record) {
            Ok(opened) => {
                assert!(!sent.opened && !old, "opened again");
                assert_eq!(
                    (opened.content_type, &record[opened.content]),
                    (sent.content_type, &sent.content[..])
                );
                assert_eq!(opened.newest, self.newest.is_none_or(|newest| newest < which));
                self.newest = self.newest.max(Some(which));
                sent.opened = true;
                self.seen[0] += 1;
            }
            Err(refusal) => {
                assert!(refusal == Refusal::Replay && (sent.opened || old), "{refusal}");
                self.seen[1] += 1;
            }
        }
    }

    /// Something comes that the client has not sent.
    fn forged(&mut self, mut record: Vec<u8>) {
        let refusal = self.server.open(&mut record).expect_err("a forgery is opened");
        match refusal {
            Refusal::Authentication => {
                self.failures += 1;
                self.seen[2] += 1;
            }
            Refusal::Format => self.seen[3] += 1,
            Refusal::Epoch | Refusal::Replay => {}
            other => panic!("{other}"),
        }
        assert_eq!(self.server.failures(), self.failures);
    }

    /// Bytes come that are a record to look at.
    fn framed(&mut self, script: &mut Script<'_>) -> Option<()> {
        let [sequence, length] = script.array()?;
        let body = script.take(length);
        let outer_type = if self.cid.is_empty() { ALERT } else { CID };
        let length = u16::try_from(body.len()).expect("less than 256").to_be_bytes();
        let number = (1_u64 << 48 | u64::from(sequence)).to_be_bytes();
        let record = [&[outer_type, 0xfe, 0xfd], &number[..], self.cid, &length, body].concat();
        assert_eq!(self.server.open_own(&record), None);
        self.forged(record);
        Some(())
    }

    /// The server goes on from a snapshot of itself.
    fn restore(&mut self) {
        let mut snapshot = Vec::new();
        let bound = self.server.write_to(0, &mut snapshot);
        let (mut restored, rest) = RecordLayer::read_from(&snapshot).expect("a snapshot");
        assert!(rest.is_empty());
        assert_eq!((restored.sequence(), restored.bound()), (bound, Some(bound)));
        let mut again = Vec::new();
        restored.write_to(0, &mut again);
        assert_eq!(snapshot, again);
        self.server = restored;
        self.seen[4] += 1;
    }

    /// Bytes are taken for a snapshot, behind the start of one.
    fn read(&mut self, bytes: &[u8]) {
        let mut snapshot = Vec::new();
        self.client.write_to(0, &mut snapshot);
        self.client.set_bound(None);
        let start = snapshot.len().saturating_sub(bytes.len());
        for bytes in [bytes.to_vec(), [&snapshot[..start], bytes].concat()] {
            if let Ok((mut read, rest)) = RecordLayer::read_from(&bytes) {
                let mut again = Vec::new();
                read.write_to(0, &mut again);
                assert_eq!(again, bytes[..bytes.len() - rest.len()]);
            }
        }
    }
}
