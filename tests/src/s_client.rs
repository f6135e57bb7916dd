//! `openssl s_client -dtls1_2` of the system, whose standard input and output are what goes over its association.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::inbox::Inbox;
use crate::peer::Channel;

/// A running s_client; killed when dropped.
#[derive(Debug)]
pub struct SClient {
    child: Child,
    input: Mutex<ChildStdin>,
    output: Arc<Inbox<Vec<u8>>>,
    /// What it says of itself.
    pub said: Arc<Inbox<String>>,
}

impl SClient {
    /// Begin a handshake, with these options of its own.
    pub fn start(gateway: SocketAddr, options: &[&str]) -> Result<Self> {
        let mut command = Command::new("openssl");
        let address = gateway.to_string();
        // Quiet: what is sent and received is nothing but data, on one line or several.
        command.args(["s_client", "-dtls1_2", "-quiet", "-connect", &address]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("starting openssl")?;
        let input = Mutex::new(child.stdin.take().context("standard input")?);
        let mut stdout = child.stdout.take().context("standard output")?;
        let stderr = child.stderr.take().context("standard error")?;
        let (output, said) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
        let (received, complaints) = (Arc::clone(&output), Arc::clone(&said));
        std::thread::spawn(move || {
            // It writes each message at once, and nobody sends the next one before this one is answered.
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                received.put(buffer[..length].to_vec());
            }
        });
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| complaints.put(line));
        });
        Ok(Self { child, input, output, said })
    }
}

impl Channel for SClient {
    fn send(&self, message: &[u8]) -> Result<()> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.write_all(message)?;
        Ok(input.flush()?)
    }

    fn receive_within(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        Ok(self.output.take_within(patience, "message", |_| true).ok())
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
