//! What a translator says about itself: `translator.toml`, beside its source and inside the artifact.
//!
//! `artifact` reads it before anything is compiled, `generation` fills in the settings, `deployment` routes by the claims.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use crate::config::{ConfigError, Source, unknown_key};

/// What is wrong with a manifest: source, line, key, what is wrong and what would be right.
pub type ManifestError = ConfigError;

/// A translator's name, and what it needs and serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The name of its slot: `[a-z0-9][a-z0-9_-]*`, at most 64 bytes.
    pub name: String,
    /// Its own version, for people.
    pub version: String,
    /// The version of the contract that it needs, `major.minor`.
    pub contract: String,
    /// One sentence; may be empty.
    pub description: String,
    /// Which clients it serves when nobody has said so in the configuration.
    pub claims: Option<Claims>,
    /// Which settings it takes; without it, they are handed over as they are.
    pub settings: Option<Schema>,
    /// `[codec]`, for a script with functions in the shape of LoRaWAN codecs; checked by the engine.
    pub codec: Option<Value>,
}

/// Which clients a translator serves: those that fit one of `endpoints` and, if there are any, have one of `objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Globs over endpoint names.
    pub endpoints: Vec<String>,
    /// Object ids; empty is all clients.
    pub objects: Vec<u16>,
}

impl Manifest {
    /// Reads the text of a `translator.toml`. `source` is what its errors call it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, source: &str) -> Result<Self, ManifestError> {
        Self::parse_with(text, source, None)
    }

    /// As [`Self::parse`], for a script, whose manifest may leave out what its file says already: the name is that of
    /// the file, the version 0.0.0 and the contract this gateway's.
    ///
    /// # Errors
    /// As [`Self::parse`]; also a file name that is none for a slot.
    pub fn parse_beside(text: &str, source: &str, stem: &str) -> Result<Self, ManifestError> {
        Self::parse_with(text, source, Some(stem))
    }

    fn parse_with(text: &str, source: &str, stem: Option<&str>) -> Result<Self, ManifestError> {
        let source = Source { file: Path::new(source), text };
        if text.len() > TEXT {
            return Err(source.error(&(0..0), "", format!("has {} bytes, at most {TEXT}", text.len())));
        }
        let file: File = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        let or = |typed: Option<Spanned<String>>, key: &str, default: &str| match (typed, stem) {
            (Some(typed), _) => Ok(typed),
            (None, Some(_)) => Ok(Spanned::new(0..0, default.to_owned())),
            (None, None) => Err(source.error(&(0..0), key, "is missing")),
        };
        let name = or(file.name, "name", stem.unwrap_or_default())?;
        let version = or(file.version, "version", "0.0.0")?;
        let contract = or(file.contract, "contract", SPOKEN)?;
        check_name(&source, &name)?;
        check_version(&source, &version)?;
        Ok(Self {
            contract: contract_version(&source, &contract)?,
            name: name.into_inner(),
            version: version.into_inner(),
            description: file.description,
            claims: file.claims.map(|claims| read_claims(&source, claims)).transpose()?,
            settings: file.settings.map(|settings| Schema::read(&source, settings)).transpose()?,
            codec: codec(&source, file.codec, stem.is_some())?,
        })
    }
}

fn codec(
    source: &Source<'_>,
    typed: Option<Spanned<Codec>>,
    is_script: bool,
) -> Result<Option<Value>, ManifestError> {
    let Some(typed) = typed else { return Ok(None) };
    if !is_script {
        return Err(source.error(&typed.span(), "codec", "is for scripts; a component has its own settings"));
    }
    let span = typed.span();
    let json = serde_json::to_value(typed.into_inner());
    json.map(Some).map_err(|error| source.error(&span, "codec", error.to_string()))
}

/// The settings that a translator takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    settings: BTreeMap<String, Setting>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its type.
    pub kind: Kind,
    /// What it is when nobody has set it; without one it has to be set.
    pub default: Option<Value>,
    /// One sentence; may be empty.
    pub description: String,
    /// What it may be; empty is anything of its type.
    pub values: Vec<Value>,
    /// The smallest number.
    pub minimum: Option<f64>,
    /// The largest number.
    pub maximum: Option<f64>,
}

