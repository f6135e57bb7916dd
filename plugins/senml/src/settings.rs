//! The settings.

use serde_json::{Map, Value as Json};
use tidegate_sdk::{Diagnostic, Qos};

/// The configuration, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// First levels of every topic.
    pub(crate) prefix: String,
    pub(crate) qos: Qos,
    pub(crate) form: Form,
    /// Whether what a client has is observed.
    pub(crate) observe: bool,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each stands alone (RFC 8428, 4.6).
    Resolved,
    /// The first has base name and base time for all.
    Based,
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let wrong = |key: &str, text: String| Diagnostic { key: key.to_owned(), text };
        let given: Map<String, Json> = serde_json::from_str(text)
            .map_err(|error| vec![wrong("", format!("the settings are no JSON object: {error}"))])?;
        let mut problems = Vec::new();
        let mut settings =
            Self { prefix: "senml".into(), qos: Qos::AtMostOnce, form: Form::Resolved, observe: true };
        for (key, value) in &given {
            let is_right = match key.as_str() {
                "prefix" => set(&mut settings.prefix, prefix(value)),
                "qos" => set(&mut settings.qos, qos(value)),
                "form" => set(&mut settings.form, form(value)),
                "observe" => set(&mut settings.observe, value.as_bool()),
                _ => false,
            };
            if !is_right {
                problems.push(wrong(
                    key,
                    match EXPECTED.iter().find(|(known, _)| known == key) {
                        Some((_, expected)) => format!("{value} is not {expected}"),
                        None => "there is no such key; there are prefix, qos, form and observe".into(),
                    },
                ));
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

/// Whether there was something to set.
fn set<T>(place: &mut T, value: Option<T>) -> bool {
    let is_given = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    is_given
}

fn prefix(json: &Json) -> Option<String> {
    json.as_str().filter(|text| !text.is_empty() && !text.contains(['+', '#', '\0'])).map(str::to_owned)
}

fn qos(json: &Json) -> Option<Qos> {
    match json.as_u64()? {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        2 => Some(Qos::ExactlyOnce),
        _ => None,
    }
}

fn form(json: &Json) -> Option<Form> {
    match json.as_str()? {
        "resolved" => Some(Form::Resolved),
        "based" => Some(Form::Based),
        _ => None,
    }
}

const EXPECTED: [(&str, &str); 4] = [
    ("prefix", "a topic without wildcards"),
    ("qos", "0, 1 or 2"),
    ("form", "\"resolved\" or \"based\""),
    ("observe", "true or false"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_key_is_named_with_what_would_be_right() {
        let wrong =
            Settings::parse(r#"{"form":"short","foo":1,"observe":1,"prefix":"","qos":-1}"#).unwrap_err();
        let wrong: Vec<String> = wrong.into_iter().map(|of| format!("{}: {}", of.key, of.text)).collect();
        assert_eq!(
            wrong,
            [
                "foo: there is no such key; there are prefix, qos, form and observe",
                "form: \"short\" is not \"resolved\" or \"based\"",
                "observe: 1 is not true or false",
                "prefix: \"\" is not a topic without wildcards",
                "qos: -1 is not 0, 1 or 2",
            ]
        );
        assert!(Settings::parse("null").is_err());
    }
}
