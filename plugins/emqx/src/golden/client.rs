//! A device of a case and the part of the gateway that it needs: its registration, and one request after the other.

use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use tidegate_sdk::{
    Action, Answered, Content, Delivery, End, Ended, Event, Failed, Failure, Message, Notified, Operation,
    OperationName, Path, Progressed, Properties, Qos, Registered, Registration, Request, Stage, Translator,
    Updated,
};

use super::case::{Answer, Case, Datagram, Outcome, Publication, Step, bytes};
use super::wire::Wire;
use crate::Emqx;

/// Why a case is not followed.
pub(super) enum Unfollowed {
    /// It has steps that are none of the translator's.
    NotNative,
    Wrong(String),
}

pub(super) struct Client<'a> {
    case: &'a Case,
    translator: Emqx,
    registration: Option<Registration>,
    waiting: VecDeque<Request>,
    is_outstanding: bool,
    /// What was sent, and whether it was answered.
    sent: Vec<(Request, bool)>,
    /// Of what the device sent.
    mids: Vec<Option<u16>>,
    /// Since the last step.
    messages: Vec<Wire>,
    publications: Vec<Message>,
}

impl<'a> Client<'a> {
    pub(super) fn new(case: &'a Case) -> Self {
        let config = case.given.config.clone().unwrap_or_else(|| json!({}));
        let mut settings = json!({ "compatibility": "strict" });
        for key in ["mountpoint", "translators", "auto_observe", "update_msg_publish_condition"] {
            if let Some(value) = config.get(key) {
                settings[key] = value.clone();
            }
        }
        let (translator, _) = Emqx::configure(&settings.to_string()).unwrap();
        Self {
            case,
            translator,
            registration: None,
            waiting: VecDeque::new(),
            is_outstanding: false,
            sent: vec![],
            mids: vec![],
            messages: vec![],
            publications: vec![],
        }
    }

    pub(super) fn run(mut self) -> Result<(), Unfollowed> {
        for (at, (step, expected)) in self.case.given.steps.iter().zip(&self.case.expect.steps).enumerate() {
            self.perform(step, expected)?;
            self.check(expected).map_err(|why| Unfollowed::Wrong(format!("step {}: {why}", at + 1)))?;
        }
        Ok(())
    }

    fn perform(&mut self, step: &Step, expected: &Outcome) -> Result<(), Unfollowed> {
        if let Some(datagram) = &step.from_device {
            // Whether a registration is accepted is the gateway's affair.
            let accepted = expected.to_device.iter().any(|message| message.code.starts_with("2.0"));
            // What has a message ID again is the gateway's, too: it repeats its answer.
            let is_new = !self.mids.contains(&datagram.mid);
            self.mids.push(datagram.mid);
            if accepted && is_new {
                self.hear(datagram)?;
            }
        } else if let Some(answer) = &step.device_answers {
            self.answer(answer)?;
        } else if let Some(command) = &step.mqtt_command {
            let message = Message {
                topic: command.topic.clone(),
                payload: command.bytes(),
                qos: Qos::AtMostOnce,
                retain: false,
                properties: Properties::default(),
            };
            let actions = self.translator.downlink(message);
            self.act(actions.map_err(|fault| Unfollowed::Wrong(format!("{fault:?}")))?);
        } else {
            return Err(Unfollowed::NotNative);
        }
        Ok(())
    }

    /// Register, Update or Deregister.
    fn hear(&mut self, datagram: &Datagram) -> Result<(), Unfollowed> {
        let values =
            |number| datagram.options.iter().filter(move |it| it.number == number).map(|it| bytes(&it.hex));
        let path: Vec<Vec<u8>> = values(11).collect();
        let queries = values(15).map(|query| String::from_utf8(query).unwrap());
        let is_rd = path.first().is_some_and(|segment| segment == b"rd");
        let event = match (datagram.code.as_deref(), path.len()) {
            (Some("0.02"), 1) if is_rd => {
                let previous = self.registration.take();
                let registration = updated(None, queries.collect(), bytes(&datagram.payload_hex));
                self.registration = Some(registration.clone());
                let client = self.client();
                Event::Registered(Registered { client, registration, previous, received: 0 })
            }
            (Some("0.02"), 2) if is_rd => {
                let links = bytes(&datagram.payload_hex);
                let links_changed = !links.is_empty();
                let registration = updated(self.registration.take(), queries.collect(), links);
                self.registration = Some(registration.clone());
                let client = self.client();
                Event::Updated(Updated { client, registration, links_changed, received: 0 })
            }
            (Some("0.04"), 2) if is_rd => {
                let client = self.client();
                let registration = self.registration.take().unwrap();
                Event::Ended(Ended { client, registration, reason: End::Deregistered, received: 0 })
            }
            _ => return Err(Unfollowed::NotNative),
        };
        self.tell(event)
    }

