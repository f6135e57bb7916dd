//! What the gateway answers, as people read it.

use serde_json::Value as Json;

use super::super::grid::{Grid, plain};

/// A page of clients.
pub(super) fn clients(clients: &[Json], meta: &Json, is_all: bool) -> String {
    let mut grid = Grid::new(&["ENDPOINT", "ADDRESS", "TRANSPORT", "LWM2M", "LIFETIME", "STATE", "UPDATED"]);
    for client in clients {
        let state = match (client["queue_mode"].as_bool(), client["awake"].as_bool()) {
            (Some(true), Some(true)) => "awake",
            (Some(true), Some(false)) => "asleep",
            _ => "",
        };
        let lifetime =
            client["lifetime_s"].as_u64().map(|seconds| format!("{seconds} s")).unwrap_or_default();
        let updated = text(&client["updated_at"]);
        let fields =
            [&client["endpoint"], &client["address"], &client["transport"], &client["lwm2m_version"]];
        let mut cells: Vec<String> = fields.into_iter().map(text).collect();
        cells.extend([lifetime, state.to_owned(), updated]);
        grid.push(cells);
    }
    let count = meta["count"].as_u64().unwrap_or(clients.len() as u64);
    let page = meta["page"].as_u64().unwrap_or(1);
    let mut out = grid.render();
    let more =
        if meta["has_next"] == true { format!("; --page {} has more", page + 1) } else { String::new() };
    out.push_str(&match is_all {
        true => format!("{count} clients\n"),
        false => format!("{} of {count} clients{more}\n", clients.len()),
    });
    out
}

/// A client with all that is known of it.
pub(super) fn client(client: &Json, observations: &Json, queue: &Json) -> String {
    let mut out = String::new();
    let fields = [
        ("endpoint", "endpoint"),
        ("address", "address"),
        ("transport", "transport"),
        ("identity", "identity"),
        ("LwM2M", "lwm2m_version"),
        ("binding", "binding"),
        ("queue mode", "queue_mode"),
        ("awake", "awake"),
        ("lifetime, s", "lifetime_s"),
        ("registered", "registered_at"),
        ("updated", "updated_at"),
        ("heard", "heard_at"),
        ("expires", "expires_at"),
        ("location", "location"),
    ];
    for (name, key) in fields {
        let value = text(&client[key]);
        if !value.is_empty() {
            out.push_str(&format!("{name:<12} {}\n", plain(&value)));
        }
    }
    let names: Vec<String> = items(&client["translators"]).iter().map(text).collect();
    out.push_str(&format!("{:<12} {}\n", "translators", names.join(", ")));
    let mut grid = Grid::new(&["OBJECT", "VERSION", "INSTANCES", "NAME"]);
    for object in items(&client["objects"]) {
        let instances: Vec<String> = items(&object["instances"]).iter().map(text).collect();
        grid.push(vec![
            text(&object["id"]),
            text(&object["version"]),
            instances.join(","),
            text(&object["name"]),
        ]);
    }
    out.push('\n');
    out.push_str(&grid.render());
    out.push_str(&section("OBSERVED", &["PATHS", "ASKED BY"], observations, |of| {
        let paths: Vec<String> = items(&of["paths"]).iter().map(text).collect();
        vec![paths.join(" "), text(&of["asked_by"])]
    }));
    out.push_str(&section("WAITING", &["OPERATION", "PATH", "EXPIRES"], queue, |of| {
        vec![text(&of["operation"]), text(&of["path"]), text(&of["expires_at"])]
    }));
    out
}

fn section(
    title: &str,
    headings: &[&'static str],
    data: &Json,
    cells: impl Fn(&Json) -> Vec<String>,
) -> String {
    if items(data).is_empty() {
        return String::new();
    }
    let mut grid = Grid::new(headings);
    items(data).iter().for_each(|of| grid.push(cells(of)));
    format!("\n{title}\n{}", grid.render())
}

/// What came of an operation.
pub(super) fn outcome(of: &Json) -> String {
    let took = of["took_ms"].as_f64().map(|took| format!(", {took:.0} ms")).unwrap_or_default();
    let mut out = format!("{}{took}\n", text(&of["code"]));
    if let Some(location) = of["location"].as_str().filter(|location| !location.is_empty()) {
        out.push_str(&format!("created {}\n", plain(location)));
    }
    if !items(&of["links"]).is_empty() {
        let mut grid = Grid::new(&["LINK", "ATTRIBUTES"]);
        for link in items(&of["links"]) {
            let attributes = link["attributes"].as_object().into_iter().flatten();
            let attributes: Vec<String> =
                attributes.map(|(name, value)| format!("{name}={}", text(value))).collect();
            grid.push(vec![text(&link["target"]), attributes.join(" ")]);
        }
        out.push_str(&grid.render());
    } else if !items(&of["values"]).is_empty() {
        out.push_str(&values(&of["values"]));
    } else if let Some(content) = of["content"].as_object() {
        let shown = content.get("text").or_else(|| content.get("base64")).map(text).unwrap_or_default();
        if !shown.is_empty() {
            out.push_str(&format!("{}\n", plain(&shown)));
        }
    }
    out
}

/// A notification: a line for each value.
pub(super) fn notification(of: &Json) -> String {
    let at = text(&of["at"]);
    let line = |value: &Json| {
        let units = value["units"].as_str().map(|units| format!(" {units}")).unwrap_or_default();
        format!("{at}  {}  {}{}\n", text(&value["path"]), plain(&text(&value["value"])), plain(&units))
    };
    items(&of["values"]).iter().map(line).collect()
}

fn values(values: &Json) -> String {
    let mut grid = Grid::new(&["PATH", "NAME", "VALUE", "UNITS", "TYPE"]);
    for value in items(values) {
        let fields = [&value["path"], &value["name"], &value["value"], &value["units"], &value["type"]];
        grid.push(fields.into_iter().map(text).collect());
    }
    grid.render()
}

fn items(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A value without quotes; nothing for null.
fn text(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
