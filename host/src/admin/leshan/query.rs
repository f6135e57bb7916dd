//! The parameters of a request.

use tidegate_proto::lwm2m::path::Path as Lwm2mPath;

use super::super::problem::Problem;
use super::invalid;

/// The parameters of a query.
pub(super) struct Parameters(pub(super) Vec<(String, String)>);

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A content format; none if none is asked for.
    pub(super) fn format(&self, name: &str) -> Result<Option<u16>, Problem> {
        let Some(typed) = self.get(name) else { return Ok(None) };
        let upper = typed.to_uppercase();
        let known = FORMATS.iter().find(|(known, _)| *known == upper);
        let known = known.map(|(_, number)| Some(*number));
        known.ok_or_else(|| invalid(&format!("`{typed}` is no content format")))
    }

    pub(super) fn paths(&self) -> Result<Vec<Lwm2mPath>, Problem> {
        let typed = self.get("paths").filter(|paths| !paths.is_empty());
        let typed = typed.ok_or_else(|| invalid("`paths` is missing"))?;
        let parse = |path: &str| path.parse().map_err(|error| invalid(&format!("`{path}`: {error}")));
        typed.split(',').map(parse).collect()
    }

    /// All others, as attributes; one without a value removes it.
    pub(super) fn others(&self, but: &[&str]) -> Vec<(String, Option<String>)> {
        let others = self.0.iter().filter(|(name, _)| !but.contains(&name.as_str()));
        others
            .map(|(name, value)| (name.clone(), Some(value.clone()).filter(|value| !value.is_empty())))
            .collect()
    }
}

const FORMATS: [(&str, u16); 8] = [
    ("TLV", 11_542),
    ("JSON", 11_543),
    ("TEXT", 0),
    ("OPAQUE", 42),
    ("LINK", 40),
    ("CBOR", 60),
    ("SENML_JSON", 110),
    ("SENML_CBOR", 112),
];
