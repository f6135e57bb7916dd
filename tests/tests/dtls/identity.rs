//! Who may register as whom.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tidegate_tests::stage::{KEY, SECURED, Stage, certified, psk, setup};
use tidegate_tests::{Certified, Device, Peer, Profile, Proof, Secure, Wish, code_text, request};

#[test]
fn a_client_with_a_pre_shared_key_registers_is_read_and_notifies() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    for connection_id in [false, true] {
        let profile = Profile::psk(SECURED, &KEY).with_connection_id(connection_id);
        let (association, device) = stage.device(&profile, SECURED)?;
        ensure!(association.has_connection_id() == connection_id);
        stage.goes_well(&device, SECURED)?;
        let cid = format!("cid={connection_id}");
        let suite = "TLS_PSK_WITH_AES_128_CCM_8";
        stage.gateway.process().said(&[
            "DTLS association established",
            "psk",
            suite,
            "resumed=false",
            &cid,
        ])?;
    }
    Ok(())
}

#[test]
fn connection_ids_can_be_switched_off() -> Result<()> {
    let mut setup = setup(&json!({ "psk": [psk(SECURED, &KEY)] }));
    setup.dtls = json!({ "connection-id": false });
    let stage = Stage::set(&setup)?;
    let profile = Profile::psk(SECURED, &KEY).with_connection_id(true);
    let (association, device) = stage.device(&profile, SECURED)?;
    ensure!(!association.has_connection_id());
    stage.goes_well(&device, SECURED)
}

#[test]
fn a_client_with_a_certificate_registers_is_read_and_notifies() -> Result<()> {
    let (authority, setup) = certified()?;
    let stage = Stage::set(&setup)?;
    let between = authority.issue(&Wish { authority: true, ..Wish::new("between") })?;
    for (issuer, name) in [(&authority, "meter-7"), (&between, "meter-8")] {
        let mut profile = Profile::new(Proof::Certificate(issuer.issue(&Wish::new(name))?));
        profile.trusted = Some(authority.chain[0].clone());
        let (_association, device) = stage.device(&profile, name)?;
        stage.goes_well(&device, name)?;
    }
    Ok(())
}

#[test]
fn a_certificate_is_for_the_endpoint_that_it_names() -> Result<()> {
    let (authority, setup) = certified()?;
    let stage = Stage::set(&setup)?;
    let profile = Profile::new(Proof::Certificate(authority.issue(&Wish::new("meter-7"))?));
    let association = Secure::connect(stage.gateway.dtls(), &profile)?.into();
    let queries = ["ep=meter-8", "lwm2m=1.1", "lt=300", "b=U"];
    let answer = Peer::over(&association).ask(&request("0.02", 1, b"w", "rd", &queries))?;
    ensure!(code_text(&answer) == "4.00", "{answer:?}");
    stage.gateway.watch().said(&["a registration is refused", "meter-8", "meter-7"])?;
    ensure!(stage.application.drain().is_empty());
    Ok(())
}

#[test]
fn certificates_that_prove_nothing_are_refused() -> Result<()> {
    let (authority, setup) = certified()?;
    let mut stage = Stage::set(&setup)?;
    let foreign = Certified::authority("Tidegate test authority")?;
    let name = Wish::new("meter-7");
    let refused = [
        ("certificate has expired", Proof::Certificate(authority.issue(&Wish { valid: (-30, -1), ..name })?)),
        ("not yet valid", Proof::Certificate(authority.issue(&Wish { valid: (1, 30), ..name })?)),
        ("is refused", Proof::Certificate(foreign.issue(&name)?)),
        ("too weak", Proof::Certificate(authority.issue(&Wish { rsa: Some(1024), ..name })?)),
        // It has a pre-shared key, and an endpoint has one way to prove itself.
        ("names no endpoint", Proof::Certificate(authority.issue(&Wish::new(SECURED))?)),
        ("did not return a certificate", Proof::Nothing),
    ];
    for (reason, proof) in refused {
        let (gateway, profile) = (stage.gateway.dtls(), Profile::new(proof));
        stage.gateway.process().forget();
        stage.gateway.process().said_in_the_end(&["a DTLS handshake has failed", reason], || {
            let error = match Secure::connect(gateway, &profile) {
                // It was refused only after the last flight.
                Ok(association) => association.ends()?,
                Err(error) => format!("{error:#}"),
            };
            ensure!(error.contains("alert"), "{reason}: {error}");
            Ok(())
        })?;
    }
    ensure!(stage.handshakes("meter-7") == 0);
    // The gateway is as well as before.
    let good = Profile::new(Proof::Certificate(authority.issue(&name)?));
    stage.device(&good, "meter-7")?;
    Ok(())
}

