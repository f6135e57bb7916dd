//! `tidegate bench`: everything it starts by itself, from the handshakes to the report.

use anyhow::{Context, Result, ensure};
use serde_json::Value as Json;
use tempfile::TempDir;
use tidegate_tests::{Process, tidegate};

/// Runs it for a second with 20 clients, and returns what it reports.
fn measured(arguments: &[&str]) -> Result<Json> {
    let folder = TempDir::new()?;
    let file = folder.path().join("result.json");
    let mut command = tidegate()?;
    command.arg("bench").args(["--clients", "20", "--seconds", "1", "--json"]).arg(&file).args(arguments);
    // What it leaves behind would be left there.
    command.env("TMPDIR", folder.path());
    let mut process = Process::start(&mut command)?;
    let status = process.ended()?;
    ensure!(status.success(), "{status}:\n{}", process.everything());
    let names: Vec<_> =
        std::fs::read_dir(folder.path())?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(names == ["result.json"], "it leaves {names:?}");
    let report: Json = serde_json::from_slice(&std::fs::read(&file)?)?;
    ensure!(report["lost"] == 0 && report["refused"] == 0, "{report:#}");
    for key in ["rate", "cpu_us", "own_cpu_us", "rss_bytes", "rss_before_bytes", "seconds"] {
        ensure!(report[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {report:#}");
    }
    let latency = &report["latency_us"];
    let of = |key: &str| latency[key].as_f64().with_context(|| format!("{key}: {report:#}"));
    ensure!(of("p50")? > 0.0 && of("p50")? <= of("p99")? && of("p99")? <= of("max")?, "{report:#}");
    Ok(report)
}

#[test]
fn notifications_all_arrive_and_are_acknowledged() -> Result<()> {
    let report = measured(&["notify-con"])?;
    ensure!(report["sent"].as_u64().is_some_and(|sent| sent > 20), "{report:#}");
    ensure!(report["published"] == report["sent"] && report["unacknowledged"] == 0, "{report:#}");
    ensure!(report["registration"]["count"] == 16 && report["workload"] == "notify-con", "{report:#}");
    Ok(())
}

#[test]
fn notifications_over_dtls_come_as_often_as_they_are_to() -> Result<()> {
    let report = measured(&["notify-non", "--dtls", "--rate", "200"])?;
    // The first is due at once. How many are not sent as the machine is busy nobody knows.
    let sent = report["sent"].as_u64().context("sent")?;
    ensure!((1..=201).contains(&sent) && report["published"] == sent, "{report:#}");
    Ok(())
}

#[test]
fn updates_reads_and_notifications_go_together() -> Result<()> {
    let report = measured(&["mixed"])?;
    ensure!(report["finished"] == report["sent"], "{report:#}");
    Ok(())
}

#[test]
fn another_program_is_measured_that_publishes_where_it_likes() -> Result<()> {
    let program = tidegate()?.get_program().to_string_lossy().into_owned();
    let script = format!(
        r#"exec "{program}" --log warn run --config /dev/fd/3 3<<END
[coap]
listen = ["$TIDEGATE_BENCH_COAP"]
[mqtt]
broker = "mqtt://$TIDEGATE_BENCH_MQTT"
[http]
listen = []
[store]
path = ""
[[translator]]
name = "emqx"
[translator.settings]
mountpoint = "elsewhere/"
auto_observe = ["/3303/0/5700"]
END"#
    );
    let report = measured(&["notify-con", "--subject", "sh", "-c", &script])?;
    ensure!(report["subject"][0] == "sh" && report["published"] == report["sent"], "{report:#}");
    Ok(())
}

#[test]
fn a_subject_that_never_comes_is_told_with_what_it_said() -> Result<()> {
    let mut command = tidegate()?;
    command.args(["bench", "notify-non", "--subject", "sh", "-c", "echo no broker for me; exit 7"]);
    let mut process = Process::start(&mut command)?;
    let status = process.ended()?;
    ensure!(status.code() == Some(1), "{status}");
    process.said(&["the subject has ended", "7"])?;
    process.said(&["no broker for me"])?;
    Ok(())
}
