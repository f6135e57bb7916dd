//! Operations that an operator asks of a client, over the API, and waits for.
//!
//! 1. [`Operator::perform`] takes a ticket and hands a request to the client's shard; its context is a mark that no translator's
//!    can have, and the ticket;
//! 2. the bridge of the shard gives what becomes of it to the [`Desk`] and to no translator;
//! 3. whoever waits gets the outcome. What waits for a sleeping client is asked for later, by its ticket.
//!
//! Tickets end with the process: an answer that comes after a restart finds nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tidegate_proto::lwm2m::format::{self, Scope};
use tidegate_proto::lwm2m::model::{Defined, Models};
use tidegate_proto::lwm2m::operation::{Operation, OperationName};
use tidegate_proto::lwm2m::path::Path;
use tidegate_proto::lwm2m::registration::Registration;
use tidegate_proto::lwm2m::server::{Asked, Content, Event, Failure, Request, Stage};
use tidegate_proto::lwm2m::value::Sample;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Shared;
use crate::net::{Clock, Command, Directory, ShardHandle};

/// What operators have asked and what became of it; shared by all shards and the API.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk {
    tickets: Arc<Mutex<Tickets>>,
}

#[derive(Debug, Default)]
struct Tickets {
    by_id: FxHashMap<Arc<str>, Entry>,
    /// In the order in which they were taken.
    order: VecDeque<Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    begun: Instant,
    state: watch::Sender<TicketState>,
}

/// Something that was asked.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) id: Arc<str>,
    pub(crate) endpoint: Arc<str>,
    pub(crate) operation: OperationName,
    /// The root for composite operations.
    pub(crate) path: Path,
    /// Unix time in milliseconds.
    pub(crate) asked_at: i64,
    pub(crate) state: TicketState,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) enum TicketState {
    /// On its way, or about to be.
    Sent,
    /// Waits for a sleeping client.
    Queued,
    /// Done.
    Done(Arc<Outcome>),
}

/// What came of it.
pub(crate) type Outcome = Result<Answer, Undone>;

/// What a client has answered; an error is an answer, too.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) registration: Arc<Registration>,
    pub(crate) operation: OperationName,
    pub(crate) path: Path,
    /// CoAP code.
    pub(crate) code: u8,
    pub(crate) content: Content,
    /// What the content says; nothing of an error, and of a discovery.
    pub(crate) samples: Vec<Sample<'static>>,
    /// Why it could not be read.
    pub(crate) unreadable: Option<String>,
    /// Of a created instance.
    pub(crate) location: Option<String>,
    /// Since it was asked.
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        self.code >> 5 == 2
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It came to nothing.
    Failed(Failure),
    /// There was none in time; it is not sent any more if it has not been.
    Late,
    /// It waits for a sleeping client; the ticket tells what becomes of it.
    Held(Ticket),
    /// Too much is asked already.
    Busy,
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Ticket {}

impl Desk {
    /// The ticket in a context, if it is not one of a translator: those begin with the name of a slot, which is never empty.
    pub(crate) fn ticket(context: &str) -> Option<&str> {
        context.strip_prefix(MARK)
    }

    /// Something became of what was asked. Called on the thread of the client's shard.
    pub(super) fn take(&self, ticket: &str, event: &Event, models: &Models) {
        let state = match event {
            Event::Answered { .. } => None,
            Event::Failed { failure, .. } => {
                Some(TicketState::Done(Arc::new(Err(Undone::Failed(failure.clone())))))
            }
            Event::Progressed { stage: Stage::Queued, .. } => Some(TicketState::Queued),
            Event::Progressed { .. } => Some(TicketState::Sent),
            // Whoever looks sees notifications in the feed.
            _ => return,
        };
        let Some(begun) = self.lock().by_id.get(ticket).map(|entry| entry.begun) else { return };
        // Content is read without the lock.
        let state =
            state.or_else(|| Some(TicketState::Done(Arc::new(Ok(answer(event, models, begun.elapsed())?)))));
        if let (Some(state), Some(entry)) = (state, self.lock().by_id.get(ticket)) {
            entry.state.send_if_modified(|old| {
                let is_open = !matches!(old, TicketState::Done(_));
                if is_open {
                    *old = state;
                }
                is_open
            });
        }
    }