    fn answer(&mut self, answer: &Answer) -> Result<(), Unfollowed> {
        let client = self.client();
        let at = answer.answers_request.as_u64().map_or(self.sent.len(), |number| number as usize) - 1;
        let (request, is_answered) = &mut self.sent[at];
        let is_empty = answer.code == "0.00";
        let is_first = !std::mem::replace(is_answered, *is_answered || !is_empty);
        let (operation, path) = outline(&request.operation);
        let context = request.context.clone();
        let is_observe = matches!(request.operation, Operation::Observe(_));
        let received = 0;
        let delivery = match answer.kind.as_str() {
            "ACK" => Delivery::Piggybacked,
            "CON" => Delivery::Confirmable,
            _ => Delivery::NonConfirmable,
        };
        let event = if answer.kind == "RST" {
            Event::Failed(Failed { client, operation, path, context, failure: Failure::Reset, received })
        } else if is_empty {
            Event::Progressed(Progressed {
                client,
                operation,
                path,
                context,
                stage: Stage::Acknowledged,
                received,
            })
        } else if is_first {
            let (code, content, sequence) = body(answer);
            Event::Answered(Answered {
                client,
                operation,
                path,
                context,
                code,
                delivery,
                sequence,
                content,
                location: String::new(),
                received,
                attributes: vec![],
            })
        } else if is_observe {
            let (code, content, sequence) = body(answer);
            Event::Notified(Notified {
                client,
                path,
                context,
                code,
                delivery,
                sequence,
                content,
                received,
                attributes: vec![],
            })
        } else {
            // Nobody waits for it.
            return Ok(());
        };
        // A notification lets nothing go on.
        self.is_outstanding &= matches!(event, Event::Notified(_));
        let told = self.tell(event);
        self.send_next();
        told
    }

    fn tell(&mut self, event: Event) -> Result<(), Unfollowed> {
        let actions = self.translator.uplink(event);
        self.act(actions.map_err(|fault| Unfollowed::Wrong(format!("{fault:?}")))?);
        Ok(())
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Publish(message) => self.publications.push(message),
                Action::Perform(request) if request.urgent => self.send(request),
                Action::Perform(request) => self.waiting.push_back(request),
            }
        }
        self.send_next();
    }

    fn send_next(&mut self) {
        if !self.is_outstanding
            && let Some(request) = self.waiting.pop_front()
        {
            self.is_outstanding = true;
            self.send(request);
        }
    }

    fn send(&mut self, request: Request) {
        let prefix = self.registration.as_ref().map_or("/", |registration| &registration.alternate_path);
        self.messages.push(Wire::of(&request.operation, prefix));
        self.sent.push((request, false));
    }

    fn check(&mut self, expected: &Outcome) -> Result<(), String> {
        let requests = expected.to_device.iter().filter(|of| of.code.starts_with("0.") && of.code != "0.00");
        let requests: Vec<Wire> = requests.map(Wire::expected).collect();
        let messages = std::mem::take(&mut self.messages);
        if requests != messages {
            return Err(format!("to the device: expected {requests:02x?}, found {messages:02x?}"));
        }
        let publications = std::mem::take(&mut self.publications);
        let same = publications.len() == expected.publish.len()
            && expected.publish.iter().zip(&publications).all(|(expected, found)| same(expected, found));
        if same {
            return Ok(());
        }
        let expected: Vec<_> =
            expected.publish.iter().map(|of| format!("{} {}", of.topic, of.payload)).collect();
        let found: Vec<_> = publications
            .iter()
            .map(|of| format!("{} {}", of.topic, String::from_utf8_lossy(&of.payload)))
            .collect();
        Err(format!("published: expected {expected:#?}, found {found:#?}"))
    }

    fn client(&self) -> tidegate_sdk::Client {
        let parameters = self.registration.iter().flat_map(|registration| &registration.parameters);
        let endpoint = parameters.filter(|(name, _)| name == "ep").find_map(|(_, value)| value.clone());
        tidegate_sdk::Client { endpoint: endpoint.unwrap_or_default(), attributes: vec![] }
    }
}

