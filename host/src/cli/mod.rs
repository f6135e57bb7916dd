//! The command line: what was typed becomes one call of `app`.
//!
//! `main` calls `main` here and hands in the two functions of `app`, so that this file knows nothing of what they do.

mod bench;
mod credentials;
mod device;
mod gateway;
mod grid;
mod import;
mod plugin;
mod remote;
mod shell;
mod token;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Broker, Config};
use crate::credential;
use crate::devkit;
use crate::log::{self, Format};
use crate::model::{Folder, Reading};

/// Parses the command line, starts logging and calls `run` or `demo` on a new tokio runtime. The exit code is 0, 1 after
/// an error, which has been printed, that of a compiler that has failed, or 2 for a command line that is none.
///
/// `tidegate --help` and `tidegate --version` print and end the process.
pub fn main<R, D>(run: impl FnOnce(Config) -> R, demo: impl FnOnce(DemoOptions) -> D) -> ExitCode
where
    R: Future<Output = anyhow::Result<()>>,
    D: Future<Output = anyhow::Result<()>>,
{
    let line = CommandLine::parse();
    match dispatch(line, run, demo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            let failed = error.downcast_ref::<devkit::Failed>().map(devkit::Failed::code);
            let code = error.downcast_ref::<Exit>().map(Exit::code).or(failed);
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

fn dispatch<R, D>(
    line: CommandLine,
    run: impl FnOnce(Config) -> R,
    demo: impl FnOnce(DemoOptions) -> D,
) -> anyhow::Result<()>
where
    R: Future<Output = anyhow::Result<()>>,
    D: Future<Output = anyhow::Result<()>>,
{
    log::start(line.log_format, &line.log).map_err(|error| anyhow::anyhow!("--log: {error}"))?;
    match line.command {
        Command::Run(options) => {
            let config = options.load()?;
            runtime()?.block_on(run(config))
        }
        Command::Check(file) => check(&file.load()?),
        Command::Credentials(options) => credentials::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Token(options) => token::run(&options),
        Command::Plugin(options) => plugin::run(&options),
        Command::Bench(options) => bench::run(*options, &line.log),
        Command::Demo(options) => runtime()?.block_on(demo(options)),
        Command::Device(options) => runtime()?.block_on(device::run(&options)),
        Command::Translator(options) => runtime()?.block_on(gateway::translator(&options)),
        Command::Completions(options) => shell::completions(&options),
        Command::Man(options) => shell::man(&options),
        Command::Status(options) => runtime()?.block_on(gateway::status(&options)),
    }
}

/// An error that scripts can tell from others by the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Exit {
    code: u8,
    text: String,
}

impl Exit {
    fn new(code: u8, text: String) -> Self {
        Self { code, text }
    }

    fn code(&self) -> u8 {
        self.code
    }
}

/// A programmable LwM2M gateway.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version = BUILD, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: Format,
    /// What is logged, such as "info" or "warn,tidegate::mqtt=debug"
    #[arg(long, global = true, value_name = "FILTER", default_value = "info")]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Run(RunOptions),
    /// Read the configuration and say what it means
    Check(ConfigFile),
    /// Say who may connect over DTLS, and by which key
    Credentials(credentials::Credentials),
    /// Say who may use the dashboard and the REST API
    Token(token::Token),
    /// Turn the configuration of another gateway into a tidegate.toml
    Import(import::Import),
    /// Write, build, test and check translators before they serve
    Plugin(plugin::Plugin),
    /// Measure what a gateway costs, with simulated clients and a broker that only counts
    Bench(Box<bench::Bench>),
    /// See the clients of a running gateway, and ask them
    Device(device::Device),
    /// See which translators serve, read one again, or go back to its last generation
    Translator(gateway::Translator),
    /// Say how a running gateway is
    Status(gateway::Status),
    /// Print what a shell needs to complete this command line
    Completions(shell::Completions),
    /// Write man pages
    Man(shell::Man),
    /// Show the gateway at work with a simulated device and the embedded broker
    Demo(DemoOptions),
}

