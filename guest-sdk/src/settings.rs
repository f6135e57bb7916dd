//! Settings, with mistakes told by their keys.
//!
//! [`parse`] fills a type of your own by serde, and names the first mistake. A [`Table`] takes settings apart key by key,
//! and names all of them.

use std::ops::RangeBounds;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::{Diagnostic, Qos};

/// Settings as a type of your own, which serde fills. `deny_unknown_fields` tells of keys that there are none of.
///
/// ```
/// use tidegate_sdk::settings;
///
/// #[derive(Debug, Default, serde::Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Settings {
///     topic: String,
///     limits: Limits,
/// }
///
/// #[derive(Debug, Default, serde::Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Limits {
///     low: f64,
/// }
///
/// let settings: Settings = settings::parse(r#"{ "topic": "t", "limits": { "low": 1.5 } }"#).unwrap();
/// assert_eq!((settings.topic.as_str(), settings.limits.low), ("t", 1.5));
///
/// let wrong = settings::parse::<Settings>(r#"{ "limits": { "low": "cold" } }"#).unwrap_err();
/// assert_eq!(wrong[0].key, "limits.low");
/// assert!(wrong[0].text.contains("invalid type: string \"cold\", expected f64"));
/// let wrong = settings::parse::<Settings>(r#"{ "limits": { "hgih": 1 } }"#).unwrap_err();
/// assert_eq!(wrong[0].key, "limits.hgih");
/// ```
///
/// # Errors
/// The first mistake.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Diagnostic>> {
    let json: Json = serde_json::from_str(text).map_err(|error| vec![wrong("", error.to_string())])?;
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().to_string();
        // The whole is called `.`.
        let key = if path == "." { String::new() } else { path };
        vec![wrong(&key, error.inner().to_string())]
    })
}

/// One thing that is wrong with a key.
///
/// ```
/// let wrong = tidegate_sdk::settings::wrong("qos", "3 is not 0, 1 or 2");
/// assert_eq!((wrong.key.as_str(), wrong.text.as_str()), ("qos", "3 is not 0, 1 or 2"));
/// ```
pub fn wrong(key: &str, text: impl Into<String>) -> Diagnostic {
    Diagnostic { key: key.to_owned(), text: text.into() }
}

/// A table of settings, taken apart key by key. All that is wrong is gathered.
///
/// ```
/// use tidegate_sdk::Qos;
/// use tidegate_sdk::settings::{Table, qos, topic};
///
/// let mut wrong = Vec::new();
/// let mut table = Table::of(r#"{ "prefix": "a/#", "qos": 1, "colour": "red" }"#, &mut wrong);
/// let prefix = table.read("prefix", "a topic without wildcards", topic).unwrap_or_else(|| "up".into());
/// let qos = table.read("qos", "0, 1 or 2", qos).unwrap_or(Qos::AtMostOnce);
/// table.finish();
/// assert_eq!((prefix.as_str(), qos), ("up", Qos::AtLeastOnce));
/// let wrong: Vec<String> = wrong.into_iter().map(|of| format!("{}: {}", of.key, of.text)).collect();
/// assert_eq!(wrong, ["prefix: \"a/#\" is not a topic without wildcards", "colour: there is no such key; there are prefix, qos"]);
/// ```
#[derive(Debug)]
pub struct Table<'a> {
    /// Its key, with a dot behind it.
    prefix: String,
    given: Map<String, Json>,
    known: Vec<String>,
    wrong: &'a mut Vec<Diagnostic>,
}

impl<'a> Table<'a> {
    /// All settings.
    ///
    /// ```
    /// let mut wrong = Vec::new();
    /// tidegate_sdk::settings::Table::of("[1]", &mut wrong).finish();
    /// assert_eq!(wrong[0].text, "[1] is not a table");
    /// ```
    pub fn of(text: &str, wrong: &'a mut Vec<Diagnostic>) -> Self {
        match serde_json::from_str(text) {
            Ok(json) => Self::new("", json, wrong),
            Err(error) => {
                wrong.push(self::wrong("", format!("the settings are no JSON: {error}")));
                Self { prefix: String::new(), given: Map::new(), known: Vec::new(), wrong }
            }
        }
    }

