//! `tidegate credentials`: the file that says who may connect over DTLS, from the command line.
//!
//! What is added is printed as the client needs it ([`settings`]); what is there is never printed with its key.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tidegate_dtls::credential::{Key, Mode};
use zeroize::Zeroizing;

use self::generate::KeyPair;
use self::settings::Address;
use super::ConfigFile;
use crate::credential::{self, Edit, Entry, Format, Reading, Selection};

mod generate;
mod settings;

/// `tidegate credentials`
#[derive(Args, Debug)]
pub(super) struct Credentials {
    #[command(subcommand)]
    action: Action,
    /// Credentials file; without it, that of the configuration
    #[arg(long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Configuration file; without it, tidegate.toml of the current folder if there is one, else the defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a client, or the gateway's own key, and say how the client is set up
    #[command(subcommand)]
    Add(Add),
    /// Say who may connect, without any key
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove clients, which ends their sessions
    Remove(Remove),
    /// Add the pre-shared keys of another server: all of them or, if one is wrong, none
    Import(Import),
}

#[derive(Debug, Subcommand)]
enum Add {
    /// A client with a pre-shared key
    Psk(Psk),
    /// A client with a raw public key
    RawPublicKey(RawPublicKey),
    /// The key that the gateway shows to clients with raw public keys or certificates
    ServerKey(ServerKey),
}

#[derive(Args, Debug)]
struct Psk {
    /// The name that the client registers with
    #[arg(long)]
    endpoint: String,
    /// PSK identity; without it, the endpoint
    #[arg(long)]
    identity: Option<String>,
    /// The key as hex digits; without it, 16 random bytes
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// Where the client reaches the gateway, for the settings that are printed
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<String>,
}

#[derive(Args, Debug)]
struct RawPublicKey {
    /// The name that the client registers with
    #[arg(long)]
    endpoint: String,
    /// The client's public key: a PEM or DER file, or base64 of the SubjectPublicKeyInfo; without it, a key pair is made
    #[arg(long, value_name = "FILE|BASE64")]
    public_key: Option<String>,
    /// Where the client reaches the gateway, for the settings that are printed
    #[arg(long, value_name = "HOST[:PORT]")]
    server: Option<String>,
}

