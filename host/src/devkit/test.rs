//! `tidegate plugin test`: every case in the gateway's engine, alone, on instances that are used again, and in another
//! order.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use tidegate_case::Case;

use super::subject::{Found, Subject, Typed};
use super::{section, subject};
use crate::plugin::{Attempt, Generation, Limits, Trial, attempt};

/// Runs the cases of what was typed, and prints what came out. With `is_to_bless`, what came out is written into the files
/// of those cases that come out otherwise.
///
/// # Errors
/// How many failed; or what was typed cannot be built, or has no cases.
pub(crate) fn test(words: &[String], is_to_bless: bool) -> anyhow::Result<()> {
    let limits = Limits::default();
    let engine = super::engine(&limits)?;
    let (mut failed, mut all) = (0_usize, 0_usize);
    for subject in Typed::read(words)?.subjects(&engine, &limits)? {
        println!("{}", subject.file.display());
        failed += run(&subject, &limits, is_to_bless)?;
        all += subject.cases.len();
    }
    ensure!(failed == 0, "cases failed: {failed} of {all}");
    if is_to_bless {
        println!("cases: {all}; what came out of them is what is expected now: look at it, and run the test");
        return Ok(());
    }
    println!("cases passed: {all}, each on a new instance, on one used before, and in another order");
    Ok(())
}

/// How many have failed.
fn run(subject: &Subject, limits: &Limits, is_to_bless: bool) -> anyhow::Result<usize> {
    let Subject { generation, cases, .. } = subject;
    let mut failed = vec![false; cases.len()];
    for (at, found) in cases.iter().enumerate() {
        let alone = attempt(generation, &found.case, &mut None, is_to_bless);
        match &alone.mismatch {
            None => println!("  ok      {} ({})", found.label(), measured(&alone, limits)),
            Some(_) if is_to_bless && bless(found, &alone)? => println!("  blessed {}", found.label()),
            Some(_) => {
                failed[at] = true;
                report(found, "on a new instance", &alone);
            }
        }
        if alone.mismatch.is_none() {
            alone.log.iter().for_each(|line| println!("          log: {line}"));
        }
    }
    if is_to_bless {
        // What is in the files now has not been read.
        return Ok(failed.iter().filter(|failed| **failed).count());
    }
    let mut kept: BTreeMap<String, Option<Trial>> = BTreeMap::new();
    for (way, order) in
        [("on an instance used before", in_order(cases.len())), ("in another order", shuffled(cases.len()))]
    {
        for at in order {
            if let Some(again) = again(generation, &cases[at], &mut kept).filter(|_| !failed[at]) {
                failed[at] = true;
                report(&cases[at], way, &again);
            }
        }
    }
    Ok(failed.iter().filter(|failed| **failed).count())
}

/// The attempt, if it came out otherwise.
fn again(
    generation: &Generation,
    found: &Found,
    kept: &mut BTreeMap<String, Option<Trial>>,
) -> Option<Attempt> {
    let of_settings = kept.entry(found.case.settings.to_string()).or_default();
    let again = attempt(generation, &found.case, of_settings, false);
    again.mismatch.is_some().then_some(again)
}

/// Writes what came out into the case's file. What is in an artifact has none.
fn bless(found: &Found, attempt: &Attempt) -> anyhow::Result<bool> {
    let Some(file) = &found.file else { return Ok(false) };
    let blessed = Case::bless(&subject::text(file)?, &attempt.outcomes)?;
    section::write_whole(Path::new(file), blessed.as_bytes())?;
    Ok(true)
}

fn report(found: &Found, way: &str, attempt: &Attempt) {
    println!("  FAILED  {}, {way}", found.label());
    if let Some((number, mismatch)) = &attempt.mismatch {
        if found.case.steps.len() > 1 {
            println!("          step {number}");
        }
        mismatch.to_string().lines().for_each(|line| println!("          {line}"));
    }
    attempt.log.iter().for_each(|line| println!("          log: {line}"));
}

fn measured(attempt: &Attempt, limits: &Limits) -> String {
    let percent = |part: u64, all: u64| part.saturating_mul(100) / all.max(1);
    let memory = u64::try_from(attempt.memory).unwrap_or(u64::MAX);
    let fuel = format!("fuel {}, {} %", attempt.fuel, percent(attempt.fuel, limits.fuel));
    let share = percent(memory, u64::try_from(limits.memory).unwrap_or(u64::MAX));
    format!("{fuel}; memory {} KiB, {share} %", memory >> 10)
}

fn in_order(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// The same at each run, so that what fails once fails again (xorshift, Fisher-Yates).
fn shuffled(count: usize) -> Vec<usize> {
    let mut order = in_order(count);
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (at as u64 + 1)).unwrap_or_default();
        order.swap(at, other);
    }
    order
}
