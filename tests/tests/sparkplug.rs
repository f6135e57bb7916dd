//! The translator `sparkplug`, built from its source, in the real gateway: what a host application sees of its numbers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use coap_lite::MessageType;
use serde_json::json;
use tidegate_tests::{
    Application, Broker, Device, Gateway, Message, MqttVersion, PATIENCE, Setup, Value, tidegate,
};

#[test]
fn numbers_have_no_gap_from_birth_to_death_also_over_retransmissions() -> Result<()> {
    let (gateway, application) = start()?;
    let mut devices = [("cellar", 300), ("attic/east", 20)]
        .map(|(endpoint, times)| Ok((Device::new(gateway.coap(), endpoint)?, times)))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    for (device, _) in &mut devices {
        register(device)?;
    }
    for node in ["cellar", "attic%2Feast"] {
        let born = application.inbox().wait_until(PATIENCE, |all| of_kind(all, "DBIRTH", node).count() == 2);
        ensure!(born, "{node}: {:?}", kinds(&application.inbox().all(), node));
    }
    for number in 1..=300 {
        for (device, _) in devices.iter().filter(|(_, times)| number <= *times) {
            device.set("/3303/0/5700", Value::Float(f64::from(number)))?;
            let notification = device.notify("/3303/0", MessageType::Confirmable)?;
            device.acknowledged(&notification)?;
            if number % 10 == 0 {
                // As if the acknowledgement had been lost.
                device.send(&notification)?;
                device.acknowledged(&notification)?;
            }
        }
    }
    for (device, _) in &mut devices {
        ensure!(device.update(&["lt=600"])? == "2.04");
        ensure!(device.deregister()? == "2.02");
    }
    for (node, times) in [("cellar", 300), ("attic%2Feast", 20)] {
        let died = application.inbox().wait_until(PATIENCE, |all| of_kind(all, "NDEATH", node).count() == 1);
        ensure!(died, "{node} has not died: {:?}", kinds(&application.inbox().all(), node));
        let all = application.inbox().all();
        let kinds = kinds(&all, node);
        ensure!(kinds[0] == "NBIRTH" && kinds[kinds.len() - 2..] == ["NDATA", "NDEATH"], "{kinds:?}");
        ensure!(
            kinds[1..3] == ["DBIRTH", "DBIRTH"]
                && kinds[3..kinds.len() - 2].iter().all(|kind| kind == "DDATA"),
            "{kinds:?}"
        );
        let payloads: Vec<Payload> =
            of_node(&all, node).map(|message| Payload::read(&message.payload)).collect::<Result<_>>()?;
        let (death, numbered) = payloads.split_last().context("messages")?;
        for (at, payload) in numbered.iter().enumerate() {
            ensure!(payload.seq == Some(u64::try_from(at)? % 256), "{node}, message {at}: {payload:?}");
        }
        ensure!(
            death.seq.is_none() && death.metrics[0] == numbered[0].metrics[0],
            "{death:?} {:?}",
            numbered[0]
        );
        ensure!(numbered[0].metrics[0].name == "bdSeq", "{:?}", numbered[0]);
        let told: Vec<f64> =
            numbered[3..numbered.len() - 1].iter().map(|payload| payload.metrics[0].double).collect();
        let expected: Vec<f64> = (1..=times).map(f64::from).collect();
        ensure!(told == expected, "{node}: {told:?}");
    }
    Ok(())
}

#[test]
fn a_rebirth_begins_the_numbers_anew_and_a_command_is_written_and_told() -> Result<()> {
    let (gateway, application) = start()?;
    let mut device = Device::new(gateway.coap(), "cellar")?;
    register(&mut device)?;
    application.take("a birth", |message| message.topic == "spBv1.0/tidegate/DBIRTH/cellar/3311:0")?;
    let birth =
        application.take("a birth", |message| message.topic == "spBv1.0/tidegate/DBIRTH/cellar/3303:0")?;
    application.take("the edge node's birth", |message| message.topic == "spBv1.0/tidegate/NBIRTH/cellar")?;
    let birth = Payload::read(&birth.payload)?;
    ensure!(
        birth.metrics.iter().any(|metric| metric.name == "Sensor Value" && metric.double == 0.5),
        "{birth:?}"
    );

    // Payload { metrics: [{ name: "Node Control/Rebirth", datatype: Boolean, boolean_value: true }] }
    let rebirth = [&b"\x12\x1a\x0a\x14"[..], b"Node Control/Rebirth", b"\x20\x0b\x70\x01"].concat();
    application.publish("spBv1.0/tidegate/NCMD/cellar", 0, None, rebirth)?;
    let again = application.take("a rebirth", |message| message.topic == "spBv1.0/tidegate/NBIRTH/cellar")?;
    ensure!(Payload::read(&again.payload)?.seq == Some(0), "{again:?}");
    for device in ["3303:0", "3311:0"] {
        let topic = format!("spBv1.0/tidegate/DBIRTH/cellar/{device}");
        application.take("a device's rebirth", |message| message.topic == topic)?;
    }

    // Payload { metrics: [{ name: "Dimmer", datatype: Int64, long_value: 75 }] }
    let write = [&b"\x12\x0c\x0a\x06"[..], b"Dimmer", b"\x20\x04\x58\x4b"].concat();
    application.publish("spBv1.0/tidegate/DCMD/cellar/3311:0", 0, None, write)?;
    let told =
        application.take("the value", |message| message.topic == "spBv1.0/tidegate/DDATA/cellar/3311:0")?;
    let told = Payload::read(&told.payload)?;
    ensure!(told.metrics.len() == 1 && told.metrics[0].long == 75, "{told:?}");
    ensure!(
        matches!(device.get("/3311/0/5851"), Some(Value::Integer(75))),
        "{:?}",
        device.get("/3311/0/5851")
    );
    Ok(())
}

