//! One running copy of a translator, owned by the thread that calls it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::{ResourceLimiter, Store, Trap};

use super::bindings::contract::types::{self, Action};
use super::bindings::contract::{events, setup, stateful};
use super::bindings::{self, Translator};
use super::engine::ticks;
use super::states::STATE;
use super::tally::Tally;
use super::{Direction, Fault, Generation, LimitKind, Limits, Outcome, Slot, actions};

/// One thread's way to call the translator of a slot. It makes an instance when it needs one.
pub struct Caller {
    slot: Arc<Slot>,
    tally: Arc<Tally>,
    running: Option<Running>,
    /// New states of clients, until it is known whether what came with them is accepted.
    pending: Vec<(Box<str>, Vec<u8>)>,
}

/// What is called for.
struct Call<'a> {
    now: Instant,
    direction: Direction,
    /// The endpoint or the topic.
    about: &'a str,
    /// Bytes.
    size: usize,
    /// Whether a stateful translator is given the state of `about`, and may change it.
    has_state: bool,
}

struct Running {
    generation: Arc<Generation>,
    instance: Instance,
}

impl Caller {
    /// Makes no instance yet.
    pub fn new(slot: Arc<Slot>) -> Self {
        Self { tally: slot.tally(), slot, running: None, pending: Vec::new() }
    }

    /// The slot that is called.
    pub fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Says how many events are held for the slot by whoever calls it here, and how many more had no room.
    pub(crate) fn hold(&self, held: usize, fallen: u64) {
        self.tally.hold(held, fallen);
    }

    /// What is to be done about an event: checked against the limits, topics valid. What a stateful translator wants to
    /// remember is pending until [`Self::accept`] or [`Self::discard`]; further calls see it already.
    ///
    /// # Errors
    /// The call gave nothing; the next one works unless the slot rests.
    pub fn uplink(&mut self, event: &events::Event<'_>) -> Result<Vec<Action>, Fault> {
        self.uplink_at(Instant::now(), event)
    }

    /// As [`Self::uplink`], at a time of the caller's choice (which decides whether the slot rests).
    ///
    /// # Errors
    /// As [`Self::uplink`].
    pub fn uplink_at(&mut self, now: Instant, event: &events::Event<'_>) -> Result<Vec<Action>, Fault> {
        let call = Call {
            now,
            direction: Direction::Uplink,
            about: endpoint(event),
            size: event_size(event),
            has_state: has_state(event),
        };
        self.call(&call, |translator, store, state| match &translator.stateful {
            Some(stateful) => stateful.call_translate(store, event.clone(), state),
            None => {
                translator.uplink.call_translate(store, event.clone()).map(|result| result.map(stateless))
            }
        })
    }

    /// What came of the events since the last time is accepted: new states are kept.
    pub fn accept(&mut self) {
        for (endpoint, state) in self.pending.drain(..) {
            self.slot.states().set(&endpoint, state);
        }
    }

    /// What came of the events since the last time is not accepted, and they may come again: states stay as they were.
    pub fn discard(&mut self) {
        self.pending.clear();
    }

    /// What is to be done about an MQTT message: checked against the limits, topics valid.
    ///
    /// # Errors
    /// The call gave nothing; the next one works unless the slot rests.
    pub fn downlink(&mut self, message: &types::MessageParam<'_>) -> Result<Vec<Action>, Fault> {
        self.downlink_at(Instant::now(), message)
    }

    /// As [`Self::downlink`], at a time of the caller's choice (which decides whether the slot rests).
    ///
    /// # Errors
    /// As [`Self::downlink`].
    pub fn downlink_at(
        &mut self,
        now: Instant,
        message: &types::MessageParam<'_>,
    ) -> Result<Vec<Action>, Fault> {
        let size = message.payload.len();
        let call = Call { now, direction: Direction::Downlink, about: message.topic, size, has_state: false };
        self.call(&call, |translator, store, _| {
            translator.downlink.call_translate(store, message.clone()).map(|result| result.map(stateless))
        })
    }

