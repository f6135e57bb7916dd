//! The gateway under test, as a process.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::http::{HttpAnswer, HttpEvents, http};
use crate::inbox::PATIENCE;
use crate::port;
use crate::process::Process;

/// A running `tidegate run` with a folder of its own.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    folder: TempDir,
    coap: Vec<SocketAddr>,
    dtls: SocketAddr,
    mqtt: u16,
    http: u16,
    log: &'static str,
}

/// What the gateway publishes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// A broker on this loopback port.
    On(u16),
    /// The one inside the gateway.
    Embedded,
}

/// How the gateway is configured. Start from [`Setup::new`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where to publish.
    pub broker: Broker,
    /// `[mqtt] version`: 4 or 5.
    pub version: u8,
    /// `[coap] shards`; 0: as many as there are cores.
    pub shards: u8,
    /// Further keys of `[mqtt]`, which go before those made here.
    pub mqtt: Json,
    /// How many listeners `[coap]` has.
    pub listeners: u8,
    /// Further keys of `[coap]`.
    pub coap: Json,
    /// `[translator.settings]`.
    pub settings: Json,
    /// All of `[[translator]]`; null: `emqx` alone, with `settings`.
    pub translators: Json,
    /// All of `[[route]]`; a `listener` is the number of one of `[coap]`.
    pub routes: Json,
    /// `[registration]`.
    pub registration: Json,
    /// Further keys of `[dtls]`.
    pub dtls: Json,
    /// `credentials.toml`; null: there is no DTLS listener.
    pub credentials: Json,
    /// `[store]`.
    pub store: Json,
    /// What it logs, for `--log`; empty: as by default.
    pub log: &'static str,
    /// Whether it listens for HTTP.
    pub http: bool,
    /// Further keys of `[http]`.
    pub http_keys: Json,
    /// Names and texts of further files in its folder: keys and certificates; those under `plugins/` are translators.
    pub files: Vec<(String, String)>,
    /// Names and bytes of files that its folder of translators begins with.
    pub artifacts: Vec<(String, Vec<u8>)>,
    /// Names and texts of the files that the folder of object definitions begins with, see [`Gateway::models`].
    pub models: Vec<(String, String)>,
}

impl Setup {
    /// MQTT 5, the translator's default settings except `compatibility`.
    pub fn new(broker: Broker, compatibility: &str) -> Self {
        Self {
            broker,
            version: 5,
            shards: 0,
            mqtt: json!({}),
            listeners: 1,
            coap: json!({}),
            settings: json!({ "compatibility": compatibility }),
            translators: Json::Null,
            routes: json!([]),
            registration: json!({}),
            dtls: json!({}),
            credentials: Json::Null,
            store: json!({}),
            log: "",
            http: false,
            http_keys: json!({}),
            files: Vec::new(),
            artifacts: Vec::new(),
            models: Vec::new(),
        }
    }

    fn toml(&self, coap: &[SocketAddr], [dtls, mqtt, http]: [u16; 3]) -> Result<String> {
        let broker = match self.broker {
            Broker::On(port) => format!("mqtt://127.0.0.1:{port}"),
            Broker::Embedded => "embedded".to_owned(),
        };
        let mut coap_table = self.coap.clone();
        coap_table["listen"] = json!(coap);
        coap_table["shards"] = json!(self.shards);
        let mut dtls_table = self.dtls.clone();
        if !self.credentials.is_null() {
            dtls_table["listen"] = json!([format!("127.0.0.1:{dtls}")]);
        }
        let mut mqtt_table = json!({
            "broker": broker,
            "version": self.version,
            "embedded": { "listen": [format!("127.0.0.1:{mqtt}")] },
        });
        for (key, value) in self.mqtt.as_object().into_iter().flatten() {
            mqtt_table[key] = value.clone();
        }
        let mut http_table = self.http_keys.clone();
        http_table["listen"] = if http == 0 { json!([]) } else { json!([format!("127.0.0.1:{http}")]) };
        let translators = match &self.translators {
            Json::Null => json!([{ "name": "emqx", "settings": self.settings }]),
            translators => translators.clone(),
        };
        let mut routes = self.routes.clone();
        for route in routes.as_array_mut().into_iter().flatten() {
            if let Some(number) = route["listener"].as_u64() {
                route["listener"] = json!(coap.get(usize::try_from(number)?).context("no such listener")?);
            }
        }
        let mut configuration = json!({
            "coap": coap_table,
            "dtls": dtls_table,
            "mqtt": mqtt_table,
            "http": http_table,
            "registration": self.registration,
            "store": self.store,
            "translator": translators,
        });
        if !routes.as_array().is_none_or(Vec::is_empty) {
            configuration["route"] = routes;
        }
        toml::to_string(&configuration).context("writing tidegate.toml")
    }
}

