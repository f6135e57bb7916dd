//! The WebAssembly engine: one for all translators, its settings fixed here and nowhere else.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Config;
use wasmtime::component::Component;

use super::{Limits, Rejection, Step, script};

/// Compiles translators, and counts the time of their calls. The clock stops when it is dropped, so it must outlive
/// every call; a generation does not keep it alive.
pub struct Engine {
    inner: wasmtime::Engine,
    generations: AtomicU64,
    /// What scripts run in; compiled when there is the first one, which takes seconds.
    javascript: OnceLock<Result<Component, String>>,
    /// Dropped to stop the ticker.
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the engine and its ticker thread. `limits.memory` sizes the address space set aside for an instance.
    ///
    /// # Errors
    /// The machine cannot run the compiled code, or no thread can be started.
    pub fn new(limits: &Limits) -> wasmtime::Result<Self> {
        let inner = wasmtime::Engine::new(&settings(limits))?;
        let (stop, stopped) = mpsc::channel::<()>();
        let ticking = inner.clone();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                ticking.increment_epoch();
            }
        };
        let ticker = thread::Builder::new().name("translator-clock".to_owned()).spawn(tick)?;
        Ok(Self {
            inner,
            generations: AtomicU64::new(0),
            javascript: OnceLock::new(),
            stop: Some(stop),
            ticker: Some(ticker),
        })
    }

    /// The component that scripts run in, shared by all of them.
    pub(super) fn javascript(&self) -> Result<Component, Rejection> {
        let compile = || Component::new(&self.inner, script::ENGINE).map_err(|error| format!("{error:#}"));
        self.javascript.get_or_init(compile).clone().map_err(|error| Rejection {
            step: Step::Compiled,
            reason: format!("the engine for scripts does not compile: {error}"),
        })
    }

    pub(super) fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// 1, 2, 3…
    pub(super) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ticker.take().is_some_and(|ticker| ticker.join().is_err()) {
            tracing::error!("the translators' clock has panicked");
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("generations", &self.generations).finish_non_exhaustive()
    }
}

/// The wall time as ticks. The running tick is partly over, so one more.
pub(super) fn ticks(wall: Duration) -> u64 {
    u64::try_from(wall.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).saturating_add(1)
}

fn settings(limits: &Limits) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // Both: fuel is the verdict, the same on every machine; the epoch ends what a busy machine drags out.
    config.consume_fuel(true).epoch_interruption(true);
    // The same input gives the same bytes on every machine.
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    // What no translator's compiler emits is refused rather than carried. Several memories are not: a component of
    // components has adapters that reach into two, and without them wasmtime panics when it compiles these.
    config.wasm_memory64(false).wasm_wide_arithmetic(false).wasm_custom_page_sizes(false);
    // With 4 GiB of address space set aside for each instance no access needs a check of its bounds, which makes a call a
    // sixth cheaper. Where address space is limited (`ulimit -v`) an instance takes what its memory may grow to.
    // Instances live for long, so allocating them on demand is quick enough, and no pool can run dry.
    if address_space_is_limited() {
        config.memory_reservation(limits.memory as u64).memory_guard_size(GUARD);
    }
    config.memory_reservation_for_growth(0);
    config
}

/// Whether the system limits this process's address space; a system that does not say so does not.
fn address_space_is_limited() -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"));
    line.is_some_and(|limit| !limit.trim_start().starts_with("unlimited"))
}

const TICK: Duration = Duration::from_millis(5);
const GUARD: u64 = 64 << 10;
