//! One loaded version of a translator: compiled, linked and configured, so that it can take calls at once.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;
use wasmtime::component::types::Component as ComponentType;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::{self, TranslatorPre, contract::setup};
use super::instance::{Instance, State};
use super::manifest::Manifest;
use super::script::Script;
use super::{Artifact, Engine, Fault, Limits, Origin, case};

/// A translator that has passed every step and can be offered to a [`super::Slot`].
pub struct Generation {
    pre: TranslatorPre<State>,
    limits: Limits,
    settings: String,
    manifest: Option<Manifest>,
    script: Option<Script>,
    subscriptions: setup::Subscriptions,
    number: u64,
    digest: String,
    origin: Origin,
}

impl Generation {
    /// Takes an artifact through all steps, in this thread: parsing and compiling take tenths of a second. Nothing that
    /// serves is touched.
    ///
    /// # Errors
    /// The step that failed, and why, in words for the operator.
    pub fn prove(
        engine: &Engine,
        artifact: &Artifact,
        settings: &serde_json::Value,
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        let settings = complete(artifact.manifest(), settings)?;
        let (component, settings) = match artifact.script() {
            Some(script) => (engine.javascript()?, script.settings(artifact.manifest(), &settings)),
            None => (compile(engine, artifact)?, settings),
        };
        check_contract(engine, &component.component_type())?;
        let linked = |error| Rejection {
            step: Step::Linked,
            reason: format!("it does not fit the contract: {error:#}"),
        };
        let pre = link(engine, &component).map_err(linked)?;
        let mut generation = Self {
            pre,
            limits: limits.clone(),
            settings: settings.to_string(),
            manifest: artifact.manifest().cloned(),
            script: artifact.script().cloned(),
            subscriptions: setup::Subscriptions {
                filters: Vec::new(),
                parameters: Vec::new(),
                attributes: Vec::new(),
            },
            number: engine.next_generation(),
            digest: artifact.digest(),
            origin: artifact.origin().clone(),
        };
        let name: Arc<str> = artifact.origin().to_string().into();
        let (_, subscriptions) = Instance::start(&generation, &name)
            .map_err(|fault| Rejection { step: Step::Configured, reason: reason(fault) })?;
        generation.subscriptions = subscriptions;
        case::prove(&generation, artifact.cases())?;
        Ok(generation)
    }

    /// What `configure` asked for.
    pub fn subscriptions(&self) -> &setup::Subscriptions {
        &self.subscriptions
    }

    /// Counts up with every generation of the gateway's run.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// SHA-256 of the artifact, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where the artifact came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What the translator says about itself.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The settings, as `configure` gets them.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Other settings, as `configure` would get them.
    pub(super) fn settings_with(&self, settings: &serde_json::Value) -> Result<String, Rejection> {
        let settings = complete(self.manifest(), settings)?;
        Ok(match &self.script {
            Some(script) => script.settings(self.manifest(), &settings).to_string(),
            None => settings.to_string(),
        })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn pre(&self) -> &TranslatorPre<State> {
        &self.pre
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("number", &self.number)
            .field("origin", &self.origin)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Why an artifact does not become a generation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("rejected when {step}: {reason}")]
pub struct Rejection {
    /// How far it came.
    pub step: Step,
    /// What is wrong.
    pub reason: String,
}

/// The steps of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The whole file is in memory.
    Read,
    /// It is a component of a contract that this gateway speaks.
    Identified,
    /// It is parsed and compiled.
    Compiled,
    /// Its imports are there and its exports have the contract's types.
    Linked,
    /// It accepts its settings.
    Configured,
    /// The cases inside it come out as they should.
    Tried,
    /// It serves, and does not fail at once.
    Reverted,
}

impl Step {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Identified,
        Self::Compiled,
        Self::Linked,
        Self::Configured,
        Self::Tried,
        Self::Reverted,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Identified => "identified",
            Self::Compiled => "compiled",
            Self::Linked => "linked",
            Self::Configured => "configured",
            Self::Tried => "tried",
            Self::Reverted => "reverted",
        })
    }
}

