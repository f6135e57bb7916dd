//! EMQX's contract, case by case: every recorded scenario is replayed through the real gateway in strict mode, with
//! a UDP socket as the device and an MQTT client as the application.
//!
//! The cases are in `spec/emqx-golden.json` of the folder `shared` beside the repository, or of the folder that
//! `TIDEGATE_SHARED` names. What EMQX's own authors would call a defect is replayed, too, and must not happen.
//! `TIDEGATE_GOLDEN=<part of a name>` replays only some. The table `tests/golden.md` is written by this test when
//! `TIDEGATE_BLESS` is set, and otherwise compared. `TIDEGATE_SEED=<number>` makes other variations and other commands.

mod bench;
mod case;
mod compare;
mod defects;
mod deviations;
mod device;
mod notation;
mod random;
mod replay;
mod rest;
mod rules;
mod table;
mod tlv;
mod told;
mod variations;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use bench::Bench;
use case::Case;
use deviations::{Deviation, Way};
use random::Random;
use replay::Replay;
use table::Tally;
use tidegate_tests::{Application, Broker, Mosquitto, MqttVersion, Peer, Setup, report, skipped};
use variations::Variation;

#[test]
fn the_gateway_follows_the_recorded_cases() -> Result<()> {
    let Some(cases) = cases()? else { return Ok(()) };
    let only = std::env::var("TIDEGATE_GOLDEN").unwrap_or_default();
    let chosen: Vec<_> = cases.iter().filter(|case| case.name.contains(&only)).cloned().collect();
    let mut tally = Tally::default();
    for deviation in deviations::all() {
        if !cases.iter().any(|case| case.name == deviation.case) {
            tally.wrong(format!("{}: there is no such case", deviation.case));
        }
    }
    for case in chosen.iter().filter(|case| case.kind == "tlv") {
        tally.judge(case, tlv::check(case));
    }
    let groups = groups(chosen.into_iter().filter(|case| case.kind != "tlv").collect());
    let tally = Mutex::new(tally);
    in_parallel(groups, |(setup, cases)| {
        replay(&setup, &cases, |case, outcome| {
            tally.lock().unwrap_or_else(PoisonError::into_inner).judge(case, outcome);
        })
    })?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    report(&tally.table());
    tally.conclude()?;
    if only.is_empty() { table::compare(&tally.table()) } else { Ok(()) }
}

#[test]
fn variations_of_the_recorded_commands_are_followed() -> Result<()> {
    let Some(cases) = cases()? else { return Ok(()) };
    let only = std::env::var("TIDEGATE_GOLDEN").unwrap_or_default();
    let suitable = cases.iter().filter(|case| variations::is_suitable(case) && case.name.contains(&only));
    // What deviates as recorded would in every variation.
    let suitable: Vec<_> = suitable.filter(|case| deviations::of(&case.name).is_none()).collect();
    let mut random = Random::new(seed()?);
    let varied = (0..VARIATIONS).zip(suitable.iter().cycle());
    let varied: Result<Vec<_>> =
        varied.map(|(number, case)| Variation::next(&mut random).apply(case, number)).collect();
    if suitable.is_empty() { Ok(()) } else { all_follow(varied?) }
}

#[test]
fn commands_that_nobody_recorded_follow_the_rules() -> Result<()> {
    let Some(cases) = cases()? else { return Ok(()) };
    let template = cases.iter().find(|case| case.name == TEMPLATE).context(TEMPLATE)?;
    let config = template.given.config.as_ref().context("a configuration")?;
    let mut random = Random::new(seed()?);
    all_follow((0..SEQUENCES).map(|number| rules::case(number, config, &mut random)).collect())
}

/// Always the same, or what `TIDEGATE_SEED` says.
fn seed() -> Result<u64> {
    std::env::var("TIDEGATE_SEED").map_or(Ok(SEED), |seed| seed.parse().context("TIDEGATE_SEED"))
}

/// Replay cases of the test's own.
fn all_follow(cases: Vec<Case>) -> Result<()> {
    let wrong = Mutex::new(Vec::new());
    let number = cases.len();
    in_parallel(groups(cases), |(setup, cases)| {
        replay(&setup, &cases, |case, outcome| {
            if let Err(error) = outcome {
                let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                wrong.push(format!("{}: {error:#}", case.name));
            }
        })
    })?;
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    match wrong.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {number} went wrong:\n{}", wrong.join("\n")),
    }
}

