//! A command's `data`, and the paths in it.

use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tidegate_sdk::Path;

use super::Refusal;

/// The members of `data` by name, as they are written; of several of one name the last counts.
#[derive(Default)]
pub(super) struct Data<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Data<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Refusal> {
        match serde_json::from_str(text) {
            Ok(members) => Ok(Self(members)),
            Err(_) => Err(format!("data is not an object: {text}").into()),
        }
    }

    /// A member's JSON.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|raw| raw.get())
    }

    /// A member that is a text; none if there is none.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let wrong = |json: &str| Refusal::from(format!("data.{name} is not a text: {json}"));
        self.get(name).map(|json| serde_json::from_str(json).map_err(|_| wrong(json))).transpose()
    }

    /// As [`Data::text`], and `null` is none, too.
    pub(super) fn text_or_null(&self, name: &str) -> Result<Option<String>, Refusal> {
        if self.get(name) == Some("null") { Ok(None) } else { self.text(name) }
    }

    /// A member that must be a text.
    pub(super) fn required_text(&self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| format!("data.{name} is missing").into())
    }

    /// The list of elements in `content`; none if there is none.
    pub(super) fn content(&self) -> Result<Option<Vec<Self>>, Refusal> {
        let Some(content) = self.get("content") else { return Ok(None) };
        let elements: Vec<BTreeMap<String, &'a RawValue>> = serde_json::from_str(content)
            .map_err(|_| Refusal::from(format!("data.content is not a list of objects: {content}")))?;
        Ok(Some(elements.into_iter().map(Self).collect()))
    }

    /// The path that answers tell, without query: as it is written.
    pub(super) fn told(&self) -> Option<String> {
        let path = ["path", "basePath", "reqPath"].iter().find_map(|name| self.get(name))?;
        let path: String = serde_json::from_str(path).ok()?;
        path.split('?').next().map(str::to_owned)
    }
}

/// A path as commands have it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) ids: Vec<u16>,
    pub(super) queries: Vec<String>,
}

impl Target {
    /// Reads a path with an optional query.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        let levels = path.trim_matches('/').split('/').filter(|_| !path.trim_matches('/').is_empty());
        if levels.clone().nth(4).is_some() {
            return Err(format!("the path {path:?} has more than four levels").into());
        }
        let ids: Option<Vec<u16>> = levels.map(id).collect();
        // EMQX would ask the client, which has nothing there, and answer.
        let ids = ids.ok_or_else(|| {
            Refusal::answered(format!("the path {path:?} is not one of numbers up to 65535"))
        })?;
        let queries = query.into_iter().flat_map(|query| query.split('&')).map(str::to_owned).collect();
        Ok(Self { ids, queries })
    }

    pub(super) fn path(&self) -> Path {
        Path::new(&self.ids)
    }
}

/// A level of a path: digits and nothing else.
pub(super) fn id(segment: &str) -> Option<u16> {
    segment.bytes().all(|byte| byte.is_ascii_digit()).then(|| segment.parse().ok()).flatten()
}
