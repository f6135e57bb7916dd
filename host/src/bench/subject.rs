//! What is measured, as a process: a gateway of this very executable with a configuration of its own, or another program. It ends
//! when it is dropped, and when this process ends however.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::Options;
use super::content::Content;
use super::{secure, system};

/// The running subject.
#[derive(Debug)]
pub(super) struct Subject {
    child: Child,
    folder: PathBuf,
    address: SocketAddrV4,
}

impl Subject {
    /// Starts it, to publish to this broker.
    pub(super) fn start(options: &Options, broker: SocketAddr) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("tidegate-bench-{process}-{number}"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let outcome = Self::start_in(options, broker, &folder);
        if outcome.is_err() {
            remove(&folder);
        }
        outcome
    }

    fn start_in(options: &Options, broker: SocketAddr, folder: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = match options.subject.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            None => gateway(options, broker, address, folder)?,
        };
        command.env("TIDEGATE_BENCH_COAP", address.to_string());
        command.env("TIDEGATE_BENCH_MQTT", broker.to_string());
        let log = File::create(folder.join(LOG))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        system::end_with_us(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("{program} cannot be started"))?;
        Ok(Self { child, folder: folder.to_owned(), address })
    }

    /// Where it takes CoAP.
    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the subject has ended with {status}; it said:\n{}", self.said());
        }
        Ok(())
    }

    /// The last lines that it has said.
    pub(super) fn said(&self) -> String {
        let text = fs::read(self.folder.join(LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn end(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = system::terminate(self.child.id());
        let give_up = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > give_up {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.end();
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "what was temporary stays");
    }
}

fn gateway(
    options: &Options,
    broker: SocketAddr,
    address: SocketAddrV4,
    folder: &Path,
) -> anyhow::Result<Command> {
    let file = folder.join("tidegate.toml");
    fs::write(&file, configuration(options, broker, address)?)?;
    if options.dtls {
        fs::write(folder.join("credentials.toml"), secure::credentials(options.clients))?;
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--log", &options.log, "run", "--config"]).arg(file).current_dir(folder);
    Ok(command)
}

fn configuration(options: &Options, broker: SocketAddr, address: SocketAddrV4) -> anyhow::Result<String> {
    let topic = |topic: &str, qos: u8| json!({ "topic": topic, "qos": qos });
    let settings = json!({
        "auto_observe": [Content::path(options.samples)],
        "translators": {
            "command": topic("dn/#", 0),
            "response": topic("up/resp", 0),
            "notify": topic("up/notify", options.qos),
            "register": topic("up/register", 0),
            "update": topic("up/update", 0),
        },
    });
    let listen = json!([address.to_string()]);
    // There must be a listener without DTLS, though nobody uses it.
    let (coap, dtls) = if options.dtls { (json!(["127.0.0.1:0"]), listen) } else { (listen, json!([])) };
    let configuration = json!({
        "coap": { "listen": coap, "shards": options.shards },
        "dtls": { "listen": dtls, "max-associations": options.clients.max(1_000) * 2 },
        "mqtt": { "broker": format!("mqtt://{broker}"), "version": options.mqtt },
        "http": { "listen": [] },
        "store": { "path": if options.store { "store" } else { "" } },
        "translator": [{ "name": "emqx", "settings": settings }],
    });
    toml::to_string(&configuration).context("the configuration of the gateway cannot be written")
}

/// A loopback address whose port nobody has at the moment.
fn free_address() -> anyhow::Result<SocketAddrV4> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, socket.local_addr()?.port()))
}

/// What the subject says.
const LOG: &str = "log";
/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configuration_is_one() {
        for (samples, store, dtls) in [(1, false, true), (5, true, false)] {
            let options = Options { samples, store, dtls, qos: 1, ..Options::default() };
            let broker = "127.0.0.1:1883".parse().unwrap();
            let address = "127.0.0.1:5783".parse().unwrap();
            let text = configuration(&options, broker, address).unwrap();
            let config = Config::parse(&text, Path::new("tidegate.toml")).unwrap();
            let listen = if dtls { &config.dtls.listen } else { &config.coap.listen };
            assert_eq!(*listen, ["127.0.0.1:5783".parse().unwrap()]);
            assert_eq!(config.store.path.is_some(), store);
        }
    }

    #[test]
    fn the_subject_ends_with_its_owner_and_leaves_nothing() {
        let options = Options { subject: vec!["sleep".to_owned(), "1000".to_owned()], ..Options::default() };
        let mut subject = Subject::start(&options, "127.0.0.1:1".parse().unwrap()).unwrap();
        subject.check().unwrap();
        let (id, folder) = (subject.id(), subject.folder.clone());
        assert!(folder.exists());
        drop(subject);
        assert!(!folder.exists());
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_subject_that_ends_is_told_with_what_it_said() {
        let command = ["sh", "-c", "echo oh no; exit 3"].map(str::to_owned);
        let options = Options { subject: command.into(), ..Options::default() };
        let mut subject = Subject::start(&options, "127.0.0.1:1".parse().unwrap()).unwrap();
        let give_up = Instant::now() + PATIENCE;
        let error = loop {
            match subject.check() {
                Err(error) => break error.to_string(),
                Ok(()) => assert!(Instant::now() < give_up),
            }
            std::thread::yield_now();
        };
        assert!(error.contains("oh no") && error.contains('3'), "{error}");
    }
}