#[derive(Args, Debug)]
struct ServerKey {
    /// Make a self-signed certificate, too, which clients with certificates need
    #[arg(long)]
    certificate: bool,
    /// Whom the certificate names: the host name that clients connect to
    #[arg(long, value_name = "HOST", default_value = "tidegate", requires = "certificate")]
    name: String,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Remove {
    /// All credentials of this endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// The pre-shared key with this identity
    #[arg(long)]
    identity: Option<String>,
}

#[derive(Args, Debug)]
struct Import {
    /// Lines of `endpoint,identity,key` or of `identity:key`
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// How the lines are written; without it, the first one tells
    #[arg(long, value_enum)]
    format: Option<Lines>,
    /// Keys are not hex digits, but text that is the key itself, as EMQX takes it
    #[arg(long)]
    text_keys: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lines {
    /// endpoint,identity,key
    Csv,
    /// identity:key
    Psk,
}

/// Does what was asked for, and prints what came of it.
pub(super) fn run(of: &Credentials) -> anyhow::Result<()> {
    let config = ConfigFile { config: of.config.clone() };
    let config = match (&of.config, &of.file) {
        // No configuration is needed to edit a file that is named.
        (None, Some(_)) => config.load().unwrap_or_default(),
        _ => config.load()?,
    };
    let file = of.file.as_ref().unwrap_or(&config.dtls.credentials);
    let port = config.dtls.listen.first().map_or(COAPS, |address| address.port());
    match &of.action {
        Action::Add(Add::Psk(psk)) => add_psk(file, psk, port),
        Action::Add(Add::RawPublicKey(key)) => add_raw_public_key(file, key, port),
        Action::Add(Add::ServerKey(key)) => add_server_key(file, key),
        Action::List { json } => list(file, *json),
        Action::Remove(which) => remove(file, which),
        Action::Import(what) => import(file, what),
    }
}

fn add_psk(file: &Path, psk: &Psk, port: u16) -> anyhow::Result<()> {
    let key = match &psk.key {
        Some(hex) => credential::key(hex).map_err(|wrong| anyhow::anyhow!("--key {wrong}"))?,
        None => random_key()?,
    };
    let identity = psk.identity.as_ref().unwrap_or(&psk.endpoint);
    let mut edit = Edit::begin(file)?;
    edit.add_psk(identity, key.expose(), &psk.endpoint);
    warn(&edit.commit()?);
    let server = Address::new(psk.server.as_deref(), port);
    let settings = settings::psk(&server, &psk.endpoint, identity, key.expose());
    print(&format!(
        "Added to {}: a pre-shared key of {} bytes.\n\n{}",
        file.display(),
        key.expose().len(),
        *settings
    ))
}

fn random_key() -> anyhow::Result<Key> {
    let mut bytes = Zeroizing::new([0; NEW_PSK]);
    getrandom::fill(bytes.as_mut_slice()).context("the system has no random bytes")?;
    Ok(Key::new(Box::<[u8]>::from(bytes.as_slice())))
}

fn add_raw_public_key(file: &Path, typed: &RawPublicKey, port: u16) -> anyhow::Result<()> {
    let given = typed.public_key.as_deref().map(public_key).transpose()?;
    let mut edit = Edit::begin(file)?;
    let pair = match &given {
        Some(_) => None,
        None => Some(KeyPair::new()?),
    };
    let spki = match (&given, &pair) {
        (Some(spki), _) => spki.clone(),
        (None, Some(pair)) => pair.public_key()?,
        (None, None) => Vec::new(),
    };
    edit.add_raw_public_key(&STANDARD.encode(&spki), &typed.endpoint);
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    // The files first: a client whose key is nowhere could not connect.
    let written = pair.map(|pair| pair.write_der(folder, &typed.endpoint)).transpose()?;
    let reading = match edit.commit() {
        Ok(reading) => reading,
        Err(error) => {
            written.iter().for_each(generate::Written::undo);
            return Err(error.into());
        }
    };
    warn(&reading);
    let server_key = reading.credentials.public_key().context("the gateway has no key of its own")?;
    let server_file = folder.join("server.pub.der");
    generate::write_public(&server_file, &server_key)?;
    let server = Address::new(typed.server.as_deref(), port);
    let files = settings::Files { client: written.as_ref(), server: &server_file };
    let settings = settings::raw_public_key(&server, &typed.endpoint, &spki, &server_key, &files);
    print(&format!("Added to {}: a raw public key.\n\n{settings}", file.display()))
}

/// The DER of what is a file or else base64.
fn public_key(typed: &str) -> anyhow::Result<Vec<u8>> {
    let outcome = match std::fs::read(typed) {
        Ok(bytes) => credential::public_key_from_file(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            credential::public_key(typed.trim()).map_err(|wrong| format!("is no file and {wrong}"))
        }
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    outcome.map_err(|wrong| anyhow::anyhow!("--public-key {typed} {wrong}"))
}

fn add_server_key(file: &Path, typed: &ServerKey) -> anyhow::Result<()> {
    let mut edit = Edit::begin(file)?;
    let certificate = typed.certificate.then_some("server.pem");
    edit.add_server("server.key", certificate)?;
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let pair = KeyPair::new()?;
    let written = pair.write_pem(folder, certificate.map(|_| typed.name.as_str()))?;
    match edit.commit() {
        Ok(reading) => warn(&reading),
        Err(error) => {
            written.undo();
            return Err(error.into());
        }
    }
    let spki = pair.public_key()?;
    let mut text = format!("Added to {}: a key of the gateway. Written:\n{written}", file.display());
    text += &format!(
        "\nThe public key that clients check, as base64 of its SubjectPublicKeyInfo:\n  {}\n",
        STANDARD.encode(spki)
    );
    print(&text)
}

fn list(file: &Path, as_json: bool) -> anyhow::Result<()> {
    let entries = credential::list(file)?;
    if as_json {
        let entries: Vec<_> = entries
            .iter()
            .map(|of| json!({ "mode": mode(of.mode), "identity": of.identity, "endpoint": of.endpoint }))
            .collect();
        return print(&format!("{}\n", serde_json::to_string_pretty(&entries)?));
    }
    print(&table(&entries))
}

fn table(entries: &[Entry]) -> String {
    let mut rows = vec![["mode", "identity", "endpoint"]];
    rows.extend(entries.iter().map(|of| {
        [mode(of.mode), of.identity.as_deref().unwrap_or("-"), of.endpoint.as_deref().unwrap_or("-")]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (first, second) = (width(0), width(1));
    rows.iter()
        .map(|[mode, identity, endpoint]| format!("{mode:first$}  {identity:second$}  {endpoint}\n"))
        .collect()
}

fn mode(of: Mode) -> &'static str {
    match of {
        Mode::Psk => "psk",
        Mode::RawPublicKey => "raw-public-key",
        Mode::X509 => "x509",
    }
}

fn remove(file: &Path, which: &Remove) -> anyhow::Result<()> {
    let (selection, name) = match (&which.endpoint, &which.identity) {
        (Some(endpoint), _) => (Selection::Endpoint(endpoint.clone()), format!("the endpoint {endpoint:?}")),
        (None, Some(identity)) => {
            (Selection::Identity(identity.clone()), format!("the identity {identity:?}"))
        }
        (None, None) => anyhow::bail!("--endpoint or --identity is missing"),
    };
    // A file that is not there would be begun.
    anyhow::ensure!(file.exists(), "there is no {}", file.display());
    let mut edit = Edit::begin(file)?;
    let count = edit.remove(&selection)?;
    anyhow::ensure!(count > 0, "{} has no credential of {name}", file.display());
    warn(&edit.commit()?);
    let credentials = if count == 1 { "credential" } else { "credentials" };
    print(&format!("Removed from {}: {count} {credentials} of {name}.\n", file.display()))
}

fn import(file: &Path, what: &Import) -> anyhow::Result<()> {
    let format = what.format.map(|lines| match lines {
        Lines::Csv => Format::Csv,
        Lines::Psk => Format::Psk,
    });
    let text = std::fs::read_to_string(&what.from).with_context(|| what.from.display().to_string())?;
    let text = Zeroizing::new(text);
    let imported = credential::import(&text, &what.from, format, what.text_keys)?;
    let mut edit = Edit::begin(file)?;
    for psk in &imported {
        edit.add_psk(&psk.identity, psk.key.expose(), &psk.endpoint);
    }
    let committed = edit.commit().map_err(|error| anyhow::anyhow!("{error}\nnothing is imported"))?;
    warn(&committed);
    print(&format!("Added to {}: {} pre-shared keys.\n", file.display(), imported.len()))
}

fn warn(reading: &Reading) {
    for warning in &reading.warnings {
        eprintln!("tidegate: warning: {warning}");
    }
}

/// To standard output, whose reader may have seen enough.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The port of CoAP over DTLS (RFC 7252 section 12.7).
const COAPS: u16 = 5684;
/// Bytes of a new pre-shared key: as many as the keys of the suites have.
const NEW_PSK: usize = 16;