/// All cases of the file, those of the REST interface without HTTP, and those that only the text tells; none, which is
/// said, where the file is missing.
fn cases() -> Result<Option<Vec<Case>>> {
    let file = shared().join("spec/emqx-golden.json");
    if !file.exists() {
        skipped(&format!("{} is missing", file.display()));
        return Ok(None);
    }
    let recorded: Vec<Case> = serde_json::from_slice(&std::fs::read(&file)?).context("reading the cases")?;
    let template = recorded.iter().find(|case| case.name == TEMPLATE).context(TEMPLATE)?;
    let plain = |case: &Case| match case.kind.as_str() {
        "rest" => rest::without_http(case, template),
        _ => Ok(case.clone()),
    };
    let mut cases = recorded.iter().map(plain).collect::<Result<Vec<_>>>()?;
    let text = std::fs::read_to_string(shared().join("spec/emqx-lwm2m.md")).context("reading the text")?;
    let suite = template.given.config.as_ref().context("a configuration")?;
    cases.extend(told::cases(&text, suite, |name| recorded.iter().any(|case| case.name == name))?);
    Ok(Some(cases))
}

/// The cases together with others of the same configuration, which one gateway serves in turn; those that take long
/// first.
fn groups(cases: Vec<Case>) -> VecDeque<(Setup, Vec<Case>)> {
    let mut groups: BTreeMap<String, (Setup, Vec<Case>)> = BTreeMap::new();
    for case in cases {
        // The port is not known yet.
        let setup = bench::setup(&case, Broker::On(0));
        let key = format!("{}{}{}{}", case.takes_long(), setup.settings, setup.registration, setup.coap);
        groups.entry(key).or_insert_with(|| (setup, Vec::new())).1.push(case);
    }
    let mut groups: Vec<_> = groups
        .into_values()
        .flat_map(|(setup, cases)| {
            let parts: Vec<_> = cases.chunks(AT_ONCE).map(<[Case]>::to_vec).collect();
            parts.into_iter().map(move |part| (setup.clone(), part))
        })
        .collect();
    groups.sort_by_key(|(_, cases)| (cases.iter().all(|case| !case.takes_long()), usize::MAX - cases.len()));
    groups.into()
}

/// Work on several groups at a time; most of it is waiting.
fn in_parallel<T: Send>(work: VecDeque<T>, perform: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let work = Mutex::new(work);
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        let worker = || {
            while let Some(item) = next() {
                perform(item)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        let ends =
            workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?);
        // Every worker is waited for before an error comes out.
        ends.collect::<Vec<Result<()>>>().into_iter().collect()
    })
}

/// Replay these cases on one gateway, with a broker of its own, and hand over each outcome.
fn replay(setup: &Setup, cases: &[Case], mut judge: impl FnMut(&Case, Result<()>)) -> Result<()> {
    let broker = Mosquitto::start()?;
    let application = Application::connect(broker.port(), MqttVersion::V5)?;
    let setup = Setup { broker: Broker::On(broker.port()), ..setup.clone() };
    let mut bench = Bench::start(&setup, &application)?;
    // Ports in use stay in use: the gateway remembers the message IDs that came from them.
    let mut sockets: Vec<Peer> = Vec::new();
    for case in cases {
        let deviation = deviations::of(&case.name);
        if let Some(Deviation { way: Way::NotApplicable, .. }) = deviation {
            judge(case, Ok(()));
            continue;
        }
        let (outcome, peers) = Replay::new(&mut bench, case, deviation).run();
        sockets.extend(peers);
        judge(case, outcome);
    }
    let status = bench.gateway.terminate()?;
    if !status.success() {
        bail!("the gateway ended with {status}:\n{}", bench.gateway.process().everything());
    }
    Ok(())
}

fn shared() -> PathBuf {
    match std::env::var_os("TIDEGATE_SHARED") {
        Some(folder) => PathBuf::from(folder),
        // tests/ → repository → the folder it lies in
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
    }
}

/// A case with the usual configuration that begins with the usual registration.
const TEMPLATE: &str = "lookup";

/// How many variations there are, and what they begin with.
const VARIATIONS: usize = 500;
const SEED: u64 = 5783;

/// How many sequences of commands there are besides.
const SEQUENCES: usize = 40;

/// How many groups are worked on at a time, and how many cases one of them has at most.
const WORKERS: usize = 4;
const AT_ONCE: usize = 40;
