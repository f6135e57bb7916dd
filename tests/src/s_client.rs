//! `openssl s_client -dtls1_2` of the system, whose standard input and output are what goes over its association.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::inbox::Inbox;
use crate::peer::Channel;

/// A running s_client; killed when dropped.
#[derive(Debug)]
pub struct SClient {
    child: Child,
    /// Its standard input and output: it reads and writes one message at a time, and a pipe would lose where one ends.
    data: UnixDatagram,
    /// What it says of itself.
    pub said: Arc<Inbox<String>>,
}

impl SClient {
    /// Begin a handshake, with these options of its own.
    pub fn start(gateway: SocketAddr, options: &[&str]) -> Result<Self> {
        let mut command = Command::new("openssl");
        let address = gateway.to_string();
        // Quiet: what is sent and received is nothing but data.
        command.args(["s_client", "-dtls1_2", "-quiet", "-connect", &address]).args(options);
        let (data, its) = UnixDatagram::pair()?;
        command.stdin(OwnedFd::from(its.try_clone()?)).stdout(OwnedFd::from(its)).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting openssl")?;
        let stderr = child.stderr.take().context("standard error")?;
        let said = Arc::new(Inbox::default());
        let complaints = Arc::clone(&said);
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| complaints.put(line));
        });
        Ok(Self { child, data, said })
    }
}

impl Channel for SClient {
    fn send(&self, message: &[u8]) -> Result<()> {
        self.data.send(message)?;
        Ok(())
    }

    fn receive_within(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        self.data.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut message = vec![0; 1 << 16];
        match self.data.recv(&mut message) {
            Ok(length) => Ok(Some(message[..length].to_vec())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for SClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- s_client said:\n{}", self.said.all().join("\n"));
        }
    }
}

/// The version of the system's OpenSSL program, if it is there.
pub fn openssl() -> Option<String> {
    let output = Command::new("openssl").arg("version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
