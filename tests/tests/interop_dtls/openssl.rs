//! The system's `openssl s_client`. Behind it is a simulated client that speaks LwM2M through its standard input and
//! output.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidegate_tests::stage::{KEY, SECURED, Stage, certified, psk, setup};
use tidegate_tests::{Certified, Device, PATIENCE, Peer, SClient, Wish, openssl, skipped};

#[test]
#[ignore = "needs openssl: make interop"]
fn s_client_registers_is_read_and_notifies_with_each_suite_of_a_pre_shared_key() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let key = hex(&KEY);
    for (suite, name) in [
        ("PSK-AES128-CCM8", "TLS_PSK_WITH_AES_128_CCM_8"),
        ("PSK-AES128-CCM", "TLS_PSK_WITH_AES_128_CCM"),
        ("PSK-AES128-GCM-SHA256", "TLS_PSK_WITH_AES_128_GCM_SHA256"),
        ("PSK-AES128-CBC-SHA256", "TLS_PSK_WITH_AES_128_CBC_SHA256"),
        ("ECDHE-PSK-AES128-CBC-SHA256", "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256"),
    ] {
        let options = [&psk_options(SECURED, &key)[..], &suite_options(suite)].concat();
        goes_well(&mut stage, &options, SECURED, name)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs openssl: make interop"]
fn s_client_registers_is_read_and_notifies_with_each_suite_of_certificates() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let (authority, setup) = certified()?;
    let mut stage = Stage::set(&setup)?;
    let files = Files::write(&stage, &authority, &authority.issue(&Wish::new("meter-7"))?)?;
    for (suite, name) in [
        ("ECDHE-ECDSA-AES128-CCM8", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"),
        ("ECDHE-ECDSA-AES128-CCM", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    ] {
        let options = [&files.options()[..], &suite_options(suite)].concat();
        goes_well(&mut stage, &options, "meter-7", name)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs openssl: make interop"]
fn s_client_resumes() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let (authority, setup) = certified()?;
    let mut stage = Stage::set(&setup)?;
    let files = Files::write(&stage, &authority, &authority.issue(&Wish::new("meter-7"))?)?;
    let session = stage.gateway.folder().join("session.pem").display().to_string();
    let key = hex(&KEY);
    let cases = [
        ("meter-7", files.options(), "ECDHE-ECDSA-AES128-CCM8", "resumed=true"),
        (SECURED, psk_options(SECURED, &key), "PSK-AES128-CCM8", "resumed=true"),
        // Those of the suites with CBC are not kept: there is a full handshake instead.
        (SECURED, psk_options(SECURED, &key), "PSK-AES128-CBC-SHA256", "resumed=false"),
    ];
    for (endpoint, proof, suite, second) in cases {
        for (way, resumed) in [("-sess_out", "resumed=false"), ("-sess_in", second)] {
            stage.gateway.process().forget();
            let options = [&proof[..], &suite_options(suite), &[way, &session]].concat();
            let client = Arc::new(SClient::start(stage.gateway.dtls(), &options)?);
            let mut device = Device::behind(Peer::over(&client), endpoint);
            device.register().with_context(|| seen(&stage, &client))?;
            stage.application.of_type("register")?;
            stage.goes_well(&device, endpoint)?;
            stage.gateway.process().said(&["DTLS association established", endpoint, resumed])?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs openssl: make interop"]
fn s_client_is_refused_with_a_wrong_key_and_an_unknown_identity() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let key = hex(&KEY);
    let gateway = stage.gateway.dtls();
    let options = [&psk_options("urn:imei:2", &key)[..], &suite_options("PSK-AES128-CCM8")].concat();
    let line = ["a DTLS handshake has failed", "urn:imei:2", "is unknown"];
    stage
        .gateway
        .process()
        .said_in_the_end(&line, || says(&SClient::start(gateway, &options)?, "unknown psk identity"))?;

    let other = hex(b"another sixteen ");
    for suite in ["PSK-AES128-CCM8", "PSK-AES128-CBC-SHA256"] {
        stage.gateway.process().forget();
        let options = [&psk_options(SECURED, &other)[..], &suite_options(suite)].concat();
        // It hears nothing, and would try for a while.
        let mut trying = Vec::new();
        let line = ["a DTLS handshake has failed", SECURED, "probably wrong"];
        stage.gateway.process().said_in_the_end(&line, || {
            trying.push(SClient::start(gateway, &options)?);
            Ok(())
        })?;
    }
    ensure!(stage.handshakes(SECURED) == 0);
    Ok(())
}

#[test]
#[ignore = "needs openssl: make interop"]
fn s_client_is_refused_with_certificates_that_prove_nothing() -> Result<()> {
    if is_missing() {
        return Ok(());
    }
    let (authority, setup) = certified()?;
    let mut stage = Stage::set(&setup)?;
    let foreign = Certified::authority("Another authority")?;
    let name = Wish::new("meter-7");
    let refused = [
        (
            "certificate expired",
            "certificate has expired",
            authority.issue(&Wish { valid: (-30, -1), ..name })?,
        ),
        ("unknown ca", "certificate is refused", foreign.issue(&name)?),
    ];
    let (gateway, suite) = (stage.gateway.dtls(), suite_options("ECDHE-ECDSA-AES128-CCM8"));
    for (alert, reason, certified) in &refused {
        let files = Files::write(&stage, &authority, certified)?;
        stage.gateway.process().forget();
        stage.gateway.process().said_in_the_end(&["a DTLS handshake has failed", reason], || {
            says(&SClient::start(gateway, &[&files.options()[..], &suite].concat())?, alert)
        })?;
    }
    stage.gateway.process().said_in_the_end(&["a DTLS handshake has failed", "did not return"], || {
        says(&SClient::start(gateway, &suite)?, "alert handshake failure")
    })?;
    ensure!(stage.handshakes("meter-7") == 0);
    Ok(())
}

/// A client behind s_client does all that a client does.
fn goes_well(stage: &mut Stage, options: &[&str], endpoint: &str, suite: &str) -> Result<()> {
    let client = Arc::new(SClient::start(stage.gateway.dtls(), options)?);
    let mut device = Device::behind(Peer::over(&client), endpoint);
    device.register().with_context(|| seen(stage, &client))?;
    let register = stage.application.of_type("register")?;
    ensure!(register["ep"] == endpoint, "{suite}: {register}");
    stage.goes_well(&device, endpoint)?;
    stage.gateway.process().said(&["DTLS association established", endpoint, suite, "cid=false"])?;
    Ok(())
}

/// What both sides say, for an error.
fn seen(stage: &Stage, client: &SClient) -> String {
    format!("s_client:\n{}\n{}", client.said.all().join("\n"), stage.gateway.watch().everything())
}

fn says(client: &SClient, part: &str) -> Result<()> {
    let line = client.said.look(PATIENCE, |line| line.contains(part));
    ensure!(line.is_some(), "it does not say {part}, but: {}", client.said.all().join("\n"));
    Ok(())
}

fn is_missing() -> bool {
    let missing = openssl().is_none();
    if missing {
        skipped("the program openssl is not installed; `make interop` does it");
    }
    missing
}

fn psk_options<'a>(identity: &'a str, key: &'a str) -> Vec<&'a str> {
    vec!["-psk_identity", identity, "-psk", key]
}

/// OpenSSL counts CCM_8 as 64 bits, which its security level does not allow from 3.2 on.
fn suite_options(suite: &str) -> [&str; 2] {
    ["-cipher", suite]
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A client's certificate and key, and its authority's certificate.
struct Files([String; 3]);

impl Files {
    fn write(stage: &Stage, authority: &Certified, certified: &Certified) -> Result<Self> {
        let path = |name: &str| stage.gateway.folder().join(name).display().to_string();
        let files = Self([path("client.pem"), path("client.key"), path("ca.pem")]);
        for (file, text) in files.0.iter().zip([certified.pem()?, certified.key_pem()?, authority.pem()?]) {
            std::fs::write(file, text)?;
        }
        Ok(files)
    }

    fn options(&self) -> Vec<&str> {
        let [certificate, key, trusted] = &self.0;
        vec!["-cert", certificate, "-key", key, "-CAfile", trusted, "-verify_return_error"]
    }
}
