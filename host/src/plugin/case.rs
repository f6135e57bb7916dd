//! Cases in the engine: before a generation is offered (step `tried`), and for `tidegate plugin test`.

use std::time::Duration;

use tidegate_case::{Case, Mismatch, Outcome};

use super::{Fault, Generation, Rejection, Step, Trial, Tried};

/// What came of a case: of all its steps, or of those up to the first that came out otherwise.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// Of each step that was taken.
    pub outcomes: Vec<Outcome>,
    /// The number of the first step that came out otherwise, from 1, and how.
    pub mismatch: Option<(usize, Mismatch)>,
    /// The most fuel of a call.
    pub fuel: u64,
    /// Bytes of the instance's memory at the end.
    pub memory: usize,
    /// Time of all calls.
    pub time: Duration,
    /// What the translator logged, each line with its level in front.
    pub log: Vec<String>,
}

/// Takes the steps of a case on the instance that is kept, or on a new one, which has the case's settings; afterwards
/// the instance is kept unless it has crashed. All steps are taken if `goes_on`, else up to the first that comes out
/// otherwise.
pub fn attempt(generation: &Generation, case: &Case, kept: &mut Option<Trial>, goes_on: bool) -> Attempt {
    let mut attempt = Attempt::default();
    if let Some(trial) = kept {
        trial.forget();
    }
    for (number, step) in (1..).zip(&case.steps) {
        let outcome = match kept.take().map_or_else(|| Trial::start(generation, &case.settings), Ok) {
            Ok(mut trial) => {
                let tried = trial.call(&step.input);
                let is_whole = !tried.result.as_ref().is_err_and(is_crash);
                let outcome = attempt.note(tried);
                *kept = is_whole.then_some(trial);
                outcome
            }
            Err(fault) => failed(fault),
        };
        let checked = step.check(&outcome);
        attempt.outcomes.push(outcome);
        if let Err(mismatch) = checked {
            attempt.mismatch.get_or_insert((number, mismatch));
            if !goes_on {
                break;
            }
        }
    }
    attempt
}

/// The step `tried`: each case on an instance of its own.
///
/// # Errors
/// The first that comes out otherwise, with what is different.
pub(super) fn prove(generation: &Generation, cases: &[Case]) -> Result<(), Rejection> {
    for case in cases {
        if let Some((number, mismatch)) = attempt(generation, case, &mut None, false).mismatch {
            let step = if case.steps.len() > 1 { format!(", step {number}") } else { String::new() };
            let reason = format!("its case {:?}{step} comes out otherwise:\n{mismatch}", case.name);
            return Err(Rejection { step: Step::Tried, reason });
        }
    }
    Ok(())
}

impl Attempt {
    fn note(&mut self, tried: Tried) -> Outcome {
        self.fuel = self.fuel.max(tried.fuel);
        self.memory = tried.memory;
        self.time += tried.time;
        self.log.extend(tried.log);
        match tried.result {
            Ok(actions) => Outcome::Actions(actions),
            Err(fault) => failed(fault),
        }
    }
}

/// As the cases name it: what the translator says is its own text, anything else is the gateway's.
fn failed(fault: Fault) -> Outcome {
    let kind = fault.outcome().to_owned();
    let text = match fault {
        Fault::Unsupported(text) | Fault::Malformed(text) | Fault::Internal(text) => text,
        other => other.to_string(),
    };
    Outcome::Fault { kind, text }
}

/// Whether the gateway would drop the instance.
fn is_crash(fault: &Fault) -> bool {
    !matches!(fault, Fault::Unsupported(_) | Fault::Malformed(_))
}
