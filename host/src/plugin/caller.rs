//! A thread's running copy of a translator.

use std::fmt;
use std::sync::Arc;
use std::time::Instant as Monotonic;

use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, Trap};

use super::bindings::tidegate::translator::{events, log, types};
use super::bindings::{self, Translator};
use super::engine::ticks;
use super::fault::Fault;
use super::generation::{Generation, Subscriptions};
use super::limit::Limits;
use super::slot::Slot;

/// Calls the translator of a slot; one for each thread. The instance behind it is kept from call to call, made anew when
/// the slot's generation has changed, and dropped after a trap, an exceeded limit or an `internal` fault.
pub struct Caller {
    slot: Arc<Slot>,
    instance: Option<Instance>,
}

impl Caller {
    /// For a slot. The instance is made with the first call.
    pub fn new(slot: Arc<Slot>) -> Self {
        Self { slot, instance: None }
    }

    /// Hand over what happened at a client.
    ///
    /// # Errors
    /// Why nothing came of it.
    pub fn uplink(&mut self, event: &events::Event<'_>) -> Result<Vec<types::Action>, Fault> {
        self.call(|instance| {
            instance.translator.tidegate_translator_uplink().call_translate(&mut instance.store, event)
        })
    }

    /// Hand over an MQTT message.
    ///
    /// # Errors
    /// Why nothing came of it.
    pub fn downlink(&mut self, message: &types::MessageParam<'_>) -> Result<Vec<types::Action>, Fault> {
        self.call(|instance| {
            instance.translator.tidegate_translator_downlink().call_translate(&mut instance.store, message)
        })
    }

    fn call<F>(&mut self, call: F) -> Result<Vec<types::Action>, Fault>
    where
        F: FnOnce(&mut Instance) -> wasmtime::Result<Result<Vec<types::Action>, types::Fault>>,
    {
        let result = self.attempt(call);
        match &result {
            Ok(_) => self.slot.went_well(),
            Err(fault) if fault.ends_instance() => {
                self.instance = None;
                if !matches!(fault, Fault::Internal(_)) {
                    self.slot.failed(Monotonic::now());
                }
            }
            Err(_) => {}
        }
        result
    }

    fn attempt<F>(&mut self, call: F) -> Result<Vec<types::Action>, Fault>
    where
        F: FnOnce(&mut Instance) -> wasmtime::Result<Result<Vec<types::Action>, types::Fault>>,
    {
        if self.instance.as_ref().is_none_or(|instance| !self.slot.is_current(&instance.generation)) {
            self.slot.check_rest(Monotonic::now())?;
            self.instance = Some(Instance::start(self.slot.current())?);
        }
        let Some(instance) = &mut self.instance else {
            return Err(Fault::Unavailable("no instance".to_owned()));
        };
        instance.refuel()?;
        let returned = call(instance).map_err(|error| instance.explain(&error))?;
        let actions = returned.map_err(|fault| match fault {
            types::Fault::Unsupported(why) => Fault::Unsupported(why),
            types::Fault::Malformed(why) => Fault::Malformed(why),
            types::Fault::Internal(why) => Fault::Internal(why),
        })?;
        check_output(&actions, &instance.generation.limits)?;
        Ok(actions)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("slot", &self.slot.name()).finish_non_exhaustive()
    }
}

/// One running copy.
pub(super) struct Instance {
    generation: Arc<Generation>,
    store: Store<State>,
    translator: Translator,
}

impl Instance {
    fn start(generation: Arc<Generation>) -> Result<Self, Fault> {
        let ((store, translator), _) = Self::configure(&generation)?;
        Ok(Self { generation, store, translator })
    }

    /// A new instance that has taken its settings.
    pub(super) fn configure(generation: &Generation) -> Result<((Store<State>, Translator), Subscriptions), Fault> {
        let state = State::new(&generation.name, &generation.limits);
        let mut store = Store::new(generation.pre.engine(), state);
        store.limiter(|state| &mut state.limits);
        refuel(&mut store, &generation.limits)?;
        let translator =
            generation.pre.instantiate(&mut store).map_err(|error| explain(&store, &generation.limits, &error))?;
        let configured = translator.tidegate_translator_setup().call_configure(&mut store, &generation.settings);
        let configured = configured.map_err(|error| explain(&store, &generation.limits, &error))?;
        let subscriptions = configured.map_err(|diagnostics| {
            let of = |diagnostic: &bindings::exports::tidegate::translator::setup::Diagnostic| {
                format!("settings.{}: {}", diagnostic.key, diagnostic.text)
            };
            Fault::Malformed(diagnostics.iter().map(of).collect::<Vec<_>>().join("; "))
        })?;
        Ok(((store, translator), subscriptions))
    }

