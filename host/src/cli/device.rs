//! `tidegate device`: the clients of a running gateway, seen and asked from the command line.
//!
//! Each command is a request to the gateway's API ([`remote`](super::remote)); [`told`] prints what comes back.

mod told;

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use hyper::{Method, StatusCode};
use serde_json::{Map, Value as Json, json};

use super::Exit;
use super::remote::{Gateway, Refused, Remote, segment};

/// `tidegate device`
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Device {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List registered clients
    List(List),
    /// Show a client: its registration, its objects, what it is observed at and what waits for it
    Show(Endpoint),
    /// Read a path, or several at once
    Read(Read),
    /// Write a value
    Write(Write),
    /// Execute a resource
    Execute(Execute),
    /// Create an object instance
    Create(Create),
    /// Delete an object instance or a resource instance
    Delete(At),
    /// Discover what is below a path, and its attributes
    Discover(At),
    /// Observe a path, and print what comes until Ctrl-C
    Observe(Observe),
    /// End a client's registration; it registers anew with its next Update
    Remove(Endpoint),
}

#[derive(Args, Debug)]
struct List {
    /// Only those whose endpoint name or address contains this
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those that have this object
    #[arg(long, value_name = "ID")]
    object: Option<u16>,
    /// Only those that speak UDP or DTLS
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// By endpoint, address, lifetime_s, registered_at or updated_at; with `-` before it downwards
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Which page
    #[arg(long, default_value_t = 1, conflicts_with = "all")]
    page: u32,
    /// Clients on a page
    #[arg(long, default_value_t = 50, conflicts_with = "all")]
    limit: u32,
    /// All pages
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Transport {
    Udp,
    Dtls,
}

#[derive(Args, Debug)]
struct Endpoint {
    /// The name that the client has registered with
    endpoint: String,
}

/// How long to wait. A client in queue mode may wake up much later: the request waits for it all the same.
#[derive(Args, Clone, Copy, Debug)]
struct Patience {
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
}

#[derive(Args, Debug)]
struct At {
    /// The name that the client has registered with
    endpoint: String,
    /// Such as /3/0
    #[arg(value_parser = path)]
    path: String,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args, Debug)]
struct Read {
    /// The name that the client has registered with
    endpoint: String,
    /// Such as /3/0/9; several are read as one, which clients of LwM2M 1.1 can
    #[arg(required = true, value_parser = path)]
    paths: Vec<String>,
    /// Content-Format that is asked for: a number, or text, tlv, json, cbor, senml-json, senml-cbor, opaque
    #[arg(long)]
    format: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args, Debug)]
struct Write {
    /// The name that the client has registered with
    endpoint: String,
    /// A resource or a resource instance, such as /3/0/14
    #[arg(value_parser = path)]
    path: String,
    /// The value: read as JSON if it is some (21.5, true, "text"), else as text
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// Take the value as text, whatever it looks like
    #[arg(long)]
    text: bool,
    /// Content-Format: a number, or text, tlv, json, cbor, senml-json, senml-cbor, opaque
    #[arg(long)]
    format: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args, Debug)]
struct Execute {
    /// The name that the client has registered with
    endpoint: String,
    /// An executable resource, such as /3/0/4
    #[arg(value_parser = path)]
    path: String,
    /// Arguments (LwM2M core 1.2.1, 6.3.5), such as "0='http://x',1"
    arguments: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args, Debug)]
struct Create {
    /// The name that the client has registered with
    endpoint: String,
    /// An object, or the instance that it is to become, such as /3311/7
    #[arg(value_parser = path)]
    path: String,
    /// A resource of the new instance and its value, such as 5850=true
    #[arg(value_name = "RESOURCE=VALUE", value_parser = resource)]
    values: Vec<(u16, Json)>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args, Debug)]
struct Observe {
    /// The name that the client has registered with
    endpoint: String,
    /// Such as /3303/0/5700
    #[arg(value_parser = path)]
    path: String,
    /// End after so many notifications
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Leave the observation in place at the end
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    patience: Patience,
}