    /// A table inside of others: the entry of a list, or the value of a key.
    ///
    /// ```
    /// use tidegate_sdk::settings::{Table, text};
    /// let mut wrong = Vec::new();
    /// let mut table = Table::new("layouts[0]", serde_json::json!({}), &mut wrong);
    /// assert_eq!(table.require("name", "a text", text), None);
    /// table.finish();
    /// assert_eq!((wrong[0].key.as_str(), wrong[0].text.as_str()), ("layouts[0].name", "is missing; it is a text"));
    /// ```
    pub fn new(key: &str, json: Json, wrong: &'a mut Vec<Diagnostic>) -> Self {
        let prefix = if key.is_empty() { String::new() } else { format!("{key}.") };
        let given = match json {
            Json::Object(given) => given,
            other => {
                wrong.push(self::wrong(key, format!("{other} is not a table")));
                Map::new()
            }
        };
        Self { prefix, given, known: Vec::new(), wrong }
    }

    /// The value of a key, if `read` can make something of it; `expected` says what that would be.
    ///
    /// ```
    /// use tidegate_sdk::settings::{Table, integer};
    /// let mut wrong = Vec::new();
    /// let mut table = Table::of(r#"{ "level": 7 }"#, &mut wrong);
    /// assert_eq!(table.read("level", "a number from 1 to 5", integer(1_u8..=5)), None);
    /// assert_eq!(table.all_wrong()[0].text, "7 is not a number from 1 to 5");
    /// ```
    pub fn read<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&Json) -> Option<T>) -> Option<T> {
        let json = self.take(key)?;
        let value = read(&json);
        if value.is_none() {
            self.wrong(key, format!("{json} is not {expected}"));
        }
        value
    }

    /// The same of a key that must be there.
    ///
    /// ```
    /// use tidegate_sdk::settings::{Table, text};
    /// let mut wrong = Vec::new();
    /// let mut table = Table::of(r#"{ "name": "hall" }"#, &mut wrong);
    /// assert_eq!(table.require("name", "a text", text).as_deref(), Some("hall"));
    /// assert_eq!(table.require("unit", "a text", text), None);
    /// assert_eq!(table.all_wrong()[0].text, "is missing; it is a text");
    /// ```
    pub fn require<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Json) -> Option<T>,
    ) -> Option<T> {
        if !self.given.contains_key(key) {
            self.known.push(key.to_owned());
            self.wrong(key, format!("is missing; it is {expected}"));
            return None;
        }
        self.read(key, expected, read)
    }

    /// The entries of a list, each with its key, such as `layouts[0]`; none if the key is not there.
    ///
    /// ```
    /// let mut wrong = Vec::new();
    /// let mut table = tidegate_sdk::settings::Table::of(r#"{ "names": ["a", "b"] }"#, &mut wrong);
    /// assert_eq!(table.list("names", "a list of texts")[1], ("names[1]".to_owned(), "b".into()));
    /// ```
    pub fn list(&mut self, key: &str, expected: &str) -> Vec<(String, Json)> {
        let items = self.read(key, expected, |json| json.as_array().cloned()).unwrap_or_default();
        let prefix = &self.prefix;
        items.into_iter().enumerate().map(|(at, item)| (format!("{prefix}{key}[{at}]"), item)).collect()
    }

    /// The same of a key that must be there.
    ///
    /// ```
    /// let mut wrong = Vec::new();
    /// let mut table = tidegate_sdk::settings::Table::of("{}", &mut wrong);
    /// assert!(table.require_list("names", "a list of texts").is_empty());
    /// assert_eq!(table.all_wrong()[0].text, "is missing; it is a list of texts");
    /// ```
    pub fn require_list(&mut self, key: &str, expected: &str) -> Vec<(String, Json)> {
        if !self.given.contains_key(key) {
            self.wrong(key, format!("is missing; it is {expected}"));
        }
        self.list(key, expected)
    }

    /// The value of a key, as it is.
    ///
    /// ```
    /// let mut wrong = Vec::new();
    /// let mut table = tidegate_sdk::settings::Table::of(r#"{ "any": [1, "a"] }"#, &mut wrong);
    /// assert_eq!(table.take("any").unwrap()[1], "a");
    /// ```
    pub fn take(&mut self, key: &str) -> Option<Json> {
        self.known.push(key.to_owned());
        self.given.remove(key)
    }

    /// Something is wrong with a key of this table.
    ///
    /// ```
    /// use tidegate_sdk::settings::Table;
    /// let mut wrong = Vec::new();
    /// let mut table = Table::new("limits", serde_json::json!({ "low": 5, "high": 1 }), &mut wrong);
    /// table.wrong("low", "is above high".into());
    /// assert_eq!(table.all_wrong()[0].key, "limits.low");
    /// ```
    pub fn wrong(&mut self, key: &str, text: String) {
        let key = format!("{}{key}", self.prefix);
        self.wrong.push(Diagnostic { key, text });
    }

    /// Where tables inside of this one put what is wrong with them.
    ///
    /// ```
    /// use tidegate_sdk::settings::{Table, text};
    /// let mut wrong = Vec::new();
    /// let mut table = Table::of(r#"{ "rooms": [{ "name": 1 }] }"#, &mut wrong);
    /// for (key, room) in table.list("rooms", "a list of tables") {
    ///     let mut room = Table::new(&key, room, table.all_wrong());
    ///     room.require("name", "a text", text);
    ///     room.finish();
    /// }
    /// table.finish();
    /// assert_eq!((wrong[0].key.as_str(), wrong[0].text.as_str()), ("rooms[0].name", "1 is not a text"));
    /// ```
    pub fn all_wrong(&mut self) -> &mut Vec<Diagnostic> {
        self.wrong
    }

    /// What is left is wrong: there are no such keys.
    ///
    /// ```
    /// let mut wrong = Vec::new();
    /// tidegate_sdk::settings::Table::of(r#"{ "colour": "red" }"#, &mut wrong).finish();
    /// assert_eq!(wrong[0].key, "colour");
    /// ```
    pub fn finish(self) {
        let known = self.known.join(", ");
        for key in self.given.keys() {
            let text = format!("there is no such key; there are {known}");
            self.wrong.push(Diagnostic { key: format!("{}{key}", self.prefix), text });
        }
    }
}

