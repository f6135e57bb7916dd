//! One `.wasm` before it is compiled, and what can be said about it from outside.
//!
//! Read by `deployment` and `devkit`; a [`super::Generation`] is made of it.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidegate_case::Case;
use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

use super::generation::{Rejection, Step};
use super::manifest::Manifest;
use super::script::Script;

/// The bytes of one translator: a component, and what it says about itself.
#[derive(Clone)]
pub struct Artifact {
    component: Vec<u8>,
    digest: [u8; 32],
    origin: Origin,
    manifest: Option<Manifest>,
    cases: Vec<Case>,
    script: Option<Script>,
}

impl Artifact {
    /// Reads a file: a component, a core module that has the types of a component in it, or a script (`.js`, with the
    /// `.toml` of the same name if there is one).
    ///
    /// # Errors
    /// [`Step::Read`]: it cannot be read. [`Step::Identified`]: as [`Self::new`].
    pub fn read(path: &Path) -> Result<Self, Rejection> {
        if path.extension().is_some_and(|extension| extension == "js") {
            let (script, manifest, digest) = Script::read(path)?;
            let (component, origin) = (Vec::new(), Origin::File(path.to_owned()));
            let (manifest, script) = (Some(manifest), Some(script));
            return Ok(Self { component, digest, origin, manifest, cases: Vec::new(), script });
        }
        let bytes = std::fs::read(path).map_err(|error| Rejection {
            step: Step::Read,
            reason: format!("{}: {error}", path.display()),
        })?;
        Self::new(bytes, Origin::File(path.to_owned()))
    }

    /// The translator of this name inside the gateway.
    pub fn built_in(name: &str) -> Option<Self> {
        let (name, bytes) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name)?;
        Some(Self::new(bytes.to_vec(), Origin::BuiltIn(name)).expect("the gateway's own artifacts are whole"))
    }

    /// The names of the translators inside the gateway.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Bytes from anywhere. Every section is looked at, nothing is compiled.
    ///
    /// # Errors
    /// [`Step::Identified`]: they are no component and cannot be made one, or the manifest or a case in it is wrong.
    pub fn new(bytes: Vec<u8>, origin: Origin) -> Result<Self, Rejection> {
        let digest = Sha256::digest(&bytes).into();
        let mut sections = Sections::read(&bytes)?;
        let manifest = sections.manifest(&origin)?;
        let cases = sections.cases()?;
        let component = if sections.is_core { encode(&bytes)? } else { bytes };
        Ok(Self { component, digest, origin, manifest, cases, script: None })
    }

    /// The script, if it is one.
    pub(super) fn script(&self) -> Option<&Script> {
        self.script.as_ref()
    }

    /// The component's bytes; those of the file, unless that held a core module. None of a script.
    pub fn bytes(&self) -> &[u8] {
        &self.component
    }

    /// SHA-256 of the bytes as they were read, in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What it says about itself; none if nobody has embedded a manifest.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The cases in it, which have to come out as they should before it serves.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The same, without the cases in it: for those who run cases themselves.
    pub(crate) fn without_cases(&self) -> Self {
        Self { cases: Vec::new(), ..self.clone() }
    }

    /// Whether it is a script.
    pub fn is_script(&self) -> bool {
        self.script.is_some()
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact")
            .field("origin", &self.origin)
            .field("digest", &self.digest())
            .field("size", &self.component.len())
            .finish()
    }
}

/// Where an artifact came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the gateway, under this name.
    BuiltIn(&'static str),
    /// A file.
    File(PathBuf),
    /// Bytes that somebody handed over, under a name for the log.
    Memory(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => write!(f, "built-in {name}"),
            Self::File(path) => path.display().fmt(f),
            Self::Memory(name) => f.write_str(name),
        }
    }
}

/// A case as it is embedded.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddedCase {
    /// The name of its file, for messages.
    pub(crate) file: String,
    /// The text of its file.
    pub(crate) text: String,
}

/// What is in a file, by its outermost sections.
#[derive(Default)]
struct Sections {
    is_core: bool,
    manifest: Option<Vec<u8>>,
    cases: Option<Vec<u8>>,
}