/// Runs it.
///
/// # Errors
/// What the gateway says is wrong, or an [`Exit`] with a code of its own: see `--help`.
pub(super) async fn run(options: &Device) -> anyhow::Result<()> {
    let gateway = options.remote.gateway()?;
    let is_json = options.remote.json;
    match &options.action {
        Action::List(list) => self::list(&gateway, list, is_json).await,
        Action::Show(of) => show(&gateway, &of.endpoint, is_json).await,
        Action::Remove(of) => remove(&gateway, &of.endpoint).await,
        Action::Observe(of) => observe(&gateway, of, is_json).await,
        Action::Read(of) => perform(&gateway, &of.endpoint, of.patience, &read(of), is_json).await,
        Action::Write(of) => perform(&gateway, &of.endpoint, of.patience, &write(of), is_json).await,
        Action::Execute(of) => perform(&gateway, &of.endpoint, of.patience, &execute(of), is_json).await,
        Action::Create(of) => perform(&gateway, &of.endpoint, of.patience, &create(of), is_json).await,
        Action::Delete(of) => {
            let body = json!({ "operation": "delete", "path": of.path });
            perform(&gateway, &of.endpoint, of.patience, &body, is_json).await
        }
        Action::Discover(of) => {
            let body = json!({ "operation": "discover", "path": of.path });
            perform(&gateway, &of.endpoint, of.patience, &body, is_json).await
        }
    }
}

async fn list(gateway: &Gateway, list: &List, is_json: bool) -> anyhow::Result<()> {
    let mut query = String::new();
    let mut add = |name: &str, value: &str| query.push_str(&format!("&{name}={}", segment(value)));
    if let Some(search) = &list.search {
        add("search", search);
    }
    if let Some(object) = list.object {
        add("object", &object.to_string());
    }
    if let Some(transport) = list.transport {
        add("transport", if matches!(transport, Transport::Udp) { "udp" } else { "dtls" });
    }
    if let Some(sort) = &list.sort {
        add("sort", sort);
    }
    let limit = if list.all { LARGEST_PAGE } else { list.limit };
    let mut page = list.page;
    let mut clients = Vec::new();
    loop {
        let path = format!("/api/v1/clients?page={page}&limit={limit}{query}");
        let (_, mut answer) = gateway.ask(Method::GET, &path, None, SOON).await?;
        if let Json::Array(data) = answer["data"].take() {
            clients.extend(data);
        }
        let meta = answer["meta"].take();
        if list.all && meta["has_next"] == true {
            page += 1;
            continue;
        }
        return match is_json {
            true => print_json(&json!({ "data": clients, "meta": meta })),
            false => print(&told::clients(&clients, &meta, list.all)),
        };
    }
}

async fn show(gateway: &Gateway, endpoint: &str, is_json: bool) -> anyhow::Result<()> {
    let base = format!("/api/v1/clients/{}", segment(endpoint));
    let get = async |path: &str| gateway.ask(Method::GET, path, None, SOON).await.map(|(_, answer)| answer);
    let mut client = get(&base).await?;
    let observations = get(&format!("{base}/observations")).await?;
    let queue = get(&format!("{base}/queue")).await?;
    if is_json {
        client["observations"] = observations["data"].clone();
        client["queue"] = queue["data"].clone();
        return print_json(&client);
    }
    print(&told::client(&client, &observations["data"], &queue["data"]))
}

async fn remove(gateway: &Gateway, endpoint: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/clients/{}", segment(endpoint));
    gateway.ask(Method::DELETE, &path, None, SOON).await?;
    Ok(())
}

fn read(of: &Read) -> Json {
    let mut body = match of.paths.as_slice() {
        [path] => json!({ "operation": "read", "path": path }),
        paths => json!({ "operation": "read-composite", "paths": paths }),
    };
    set_format(&mut body, of.format.as_deref());
    body
}

fn write(of: &Write) -> Json {
    let value = if of.text { Json::String(of.value.clone()) } else { value(&of.value) };
    let mut body = json!({ "operation": "write", "path": of.path, "value": value });
    set_format(&mut body, of.format.as_deref());
    body
}

fn execute(of: &Execute) -> Json {
    let mut body = json!({ "operation": "execute", "path": of.path });
    if let Some(arguments) = &of.arguments {
        body["arguments"] = arguments.as_str().into();
    }
    body
}

fn create(of: &Create) -> Json {
    let values: Map<String, Json> =
        of.values.iter().map(|(id, value)| (id.to_string(), value.clone())).collect();
    json!({ "operation": "create", "path": of.path, "values": values })
}

fn set_format(body: &mut Json, format: Option<&str>) {
    if let Some(format) = format {
        body["format"] = format.parse::<u16>().map_or_else(|_| format.into(), Json::from);
    }
}

