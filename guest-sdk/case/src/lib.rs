//! Cases of a Tidegate translator: an event or a message goes in, and what must come out is written beside it.
//!
//! A case is a TOML file. The SDK runs it natively (`tidegate_sdk::case::run`), `tidegate plugin test` in the gateway's own
//! engine; both get the same [`Case`] from here, and compare with [`Step::check`].
//!
//! ```
//! let text = r#"
//!     name = "a temperature"
//!     [uplink]
//!     endpoint = "urn:imei:001"
//!     cause = "notified"
//!     path = "/3303/0/5700"
//!     samples = [{ path = "/3303/0/5700", float = 21.5 }]
//!     [[publish]]
//!     topic = "temperature"
//!     json = { celsius = 21.5 }
//! "#;
//! let case = tidegate_case::Case::parse(text, "temperature.toml").unwrap();
//! assert_eq!((case.name.as_str(), case.steps.len()), ("a temperature", 1));
//! ```
//!
//! Inputs and outcomes are the contract as JSON, as serde has it on the SDK's types: a record is an object with keys in
//! snake_case, a variant `"Name"` or `{"Name": value}`, an option null or the value, a list or a tuple an array.
#![deny(missing_docs)]

mod bless;
mod bytes;
mod expect;
mod input;
mod operation;
mod sample;
mod short;
mod time;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;

pub use expect::{Expected, Mismatch};

/// What goes into a translator, and what must come out.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it shows; the file's name if it has none.
    pub name: String,
    /// For `configure`; an object.
    pub settings: Value,
    /// One after the other; the state of a translator that has some goes from one to the next.
    pub steps: Vec<Step>,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What goes in.
    pub input: Input,
    /// What must come out.
    pub expected: Expected,
}

/// What goes into a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The contract's event.
    Uplink(Value),
    /// The contract's message.
    Downlink(Value),
}

/// What came out of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The contract's actions.
    Actions(Vec<Value>),
    /// There are none.
    Fault {
        /// `unsupported`, `malformed`, `internal`; in the gateway also `trap`, `limit`, `invalid_output`.
        kind: String,
        /// Why.
        text: String,
    },
}

impl Case {
    /// Reads the text of a case; `file` is what errors call it.
    ///
    /// ```
    /// let wrong = tidegate_case::Case::parse("[downlink]\ntopc = \"dn/a\"\n", "cases/a.toml").unwrap_err();
    /// assert!(wrong.to_string().starts_with("cases/a.toml:2: unknown field `topc`"));
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, CaseError> {
        let error = |line, message: String| CaseError { file: file.to_owned(), line, message };
        let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let raw: RawCase = toml::from_str(text).map_err(|of| {
            let line = of.span().map_or(0, |span| line_at(span.start));
            error(line, of.message().to_owned())
        })?;
        let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        raw.read(stem).map_err(|Wrong { at, message }| error(at.map_or(0, line_at), message))
    }

    /// Reads all `*.toml` of a folder, in the order of their names.
    ///
    /// ```
    /// let folder = std::env::temp_dir().join("tidegate-case-load");
    /// std::fs::create_dir_all(&folder)?;
    /// std::fs::write(folder.join("a.toml"), "[downlink]\ntopic = \"dn/a\"\n")?;
    /// let cases = tidegate_case::Case::load(&folder)?;
    /// assert_eq!((cases[0].0.file_name(), cases[0].1.name.as_str()), (Some("a.toml".as_ref()), "a"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The folder or a file cannot be read, or a case is wrong.
    pub fn load(folder: &Path) -> Result<Vec<(PathBuf, Self)>, CaseError> {
        let unreadable = |path: &Path, error: &std::io::Error| CaseError {
            file: path.display().to_string(),
            line: 0,
            message: error.to_string(),
        };
        let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
        let mut files = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(folder, &error))?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        let read = |file: PathBuf| {
            let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
            let case = Self::parse(&text, &file.display().to_string())?;
            Ok((file, case))
        };
        files.into_iter().map(read).collect()
    }

    /// The text of a case with what came out in the place of what was expected; everything else stays as it was typed. One
    /// outcome for each step. A step whose outcome is as expected stays as it is.
    ///
    /// ```
    /// use tidegate_case::{Case, Outcome};
    /// let text = "[downlink]\ntopic = \"dn/a\" # ours\n";
    /// let fault = Outcome::Fault { kind: "unsupported".into(), text: "not today".into() };
    /// let blessed = Case::bless(text, &[fault])?;
    /// assert_eq!(blessed, format!("{text}\n[expect]\nfault = \"unsupported\"\ntext = \"not today\"\n"));
    /// # Ok::<(), tidegate_case::CaseError>(())
    /// ```
    ///
    /// # Errors
    /// The text is no case.
    pub fn bless(text: &str, outcomes: &[Outcome]) -> Result<String, CaseError> {
        bless::bless(text, outcomes)
    }
}