/// The type of a setting.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Text.
    String,
    /// A number without a fraction.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list; its entries are the translator's to check.
    Array,
    /// A table; its entries are the translator's to check.
    Table,
}

/// What is wrong with one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its key.
    pub key: String,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl Schema {
    /// The settings and their keys, in order of the keys.
    pub fn settings(&self) -> &BTreeMap<String, Setting> {
        &self.settings
    }

    /// Settings with the defaults filled in. `given` is an object, or null for none.
    ///
    /// # Errors
    /// Everything that is wrong: keys that there are none of, wrong types, values out of range, and what is missing.
    pub fn complete(&self, given: &Value) -> Result<Value, Vec<Problem>> {
        let nothing = serde_json::Map::new();
        let given = match given {
            Value::Object(given) => given,
            Value::Null => &nothing,
            _ => return Err(vec![problem("settings", "must be a table")]),
        };
        let known: Vec<&str> = self.settings.keys().map(String::as_str).collect();
        let mut problems: Vec<Problem> = given
            .keys()
            .filter(|key| !self.settings.contains_key(*key))
            .map(|key| Problem { key: key.clone(), text: no_such(key, &known) })
            .collect();
        let mut complete = serde_json::Map::new();
        for (key, setting) in &self.settings {
            match given.get(key).map(|value| setting.check(value).map(|()| value.clone())) {
                Some(Ok(value)) => drop(complete.insert(key.clone(), value)),
                Some(Err(text)) => problems.push(Problem { key: key.clone(), text }),
                None => match &setting.default {
                    Some(default) => drop(complete.insert(key.clone(), default.clone())),
                    None => problems.push(problem(key, "is missing, and has no default")),
                },
            }
        }
        if problems.is_empty() { Ok(Value::Object(complete)) } else { Err(problems) }
    }

    fn read(
        source: &Source<'_>,
        typed: BTreeMap<String, Spanned<TypedSetting>>,
    ) -> Result<Self, ManifestError> {
        let mut settings = BTreeMap::new();
        for (name, typed) in typed {
            let place = typed.span();
            let key = format!("settings.{name}");
            let typed = typed.into_inner();
            if settings.len() == SETTINGS {
                return Err(source.error(&place, &key, format!("is one too many: at most {SETTINGS}")));
            }
            let setting = Setting {
                kind: typed.r#type,
                default: None,
                description: typed.description,
                values: Vec::new(),
                minimum: typed.minimum,
                maximum: typed.maximum,
            };
            let is_number = matches!(setting.kind, Kind::Integer | Kind::Number);
            if !is_number && (setting.minimum.is_some() || setting.maximum.is_some()) {
                return Err(source.error(&place, &key, "minimum and maximum are for numbers"));
            }
            let setting = setting.with_values(typed.values, typed.default);
            settings.insert(name, setting.map_err(|text| source.error(&place, &key, text))?);
        }
        Ok(Self { settings })
    }
}

impl Setting {
    /// Checks the values against type and range, and the default against the values, too.
    fn with_values(mut self, values: Vec<toml::Value>, default: Option<toml::Value>) -> Result<Self, String> {
        let values: Vec<Value> = values.into_iter().map(crate::config::json).collect();
        if values.len() > VALUES {
            return Err(format!("has {} values, at most {VALUES}", values.len()));
        }
        values.iter().try_for_each(|value| self.check(value)).map_err(|text| format!("values: {text}"))?;
        self.values = values;
        self.default = default.map(crate::config::json);
        if let Some(default) = &self.default {
            self.check(default).map_err(|text| format!("default: {text}"))?;
        }
        Ok(self)
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match self.kind {
            Kind::String => value.is_string(),
            Kind::Integer => value.is_i64() || value.is_u64(),
            Kind::Number => value.is_number(),
            Kind::Boolean => value.is_boolean(),
            Kind::Array => value.is_array(),
            Kind::Table => value.is_object(),
        };
        if !fits {
            return Err(format!("must be {}, not {value}", self.kind));
        }
        if !self.values.is_empty() && !self.values.contains(value) {
            let values: Vec<String> = self.values.iter().map(Value::to_string).collect();
            return Err(format!("must be one of {}, not {value}", values.join(", ")));
        }
        let Some(number) = value.as_f64() else { return Ok(()) };
        match (self.minimum, self.maximum) {
            (Some(minimum), _) if number < minimum => Err(format!("must be at least {minimum}, not {value}")),
            (_, Some(maximum)) if number > maximum => Err(format!("must be at most {maximum}, not {value}")),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "an array",
            Self::Table => "a table",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// Whether a text can be the name of a slot.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= NAME
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'-'))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<Spanned<String>>,
    version: Option<Spanned<String>>,
    contract: Option<Spanned<String>>,
    #[serde(default)]
    description: String,
    claims: Option<TypedClaims>,
    settings: Option<BTreeMap<String, Spanned<TypedSetting>>>,
    codec: Option<Spanned<Codec>>,
}

