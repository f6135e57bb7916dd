//! libcoap's coap-client, once on OpenSSL and once on GnuTLS.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::json;
use tidegate_tests::stage::{KEY, SECURED, Stage, certified, psk, setup};
use tidegate_tests::{Certified, Process, Wish, skipped};

#[test]
#[ignore = "needs libcoap: make interop"]
fn coap_client_registers_with_a_pre_shared_key() -> Result<()> {
    for client in clients() {
        let mut stage = Stage::set(&setup(&json!({ "psk": [psk(SECURED, &KEY)] })))?;
        let said = register(&stage, &client, &["-u", SECURED, "-k", key()], SECURED)?;
        ensure!(said.contains("c:2.01"), "{said}");
        let registered = stage.application.of_type("register")?;
        ensure!(registered["ep"] == SECURED && registered["data"]["objectList"] == json!(["/3/0"]));
        stage.gateway.process().said(&["DTLS association established", SECURED, "mode=\"psk\""])?;
        // It closes its association as it ends.
        stage.gateway.process().said(&["DTLS association ended", SECURED, "the client has closed it"])?;
    }
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn coap_client_registers_with_a_certificate() -> Result<()> {
    for client in clients() {
        let (authority, setup) = certified()?;
        let mut stage = Stage::set(&setup)?;
        let files = write(&stage, &authority.issue(&Wish::new("meter-7"))?)?;
        let said = register(&stage, &client, &options(&files), "meter-7")?;
        ensure!(said.contains("c:2.01"), "{said}");
        ensure!(stage.application.of_type("register")?["ep"] == "meter-7");
        stage.gateway.process().said(&["DTLS association established", "meter-7", "mode=\"x509\""])?;
    }
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn coap_client_on_gnutls_registers_with_a_raw_public_key() -> Result<()> {
    for client in clients().filter(|client| client.ends_with("coap-client-gnutls")) {
        let key = Certified::authority("the certificate is not used")?;
        let server = Certified::authority("nor is this")?;
        let mut setup = setup(&json!({
            "raw-public-key": [{ "public-key": key.public_key()?, "endpoint": "meter-9" }],
            "server": { "private-key": "server.key" },
        }));
        setup.files = vec![("server.key".to_owned(), server.key_pem()?)];
        let mut stage = Stage::set(&setup)?;
        let file = stage.gateway.folder().join("raw.pem");
        let public = String::from_utf8(key.key.public_key_to_pem()?)?;
        std::fs::write(&file, key.key_pem()? + &public)?;
        let said = register(&stage, &client, &["-M", &file.display().to_string()], "meter-9")?;
        ensure!(said.contains("c:2.01"), "{said}");
        ensure!(stage.application.of_type("register")?["ep"] == "meter-9");
        stage.gateway.process().said(&["DTLS association established", "meter-9", "raw-public-key"])?;
    }
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn coap_client_is_refused_without_the_right_credential() -> Result<()> {
    for client in clients() {
        let (authority, setup) = certified()?;
        let stage = Stage::set(&setup)?;
        let foreign = Certified::authority("Another authority")?;
        let expired = authority.issue(&Wish { valid: (-30, -1), ..Wish::new("meter-7") })?;
        let refused = |files: &[&str], endpoint: &str, seen: &str, logged: &[&str]| {
            let process = stage.gateway.watch();
            process.said_in_the_end(logged, || {
                let said = register(&stage, &client, files, endpoint)?;
                ensure!(!said.contains("c:2.") && said.contains(seen), "{said}");
                Ok(())
            })
        };
        for (certified, reason) in
            [(expired, "has expired"), (foreign.issue(&Wish::new("meter-7"))?, "certificate is refused")]
        {
            let files = write(&stage, &certified)?;
            refused(&options(&files), "meter-7", "", &["a DTLS handshake has failed", reason])?;
        }
        let failed = "a DTLS handshake has failed";
        refused(&["-u", "urn:imei:2", "-k", key()], "urn:imei:2", "", &[failed, "is unknown"])?;
        refused(&["-u", SECURED, "-k", "another sixteen "], SECURED, "", &[failed, "probably wrong"])?;
        // The right key, but another endpoint.
        let logged = ["a registration is refused", "urn:imei:2", SECURED];
        refused(&["-u", SECURED, "-k", key()], "urn:imei:2", "c:4.00", &logged)?;
        ensure!(stage.application.drain().is_empty());
    }
    Ok(())
}

/// Run it to its end; what it says, with the messages it sends and receives.
fn register(stage: &Stage, client: &Path, options: &[&str], endpoint: &str) -> Result<String> {
    let uri = format!("coaps://{}/rd?ep={endpoint}&lwm2m=1.1&lt=300&b=U", stage.gateway.dtls());
    let mut command = Command::new(client);
    command.args(["-v", "6", "-B", "3", "-m", "post", "-t", "40", "-e", "%3C/3/0%3E"]);
    let mut client = Process::start(command.args(options).arg(uri))?;
    client.ended()?;
    Ok(client.everything())
}

/// Certificate and key of a client as files.
fn write(stage: &Stage, certified: &Certified) -> Result<[String; 3]> {
    let path = |name: &str| stage.gateway.folder().join(name).display().to_string();
    let files = [path("client.pem"), path("client.key"), path("ca.pem")];
    std::fs::write(&files[0], certified.pem()?)?;
    std::fs::write(&files[1], certified.key_pem()?)?;
    Ok(files)
}

fn options(files: &[String; 3]) -> [&str; 6] {
    ["-c", &files[0], "-j", &files[1], "-C", &files[2]]
}

fn key() -> &'static str {
    std::str::from_utf8(&KEY).expect("it is text")
}

/// Those that are installed; a word about each that is not.
fn clients() -> impl Iterator<Item = PathBuf> {
    ["coap-client-openssl", "coap-client-gnutls"].into_iter().filter_map(|name| {
        let path = ["/usr/bin", "/usr/local/bin"].map(|place| Path::new(place).join(name));
        let found = path.into_iter().find(|path| path.exists());
        if found.is_none() {
            skipped(&format!("libcoap's {name} is not installed; `make interop` does it"));
        }
        found
    })
}
