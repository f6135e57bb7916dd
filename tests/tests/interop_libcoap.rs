//! The programs of libcoap at the level of CoAP: its client registers in blocks, loses datagrams and asks for what
//! there is not; its server keeps what is put into it, so that it makes a client whose values are long, that answers
//! with other codes than LwM2M has, and that notifies in blocks. Not part of `make test`: `make interop` installs
//! libcoap and runs this.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{
    Application, Broker, Gateway, Mosquitto, MqttVersion, Process, Setup, free_port, skipped,
};

#[test]
#[ignore = "needs libcoap: make interop"]
fn a_register_comes_in_blocks_of_every_size() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let list: Vec<_> = (0..LINKS).map(|instance| format!("/31024/{instance}")).collect();
    let links: Vec<_> = list.iter().map(|path| format!("<{path}>")).collect();
    for size in ["16", "32", "64", "128", "256", "512", "1024"] {
        let endpoint = format!("in{size}");
        let said =
            stage.client(&["-m", "post", "-t", "40", "-b", size, "-e", &links.join(",")], &rd(&endpoint))?;
        ensure!(said.contains("c:2.01") && said.contains("Block1:0/M/"), "{said}");
        let register = stage.application.of_type("register")?;
        ensure!(register["ep"] == endpoint && register["data"]["objectList"] == json!(list), "{register}");
    }
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn a_register_in_blocks_of_which_some_are_lost_is_published_once() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let links: Vec<_> = (0..LINKS).map(|instance| format!("</31024/{instance}>")).collect();
    // The first and the third datagram do not leave.
    let lossy = ["-l", "1,3", "-m", "post", "-t", "40", "-b", "512", "-e", &links.join(",")];
    let said = stage.client(&lossy, &rd("lossy"))?;
    ensure!(said.contains("c:2.01"), "{said}");
    let said = stage.client(&["-N", "-m", "post", "-t", "40", "-e", "%3C/3/0%3E"], &rd("after"))?;
    ensure!(said.contains("t:NON c:2.01"), "{said}");
    let first = stage.application.of_type("register")?;
    let second = stage.application.of_type("register")?;
    ensure!(first["ep"] == "lossy" && second["ep"] == "after", "{first} {second}");
    let list = first["data"]["objectList"].as_array().map(Vec::len);
    ensure!(list == Some(LINKS) && second["data"]["objectList"] == json!(["/3/0"]), "{first} {second}");
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn an_update_and_a_deregister_may_come_from_other_ports_and_a_send_may_not() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let own_port = free_port()?.to_string();
    let own = ["-a", "127.0.0.1", "-p", &own_port, "-m", "post"];
    let said = stage.client(&[&own[..], &["-t", "40", "-e", "%3C/3/0%3E"]].concat(), &rd("moving"))?;
    let location = location(&said).with_context(|| said.clone())?;

    let pack = "[{\"n\":\"/3/0/9\",\"v\":81}]";
    let send = ["-t", "110", "-e", pack];
    let said = stage.client(&[&["-m", "post"], &send[..]].concat(), "dp")?;
    ensure!(said.contains("c:4.04"), "{said}");
    let said = stage.client(&[&own[..], &send[..]].concat(), "dp")?;
    ensure!(said.contains("c:2.04"), "{said}");
    let sent = stage.application.of_type("send")?;
    ensure!(sent["ep"] == "moving" && sent["data"]["content"][0]["value"] == 81, "{sent}");

    let said = stage.client(&["-m", "post"], &format!("{location}?lt=60"))?;
    ensure!(said.contains("c:2.04"), "{said}");
    ensure!(stage.application.of_type("update")?["data"]["lt"] == 60);
    for code in ["c:2.02", "c:4.04"] {
        let said = stage.client(&["-m", "delete"], &location)?;
        ensure!(said.contains(code), "{said}");
    }
    ensure!(stage.application.of_type("deregister")?["ep"] == "moving");
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn what_the_gateway_does_not_have_is_refused_with_the_code_that_fits() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let links = ["-m", "post", "-t", "40", "-e"];
    let (here, elsewhere) = (rd("asker"), "rd/AAAAAAAAAAAA");
    let asked: [(&[&str], &str, &str); 12] = [
        (&["-m", "get"], ".well-known/core", "c:2.05"),
        (&["-m", "get"], "3/0/0", "c:4.0"),
        (&["-m", "put", "-e", "x"], "rd", "c:4.05"),
        (&["-m", "fetch", "-e", "x"], "rd", "c:4.05"),
        (&["-m", "ipatch", "-e", "x"], "rd", "c:4.05"),
        (&["-m", "get", "-s", "1"], "rd", "c:4.05"),
        (&["-m", "post"], elsewhere, "c:4.04"),
        (&["-m", "delete"], elsewhere, "c:4.04"),
        (&[&links[..], &["no links"]].concat(), &here, "c:4.00"),
        (&[&links[..], &["%3C/3/0%3E"]].concat(), "rd?lt=300&lwm2m=1.1", "c:4.00"),
        // Option 65001 is critical, 65002 is elective (RFC 7252 section 5.4.1).
        (&[&["-O", "65001,x"], &links[..], &["%3C/3/0%3E"]].concat(), &here, "c:4.02"),
        (&[&["-O", "65002,x"], &links[..], &["%3C/3/0%3E"]].concat(), &here, "c:2.01"),
    ];
    for (arguments, path, code) in asked {
        let said = stage.client(arguments, path)?;
        ensure!(said.contains(code), "{arguments:?} {path}: {said}");
    }
    // Only the last has registered.
    ensure!(stage.application.of_type("register")?["ep"] == "asker");
    ensure!(stage.application.drain().is_empty());
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn long_values_are_read_written_observed_and_notified_of_in_blocks() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let device = Device::start(&stage)?;
    let digits = |times| "0123456789".repeat(times);
    device.put(&stage, "3/0/0", &digits(500))?;
    let read = stage.ask("read", &json!({ "path": "/3/0/0" }))?;
    ensure!(read["code"] == "2.05" && value(&read) == json!(digits(500)), "{read}");
    let observed = stage.ask("observe", &json!({ "path": "/3/0/0" }))?;
    ensure!(observed["code"] == "2.05" && value(&observed) == json!(digits(500)), "{observed}");
    for times in [400, 1, 600] {
        device.put(&stage, "3/0/0", &digits(times))?;
        let notified = stage.application.of_type("notify")?;
        ensure!(value(&notified["data"]) == json!(digits(times)), "{notified}");
    }
    // It does not look into what is written, and answers the first Write of a resource with 2.01.
    let long = json!({ "path": "/3/0/15", "type": "String", "value": digits(300) });
    ensure!(stage.ask("write", &long)?["code"] == "2.01");
    ensure!(stage.ask("write", &long)?["code"] == "2.04");
    let read = stage.ask("read", &json!({ "path": "/3/0/15" }))?;
    ensure!(value(&read) == json!(digits(300)), "{read}");
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn codes_that_lwm2m_does_not_have_are_told() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let _device = Device::start(&stage)?;
    let executed = stage.ask("execute", &json!({ "path": "/3/0/4", "args": "0='now'" }))?;
    ensure!(executed == json!({ "reqPath": "/3/0/4", "code": "2.01", "codeMsg": "created" }), "{executed}");
    let missing = stage.ask("read", &json!({ "path": "/3/0" }))?;
    ensure!(missing == json!({ "reqPath": "/3/0", "code": "4.04", "codeMsg": "not_found" }), "{missing}");
    let deleted = stage.ask("delete", &json!({ "path": "/3/0/4" }))?;
    ensure!(deleted == json!({ "reqPath": "/3/0/4", "code": "2.02", "codeMsg": "deleted" }), "{deleted}");
    Ok(())
}

