//! The one WebAssembly engine: every setting of it is made here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wasmtime::Config;

/// The engine with the clock that its wall-time limit needs.
#[derive(Debug)]
pub struct Engine {
    engine: wasmtime::Engine,
    is_running: Arc<AtomicBool>,
    ticker: Option<thread::JoinHandle<()>>,
}

impl Engine {
    /// Start the engine and its ticker; the ticker ends when the engine is dropped.
    ///
    /// # Errors
    /// If this machine cannot run compiled WebAssembly, or no thread can be started.
    pub fn new() -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        config.consume_fuel(true);
        config.epoch_interruption(true);
        // The same bytes out on every machine.
        config.cranelift_nan_canonicalization(true);
        config.relaxed_simd_deterministic(true);
        config.max_wasm_stack(512 << 10);
        let engine = wasmtime::Engine::new(&config)?;
        let is_running = Arc::new(AtomicBool::new(true));
        let (ticking, running) = (engine.clone(), Arc::clone(&is_running));
        let ticker = thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            while running.load(Ordering::Relaxed) {
                thread::park_timeout(TICK);
                ticking.increment_epoch();
            }
        })?;
        Ok(Self { engine, is_running, ticker: Some(ticker) })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.is_running.store(false, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            // It only sleeps and counts; there is nothing in it to fail.
            let _ = ticker.join();
        }
    }
}

/// How many ticks a wall-time limit is; never cut short by the tick that is under way.
pub(crate) fn ticks(wall: Duration) -> u64 {
    u64::try_from(wall.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX).saturating_add(1)
}

/// Fine enough for limits of tens of milliseconds, and a hundred wake-ups a second cost nothing.
const TICK: Duration = Duration::from_millis(10);
