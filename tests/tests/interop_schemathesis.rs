//! PyPI's schemathesis asks the REST API everything that its description allows, and a little more: nothing may be answered that is not
//! described. Not part of `make test`: `make interop` installs it and runs this.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidegate_tests::{Application, Broker, Device, Gateway, MqttVersion, Setup, installed, report, skipped};

#[test]
#[ignore = "needs schemathesis: make interop"]
fn every_answer_is_as_it_is_described() -> Result<()> {
    let Some(folder) = installed("schemathesis") else {
        skipped("schemathesis is not installed; `make interop` does it where PyPI is");
        return Ok(());
    };
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.settings["auto_observe"] = json!(false);
    setup.http = true;
    let gateway = Gateway::start(&setup)?;
    let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
    // The client of the description's examples.
    let mut device = Device::new(gateway.coap(), "urn:imei:1")?;
    device.register()?;
    application.of_type("register")?;

    let url = format!("http://127.0.0.1:{}", gateway.http_port());
    let mut command = Command::new(folder.join("bin/schemathesis"));
    command.args(["run", &format!("{url}/api/openapi.json"), "--url", &url, "--seed", "8", "--no-color"]);
    command.args(["--header", "X-Tidegate: 1", "--max-examples", "20", "--phases", "examples,fuzzing"]);
    // Events never end. What tells of a client or of the broker may be 502, 503 or 504; 500 is described for Leshan's shape only.
    command.args(["--exclude-path-regex", "events?$", "--checks", CHECKS]);
    // It leaves files where it runs.
    let output = command.current_dir(gateway.folder()).output().context("schemathesis")?;
    let said = String::from_utf8_lossy(&output.stdout);
    report(&said.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

const CHECKS: &str = "status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance";