    /// How something stands that was asked; none if it is not known any more.
    pub(crate) fn find(&self, id: &str) -> Option<Ticket> {
        let tickets = self.lock();
        let entry = tickets.by_id.get(id)?;
        Some(Ticket { state: entry.state.borrow().clone(), ..entry.ticket.clone() })
    }

    /// A ticket, and how what it is for goes on. None if there is no room.
    fn open(
        &self,
        endpoint: &Arc<str>,
        operation: &Operation,
    ) -> Option<(Ticket, watch::Receiver<TicketState>)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let id: Arc<str> = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        let (state, states) = watch::channel(TicketState::Sent);
        let ticket = Ticket {
            id: Arc::clone(&id),
            endpoint: Arc::clone(endpoint),
            operation: operation.name(),
            path: operation.path(),
            asked_at: Clock::timestamp(),
            state: TicketState::Sent,
        };
        let mut tickets = self.lock();
        tickets.make_room();
        if tickets.by_id.len() >= TICKETS {
            return None;
        }
        tickets.order.push_back(Arc::clone(&id));
        tickets.by_id.insert(id, Entry { ticket: ticket.clone(), begun: Instant::now(), state });
        Some((ticket, states))
    }

    fn forget(&self, id: &str) {
        self.lock().by_id.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Tickets> {
        // Nothing is left half changed by a panic.
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tickets {
    /// Forgets what is old, and of what is done the oldest.
    fn make_room(&mut self) {
        while let Some(id) = self.order.front() {
            let is_over = self.by_id.get(id).is_none_or(|entry| {
                let is_done = matches!(*entry.state.borrow(), TicketState::Done(_));
                entry.begun.elapsed() > KEPT || (is_done && self.by_id.len() >= TICKETS)
            });
            if !is_over {
                return;
            }
            if let Some(id) = self.order.pop_front() {
                self.by_id.remove(&id);
            }
        }
    }
}

/// Who asks clients on behalf of an operator.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    desk: Desk,
    directory: Arc<Directory>,
    shards: Vec<ShardHandle>,
    clock: Clock,
}

impl Operator {
    /// `shards` are all shards, by number.
    pub(crate) fn new(shared: &Shared, shards: Vec<ShardHandle>) -> Self {
        let (desk, directory) = (shared.desk.clone(), Arc::clone(&shared.directory));
        Self { desk, directory, shards, clock: shared.clock }
    }

    /// How something stands that was asked.
    pub(crate) fn find(&self, id: &str) -> Option<Ticket> {
        self.desk.find(id)
    }

    /// Asks a client and waits for its answer. What a sleeping client is asked waits for it, and is held.
    pub(crate) async fn perform(&self, endpoint: &str, operation: Operation, within: Duration) -> Outcome {
        let unknown = || Err(Undone::Failed(Failure::UnknownClient));
        let Some(known) = self.directory.known(endpoint) else { return unknown() };
        let Some(shard) = self.shards.get(usize::from(known.shard)) else { return unknown() };
        let endpoint = Arc::clone(&known.registration.endpoint);
        let Some((ticket, states)) = self.desk.open(&endpoint, &operation) else { return Err(Undone::Busy) };
        let waits = known.registration.queue_mode;
        // What nobody waits for any more is not sent later, unless the client is one that it has to wait for.
        let deadline = self.clock.now() + if waits { HELD } else { within };
        let context = format!("{MARK}{}", ticket.id).into();
        let request = Request { endpoint, operation, context, deadline: Some(deadline), urgent: false };
        if shard.send(Command::Perform(request)).is_err() {
            self.desk.forget(&ticket.id);
            return Err(Undone::Busy);
        }
        self.attend(ticket, states, within, waits).await
    }

    /// Tells a client's shard something that has no answer.
    pub(crate) fn tell(&self, endpoint: &str, operation: Operation) -> Result<(), Undone> {
        let known = self.directory.known(endpoint).ok_or(Undone::Failed(Failure::UnknownClient))?;
        let endpoint = Arc::clone(&known.registration.endpoint);
        let request = Request { endpoint, operation, context: MARK.into(), deadline: None, urgent: true };
        let shard = self.shards.get(usize::from(known.shard));
        let sent = shard.is_some_and(|shard| shard.send(Command::Perform(request)).is_ok());
        if sent { Ok(()) } else { Err(Undone::Busy) }
    }

    async fn attend(
        &self,
        ticket: Ticket,
        mut states: watch::Receiver<TicketState>,
        within: Duration,
        waits: bool,
    ) -> Outcome {
        let settled = |state: &TicketState| !matches!(state, TicketState::Sent);
        // The ticket may be gone when there are very many.
        let state = match timeout(within, states.wait_for(settled)).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => return Err(Undone::Busy),
            Err(_) => TicketState::Sent,
        };
        match state {
            TicketState::Done(outcome) => {
                self.desk.forget(&ticket.id);
                (*outcome).clone()
            }
            TicketState::Sent if !waits => {
                self.desk.forget(&ticket.id);
                Err(Undone::Late)
            }
            state => Err(Undone::Held(Ticket { state, ..ticket })),
        }
    }
}