    fn call(
        &mut self,
        call: &Call<'_>,
        function: impl FnOnce(&Translator, &mut Store<State>, &[u8]) -> Called,
    ) -> Result<Vec<Action>, Fault> {
        let mut fuel = None;
        let result = self.slot.admit(call.now).and_then(|()| self.attempt(call, &mut fuel, function));
        let running = self.running.as_ref();
        let generation = running.map(|running| running.generation.number());
        let outcome = result.as_ref().err().map_or(Outcome::Ok, Fault::class);
        self.tally.record(call.direction, outcome, call.now.elapsed(), fuel);
        let worn = running.is_some_and(|running| {
            self.tally.measured(running.instance.store.data().memory_used());
            running.instance.is_worn(running.generation.limits())
        });
        if worn
            || matches!(outcome, Outcome::Trap | Outcome::Limit | Outcome::Internal | Outcome::InvalidOutput)
        {
            self.running = None;
        }
        self.slot.record(generation, outcome, call.now);
        result
    }

    fn attempt(
        &mut self,
        call: &Call<'_>,
        fuel: &mut Option<u64>,
        function: impl FnOnce(&Translator, &mut Store<State>, &[u8]) -> Called,
    ) -> Result<Vec<Action>, Fault> {
        let is_stateful = self.ready()?.generation.pre().is_stateful();
        let state = if is_stateful && call.has_state { self.state(call.about) } else { Vec::new() };
        let running = self.ready()?;
        let limits = running.generation.limits().for_input(call.size + state.len());
        let outcome = running
            .instance
            .call(call.about, &limits, |translator, store| function(translator, store, &state));
        *fuel = running.instance.store.get_fuel().ok().map(|left| limits.fuel.saturating_sub(left));
        let outcome = outcome?;
        actions::check(&outcome.actions, &limits)?;
        self.slot.check_topics(&outcome.actions)?;
        if let Some(state) = outcome.state {
            actions::check_state(&state)?;
            if call.has_state {
                self.set_state(call.about, state);
            }
        }
        Ok(outcome.actions)
    }

    /// The state of a client as the last call left it.
    fn state(&self, endpoint: &str) -> Vec<u8> {
        let pending = self.pending.iter().find(|(of, _)| **of == *endpoint);
        pending.map_or_else(|| self.slot.states().get(endpoint), |(_, state)| state.clone())
    }

    fn set_state(&mut self, endpoint: &str, state: Vec<u8>) {
        self.pending.retain(|(of, _)| **of != *endpoint);
        self.pending.push((endpoint.into(), state));
    }

