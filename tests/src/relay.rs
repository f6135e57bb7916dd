//! A TCP relay between the gateway and its broker that can be cut, so that the broker is away for one of them only.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// Forwards connections on its own port to another loopback port.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    open: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Forward to `target`.
    pub fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { target, open: AtomicBool::new(true), streams: Mutex::default() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(io::Result::ok) {
                // A failed connection is seen by the one who connected: the stream closes.
                let _ = accepting.forward(stream);
            }
        });
        Ok(Self { port, shared })
    }

    /// The loopback port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Close every connection and refuse new ones.
    pub fn cut(&self) {
        self.shared.open.store(false, Ordering::SeqCst);
        for stream in self.shared.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Take connections again.
    pub fn mend(&self) {
        self.shared.open.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn forward(self: &Arc<Self>, near: TcpStream) -> io::Result<()> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.open.load(Ordering::SeqCst) {
            return Ok(());
        }
        let far = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target))?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        streams.push(near.try_clone()?);
        streams.push(far.try_clone()?);
        pump(near.try_clone()?, far.try_clone()?);
        pump(far, near);
        Ok(())
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
