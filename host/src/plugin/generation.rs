//! A translator that has been proved: compiled, linked, configured.
//!
//! 1. `identified`: it is a component of our contract, in a version that this gateway speaks;
//! 2. `compiled`: it is valid, whole, and native code now;
//! 3. `linked`: it needs nothing but `log`, and its types are the contract's;
//! 4. `configured`: an instance has taken the settings, within the limits.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use wasmtime::component::{Component, HasSelf, Linker};

use super::artifact::Artifact;
use super::bindings::{self, TranslatorPre};
use super::caller::{Instance, State};
use super::engine::Engine;
use super::limit::Limits;
pub use bindings::exports::tidegate::translator::setup::Subscriptions;

/// One proved version of a translator.
pub struct Generation {
    pub(super) pre: TranslatorPre<State>,
    pub(super) settings: String,
    pub(super) limits: Limits,
    pub(super) name: Arc<str>,
    subscriptions: Subscriptions,
    artifact: Artifact,
    /// The engine's ticker must live as long as its code runs.
    _engine: Arc<Engine>,
}

/// The steps to a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A component of our contract?
    Identified,
    /// Valid?
    Compiled,
    /// Its imports and exports ours?
    Linked,
    /// Its settings taken?
    Configured,
}

/// Why an artifact does not become a generation.
#[derive(Debug, Error)]
#[error("{origin} rejected, not {step}: {reason}")]
pub struct Rejection {
    /// Where the artifact is from.
    pub origin: String,
    /// The step that failed.
    pub step: Step,
    /// Why.
    pub reason: String,
}

impl Generation {
    /// Prove an artifact with the settings and limits of the slot `name`.
    ///
    /// # Errors
    /// The step that failed, and why.
    pub fn prove(
        engine: &Arc<Engine>,
        name: &str,
        artifact: &Artifact,
        settings: &serde_json::Value,
        limits: &Limits,
    ) -> Result<Self, Rejection> {
        let reject = |step| move |reason: String| Rejection { origin: artifact.origin().to_owned(), step, reason };
        identify(artifact.bytes()).map_err(reject(Step::Identified))?;
        let wasmtime = engine.wasmtime();
        let component = Component::new(wasmtime, artifact.bytes()).map_err(|error| format!("{error:#}"));
        let component = component.map_err(reject(Step::Compiled))?;
        check_contract(wasmtime, &component).map_err(reject(Step::Linked))?;
        let pre = link(wasmtime, &component).map_err(|error| reject(Step::Linked)(format!("{error:#}")))?;
        let name: Arc<str> = name.into();
        let mut generation = Self {
            pre,
            settings: settings.to_string(),
            limits: limits.clone(),
            name,
            subscriptions: Subscriptions { filters: Vec::new(), parameters: Vec::new(), attributes: Vec::new() },
            artifact: artifact.clone(),
            _engine: Arc::clone(engine),
        };
        let (_, subscriptions) =
            Instance::configure(&generation).map_err(|fault| reject(Step::Configured)(fault.to_string()))?;
        check_filters(&subscriptions).map_err(reject(Step::Configured))?;
        generation.subscriptions = subscriptions;
        Ok(generation)
    }

    /// What `configure` asked for.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// What it was made of.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation").field("name", &self.name).field("artifact", &self.artifact).finish_non_exhaustive()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identified => "identified",
            Self::Compiled => "compiled",
            Self::Linked => "linked",
            Self::Configured => "configured",
        })
    }
}

/// The preamble of a WebAssembly binary tells a component from a core module.
fn identify(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(
            "it is a core module, not a component: build it with the linker wasm-component-ld, see plugins/.cargo/config.toml"
                .to_owned(),
        ),
        [0, b'a', b's', b'm', ..] => Err("it is WebAssembly of a version that is not known".to_owned()),
        [] => Err("it is empty".to_owned()),
        _ => Err("it is not WebAssembly".to_owned()),
    }
}

/// Imports and exports by name, so that a mismatch is said in the contract's terms and not in the linker's.
fn check_contract(engine: &wasmtime::Engine, component: &Component) -> Result<(), String> {
    let of = component.component_type();
    for (name, _) in of.imports(engine) {
        let ours = name.strip_prefix(CONTRACT).and_then(|name| name.split_once('@'));
        match ours {
            Some(("log" | "types" | "events", version)) => check_version(version)?,
            _ if name.starts_with("wasi:") => {
                return Err(format!(
                    "it imports {name}: translators have no WASI; build for wasm32-unknown-unknown, not wasm32-wasip2"
                ));
            }
            _ => return Err(format!("it imports {name}: a translator may import {CONTRACT}log and nothing else")),
        }
    }
    let exports: Vec<String> = of.exports(engine).map(|(name, _)| name.to_owned()).collect();
    for wanted in ["setup", "uplink", "downlink"] {
        let prefix = format!("{CONTRACT}{wanted}@");
        match exports.iter().find_map(|name| name.strip_prefix(&prefix)) {
            Some(version) => check_version(version)?,
            None => return Err(format!("it does not export {prefix}1.0.0, which every translator has")),
        }
    }
    Ok(())
}

fn check_version(version: &str) -> Result<(), String> {
    match version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(format!("it is built for contract {version}; this gateway speaks 1.0: build it with the tidegate-sdk of this version")),
    }
}

fn link(engine: &wasmtime::Engine, component: &Component) -> wasmtime::Result<TranslatorPre<State>> {
    let mut linker = Linker::new(engine);
    bindings::Translator::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    TranslatorPre::new(linker.instantiate_pre(component)?)
}

/// MQTT 5 section 4.7.
fn check_filters(subscriptions: &Subscriptions) -> Result<(), String> {
    for subscription in &subscriptions.filters {
        let filter = &subscription.filter;
        let levels: Vec<&str> = filter.split('/').collect();
        let is_valid = !filter.is_empty()
            && filter.len() <= usize::from(u16::MAX)
            && !filter.contains('\0')
            && levels.iter().enumerate().all(|(at, level)| match *level {
                "#" => at + 1 == levels.len(),
                "+" => true,
                level => !level.contains(['+', '#']),
            });
        if !is_valid {
            return Err(format!("it subscribes to {filter:?}, which is no MQTT topic filter"));
        }
    }
    Ok(())
}

/// The package of the contract.
const CONTRACT: &str = "tidegate:translator/";
