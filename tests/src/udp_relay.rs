//! A bad way between one client and the gateway: datagrams are lost, doubled and overtaken, by a die that falls the same
//! each time, and the client's address changes in the middle of everything.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Forwards datagrams between one client and one gateway, both on loopback. Does no harm at first.
#[derive(Debug)]
pub struct UdpRelay {
    inside: SocketAddr,
    shared: Arc<Shared>,
}

/// How bad the way is, in percent of the datagrams in each direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Badness {
    /// Never arrive.
    pub lost: u32,
    /// Arrive twice.
    pub doubled: u32,
    /// Arrive after the next one in their direction, or after a while.
    pub late: u32,
}

/// What was done to datagrams so far.
#[derive(Debug, Default)]
struct Done {
    lost: AtomicUsize,
    doubled: AtomicUsize,
    late: AtomicUsize,
}

#[derive(Debug)]
struct Shared {
    gateway: SocketAddr,
    inside: UdpSocket,
    /// Where the client is.
    client: Mutex<Option<SocketAddr>>,
    outside: Mutex<Arc<UdpSocket>>,
    badness: [AtomicU32; 3],
    die: Mutex<u64>,
    done: Done,
    closing: AtomicBool,
}

impl UdpRelay {
    /// In front of this gateway; the seed says how the die falls.
    pub fn start(gateway: SocketAddr, seed: u64) -> Result<Self> {
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        inside.set_read_timeout(Some(BETWEEN_LOOKS))?;
        let address = inside.local_addr()?;
        let shared = Arc::new(Shared {
            gateway,
            inside,
            client: Mutex::default(),
            outside: Mutex::new(Arc::new(outside(gateway)?)),
            badness: Default::default(),
            die: Mutex::new(seed),
            done: Done::default(),
            closing: AtomicBool::new(false),
        });
        let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
        thread::spawn(move || up.carry_up());
        thread::spawn(move || down.carry_down());
        Ok(Self { inside: address, shared })
    }

    /// Where the client is to send to.
    pub fn address(&self) -> SocketAddr {
        self.inside
    }

    /// From now on it is so bad.
    pub fn be(&self, badness: Badness) {
        let Badness { lost, doubled, late } = badness;
        for (now, new) in self.shared.badness.iter().zip([lost, doubled, late]) {
            now.store(new, Ordering::SeqCst);
        }
    }

    /// How many datagrams were lost, doubled and late so far.
    pub fn done(&self) -> [usize; 3] {
        let Done { lost, doubled, late } = &self.shared.done;
        [lost, doubled, late].map(|count| count.load(Ordering::SeqCst))
    }

    /// Forget the mapping: what the client sends next leaves from another port, and what comes to the old one is lost.
    pub fn rebind(&self) -> Result<()> {
        let new = Arc::new(outside(self.shared.gateway)?);
        *lock(&self.shared.outside) = new;
        Ok(())
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn carry_up(&self) {
        let mut datagram = vec![0; 65_536];
        let mut held = None;
        while !self.closing.load(Ordering::SeqCst) {
            let send = |datagram: &[u8]| drop(lock(&self.outside).send(datagram));
            // An error is a wait that was in vain, or a client that is gone.
            let received = self.inside.recv_from(&mut datagram).ok();
            if let Some((_, from)) = received {
                *lock(&self.client) = Some(from);
            }
            self.pass(received.map(|(length, _)| &datagram[..length]), &mut held, send);
        }
    }

    fn carry_down(&self) {
        let mut datagram = vec![0; 65_536];
        let mut held = None;
        while !self.closing.load(Ordering::SeqCst) {
            let outside = Arc::clone(&lock(&self.outside));
            let send = |datagram: &[u8]| {
                if let Some(client) = *lock(&self.client) {
                    let _ = self.inside.send_to(datagram, client);
                }
            };
            let received = outside.recv(&mut datagram).ok();
            let is_current = Arc::ptr_eq(&outside, &lock(&self.outside));
            let received = received.filter(|_| is_current);
            self.pass(received.map(|length| &datagram[..length]), &mut held, send);
        }
    }

    /// What becomes of a datagram, and of the one before it if that is late; nothing has come for a while without one.
    fn pass(&self, datagram: Option<&[u8]>, held: &mut Option<Vec<u8>>, send: impl Fn(&[u8])) {
        let late = held.take();
        if let Some(datagram) = datagram {
            if self.falls(0) {
                self.done.lost.fetch_add(1, Ordering::SeqCst);
            } else if late.is_none() && self.falls(2) {
                self.done.late.fetch_add(1, Ordering::SeqCst);
                *held = Some(datagram.to_vec());
            } else {
                send(datagram);
                if self.falls(1) {
                    self.done.doubled.fetch_add(1, Ordering::SeqCst);
                    send(datagram);
                }
            }
        }
        if let Some(late) = late {
            send(&late);
        }
    }

    /// Whether this happens now: the upper bits of a linear congruential generator are good enough.
    fn falls(&self, what: usize) -> bool {
        let mut die = lock(&self.die);
        *die = die.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*die >> 33) % 100 < self.badness[what].load(Ordering::SeqCst).into()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outside(gateway: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(gateway)?;
    socket.set_read_timeout(Some(BETWEEN_LOOKS))?;
    Ok(socket)
}

/// How often a thread looks whether the mapping has changed, or the relay is gone; the latest that something late arrives.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