#[test]
fn its_cases_come_out_right_in_the_gateways_engine() -> Result<()> {
    let output = tidegate()?.args(["plugin", "test"]).arg(component()?).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("cases passed: 5"), "{output:?}");
    Ok(())
}

fn register(device: &mut Device) -> Result<()> {
    device.set("/3303/0/5700", Value::Float(0.5))?;
    device.set("/3311/0/5851", Value::Integer(40))?;
    let mut registration = device.registration();
    registration.payload = b"</1/0>,</3303/0>,</3311/0>".to_vec();
    device.register_with(&registration)
}

/// Kinds of the messages about an edge node, in their order.
fn kinds(all: &[Message], node: &str) -> Vec<String> {
    of_node(all, node).filter_map(|message| message.topic.split('/').nth(2).map(str::to_owned)).collect()
}

fn of_kind<'a>(all: &'a [Message], kind: &'a str, node: &'a str) -> impl Iterator<Item = &'a Message> {
    of_node(all, node).filter(move |message| message.topic.split('/').nth(2) == Some(kind))
}

fn of_node<'a>(all: &'a [Message], node: &'a str) -> impl Iterator<Item = &'a Message> {
    all.iter().filter(move |message| message.topic.split('/').nth(3) == Some(node))
}

/// What a host application reads of a payload, by the field numbers of sparkplug_b.proto; no code of the translator's.
#[derive(Debug, Default)]
struct Payload {
    seq: Option<u64>,
    metrics: Vec<Metric>,
}

#[derive(Debug, Default, PartialEq)]
struct Metric {
    name: String,
    long: u64,
    double: f64,
}

/// A field's value, by its wire type.
enum Field<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

impl Payload {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut payload = Self::default();
        for field in fields(bytes)? {
            match field {
                (3, Field::Varint(seq)) => payload.seq = Some(seq),
                (2, Field::Bytes(metric)) => payload.metrics.push(Metric::read(metric)?),
                _ => {}
            }
        }
        Ok(payload)
    }
}

impl Metric {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut metric = Self::default();
        for field in fields(bytes)? {
            match field {
                (1, Field::Bytes(name)) => metric.name = String::from_utf8(name.to_vec())?,
                (11, Field::Varint(long)) => metric.long = long,
                (13, Field::Fixed(bits)) => metric.double = f64::from_bits(bits),
                _ => {}
            }
        }
        Ok(metric)
    }
}

/// Numbers and values (Protocol Buffers, encoding).
fn fields(mut rest: &[u8]) -> Result<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Field::Varint(varint(&mut rest)?),
            1 => {
                let (bits, behind) = rest.split_first_chunk::<8>().context("eight bytes")?;
                rest = behind;
                Field::Fixed(u64::from_le_bytes(*bits))
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?)?;
                let (bytes, behind) = rest.split_at_checked(length).context("as many bytes as it says")?;
                rest = behind;
                Field::Bytes(bytes)
            }
            other => bail!("wire type {other}"),
        };
        fields.push((key >> 3, value));
    }
    Ok(fields)
}

fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, behind) = rest.split_first().context("a byte")?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    bail!("a number that does not end")
}

/// A gateway that has nothing but this translator.
fn start() -> Result<(Gateway, Application)> {
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.shards = 2;
    setup.translators = json!([{ "name": "sparkplug", "artifact": component()? }]);
    let gateway = Gateway::start(&setup)?;
    let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
    Ok((gateway, application))
}

/// The component with its manifest and cases, built once for all tests.
fn component() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let script = ". scripts/wasm-env.sh && cd plugins && exec cargo build --locked --release --quiet --lib \
                  -p tidegate-sparkplug --target wasm32-unknown-unknown --target-dir \"$0\"";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new("bash").args(["-c", script]).arg(&target).current_dir(&root).output()?;
    if !output.status.success() {
        bail!("the translator is not built: {}", String::from_utf8_lossy(&output.stderr));
    }
    let component = target.join("sparkplug.wasm");
    std::fs::copy(target.join("wasm32-unknown-unknown/release/tidegate_sparkplug.wasm"), &component)?;
    let of = root.join("plugins/sparkplug");
    let mut embed = tidegate()?;
    embed.args(["plugin", "embed"]).arg(&component);
    embed.arg("--manifest").arg(of.join("translator.toml")).arg("--cases").arg(of.join("cases"));
    let output = embed.output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(component)
}
