//! Firmware-sized bodies, from MQTT to a device and back: four megabytes go through every room of the gateway.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coap_lite::{CoapOption, MessageClass, Packet};
use serde_json::json;
use tidegate_tests::{
    Application, Broker, Gateway, Mosquitto, MqttVersion, Peer, Setup, acknowledgement, code_text,
    option_uint, request,
};

#[test]
fn four_megabytes_are_written_to_a_device() -> Result<()> {
    let scene = Scene::set()?;
    let image: Vec<u8> = (0..SIZE).map(|place| (place % 251) as u8).collect();
    let data = json!({ "path": "/5/0/0", "type": "Opaque", "value": BASE64.encode(&image) });
    scene.application.command("dn/device", &json!({ "reqID": 1, "msgType": "write", "data": data }))?;
    let mut written = Vec::new();
    loop {
        let asked = scene.device.asked("a block of the image")?;
        ensure!(asked.header.code == MessageClass::from(3), "{asked:?}");
        let block = option_uint(&asked, CoapOption::Block1).context("a block option")?;
        let (number, more) = (block >> 4, block & 8 != 0);
        if usize::try_from(number)? * BLOCK < written.len() {
            // Sent again since the answer took too long: the machine is busy.
            continue;
        }
        written.extend_from_slice(&asked.payload);
        let mut answer = acknowledgement(&asked, if more { "2.31" } else { "2.04" });
        answer.add_option(CoapOption::Block1, uint(block));
        scene.device.send(&answer)?;
        if !more {
            break;
        }
    }
    // TLV: a resource with an id of 8 bits and a length of 24 (OMA core 1.2.1, 7.4.3).
    let head = [&[0xd8, 0][..], &u32::try_from(SIZE)?.to_be_bytes()[1..]].concat();
    ensure!(written.len() == head.len() + SIZE && written.starts_with(&head) && written.ends_with(&image));
    let answer = scene.application.of_type("write")?;
    ensure!(answer["data"]["code"] == "2.04" && answer["reqID"] == 1, "{answer}");
    Ok(())
}

#[test]
fn three_megabytes_are_read_from_a_device() -> Result<()> {
    let scene = Scene::set()?;
    let size = 3_000_000;
    let log: Vec<u8> = (0..size).map(|place| (place % 249) as u8).collect();
    let command = json!({ "reqID": 2, "msgType": "read", "data": { "path": "/20/0/4014" } });
    scene.application.command("dn/device", &command)?;
    for (number, part) in log.chunks(BLOCK).enumerate() {
        let asked = loop {
            let asked = scene.device.asked("a block of the answer")?;
            if option_uint(&asked, CoapOption::Block2).unwrap_or(0) >> 4 == number as u64 {
                break asked;
            }
        };
        let more = u64::from((number + 1) * BLOCK < size);
        let mut answer: Packet = acknowledgement(&asked, "2.05");
        answer.add_option(CoapOption::ContentFormat, vec![42]);
        answer.add_option(CoapOption::Block2, uint((number as u64) << 4 | more << 3 | 6));
        answer.payload = part.to_vec();
        scene.device.send(&answer)?;
    }
    let answer = scene.application.of_type("read")?;
    let value = answer["data"]["content"][0]["value"].as_str().context("a value")?;
    ensure!(BASE64.decode(value)? == log, "{} characters came", value.len());
    Ok(())
}

struct Scene {
    _broker: Mosquitto,
    _gateway: Gateway,
    application: Application,
    device: Peer,
}

impl Scene {
    fn set() -> Result<Self> {
        let broker = Mosquitto::start()?;
        let mut setup = Setup::new(Broker::On(broker.port()), "fixed");
        setup.settings["auto_observe"] = json!(false);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(broker.port(), MqttVersion::V5)?;
        let device = Peer::connect(gateway.coap())?;
        let mut register = request("0.02", 1, b"r", "rd", &["ep=device", "lwm2m=1.1", "lt=300"]);
        register.payload = b"</5/0>,</20/0>".to_vec();
        let answer = device.ask(&register)?;
        ensure!(code_text(&answer) == "2.01", "{answer:?}");
        application.of_type("register")?;
        Ok(Self { _broker: broker, _gateway: gateway, application, device })
    }
}

/// An option's value, as short as it can be.
fn uint(value: u64) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

const SIZE: usize = 4_000_000;
const BLOCK: usize = 1_024;