/// What an answer comes to, read with the definitions of the client.
fn answer(event: &Event, models: &Models, took: Duration) -> Option<Answer> {
    let Event::Answered { registration, asked, code, content, location, .. } = event else { return None };
    let Asked { operation, path, .. } = *asked;
    let mut answer = Answer {
        registration: Arc::clone(registration),
        operation,
        path,
        code: *code,
        content: content.clone(),
        samples: Vec::new(),
        unreadable: None,
        location: location.clone(),
        took,
    };
    if answer.is_success() && operation != OperationName::Discover && !content.payload.is_empty() {
        let definitions = Defined::new(models, registration);
        let scope = Scope { alternate_path: &registration.alternate_path, ..Scope::new(path, &definitions) };
        let mut samples = Vec::new();
        match format::decode_into(content.format, &scope, &content.payload, &mut samples) {
            Ok(()) => answer.samples = samples.into_iter().map(Sample::into_owned).collect(),
            Err(error) => answer.unreadable = Some(error.to_string()),
        }
    }
    Some(answer)
}

/// How a context begins that is of no translator.
const MARK: &str = "\0";
/// What may be asked at a time, and remembered.
const TICKETS: usize = 4_096;
/// How long something waits for a sleeping client.
const HELD: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is remembered: a little longer.
const KEPT: Duration = Duration::from_secs(25 * 60 * 60);

#[cfg(test)]
mod tests {
    use tidegate_proto::coap::Peer;
    use tidegate_proto::lwm2m::registration::Version;
    use tidegate_proto::lwm2m::value::Value;
    use tokio::sync::mpsc;

    use super::*;

    fn registration(queue_mode: bool) -> Arc<Registration> {
        Arc::new(Registration {
            endpoint: "a".into(),
            location: "/rd/x".into(),
            version: Version::V1_1,
            lifetime: 300,
            binding: "".into(),
            queue_mode,
            alternate_path: "/".into(),
            objects: [].into(),
            parameters: vec![],
            content_formats: None,
            links: [].into(),
            peer: Peer::plain(([127, 0, 0, 1], 5683).into()),
        })
    }

    fn operator(queue_mode: bool) -> (Operator, mpsc::Receiver<Command>) {
        let (shard, commands) = ShardHandle::new();
        let directory = Arc::new(Directory::new());
        directory.enter(&registration(queue_mode), 0);
        let operator =
            Operator { desk: Desk::default(), directory, shards: vec![shard], clock: Clock::start() };
        (operator, commands)
    }

    fn read() -> Operation {
        Operation::Read { path: Path::new([3, 0, 9]), queries: Vec::new(), accept: None }
    }

