//! `tidegate bench`: a load generator with clients and a broker of its own, which measures what a gateway costs.
//!
//! `cli` calls [`run`]. It starts a gateway of this executable, or another program ([`subject`]), lets simulated clients ([`client`])
//! register and do what is to be measured ([`drive`]), takes what arrives at its broker ([`sink`]), and reports ([`report`]).
//! One thread is clients and broker ([`stage`]), and batches of datagrams keep it cheap ([`system`]), so that it is not what is measured;
//! what it costs is reported beside.

mod client;
mod content;
mod drive;
mod measure;
mod packet;
mod report;
mod secure;
mod sink;
mod stage;
mod subject;
mod system;
mod tally;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use self::drive::Drive;
use self::measure::{Usage, resident};
use self::report::{Report, Run, Setup};
use self::stage::Stage;

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the clients do.
    pub workload: Workload,
    /// How many clients there are.
    pub clients: usize,
    /// For how long, after a warm-up.
    pub seconds: u64,
    /// So many operations at once; none: as many as are usual for the workload.
    pub window: Option<u64>,
    /// So many operations a second, whatever becomes of them, instead.
    pub rate: Option<u64>,
    /// Whether the clients speak DTLS.
    pub dtls: bool,
    /// Samples in a notification.
    pub samples: usize,
    /// Quality of service that notifications are published with: 0 or 1.
    pub qos: u8,
    /// Shards of the gateway; 0: one for each core.
    pub shards: usize,
    /// The protocol's version between gateway and broker: 4 or 5.
    pub mqtt: u8,
    /// Whether the gateway keeps its state on the disk.
    pub store: bool,
    /// What the gateway logs.
    pub log: String,
    /// Where the report goes as JSON.
    pub json: Option<PathBuf>,
    /// What is started instead of a gateway, with its arguments.
    pub subject: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workload: Workload::NotifyNon,
            clients: 1_000,
            seconds: 10,
            window: None,
            rate: None,
            dtls: false,
            samples: 1,
            qos: 0,
            shards: 0,
            mqtt: 5,
            store: false,
            log: "warn".to_owned(),
            json: None,
            subject: Vec::new(),
        }
    }
}

impl Options {
    fn window(&self) -> u64 {
        let usual = match self.workload {
            Workload::Read => 1,
            Workload::Register => 64,
            _ => 256,
        };
        let window = self.window.unwrap_or(usual);
        // A client has one confirmable message under way at a time (NSTART, RFC 7252 section 4.7).
        let clients = u64::try_from(self.clients).unwrap_or(u64::MAX);
        if self.workload == Workload::NotifyNon { window } else { window.min(clients) }
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!((1..=client::MOST).contains(&self.clients), "--clients: from 1 to {}", client::MOST);
        let is_one = self.workload == Workload::Mixed && self.clients == 1;
        ensure!(!is_one, "--clients: mixed needs two at least, as one registers while the other notifies");
        ensure!((1..=3_600).contains(&self.seconds), "--seconds: from 1 to 3600");
        ensure!(
            (1..=content::MOST_SAMPLES).contains(&self.samples),
            "--samples: from 1 to {}",
            content::MOST_SAMPLES
        );
        ensure!(
            self.window.is_none_or(|window| (1..=100_000).contains(&window)),
            "--window: from 1 to 100000"
        );
        ensure!(self.rate.is_none_or(|rate| (1..=10_000_000).contains(&rate)), "--rate: from 1 to 10000000");
        let needs_gateway = self.workload == Workload::Mixed;
        ensure!(
            self.subject.is_empty() || !needs_gateway,
            "--subject: only the gateway takes all of `mixed`"
        );
        Ok(())
    }
}

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Notify, non-confirmable
    NotifyNon,
    /// Notify, confirmable
    NotifyCon,
    /// Register, and come to be observed
    Register,
    /// Update their registrations
    Update,
    /// Answer reads that come as commands from the broker
    Read,
    /// Of 100 operations: 90 notifications, half of them confirmable, 5 updates, 4 reads, one registration
    Mixed,
    /// Register, come to be observed and do nothing, so that memory is measured
    Idle,
}

impl Workload {
    /// As it is typed.
    fn name(self) -> &'static str {
        match self {
            Self::NotifyNon => "notify-non",
            Self::NotifyCon => "notify-con",
            Self::Register => "register",
            Self::Update => "update",
            Self::Read => "read",
            Self::Mixed => "mixed",
            Self::Idle => "idle",
        }
    }
}

/// Measures, prints a table and writes the JSON.
///
/// # Errors
/// Something did not come that was waited for, or the system refuses something. The subject has ended then as well.
pub fn run(options: &Options) -> anyhow::Result<()> {
    options.check()?;
    system::catch_signals();
    let report = measure(options)?;
    println!("{}", report.table());
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.to_json()?)?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn measure(options: &Options) -> anyhow::Result<Report<'_>> {
    let mut stage = Stage::start(options)?;
    drive::settle(&mut stage)?;
    let setup = set_up(options, &mut stage)?;
    if matches!(options.workload, Workload::Register | Workload::Idle) {
        return Ok(Report { options, setup, run: None });
    }
    let mut drive = Drive::new(options, &stage)?;
    drive.work(&mut stage, drive::warm_up(options.seconds))?;
    drive.drain(&mut stage)?;
    stage.begin();
    let before = Usage::now(stage.subject.id())?;
    drive.work(&mut stage, Duration::from_secs(options.seconds))?;
    drive.drain(&mut stage)?;
    let after = Usage::now(stage.subject.id())?;
    let resident = resident(stage.subject.id())?;
    let elapsed = stage.tally.elapsed();
    let cost = after.since(&before, stage.tally.finished);
    Ok(Report { options, setup, run: Some(Run { elapsed, cost, resident, tally: stage.tally }) })
}

/// Registers all clients. What the first fifth of them costs is not measured.
fn set_up(options: &Options, stage: &mut Stage) -> anyhow::Result<Setup> {
    let resident_before = resident(stage.subject.id())?;
    let window = match options.workload {
        Workload::Register => usize::try_from(options.window())?,
        _ => 64,
    };
    let warm = options.clients / 5;
    drive::register(stage, 0..warm, window)?;
    drive::settle(stage)?;
    let resident_fifth = resident(stage.subject.id())?;
    stage.begin();
    let before = Usage::now(stage.subject.id())?;
    drive::register(stage, warm..options.clients, window)?;
    drive::settle(stage)?;
    let after = Usage::now(stage.subject.id())?;
    let count = u64::try_from(options.clients - warm)?;
    Ok(Setup {
        count,
        elapsed: stage.tally.elapsed(),
        cost: after.since(&before, count),
        published: stage.tally.published,
        latency: stage.tally.latency.to_json(),
        resident_before,
        resident_fifth,
        resident: resident(stage.subject.id())?,
    })
}