#[test]
#[ignore = "needs libcoap: make interop"]
fn an_observation_ends_by_cancellation_and_by_an_error() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let mut device = Device::start(&stage)?;
    device.put(&stage, "3303/0/5700", "20.5")?;
    device.put(&stage, "3/0/9", "87")?;
    for path in ["/3303/0/5700", "/3/0/9"] {
        ensure!(stage.ask("observe", &json!({ "path": path }))?["code"] == "2.05");
    }
    device.put(&stage, "3303/0/5700", "21.5")?;
    let notified = stage.application.of_type("notify")?;
    ensure!(value(&notified["data"]) == json!(21.5), "{notified}");
    let cancelled = stage.ask("cancel-observe", &json!({ "path": "/3303/0/5700" }))?;
    ensure!(value(&cancelled) == json!(21.5), "{cancelled}");

    // Nothing comes of this; and when it ends, it tells those that still observe, without content.
    device.put(&stage, "3303/0/5700", "22.5")?;
    device.server.terminate()?;
    let notified = stage.application.of_type("notify")?;
    ensure!(
        notified["data"] == json!({ "reqPath": "/3/0/9", "code": "4.04", "codeMsg": "not_found" }),
        "{notified}"
    );
    Ok(())
}

struct Stage {
    program: PathBuf,
    application: Application,
    gateway: Gateway,
    _broker: Mosquitto,
}

