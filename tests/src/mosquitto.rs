//! The mosquitto broker of the system, on a port of its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::port;
use crate::process::Process;

/// A running mosquitto; ends when dropped.
#[derive(Debug)]
pub struct Mosquitto {
    port: u16,
    second: u16,
    _process: Process,
    _folder: TempDir,
}

impl Mosquitto {
    /// Start one and wait until it takes connections.
    pub fn start() -> Result<Self> {
        Self::start_with(|_, _| Ok(String::new()))
    }

    /// Start one with more configuration, which is made of another free port and a folder for files.
    pub fn start_with(more: impl Fn(u16, &Path) -> Result<String>) -> Result<Self> {
        let Some(program) = PLACES.iter().find(|place| Path::new(place).exists()) else {
            bail!("mosquitto is not installed; scripts/setup installs it");
        };
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::start_on(program, port::free()?, &more) {
                Err(error) if error.to_string().contains("in use") => last = Some(error),
                outcome => return outcome,
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// The loopback port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The other port, if the configuration has a listener on it.
    pub fn second_port(&self) -> u16 {
        self.second
    }

    fn start_on(program: &str, port: u16, more: impl Fn(u16, &Path) -> Result<String>) -> Result<Self> {
        let folder = TempDir::new()?;
        let second = port::free()?;
        let more = more(second, folder.path())?;
        let configuration = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nset_tcp_nodelay true\n\
             max_queued_messages 0\n{more}"
        );
        std::fs::write(&configuration, text)?;
        let mut process = Process::start(Command::new(program).arg("-c").arg(&configuration))?;
        process.said_before_end(&["mosquitto version", "running"])?;
        Ok(Self { port, second, _process: process, _folder: folder })
    }
}

/// Where distributions put the program; Debian's place is not on every user's path.
const PLACES: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"];

/// How many ports are tried.
const ATTEMPTS: usize = 5;
