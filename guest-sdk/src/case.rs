//! Running cases natively: `cargo test` needs no WebAssembly tool. Behind the feature `case`, for `[dev-dependencies]`.
//!
//! A case is a TOML file with what goes in and what must come out; [`tidegate_case`] has its format. `tidegate plugin test`
//! runs the same files in the gateway's engine.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use tidegate_case::{Case, Input, Outcome};

use crate::{
    Action, Diagnostic, Event, Failure, Fault, Message, StatefulTranslator, Subscriptions, Translator,
};

/// Runs all cases of a folder, which is relative to the crate's own: each on a translator of its own, then all of them on
/// translators that are used again, then in another order. A translator that remembers something fails.
///
/// ```no_run
/// # struct Mine;
/// # impl tidegate_sdk::Translator for Mine {
/// #     fn configure(_: &str) -> Result<(Self, tidegate_sdk::Subscriptions), Vec<tidegate_sdk::Diagnostic>> {
/// #         Ok((Self, tidegate_sdk::Subscriptions::default()))
/// #     }
/// #     fn uplink(&self, _: tidegate_sdk::Event) -> Result<Vec<tidegate_sdk::Action>, tidegate_sdk::Fault> {
/// #         Ok(vec![])
/// #     }
/// # }
/// // In tests/cases.rs:
/// fn cases() {
///     tidegate_sdk::case::run::<Mine>("cases");
/// }
/// ```
///
/// # Panics
/// If a case cannot be read, there is none, or not all come out as they should: with a comparison for each that does not.
pub fn run<T: Translator>(folder: impl AsRef<Path>) {
    run_all::<T>(folder.as_ref(), |_| ());
}

/// As [`run`], of a translator with states: each case begins without any, and its steps hand them on.
///
/// ```no_run
/// # use tidegate_sdk::{Diagnostic, Event, Fault, Outcome, StatefulTranslator, Subscriptions};
/// # struct Numbered;
/// # impl StatefulTranslator for Numbered {
/// #     fn configure(_: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
/// #         Ok((Self, Subscriptions::default()))
/// #     }
/// #     fn uplink(&self, _: Event, _: &[u8]) -> Result<Outcome, Fault> {
/// #         Ok(Outcome::default())
/// #     }
/// # }
/// // In tests/cases.rs:
/// fn cases() {
///     tidegate_sdk::case::run_stateful::<Numbered>("cases");
/// }
/// ```
///
/// # Panics
/// As [`run`].
pub fn run_stateful<T: StatefulTranslator>(folder: impl AsRef<Path>) {
    run_all::<Keeping<T>>(folder.as_ref(), |kept| kept.states.borrow_mut().clear());
}

/// Keeps states as the gateway does.
struct Keeping<T> {
    translator: T,
    states: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl<T: StatefulTranslator> Translator for Keeping<T> {
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
        let (translator, subscriptions) = T::configure(settings)?;
        Ok((Self { translator, states: RefCell::default() }, subscriptions))
    }

    fn uplink(&self, event: Event) -> Result<Vec<Action>, Fault> {
        let (endpoint, is_end) = (endpoint(&event).to_owned(), matches!(event, Event::Ended(_)));
        let has_state = has_state(&event);
        let state = self.states.borrow().get(&endpoint).filter(|_| has_state).cloned().unwrap_or_default();
        let outcome = self.translator.uplink(event, &state);
        let mut states = self.states.borrow_mut();
        if let Ok(crate::Outcome { state: Some(state), .. }) = &outcome
            && has_state
        {
            states.insert(endpoint.clone(), state.clone());
        }
        if is_end {
            states.remove(&endpoint);
        }
        Ok(outcome?.actions)
    }

    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        self.translator.downlink(message)
    }
}