    fn refuel(&mut self) -> Result<(), Fault> {
        self.store.data_mut().lines = 0;
        refuel(&mut self.store, &self.generation.limits)
    }

    fn explain(&self, error: &wasmtime::Error) -> Fault {
        explain(&self.store, &self.generation.limits, error)
    }
}

/// What the host keeps for an instance.
pub(super) struct State {
    limits: StoreLimits,
    translator: Arc<str>,
    /// Lines logged in this call.
    lines: u32,
    /// The last thing it logged as an error: a panic says there where it happened.
    last_words: String,
}

impl State {
    fn new(translator: &Arc<str>, limits: &Limits) -> Self {
        let limits = StoreLimitsBuilder::new()
            .memory_size(limits.memory)
            .table_elements(100_000)
            .instances(64)
            .memories(8)
            .tables(64)
            .trap_on_grow_failure(true)
            .build();
        Self { limits, translator: Arc::clone(translator), lines: 0, last_words: String::new() }
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, text: String) {
        self.lines += 1;
        if self.lines > LINES {
            if self.lines == LINES + 1 {
                tracing::warn!(translator = &*self.translator, "further log lines of this call are left out");
            }
            return;
        }
        let text = cut(&text);
        let translator = &*self.translator;
        match level {
            log::Level::Trace => tracing::trace!(translator, "{text}"),
            log::Level::Debug => tracing::debug!(translator, "{text}"),
            log::Level::Info => tracing::info!(translator, "{text}"),
            log::Level::Warn => tracing::warn!(translator, "{text}"),
            log::Level::Error => {
                text.clone_into(&mut self.last_words);
                tracing::error!(translator, "{text}");
            }
        }
    }
}

impl types::Host for State {}
impl events::Host for State {}

fn refuel(store: &mut Store<State>, limits: &Limits) -> Result<(), Fault> {
    store.set_fuel(limits.fuel).map_err(|error| Fault::Unavailable(format!("{error:#}")))?;
    store.set_epoch_deadline(ticks(limits.wall));
    Ok(())
}

/// What a trap means.
fn explain(store: &Store<State>, limits: &Limits, error: &wasmtime::Error) -> Fault {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Fault::Limit(format!("fuel: more than {} units in one call", limits.fuel)),
        Some(Trap::Interrupt) => return Fault::Limit(format!("wall: longer than {:?} in one call", limits.wall)),
        _ => {}
    }
    let text = format!("{error:#}");
    if text.contains("growing memory") {
        return Fault::Limit(format!("memory: more than {} bytes", limits.memory));
    }
    let last_words = &store.data().last_words;
    if last_words.is_empty() { Fault::Trap(text) } else { Fault::Trap(format!("{last_words} ({})", error.root_cause())) }
}

/// What MQTT forbids, and what is too much (MQTT 5 section 4.7).
fn check_output(actions: &[types::Action], limits: &Limits) -> Result<(), Fault> {
    let invalid = |why: String| Err(Fault::InvalidOutput(why));
    if actions.len() > limits.actions {
        return invalid(format!("{} actions, at most {} are taken", actions.len(), limits.actions));
    }
    let mut bytes = 0;
    for action in actions {
        match action {
            types::Action::Publish(message) => {
                bytes += message.topic.len() + message.payload.len();
                check_topic(&message.topic)?;
                if let Some(topic) = &message.properties.response_topic {
                    check_topic(topic)?;
                }
            }
            types::Action::Perform(request) => {
                bytes += request.context.len();
                if request.recipients.is_empty() {
                    return invalid("a request without recipient".to_owned());
                }
            }
        }
    }
    if bytes > limits.bytes {
        return invalid(format!("{bytes} bytes, at most {} are taken", limits.bytes));
    }
    Ok(())
}

fn check_topic(topic: &str) -> Result<(), Fault> {
    let why = match topic {
        "" => "it is empty",
        _ if topic.len() > usize::from(u16::MAX) => "it is longer than 65535 bytes",
        _ if topic.contains(['+', '#']) => "it has a wildcard",
        _ if topic.contains('\0') => "it has a NUL",
        _ if topic.starts_with("$SYS/") => "$SYS is the broker's",
        _ => return Ok(()),
    };
    Err(Fault::InvalidOutput(format!("topic {:?}: {why}", cut(topic))))
}

/// At most 1 KiB of a text.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(LINE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Log lines taken from one call.
const LINES: u32 = 20;
/// Bytes taken of one line.
const LINE: usize = 1_024;
