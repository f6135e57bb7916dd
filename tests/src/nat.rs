//! A NAT between one client and the gateway: UDP datagrams of the client leave from an address of its own, which can
//! change in the middle of everything.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;

/// Forwards datagrams between one client and one gateway, both on loopback.
#[derive(Debug)]
pub struct Nat {
    inside: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gateway: SocketAddr,
    inside: UdpSocket,
    /// Where the client is.
    client: Mutex<Option<SocketAddr>>,
    outside: RwLock<Arc<UdpSocket>>,
    closing: AtomicBool,
}

impl Nat {
    /// In front of this gateway.
    pub fn start(gateway: SocketAddr) -> Result<Self> {
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        inside.set_read_timeout(Some(BETWEEN_LOOKS))?;
        let address = inside.local_addr()?;
        let shared = Arc::new(Shared {
            gateway,
            inside,
            client: Mutex::default(),
            outside: RwLock::new(Arc::new(outside(gateway)?)),
            closing: AtomicBool::new(false),
        });
        let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
        std::thread::spawn(move || up.carry_up());
        std::thread::spawn(move || down.carry_down());
        Ok(Self { inside: address, shared })
    }

    /// Where the client is to send to.
    pub fn address(&self) -> SocketAddr {
        self.inside
    }

    /// Where the client is, as the gateway sees it.
    pub fn mapping(&self) -> Result<SocketAddr> {
        Ok(self.shared.outside().local_addr()?)
    }

    /// Forget the mapping: what the client sends next leaves from another port, and what comes to the old one is lost.
    pub fn rebind(&self) -> Result<()> {
        let new = Arc::new(outside(self.shared.gateway)?);
        *self.shared.outside.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn carry_up(&self) {
        let mut datagram = vec![0; 65_536];
        while !self.closing.load(Ordering::SeqCst) {
            // An error is a wait that was in vain, or a client that is gone.
            let Ok((length, from)) = self.inside.recv_from(&mut datagram) else { continue };
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            let _ = self.outside().send(&datagram[..length]);
        }
    }

    fn carry_down(&self) {
        let mut datagram = vec![0; 65_536];
        while !self.closing.load(Ordering::SeqCst) {
            let outside = self.outside();
            let Ok(length) = outside.recv(&mut datagram) else { continue };
            let is_current = Arc::ptr_eq(&outside, &self.outside());
            if let Some(client) = *self.client.lock().unwrap_or_else(PoisonError::into_inner)
                && is_current
            {
                let _ = self.inside.send_to(&datagram[..length], client);
            }
        }
    }

    fn outside(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.outside.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn outside(gateway: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(gateway)?;
    socket.set_read_timeout(Some(BETWEEN_LOOKS))?;
    Ok(socket)
}

/// How often a thread looks whether the mapping has changed, or the NAT is gone.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
