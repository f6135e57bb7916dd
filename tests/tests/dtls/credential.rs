//! `credentials.toml` changes while clients are connected.

use anyhow::{Result, ensure};
use serde_json::json;
use tidegate_tests::stage::{KEY, SECURED, Stage, psk, setup};
use tidegate_tests::{Profile, Secure, code_text};

#[test]
fn an_association_ends_when_its_credential_is_removed() -> Result<()> {
    let all = json!({ "psk": [psk(SECURED, &KEY), psk("other", &KEY)] });
    let mut stage = Stage::set(&setup(&all))?;
    for connection_id in [false, true] {
        let profile = Profile::psk(SECURED, &KEY).with_connection_id(connection_id);
        let (association, device) = stage.device(&profile, SECURED)?;
        let (_other, witness) = stage.device(&Profile::psk("other", &KEY), "other")?;
        stage.gateway.process().forget();
        stage.gateway.write_credentials(&json!({ "psk": [psk("other", &KEY)] }))?;
        stage.gateway.process().said(&[
            "DTLS association ended",
            SECURED,
            "its credential is there no more",
        ])?;
        ensure!(association.ended()? == "close_notify");
        let ended = stage.application.of_type("deregister")?;
        ensure!(ended["ep"] == SECURED, "{ended}");
        drop(device);
        let again = Secure::connect(stage.gateway.dtls(), &profile).err();
        let again = again.map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(again.contains("unknown psk identity"), "{again}");
        // The others are not concerned.
        stage.goes_well(&witness, "other")?;
        ensure!(stage.gateway.process().times_said(&["DTLS association ended", "endpoint=other "]) == 0);

        stage.gateway.write_credentials(&all)?;
        stage.gateway.process().said(&["credentials read", "psk=2"])?;
    }
    Ok(())
}

#[test]
fn a_credential_that_is_added_counts_at_once() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk("other", &KEY)] })))?;
    let mut plain = tidegate_tests::Device::new(stage.gateway.coap(), SECURED)?;
    plain.register()?;
    stage.application.of_type("register")?;
    stage.gateway.process().forget();
    stage.gateway.write_credentials(&json!({ "psk": [psk("other", &KEY), psk(SECURED, &KEY)] }))?;
    stage.gateway.process().said(&["credentials read", "psk=2"])?;
    // From now on it is secured: its registration without DTLS is no more.
    let ended = stage.application.of_type("deregister")?;
    ensure!(ended["ep"] == SECURED, "{ended}");
    let answer = plain.ask(&plain.registration())?;
    ensure!(code_text(&answer) == "4.03", "{answer:?}");
    let (_association, device) = stage.device(&Profile::psk(SECURED, &KEY), SECURED)?;
    stage.goes_well(&device, SECURED)
}

#[test]
fn a_credential_with_another_key_ends_the_association_and_keeps_the_registration() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let (association, device) = stage.device(&Profile::psk(SECURED, &KEY), SECURED)?;
    let new = b"another sixteen ";
    stage.gateway.write_credentials(&json!({ "psk": [psk(SECURED, new)] }))?;
    stage.gateway.process().said(&["DTLS association ended", SECURED, "or is another one"])?;
    ensure!(association.ended()? == "close_notify");
    drop(device);
    let (_association, device) = stage.device(&Profile::psk(SECURED, new), SECURED)?;
    stage.goes_well(&device, SECURED)
}

#[test]
fn a_file_of_credentials_with_a_mistake_changes_nothing() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let (_association, device) = stage.device(&Profile::psk(SECURED, &KEY), SECURED)?;
    let mistakes = [
        ("[[psk]]\nidentity = \"x\"\nkey = \"0123456789abcdeg\"\n", "credentials.toml:3"),
        ("[[psk]]\nidentity = \"x\"\n", "credentials.toml:1"),
        ("[[psk]\n", "credentials.toml:1"),
        ("[x509]\ntrusted = [\"missing.pem\"]\n", "credentials.toml:2"),
    ];
    for (text, place) in mistakes {
        stage.gateway.process().forget();
        stage.gateway.write_credentials_text(text)?;
        let line = stage.gateway.process().said(&[place])?;
        ensure!(!line.contains("0123456789abcde"), "a key is in the log: {line}");
        stage.goes_well(&device, SECURED)?;
        stage.application.drain();
        Secure::connect(stage.gateway.dtls(), &Profile::psk(SECURED, &KEY))?;
    }
    Ok(())
}
