//! Acknowledgements, responses and notifications that come in.

use super::incoming::Arrival;
use super::outgoing::Draft;
use super::receipt::UnsettledKind;
use super::{Delivery, Endpoint, Event, Failure, ObservationId};
use crate::coap::Peer;
use crate::coap::block::{Download, Next, Progress, Upload};
use crate::coap::deduplication::Outcome;
use crate::coap::exchange::Purpose;
use crate::coap::message::Message;
use crate::coap::token::Token;
use crate::time::Instant;

impl Endpoint {
    /// An empty acknowledgement: the response comes separately.
    pub(super) fn handle_acknowledgement(&mut self, arrival: &Arrival) {
        let serial = self.exchanges.by_mid(arrival.key);
        let Some((serial, exchange)) =
            serial.and_then(|serial| Some((serial, self.exchanges.get_mut(serial)?)))
        else {
            self.counters.unmatched_acknowledgements += 1;
            return;
        };
        if !exchange.transmission.acknowledge(self.config.response_wait) {
            return;
        }
        let told = std::mem::replace(&mut exchange.acknowledgement_told, true);
        let was_pressing = std::mem::take(&mut exchange.is_pressing);
        let (due, purpose, number) = (exchange.transmission.due, exchange.purpose, exchange.key.peer);
        if was_pressing {
            self.peers.state(number).relieve(purpose.is_fetch());
        }
        self.set_timer(due, super::timer::Timer::Exchange(serial));
        match purpose {
            Purpose::Request { id, .. } if !told => self.emit(Event::Acknowledged { id }),
            Purpose::Request { .. } => {}
            // The rest may be long in coming; other requests need not wait for it.
            Purpose::Notification(_) => self.emit(Event::FetchEnded { peer: arrival.peer }),
        }
        self.fetch_next(number);
    }

    pub(super) fn handle_reset(&mut self, arrival: &Arrival) {
        match self.exchanges.by_mid(arrival.key) {
            Some(serial) => self.fail(serial, Failure::Reset),
            None => self.counters.unmatched_resets += 1,
        }
    }

    /// A response in an acknowledgement (RFC 7252 section 5.2.1). A wrong one is ignored: there is nothing to reject
    /// an acknowledgement with.
    pub(super) fn handle_piggybacked(&mut self, arrival: Arrival) {
        let Some(serial) = self.exchanges.by_mid(arrival.key) else {
            self.counters.unmatched_acknowledgements += 1;
            return;
        };
        let message = &arrival.message;
        let asked = self.exchanges.get(serial).map(|exchange| exchange.token);
        // Wakaama answers what it cannot take (4.02, 5.00) without the token.
        let anonymous = message.token().is_empty() && !message.code().is_success();
        if asked != Some(message.token()) && !anonymous {
            self.counters.wrong_tokens += 1;
        } else if message.unknown_critical().is_some() {
            self.counters.unknown_critical += 1;
        } else {
            self.handle_response(serial, arrival, Delivery::Piggybacked);
        }
    }

    /// A confirmable or non-confirmable response: the separate answer to a request, or a notification.
    pub(super) fn handle_separate(&mut self, arrival: Arrival) {
        if arrival.message.unknown_critical().is_some() {
            self.counters.unknown_critical += 1;
            return self.reject(&arrival);
        }
        if let Some(serial) = self.find_request(&arrival) {
            let delivery = if arrival.is_confirmable() {
                self.send_acknowledgement(arrival.peer, arrival.key);
                Delivery::Confirmable
            } else {
                self.deduplication.settle(arrival.key, Outcome::Silent);
                Delivery::NonConfirmable
            };
            self.handle_response(serial, arrival, delivery);
        } else if self.observes(arrival.peer, arrival.message.token()) {
            self.handle_notification(arrival);
        } else {
            // RFC 7641 section 3.6: a reset also ends an observation that only the peer knows of.
            self.counters.unmatched_responses += 1;
            self.reject(&arrival);
        }
    }

