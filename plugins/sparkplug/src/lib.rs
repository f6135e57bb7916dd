//! Sparkplug B: each client is an edge node, each of its object instances a device.
//!
//! When a client registers, [`session`] publishes its NBIRTH and each instance is observed; the answer is the device's DBIRTH,
//! notifications are DDATA. [`node`] is what the gateway keeps of a client from one event to the next: the number of its
//! next message, and the metrics that births tell. [`metric`] turns values into [`payload`]'s metrics and back, [`name`] names
//! things, [`command`] reads NCMD and DCMD, [`settings`] is the configuration.

mod command;
mod metric;
mod name;
mod node;
mod payload;
mod session;
mod settings;

use tidegate_sdk::{
    Action, Answered, Client, Diagnostic, Ended, Event, Failed, Failure, Fault, Level, Message, Observe,
    Operation, OperationName, Outcome, Path, Progressed, Qos, Read, Registered, Registration, Stage,
    StatefulTranslator, Subscription, Subscriptions, Updated, log, perform,
};

use node::Node;
use session::{NAMESPACE, Session};
use settings::Settings;

/// The translator, configured.
#[derive(Debug)]
pub struct Sparkplug {
    settings: Settings,
}

impl StatefulTranslator for Sparkplug {
    fn configure(settings: &str) -> Result<(Self, Subscriptions), Vec<Diagnostic>> {
        let settings = Settings::parse(settings)?;
        let group = &settings.group;
        let filter = |filter: String| Subscription { filter, qos: Qos::AtLeastOnce };
        let filters = vec![
            filter(format!("{NAMESPACE}/{group}/NCMD/+")),
            filter(format!("{NAMESPACE}/{group}/DCMD/+/+")),
        ];
        Ok((Self { settings }, Subscriptions { filters, ..Subscriptions::default() }))
    }

    fn uplink(&self, event: Event, state: &[u8]) -> Result<Outcome, Fault> {
        let node = Node::read(state);
        Ok(match event {
            Event::Registered(event) => self.registered(&event, node),
            Event::Updated(event) => self.updated(&event, node),
            Event::Ended(event) => self.ended(&event, node),
            Event::Answered(event) => self.answered(&event, node),
            Event::Notified(event) if is_success(event.code) => {
                let mut session = self.living(&event.client, event.received, node);
                session.values(&event.content);
                session.outcome()
            }
            Event::Sent(event) => {
                let mut session = match node {
                    Some(node) => self.session(&event.client, event.received, node),
                    None => self.born(&event.client, event.received, &event.registration),
                };
                session.values(&event.content);
                session.outcome()
            }
            Event::Progressed(event) => self.progressed(&event, node),
            Event::Failed(event) => self.failed(&event, node),
            Event::Notified(event) => {
                refused(&event.client, "notification of", &event.path, event.code);
                Outcome::default()
            }
        })
    }

    fn downlink(&self, message: Message) -> Result<Vec<Action>, Fault> {
        command::translate(&self.settings, &message)
    }
}

impl Sparkplug {
    fn registered(&self, event: &Registered, node: Option<Node>) -> Outcome {
        let before = match (node, &event.previous) {
            (Some(node), _) => Some(node),
            // The gateway has started anew since.
            (None, Some(previous)) => Some(Node { bd_seq: bd_seq(previous), ..Node::default() }),
            (None, None) => None,
        };
        let next =
            before.as_ref().map_or_else(|| bd_seq(&event.registration), |node| (node.bd_seq + 1) % 256);
        let mut session = self.session(&event.client, event.received, before.clone().unwrap_or_default());
        if before.is_some() {
            session.death();
        }
        session.node = self.node(&event.registration, event.received, next);
        session.birth();
        for instance in self.instances(&event.registration) {
            session.actions.push(observe(&event.client, instance));
        }
        session.outcome()
    }

    fn updated(&self, event: &Updated, node: Option<Node>) -> Outcome {
        let instances = self.instances(&event.registration);
        let Some(node) = node else {
            // Its observations are still there, but what it had told is not.
            let mut session = self.born(&event.client, event.received, &event.registration);
            session.actions.extend(instances.into_iter().map(|instance| read(&event.client, instance)));
            return session.outcome();
        };
        let mut session = self.session(&event.client, event.received, node);
        let properties = node::properties(&event.registration, session.timestamp());
        let is_other = |of: &&payload::Metric| {
            !session.node.properties.iter().any(|old| (&old.name, &old.value) == (&of.name, &of.value))
        };
        let changed: Vec<payload::Metric> = properties.iter().filter(is_other).cloned().collect();
        let is_new = |of: &payload::Metric| !session.node.properties.iter().any(|old| old.name == of.name);
        let needs_birth = changed.iter().any(is_new);
        session.node.properties = properties;
        if needs_birth {
            session.birth();
        } else {
            session.data(changed);
        }
        if event.links_changed {
            let devices: Vec<(u16, u16)> = session.node.devices.iter().map(node::Device::id).collect();
            let objects = &event.registration.objects;
            let is_vague = |object| {
                objects
                    .iter()
                    .any(|link| link.path.object == Some(object) && link.path.object_instance.is_none())
            };
            for id in devices.iter().filter(|id| !instances.contains(id) && !is_vague(id.0)) {
                session.device_death(*id);
            }
            for instance in instances.into_iter().filter(|id| !devices.contains(id)) {
                session.actions.push(observe(&event.client, instance));
            }
        }
        session.outcome()
    }

