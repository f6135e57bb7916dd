use std::time::Instant;

use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::{Entropy, Peer};
use tidegate_proto::lwm2m::operation::Operation;
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::server::{Event, Output, Request, Server, Settlement};

use super::*;

fn changes(turn: u64, of: &[(&str, Option<&[u8]>)]) -> Changes {
    let change = |(endpoint, state): &(&str, Option<&[u8]>)| Change {
        endpoint: (*endpoint).into(),
        state: state.map(<[u8]>::to_vec),
    };
    Changes { turn, is_awaited: true, changes: of.iter().map(change).collect() }
}

fn keeper(store: &Store) -> (StoreKeeper, tokio::sync::mpsc::Receiver<Command>) {
    let (shard, commands) = ShardHandle::new();
    (StoreKeeper { writer: store.writer(), shard }, commands)
}

#[test]
fn a_shard_is_told_when_its_clients_are_durable() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (mut keeper, mut commands) = keeper(&store);
    keeper.keep(changes(3, &[("a", Some(b"one")), ("b", Some(b"two"))])).unwrap();
    let Some(Command::ClientsKept(3)) = commands.blocking_recv() else { panic!("nothing is told") };
    keeper.keep(changes(4, &[("a", None)])).unwrap();
    let Some(Command::ClientsKept(4)) = commands.blocking_recv() else { panic!("nothing is told") };
    let contents = store.read(CLIENTS).unwrap();
    let [(key, value)] = &contents.entries[..] else { panic!("{contents:?}") };
    assert_eq!((key.as_slice(), value.as_slice()), (b"b".as_slice(), b"two".as_slice()));
    assert!(!keeper.is_failing());
}

#[test]
fn what_the_store_does_not_take_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (mut keeper, _commands) = keeper(&store);
    store.close().unwrap();
    let returned = keeper.keep(changes(3, &[("a", Some(b"one")), ("b", None)])).unwrap_err();
    let expected = changes(3, &[("a", Some(b"one")), ("b", None)]);
    assert_eq!((returned.turn, returned.is_awaited), (3, true));
    assert_eq!(returned.changes, expected.changes);
}

#[test]
fn a_client_that_cannot_be_read_is_set_aside_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (mut keeper, mut commands) = keeper(&store);
    keeper.keep(changes(0, &[("a", Some(b"\x63 of a later version"))])).unwrap();
    commands.blocking_recv().unwrap();
    assert!(kept(&store).unwrap().is_empty());
    store.close().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(store.read(CLIENTS).unwrap().entries.is_empty());
    let aside = store.read(UNREADABLE_CLIENTS).unwrap();
    let [(key, value)] = &aside.entries[..] else { panic!("{aside:?}") };
    assert_eq!((key.as_slice(), value.as_slice()), (b"a".as_slice(), b"\x63 of a later version".as_slice()));
}

/// Not a test: prints what a restart with many clients costs, and how long a change takes until it is durable.
#[test]
#[ignore = "`make bench-store` runs it"]
fn bench() {
    let count: u32 = std::env::var("TIDEGATE_BENCH_CLIENTS").map_or(100_000, |count| count.parse().unwrap());
    let folder =
        tempfile::tempdir_in(std::env::var_os("TIDEGATE_BENCH_FOLDER").unwrap_or_else(|| "/tmp".into()));
    let folder = folder.unwrap();
    let mut config = Config::default();
    config.store.path = Some(folder.path().to_owned());
    fill(folder.path(), count);
    let database = std::fs::metadata(folder.path().join("tidegate.redb")).unwrap().len();
    println!("{count} clients, {database} bytes in the database");

    let (before, start) = (resident(), Instant::now());
    let mut keeping = Keeping::open(&config, 1).unwrap();
    println!("opened and sorted in {:?}", start.elapsed());
    let (handle, _commands) = ShardHandle::new();
    let kept = share(&mut keeping, 0, &handle, None);
    let mut server = server();
    let now = tidegate_proto::time::Instant::from_micros(1 << 60);
    let restoring = Instant::now();
    for snapshot in kept.clients {
        server.restore(now, 0, &snapshot).unwrap();
    }
    println!("restored in {:?}; in all {:?}", restoring.elapsed(), start.elapsed());
    assert_eq!(server.len(), usize::try_from(count).unwrap());
    println!("{} KiB more resident", resident().saturating_sub(before));

    let Some(keeping) = keeping else { panic!("there is a path") };
    let (mut keeper, mut commands) = keeper(keeping.store());
    for (each, rounds) in [(1_u32, 200_u64), (1_000, 20)] {
        let mut times: Vec<_> = (0..rounds)
            .map(|turn| {
                let change = |number| Change { endpoint: name(number), state: Some(vec![1; 500]) };
                let changes = (0..each).map(|_| change(rand_below(count))).collect();
                let start = Instant::now();
                keeper.keep(Changes { turn, is_awaited: true, changes }).unwrap();
                commands.blocking_recv().unwrap();
                start.elapsed()
            })
            .collect();
        times.sort();
        let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{each} changes are durable after {median:?} (median), {last:?} (longest)");
    }
}