    /// The open request that a separate response answers.
    fn find_request(&mut self, arrival: &Arrival) -> Option<u64> {
        let (message, token) = (&arrival.message, arrival.message.token());
        if let Some(serial) = self.exchanges.by_token(token)
            && let Some(exchange) = self.exchanges.get(serial)
            && exchange.peer == arrival.peer
        {
            // A cancellation has its observation's token; what carries an Observe option is still a notification
            // (RFC 7641 section 3.6).
            let cancels = matches!(exchange.purpose, Purpose::Request { observation: None, .. });
            let observed = self.observations.by_token(token).is_some();
            return (!(cancels && observed && message.observe().is_some())).then_some(serial);
        }
        // Some devices answer separately without a token, but with the request's message id.
        self.exchanges.by_mid(arrival.key).filter(|_| token.is_empty())
    }

    /// A response to a request, maybe only of one block of it.
    fn handle_response(&mut self, serial: u64, arrival: Arrival, delivery: Delivery) {
        let Arrival { now, peer, message, .. } = arrival;
        let limit = self.peers.max_message(peer);
        let Some(exchange) = self.exchanges.get_mut(serial) else { return };
        if exchange.has_to_echo(&message, self.config.exponent(limit)) {
            let token = exchange.token;
            return self.send_again(now, serial, token, None);
        }
        if let Some(upload) = &mut exchange.upload {
            match upload.handle(&message) {
                Next::Send => {
                    let token = exchange.token;
                    self.tell_progress(serial);
                    return self.send_again(now, serial, token, None);
                }
                Next::Done => {
                    exchange.upload = None;
                    exchange.progress_told = 0;
                }
            }
        } else if let Some(upload) = Upload::after_refusal(exchange.request.payload().len(), &message) {
            exchange.upload = Some(upload);
            let token = exchange.token;
            return self.send_again(now, serial, token, None);
        }
        let bounds = self.config.bounds(limit);
        let before = exchange.download.as_ref().map_or(0, |download| download.progress().0);
        let (delivery, progress) = match &mut exchange.download {
            Some(download) => (download.delivery, download.handle(message)),
            None => match Download::begin(message, delivery, bounds) {
                Err(message) => (delivery, Progress::Complete(message)),
                Ok((download, progress)) => {
                    exchange.download = Some(Box::new(download));
                    (delivery, progress)
                }
            },
        };
        let after = exchange.download.as_ref().map_or(0, |download| download.progress().0);
        let fits = self.downloads.change(exchange.key.peer, before, after);
        match progress {
            Progress::Fetch(_) if !fits => {
                self.counters.downloads_refused += 1;
                self.fail(serial, Failure::TooLarge);
            }
            Progress::Fetch(block) => {
                self.tell_progress(serial);
                let token = self.new_token();
                self.send_again(now, serial, token, Some(block));
            }
            Progress::Complete(message) => self.finish(serial, now, peer, delivery, message),
            Progress::Broken => self.fail(serial, Failure::Incomplete),
            Progress::TooLarge => self.fail(serial, Failure::TooLarge),
        }
    }

    /// Tells how far a large body is, if it is much further than was told last.
    fn tell_progress(&mut self, serial: u64) {
        let Some(exchange) = self.exchanges.get_mut(serial) else { return };
        let Purpose::Request { id, .. } = exchange.purpose else { return };
        let (done, total) = match (&exchange.upload, &exchange.download) {
            (Some(upload), _) => upload.progress(),
            (None, Some(download)) => {
                let (done, total) = download.progress();
                (done, total.unwrap_or(done).max(done))
            }
            (None, None) => return,
        };
        if done.abs_diff(exchange.progress_told) >= PROGRESS {
            exchange.progress_told = done;
            self.emit(Event::Transferred { id, done, total });
        }
    }

    /// The whole response is there.
    fn finish(&mut self, serial: u64, now: Instant, peer: Peer, delivery: Delivery, message: Message) {
        let Some(exchange) = self.close(serial) else { return };
        match exchange.purpose {
            Purpose::Request { id, observation, previous, .. } => {
                if !message.code().is_success() {
                    self.withdraw_observation(exchange.purpose, exchange.first_token);
                } else if let Some(observation) = observation {
                    // Also without an Observe option: some clients leave it out and notify nevertheless.
                    previous.into_iter().for_each(|token| self.observations.remove_token(token));
                    if let Some(observation) = self.observations.by_id(observation) {
                        observation.accept(message.observe(), now);
                    }
                }
                self.emit(Event::Response { peer, id, delivery, message });
            }
            Purpose::Notification(id) if message.code().is_success() => {
                self.emit(Event::Notification { peer, id, delivery, receipt: None, message });
            }
            Purpose::Notification(_) => {
                self.counters.incomplete_notifications += 1;
                self.emit(Event::FetchEnded { peer: exchange.peer });
            }
        }
    }