/// A topic to publish to: not empty, without wildcards.
///
/// ```
/// use tidegate_sdk::settings::topic;
/// assert_eq!(topic(&"up/a".into()).as_deref(), Some("up/a"));
/// assert_eq!(topic(&"up/#".into()), None);
/// ```
pub fn topic(json: &Json) -> Option<String> {
    json.as_str().filter(|topic| !topic.is_empty() && !topic.contains(['+', '#', '\0'])).map(str::to_owned)
}

/// 0, 1 or 2.
///
/// ```
/// use tidegate_sdk::{Qos, settings::qos};
/// assert_eq!((qos(&1.into()), qos(&3.into())), (Some(Qos::AtLeastOnce), None));
/// ```
pub fn qos(json: &Json) -> Option<Qos> {
    match json.as_u64()? {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        2 => Some(Qos::ExactlyOnce),
        _ => None,
    }
}

/// An integer within a range.
///
/// ```
/// use tidegate_sdk::settings::integer;
/// assert_eq!((integer(1_u16..)(&9.into()), integer(1_u16..)(&0.into())), (Some(9), None));
/// assert_eq!((integer(..)(&300.into()), integer(..)(&(-3).into())), (None::<u8>, None::<u8>));
/// ```
pub fn integer<T: TryFrom<i64> + PartialOrd>(range: impl RangeBounds<T>) -> impl Fn(&Json) -> Option<T> {
    move |json| T::try_from(json.as_i64()?).ok().filter(|number| range.contains(number))
}

/// A number within a range, with or without a fraction.
///
/// ```
/// use tidegate_sdk::settings::number;
/// let share = number(0.0..=1.0);
/// assert_eq!((share(&0.5.into()), share(&1.into()), share(&1.5.into())), (Some(0.5), Some(1.0), None));
/// ```
pub fn number(range: impl RangeBounds<f64>) -> impl Fn(&Json) -> Option<f64> {
    move |json| json.as_f64().filter(|number| range.contains(number))
}

/// One of a few words, each with what it means.
///
/// ```
/// use tidegate_sdk::settings::one_of;
/// let order = one_of(&[("little", true), ("big", false)]);
/// assert_eq!((order(&"big".into()), order(&"middle".into())), (Some(false), None));
/// ```
pub fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Json) -> Option<T> {
    move |json| words.iter().find(|(word, _)| json.as_str() == Some(word)).map(|(_, meaning)| *meaning)
}

/// A text.
///
/// ```
/// assert_eq!(tidegate_sdk::settings::text(&"a".into()).as_deref(), Some("a"));
/// ```
pub fn text(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}