/// `[codec]`
#[derive(Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Codec {
    /// The resource whose bytes go into `decodeUplink`.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// The topic of what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    uplink: Option<String>,
    /// The topic of messages for `encodeDownlink`.
    #[serde(skip_serializing_if = "Option::is_none")]
    downlink: Option<String>,
    /// The resource that its bytes are written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<String>,
    /// What is observed at each registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    observe: Option<Vec<String>>,
    /// The port that the functions are told.
    #[serde(alias = "f-port", skip_serializing_if = "Option::is_none")]
    f_port: Option<u8>,
    /// Of what is published and subscribed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    qos: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedClaims {
    endpoints: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    objects: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedSetting {
    r#type: Kind,
    default: Option<toml::Value>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    values: Vec<toml::Value>,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

fn check_name(source: &Source<'_>, name: &Spanned<String>) -> Result<(), ManifestError> {
    if is_name(name.as_ref()) {
        return Ok(());
    }
    let text = format!(
        "`{}` is no name: a-z and 0-9, then also `-` and `_`, at most {NAME} characters",
        name.as_ref().escape_debug()
    );
    Err(source.error(&name.span(), "name", text))
}

fn check_version(source: &Source<'_>, version: &Spanned<String>) -> Result<(), ManifestError> {
    let text = version.as_ref();
    if !text.is_empty() && text.len() <= NAME && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(source.error(&version.span(), "version", "must be a version such as \"0.1.0\""))
}

/// `major.minor`; a third number may follow and says nothing.
fn contract_version(source: &Source<'_>, contract: &Spanned<String>) -> Result<String, ManifestError> {
    let numbers: Option<Vec<u16>> = contract.as_ref().split('.').map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        Some([major, minor] | [major, minor, _]) => Ok(format!("{major}.{minor}")),
        _ => Err(source.error(&contract.span(), "contract", "must be major and minor, such as \"1.0\"")),
    }
}

fn read_claims(source: &Source<'_>, typed: TypedClaims) -> Result<Claims, ManifestError> {
    let any = || Spanned::new(0..0, vec!["*".to_owned()]);
    let endpoints = typed.endpoints.unwrap_or_else(any);
    let place = endpoints.span();
    let endpoints = endpoints.into_inner();
    if endpoints.is_empty() || endpoints.len() > GLOBS {
        let text = format!("must have 1 to {GLOBS} globs; leave [claims] out to claim nothing");
        return Err(source.error(&place, "claims.endpoints", text));
    }
    if endpoints.iter().any(|glob| glob.is_empty() || glob.len() > GLOB) {
        let text = format!("a glob has 1 to {GLOB} bytes, such as \"urn:imei:*\"");
        return Err(source.error(&place, "claims.endpoints", text));
    }
    let objects: BTreeSet<u16> = typed.objects.into_iter().collect();
    Ok(Claims { endpoints, objects: objects.into_iter().collect() })
}

fn no_such(key: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "no such key; this translator has no settings".to_owned();
    }
    unknown_key(key, known)
}

fn problem(key: &str, text: &str) -> Problem {
    Problem { key: key.to_owned(), text: text.to_owned() }
}

/// The contract that a script has when it does not say.
const SPOKEN: &str = "1.0";
/// Bytes of a manifest.
const TEXT: usize = 64 << 10;
/// Bytes of a name, or of a version.
const NAME: usize = 64;
const SETTINGS: usize = 256;
const VALUES: usize = 256;
const GLOBS: usize = 1_000;
/// Bytes of a glob.
const GLOB: usize = 256;

#[cfg(test)]
mod tests;