impl Stage {
    /// None, and a word about it, when libcoap is not there.
    fn set() -> Result<Option<Self>> {
        let Some(program) = program("coap-client").filter(|_| program("coap-server").is_some()) else {
            skipped("libcoap's coap-client and coap-server are not installed; `make interop` does it");
            return Ok(None);
        };
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.settings["auto_observe"] = json!(false);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        Ok(Some(Self { program, application, gateway, _broker: broker }))
    }

    /// Run coap-client against the gateway; what it says, with the messages it sends and receives.
    fn client(&self, arguments: &[&str], path: &str) -> Result<String> {
        self.client_at(arguments, &format!("coap://{}/{path}", self.gateway.coap()))
    }

    fn client_at(&self, arguments: &[&str], uri: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        let mut client = Process::start(command.args(["-v", "6", "-B", "15"]).args(arguments).arg(uri))?;
        client.ended()?;
        Ok(client.everything())
    }

    /// The `data` of the answer to a command.
    fn ask(&self, operation: &str, data: &Json) -> Result<Json> {
        let command = json!({ "msgType": operation, "data": data });
        self.application.command(&format!("dn/{DEVICE}"), &command)?;
        Ok(self.application.of_type(operation)?["data"].clone())
    }
}

/// libcoap's server, registered with the gateway by libcoap's client from the same port.
struct Device {
    port: String,
    server: Process,
}

impl Device {
    fn start(stage: &Stage) -> Result<Self> {
        let port = free_port()?.to_string();
        let own =
            ["-a", "127.0.0.1", "-p", &port, "-m", "post", "-t", "40", "-e", "%3C/3/0%3E,%3C/3303/0%3E"];
        let said = stage.client(&own, &rd(DEVICE))?;
        ensure!(said.contains("c:2.01"), "{said}");
        stage.application.of_type("register")?;
        let program = program("coap-server").context("coap-server")?;
        // Up to so many resources may be made by putting something there.
        let mut server = Command::new(program);
        let server = Process::start(server.args(["-v", "7", "-d", "20", "-A", "127.0.0.1", "-p", &port]))?;
        server.said(&["created UDP"])?;
        Ok(Self { port, server })
    }

    /// As its own application would change a value.
    fn put(&self, stage: &Stage, path: &str, value: &str) -> Result<()> {
        let uri = format!("coap://127.0.0.1:{}/{path}", self.port);
        let said = stage.client_at(&["-m", "put", "-t", "0", "-e", value], &uri)?;
        ensure!(said.contains("c:2.0"), "{said}");
        Ok(())
    }
}

/// Where to register.
fn rd(endpoint: &str) -> String {
    format!("rd?ep={endpoint}&lwm2m=1.1&lt=300&b=U")
}

/// Where a Register was told to be, from what coap-client prints.
fn location(said: &str) -> Option<String> {
    let id = said.split_once("Location-Path:rd, Location-Path:")?.1.split([',', ' ']).next()?;
    Some(format!("rd/{id}"))
}

fn value(data: &Json) -> Json {
    data["content"][0]["value"].clone()
}

/// A program of libcoap; Debian has one for each TLS library in place of the plain name.
fn program(name: &str) -> Option<PathBuf> {
    let names = [format!("{name}-notls"), name.to_owned(), format!("{name}-openssl")];
    let places = ["/usr/bin", "/usr/local/bin"].map(Path::new);
    names.iter().flat_map(|name| places.map(|place| place.join(name))).find(|path| path.exists())
}

const DEVICE: &str = "libcoap";

/// In 2 kB or so.
const LINKS: usize = 150;
