//! The cases that only the specification's text tells (`emqx-lwm2m.md` section 7.2): a table of what comes in and what
//! goes out, in a notation that the section explains.

use anyhow::{Context, Result, bail};
use coap_lite::Packet;
use serde_json::{Value as Json, json};
use tidegate_tests::code_text;

use crate::case::{Answer, Case, Command, Datagram, Expect, Given, Message, Outcome, Publication};
use crate::case::{Step, Value, bytes};
use crate::rest::ENDPOINT;

/// The cases of the table that are not in the file. `suite` is the configuration that most of them have.
pub(crate) fn cases(text: &str, suite: &Json, is_known: impl Fn(&str) -> bool) -> Result<Vec<Case>> {
    let selected = text.split("### 7.2").nth(1).and_then(|rest| rest.split("### 7.3").next());
    let selected = selected.context("section 7.2")?;
    let registration = quoted_after(selected, "**REG** = ").context("REG")?;
    let mut cases = Vec::new();
    for line in selected.lines() {
        let cells: Vec<_> = line.split(" | ").collect();
        let [number, name, given, expected] = cells[..] else { continue };
        let is_row = number.trim_start_matches("| ").parse::<u32>().is_ok();
        let Some((name, class)) = name.split_once("<br>").filter(|_| is_row) else { continue };
        if is_known(name) {
            continue;
        }
        let row = Row { name, class: class.trim_matches('_'), registration };
        let case = row.case(given, expected.trim_end_matches(" |"), suite);
        cases.push(case.with_context(|| format!("the row of {name}"))?);
    }
    Ok(cases)
}

struct Row<'a> {
    name: &'a str,
    class: &'a str,
    registration: &'a str,
}

impl Row<'_> {
    fn case(&self, given: &str, expected: &str, suite: &Json) -> Result<Case> {
        let mut steps = Vec::new();
        for (_, part) in parts(given) {
            steps.push(self.step(part)?);
        }
        let mut outcomes = vec![Outcome::default(); steps.len()];
        for (number, part) in parts(expected).take_while(|(_, part)| !part.contains("5.8.4:")) {
            let outcome = outcomes.get_mut(number - 1).context("an outcome without its step")?;
            self.outcome(part, outcome)?;
        }
        if steps.first().is_some_and(|step| step.from_device.is_none()) {
            steps.insert(0, self.step("dev→ REG")?);
            let mut registered = Outcome::default();
            self.outcome("REG-OK", &mut registered)?;
            outcomes.insert(0, registered);
        }
        Ok(Case {
            name: self.name.to_owned(),
            kind: KIND.to_owned(),
            class: self.class.to_owned(),
            given: Given { config: Some(self.config(suite)), steps, ..Given::default() },
            expect: Expect { steps: outcomes, ..Expect::default() },
        })
    }

    /// The text does not repeat the configurations, but names the cases after them (section 1.2, section 4.7).
    fn config(&self, suite: &Json) -> Json {
        let mut config = suite.clone();
        match self.name {
            "reg-dashboard" => {
                config["mountpoint"] = json!("");
                config["auto_observe"] = json!(true);
                let topics = [("command", "dn/#"), ("response", "up/resp"), ("notify", "up/notify")];
                let topics = topics.into_iter().chain([("register", "up/register"), ("update", "up/update")]);
                topics.for_each(|(of, topic)| {
                    config["translators"][of] = json!({ "topic": topic, "qos": 0 });
                });
            }
            "ao-list" => config["auto_observe"] = json!(["/3/0", "/1/0"]),
            name if name.starts_with("ao-") => config["auto_observe"] = json!(true),
            _ => {}
        }
        config
    }

    fn step(&self, part: &str) -> Result<Step> {
        let mut step = Step::default();
        if part.starts_with("dev→") {
            let hex = if part.ends_with("REG") { self.registration } else { quoted(part, 0)? };
            if hex.contains("MMMM") || hex.contains("TT") {
                step.device_answers = Some(answer(hex)?);
            } else {
                step.from_device = Some(Datagram { hex: hex.to_owned() });
            }
        } else if part.starts_with("MQTT→") {
            step.mqtt_command = Some(self.command(serde_json::from_str(quoted(part, 0)?)?));
        } else if let Some(call) = part.strip_prefix("HTTP POST …/") {
            let mut data: Json = serde_json::from_str(quoted(part, 0)?)?;
            let is_off = data["enable"] == false;
            let operation = call.split(' ').next().filter(|_| !is_off).unwrap_or("cancel-observe");
            data.as_object_mut().context("an object")?.remove("enable");
            step.mqtt_command = Some(self.command(json!({ "msgType": operation, "data": data })));
        } else if part.starts_with("(qmode_time_window_s") {
            step.elapse = Some(part.trim_matches(['(', ')']).to_owned());
        } else if part != "(armed lifetime timer)" {
            bail!("nobody knows what {part} is");
        }
        Ok(step)
    }

    fn outcome(&self, part: &str, outcome: &mut Outcome) -> Result<()> {
        if part == "REG-OK" {
            outcome.to_device.push(crate::notation::message("ACK 2.01 location"));
            let payload = r#"{"msgType":"register","data":{"objectList":["/1","/2","/3/0","/4","/5"],"lwm2m":"1","lt":345,"ep":"urn:oma:lwm2m:oma:3","alternatePath":"/"}}"#;
            outcome.publish.push(publication("<M>/up/resp", payload)?);
        } else if part.starts_with("→dev") {
            outcome.to_device.push(message(quoted(part, 0)?)?);
        } else if part.starts_with("→MQTT") {
            outcome.publish.push(publication(quoted(part, 0)?, quoted(part, 1)?)?);
        } else if !["SUB ", "HTTP ", "(nothing)", "lifetime timer"].iter().any(|it| part.starts_with(it)) {
            bail!("nobody knows what {part} is");
        }
        Ok(())
    }

    fn command(&self, payload: Json) -> Command {
        // With the Dashboard's topics the level behind them names the device (README of the translator).
        let topic = match self.name {
            "reg-dashboard" => "dn/testlwm2mclient".to_owned(),
            _ => format!("lwm2m/{ENDPOINT}/dn/dm"),
        };
        Command { topic, qos: 0, payload: Some(payload), payload_raw: None, properties: Json::Null }
    }
}