impl Gateway {
    /// Start one and wait until it is ready; with other ports again when someone took one of those chosen.
    pub fn start(setup: &Setup) -> Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::start_once(setup) {
                Err(error) if error.to_string().to_lowercase().contains("in use") => last = Some(error),
                outcome => return outcome,
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// Where it takes CoAP.
    pub fn coap(&self) -> SocketAddr {
        self.coap_at(0)
    }

    /// Where the listener of this number takes CoAP; there must be one.
    pub fn coap_at(&self, number: usize) -> SocketAddr {
        self.coap[number]
    }

    /// Where it takes CoAP over DTLS, when it has credentials.
    pub fn dtls(&self) -> SocketAddr {
        self.dtls
    }

    /// The loopback port of the broker it publishes to.
    pub fn mqtt(&self) -> u16 {
        self.mqtt
    }

    /// The loopback port where it listens for HTTP, if it was set up with `http`.
    pub fn http_port(&self) -> u16 {
        self.http
    }

    /// What `[http]` answers to a request with these header lines.
    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Result<HttpAnswer> {
        http(self.http, method, path, headers, body)
    }

    /// The server-sent events at a path, from now on.
    pub fn events(&self, path: &str) -> Result<HttpEvents> {
        HttpEvents::open(self.http, path)
    }

    /// What `[http]` answers at a path: its body.
    pub fn http(&self, path: &str) -> Result<String> {
        let answer = self.ask("GET", path, &[], "")?;
        if answer.status != 200 {
            bail!("{path}: {}", answer.head);
        }
        Ok(answer.body)
    }

    /// The same, again and again until this holds for it.
    pub fn http_until(&self, path: &str, what: &str, holds: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = self.http(path)?;
            if holds(&body) {
                return Ok(body);
            }
            ensure!(Instant::now() < deadline, "{path} never said {what}, but: {body}");
            std::thread::yield_now();
        }
    }

    /// Its `/status`, once this holds for it. It must have been set up with `http`.
    pub fn status(&self, what: &str, holds: impl Fn(&Json) -> bool) -> Result<Json> {
        let body = self.http_until("/status", what, |body| {
            serde_json::from_str(body).is_ok_and(|status| holds(&status))
        })?;
        Ok(serde_json::from_str(&body)?)
    }

    /// Its folder of translators.
    pub fn plugins(&self) -> PathBuf {
        self.folder.path().join(PLUGINS)
    }

    /// The process, for its log and its end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process, for its log only.
    pub fn watch(&self) -> &Process {
        &self.process
    }

    /// Its folder: configuration and data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its folder of object definitions.
    pub fn models(&self) -> PathBuf {
        self.folder.path().join(MODELS)
    }

    /// Write its credentials anew, at once, as an editor does that renames what it has written.
    pub fn write_credentials(&self, credentials: &Json) -> Result<()> {
        self.write_credentials_text(&toml::to_string(credentials).context("writing credentials.toml")?)
    }

