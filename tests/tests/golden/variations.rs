//! Variations of the recorded commands, for cases of the same kinds that nobody has recorded: other names, topics,
//! tokens, reqIDs and members, and answers that come in other messages. What is expected is what was recorded, with the
//! variation applied by the rules of `emqx-lwm2m.md`.

use anyhow::{Context, Result};
use coap_lite::{CoapOption, MessageClass, Packet};
use serde_json::{Map, Value as Json, json};
use tidegate_tests::option_values;

use crate::case::{Answer, Case, Command, Outcome, Publication, Step, bytes};
use crate::notation;
use crate::random::Random;
use crate::rest::ENDPOINT;

/// What is different.
#[derive(Clone, Debug)]
pub(crate) struct Variation {
    endpoint: &'static str,
    topics: &'static Topics,
    token: Vec<u8>,
    /// In the place of the command's reqID.
    id: Id,
    /// Further members of the command.
    extra: bool,
    delivery: Delivery,
}

/// Where messages go.
#[derive(Debug)]
struct Topics {
    mountpoint: &'static str,
    /// Command, response, notify, register, update, with their QoS.
    translators: [(&'static str, u8); 5],
}

#[derive(Clone, Debug)]
enum Id {
    AsRecorded,
    Missing,
    Other(Json),
}

/// How an answer comes that was recorded in an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Piggybacked,
    /// After an empty acknowledgement, in a message of this type.
    Separate(&'static str),
    /// In a message of this type, and nothing before.
    Unacknowledged(&'static str),
}

impl Variation {
    /// The next one of a sequence.
    pub(crate) fn next(random: &mut Random) -> Self {
        let token = (0..random.below(9)).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect();
        let id = match random.below(8) {
            0 => Id::AsRecorded,
            1 => Id::Missing,
            2 => Id::Other(json!("a \"quoted\" identifier, ünd mehr")),
            3 => Id::Other(json!(9_007_199_254_740_993_u64)),
            4 => Id::Other(json!(-1.5)),
            5 => Id::Other(json!({ "b": [1, null, { "c": true }], "a": "" })),
            6 => Id::Other(json!([])),
            _ => Id::Other(Json::Null),
        };
        let delivery = match random.below(5) {
            0 => Delivery::Separate("CON"),
            1 => Delivery::Separate("NON"),
            2 => Delivery::Unacknowledged("CON"),
            3 => Delivery::Unacknowledged("NON"),
            _ => Delivery::Piggybacked,
        };
        Self {
            endpoint: *random.of(&ENDPOINTS),
            topics: *random.of(&TOPICS),
            token,
            id,
            extra: random.below(2) == 0,
            delivery,
        }
    }

    /// The case with all of it, as far as it can have it.
    pub(crate) fn apply(&self, case: &Case, number: usize) -> Result<Case> {
        let mut varied = case.clone();
        varied.name = format!("{} #{number} {self:?}", case.name);
        varied.given.config = Some(self.config(case)?);
        let originals: Vec<_> = commands(case).map(|command| command.payload.clone()).collect();
        for step in &mut varied.given.steps {
            self.vary_step(step)?;
        }
        for outcome in &mut varied.expect.steps {
            for told in &mut outcome.publish {
                self.vary_publication(told, &originals);
            }
        }
        if self.delivery != Delivery::Piggybacked {
            self.vary_delivery(&mut varied);
        }
        Ok(varied)
    }

    fn config(&self, case: &Case) -> Result<Json> {
        let mut config = case.given.config.clone().context("a configuration")?;
        config["mountpoint"] = json!(self.topics.mountpoint);
        for (of, (topic, qos)) in NAMES.iter().zip(&self.topics.translators) {
            config["translators"][of] = json!({ "topic": topic, "qos": qos });
        }
        Ok(config)
    }

    fn vary_step(&self, step: &mut Step) -> Result<()> {
        if let Some(datagram) = &mut step.from_device
            && let Ok(mut packet) = Packet::from_bytes(&bytes(&datagram.hex)?)
            && matches!(packet.header.code, MessageClass::Request(_))
        {
            packet.set_token(self.token.clone());
            for (option, before) in [(CoapOption::UriQuery, "ep="), (CoapOption::UriPath, "")] {
                let (from, to) = (format!("{before}{ENDPOINT}"), format!("{before}{}", self.endpoint));
                let values = option_values(&packet, option);
                packet.clear_option(option);
                for value in values {
                    let is_it = value == from.as_bytes();
                    packet.add_option(option, if is_it { to.clone().into_bytes() } else { value });
                }
            }
            let datagram_bytes = packet.to_bytes_unlimited().ok().context("a datagram")?;
            datagram.hex = datagram_bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        for command in step.mqtt_command.iter_mut().chain(step.mqtt_commands.iter_mut().flatten()) {
            let level = if self.topics.mountpoint.contains("${") { "dm/x" } else { self.endpoint };
            let front = self.topics.translators[0].0.trim_end_matches('#');
            command.topic = format!("{}{front}{level}", self.mounted());
            if let Some(Json::Object(members)) = &mut command.payload {
                self.vary_members(members);
            }
        }
        Ok(())
    }

    /// The members of a command that are echoed.
    fn vary_members(&self, members: &mut Map<String, Json>) {
        match &self.id {
            Id::AsRecorded => {}
            Id::Missing => drop(members.remove("reqID")),
            Id::Other(id) => drop(members.insert("reqID".to_owned(), id.clone())),
        }
        if self.extra {
            let Json::Object(extra) = extra() else { return };
            for (name, value) in extra {
                members.entry(name).or_insert(value);
            }
        }
    }

    fn vary_publication(&self, told: &mut Publication, commands: &[Option<Json>]) {
        let Publication::Full { topic, qos, payload, .. } = told else { return };
        let kind = payload["msgType"].as_str().unwrap_or_default();
        let of = match (kind, topic.strip_prefix(&format!("lwm2m/{ENDPOINT}"))) {
            ("register", _) => Some(3),
            ("update", _) => Some(4),
            (_, Some("/up/notify")) => Some(2),
            (_, Some("/up/resp")) => Some(1),
            // Notifications of object 5 have a topic of their own.
            _ => None,
        };
        let (rest, new_qos) = of.map_or(("/v1/up/dm", 0), |of| self.topics.translators[of]);
        *topic = format!("{}{rest}", self.mounted());
        *qos = new_qos;
        let registers = payload["data"]["ep"] == ENDPOINT;
        if registers {
            payload["data"]["ep"] = json!(self.endpoint);
        } else if commands.iter().all(Option::is_some)
            && payload["is_auto_observe"].is_null()
            && let Json::Object(members) = payload
        {
            self.vary_members(members);
        }
    }

    /// Where a case has one command with one answer, it comes in another message.
    fn vary_delivery(&self, case: &mut Case) {
        let mut answers = case.given.steps.iter().enumerate().filter(|(_, it)| it.device_answers.is_some());
        let (Some((at, _)), None) = (answers.next(), answers.next()) else { return };
        let (Some(command), 1) = (commands(case).next().cloned(), commands(case).count()) else { return };
        let Some(answer) = case.given.steps[at].device_answers.clone() else { return };
        let is_plain = answer.kind == "ACK" && answer.code != "0.00" && answer.token.starts_with("same");
        let (Some(Json::Object(mut members)), true) = (command.payload, is_plain) else { return };
        let kind = match self.delivery {
            Delivery::Piggybacked => return,
            Delivery::Separate(kind) | Delivery::Unacknowledged(kind) => kind,
        };
        // A first answer to an observe request that does not come in the acknowledgement is a notification (2.6).
        if members["msgType"] == "observe" {
            if !answer.code.starts_with("2.") {
                return;
            }
            let is_object_5 = members["data"]["path"].as_str().is_some_and(|path| path.starts_with("/5"));
            case.expect.steps[at].publish.iter_mut().for_each(|told| self.notify(told, is_object_5));
        }
        case.given.steps[at].device_answers =
            Some(Answer { kind: kind.to_owned(), mid: json!(4_711), ..answer.clone() });
        if kind == "CON" {
            case.expect.steps[at].to_device.push(notation::message("ACK 0.00"));
        }
        if let Delivery::Separate(_) = self.delivery {
            members.insert("msgType".to_owned(), json!("ack"));
            let told = Publication::Full {
                topic: format!("{}{}", self.mounted(), self.topics.translators[1].0),
                qos: self.topics.translators[1].1,
                retain: false,
                payload: Json::Object(members),
                ignore: Vec::new(),
            };
            let empty = Answer {
                code: "0.00".to_owned(),
                options: Vec::new(),
                payload_hex: String::new(),
                token: String::new(),
                ..answer
            };
            case.given.steps.insert(at, Step { device_answers: Some(empty), ..Step::default() });
            case.expect.steps.insert(at, Outcome { publish: vec![told], ..Outcome::default() });
        }
    }

    fn notify(&self, told: &mut Publication, is_object_5: bool) {
        let Publication::Full { topic, qos, payload, .. } = told else { return };
        let (rest, new_qos) = if is_object_5 { ("/v1/up/dm", 0) } else { self.topics.translators[2] };
        *topic = format!("{}{rest}", self.mounted());
        *qos = new_qos;
        payload["msgType"] = json!("notify");
    }

    fn mounted(&self) -> String {
        let named = |text: String, placeholder: &str| text.replace(placeholder, self.endpoint);
        let zoned = self.topics.mountpoint.replace("${zone}", "default");
        ["${endpoint_name}", "${clientid}", "${username}"].into_iter().fold(zoned, named)
    }
}

/// Whether a case can be varied: its commands are JSON objects that stand for themselves.
pub(crate) fn is_suitable(case: &Case) -> bool {
    case.kind == "command"
        && case.given.config.is_some()
        && commands(case).all(|command| {
            command.payload_raw.is_none() && command.payload.as_ref().is_some_and(Json::is_object)
        })
}

fn commands(case: &Case) -> impl Iterator<Item = &Command> {
    let steps = case.given.steps.iter();
    steps.flat_map(|step| step.mqtt_command.iter().chain(step.mqtt_commands.iter().flatten()))
}

fn extra() -> Json {
    json!({
        "cacheID": 18_446_744_073_709_551_615_u64,
        "imei": "860000000000001",
        "empty": null,
        "Ünïcode": { "nested": [1, 2.5, "x", false, {}] },
        "is_auto": true,
    })
}

const NAMES: [&str; 5] = ["command", "response", "notify", "register", "update"];

const ENDPOINTS: [&str; 5] = [
    "d",
    "urn:imei:867997030000001",
    "Gerät im Keller",
    "os:0023C7-000001_.~!$&'()*,;@",
    "an-endpoint-name-of-sixty-four-characters-as-certificates-allow-0",
];

const TOPICS: [&Topics; 4] = [
    &Topics {
        mountpoint: "",
        translators: [("dn/#", 0), ("up/resp", 0), ("up/notify", 0), ("up/register", 0), ("up/update", 0)],
    },
    &Topics {
        mountpoint: "lwm2m/${endpoint_name}/",
        translators: [("dn/#", 1), ("up/resp", 1), ("up/notify", 2), ("up/resp", 0), ("up/resp", 1)],
    },
    &Topics {
        mountpoint: "a/${zone}/${clientid}/b",
        translators: [("/c/#", 2), ("/answers", 2), ("/events/x", 0), ("/births", 1), ("/lives", 2)],
    },
    &Topics {
        mountpoint: "${username}",
        translators: [("/dn/#", 0), ("/up/resp", 0), ("/up/notify", 1), ("/up/resp", 0), ("/up/resp", 0)],
    },
];
