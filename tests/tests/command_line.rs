//! The program as its operator meets it: starting, ending, checking a configuration, the demonstration.

use anyhow::{Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use tidegate_tests::{
    Application, Broker, Device, Gateway, MqttVersion, Process, Setup, free_port, tidegate,
};

#[test]
fn sigterm_ends_it_cleanly() -> Result<()> {
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.settings["auto_observe"] = json!(true);
    let mut gateway = Gateway::start(&setup)?;
    let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
    let mut device = Device::new(gateway.coap(), "sensor")?;
    device.register()?;
    application.of_type("observe")?;
    let status = gateway.terminate()?;
    ensure!(status.code() == Some(0), "{status}:\n{}", gateway.process().everything());
    Ok(())
}

#[test]
fn a_good_configuration_passes_the_check() -> Result<()> {
    let (code, said) =
        check("[coap]\nlisten = [\"127.0.0.1:5783\"]\n[registration]\nlifetime-min = \"10s\"\n")?;
    ensure!(code == Some(0), "{code:?} {said}");
    Ok(())
}

#[test]
fn a_bad_configuration_is_refused_with_file_line_and_key() -> Result<()> {
    let (code, said) =
        check("[coap]\nlisten = [\"127.0.0.1:5783\"]\n[registration]\nlifetime-minimum = \"10s\"\n")?;
    ensure!(code.is_some_and(|code| code != 0), "{code:?} {said}");
    ensure!(
        said.contains("tidegate.toml") && said.contains('4') && said.contains("lifetime-minimum"),
        "{said}"
    );
    let (code, said) = check("[mqtt]\nbroker = \"http://127.0.0.1\"\n")?;
    ensure!(code.is_some_and(|code| code != 0) && said.contains("broker"), "{code:?} {said}");
    Ok(())
}

#[test]
fn the_demonstration_shows_the_messages_and_ends() -> Result<()> {
    let folder = TempDir::new()?;
    let (coap, mqtt) = (format!("127.0.0.1:{}", free_port()?), format!("127.0.0.1:{}", free_port()?));
    let mut command = tidegate()?;
    command.args(["demo", "--coap", &coap, "--mqtt", &mqtt, "--exit-after-read"]).current_dir(folder.path());
    let mut demo = Process::start(&mut command)?;
    let status = demo.ended()?;
    let said = demo.everything();
    ensure!(status.code() == Some(0), "{status}:\n{said}");
    for part in ["up/register", "\"msgType\":\"register\"", "up/resp", "\"msgType\":\"read\"", "/3/0/3"] {
        ensure!(said.contains(part), "no {part} in:\n{said}");
    }
    Ok(())
}

/// The exit code of `tidegate check` on this configuration, and what it said.
fn check(configuration: &str) -> Result<(Option<i32>, String)> {
    let folder = TempDir::new()?;
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, configuration)?;
    let mut process = Process::start(tidegate()?.arg("check").arg("--config").arg(&file))?;
    let status = process.ended()?;
    Ok((status.code(), process.everything()))
}