/// `1. a<br>b<br>2. c` as (1, a), (1, b), (2, c).
fn parts(cell: &str) -> impl Iterator<Item = (usize, &str)> {
    cell.split("<br>").scan(0, |number, part| {
        let numbered = part.split_once(". ").and_then(|(text, rest)| Some((text.parse().ok()?, rest)));
        let (found, rest) = numbered.unwrap_or((*number, part));
        *number = found;
        Some((found, rest.trim()))
    })
}

/// What stands in the backquotes of this number.
fn quoted(text: &str, number: usize) -> Result<&str> {
    text.split('`').nth(2 * number + 1).with_context(|| format!("no quotation {number} in {text}"))
}

fn quoted_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split(before).nth(1)?.split('`').nth(1)
}

fn publication(topic: &str, payload: &str) -> Result<Publication> {
    Ok(Publication::Full {
        topic: topic.replace("<M>", &format!("lwm2m/{ENDPOINT}")),
        qos: 0,
        retain: false,
        payload: serde_json::from_str(payload)?,
        ignore: Vec::new(),
    })
}

/// `MMMM` and `TT…` are chosen by the gateway.
fn packet(hex: &str) -> Result<Packet> {
    let hex = hex.replace(['M', 'T'], "0");
    Packet::from_bytes(&bytes(&hex)?).map_err(|error| anyhow::anyhow!("{hex}: {error:?}"))
}

fn message(hex: &str) -> Result<Message> {
    let packet = packet(hex)?;
    Ok(Message {
        kind: kind(&packet).to_owned(),
        code: code_text(&packet),
        options: Some(options(&packet)),
        payload_hex: Some(written(&packet.payload)),
        mid: (!hex.contains("MMMM")).then(|| json!("echo")),
    })
}

fn answer(hex: &str) -> Result<Answer> {
    let packet = packet(hex)?;
    let mid = if hex.contains("MMMM") { json!("same") } else { json!(packet.header.message_id) };
    Ok(Answer {
        answers_request: json!("latest"),
        kind: kind(&packet).to_owned(),
        code: code_text(&packet),
        mid,
        token: "same".to_owned(),
        options: options(&packet),
        payload_hex: written(&packet.payload),
    })
}

fn options(packet: &Packet) -> Vec<Value> {
    let all = packet.options().flat_map(|(number, values)| values.iter().map(move |value| (*number, value)));
    all.map(|(number, value)| Value { number, hex: written(value) }).collect()
}

fn kind(packet: &Packet) -> &'static str {
    use coap_lite::MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};
    match packet.header.get_type() {
        Confirmable => "CON",
        NonConfirmable => "NON",
        Acknowledgement => "ACK",
        Reset => "RST",
    }
}

fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the table of results calls them.
const KIND: &str = "told in the text";
