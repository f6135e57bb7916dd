//! What a shard leaves to the store, and when it answers.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_proto::lwm2m::server::Changes;

use super::super::super::keep::ClientKeeper;
use super::*;

#[test]
fn a_register_is_answered_when_it_is_durable_and_the_client_is_there_after_a_restart() {
    let disk = Disk::default();
    let (shard, taken) = disk.start(Vec::new());
    let client = client(shard.coap);
    client.send(&register("a")).unwrap();
    assert_eq!(shard.event(), "registered a without dtls by listener 0");
    let changes = taken.recv_timeout(PATIENCE).unwrap();
    assert!(changes.is_awaited);
    let mut buffer = [0; 1500];
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    shard.handle.send(Command::ClientsKept(changes.turn)).unwrap();
    let registered = answer(&client);
    assert_eq!(registered.code(), Code::CREATED);
    shard.stop();

    let states = changes.changes.into_iter().filter_map(|change| change.state).map(Into::into);
    let (shard, _taken) = disk.start(states.collect());
    client.connect(shard.coap).unwrap();
    let location: Vec<&[u8]> = registered.location_path().collect();
    let update = location.iter().fold(Message::new(Kind::Confirmable, Code::POST, 7), |update, segment| {
        update.with_path_segment(std::str::from_utf8(segment).unwrap())
    });
    client.send(&update.to_bytes()).unwrap();
    assert_eq!(answer(&client).code(), Code::CHANGED);
    assert_eq!(shard.event(), "updated a", "and nothing before it");
}

#[test]
fn while_the_disk_takes_nothing_registers_are_answered_all_the_same() {
    let disk = Disk::default();
    disk.is_failing.store(true, Ordering::Relaxed);
    let (shard, taken) = disk.start(Vec::new());
    for endpoint in ["a", "b"] {
        let client = client(shard.coap);
        client.send(&register(endpoint)).unwrap();
        assert_eq!(answer(&client).code(), Code::CREATED);
    }
    // It is all there for when the disk has room again.
    let kept = |changes: Changes| changes.changes.into_iter().map(|change| change.endpoint.to_string());
    let kept: Vec<_> = taken.iter().take(2).flat_map(kept).collect();
    assert_eq!(kept, ["a", "b"]);
}

/// A disk that says that something is durable when the test does.
#[derive(Clone, Debug, Default)]
struct Disk {
    is_failing: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Taking {
    disk: Disk,
    taken: Sender<Changes>,
}

impl Disk {
    fn start(&self, clients: Vec<zeroize::Zeroizing<Vec<u8>>>) -> (Running, Receiver<Changes>) {
        let (taken, changes) = channel();
        let keeper: Box<dyn ClientKeeper> = Box::new(Taking { disk: self.clone(), taken });
        let scene = Scene::new(1);
        let (handle, commands) = ShardHandle::new();
        let kept = Kept { clients, keeper: Some(keeper), ..Kept::default() };
        (scene.run_with(0, kept, commands, vec![handle]), changes)
    }
}

impl ClientKeeper for Taking {
    fn keep(&mut self, changes: Changes) -> Result<(), Changes> {
        // The test may have seen enough.
        let _ = self.taken.send(changes);
        Ok(())
    }

    fn is_failing(&self) -> bool {
        self.disk.is_failing.load(Ordering::Relaxed)
    }
}

fn client(shard: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(shard).unwrap();
    client
}

fn answer(client: &UdpSocket) -> Message {
    let mut buffer = [0; 1500];
    let length = client.recv(&mut buffer).unwrap();
    Message::parse(&buffer[..length]).unwrap()
}
