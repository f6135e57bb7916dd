//! Over restarts and crashes no nonce is used twice, and what is kept can be read by whoever wrote it, and only by them.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these functions belong to them

use std::collections::HashSet;

use proptest::prelude::*;
use tidegate_dtls::record::content_type::{ALERT, APPLICATION_DATA};
use tidegate_dtls::record::{Aead, Header, Keys, RecordLayer, Refusal, Role, SealError, Unreadable};

const AEADS: [Aead; 3] = [Aead::Ccm8, Aead::Ccm, Aead::Gcm];
const LAST_NUMBER: u64 = (1 << 48) - 1;

fn layer(role: Role, aead: Aead, receive: Option<&[u8]>, send: Option<&[u8]>) -> RecordLayer {
    let keys = Keys::derive(aead, &[1; 48], &[2; 32], &[3; 32]);
    RecordLayer::new(role, keys, receive.map(Box::from), send.map(Box::from))
}

fn server(aead: Aead) -> RecordLayer {
    layer(Role::Server, aead, Some(b"01234567"), Some(b"conn "))
}

fn client(aead: Aead) -> RecordLayer {
    layer(Role::Client, aead, Some(b"conn "), Some(b"01234567"))
}

fn sealed(layer: &mut RecordLayer) -> Result<Vec<u8>, SealError> {
    let mut datagram = Vec::new();
    layer.seal(APPLICATION_DATA, b"hello", &mut datagram).map(|()| datagram)
}

fn snapshot(layer: &mut RecordLayer, bound: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    layer.write_to(bound, &mut bytes);
    bytes
}

fn restored(snapshot: &[u8]) -> RecordLayer {
    let (layer, rest) = RecordLayer::read_from(snapshot).unwrap();
    assert_eq!(rest, b"");
    layer
}

fn is_beyond_bound(layer: &mut RecordLayer) -> bool {
    matches!(sealed(layer), Err(SealError::BeyondBound))
}

#[test]
fn a_restored_layer_opens_what_is_new_and_refuses_what_had_come() {
    for aead in AEADS {
        let (mut client, mut before) = (client(aead), server(aead));
        let records: Vec<_> = (0..10).map(|_| sealed(&mut client).unwrap()).collect();
        for number in [0, 3, 7] {
            before.open(&mut records[number].clone()).unwrap();
        }
        let mut forged = records[8].clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(before.open(&mut forged), Err(Refusal::Authentication));

        let mut after = restored(&snapshot(&mut before, 1));
        assert_eq!(after.failures(), 1);
        assert_eq!((after.receive_cid(), after.send_cid()), (Some(&b"01234567"[..]), Some(&b"conn "[..])));
        for number in [0, 3, 7] {
            assert_eq!(after.open(&mut records[number].clone()), Err(Refusal::Replay));
        }
        for (number, newest) in [(6, false), (9, true), (8, false)] {
            assert_eq!(after.open(&mut records[number].clone()).unwrap().newest, newest);
        }
    }
}

#[test]
fn a_restored_layer_sends_from_its_bound_on_once_a_higher_one_is_kept() {
    for aead in AEADS {
        let (mut client, mut before) = (client(aead), server(aead));
        sealed(&mut before).unwrap();
        let kept = snapshot(&mut before, 100);
        sealed(&mut before).unwrap();

        let mut after = restored(&kept);
        assert_eq!((after.sequence(), after.bound()), (100, Some(100)));
        assert!(is_beyond_bound(&mut after));
        let _ = snapshot(&mut after, 200);
        assert!(is_beyond_bound(&mut after), "it has not been written yet");
        after.set_bound(Some(200));
        let mut datagram = sealed(&mut after).unwrap();
        assert_eq!(client.open(&mut datagram).unwrap().sequence, 100);
    }
}

