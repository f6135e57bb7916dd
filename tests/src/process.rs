//! A child process whose output is watched and which never outlives its test.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::inbox::{Inbox, PATIENCE};

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Inbox<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Start it. Both of its output streams are collected, line by line.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let output = Arc::new(Inbox::default());
        let input = child.stdin.take();
        let mut readers = Vec::new();
        if let Some(stream) = child.stdout.take() {
            readers.push(collect(stream, Arc::clone(&output)));
        }
        if let Some(stream) = child.stderr.take() {
            readers.push(collect(stream, Arc::clone(&output)));
        }
        Ok(Self { name, child, input, output, readers })
    }

    /// Write a line to its standard input.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("standard input is closed")?;
        writeln!(input, "{line}")?;
        Ok(input.flush()?)
    }

    /// Wait for a line of its output that contains all of `parts`, and return it.
    pub fn said(&self, parts: &[&str]) -> Result<String> {
        self.output
            .look(PATIENCE, |line| contains(line, parts))
            .with_context(|| format!("{} never said {parts:?}:\n{}", self.name, self.everything()))
    }

    /// Do something, again and again, until a line of its output contains all of `parts`: such lines may be left out when
    /// there are many.
    pub fn said_in_the_end(&self, parts: &[&str], mut act: impl FnMut() -> Result<()>) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            act()?;
            if let Some(line) = self.output.look(BETWEEN_ATTEMPTS, |line| contains(line, parts)) {
                return Ok(line);
            }
            if Instant::now() > deadline {
                bail!("{} never said {parts:?}:\n{}", self.name, self.everything());
            }
        }
    }

    /// Wait until at least so many lines of its output contain all of `parts`.
    pub fn said_times(&self, parts: &[&str], times: usize) -> Result<()> {
        self.output
            .wait_until(PATIENCE, |lines| lines.iter().filter(|line| contains(line, parts)).count() >= times)
            .then_some(())
            .with_context(|| {
                format!("{} did not say {parts:?} {times} times:\n{}", self.name, self.everything())
            })
    }

    /// Wait until this holds for all lines of its output.
    pub fn said_all(&self, what: &str, holds: impl Fn(&[String]) -> bool) -> Result<()> {
        let holds = self.output.wait_until(PATIENCE, holds);
        holds.then_some(()).with_context(|| format!("{}: no {what}:\n{}", self.name, self.everything()))
    }

    /// Pass over what it has said so far.
    pub fn forget(&self) {
        self.output.drain();
    }

    /// How many lines so far contain all of `parts`.
    pub fn times_said(&self, parts: &[&str]) -> usize {
        self.output.count(|line| contains(line, parts))
    }

    /// Wait for a line of its output that contains all of `parts`, or for the end of the process, which is an error.
    pub fn said_before_end(&mut self, parts: &[&str]) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.output.look(BETWEEN_LOOKS, |line| contains(line, parts)) {
                return Ok(line);
            }
            if let Some(status) = self.child.try_wait()? {
                self.join();
                bail!("{} ended with {status}:\n{}", self.name, self.everything());
            }
            if Instant::now() > deadline {
                bail!("{} never said {parts:?}:\n{}", self.name, self.everything());
            }
        }
    }

    /// Ask it to end (SIGTERM) and wait until it has.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.ended()
    }

    /// End it the hard way (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.join();
        Ok(())
    }

    /// Wait until it has ended by itself.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        self.input = None;
        let deadline = Instant::now() + PATIENCE;
        // The output streams close when the process ends; that is what is waited for.
        while self.readers.iter().any(|reader| !reader.is_finished()) {
            if Instant::now() > deadline {
                bail!("{} did not end within {PATIENCE:?}:\n{}", self.name, self.everything());
            }
            let _ = self.output.look(BETWEEN_LOOKS, |_| false);
        }
        Ok(self.child.wait()?)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said so far.
    pub fn everything(&self) -> String {
        self.output.all().join("\n")
    }

    /// Send it a signal, such as `HUP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        if !status.success() {
            bail!("cannot signal {}", self.name);
        }
        Ok(())
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
        if std::thread::panicking() {
            eprintln!("---- {} said:\n{}", self.name, self.everything());
        }
    }
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Inbox<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            output.put(line);
        }
    })
}

fn contains(line: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| line.contains(part))
}

/// How often a process is asked whether it still runs, while its output is awaited.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How long a line is waited for before what causes it is done again.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
