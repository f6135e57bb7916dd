//! The operations that carry no values.

use tidegate_sdk::{
    CancelMode, CancelObservation, Delete, Discover, Execute, Observe, Operation, Read, WriteAttributes,
};

use super::Refusal;
use super::data::{Data, Target};
use crate::context::Command;
use crate::settings::Settings;

/// The operation of a command.
pub(super) fn operation(
    settings: &Settings,
    command: Command,
    data: &Data<'_>,
) -> Result<Operation, Refusal> {
    let target = Target::parse(&data.required_text("path")?)?;
    let (path, queries) = (target.path(), target.queries);
    Ok(match command {
        Command::Read => Operation::Read(Read { path, queries, accept: None }),
        Command::Discover => Operation::Discover(Discover { path, queries, depth: None }),
        Command::Observe => Operation::Observe(Observe { path, queries, accept: None }),
        Command::CancelObserve => {
            Operation::CancelObservation(CancelObservation { path, queries, mode: CancelMode::Active })
        }
        Command::Delete => Operation::Delete(Delete { path, queries }),
        Command::Execute => {
            let arguments = if settings.is_strict() { data.text("args") } else { data.text_or_null("args") }?;
            let arguments = arguments.filter(|arguments| arguments != "undefined");
            Operation::Execute(Execute { path, queries, arguments })
        }
        _ => Operation::WriteAttributes(WriteAttributes { path, values: attributes(settings, data)? }),
    })
}

/// `pmin` and the like, in EMQX's order. `null` is passed over; in `fixed` numbers are taken, as EMQX's documentation has
/// them, and an empty text takes the attribute away (core 1.2.1, 7.3.2).
fn attributes(settings: &Settings, data: &Data<'_>) -> Result<Vec<(String, Option<String>)>, Refusal> {
    let is_strict = settings.is_strict();
    let names: &[&str] = if is_strict { &ATTRIBUTES[..5] } else { &ATTRIBUTES };
    let mut values = Vec::new();
    for name in names {
        let Some(json) = data.get(name).filter(|json| *json != "null") else { continue };
        let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let value = match serde_json::from_str::<String>(json) {
            Ok(text) if text.is_empty() && !is_strict => None,
            Ok(text) => Some(text),
            Err(_) if is_number && !is_strict => Some(json.to_owned()),
            Err(_) => return Err(format!("data.{name} is neither a text nor a number: {json}").into()),
        };
        values.push(((*name).to_owned(), value));
    }
    Ok(values)
}

/// In the order in which EMQX sends them, then those that it does not know.
const ATTRIBUTES: [&str; 10] = ["gt", "lt", "pmax", "pmin", "st", "epmin", "epmax", "edge", "con", "hqmax"];
