//! Writing into a case what came out.

use serde_json::Value;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value as Toml};

use crate::bytes::Bytes;
use crate::expect::split;
use crate::{Case, CaseError, Outcome, short};

/// See [`Case::bless`].
pub(crate) fn bless(text: &str, outcomes: &[Outcome]) -> Result<String, CaseError> {
    let case = Case::parse(text, "case")?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| CaseError {
        file: "case".to_owned(),
        line: 0,
        message: error.message().to_owned(),
    })?;
    let is_met = |at: usize| case.steps[at].check(&outcomes[at]).is_ok();
    let steps = document.get_mut("step").and_then(Item::as_array_of_tables_mut);
    match steps {
        Some(steps) => {
            for (at, table) in steps.iter_mut().enumerate().take(outcomes.len()) {
                if !is_met(at) {
                    replace(table, &outcomes[at], &case.steps[at].expected.payloads());
                }
            }
        }
        None if !outcomes.is_empty() && !is_met(0) => {
            replace(document.as_table_mut(), &outcomes[0], &case.steps[0].expected.payloads());
        }
        None => {}
    }
    Ok(document.to_string())
}

fn replace(table: &mut Table, outcome: &Outcome, alike: &[Bytes]) {
    for key in ["publish", "perform", "expect"] {
        table.remove(key);
    }
    match outcome {
        Outcome::Fault { kind, text } => {
            let mut expect = Table::new();
            expect.insert("fault", Item::Value(kind.as_str().into()));
            expect.insert("text", Item::Value(text.as_str().into()));
            table.insert("expect", Item::Table(expect));
        }
        Outcome::Actions(actions) => {
            let (messages, requests) = split(actions);
            let messages = messages.iter().enumerate();
            let messages: Vec<_> = messages.map(|(at, of)| short::publish(of, alike.get(at))).collect();
            insert(table, "publish", &messages);
            insert(table, "perform", &requests.iter().map(|of| short::perform(of)).collect::<Vec<_>>());
        }
    }
}

fn insert(table: &mut Table, key: &str, entries: &[Value]) {
    if entries.is_empty() {
        return;
    }
    let mut tables = ArrayOfTables::new();
    for entry in entries {
        let mut of = Table::new();
        for (key, value) in entry.as_object().into_iter().flatten() {
            // What TOML cannot say is JSON in a text.
            let is_text = key == "json" && (value.is_string() || !is_toml(value));
            let value = if is_text { value.to_string().into() } else { toml(value) };
            of.insert(key, Item::Value(value));
        }
        tables.push(of);
    }
    table.insert(key, Item::ArrayOfTables(tables));
}

/// Without null and without numbers beyond 64 bits with a sign.
fn is_toml(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::Array(list) => list.iter().all(is_toml),
        Value::Object(fields) => fields.values().all(is_toml),
        Value::Bool(_) | Value::String(_) => true,
    }
}

fn toml(value: &Value) -> Toml {
    match value {
        Value::Null => "".into(),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None if number.is_u64() => number.to_string().into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => Toml::Array(list.iter().map(toml).collect::<Array>()),
        Value::Object(fields) => {
            Toml::InlineTable(fields.iter().map(|(key, value)| (key, toml(value))).collect::<InlineTable>())
        }
    }
}