async fn perform(
    gateway: &Gateway,
    endpoint: &str,
    patience: Patience,
    body: &Json,
    is_json: bool,
) -> anyhow::Result<()> {
    let outcome = ask(gateway, endpoint, patience, body).await?;
    match is_json {
        true => print_json(&outcome)?,
        false => print(&told::outcome(&outcome))?,
    }
    if outcome["success"] == false {
        let code = outcome["code"].as_str().unwrap_or_default();
        return Err(Exit::new(REFUSED, format!("{endpoint} has answered {code}")).into());
    }
    Ok(())
}

async fn ask(gateway: &Gateway, endpoint: &str, patience: Patience, body: &Json) -> anyhow::Result<Json> {
    let Patience { timeout } = patience;
    let path = format!("/api/v1/clients/{}/operations?timeout={timeout}", segment(endpoint));
    // The gateway waits so long itself; it says more about what has not come than we could.
    let within = Duration::from_secs(timeout) + SOON;
    match gateway.ask(Method::POST, &path, Some(body), within).await {
        Ok((StatusCode::ACCEPTED, answer)) => {
            let id = answer["id"].as_str().map_or_else(|| answer["id"].to_string(), str::to_owned);
            let text = format!("{endpoint} sleeps: the request waits for it as operation {id}");
            Err(Exit::new(WAITING, text).into())
        }
        Ok((_, outcome)) => Ok(outcome),
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.status == StatusCode::GATEWAY_TIMEOUT => {
                Err(Exit::new(LATE, format!("{error:#}")).into())
            }
            _ => Err(error),
        },
    }
}

/// The stream comes first, so that no notification is missed.
async fn observe(gateway: &Gateway, of: &Observe, is_json: bool) -> anyhow::Result<()> {
    let path = format!("/api/v1/events?types=notified&endpoint={}", segment(&of.endpoint));
    let mut events = gateway.follow(&path).await?;
    let body = json!({ "operation": "observe", "path": of.path });
    perform(gateway, &of.endpoint, of.patience, &body, is_json).await?;
    let mut left = of.count;
    let outcome = loop {
        if left == Some(0) {
            break Ok(());
        }
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => break Ok(()),
        };
        let Some(event) = event? else {
            break Err(anyhow::anyhow!("the gateway has ended the stream of events"));
        };
        if !event.data["path"].as_str().is_some_and(|path| path == of.path) {
            continue;
        }
        match is_json {
            true => print_json(&event.data)?,
            false => print(&told::notification(&event.data))?,
        }
        left = left.map(|left| left - 1);
    };
    if !of.keep {
        let body = json!({ "operation": "cancel-observe", "path": of.path });
        ask(gateway, &of.endpoint, of.patience, &body).await.context("the observation has not been ended")?;
    }
    outcome
}

/// What was typed, as JSON if it is some.
fn value(typed: &str) -> Json {
    serde_json::from_str(typed).unwrap_or_else(|_| typed.into())
}

fn resource(typed: &str) -> Result<(u16, Json), String> {
    let (id, typed) = typed.split_once('=').ok_or("must be RESOURCE=VALUE, such as 5850=true")?;
    let id = id.parse().map_err(|_| format!("`{id}` is no number of a resource"))?;
    Ok((id, value(typed)))
}

/// An LwM2M path as it is written: `/`, or numbers behind slashes.
fn path(typed: &str) -> Result<String, String> {
    let wrong = || format!("`{typed}` is no path such as /3303/0/5700");
    let rest = typed.strip_prefix('/').ok_or_else(wrong)?;
    let numbers: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
    let is_path = numbers.len() <= 4 && numbers.iter().all(|number| number.parse::<u16>().is_ok());
    if is_path { Ok(typed.to_owned()) } else { Err(wrong()) }
}

/// Nobody reads any more when a pipe is closed, which is no fault.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn print_json(json: &Json) -> anyhow::Result<()> {
    print(&format!("{json}\n"))
}

/// For what the gateway knows itself.
const SOON: Duration = Duration::from_secs(15);
const LARGEST_PAGE: u32 = 1_000;
/// Codes that a script can tell apart.
const REFUSED: u8 = 3;
const LATE: u8 = 4;
const WAITING: u8 = 5;
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  an error: the gateway is not there, or refuses; it is printed
  2  wrong command line
  3  the client has answered with an error
  4  the client has not answered in time
  5  the client sleeps, and the request waits for it";

#[cfg(test)]
mod tests;
