//! Answers what an operator's tools ask.

use tidegate_proto::time::Instant;

use super::super::question::{CLIENTS, Question};
use super::{Driver, Uplink};

impl<U: Uplink> Driver<U> {
    /// Whoever asked may have gone meanwhile.
    pub(super) fn show(&self, now: Instant, question: Question) {
        match question {
            Question::Clients(endpoints, answer) => {
                let facts = endpoints.iter().take(CLIENTS).map(|endpoint| self.server.facts(now, endpoint));
                drop(answer.send(facts.collect()));
            }
            Question::Observed(endpoint, answer) => drop(answer.send(self.server.observed(&endpoint))),
            Question::Queued(endpoint, answer) => drop(answer.send(self.server.queued(&endpoint))),
        }
    }
}