/// The registration after a Register, or an Update of one.
fn updated(before: Option<Registration>, queries: Vec<String>, links: Vec<u8>) -> Registration {
    let mut registration = before.unwrap_or_else(|| Registration {
        location: "/rd/1".into(),
        version: String::new(),
        lifetime: 0,
        binding: String::new(),
        queue_mode: false,
        alternate_path: "/".into(),
        objects: vec![],
        parameters: vec![],
        links: vec![],
        peer: "192.0.2.1:56830".into(),
        attributes: vec![],
    });
    for query in queries {
        let (name, value) = match query.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (query, None),
        };
        if let ("lt", Some(Ok(lifetime))) = (name.as_str(), value.as_ref().map(|value| value.parse())) {
            registration.lifetime = lifetime;
        }
        registration.parameters.retain(|(other, _)| *other != name);
        registration.parameters.push((name, value));
    }
    if !links.is_empty() {
        let text = String::from_utf8_lossy(&links).into_owned();
        let root = text.split(',').find(|link| link.contains("rt=\"oma.lwm2m\""));
        let path = root.and_then(|link| link.trim().strip_prefix('<')?.split('>').next());
        registration.alternate_path = path.unwrap_or(&registration.alternate_path).to_owned();
        registration.links = links;
    }
    registration
}

fn body(answer: &Answer) -> (u8, Content, Option<u32>) {
    let (class, detail) = answer.code.split_once('.').unwrap();
    let code = class.parse::<u8>().unwrap() << 5 | detail.parse::<u8>().unwrap();
    let number = |wanted: u16| {
        let option = answer.options.iter().find(|option| option.number == wanted)?;
        Some(bytes(&option.hex).iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    };
    let content = Content {
        format: number(12).map(|format| u16::try_from(format).unwrap()),
        payload: bytes(&answer.payload_hex),
        // What strict tells of EMQX's objects, it tells without.
        samples: vec![],
        problem: None,
        attributes: vec![],
    };
    (code, content, number(6))
}

fn outline(operation: &Operation) -> (OperationName, Path) {
    match operation {
        Operation::Read(of) => (OperationName::Read, of.path),
        Operation::Discover(of) => (OperationName::Discover, of.path),
        Operation::Write(of) => (OperationName::Write, of.path),
        Operation::WriteAttributes(of) => (OperationName::WriteAttributes, of.path),
        Operation::Execute(of) => (OperationName::Execute, of.path),
        Operation::Create(of) => (OperationName::Create, of.path),
        Operation::Delete(of) => (OperationName::Delete, of.path),
        Operation::Observe(of) => (OperationName::Observe, of.path),
        Operation::CancelObservation(of) => (OperationName::CancelObservation, of.path),
        other => panic!("EMQX has no {other:?}"),
    }
}

fn same(expected: &Publication, found: &Message) -> bool {
    let qos = match found.qos {
        Qos::AtMostOnce => 0,
        Qos::AtLeastOnce => 1,
        Qos::ExactlyOnce => 2,
    };
    let Ok(mut payload) = serde_json::from_slice::<Json>(&found.payload) else { return false };
    let mut wanted = expected.payload.clone();
    for name in &expected.ignore {
        for of in [&mut payload, &mut wanted] {
            of.as_object_mut().and_then(|of| of.remove(name));
        }
    }
    expected.topic == found.topic
        && expected.qos == qos
        && expected.retain == found.retain
        && same_json(&wanted, &payload)
}

/// Equal as JSON; numbers by value, so that 42 is 42.0.
fn same_json(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_json(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same_json(value, other)))
        }
        _ => one == other,
    }
}