#[test]
fn a_wrong_key_and_an_unknown_identity_are_refused() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let gateway = stage.gateway.dtls();
    let failed = |what: &Profile, seen: &str| {
        let error = Secure::connect(gateway, what).err();
        let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(error.contains(seen), "{error}");
        Ok(())
    };
    let unknown = Profile::psk("urn:imei:2", &KEY);
    let line = ["a DTLS handshake has failed", "urn:imei:2", "is unknown"];
    stage.gateway.process().said_in_the_end(&line, || failed(&unknown, "unknown psk identity"))?;

    // What such a client sends cannot be told from rubbish: it gets no answer.
    let mut wrong = Profile::psk(SECURED, b"another sixteen ");
    wrong.patience = Duration::from_millis(500);
    let line = ["a DTLS handshake has failed", SECURED, "probably wrong"];
    let line = stage.gateway.process().said_in_the_end(&line, || failed(&wrong, "does not answer"))?;
    ensure!(!line.contains("7369787465656e"), "the key is in the log: {line}");

    stage.device(&Profile::psk(SECURED, &KEY), SECURED)?;
    Ok(())
}

#[test]
fn a_client_registers_as_the_endpoint_that_it_has_proved_to_be() -> Result<()> {
    let mut credential = psk("identity", &KEY);
    credential["endpoint"] = json!("meter-9");
    let mut stage = Stage::set(&setup(&json!({ "psk": [credential] })))?;
    let association = Secure::connect(stage.gateway.dtls(), &Profile::psk("identity", &KEY))?.into();
    let peer = Peer::over(&association);
    for wrong in ["identity", "meter-8"] {
        let (ep, mut mid) = (format!("ep={wrong}"), 1);
        stage.gateway.process().said_in_the_end(&["a registration is refused", wrong, "meter-9"], || {
            mid += 1;
            let queries = [ep.as_str(), "lwm2m=1.1", "lt=300", "b=U"];
            let answer = peer.ask(&request("0.02", mid, &mid.to_be_bytes(), "rd", &queries))?;
            ensure!(code_text(&answer) == "4.00", "{answer:?}");
            Ok(())
        })?;
    }
    // The endpoint name may be left out.
    let answer = peer.ask(&request("0.02", 1000, b"name", "rd", &["lwm2m=1.1", "lt=300", "b=U"]))?;
    ensure!(code_text(&answer) == "2.01", "{answer:?}");
    let register = stage.application.of_type("register")?;
    ensure!(register["ep"] == "meter-9", "{register}");
    ensure!(stage.application.drain().is_empty());
    Ok(())
}

#[test]
fn an_endpoint_with_a_credential_must_use_it() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
    let plain = Device::new(stage.gateway.coap(), SECURED)?;
    let answer = plain.ask(&plain.registration())?;
    ensure!(code_text(&answer) == "4.03", "{answer:?}");
    stage.gateway.process().said(&["a registration is refused", SECURED])?;
    // One without does as before.
    let mut other = Device::new(stage.gateway.coap(), "plain")?;
    other.register()?;
    let register = stage.application.of_type("register")?;
    ensure!(register["ep"] == "plain", "{register}");
    Ok(())
}

#[test]
fn a_registration_is_for_its_own_association_only() -> Result<()> {
    let credentials = json!({ "psk": [psk(SECURED, &KEY), psk("other", &KEY)] });
    let stage = Stage::set(&setup(&credentials))?;
    let association = Secure::connect(stage.gateway.dtls(), &Profile::psk(SECURED, &KEY))?.into();
    let peer = Peer::over(&association);
    let answer = peer.ask(&request("0.02", 1, b"r", "rd", &["lwm2m=1.1", "lt=300", "b=U"]))?;
    let segments = tidegate_tests::option_values(&answer, coap_lite::CoapOption::LocationPath);
    ensure!(segments.len() == 2, "{answer:?}");
    let location = format!("rd/{}", String::from_utf8(segments[1].clone())?);
    stage.application.of_type("register")?;

    let other = Secure::connect(stage.gateway.dtls(), &Profile::psk("other", &KEY))?.into();
    for thief in [Peer::over(&other), Peer::connect(stage.gateway.coap())?] {
        for code in ["0.02", "0.04"] {
            let answer = thief.ask(&request(code, 2, code.as_bytes(), &location, &[]))?;
            ensure!(code_text(&answer).starts_with("4."), "{answer:?}");
        }
    }
    ensure!(stage.application.drain().is_empty());
    let answer = peer.ask(&request("0.02", 3, b"u", &location, &[]))?;
    ensure!(code_text(&answer) == "2.04", "{answer:?}");
    Ok(())
}
