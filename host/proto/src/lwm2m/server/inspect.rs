//! What an operator may see of a client: whether it can be reached, what it observes, and what waits for it.
//!
//! Nothing here changes anything, and none of it is on the way of a message.

use std::sync::Arc;

use super::Server;
use crate::lwm2m::operation::{Body, Operation, OperationName};
use crate::lwm2m::path::Path;
use crate::lwm2m::registration::Registration;
use crate::time::Instant;

/// How a client is.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As it stands, with the address where the client was heard last.
    pub registration: Arc<Registration>,
    /// Whether a request would go out now.
    pub awake: bool,
    /// When the client was heard last.
    pub heard: Instant,
    /// When the registration ends, unless the client is heard before.
    pub expires: Instant,
    /// How many observations it has agreed to.
    pub observations: usize,
    /// How many requests wait for it, or are on their way.
    pub queued: usize,
}

/// An observation of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Names it while the gateway runs.
    pub id: u64,
    /// Observe or observe-composite.
    pub operation: OperationName,
    /// What is observed.
    pub paths: Vec<Path>,
    /// Of the request that asked for it.
    pub context: Arc<str>,
    /// Whether the client has agreed.
    pub stands: bool,
}

/// A request that a client has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Which operation.
    pub operation: OperationName,
    /// Where; for composite operations there may be several.
    pub paths: Vec<Path>,
    /// As given with the request.
    pub context: Arc<str>,
    /// When it is not worth sending any more.
    pub deadline: Option<Instant>,
    /// Whether it is on its way.
    pub is_sent: bool,
}

impl Server {
    /// How a client is; none if it is not registered.
    pub fn facts(&self, now: Instant, endpoint: &str) -> Option<Facts> {
        let key = self.clients.of_endpoint(endpoint)?;
        let client = self.clients.get(key)?;
        let stands = |id: &_| self.observations.get(id).is_some_and(|of| of.stands);
        Some(Facts {
            registration: Arc::clone(&client.registration),
            awake: self.is_awake(now, key) && self.is_reachable(key),
            heard: client.queue.heard(),
            expires: self.expiry(key)?,
            observations: client.observations.iter().filter(|id| stands(id)).count(),
            queued: client.queue.len() + client.exchanges.len(),
        })
    }

    /// What is observed of a client, the oldest first; none if it is not registered.
    pub fn observed(&self, endpoint: &str) -> Option<Vec<Observed>> {
        let client = self.clients.get(self.clients.of_endpoint(endpoint)?)?;
        let known = client.observations.iter().filter_map(|id| Some((id, self.observations.get(id)?)));
        let observed = known.map(|(id, of)| Observed {
            id: id.0,
            operation: of.operation.name(),
            paths: paths(&of.operation),
            context: Arc::clone(&of.context),
            stands: of.stands,
        });
        Some(observed.collect())
    }

    /// What waits for a client, in the order in which it goes out, after what is on its way; none if the client is not
    /// registered.
    pub fn queued(&self, endpoint: &str) -> Option<Vec<Queued>> {
        let client = self.clients.get(self.clients.of_endpoint(endpoint)?)?;
        let open = client.exchanges.iter().filter_map(|id| self.exchanges.get(id)).map(|exchange| {
            let request = exchange.request().map(|(request, _)| request);
            Queued {
                operation: exchange.asked.operation,
                paths: request.map_or_else(|| vec![exchange.asked.path], |request| paths(&request.operation)),
                context: Arc::clone(&exchange.asked.context),
                deadline: request.and_then(|request| request.deadline),
                is_sent: true,
            }
        });
        let waiting = client.queue.iter().map(|request| Queued {
            operation: request.operation.name(),
            paths: paths(&request.operation),
            context: Arc::clone(&request.context),
            deadline: request.deadline,
            is_sent: false,
        });
        Some(open.chain(waiting).collect())
    }
}

/// What an operation is about.
fn paths(of: &Operation) -> Vec<Path> {
    match of {
        Operation::ReadComposite { paths, .. }
        | Operation::ObserveComposite { paths, .. }
        | Operation::CancelObservationComposite { paths, .. } => paths.clone(),
        Operation::WriteComposite { body: Body::Samples(samples) } => {
            samples.iter().map(|sample| sample.path).collect()
        }
        other => vec![other.path()],
    }
}