fn compile(engine: &Engine, artifact: &Artifact) -> Result<Component, Rejection> {
    Component::new(engine.inner(), artifact.bytes()).map_err(|error| {
        let reason = format!("not a whole and valid component: {error:#}");
        Rejection { step: Step::Compiled, reason }
    })
}

/// The settings as the translator wants them, by the schema of its manifest.
fn complete(
    manifest: Option<&Manifest>,
    settings: &serde_json::Value,
) -> Result<serde_json::Value, Rejection> {
    let Some(manifest) = manifest else { return Ok(settings.clone()) };
    if !is_spoken(&manifest.contract) || later(&manifest.contract) {
        let reason = format!(
            "its manifest asks for version {} of the translator contract, this gateway speaks {CONTRACT}",
            manifest.contract
        );
        return Err(Rejection { step: Step::Identified, reason });
    }
    let Some(schema) = &manifest.settings else { return Ok(settings.clone()) };
    schema.complete(settings).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let reason = format!("settings refused: {}", problems.join("; "));
        Rejection { step: Step::Configured, reason }
    })
}

/// Exports all of the contract's interfaces in a version that is spoken here, and imports nothing else.
fn check_contract(engine: &Engine, component: &ComponentType) -> Result<(), Rejection> {
    let exports: Vec<&str> = component.exports(engine.inner()).map(|(name, _)| name).collect();
    for interface in ["setup", "uplink", "downlink"] {
        let of = format!("{PACKAGE}{interface}");
        let versions = exports.iter().filter_map(|name| name.strip_prefix(&of)?.strip_prefix('@'));
        let versions: Vec<&str> = versions.collect();
        if versions.iter().any(|version| is_spoken(version)) {
            continue;
        }
        let reason = match versions.first() {
            Some(version) => format!(
                "it was made for version {version} of the translator contract, this gateway speaks {CONTRACT}: \
                 build it with the SDK of this gateway's release"
            ),
            None => format!("not a translator: it does not export {of}@{CONTRACT}"),
        };
        return Err(Rejection { step: Step::Identified, reason });
    }
    for (name, _) in component.imports(engine.inner()) {
        let own =
            ["log@", "types@", "events@"].iter().find_map(|of| name.strip_prefix(PACKAGE)?.strip_prefix(of));
        let reason = match own {
            Some(version) if is_spoken(version) => continue,
            Some(version) => format!("it imports {name}, this gateway speaks {CONTRACT}, not {version}"),
            None => format!("it imports {name}, which a translator cannot have{}", likely_cause(name)),
        };
        return Err(Rejection { step: Step::Linked, reason });
    }
    Ok(())
}

fn is_spoken(version: &str) -> bool {
    version.split('.').next() == CONTRACT.split('.').next()
}

/// Whether a version `major.minor` has more than this gateway's.
fn later(version: &str) -> bool {
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u16>().ok());
    minor(version) > minor(CONTRACT)
}

fn likely_cause(import: &str) -> &'static str {
    if import.starts_with("wasi:") {
        ": built for wasm32-wasip2; build it for wasm32-unknown-unknown"
    } else if import.starts_with("tidegate:") {
        ": made for a later gateway"
    } else {
        ""
    }
}

fn link(engine: &Engine, component: &Component) -> wasmtime::Result<TranslatorPre<State>> {
    let mut linker = Linker::new(engine.inner());
    bindings::log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    bindings::contract::types::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    bindings::contract::events::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    TranslatorPre::new(linker.instantiate_pre(component)?)
}

/// What `configure` itself says is enough said.
fn reason(fault: Fault) -> String {
    match fault {
        Fault::Malformed(diagnostics) => format!("settings refused: {diagnostics}"),
        other => other.to_string(),
    }
}

pub(super) const PACKAGE: &str = "tidegate:translator/";
const CONTRACT: &str = "1.1.0";