#[test]
fn a_snapshot_is_a_bound_for_whoever_wrote_it() {
    let mut layer = server(Aead::Gcm);
    assert_eq!(layer.bound(), None);
    let first = snapshot(&mut layer, 2);
    assert_eq!(layer.bound(), Some(2));
    sealed(&mut layer).unwrap();
    sealed(&mut layer).unwrap();
    assert!(is_beyond_bound(&mut layer));
    // Another does not raise it before it is known to be written.
    let second = snapshot(&mut layer, 4);
    assert!(is_beyond_bound(&mut layer));
    assert_eq!(restored(&first).sequence(), 2);
    assert_eq!(restored(&second).sequence(), 4);
    layer.set_bound(None);
    assert_eq!(layer.bound(), None);
    sealed(&mut layer).unwrap();
}

#[test]
fn a_bound_below_what_may_have_been_used_is_raised() {
    let mut layer = server(Aead::Ccm8);
    for _ in 0..5 {
        sealed(&mut layer).unwrap();
    }
    assert_eq!(restored(&snapshot(&mut layer, 0)).sequence(), 5);
    assert_eq!(restored(&snapshot(&mut layer, 50)).sequence(), 50);
    assert_eq!(restored(&snapshot(&mut layer, 7)).sequence(), 50);
    assert_eq!(restored(&snapshot(&mut layer, u64::MAX)).sequence(), LAST_NUMBER);
}

#[test]
fn a_bound_that_no_snapshot_has_is_not_taken_over() {
    let mut layer = server(Aead::Gcm);
    layer.set_bound(Some(5));
    assert_eq!(layer.bound(), Some(5));
    let _ = snapshot(&mut layer, 7);
    assert_eq!(layer.bound(), Some(5));
    layer.set_bound(Some(8));
    assert_eq!(layer.bound(), Some(7));
    let mut after = restored(&snapshot(&mut layer, 0));
    after.set_bound(Some(100));
    assert_eq!((after.sequence(), after.bound()), (7, Some(7)));
}

#[test]
fn a_layer_restored_at_the_last_number_sends_nothing_more() {
    let mut layer = restored(&snapshot(&mut server(Aead::Gcm), u64::MAX));
    for bound in [Some(LAST_NUMBER), Some(u64::MAX - 1), None] {
        layer.set_bound(bound);
        assert!(matches!(sealed(&mut layer), Err(SealError::Exhausted)));
    }
}

#[test]
fn a_snapshot_that_is_cut_is_unreadable_and_one_with_more_behind_it_is_not() {
    let cids = [None, Some(&b""[..]), Some(b"c"), Some(&[7; 255])];
    for (receive, send) in cids.into_iter().flat_map(|receive| cids.map(|send| (receive, send))) {
        for (aead, role) in AEADS.into_iter().flat_map(|aead| [(aead, Role::Client), (aead, Role::Server)]) {
            let whole = snapshot(&mut layer(role, aead, receive, send), 9);
            for length in 0..whole.len() {
                assert_eq!(RecordLayer::read_from(&whole[..length]).err(), Some(Unreadable));
            }
            let more = [&whole[..], b"more"].concat();
            let (mut read, rest) = RecordLayer::read_from(&more).unwrap();
            assert_eq!(rest, b"more");
            assert_eq!((read.receive_cid(), read.send_cid()), (receive, send));
            assert_eq!(snapshot(&mut read, 0), whole);
        }
    }
}

#[test]
fn a_snapshot_of_another_version_is_unreadable() {
    let mut other = snapshot(&mut server(Aead::Gcm), 9);
    other[0] += 1;
    assert_eq!(RecordLayer::read_from(&other).err(), Some(Unreadable));
}

/// What can happen to an association in the gateway.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Records are sent, as far as it may.
    Send(u8),
    /// A snapshot with this many numbers in reserve is handed to the store.
    Keep(u8),
    /// The store has written the snapshot that it has had longest.
    Write,
    /// The store has written it, and the association hears of it.
    WriteAndTell,
    /// The association hears what has been written last.
    Tell,
    /// The process ends, and another goes on from what has been written.
    Crash,
    /// The process is stopped: what it hands over last is written.
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..40).prop_map(Step::Send),
        4 => (0_u8..60).prop_map(Step::Keep),
        2 => Just(Step::Write),
        3 => Just(Step::WriteAndTell),
        2 => Just(Step::Tell),
        2 => Just(Step::Crash),
        1 => Just(Step::Stop),
    ]
}

