//! `tidegate credentials`: the file that it writes, and what it says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::PKey;
use openssl::x509::X509;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tidegate_tests::{Process, free_port, tidegate};

/// A folder in which the command is run.
struct Scene(TempDir);

impl Scene {
    fn new() -> Result<Self> {
        Ok(Self(TempDir::new()?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(tidegate()?.arg("credentials").args(arguments).current_dir(self.0.path()).output()?)
    }

    /// What it says when it has done it.
    fn done(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let said = String::from_utf8(output.stdout)?;
        let error = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(0), "{arguments:?}: {}\n{said}\n{error}", output.status);
        Ok(said)
    }

    /// What it says when it refuses, and that the file is as it was.
    fn refused(&self, arguments: &[&str]) -> Result<String> {
        let before = fs::read(self.path("credentials.toml")).ok();
        let output = self.run(arguments)?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{arguments:?}: {}\n{said}", output.status);
        ensure!(fs::read(self.path("credentials.toml")).ok() == before, "{arguments:?} has changed the file");
        Ok(said)
    }

    fn list(&self) -> Result<Json> {
        Ok(serde_json::from_str(&self.done(&["list", "--json"])?)?)
    }

    fn file(&self) -> Result<toml::Table> {
        Ok(fs::read_to_string(self.path("credentials.toml"))?.parse()?)
    }

    fn mode(&self, name: &str) -> Result<u32> {
        Ok(fs::metadata(self.path(name))?.permissions().mode() & 0o777)
    }
}

#[test]
fn a_client_with_a_new_pre_shared_key_is_added_and_told_how() -> Result<()> {
    let scene = Scene::new()?;
    let said = scene.done(&["add", "psk", "--endpoint", "urn:imei:1", "--server", "gateway.example"])?;
    ensure!(scene.mode("credentials.toml")? == 0o600);
    let file = scene.file()?;
    let entry = file["psk"][0].as_table().context("a table")?;
    ensure!(entry["identity"].as_str() == Some("urn:imei:1") && entry.get("endpoint").is_none(), "{entry:?}");
    let key = entry["key"].as_str().context("a key")?;
    ensure!(key.len() == 32 && key.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
    for part in [
        format!("lwm2mclient -4 -n urn:imei:1 -h gateway.example -p 5684 -i urn:imei:1 -s {key}"),
        format!("leshan-client-demo -n urn:imei:1 -u coaps://gateway.example:5684 -i urn:imei:1 -p {key}"),
        "lwm2m_set_string(&LWM2M_OBJ(0, 0, 3), \"urn:imei:1\");".to_owned(),
    ] {
        ensure!(said.contains(&part), "no {part} in\n{said}");
    }
    scene.done(&["add", "psk", "--endpoint", "urn:imei:2"])?;
    ensure!(scene.file()?["psk"][1]["key"].as_str() != Some(key), "keys are random");
    Ok(())
}

#[test]
fn what_is_listed_has_no_key() -> Result<()> {
    let scene = Scene::new()?;
    let key = "5ec7e7a1b2c3d4e5f60718293a4b5c6d";
    scene.done(&["add", "psk", "--endpoint", "meter", "--identity", "i", "--key", key])?;
    let expected = json!([{ "mode": "psk", "identity": "i", "endpoint": "meter" }]);
    ensure!(scene.list()? == expected, "{}", scene.list()?);
    let table = scene.done(&["list"])?;
    ensure!(table == "mode  identity  endpoint\npsk   i         meter\n", "{table}");
    Ok(())
}

#[test]
fn a_wrong_key_changes_nothing_and_is_not_repeated() -> Result<()> {
    let scene = Scene::new()?;
    let said = scene.refused(&["add", "psk", "--endpoint", "e", "--key", "5ec7e7a1g"])?;
    ensure!(said.contains("--key is not hex: character 9") && !said.contains("5ec7e7"), "{said}");
    let said = scene.refused(&["add", "psk", "--endpoint", "e", "--key", &"00".repeat(65)])?;
    ensure!(said.contains("psk.key: a key has 1 to 64 bytes, this one has 65"), "{said}");
    ensure!(!scene.path("credentials.toml").exists());
    scene.done(&["add", "psk", "--endpoint", "e"])?;
    let said = scene.refused(&["add", "psk", "--endpoint", "e"])?;
    ensure!(said.contains("it is there already, for the endpoint \"e\""), "{said}");
    Ok(())
}

#[test]
fn those_who_add_at_once_lose_nothing() -> Result<()> {
    let scene = Scene::new()?;
    let mut running = Vec::new();
    for number in 0..6 {
        let endpoint = format!("e{number}");
        let mut command = tidegate()?;
        command.args(["credentials", "add", "psk", "--endpoint", &endpoint]).current_dir(scene.0.path());
        running.push(command.stdout(std::process::Stdio::null()).spawn()?);
    }
    for mut child in running {
        ensure!(child.wait()?.success());
    }
    let list = scene.list()?;
    ensure!(list.as_array().is_some_and(|list| list.len() == 6), "{list}");
    Ok(())
}

#[test]
fn raw_public_keys_need_the_gateways_and_are_made_for_both() -> Result<()> {
    let scene = Scene::new()?;
    let said = scene.refused(&["add", "raw-public-key", "--endpoint", "meter 7"])?;
    ensure!(said.contains("`tidegate credentials add server-key` does it"), "{said}");
    ensure!(fs::read_dir(scene.0.path())?.count() == 0, "keys for nobody are left");

    let said = scene.done(&["add", "server-key", "--certificate", "--name", "gateway.example"])?;
    let own = PKey::private_key_from_pem(&fs::read(scene.path("server.key"))?)?;
    let certificate = X509::from_pem(&fs::read(scene.path("server.pem"))?)?;
    ensure!(certificate.public_key()?.public_eq(&own) && certificate.verify(&own)?);
    ensure!(scene.mode("server.key")? == 0o600);
    ensure!(said.contains(&STANDARD.encode(own.public_key_to_der()?)), "{said}");
    ensure!(fs::read(scene.path("server.pub.der"))? == own.public_key_to_der()?);
    let again = scene.refused(&["add", "server-key"])?;
    ensure!(again.contains("the gateway has a private key already"), "{again}");

    let said = scene.done(&["add", "raw-public-key", "--endpoint", "meter 7"])?;
    let client = PKey::private_key_from_der(&fs::read(scene.path("meter_7.key.der"))?)?;
    let public = client.public_key_to_der()?;
    ensure!(fs::read(scene.path("meter_7.pub.der"))? == public && scene.mode("meter_7.key.der")? == 0o600);
    ensure!(
        scene.file()?["raw-public-key"][0]["public-key"].as_str() == Some(STANDARD.encode(&public).as_str())
    );
    let leshan = "-cpubk meter_7.pub.der -cprik meter_7.key.der -spubk server.pub.der";
    ensure!(said.contains(leshan) && said.contains("-n 'meter 7'"), "{said}");

    let given = STANDARD.encode(&public);
    let said = scene.refused(&["add", "raw-public-key", "--endpoint", "other", "--public-key", &given])?;
    ensure!(said.contains("it is there already, for the endpoint \"meter 7\""), "{said}");
    let said = scene.refused(&["add", "psk", "--endpoint", "meter 7"])?;
    ensure!(said.contains("one endpoint has one security mode"), "{said}");
    Ok(())
}

#[test]
fn a_public_key_is_taken_from_a_file() -> Result<()> {
    let scene = Scene::new()?;
    scene.done(&["add", "server-key"])?;
    let curve = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(openssl::ec::EcKey::generate(&curve)?)?;
    fs::write(scene.path("meter.pub"), key.public_key_to_pem()?)?;
    scene.done(&["add", "raw-public-key", "--endpoint", "meter", "--public-key", "meter.pub"])?;
    let expected = STANDARD.encode(key.public_key_to_der()?);
    ensure!(scene.file()?["raw-public-key"][0]["public-key"].as_str() == Some(expected.as_str()));
    ensure!(scene.list()? == json!([{ "mode": "raw-public-key", "identity": null, "endpoint": "meter" }]));
    Ok(())
}

#[test]
fn what_is_removed_is_counted_and_nothing_else_is_touched() -> Result<()> {
    let scene = Scene::new()?;
    let mine = "# mine\n\n# the old one\n[[psk]]\nidentity = \"a1\"\nkey = \"00\"\nendpoint = \"a\"\n\n# the new one\n[[psk]]\nidentity = \"a2\"\nkey = \"01\"\nendpoint = \"a\"\n\n";
    let other = "# of b, in my own way\n[[psk]] # !\nkey = '02'\nidentity = 'b'\n";
    fs::write(scene.path("credentials.toml"), format!("{mine}{other}"))?;
    fs::set_permissions(scene.path("credentials.toml"), fs::Permissions::from_mode(0o600))?;
    let said = scene.refused(&["remove", "--endpoint", "c"])?;
    ensure!(said.contains("has no credential of the endpoint \"c\""), "{said}");
    let said = scene.done(&["remove", "--endpoint", "a"])?;
    ensure!(said.contains(": 2 credentials of the endpoint \"a\""), "{said}");
    ensure!(fs::read_to_string(scene.path("credentials.toml"))? == format!("# mine\n\n{other}"));
    let said = scene.done(&["remove", "--identity", "b"])?;
    ensure!(said.contains(": 1 credential of the identity \"b\""), "{said}");
    ensure!(scene.list()? == json!([]));
    Ok(())
}

#[test]
fn keys_of_other_servers_are_imported_or_none_is() -> Result<()> {
    let scene = Scene::new()?;
    fs::write(scene.path("keys.csv"), "endpoint,identity,key\nmeter-1,i1,00ff\nmeter-2,i2,01\n")?;
    let said = scene.done(&["import", "keys.csv"])?;
    ensure!(said.ends_with(": 2 pre-shared keys.\n"), "{said}");
    fs::write(scene.path("keys.psk"), "urn:imei:3:02\nurn:imei:4:0304\n")?;
    scene.done(&["import", "keys.psk"])?;
    let endpoints: Vec<_> = ["meter-1", "meter-2", "urn:imei:3", "urn:imei:4"].to_vec();
    let list = scene.list()?;
    let listed =
        list.as_array().context("a list")?.iter().map(|of| of["endpoint"].as_str().unwrap_or_default());
    ensure!(listed.eq(endpoints), "{list}");

    fs::write(scene.path("keys.psk"), "urn:imei:5:05\nurn:imei:6:0g\n")?;
    let said = scene.refused(&["import", "keys.psk"])?;
    ensure!(said.contains("keys.psk:2: the key is not hex: character 2"), "{said}");
    fs::write(scene.path("keys.psk"), "urn:imei:5:05\ni1:06\n")?;
    let said = scene.refused(&["import", "keys.psk"])?;
    ensure!(said.contains("it is there already, for the endpoint \"meter-1\""), "{said}");
    ensure!(said.contains("nothing is imported"), "{said}");
    fs::write(scene.path("keys.psk"), "text:not hex\n")?;
    scene.done(&["import", "keys.psk", "--text-keys"])?;
    ensure!(scene.file()?["psk"][4]["key"].as_str() == Some("6e6f7420686578"));
    Ok(())
}

#[test]
fn a_file_that_is_wrong_already_is_named_and_left_alone() -> Result<()> {
    let scene = Scene::new()?;
    fs::write(scene.path("credentials.toml"), "[[psk]]\nidentity = \"a\"\nkye = \"5ec7e7a1b2c3\"\n")?;
    for arguments in [&["add", "psk", "--endpoint", "e"][..], &["list"], &["remove", "--endpoint", "a"]] {
        let said = scene.refused(arguments)?;
        let right = "credentials.toml:3: psk.kye: no such key; did you mean `key`?";
        ensure!(said.contains(right) && !said.contains("5ec7e7"), "{said}");
    }
    Ok(())
}

#[test]
fn the_file_of_the_configuration_is_the_one_that_is_edited() -> Result<()> {
    let scene = Scene::new()?;
    fs::create_dir(scene.path("etc"))?;
    fs::write(scene.path("etc/tidegate.toml"), "[coap]\nlisten = [\"127.0.0.1:5783\"]\n")?;
    scene.done(&["add", "psk", "--endpoint", "e", "--config", "etc/tidegate.toml"])?;
    ensure!(scene.path("etc/credentials.toml").exists() && !scene.path("credentials.toml").exists());
    let list = scene.done(&["list", "--file", "etc/credentials.toml"])?;
    ensure!(list.contains("psk   e         e"), "{list}");
    Ok(())
}

#[test]
fn a_running_gateway_hears_of_what_is_added_and_removed() -> Result<()> {
    let scene = Scene::new()?;
    let configuration = format!(
        "[coap]\nlisten = [\"127.0.0.1:{}\"]\n[dtls]\nlisten = [\"127.0.0.1:{}\"]\n[mqtt.embedded]\nlisten = [\"127.0.0.1:{}\"]\n",
        free_port()?,
        free_port()?,
        free_port()?
    );
    fs::write(scene.path("tidegate.toml"), configuration)?;
    let check = |scene: &Scene| -> Result<Output> {
        Ok(tidegate()?.arg("check").current_dir(scene.0.path()).output()?)
    };
    ensure!(check(&scene)?.status.code() == Some(1), "there are no credentials yet");
    let key = "5ec7e7a1b2c3d4e5f60718293a4b5c6d";
    scene.done(&["add", "psk", "--endpoint", "a", "--key", key])?;
    let said = String::from_utf8(check(&scene)?.stdout)?;
    ensure!(said.contains("(pre-shared keys: 1, raw public keys: 0, authorities: 0)"), "{said}");

    let mut gateway = Process::start(tidegate()?.arg("run").current_dir(scene.0.path()))?;
    gateway.said_before_end(&["ready", "coap="])?;
    gateway.said(&["credentials read psk=1 raw-public-key=0 authorities=0"])?;
    scene.done(&["add", "psk", "--endpoint", "b"])?;
    gateway.said(&["credentials read psk=2"])?;
    scene.done(&["add", "server-key"])?;
    scene.done(&["add", "raw-public-key", "--endpoint", "c"])?;
    gateway.said(&["credentials read psk=2 raw-public-key=1"])?;
    let right = fs::read(scene.path("credentials.toml"))?;
    fs::write(scene.path("credentials.toml"), format!("[[psk]]\nidentity = \"a\"\nkey = \"{key}0\"\n"))?;
    gateway.said(&["ERROR", "credentials refused", "credentials.toml:3: psk.key: has 33 hex digits"])?;
    fs::write(scene.path("credentials.toml"), right)?;
    gateway.said_times(&["credentials read psk=2 raw-public-key=1"], 2)?;
    scene.done(&["remove", "--endpoint", "a"])?;
    gateway.said(&["credentials read psk=1 raw-public-key=1"])?;
    gateway.terminate()?;
    ensure!(!gateway.everything().contains(&key[..8]), "{}", gateway.everything());
    Ok(())
}
