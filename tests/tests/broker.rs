//! Brokers as they are in earnest: over TLS, with certificates on both sides, with users.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{Application, Broker, Certified, Device, Gateway, Mosquitto, MqttVersion, Setup, Wish};

#[test]
fn over_tls_by_name_and_by_address_with_both_versions() -> Result<()> {
    let secure = Secure::start("localhost", false)?;
    for (host, version) in [("localhost", 5), ("127.0.0.1", 4)] {
        let mut setup = secure.setup(host, json!({ "ca": "ca.pem" }))?;
        setup.version = version;
        secure.serves(&setup)?;
    }
    Ok(())
}

#[test]
fn a_broker_that_nobody_vouches_for_is_not_spoken_to() -> Result<()> {
    let secure = Secure::start("localhost", false)?;
    // The system does not know our authority, and another one has not issued the certificate.
    let gateway = Gateway::start(&secure.setup("localhost", json!({}))?)?;
    gateway.watch().said(&["no connection", "certificate is not accepted", "set `ca`"])?;
    let mut setup = secure.setup("localhost", json!({ "ca": "other.pem" }))?;
    setup.files.push(("other.pem".to_owned(), Certified::authority("somebody")?.pem()?));
    let gateway = Gateway::start(&setup)?;
    gateway.watch().said(&["no connection", "certificate is not accepted", "check that `ca`"])?;
    Ok(())
}

#[test]
fn a_certificate_for_another_host_or_another_time_is_not_accepted() -> Result<()> {
    let secure = Secure::start("localhost", false)?;
    // It is for 127.0.0.1.
    let gateway = Gateway::start(&secure.setup("127.0.0.2", json!({ "ca": "ca.pem" }))?)?;
    gateway.watch().said(&["certificate is not accepted", "it is not for `127.0.0.2`"])?;
    let late = Secure::start_with(&Wish { valid: (-30, -1), ..Wish::new("localhost") }, false)?;
    let gateway = Gateway::start(&late.setup("localhost", json!({ "ca": "ca.pem" }))?)?;
    gateway.watch().said(&["certificate is not accepted", "expired", "the clock"])?;
    Ok(())
}

#[test]
fn a_broker_may_want_a_certificate_of_the_gateway() -> Result<()> {
    let secure = Secure::start("localhost", true)?;
    let gateway = Gateway::start(&secure.setup("localhost", json!({ "ca": "ca.pem" }))?)?;
    gateway.watch().said(&["no connection", "certificate"])?;
    drop(gateway);
    let own = json!({ "ca": "ca.pem", "certificate": "own.pem", "key": "own.key" });
    secure.serves(&secure.setup("localhost", own)?)
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() -> Result<()> {
    let secure = Secure::start("localhost", false)?;
    for (keys, part) in [
        (json!({ "ca": "missing.pem" }), "mqtt.ca: "),
        (json!({ "ca": "ca.pem", "certificate": "own.pem", "key": "ca.pem" }), "mqtt.key: "),
        (json!({ "ca": "ca.pem", "certificate": "own.key", "key": "own.key" }), "mqtt.certificate: "),
        (json!({ "ca": "ca.pem", "certificate": "own.pem", "key": "other.key" }), "is not the key of"),
    ] {
        let mut setup = secure.setup("localhost", keys)?;
        let other = secure.authority.issue(&Wish::new("other"))?;
        setup.files.push(("other.key".to_owned(), other.key_pem()?));
        let error = Gateway::start(&setup).map(drop).expect_err(part).to_string();
        ensure!(error.contains(part), "{part}: {error}");
    }
    Ok(())
}

#[test]
fn a_password_may_change_while_the_gateway_runs() -> Result<()> {
    let broker = Mosquitto::start_with(|port, folder| {
        let users = folder.join("users");
        // As `mosquitto_passwd` leaves a file that it has not hashed yet: it hashes it itself.
        fs::write(&users, "gateway:right\n")?;
        let hashed = std::process::Command::new("mosquitto_passwd").arg("-U").arg(&users).status();
        ensure!(hashed.is_ok_and(|status| status.success()), "mosquitto_passwd hashes the passwords");
        Ok(format!("listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\n", users.display()))
    })?;
    let mut setup = Setup::new(Broker::On(broker.second_port()), "fixed");
    setup.mqtt = json!({ "username": "gateway", "password-file": "password" });
    setup.files.push(("password".to_owned(), "wrong\n".to_owned()));
    let gateway = Gateway::start(&setup)?;
    gateway.watch().said(&["no connection", "check `username`, `password-file`"])?;
    fs::write(gateway.folder().join("password"), "right\n")?;
    gateway.watch().said(&["connected to the MQTT broker"])?;
    Ok(())
}

/// A broker with a listener for TLS, and one without for the application.
struct Secure {
    broker: Mosquitto,
    authority: Certified,
}

impl Secure {
    fn start(name: &str, wants_certificate: bool) -> Result<Self> {
        Self::start_with(&Wish::new(name), wants_certificate)
    }

    fn start_with(wish: &Wish<'_>, wants_certificate: bool) -> Result<Self> {
        let authority = Certified::authority("ours")?;
        let own = authority.issue(wish)?;
        let broker = Mosquitto::start_with(|port, folder| {
            let file = |name: &str, text: &str| -> Result<String> {
                let path = folder.join(name);
                fs::write(&path, text)?;
                open_to_all(folder)?;
                open_to_all(&path)?;
                Ok(path.display().to_string())
            };
            let (ca, chain) = (file("ca.pem", &authority.pem()?)?, file("broker.pem", &own.pem()?)?);
            let key = file("broker.key", &own.key_pem()?)?;
            Ok(format!(
                "listener {port}\nallow_anonymous true\ncafile {ca}\ncertfile {chain}\nkeyfile {key}\n\
                 require_certificate {wants_certificate}\n"
            ))
        })?;
        Ok(Self { broker, authority })
    }

    fn setup(&self, host: &str, keys: Json) -> Result<Setup> {
        let mut setup = Setup::new(Broker::On(self.broker.port()), "fixed");
        let own = self.authority.issue(&Wish::new("gateway"))?;
        setup.mqtt = keys;
        setup.mqtt["broker"] = json!(format!("mqtts://{host}:{}", self.broker.second_port()));
        setup.files = vec![
            ("ca.pem".to_owned(), self.authority.pem()?),
            ("own.pem".to_owned(), own.pem()?),
            ("own.key".to_owned(), own.key_pem()?),
        ];
        Ok(setup)
    }

    /// A message goes each way.
    fn serves(&self, setup: &Setup) -> Result<()> {
        let gateway = Gateway::start(setup)?;
        let application = Application::connect(self.broker.port(), MqttVersion::V5)?;
        let mut device = Device::new(gateway.coap(), "sensor")?;
        device.register()?;
        application.of_type("observe")?;
        application
            .command("dn/sensor", &json!({ "reqID": 1, "msgType": "read", "data": { "path": "/3/0/3" } }))?;
        let answer = application.of_type("read")?;
        ensure!(answer["data"]["content"][0]["value"] == "1.0", "{answer}");
        Ok(())
    }
}

/// mosquitto, started by root, reads its files as a user of its own.
fn open_to_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