/// So many clients, each with two observations, in a store.
fn fill(folder: &std::path::Path, count: u32) {
    let store = Store::open(folder).unwrap();
    let (mut keeper, mut commands) = keeper(&store);
    let mut server = server();
    let now = tidegate_proto::time::Instant::from_micros(1 << 60);
    for number in 0..count {
        let [_, a, b, c] = number.to_be_bytes();
        let peer = Peer::plain((std::net::Ipv4Addr::new(10, a, b, c), 5683).into());
        let register = Message::new(Kind::Confirmable, Code::POST, 1)
            .with_path_segment("rd")
            .with_query(&format!("ep={}", name(number)))
            .with_query("lwm2m=1.1")
            .with_query("lt=3600")
            .with_query("b=UQ")
            .with_payload(
                b"</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542 11543\",</1/0>,</3/0>,</4/0>,</5/0>".to_vec(),
            );
        server.handle_datagram(now, peer, &register.to_bytes());
        drain(&mut server, now, peer);
        for path in [Path::new([3, 0]), Path::new([4, 0])] {
            let operation = Operation::Observe { path, queries: Vec::new(), accept: None };
            let context = "{\"reqID\":1,\"msgType\":\"observe\"}".into();
            let request =
                Request { endpoint: name(number), operation, context, deadline: None, urgent: false };
            server.perform(now, request);
            drain(&mut server, now, peer);
        }
        if number % 10_000 == 9_999 || number + 1 == count {
            let changes = server.take_changes(now, 0).unwrap();
            let turn = changes.turn;
            keeper.keep(Changes { is_awaited: true, ..changes }).unwrap();
            commands.blocking_recv().unwrap();
            server.kept(now, turn);
            drain(&mut server, now, peer);
        }
    }
    store.close().unwrap();
}

/// Settles everything; whatever the client is asked it agrees to.
fn drain(server: &mut Server, now: tidegate_proto::time::Instant, peer: Peer) {
    loop {
        match server.poll_output() {
            Output::Event(Event::Registered { receipt, .. }) => {
                server.settle(now, receipt, Settlement::Accepted);
                server.kept(now, u64::MAX);
            }
            Output::Transmit(transmit) => {
                let asked = Message::parse(&transmit.payload).unwrap();
                if asked.code() == Code::GET {
                    let mut answer = Message::new(Kind::Acknowledgement, Code::CONTENT, asked.mid());
                    answer = answer.with_token(asked.token()).with_option_uint(6, 1);
                    server.handle_datagram(now, peer, &answer.to_bytes());
                }
            }
            Output::Event(_) => {}
            Output::Timeout(_) => return,
        }
    }
}

fn server() -> Server {
    use tidegate_proto::lwm2m::server::Config;
    Server::new(Config { keep: true, ..Config::default() }, Box::new(Bytes(1)))
}

fn name(number: u32) -> Arc<str> {
    format!("urn:imei:{number:015}").into()
}

fn rand_below(count: u32) -> u32 {
    let mut bytes = [0; 4];
    openssl::rand::rand_bytes(&mut bytes).unwrap();
    u32::from_be_bytes(bytes) % count
}

/// KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Counts up: nothing here has to be a secret.
struct Bytes(u64);

impl Entropy for Bytes {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0 += 1;
        buffer.iter_mut().zip(self.0.to_be_bytes().iter().rev().cycle()).for_each(|(to, from)| *to = *from);
    }
}