    /// An instance of the active generation: the one at hand, or a new one.
    fn ready(&mut self) -> Result<&mut Running, Fault> {
        let current = self.running.take().filter(|running| self.slot.is_active(&running.generation));
        let running = match current {
            Some(running) => running,
            None => {
                let generation = self.slot.active();
                // Its `configure` was tried before and gives the same again, being a pure function.
                let (instance, _) = Instance::start(&generation, self.slot.shared_name())?;
                self.tally.started();
                Running { generation, instance }
            }
        };
        Ok(self.running.insert(running))
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// A store with one configured translator in it.
pub(super) struct Instance {
    store: Store<State>,
    translator: Translator,
    calls: u32,
}

impl Instance {
    /// Instantiates and configures, within the limits of one call. Refused settings are `Malformed`.
    pub(super) fn start(
        generation: &Generation,
        name: &Arc<str>,
    ) -> Result<(Self, setup::Subscriptions), Fault> {
        let mut store = store(generation, name)?;
        let translator = generation.pre().instantiate(&mut store).map_err(|error| classify(&error))?;
        let configured = translator.setup.call_configure(&mut store, generation.settings());
        let subscriptions = configured
            .map_err(|error| classify(&error))?
            .map_err(|diagnostics| Fault::Malformed(describe(&diagnostics)))?;
        Ok((Self { store, translator, calls: 0 }, subscriptions))
    }

    fn call(
        &mut self,
        about: &str,
        limits: &Limits,
        function: impl FnOnce(&Translator, &mut Store<State>) -> Called,
    ) -> Result<stateful::Outcome, Fault> {
        arm(&mut self.store, limits)?;
        self.store.data_mut().concern(about);
        self.calls += 1;
        function(&self.translator, &mut self.store).map_err(|error| classify(&error))?.map_err(|fault| {
            match fault {
                types::Fault::Unsupported(text) => Fault::Unsupported(text),
                types::Fault::Malformed(text) => Fault::Malformed(text),
                types::Fault::Internal(text) => Fault::Internal(text),
            }
        })
    }

    /// WebAssembly memory never shrinks, so an instance that has grown large is not kept.
    fn is_worn(&self, limits: &Limits) -> bool {
        self.calls >= CALLS || self.store.data().memory.used > limits.memory / 2
    }
}

/// What the host keeps for an instance.
pub(super) struct State {
    memory: Memory,
    translator: Arc<str>,
    generation: u64,
    /// Whom the call in progress is about; kept to reuse its memory.
    about: String,
    lines: u32,
    /// Where lines go instead of the log.
    record: Option<Vec<String>>,
}

impl State {
    fn new(translator: &Arc<str>, generation: u64, limits: &Limits) -> Self {
        let memory = Memory { used: 0, cap: limits.memory };
        let translator = Arc::clone(translator);
        Self { memory, translator, generation, about: String::new(), lines: 0, record: None }
    }

    /// The next call is about this endpoint or topic.
    fn concern(&mut self, about: &str) {
        self.about.clear();
        self.about.push_str(about);
    }

    /// From now on lines are kept here instead of logged.
    pub(super) fn record(&mut self) {
        self.record = Some(Vec::new());
    }

    /// The lines since the last time.
    pub(super) fn recorded(&mut self) -> Vec<String> {
        self.record.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Bytes of all memories; they never shrink.
    pub(super) fn memory_used(&self) -> usize {
        self.memory.used
    }
}

impl types::Host for State {}
impl events::Host for State {}

impl bindings::log::Host for State {
    fn write(&mut self, level: bindings::log::Level, text: String) {
        use bindings::log::Level;
        self.lines += 1;
        if self.lines > LOG_LINES {
            if self.lines == LOG_LINES + 1 {
                tracing::warn!(
                    translator = &*self.translator,
                    about = self.about,
                    "more than {LOG_LINES} lines in one call, the rest is left out"
                );
            }
            return;
        }
        let line = cut(&text);
        if let Some(record) = &mut self.record {
            record.push(format!("{} {line}", name(level)));
            return;
        }
        let Self { translator, generation, about, .. } = self;
        let translator = &**translator;
        match level {
            Level::Trace => tracing::trace!(translator, generation, about, "{line}"),
            Level::Debug => tracing::debug!(translator, generation, about, "{line}"),
            Level::Info => tracing::info!(translator, generation, about, "{line}"),
            Level::Warn => tracing::warn!(translator, generation, about, "{line}"),
            Level::Error => tracing::error!(translator, generation, about, "{line}"),
        }
    }
}

/// Caps all memories of an instance together.
struct Memory {
    used: usize,
    cap: usize,
}

impl ResourceLimiter for Memory {
    /// A refusal is an error, not `false`: the guest would only abort, and nobody could tell why.
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.cap {
            return Err(wasmtime::Error::new(LimitKind::Memory { wanted, cap: self.cap }));
        }
        self.used = wanted;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

type Called = wasmtime::Result<Result<stateful::Outcome, types::Fault>>;

/// A store for one instance, armed for its first call.
pub(super) fn store(generation: &Generation, name: &Arc<str>) -> Result<Store<State>, Fault> {
    // A script is part of its settings.
    let limits = &generation.limits().for_input(generation.settings().len());
    let mut store = Store::new(generation.pre().engine(), State::new(name, generation.number(), limits));
    store.limiter(|state| &mut state.memory);
    arm(&mut store, limits)?;
    Ok(store)
}

/// Gives the next call its fuel, its time and its log lines.
pub(super) fn arm(store: &mut Store<State>, limits: &Limits) -> Result<(), Fault> {
    store.set_fuel(limits.fuel).map_err(|error| classify(&error))?;
    store.set_epoch_deadline(ticks(limits.wall));
    // What wasmtime copies out of the guest, so that a small guest cannot ask for a huge copy.
    store.set_hostcall_fuel(
        limits
            .bytes
            .saturating_mul(2)
            .saturating_add(limits.actions.saturating_mul(ACTION_COST))
            .saturating_add(STATE),
    );
    let state = store.data_mut();
    state.memory.cap = limits.memory;
    state.lines = 0;
    Ok(())
}

/// Whose event it is.
fn endpoint<'a>(event: &events::Event<'a>) -> &'a str {
    let client = match event {
        events::Event::Registered(of) => &of.client,
        events::Event::Updated(of) => &of.client,
        events::Event::Ended(of) => &of.client,
        events::Event::Answered(of) => &of.client,
        events::Event::Notified(of) => &of.client,
        events::Event::Sent(of) => &of.client,
        events::Event::Progressed(of) => &of.client,
        events::Event::Failed(of) => &of.client,
    };
    client.endpoint
}

/// Whether the client of an event has a state: it is registered, and its shard is what tells.
fn has_state(event: &events::Event<'_>) -> bool {
    use events::Failure;
    let events::Event::Failed(failed) = event else { return true };
    !matches!(failed.failure, Failure::UnknownClient | Failure::Invalid(_) | Failure::Ended)
}

/// What a translator returns that remembers nothing.
fn stateless(actions: Vec<Action>) -> stateful::Outcome {
    stateful::Outcome { actions, state: None }
}

/// The bytes of an event's payload.
fn event_size(event: &events::Event<'_>) -> usize {
    match event {
        events::Event::Answered(of) => of.content.payload.len(),
        events::Event::Notified(of) => of.content.payload.len(),
        events::Event::Sent(of) => of.content.payload.len(),
        events::Event::Registered(of) => of.registration.links.len(),
        events::Event::Updated(of) => of.registration.links.len(),
        events::Event::Ended(of) => of.registration.links.len(),
        events::Event::Progressed(_) | events::Event::Failed(_) => 0,
    }
}

/// wasmtime's error as a fault. What is neither a limit nor a trap comes from reading the result: pointers out of bounds,
/// text that is not UTF-8, an unknown variant, more than may be copied.
pub(super) fn classify(error: &wasmtime::Error) -> Fault {
    if let Some(limit) = error.downcast_ref::<LimitKind>() {
        return Fault::Limit(*limit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::Limit(LimitKind::Fuel),
        Some(Trap::Interrupt) => Fault::Limit(LimitKind::Wall),
        Some(_) => Fault::Trap { reason: format!("{error:?}") },
        None => Fault::InvalidOutput(format!("{error:#}")),
    }
}

fn describe(diagnostics: &[setup::Diagnostic]) -> String {
    let all: Vec<String> = diagnostics.iter().map(|of| format!("{}: {}", of.key, of.text)).collect();
    all.join("; ")
}

fn name(level: bindings::log::Level) -> &'static str {
    use bindings::log::Level;
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// The first KiB of a line, at a character boundary.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOG_LINE)]
}

/// An instance is renewed now and then, so that a leak in a translator stays small.
const CALLS: u32 = 1_000_000;
const LOG_LINE: usize = 1 << 10;
const LOG_LINES: u32 = 20;
const TABLE_ELEMENTS: usize = 100_000;
/// Bytes that an action without its texts may cost when it is copied.
const ACTION_COST: usize = 1 << 10;
