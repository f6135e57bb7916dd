//! `tidegate status` and `tidegate translator`: how a running gateway is, and which generation of a translator serves.

use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value as Json;

use super::grid::{Grid, plain};
use super::remote::{Gateway, Remote, segment};

/// `tidegate status`
#[derive(Args, Debug)]
pub(super) struct Status {
    #[command(flatten)]
    remote: Remote,
}

/// `tidegate translator`
#[derive(Args, Debug)]
pub(super) struct Translator {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the translators that serve, and what became of the last reload of each
    List,
    /// Read a translator's file again, as when it changes
    Reload(Name),
    /// Go back to the generation before
    Revert(Name),
}

#[derive(Args, Debug)]
struct Name {
    /// The translator's name in the configuration
    name: String,
}

/// Prints how the gateway is.
///
/// # Errors
/// The gateway is not there, or refuses.
pub(super) async fn status(options: &Status) -> anyhow::Result<()> {
    let status = get(&options.remote.gateway()?, "/api/v1/status").await?;
    print!("{}", if options.remote.json { format!("{status}\n") } else { told(&status) });
    Ok(())
}

/// Runs it.
///
/// # Errors
/// The gateway is not there or refuses: a translator that cannot serve is refused with its reason.
pub(super) async fn translator(options: &Translator) -> anyhow::Result<()> {
    let gateway = options.remote.gateway()?;
    let answer = match &options.action {
        Action::List => get(&gateway, "/api/v1/translators").await?,
        Action::Reload(of) => change(&gateway, &of.name, "reload").await?,
        Action::Revert(of) => change(&gateway, &of.name, "revert").await?,
    };
    if options.remote.json {
        println!("{answer}");
    } else {
        let one = std::slice::from_ref(&answer);
        print!("{}", translators(answer["data"].as_array().map_or(one, Vec::as_slice)));
    }
    Ok(())
}

async fn get(gateway: &Gateway, path: &str) -> anyhow::Result<Json> {
    gateway.ask(Method::GET, path, None, SOON).await.map(|(_, answer)| answer)
}

async fn change(gateway: &Gateway, name: &str, how: &str) -> anyhow::Result<Json> {
    let path = format!("/api/v1/translators/{}/{how}", segment(name));
    gateway.ask(Method::POST, &path, None, COMPILED).await.map(|(_, answer)| answer)
}

fn translators(data: &[Json]) -> String {
    let mut grid = Grid::new(&["NAME", "STATE", "GENERATION", "SINCE", "CALLS", "FAULTS", "LAST REJECTION"]);
    for of in data {
        let totals = &of["totals"];
        let rejection = &of["last_rejection"];
        let rejection = [text(&rejection["at"]), text(&rejection["reason"])].join(" ");
        let mut cells = ["name", "state", "generation", "since"].map(|key| text(&of[key])).to_vec();
        cells.extend([text(&totals["calls"]), text(&totals["faults"]), rejection.trim().to_owned()]);
        grid.push(cells);
    }
    grid.render()
}

/// The groups of the status, a line for each of their fields.
fn told(status: &Json) -> String {
    let mut out = String::new();
    for (name, value) in status.as_object().into_iter().flatten() {
        match value {
            Json::Object(fields) => {
                for (field, value) in fields {
                    line(&mut out, &format!("{name} {field}"), value);
                }
            }
            value => line(&mut out, name, value),
        }
    }
    out
}

fn line(out: &mut String, name: &str, value: &Json) {
    let value = match value {
        Json::Null => return,
        Json::Object(fields) if fields.is_empty() => return,
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", text(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
        Json::Array(items) if items.is_empty() => return,
        Json::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        value => text(value),
    };
    let name = name.replace(['_', '-'], " ");
    out.push_str(&format!("{name:<26} {}\n", plain(&value)));
}

fn text(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const SOON: Duration = Duration::from_secs(15);
/// A large script is compiled before the answer comes.
const COMPILED: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_a_line_for_each_thing_that_is_known() {
        let status = json!({
            "version": "0.1.0",
            "mqtt": { "connected": true, "error": null, "refused-subscriptions": [] },
            "load": { "dropped": { "coap": 3 } },
            "translators": ["emqx", "mine"],
        });
        let expected = [
            ("load dropped", "coap: 3"),
            ("mqtt connected", "true"),
            ("translators", "emqx, mine"),
            ("version", "0.1.0"),
        ];
        let expected: String = expected.map(|(name, value)| format!("{name:<26} {value}\n")).concat();
        let mut lines: Vec<String> = told(&status).lines().map(|line| format!("{line}\n")).collect();
        lines.sort();
        assert_eq!(lines.concat(), expected);
    }

    #[test]
    fn a_rejection_is_told_beside_its_translator() {
        let rejected = json!({ "at": "2026-11-24T10:00:00Z", "reason": "compiled: no component" });
        let of = json!({ "name": "mine", "state": "serving", "generation": 3, "since": "2026-11-24T09:00:00Z",
            "totals": { "calls": 7, "faults": 1 }, "last_rejection": rejected });
        let text = translators(&[of]);
        assert!(text.contains("mine  serving  3"), "{text}");
        assert!(text.trim_end().ends_with("2026-11-24T10:00:00Z compiled: no component"), "{text}");
    }
}
