//! Who may do what, and that no secret gets out.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidegate_tests::{Broker, Gateway, Setup, tidegate};

use super::stage::{CLIENT, Stage};

/// `tidegate token add`, as an operator types it: the token.
fn token(file: &std::path::Path, name: &str, role: &str) -> Result<String> {
    let mut command: Command = tidegate()?;
    let output = command.args(["token", "add", name, "--role", role, "--file"]).arg(file).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[test]
fn a_token_is_made_used_and_removed_while_the_gateway_runs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tokens.toml");
    let reader = token(&file, "grafana", "read")?;
    let operator = token(&file, "alice", "operate")?;
    let stage = Stage::set(|setup| setup.http_keys = json!({ "tokens": file }))?;
    let ask = |method: &str, path: &str, token: &str| -> Result<u16> {
        let bearer = format!("Authorization: Bearer {token}");
        Ok(stage.gateway.ask(method, path, &[&bearer, "X-Tidegate: 1"], "")?.status)
    };
    ensure!(stage.ask("GET", "/healthz")?.status == 200, "nobody has to be known for that");
    ensure!(stage.ask("GET", "/api/v1/clients")?.status == 401);
    ensure!(ask("GET", "/api/v1/clients", &reader)? == 200);
    ensure!(ask("DELETE", &format!("/api/v1/clients/{CLIENT}"), &reader)? == 403);
    // What only looks is for readers, on the same path.
    let operations = format!("/api/v1/clients/{CLIENT}/operations");
    let operate = |body: &str, token: &str| -> Result<u16> {
        let headers = [&format!("Authorization: Bearer {token}"), "Content-Type: application/json"];
        Ok(stage.gateway.ask("POST", &operations, &headers, body)?.status)
    };
    let (read, execute) =
        (r#"{"operation":"read","path":"/3/0/0"}"#, r#"{"operation":"execute","path":"/3/0/4"}"#);
    ensure!((operate(read, &reader)?, operate(execute, &reader)?) == (200, 403));
    ensure!((operate(read, &operator)?, operate(execute, &operator)?) == (200, 200));
    // As EMQX's API keys.
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("key:{reader}"));
    let basic = format!("Authorization: Basic {basic}");
    ensure!(stage.gateway.ask("GET", "/api/v5/gateways/lwm2m/clients", &[&basic], "")?.status == 200);

    let mut command = tidegate()?;
    ensure!(command.args(["token", "remove", "alice", "--file"]).arg(&file).status()?.success());
    let deadline = std::time::Instant::now() + tidegate_tests::PATIENCE;
    while operate(execute, &operator)? != 401 {
        ensure!(std::time::Instant::now() < deadline, "the removed token still works");
    }
    for secret in [&reader, &operator] {
        ensure!(!stage.gateway.watch().everything().contains(secret.as_str()), "a token is in the log");
    }
    Ok(())
}

#[test]
fn other_machines_are_not_served_without_tokens() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, "[http]\nlisten = [\"0.0.0.0:0\"]\n")?;
    let output = tidegate()?.arg("check").arg("--config").arg(&file).output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(
        !output.status.success() && said.contains("http.listen") && said.contains("tidegate token add"),
        "{said}"
    );
    Ok(())
}

#[test]
fn no_key_leaves_by_any_path() -> Result<()> {
    let key = "00112233445566778899aabbccddeeff";
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.http = true;
    setup.credentials = json!({ "psk": [{ "identity": "secret-device", "key": key }] });
    let gateway = Gateway::start(&setup)?;
    let description = gateway.ask("GET", "/api/openapi.json", &[], "")?.json()?;
    let listed = gateway.ask("GET", "/api/v1/credentials", &[], "")?.json()?;
    ensure!(
        listed
            == json!({"data": [{"endpoint": "secret-device", "mode": "psk", "identity": "secret-device"}]}),
        "{listed}"
    );
    let paths = description["paths"].as_object().context("paths")?.iter();
    let mut asked = 0;
    for (path, _) in paths
        .filter(|(path, item)| item.get("get").is_some() && !path.contains("events") && *path != "/api/event")
    {
        let path = path.replace("{endpoint}", "secret-device").replace(['{', '}'], "");
        let answer = gateway.ask("GET", &path, &[], "")?;
        let text = answer.body.to_lowercase();
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, key);
        ensure!(!text.contains(key) && !answer.body.contains(&encoded), "{path}: {answer:?}");
        asked += 1;
    }
    ensure!(asked > 15, "{asked} paths");
    ensure!(!gateway.watch().everything().contains(key), "the key is in the log");
    Ok(())
}