    /// Write any text as its credentials.
    pub fn write_credentials_text(&self, text: &str) -> Result<()> {
        let (new, old) = (self.folder.path().join("credentials.new"), self.folder.path().join(CREDENTIALS));
        write_secret(&new, text)?;
        Ok(std::fs::rename(new, old)?)
    }

    /// End it cleanly (SIGTERM).
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.terminate()
    }

    /// End it with SIGKILL and start it again with the same configuration, data and ports.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = run(self.folder.path(), self.log)?;
        Ok(())
    }

    /// End it cleanly and start it again with the same configuration, data and ports.
    pub fn terminate_and_restart(&mut self) -> Result<()> {
        let status = self.process.terminate()?;
        if !status.success() {
            bail!("the gateway ended with {status}");
        }
        self.process = run(self.folder.path(), self.log)?;
        Ok(())
    }

    fn start_once(setup: &Setup) -> Result<Self> {
        let folder = TempDir::new()?;
        let listener = |_| Ok((Ipv4Addr::LOCALHOST, port::free()?).into());
        let coap: Vec<SocketAddr> = (0..setup.listeners).map(listener).collect::<Result<_>>()?;
        let (dtls, embedded) = (port::free()?, port::free()?);
        let http = if setup.http { port::free()? } else { 0 };
        std::fs::write(folder.path().join(CONFIGURATION), setup.toml(&coap, [dtls, embedded, http])?)?;
        if !setup.credentials.is_null() {
            let text = toml::to_string(&setup.credentials).context("writing credentials.toml")?;
            write_secret(&folder.path().join(CREDENTIALS), &text)?;
        }
        std::fs::create_dir(folder.path().join(PLUGINS))?;
        for (name, text) in &setup.files {
            write_secret(&folder.path().join(name), text)?;
        }
        for (name, bytes) in &setup.artifacts {
            std::fs::write(folder.path().join(PLUGINS).join(name), bytes)?;
        }
        std::fs::create_dir(folder.path().join(MODELS))?;
        for (name, text) in &setup.models {
            std::fs::write(folder.path().join(MODELS).join(name), text)?;
        }
        let process = run(folder.path(), setup.log)?;
        let mqtt = match setup.broker {
            Broker::On(port) => port,
            Broker::Embedded => embedded,
        };
        let dtls = (Ipv4Addr::LOCALHOST, dtls).into();
        Ok(Self { process, folder, coap, dtls, mqtt, http, log: setup.log })
    }
}

fn run(folder: &Path, log: &str) -> Result<Process> {
    let mut command = tidegate()?;
    if !log.is_empty() {
        command.args(["--log", log]);
    }
    command.arg("run").arg("--config").arg(folder.join(CONFIGURATION)).current_dir(folder);
    let mut process = Process::start(&mut command)?;
    process.said_before_end(&["ready", "coap="])?;
    Ok(process)
}

/// A file for its owner alone, which the gateway wants of one with keys.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// The program under test: the one built beside this test, or `TIDEGATE_BIN`.
pub fn tidegate() -> Result<Command> {
    let program = match std::env::var_os("TIDEGATE_BIN") {
        Some(program) => PathBuf::from(program),
        None => beside_this_test()?,
    };
    if !program.exists() {
        bail!("{} is missing; `make test` builds it, `cargo build -p tidegate` too", program.display());
    }
    let mut command = Command::new(program);
    command.env("NO_COLOR", "1").env_remove("RUST_LOG");
    Ok(command)
}

fn beside_this_test() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/debug/deps/worked_example-1234 → target/debug/tidegate
    let folder = test.parent().and_then(Path::parent).context("a test lies in target/<profile>/deps")?;
    Ok(folder.join("tidegate"))
}

const CONFIGURATION: &str = "tidegate.toml";
/// The default of `[dtls] credentials`.
const CREDENTIALS: &str = "credentials.toml";
/// The default of `[plugins] directory`.
const PLUGINS: &str = "plugins";
/// The default of `[models] directory`.
const MODELS: &str = "models";

/// How many sets of ports are tried.
const ATTEMPTS: usize = 5;
