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
    program: &'static str,
    port: u16,
    second: u16,
    process: Process,
    folder: TempDir,
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

    /// Start one that keeps its sessions, and what waits in them, over its own death.
    pub fn start_keeping() -> Result<Self> {
        Self::start_with(|_, folder| {
            open_to_all(folder)?;
            // Written after so many changes: what waits for somebody who is away longer is known only to the process.
            Ok(format!(
                "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 50\n\
                 max_inflight_messages 0\n",
                folder.display()
            ))
        })
    }

    /// End it with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Start it again on the same port, after it was killed.
    pub fn restart(&mut self) -> Result<()> {
        self.process = run(self.program, self.folder.path())?;
        Ok(())
    }

    /// Forget what was kept, after it was killed: it is another one then.
    pub fn forget(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "db") {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Stop it where it is (SIGSTOP): it does not end, and does not answer.
    pub fn pause(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// Let it go on (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.process.signal("CONT")
    }

    /// Its folder, for the files that its configuration names.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Read its files of users and rights again (SIGHUP).
    pub fn reload(&self) -> Result<()> {
        self.process.signal("HUP")
    }

    /// The loopback port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The other port, if the configuration has a listener on it.
    pub fn second_port(&self) -> u16 {
        self.second
    }

    fn start_on(
        program: &'static str,
        port: u16,
        more: impl Fn(u16, &Path) -> Result<String>,
    ) -> Result<Self> {
        let folder = TempDir::new()?;
        let second = port::free()?;
        let more = more(second, folder.path())?;
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nset_tcp_nodelay true\n\
             max_queued_messages 0\n{more}"
        );
        std::fs::write(folder.path().join(CONFIGURATION), text)?;
        let process = run(program, folder.path())?;
        Ok(Self { program, port, second, process, folder })
    }
}

fn run(program: &str, folder: &Path) -> Result<Process> {
    let mut process = Process::start(Command::new(program).arg("-c").arg(folder.join(CONFIGURATION)))?;
    process.said_before_end(&["mosquitto version", "running"])?;
    Ok(process)
}

/// mosquitto, started by root, works as a user of its own.
fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777))?)
}

const CONFIGURATION: &str = "mosquitto.conf";

/// Where distributions put the program; Debian's place is not on every user's path.
const PLACES: [&str; 3] = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"];

/// How many ports are tried.
const ATTEMPTS: usize = 5;