impl Step {
    /// Whether what came out is what was expected. Publications are compared in their order, and so are requests; which of
    /// both came first is not.
    ///
    /// ```
    /// use tidegate_case::{Case, Outcome};
    /// let case = Case::parse("[downlink]\ntopic = \"dn/a\"\n[expect]\nfault = \"malformed\"\n", "a.toml")?;
    /// let mismatch = case.steps[0].check(&Outcome::Actions(vec![])).unwrap_err();
    /// assert_eq!(mismatch.to_string(), "- expected\n+ came out\n- fault malformed\n+ nothing\n");
    /// # Ok::<(), tidegate_case::CaseError>(())
    /// ```
    ///
    /// # Errors
    /// What differs, for people.
    pub fn check(&self, outcome: &Outcome) -> Result<(), Mismatch> {
        self.expected.check(outcome)
    }
}

/// A case that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseError {
    /// Its file.
    pub file: String,
    /// From 1; 0 is the whole file.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for CaseError {}

/// What is wrong with a case, and where its text has it.
struct Wrong {
    at: Option<usize>,
    message: String,
}

impl Wrong {
    fn at(at: &Range<usize>, message: impl Into<String>) -> Self {
        Self { at: Some(at.start), message: message.into() }
    }

    /// What is made of a part of the text; what is wrong with it is wrong there.
    fn within<T, R>(part: Spanned<T>, read: impl FnOnce(T) -> Result<R, String>) -> Result<R, Self> {
        let at = part.span();
        read(part.into_inner()).map_err(|message| Self::at(&at, message))
    }
}

impl From<&str> for Wrong {
    fn from(message: &str) -> Self {
        Self { at: None, message: message.to_owned() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: Option<String>,
    settings: Option<Spanned<bytes::Json>>,
    uplink: Option<Spanned<input::Uplink>>,
    downlink: Option<Spanned<input::Downlink>>,
    #[serde(default)]
    publish: Vec<Spanned<expect::Publish>>,
    #[serde(default)]
    perform: Vec<Spanned<expect::Perform>>,
    expect: Option<Spanned<expect::Fault>>,
    #[serde(default)]
    step: Vec<Spanned<RawStep>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    uplink: Option<Spanned<input::Uplink>>,
    downlink: Option<Spanned<input::Downlink>>,
    #[serde(default)]
    publish: Vec<Spanned<expect::Publish>>,
    #[serde(default)]
    perform: Vec<Spanned<expect::Perform>>,
    expect: Option<Spanned<expect::Fault>>,
}

impl RawCase {
    fn read(self, stem: String) -> Result<Case, Wrong> {
        let Self { name, settings, uplink, downlink, publish, perform, expect, step } = self;
        let settings = match settings {
            Some(settings) => Wrong::within(settings, |bytes::Json(settings)| {
                if settings.is_object() { Ok(settings) } else { Err("`settings` is a table".to_owned()) }
            })?,
            None => json!({}),
        };
        let only = RawStep { uplink, downlink, publish, perform, expect };
        let steps = if step.is_empty() {
            vec![only.read()?]
        } else if only.is_empty() {
            let numbered = step.into_iter().zip(1..);
            numbered.map(|(step, number)| numbered_step(step, number)).collect::<Result<_, _>>()?
        } else {
            return Err("a case with `[[step]]` has everything else within its steps".into());
        };
        Ok(Case { name: name.unwrap_or(stem), settings, steps })
    }
}

fn numbered_step(step: Spanned<RawStep>, number: usize) -> Result<Step, Wrong> {
    let start = step.span().start;
    step.into_inner().read().map_err(|Wrong { at, message }| Wrong {
        at: at.or(Some(start)),
        message: format!("step {number}: {message}"),
    })
}

impl RawStep {
    fn is_empty(&self) -> bool {
        let Self { uplink, downlink, publish, perform, expect } = self;
        uplink.is_none() && downlink.is_none() && publish.is_empty() && perform.is_empty() && expect.is_none()
    }

    fn read(self) -> Result<Step, Wrong> {
        let Self { uplink, downlink, publish, perform, expect } = self;
        let input = match (uplink, downlink) {
            (Some(uplink), None) => Input::Uplink(Wrong::within(uplink, |uplink| uplink.event())?),
            (None, Some(downlink)) => Input::Downlink(Wrong::within(downlink, input::Downlink::message)?),
            (None, None) => return Err("there is neither `[uplink]` nor `[downlink]`".into()),
            (Some(_), Some(_)) => {
                return Err("there is both `[uplink]` and `[downlink]`; write two `[[step]]`".into());
            }
        };
        Ok(Step { input, expected: Expected::new(publish, perform, expect)? })
    }
}

#[cfg(test)]
mod tests;
