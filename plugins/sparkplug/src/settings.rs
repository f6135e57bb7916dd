//! The settings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};
use tidegate_sdk::Diagnostic;

use crate::name::Names;

/// The configuration, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) group: String,
    /// Whose instances are devices; none: all but [`MANAGEMENT`].
    objects: BTreeSet<u16>,
    pub(crate) names: Names,
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let wrong = |key: &str, text: String| Diagnostic { key: key.to_owned(), text };
        let mut given: Map<String, Json> = serde_json::from_str(text)
            .map_err(|error| vec![wrong("", format!("the settings are no JSON object: {error}"))])?;
        let mut problems = Vec::new();
        let mut take = |key: &str| given.remove(key).unwrap_or(Json::Null);
        let group = match take("group") {
            Json::Null => "tidegate".to_owned(),
            Json::String(group) if !group.is_empty() && !group.contains(['/', '+', '#', '\0']) => group,
            other => {
                problems.push(wrong("group", format!("{other} is not one level of a topic")));
                String::new()
            }
        };
        let objects = objects(&take("objects")).unwrap_or_else(|| {
            problems
                .push(wrong("objects", "it is not a list of object ids, such as [3303, 3304]".to_owned()));
            BTreeSet::new()
        });
        let names = names(&take("names")).unwrap_or_else(|text| {
            problems.push(wrong("names", text));
            BTreeMap::new()
        });
        let unknown = "there is no such key; there are group, objects and names";
        problems.extend(given.keys().map(|key| wrong(key, unknown.to_owned())));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { group, objects, names: Names::new(names) })
    }

    /// Whether the instances of an object are devices.
    pub(crate) fn has(&self, object: u16) -> bool {
        if self.objects.is_empty() { !MANAGEMENT.contains(&object) } else { self.objects.contains(&object) }
    }
}

fn objects(json: &Json) -> Option<BTreeSet<u16>> {
    if json.is_null() {
        return Some(BTreeSet::new());
    }
    json.as_array()?.iter().map(|id| u16::try_from(id.as_u64()?).ok()).collect()
}

fn names(json: &Json) -> Result<BTreeMap<(u16, u16), String>, String> {
    let none = Map::new();
    let table = match json {
        Json::Null => &none,
        Json::Object(table) => table,
        _ => return Err("it is not a table such as { \"3303/5700\" = \"Temperature\" }".to_owned()),
    };
    let mut names = BTreeMap::new();
    for (key, name) in table {
        let ids = key.split_once('/').and_then(|(object, id)| Some((object.parse().ok()?, id.parse().ok()?)));
        let ids: (u16, u16) =
            ids.ok_or_else(|| format!("{key:?} is not an object and a resource, such as \"3303/5700\""))?;
        let is_name = |name: &&str| (1..=MOST_NAME).contains(&name.len());
        let name = name.as_str().filter(is_name);
        let name = name.ok_or_else(|| format!("{key}: that is no name of at most {MOST_NAME} bytes"))?;
        if names.iter().any(|((object, _), other)| *object == ids.0 && other == name) {
            return Err(format!("{key}: {name:?} is the name of two resources of object {}", ids.0));
        }
        names.insert(ids, name.to_owned());
    }
    Ok(names)
}

/// Bytes: states have names in them.
const MOST_NAME: usize = 48;
/// Objects that manage the client and measure nothing: security, servers, access control, firmware, lock, software, OSCORE.
const MANAGEMENT: &[u16] = &[0, 1, 2, 5, 8, 9, 21];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_settings_all_objects_that_measure_are_devices() {
        let settings = Settings::parse("{}").unwrap();
        assert_eq!(settings.group, "tidegate");
        assert_eq!([3, 3303, 1, 5].map(|object| settings.has(object)), [true, true, false, false]);
        let settings = Settings::parse(r#"{"objects":[1]}"#).unwrap();
        assert_eq!([1, 3303].map(|object| settings.has(object)), [true, false]);
    }

    #[test]
    fn each_wrong_key_is_named_with_what_would_be_right() {
        let wrong = Settings::parse(r#"{"group":"a/b","objects":[70000],"names":{"3303":"x"},"foo":1}"#);
        let wrong: Vec<String> =
            wrong.unwrap_err().into_iter().map(|of| format!("{}: {}", of.key, of.text)).collect();
        assert_eq!(
            wrong,
            [
                "group: \"a/b\" is not one level of a topic",
                "objects: it is not a list of object ids, such as [3303, 3304]",
                "names: \"3303\" is not an object and a resource, such as \"3303/5700\"",
                "foo: there is no such key; there are group, objects and names",
            ]
        );
        let twice = Settings::parse(r#"{"names":{"3303/5700":"T","3303/5701":"T"}}"#).unwrap_err();
        assert_eq!(twice[0].text, "3303/5701: \"T\" is the name of two resources of object 3303");
    }
}