fn endpoint(event: &Event) -> &str {
    let client = match event {
        Event::Registered(of) => &of.client,
        Event::Updated(of) => &of.client,
        Event::Ended(of) => &of.client,
        Event::Answered(of) => &of.client,
        Event::Notified(of) => &of.client,
        Event::Sent(of) => &of.client,
        Event::Progressed(of) => &of.client,
        Event::Failed(of) => &of.client,
    };
    &client.endpoint
}

/// As the gateway has it: the client of an event is registered.
fn has_state(event: &Event) -> bool {
    let Event::Failed(failed) = event else { return true };
    !matches!(failed.failure, Failure::UnknownClient | Failure::Ended | Failure::Invalid(_))
}

/// `begin` is called with a translator that is used again.
fn run_all<T: Translator>(folder: &Path, begin: fn(&T)) {
    let cases = Case::load(folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(!cases.is_empty(), "there are no cases in {}", folder.display());
    let mut failures = String::new();
    let mut note = |way: &str, at: usize, problem: String| {
        let (file, case) = &cases[at];
        // Writing to a `String` cannot fail.
        let _ = writeln!(failures, "{} ({}), {way}:\n{problem}", file.display(), case.name);
    };
    for (at, (_, case)) in cases.iter().enumerate() {
        if let Err(problem) = attempt(case, &mut None::<T>) {
            note("on its own", at, problem);
        }
    }
    let mut kept: BTreeMap<String, Option<T>> = BTreeMap::new();
    for (way, order) in [("used again", in_order(cases.len())), ("in another order", shuffled(cases.len()))] {
        for at in order {
            let (_, case) = &cases[at];
            let translator = kept.entry(case.settings.to_string()).or_default();
            translator.iter().for_each(begin);
            if let Err(problem) = attempt(case, translator) {
                note(way, at, problem);
            }
        }
    }
    assert!(failures.is_empty(), "cases failed:\n\n{failures}");
}

/// All steps of a case, on the translator that is there or on a new one.
fn attempt<T: Translator>(case: &Case, translator: &mut Option<T>) -> Result<(), String> {
    for (number, step) in (1..).zip(&case.steps) {
        let outcome = outcome(case, &step.input, translator)?;
        let place = if case.steps.len() > 1 { format!("step {number}:\n") } else { String::new() };
        step.check(&outcome).map_err(|mismatch| format!("{place}{mismatch}"))?;
    }
    Ok(())
}

fn outcome<T: Translator>(case: &Case, input: &Input, kept: &mut Option<T>) -> Result<Outcome, String> {
    let translator = match kept.take() {
        Some(translator) => translator,
        None => match T::configure(&case.settings.to_string()) {
            Ok((translator, _)) => translator,
            Err(diagnostics) => return Ok(refused(&diagnostics)),
        },
    };
    let translator = kept.insert(translator);
    let result = match input {
        Input::Uplink(event) => translator.uplink(read::<Event>(event)?),
        Input::Downlink(message) => translator.downlink(read::<Message>(message)?),
    };
    Ok(match result {
        Ok(actions) => Outcome::Actions(actions.iter().map(written).collect::<Result<_, _>>()?),
        Err(Fault::Unsupported(text)) => Outcome::Fault { kind: "unsupported".to_owned(), text },
        Err(Fault::Malformed(text)) => Outcome::Fault { kind: "malformed".to_owned(), text },
        Err(Fault::Internal(text)) => Outcome::Fault { kind: "internal".to_owned(), text },
    })
}

/// As the gateway tells it.
fn refused(diagnostics: &[Diagnostic]) -> Outcome {
    let all: Vec<String> = diagnostics.iter().map(|of| format!("{}: {}", of.key, of.text)).collect();
    Outcome::Fault { kind: "malformed".to_owned(), text: format!("settings refused: {}", all.join("; ")) }
}

fn read<T: serde::de::DeserializeOwned>(input: &Value) -> Result<T, String> {
    serde_json::from_value(input.clone())
        .map_err(|error| format!("the input is not of this contract: {error}"))
}

fn written(action: &Action) -> Result<Value, String> {
    serde_json::to_value(action).map_err(|error| format!("an action is no JSON: {error}"))
}

fn in_order(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// The same at each run, so that what fails once fails again (xorshift, Fisher-Yates).
fn shuffled(count: usize) -> Vec<usize> {
    let mut order = in_order(count);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (at as u64 + 1)).unwrap_or_default();
        order.swap(at, other);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish;

    /// Publishes how many calls there were before.
    struct Remembers(std::cell::Cell<usize>);

    impl Translator for Remembers {
        fn configure(_: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
            Ok((Self(std::cell::Cell::new(0)), Subscriptions::default()))
        }

        fn uplink(&self, _: Event) -> Result<Vec<Action>, Fault> {
            self.0.set(self.0.get() + 1);
            Ok(vec![publish("calls", self.0.get().to_string())])
        }
    }

    /// Publishes how many calls about the same client there were before, as the state says.
    struct Counts;

    impl StatefulTranslator for Counts {
        fn configure(_: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
            Ok((Self, Subscriptions::default()))
        }

        fn uplink(&self, _: Event, state: &[u8]) -> Result<crate::Outcome, Fault> {
            let actions = vec![publish("calls", state.len().to_string())];
            Ok(crate::Outcome { actions, state: Some(vec![0; state.len() + 1]) })
        }
    }

    #[test]
    fn states_go_from_step_to_step_but_not_from_case_to_case() {
        let folder = tempdir::Folder::new("states");
        let step = |endpoint: &str, cause: &str, calls: usize| {
            format!(
                "[[step]]\n[step.uplink]\nendpoint = \"{endpoint}\"\ncause = \"{cause}\"\n\
                 [[step.publish]]\ntopic = \"calls\"\ntext = \"{calls}\"\n"
            )
        };
        let steps = [
            step("a", "notified", 0),
            step("b", "notified", 0),
            step("a", "notified", 1),
            step("a", "failed", 0)
                .replace("[[step.publish]]", "operation = \"read\"\nfailure = \"ended\"\n[[step.publish]]"),
            step("a", "ended", 2),
            step("a", "registered", 0),
        ];
        for name in ["a.toml", "b.toml"] {
            std::fs::write(folder.0.join(name), steps.concat()).expect("a folder of its own");
        }
        run_stateful::<Counts>(&folder.0);
    }

    fn folder(expected: &str) -> tempdir::Folder {
        let folder = tempdir::Folder::new(expected);
        let case = format!(
            "[uplink]\nendpoint = \"e\"\ncause = \"notified\"\n[[publish]]\ntopic = \"calls\"\ntext = \"{expected}\"\n"
        );
        std::fs::write(folder.0.join("a.toml"), case).expect("a folder of its own");
        folder
    }

    mod tempdir {
        pub(super) struct Folder(pub(super) std::path::PathBuf);

        impl Folder {
            pub(super) fn new(name: &str) -> Self {
                let path = std::env::temp_dir().join(format!("tidegate-case-{}-{name}", std::process::id()));
                std::fs::create_dir_all(&path).expect("a folder for tests");
                Self(path)
            }
        }

        impl Drop for Folder {
            fn drop(&mut self) {
                let _ = std::fs::remove_dir_all(&self.0);
            }
        }
    }

    #[test]
    #[should_panic(expected = "in another order")]
    fn a_translator_that_remembers_fails() {
        run::<Remembers>(&folder("1").0);
    }

    #[test]
    #[should_panic(expected = "on its own")]
    fn what_does_not_come_out_fails() {
        run::<Remembers>(&folder("7").0);
    }

    #[test]
    fn another_order_has_all_of_them() {
        let mut order = shuffled(20);
        assert_ne!(order, in_order(20));
        order.sort_unstable();
        assert_eq!(order, in_order(20));
    }
}
