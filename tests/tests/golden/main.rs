//! EMQX's contract, case by case: every recorded scenario is replayed through the real gateway in strict mode, with
//! a UDP socket as the device and an MQTT client as the application.
//!
//! The cases are in `spec/emqx-golden.json` of the folder `shared` beside the repository, or of the folder that
//! `TIDEGATE_SHARED` names. Cases that EMQX's own authors would call a defect are not replayed.
//! `TIDEGATE_GOLDEN=<part of a name>` replays only some.

mod bench;
mod case;
mod compare;
mod deviations;
mod replay;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bench::Bench;
use case::Case;
use deviations::Deviation;
use replay::Replay;
use tidegate_tests::{Application, Broker, Mosquitto, MqttVersion, Setup, report, skipped};

#[test]
fn the_gateway_follows_the_recorded_cases() -> Result<()> {
    let file = shared().join("spec/emqx-golden.json");
    if !file.exists() {
        skipped(&format!("{} is missing", file.display()));
        return Ok(());
    }
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(&file)?).context("reading the cases")?;
    let unknown: Vec<_> =
        deviations::names().filter(|name| !cases.iter().any(|case| case.name == *name)).collect();
    let mut tally = Tally::default();
    tally.stale.extend(unknown.into_iter().map(|name| format!("{name}: there is no such case")));
    let broker = Mosquitto::start()?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    for (setup, cases) in groups(&cases, Broker::On(broker.port())) {
        replay_group(&setup, &cases, &application, &mut tally)?;
    }
    tally.conclude()
}

/// The cases to replay, together with others of the same configuration: one gateway serves them in turn.
fn groups(cases: &[Case], broker: Broker) -> Vec<(Setup, Vec<&Case>)> {
    let only = std::env::var("TIDEGATE_GOLDEN").unwrap_or_default();
    let mut groups: BTreeMap<String, (Setup, Vec<&Case>)> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.name.contains(&only)) {
        let wanted = KINDS.contains(&case.kind.as_str()) && CLASSES.contains(&case.class.as_str());
        if wanted {
            let setup = bench::setup(case, broker);
            let key = format!("{}{}", setup.settings, setup.registration);
            groups.entry(key).or_insert_with(|| (setup, Vec::new())).1.push(case);
        }
    }
    groups.into_values().collect()
}

fn replay_group(setup: &Setup, cases: &[&Case], application: &Application, tally: &mut Tally) -> Result<()> {
    let mut bench = Bench::start(setup, application)?;
    // Ports in use stay in use: the gateway remembers the message IDs that came from them.
    let mut sockets = Vec::new();
    for case in cases {
        let deviation = deviations::of(&case.name);
        tally.notes.extend(deviation.map(|deviation| format!("{}: {}", case.name, deviation.reason())));
        if let Some(Deviation::NotApplicable(_)) = deviation {
            tally.count(case, Verdict::NotApplicable);
            continue;
        }
        let adaptation = match deviation {
            Some(Deviation::Adapted(adaptation, _)) => Some(*adaptation),
            _ => None,
        };
        let (outcome, peers) = Replay::new(&mut bench, case, adaptation).run();
        sockets.extend(peers);
        tally.judge(case, deviation, outcome);
    }
    let status = bench.gateway.terminate()?;
    if !status.success() {
        bail!("the gateway ended with {status}:\n{}", bench.gateway.process().everything());
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Verdict {
    Passed,
    Deviates,
    NotApplicable,
    Failed,
}

/// What became of the cases.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<(String, String), [usize; 4]>,
    notes: Vec<String>,
    failures: Vec<String>,
    stale: Vec<String>,
}

impl Tally {
    fn judge(&mut self, case: &Case, deviation: Option<&Deviation>, outcome: Result<()>) {
        let verdict = match (deviation, outcome) {
            (None, Ok(())) => Verdict::Passed,
            (Some(Deviation::Adapted(..)), Ok(())) | (Some(Deviation::ByDesign(_)), Err(_)) => {
                Verdict::Deviates
            }
            (Some(_), Ok(())) => {
                self.stale.push(format!("{}: is listed as deviating, but passes", case.name));
                Verdict::Failed
            }
            (_, Err(error)) => {
                self.failures.push(format!("{} ({} {}): {error:#}", case.name, case.kind, case.class));
                Verdict::Failed
            }
        };
        self.count(case, verdict);
    }

    fn count(&mut self, case: &Case, verdict: Verdict) {
        self.counts.entry((case.kind.clone(), case.class.clone())).or_default()[verdict as usize] += 1;
    }

    fn conclude(self) -> Result<()> {
        report(&row("kind", "class", ["passed", "deviates", "not applicable", "failed"]));
        let mut sums = [0; 4];
        for ((kind, class), counts) in &self.counts {
            report(&row(kind, class, counts.map(|count| count.to_string())));
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        report(&row("all", "", sums.map(|sum| sum.to_string())));
        self.notes.iter().for_each(|note| report(note));
        if sums == [0; 4] {
            bail!("no case was chosen");
        }
        let wrong = [self.stale, self.failures].concat();
        match wrong.len() {
            0 => Ok(()),
            number => bail!("{number} cases went wrong:\n{}", wrong.join("\n")),
        }
    }
}

fn row<T: std::fmt::Display>(
    kind: &str,
    class: &str,
    [passed, deviates, not_applicable, failed]: [T; 4],
) -> String {
    format!("{kind:<14}{class:<10}{passed:>8}{deviates:>10}{not_applicable:>16}{failed:>8}")
}

fn shared() -> PathBuf {
    match std::env::var_os("TIDEGATE_SHARED") {
        Some(folder) => PathBuf::from(folder),
        // tests/ → repository → the folder it lies in
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
    }
}

/// What can be replayed without a clock to turn forward; `blockwise` and `rest` have settings of their own in EMQX.
const KINDS: [&str; 8] =
    ["register", "update", "deregister", "command", "auto_observe", "topic", "peer", "queue"];

/// Not `defect`: what EMQX does wrong is not copied.
const CLASSES: [&str; 2] = ["contract", "quirk"];