/// An association, and the store that keeps it.
struct World {
    layer: RecordLayer,
    handed_over: Vec<(Vec<u8>, u64)>,
    written: Option<(Vec<u8>, u64)>,
    nonces: HashSet<Vec<u8>>,
}

impl World {
    fn run(&mut self, step: Step) {
        match step {
            Step::Send(records) => {
                for _ in 0..records {
                    match sealed(&mut self.layer) {
                        Ok(datagram) => self.note(&datagram),
                        Err(SealError::BeyondBound) => return,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            Step::Keep(reserve) => {
                let mut bytes = Vec::new();
                let bound = self.layer.write_to(self.layer.sequence() + u64::from(reserve), &mut bytes);
                self.handed_over.push((bytes, bound));
            }
            Step::Write => {
                if !self.handed_over.is_empty() {
                    self.written = Some(self.handed_over.remove(0));
                }
            }
            Step::WriteAndTell => {
                self.run(Step::Write);
                self.run(Step::Tell);
            }
            Step::Tell => {
                if let Some((_, bound)) = &self.written {
                    self.layer.set_bound(Some(*bound));
                }
            }
            Step::Crash => {
                self.handed_over.clear();
                // Before the first one is written there is nothing to go on from; the keys are gone for good.
                if let Some((snapshot, _)) = &self.written {
                    self.layer = restored(snapshot);
                }
            }
            Step::Stop => {
                let bound = self.layer.sequence();
                self.written = Some((snapshot(&mut self.layer, bound), bound));
                self.run(Step::Crash);
            }
        }
    }

    /// The nonce, as it is on the wire, has not been there before; and it is what the header says.
    fn note(&mut self, datagram: &[u8]) {
        let header = Header::parse(datagram, 5).unwrap();
        let nonce = datagram[header.header_length..header.header_length + 8].to_vec();
        assert_eq!(nonce, (1_u64 << 48 | header.sequence).to_be_bytes());
        assert!(self.nonces.insert(nonce), "{} again", header.sequence);
    }
}

proptest! {
    #[test]
    fn no_nonce_is_used_twice_whatever_happens(
        aead in prop::sample::select(&AEADS),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world =
            World { layer: server(aead), handed_over: Vec::new(), written: None, nonces: HashSet::new() };
        for step in steps {
            world.run(step);
        }
        // And it still can go on.
        world.run(Step::Keep(1));
        world.handed_over.drain(..world.handed_over.len() - 1);
        world.run(Step::WriteAndTell);
        let before = world.nonces.len();
        world.run(Step::Send(1));
        prop_assert_eq!(world.nonces.len(), before + 1);
    }

    #[test]
    fn a_snapshot_that_was_changed_is_unreadable_or_another_one(
        aead in prop::sample::select(&AEADS),
        changes in prop::collection::vec((0_usize..110, any::<u8>()), 1..6),
        numbers in prop::collection::vec(0_u64..90, 0..20),
    ) {
        let (mut client, mut layer) = (client(aead), server(aead));
        let records: Vec<_> = (0..90).map(|_| sealed(&mut client).unwrap()).collect();
        for number in numbers {
            let _ = layer.open(&mut records[usize::try_from(number).unwrap()].clone());
        }
        let mut bytes = snapshot(&mut layer, 9);
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok((mut read, rest)) = RecordLayer::read_from(&bytes) {
            let mut again = snapshot(&mut read, 0);
            again.extend_from_slice(rest);
            prop_assert_eq!(&again, &bytes);
            // Whatever it is, it works.
            read.set_bound(None);
            let mut datagram = Vec::new();
            let _ = read.seal(ALERT, &[1, 0], &mut datagram);
            let _ = read.open(&mut records[5].clone());
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_snapshot_or_a_whole_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((mut read, rest)) = RecordLayer::read_from(&bytes) {
            prop_assert_eq!(snapshot(&mut read, 0), &bytes[..bytes.len() - rest.len()]);
        }
    }
}
