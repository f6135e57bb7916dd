//! `tidegate plugin bench`: what the calls of the cases cost, and how near they come to the limits.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tidegate_case::Step;

use super::subject::{Found, Subject, Typed};
use crate::plugin::{Fault, Limits, Trial};

/// Calls the translator with the inputs of its cases, `calls` times each, and prints calls in a second, the median and
/// the 99th percentile of their times, fuel, memory and the share of the default limits. The time is that of one thread, with what it
/// takes to hand over untyped values, which the gateway does not do: it is an upper bound.
///
/// # Errors
/// What was typed cannot be built or has no cases, or a call crashes.
pub(crate) fn bench(words: &[String], calls: u32) -> anyhow::Result<()> {
    ensure!(calls > 0, "--calls 0 measures nothing");
    let limits = Limits::default();
    let engine = super::engine(&limits)?;
    for Subject { file, generation, cases } in Typed::read(words)?.subjects(&engine, &limits)? {
        println!("{} (shares are of the default limits; ! marks more than {MARKED} %)", file.display());
        println!(
            "{:>10} {:>10} {:>10} {:>18} {:>17} {:>7}",
            "calls/s", "p50", "p99", "fuel", "memory", "time"
        );
        for found in &cases {
            let trial = Trial::start(&generation, &found.case.settings);
            // A case whose settings are refused, as it expects, has no calls.
            let Ok(mut trial) = trial else { continue };
            let figures = measure(&mut trial, found, calls).with_context(|| found.label())?;
            println!("{} {}", figures.line(&limits), found.label());
        }
    }
    Ok(())
}

struct Figures {
    /// In their order.
    times: Vec<Duration>,
    fuel: u64,
    memory: usize,
}

fn measure(trial: &mut Trial, found: &Found, calls: u32) -> anyhow::Result<Figures> {
    let mut figures = Figures { times: Vec::new(), fuel: 0, memory: 0 };
    let steps: Vec<&Step> = found.case.steps.iter().collect();
    for round in 0..calls + WARM_UP {
        for step in &steps {
            let tried = trial.call(&step.input);
            let is_own = |fault: &Fault| matches!(fault, Fault::Unsupported(_) | Fault::Malformed(_));
            if let Some(fault) = tried.result.err().filter(|fault| !is_own(fault)) {
                let log = tried.log.iter().map(|line| format!("\n  log: {line}")).collect::<String>();
                anyhow::bail!("{fault}{log}");
            }
            if round >= WARM_UP {
                figures.times.push(tried.time);
                figures.fuel = figures.fuel.max(tried.fuel);
                figures.memory = figures.memory.max(tried.memory);
            }
        }
    }
    figures.times.sort_unstable();
    Ok(figures)
}

impl Figures {
    fn line(&self, limits: &Limits) -> String {
        let total: Duration = self.times.iter().sum();
        let nanos = total.as_nanos().max(1);
        let per_second = u128::try_from(self.times.len()).unwrap_or_default() * 1_000_000_000 / nanos;
        let (p50, p99) = (self.quantile(50), self.quantile(99));
        let fuel = share(u128::from(self.fuel), u128::from(limits.fuel));
        let memory = share(self.memory as u128, limits.memory as u128);
        let time = share(p99.as_nanos(), limits.wall.as_nanos());
        format!(
            "{per_second:>10} {:>10} {:>10} {:>10} {fuel:>7} {:>5} KiB {memory:>7} {time:>7}",
            format!("{p50:.1?}"),
            format!("{p99:.1?}"),
            self.fuel,
            self.memory >> 10,
        )
    }

    fn quantile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// Percent, with a mark if that is much.
fn share(part: u128, all: u128) -> String {
    let percent = part.saturating_mul(100) / all.max(1);
    let mark = if percent > MARKED { "!" } else { "" };
    format!("{percent} %{mark}")
}

const MARKED: u128 = 50;
const WARM_UP: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_more_than_half_is_marked() {
        assert_eq!(
            (share(1, 100), share(50, 100), share(51, 100)),
            ("1 %".into(), "50 %".into(), "51 %!".into())
        );
    }

    #[test]
    fn quantiles_are_of_sorted_times() {
        let times = (1..=101).map(Duration::from_micros).collect();
        let figures = Figures { times, fuel: 0, memory: 0 };
        assert_eq!(figures.quantile(50), Duration::from_micros(51));
        assert_eq!(figures.quantile(99), Duration::from_micros(100));
    }
}
