//! The settings.

use serde_json::Value as Json;
use tidegate_sdk::settings::{Table, one_of, qos, topic};
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
        let mut wrong = Vec::new();
        let mut table = Table::of(text, &mut wrong);
        let settings = Self {
            prefix: table
                .read("prefix", "a topic without wildcards", topic)
                .unwrap_or_else(|| "senml".into()),
            qos: table.read("qos", "0, 1 or 2", qos).unwrap_or(Qos::AtMostOnce),
            form: table.read("form", "\"resolved\" or \"based\"", one_of(FORMS)).unwrap_or(Form::Resolved),
            observe: table.read("observe", "true or false", Json::as_bool).unwrap_or(true),
        };
        table.finish();
        if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
    }
}

const FORMS: &[(&str, Form)] = &[("resolved", Form::Resolved), ("based", Form::Based)];

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
                "prefix: \"\" is not a topic without wildcards",
                "qos: -1 is not 0, 1 or 2",
                "form: \"short\" is not \"resolved\" or \"based\"",
                "observe: 1 is not true or false",
                "foo: there is no such key; there are prefix, qos, form, observe",
            ]
        );
        assert!(Settings::parse("null").is_err());
    }
}