    /// The gateway forgets the state.
    fn ended(&self, event: &Ended, node: Option<Node>) -> Outcome {
        let node = node.unwrap_or_else(|| Node { bd_seq: bd_seq(&event.registration), ..Node::default() });
        let mut session = self.session(&event.client, event.received, node);
        session.death();
        Outcome { actions: session.actions, state: None }
    }

    fn answered(&self, event: &Answered, node: Option<Node>) -> Outcome {
        if event.context == command::REBORN {
            let mut session = self.reborn(&event.client, event.received, node);
            session.node.is_reborn = false;
            if is_success(event.code) {
                session.values(&event.content);
            }
            return session.outcome();
        }
        if !is_success(event.code) {
            // What cannot be observed may be read.
            if let (OperationName::Observe, Some(object), Some(instance)) =
                (event.operation, event.path.object, event.path.object_instance)
            {
                return vec![read(&event.client, (object, instance))].into();
            }
            refused(&event.client, "request to", &event.path, event.code);
            return Outcome::default();
        }
        let mut session = self.living(&event.client, event.received, node);
        match command::written(&event.context, session.timestamp()) {
            Some(metric) => {
                if let (Some(object), Some(instance)) = (event.path.object, event.path.object_instance) {
                    session.device((object, instance), vec![metric]);
                }
            }
            None => session.values(&event.content),
        }
        session.outcome()
    }

    /// A client that sleeps answers late: its births need not wait.
    fn progressed(&self, event: &Progressed, node: Option<Node>) -> Outcome {
        if event.context != command::REBORN || !matches!(event.stage, Stage::Queued) {
            return Outcome::default();
        }
        let mut session = self.reborn(&event.client, event.received, node);
        session.node.is_reborn = true;
        session.outcome()
    }

    fn failed(&self, event: &Failed, node: Option<Node>) -> Outcome {
        let (endpoint, operation, path) = (&event.client.endpoint, event.operation, event.path);
        log(Level::Warn, &format!("{operation:?} {path} of {endpoint} failed: {:?}", event.failure));
        // Of a client that is gone there is nothing to tell.
        let is_there =
            !matches!(event.failure, Failure::UnknownClient | Failure::Ended | Failure::Invalid(_));
        if event.context != command::REBORN || !is_there {
            return Outcome::default();
        }
        let mut session = self.reborn(&event.client, event.received, node);
        session.node.is_reborn = false;
        session.outcome()
    }

    /// All births again, unless they were made when the request was queued.
    fn reborn(&self, client: &Client, now: i64, node: Option<Node>) -> Session<'_> {
        let is_new = node.is_none();
        let mut session = self.living(client, now, node);
        if !is_new && !session.node.is_reborn {
            session.birth();
        }
        session
    }

    /// A session that goes on; or begins, because the gateway has started anew, with what is known: nothing.
    fn living(&self, client: &Client, now: i64, node: Option<Node>) -> Session<'_> {
        let is_new = node.is_none();
        let mut session = self.session(client, now, node.unwrap_or_default());
        if is_new {
            session.birth();
        }
        session
    }

    /// A session that begins.
    fn born(&self, client: &Client, now: i64, registration: &Registration) -> Session<'_> {
        let node = self.node(registration, now, bd_seq(registration));
        let mut session = self.session(client, now, node);
        session.birth();
        session
    }

    fn node(&self, registration: &Registration, now: i64, bd_seq: u32) -> Node {
        let properties = node::properties(registration, u64::try_from(now).ok());
        Node { bd_seq, properties, ..Node::default() }
    }

    fn session(&self, client: &Client, now: i64, node: Node) -> Session<'_> {
        Session::new(&self.settings, &client.endpoint, now, node)
    }

    /// Object and instance of all that are devices.
    fn instances(&self, registration: &Registration) -> Vec<(u16, u16)> {
        let instance = |path: &Path| Some((path.object?, path.object_instance?));
        let all = registration.objects.iter().filter_map(|link| instance(&link.path));
        let mut devices: Vec<_> = all.filter(|(object, _)| self.settings.has(*object)).collect();
        devices.sort_unstable();
        devices.dedup();
        devices.truncate(MOST_DEVICES);
        devices
    }
}

fn observe(client: &Client, (object, instance): (u16, u16)) -> Action {
    let path = Path::new(&[object, instance]);
    perform(&client.endpoint, Operation::Observe(Observe { path, queries: vec![], accept: None }), "")
}

fn read(client: &Client, (object, instance): (u16, u16)) -> Action {
    let path = Path::new(&[object, instance]);
    perform(&client.endpoint, Operation::Read(Read { path, queries: vec![], accept: None }), "")
}

/// There is nobody to tell it to but the operator.
fn refused(client: &Client, what: &str, path: &Path, code: u8) {
    let text = format!("{what} {path} of {}: {}.{:02}", client.endpoint, code >> 5, code & 0x1f);
    log(Level::Warn, &text);
}

fn is_success(code: u8) -> bool {
    code >> 5 == 2
}

/// The first bdSeq of a client: of its registration's location (FNV-1a), so that it is the same when the state is gone but the
/// registration is not, and another one for another registration.
fn bd_seq(registration: &Registration) -> u32 {
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = registration.location.bytes().fold(0x811C_9DC5, hash);
    (hash ^ hash >> 16) % 256
}

/// So that the actions of one call stay far below what the gateway allows: 1,000.
const MOST_DEVICES: usize = 64;

#[cfg(target_arch = "wasm32")]
tidegate_sdk::stateful_translator!(Sparkplug);