    pub(super) fn fail(&mut self, serial: u64, failure: Failure) {
        let Some(exchange) = self.close(serial) else { return };
        self.withdraw_observation(exchange.purpose, exchange.first_token);
        match exchange.purpose {
            Purpose::Request { id, .. } => self.emit(Event::Failed { id, failure }),
            Purpose::Notification(_) => {
                self.counters.incomplete_notifications += 1;
                self.emit(Event::FetchEnded { peer: exchange.peer });
            }
        }
    }

    /// Takes back what an observe request that came to nothing has changed.
    pub(super) fn withdraw_observation(&mut self, purpose: Purpose, token: Token) {
        let Purpose::Request { observation: Some(id), previous, first, .. } = purpose else { return };
        match previous {
            Some(previous) => self.observations.revert(id, token, previous),
            None if first => self.observations.remove_token(token),
            None => {}
        }
    }

    fn handle_notification(&mut self, arrival: Arrival) {
        let (token, code) = (arrival.message.token(), arrival.message.code());
        let Some(observation) = self.observations.by_token(token) else { return };
        let id = observation.id;
        // RFC 7641 section 3.2: an error code ends the observation.
        let ends = !code.is_success();
        if !ends && !observation.accept(arrival.message.observe(), arrival.now) {
            self.counters.stale_notifications += 1;
            self.settle_unreported(&arrival);
            return;
        }
        if arrival.message.block2().is_some_and(|block| block.more) {
            return self.fetch_notification(id, arrival);
        }
        let (delivery, receipt) = if arrival.is_confirmable() {
            let ends = ends.then_some(id);
            (Delivery::Confirmable, Some(self.open_receipt(&arrival, UnsettledKind::Notification { ends })))
        } else {
            self.deduplication.settle(arrival.key, Outcome::Silent);
            if ends {
                self.forget_observation(id);
            }
            (Delivery::NonConfirmable, None)
        };
        let Arrival { peer, message, .. } = arrival;
        self.emit(Event::Notification { peer, id, delivery, receipt, message });
    }

    /// Asks for the rest of a notification (RFC 7959 section 2.6).
    ///
    /// Acknowledged at once although the notification may still be lost: a peer may well answer nothing else before
    /// its notification is acknowledged, and what would be sent again is the first block only.
    fn fetch_notification(&mut self, id: ObservationId, arrival: Arrival) {
        let delivery =
            if arrival.is_confirmable() { Delivery::Confirmable } else { Delivery::NonConfirmable };
        self.settle_unreported(&arrival);
        let Some(observation) = self.observations.by_id(id) else { return };
        let (request, earlier) = (observation.request(), observation.fetch.take());
        if let Some(serial) = earlier
            && self.close(serial).is_some()
        {
            // The resource has changed while its previous state was fetched.
            self.counters.incomplete_notifications += 1;
        }
        let Arrival { now, peer, message, .. } = arrival;
        let bounds = self.config.bounds(self.peers.max_message(peer));
        let download = Download::begin(message, delivery, bounds);
        let (Some(request), Ok((download, Progress::Fetch(block)))) = (request, download) else {
            self.counters.incomplete_notifications += 1;
            return;
        };
        let token = self.new_token();
        let draft = Draft {
            purpose: Purpose::Notification(id),
            peer,
            token,
            request,
            upload: None,
            download: Some(Box::new(download)),
            block: Some(block),
        };
        self.fetch(now, draft);
    }

    fn settle_unreported(&mut self, arrival: &Arrival) {
        if arrival.is_confirmable() {
            self.send_acknowledgement(arrival.peer, arrival.key);
        } else {
            self.deduplication.settle(arrival.key, Outcome::Silent);
        }
    }
}

/// Bytes between two tellings of progress.
const PROGRESS: usize = 64 << 10;