    async fn request(commands: &mut mpsc::Receiver<Command>) -> Request {
        match commands.recv().await {
            Some(Command::Perform(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn asked(of: &Request) -> Asked {
        Asked { operation: of.operation.name(), path: of.operation.path(), context: Arc::clone(&of.context) }
    }

    fn take(operator: &Operator, event: &Event) {
        let (Event::Answered { asked, .. } | Event::Failed { asked, .. } | Event::Progressed { asked, .. }) =
            event
        else {
            panic!("{event:?}")
        };
        let ticket = Desk::ticket(&asked.context).expect("it is not a translator's");
        operator.desk.take(ticket, event, &Models::built_in());
    }

    fn answered(of: &Request) -> Event {
        Event::Answered {
            registration: registration(false),
            asked: asked(of),
            code: 0x45,
            delivery: tidegate_proto::coap::endpoint::Delivery::Piggybacked,
            sequence: None,
            content: Content { format: Some(0), payload: b"57".to_vec() },
            location: None,
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_answer_comes_back_to_whoever_asked() {
        let (operator, mut commands) = operator(false);
        let both = tokio::join!(operator.perform("a", read(), MINUTE), async {
            let request = request(&mut commands).await;
            take(&operator, &answered(&request));
        });
        let answer = both.0.unwrap();
        assert_eq!(answer.samples[0].value, Value::Integer(57));
        assert!(answer.is_success() && operator.desk.lock().by_id.is_empty(), "nothing is left of it");
    }

    #[tokio::test]
    async fn without_an_answer_in_time_it_is_late_and_not_sent_any_more() {
        let (operator, mut commands) = operator(false);
        let outcome = operator.perform("a", read(), Duration::from_millis(10)).await;
        assert_eq!(outcome.unwrap_err(), Undone::Late);
        let request = request(&mut commands).await;
        assert!(request.deadline.unwrap() <= operator.clock.now());
        take(&operator, &answered(&request));
        assert!(operator.desk.lock().by_id.is_empty());
    }

    #[tokio::test]
    async fn what_waits_for_a_sleeper_is_found_by_its_ticket() {
        let (operator, mut commands) = operator(true);
        let progressed = |of: &Request, stage| Event::Progressed {
            registration: registration(true),
            asked: asked(of),
            stage,
        };
        let (outcome, request) = tokio::join!(operator.perform("a", read(), MINUTE), async {
            let request = request(&mut commands).await;
            take(&operator, &progressed(&request, Stage::Queued));
            request
        });
        let Err(Undone::Held(ticket)) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(ticket.state, TicketState::Queued));
        take(&operator, &progressed(&request, Stage::Transmitted));
        assert!(matches!(operator.find(&ticket.id).unwrap().state, TicketState::Sent));
        take(&operator, &answered(&request));
        let state = operator.find(&ticket.id).unwrap().state;
        assert!(matches!(state, TicketState::Done(outcome) if outcome.is_ok()));
        assert!(operator.find("0").is_none());
    }

    #[tokio::test]
    async fn who_is_not_there_and_what_fails_is_told() {
        let (operator, mut commands) = operator(false);
        let unknown = operator.perform("b", read(), MINUTE).await;
        assert_eq!(unknown.unwrap_err(), Undone::Failed(Failure::UnknownClient));
        let (outcome, ()) = tokio::join!(operator.perform("a", read(), MINUTE), async {
            let request = request(&mut commands).await;
            let failure = Failure::Timeout;
            let endpoint = Arc::clone(&request.endpoint);
            take(&operator, &Event::Failed { endpoint, registration: None, asked: asked(&request), failure });
        });
        assert_eq!(outcome.unwrap_err(), Undone::Failed(Failure::Timeout));
    }

    #[test]
    fn tickets_are_bounded_and_those_that_are_done_go_first() {
        let desk = Desk::default();
        let endpoint: Arc<str> = "a".into();
        let mut receivers = Vec::new();
        for _ in 0..TICKETS {
            receivers.push(desk.open(&endpoint, &read()).unwrap());
        }
        assert!(desk.open(&endpoint, &read()).is_none());
        let (first, _) = &receivers[0];
        let asked = Asked {
            operation: OperationName::Read,
            path: Path::root(),
            context: format!("{MARK}{}", first.id).into(),
        };
        let failed =
            Event::Failed { endpoint: endpoint.clone(), registration: None, asked, failure: Failure::Reset };
        desk.take(&first.id, &failed, &Models::built_in());
        assert!(desk.open(&endpoint, &read()).is_some() && desk.find(&first.id).is_none());
    }

    #[test]
    fn no_translators_context_is_taken_for_one() {
        assert_eq!(Desk::ticket(&super::super::bind_context("emqx", "\0x")), None);
        assert_eq!(Desk::ticket("\0ab"), Some("ab"));
    }
}