#[derive(Args, Debug)]
struct RunOptions {
    #[command(flatten)]
    file: ConfigFile,
    /// Folder of translators, instead of the one in the configuration: what is copied there is live at once
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
}

impl RunOptions {
    fn load(&self) -> anyhow::Result<Config> {
        let config = self.file.load()?;
        let Some(directory) = &self.plugins else { return Ok(config) };
        anyhow::ensure!(directory.is_dir(), "--plugins {}: there is no such folder", directory.display());
        Ok(config.with_plugins(directory))
    }
}

#[derive(Args, Debug, Default)]
struct ConfigFile {
    /// Configuration file; without it, tidegate.toml of the current folder if there is one, else the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> anyhow::Result<Config> {
        let here = Path::new("tidegate.toml");
        match &self.config {
            Some(file) => Ok(Config::load(file)?),
            None if here.exists() => Ok(Config::load(here)?),
            None => Ok(Config::default()),
        }
    }
}

/// `tidegate demo`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Where the gateway listens for CoAP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5783")]
    pub coap: SocketAddr,
    /// Where the embedded broker listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1883")]
    pub mqtt: SocketAddr,
    /// End after the example, instead of staying until Ctrl-C
    #[arg(long)]
    pub exit_after_read: bool,
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Says what a configuration comes to. The gateway would start in spite of broken object definitions, but not as its
/// operator means it.
fn check(config: &Config) -> anyhow::Result<()> {
    let reading = Folder::new(&config.models.directory).read();
    println!("{}", summary(config, &reading));
    reading.problems.iter().for_each(|problem| println!("{problem}"));
    check_credentials(config)?;
    anyhow::ensure!(reading.broken == 0, "object definitions are broken: {}", reading.broken);
    println!("The configuration is right.");
    Ok(())
}

/// The gateway does not start without its credentials if it is to listen for DTLS.
fn check_credentials(config: &Config) -> anyhow::Result<()> {
    if config.dtls.listen.is_empty() {
        return Ok(());
    }
    let reading = credential::read(&config.dtls.credentials)?;
    let (psk, raw_public_key, authorities) = reading.credentials.counts();
    let file = config.dtls.credentials.display();
    println!(
        "credentials  {file} (pre-shared keys: {psk}, raw public keys: {raw_public_key}, authorities: {authorities})"
    );
    reading.warnings.iter().for_each(|warning| println!("{warning}"));
    anyhow::ensure!(!reading.credentials.is_empty(), "{file} is empty: nobody could connect over DTLS");
    Ok(())
}

/// What a configuration comes to.
fn summary(config: &Config, models: &Reading) -> String {
    let list =
        |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!("CoAP         {}", list(&config.coap.listen))];
    if !config.dtls.listen.is_empty() {
        lines.push(format!("DTLS         {}", list(&config.dtls.listen)));
    }
    lines.push(match &config.mqtt.broker {
        Broker::Embedded => format!("MQTT         embedded broker on {}", list(&config.mqtt.embedded.listen)),
        Broker::External(address) => format!("MQTT         {address}, {:?}", config.mqtt.version),
    });
    for translator in &config.translators {
        let artifact = translator.artifact.as_ref().map_or_else(
            || format!("built in, or {}/{}.wasm", config.plugins.directory.display(), translator.name),
            |file| file.display().to_string(),
        );
        lines.push(format!("translator   {}: {artifact}", translator.name));
    }
    for route in &config.routes {
        lines.push(format!("route        {} -> {}", route.endpoints, route.translators.join(", ")));
    }
    if let Some(first) = config.translators.first() {
        lines.push(format!(
            "route        * -> {}, unless a translator in the plugin folder claims it",
            first.name
        ));
    }
    lines.push(format!(
        "models       built in, and {} (files: {}, definitions: {})",
        config.models.directory.display(),
        models.files,
        models.definitions
    ));
    lines.join("\n")
}

/// What `--version` says.
const BUILD: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nminimum Rust: ",
    env!("CARGO_PKG_RUST_VERSION"),
    "\ncontract:     tidegate:translator@1.1.0",
);

#[cfg(test)]
mod tests;
