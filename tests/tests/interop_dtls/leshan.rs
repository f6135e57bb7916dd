//! The device built on Leshan, whose DTLS is Californium's.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidegate_tests::stage::{KEY, SECURED, Stage, certified, psk, setup};
use tidegate_tests::{Certified, Nat, Process, Setup, Wish, leshan_over_dtls};

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_registers_is_read_notifies_and_sends_in_each_mode() -> Result<()> {
    for mode in MODES {
        // Without connection IDs; to be sent an empty one; to be sent one.
        for cid in [None, Some(0), Some(6)] {
            let scene = Scene::new(mode)?;
            let mut stage = Stage::set(&scene.setup)?;
            let profile = scene.profile(&stage, cid)?;
            let Some(mut device) = leshan_over_dtls(stage.gateway.dtls(), scene.endpoint, &profile)? else {
                return Ok(());
            };
            registered(&stage, &device, scene.endpoint)?;
            goes_well(&stage, &mut device, scene.endpoint, 31.5)?;
            let cid = format!("cid={}", cid.is_some());
            stage.gateway.process().said(&["DTLS association established", scene.endpoint, mode, &cid])?;
            ensure!(stage.handshakes(scene.endpoint) == 1);
            device.tell("quit")?;
            device.said(&["deregistered"])?;
            ensure!(stage.application.of_type("deregister")?["ep"] == scene.endpoint);
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_goes_on_behind_a_nat_that_forgets_if_it_has_a_connection_id() -> Result<()> {
    for cid in [0, 6] {
        let scene = Scene::new("psk")?;
        let mut stage = Stage::set(&scene.setup)?;
        let nat = Nat::start(stage.gateway.dtls())?;
        let profile = scene.profile(&stage, Some(cid))?;
        let Some(mut device) = leshan_over_dtls(nat.address(), scene.endpoint, &profile)? else {
            return Ok(());
        };
        registered(&stage, &device, scene.endpoint)?;
        goes_well(&stage, &mut device, scene.endpoint, 31.5)?;
        nat.rebind()?;
        device.tell("update")?;
        device.said(&["updated"])?;
        ensure!(stage.application.of_type("update")?["ep"] == scene.endpoint);
        goes_well(&stage, &mut device, scene.endpoint, 32.5)?;
        ensure!(stage.handshakes(scene.endpoint) == 1);
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_without_a_connection_id_resumes_behind_a_nat_that_forgets() -> Result<()> {
    for mode in MODES {
        let scene = Scene::new(mode)?;
        let mut stage = Stage::set(&scene.setup)?;
        let nat = Nat::start(stage.gateway.dtls())?;
        let profile = scene.profile(&stage, None)?;
        let Some(mut device) = leshan_over_dtls(nat.address(), scene.endpoint, &profile)? else {
            return Ok(());
        };
        registered(&stage, &device, scene.endpoint)?;
        nat.rebind()?;
        device.tell("resume")?;
        device.said(&["forced to resume"])?;
        device.tell("update")?;
        device.said(&["updated"])?;
        stage.gateway.process().said(&["DTLS association established", scene.endpoint, "resumed=true"])?;
        goes_well(&stage, &mut device, scene.endpoint, 32.5)?;
        ensure!(stage.handshakes(scene.endpoint) == 2);
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_that_reboots_at_its_old_address_begins_anew() -> Result<()> {
    for cid in [None, Some(6)] {
        let scene = Scene::new("psk")?;
        let mut stage = Stage::set(&scene.setup)?;
        let nat = Nat::start(stage.gateway.dtls())?;
        let profile = scene.profile(&stage, cid)?;
        for times in 1..=2 {
            let Some(mut device) = leshan_over_dtls(nat.address(), scene.endpoint, &profile)? else {
                return Ok(());
            };
            registered(&stage, &device, scene.endpoint)?;
            goes_well(&stage, &mut device, scene.endpoint, 30.5 + f64::from(times))?;
            // Without a word: for the gateway the next one has the same address.
            device.kill()?;
        }
        stage.gateway.process().said(&["DTLS association ended", scene.endpoint, "has made another one"])?;
        ensure!(stage.handshakes(scene.endpoint) == 2);
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_goes_on_after_the_gateway_was_killed() -> Result<()> {
    for cid in [None, Some(6)] {
        let mut scene = Scene::new("psk")?;
        scene.setup.log = "info,tidegate::app=debug";
        let mut stage = Stage::set(&scene.setup)?;
        let profile = scene.profile(&stage, cid)?;
        let Some(mut device) = leshan_over_dtls(stage.gateway.dtls(), scene.endpoint, &profile)? else {
            return Ok(());
        };
        registered(&stage, &device, scene.endpoint)?;
        stage.gateway.process().said(&["associations are durable"])?;
        stage.restart_by_kill()?;
        // It is known, and notices nothing.
        device.forget();
        device.tell("update")?;
        device.said(&["updated"])?;
        goes_well(&stage, &mut device, scene.endpoint, 33.5)?;
        ensure!(stage.handshakes(scene.endpoint) == 0);
    }
    Ok(())
}

#[test]
#[ignore = "needs Java and the built Leshan device: make interop"]
fn a_leshan_device_is_refused_without_the_right_credential() -> Result<()> {
    // What the endpoint is called, which profile it has, what it sees, and what the gateway says.
    let scene = Scene::new("psk")?;
    let mut stage = Stage::set(&scene.setup)?;
    let text = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let (right, wrong) = (format!("key={}", hex(&KEY)), format!("key={}", hex(b"another sixteen ")));
    let identity = format!("identity={SECURED}");
    let refused = [
        (SECURED, text(&[&identity, &wrong, "impatient"]), "registration timed out", "probably wrong"),
        ("urn:imei:2", text(&["identity=urn:imei:2", &right]), "registration", "is unknown"),
        ("urn:imei:2", text(&[&identity, &right]), "registration refused BAD_REQUEST", "is refused"),
    ];
    for (endpoint, profile, seen, logged) in refused {
        let Some(device) = leshan_over_dtls(stage.gateway.dtls(), endpoint, &profile)? else {
            return Ok(());
        };
        stage.gateway.process().said(&[logged])?;
        device.said(&[seen])?;
    }
    let scene = Scene::new("x509")?;
    let foreign = Scene::new("x509")?;
    let stage_of_x509 = Stage::set(&scene.setup)?;
    foreign.write(&stage_of_x509)?;
    let profile = foreign.arguments(&stage_of_x509, None);
    std::fs::write(stage_of_x509.gateway.folder().join("server.der"), scene.server.chain[0].to_der()?)?;
    let mut stage = stage_of_x509;
    let device = leshan_over_dtls(stage.gateway.dtls(), scene.endpoint, &profile)?.context("it was there")?;
    stage.gateway.process().said(&["a DTLS handshake has failed", "certificate"])?;
    device.said(&["registration"])?;
    ensure!(stage.application.drain().is_empty());
    Ok(())
}

/// A mode, and what both sides need for it.
struct Scene {
    mode: &'static str,
    endpoint: &'static str,
    setup: Setup,
    client: Certified,
    server: Certified,
}

impl Scene {
    fn new(mode: &'static str) -> Result<Self> {
        let (authority, mut setup_of_x509) = certified()?;
        let server = authority.issue(&Wish::new("localhost"))?;
        let client = authority.issue(&Wish::new("meter-7"))?;
        let (endpoint, setup) = match mode {
            "psk" => (SECURED, setup(&json!({ "psk": [psk(SECURED, &KEY)] }))),
            "raw-public-key" => {
                let mut setup = setup(&json!({
                    "raw-public-key": [{ "public-key": client.public_key()?, "endpoint": "meter-9" }],
                    "server": { "private-key": "server.key" },
                }));
                setup.files = vec![("server.key".to_owned(), server.key_pem()?)];
                ("meter-9", setup)
            }
            _ => {
                setup_of_x509.files = vec![
                    ("ca.pem".to_owned(), authority.pem()?),
                    ("server.pem".to_owned(), server.pem()?),
                    ("server.key".to_owned(), server.key_pem()?),
                ];
                ("meter-7", setup_of_x509)
            }
        };
        Ok(Self { mode, endpoint, setup, client, server })
    }

    /// The device's arguments, and the files that they name.
    fn profile(&self, stage: &Stage, cid: Option<u8>) -> Result<Vec<String>> {
        self.write(stage)?;
        Ok(self.arguments(stage, cid))
    }

    fn write(&self, stage: &Stage) -> Result<()> {
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(stage.gateway.folder().join(name), bytes);
        write("client.der", self.client.chain[0].to_der()?)?;
        write("private.der", self.client.key.private_key_to_pkcs8()?)?;
        write("public.der", self.client.key.public_key_to_der()?)?;
        write("server.der", self.server.chain[0].to_der()?)?;
        Ok(write("server-public.der", self.server.key.public_key_to_der()?)?)
    }

    fn arguments(&self, stage: &Stage, cid: Option<u8>) -> Vec<String> {
        let file = |name: &str, file: &str| format!("{name}={}", stage.gateway.folder().join(file).display());
        let mut arguments = match self.mode {
            "psk" => vec![format!("identity={SECURED}"), format!("key={}", hex(&KEY))],
            "raw-public-key" => vec![
                file("public", "public.der"),
                file("private", "private.der"),
                file("server", "server-public.der"),
            ],
            _ => vec![
                file("certificate", "client.der"),
                file("private", "private.der"),
                file("server", "server.der"),
            ],
        };
        arguments.extend(cid.map(|cid| format!("cid={cid}")));
        arguments
    }
}

fn registered(stage: &Stage, device: &Process, endpoint: &str) -> Result<()> {
    device.said(&["registered"])?;
    let register = stage.application.of_type("register")?;
    ensure!(register["ep"] == endpoint, "{register}");
    Ok(())
}

/// It is read and observed, notifies and sends.
fn goes_well(stage: &Stage, device: &mut Process, endpoint: &str, value: f64) -> Result<()> {
    ensure!(stage.ask(endpoint, "read", "/3/0/0")? == (json!("2.05"), json!("Tidegate")));
    ensure!(stage.ask(endpoint, "observe", "/3303/0/5700")?.0 == "2.05");
    device.tell(&format!("notify {value}"))?;
    stage.notified(endpoint, &json!(value))?;
    device.forget();
    device.tell("send 110 /3303/0/5700")?;
    device.said(&["sent CHANGED"])?;
    let sent = stage.application.of_type("send")?;
    ensure!(sent["ep"] == endpoint && sent["data"]["content"][0]["value"] == value, "{sent}");
    Ok(())
}

fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

const MODES: [&str; 3] = ["psk", "raw-public-key", "x509"];
