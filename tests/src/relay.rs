//! A TCP relay between the gateway and its broker that can be cut, so that the broker is away for one of them only, and
//! that can be made slow.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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
    /// Bytes per second in each direction of each connection; 0: as fast as it goes.
    limit: AtomicU64,
    connections: AtomicUsize,
}

impl Relay {
    /// Forward to `target`.
    pub fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            target,
            open: AtomicBool::new(true),
            streams: Mutex::default(),
            limit: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
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

    /// Carry so many bytes per second in each direction of each connection, and no more; 0: as fast as it goes.
    pub fn limit(&self, bytes_per_second: u64) {
        self.shared.limit.store(bytes_per_second, Ordering::SeqCst);
    }

    /// How many connections it has carried so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
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
        self.connections.fetch_add(1, Ordering::SeqCst);
        self.pump(near.try_clone()?, far.try_clone()?);
        self.pump(far, near);
        Ok(())
    }

    fn pump(self: &Arc<Self>, from: TcpStream, to: TcpStream) {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let _ = shared.carry(&from, &to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }

    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let limit = self.limit.load(Ordering::SeqCst);
            let at_once = if limit == 0 { bytes.len() } else { SLICE.min(bytes.len()) };
            let begun = Instant::now();
            let read = from.read(&mut bytes[..at_once])?;
            if read == 0 {
                return Ok(());
            }
            to.write_all(&bytes[..read])?;
            if let Some(time) = (read as u64 * 1_000_000).checked_div(limit) {
                let end = begun + Duration::from_micros(time);
                while let Some(left) = end.checked_duration_since(Instant::now()).filter(|it| !it.is_zero()) {
                    thread::park_timeout(left);
                }
            }
        }
    }
}

/// How many bytes a slow connection carries at once.
const SLICE: usize = 512;
