//! `tidegate bench`: what a gateway costs.

use std::path::PathBuf;

use clap::Args;

use crate::bench::{self, Options, Workload};

/// `tidegate bench`
#[derive(Args, Debug)]
pub(super) struct Bench {
    /// What the clients do
    #[arg(value_enum)]
    workload: Workload,
    /// How many clients there are, each with an address of its own in 127.0.0.0/8
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    clients: usize,
    /// How long to measure, after a warm-up
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    seconds: u64,
    /// Closed loop: so many operations at once, the next when one has arrived; without it 256, 64 registrations, one read
    #[arg(long, value_name = "NUMBER", conflicts_with = "rate")]
    window: Option<u64>,
    /// Open loop: so many operations a second, whatever becomes of them; latencies count from when one was due
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u64>,
    /// Speak DTLS: pre-shared keys, AES-128-CCM-8
    #[arg(long)]
    dtls: bool,
    /// Values in a notification
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    samples: usize,
    /// Quality of service of notifications
    #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Shards of the gateway; 0: one for each core
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    shards: usize,
    /// MQTT version between gateway and broker; 4 is 3.1.1
    #[arg(long, value_name = "VERSION", default_value_t = 5, value_parser = clap::value_parser!(u8).range(4..=5))]
    mqtt: u8,
    /// Let the gateway keep its state on the disk
    #[arg(long)]
    store: bool,
    /// Write the result there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Start this instead of a gateway; last, as what follows are its arguments. It listens for CoAP at TIDEGATE_BENCH_COAP, publishes
    /// to the MQTT broker at TIDEGATE_BENCH_MQTT, observes /3303/0/5700 of those that register, and ends on SIGTERM
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true, value_terminator = None::<&str>)]
    subject: Vec<String>,
}

/// Does what was typed; `log` is what the gateway logs.
pub(super) fn run(options: Bench, log: &str) -> anyhow::Result<()> {
    // What is said by default would be measured as well.
    let log = if log == "info" { "warn" } else { log }.to_owned();
    let Bench {
        workload,
        clients,
        seconds,
        window,
        rate,
        dtls,
        samples,
        qos,
        shards,
        mqtt,
        store,
        json,
        subject,
    } = options;
    bench::run(&Options {
        workload,
        clients,
        seconds,
        window,
        rate,
        dtls,
        samples,
        qos,
        shards,
        mqtt,
        store,
        log,
        json,
        subject,
    })
}