impl Sections {
    /// Looks at every section, also those of the modules inside.
    fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        let mut sections = Self::default();
        let mut depth = 0_usize;
        check_preamble(bytes)?;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload =
                payload.map_err(|error| identified(format!("not a whole and valid component: {error}")))?;
            match payload {
                Payload::Version { encoding, .. } => {
                    if depth == 0 {
                        sections.is_core = encoding == Encoding::Module;
                    }
                    depth += 1;
                }
                Payload::End(_) => depth -= 1,
                Payload::CustomSection(section) if depth == 1 => {
                    sections.take(section.name(), section.data())?
                }
                _ => {}
            }
        }
        Ok(sections)
    }

    fn take(&mut self, name: &str, data: &[u8]) -> Result<(), Rejection> {
        let place = match name {
            MANIFEST_SECTION => &mut self.manifest,
            CASES_SECTION => &mut self.cases,
            _ => return Ok(()),
        };
        if data.len() > SECTION {
            let reason =
                format!("its section {name} has {} bytes, at most {SECTION} are allowed", data.len());
            return Err(identified(reason));
        }
        match place.replace(data.to_vec()) {
            None => Ok(()),
            Some(_) => {
                Err(identified(format!("it has two sections {name}: `tidegate plugin embed` leaves one")))
            }
        }
    }

    fn manifest(&mut self, origin: &Origin) -> Result<Option<Manifest>, Rejection> {
        let Some(bytes) = self.manifest.take() else { return Ok(None) };
        let text =
            String::from_utf8(bytes).map_err(|_| identified("its manifest is not UTF-8".to_owned()))?;
        let manifest = Manifest::parse(&text, &format!("{origin}, manifest"))
            .map_err(|error| identified(format!("its manifest is wrong: {error}")))?;
        Ok(Some(manifest))
    }

    fn cases(&mut self) -> Result<Vec<Case>, Rejection> {
        let Some(bytes) = self.cases.take() else { return Ok(Vec::new()) };
        let embedded: Vec<EmbeddedCase> = serde_json::from_slice(&bytes)
            .map_err(|error| identified(format!("its section {CASES_SECTION} is wrong: {error}")))?;
        let read = |of: EmbeddedCase| {
            Case::parse(&of.text, &of.file)
                .map_err(|error| identified(format!("a case in it is wrong: {error}")))
        };
        embedded.into_iter().map(read).collect()
    }
}

/// Whether the first bytes are those of WebAssembly in a format that is known here (component model, binary format:
/// preamble).
fn check_preamble(bytes: &[u8]) -> Result<(), Rejection> {
    let reason = match bytes.get(..8) {
        Some(&[b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0] | &[b'\0', b'a', b's', b'm', 1, 0, 0, 0]) => {
            return Ok(());
        }
        Some(&[b'\0', b'a', b's', b'm', a, b, c, d]) => {
            format!(
                "a component in a format that this gateway does not know ({a:02x} {b:02x} {c:02x} {d:02x})"
            )
        }
        Some(_) => "not WebAssembly: it does not begin with \\0asm".to_owned(),
        None => format!("not WebAssembly: only {} bytes", bytes.len()),
    };
    Err(identified(reason))
}

/// A core module as the component that the types in it describe.
fn encode(module: &[u8]) -> Result<Vec<u8>, Rejection> {
    let is_typed = |payload| matches!(payload, Ok(Payload::CustomSection(section)) if section.name().starts_with("component-type"));
    if !Parser::new(0).parse_all(module).any(is_typed) {
        return Err(identified(CORE_MODULE.to_owned()));
    }
    let encoded = ComponentEncoder::default().module(module).and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| identified(format!("a core module that cannot be made a component: {error:#}")))
}

fn identified(reason: String) -> Rejection {
    Rejection { step: Step::Identified, reason }
}

/// The custom section with the text of `translator.toml`.
pub(crate) const MANIFEST_SECTION: &str = "tidegate-manifest";
/// The custom section with a JSON array of [`EmbeddedCase`].
pub(crate) const CASES_SECTION: &str = "tidegate-cases";
/// Bytes of a section that is read.
pub(crate) const SECTION: usize = 64 << 10;
/// Name and bytes of the translators inside the gateway. Built by `scripts/plugins-build`; CI builds them again and compares.
const BUILT_IN: &[(&str, &[u8])] = &[("emqx", include_bytes!("../../../plugins/artifacts/emqx.wasm"))];
const CORE_MODULE: &str = "a core module, not a component, and without the types to make it one: build it with \
                           `tidegate plugin build`, or for wasm32-unknown-unknown with the linker wasm-component-ld";
