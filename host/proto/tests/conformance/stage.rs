//! One endpoint, and one peer that is a script of datagrams: the examples of the RFCs, byte by byte.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate_proto::coap::endpoint::{
    Config, Delivery, Endpoint, Event, ObservationId, Output, Receipt, Request, RequestId, Token,
};
use tidegate_proto::coap::message::Message;
use tidegate_proto::coap::{Entropy, Peer};
use tidegate_proto::time::Instant;

use crate::bytes::{assert_bytes, bytes};

pub(crate) struct Stage {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Instant,
    sent: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    requests: u64,
    timeout: Option<Instant>,
}

/// The message ids begin where an example has them; everything else counts up.
struct Numbers {
    first_mid: u16,
    next: u8,
}

impl Entropy for Numbers {
    fn fill(&mut self, buffer: &mut [u8]) {
        if let [high, low] = buffer {
            [*high, *low] = self.first_mid.to_be_bytes();
        } else {
            self.next = self.next.wrapping_add(1);
            buffer.fill(self.next);
        }
    }
}

pub(crate) fn peer() -> Peer {
    Peer::plain(([192, 0, 2, 1], 5683).into())
}

impl Stage {
    /// The endpoint's first message id is given.
    pub(crate) fn new(first_mid: u16) -> Self {
        Self::with(first_mid, Config::new(0x7a))
    }

    pub(crate) fn with(first_mid: u16, config: Config) -> Self {
        Self {
            endpoint: Endpoint::new(config, Box::new(Numbers { first_mid, next: 0 })),
            now: Instant::from_micros(1_000_000_000),
            sent: VecDeque::new(),
            events: VecDeque::new(),
            requests: 0,
            timeout: None,
        }
    }

    /// The peer sends this.
    pub(crate) fn receive(&mut self, datagram: &str) {
        self.receive_bytes(&bytes(datagram));
    }

    pub(crate) fn receive_bytes(&mut self, datagram: &[u8]) {
        self.endpoint.handle_datagram(self.now, peer(), datagram);
        self.pump();
    }

    /// The endpoint asks, with a token of the test's choice.
    pub(crate) fn ask(&mut self, message: Message, token: &[u8]) -> RequestId {
        self.request(message, None, token)
    }

    /// The endpoint asks to observe.
    pub(crate) fn observe(&mut self, message: Message, observation: u64, token: &[u8]) -> RequestId {
        self.request(message, Some(ObservationId(observation)), token)
    }

    fn request(&mut self, message: Message, observation: Option<ObservationId>, token: &[u8]) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        let token = Some(Token::from_slice(token).expect("8 bytes at most"));
        self.endpoint.request(self.now, peer(), Request { id, message, observation, token });
        self.pump();
        id
    }

    pub(crate) fn respond(&mut self, receipt: Receipt, response: Message) {
        self.endpoint.respond(self.now, receipt, response);
        self.pump();
    }

    pub(crate) fn acknowledge(&mut self, receipt: Receipt) {
        self.endpoint.acknowledge(self.now, receipt);
        self.pump();
    }

    /// The next datagram that the endpoint sent is this one.
    #[track_caller]
    pub(crate) fn assert_sent(&mut self, expected: &str) {
        let datagram = self.sent.pop_front().expect("a datagram");
        assert_bytes(&datagram, expected);
    }

    /// The next datagram that the endpoint sent.
    #[track_caller]
    pub(crate) fn sent(&mut self) -> Message {
        Message::parse(&self.sent.pop_front().expect("a datagram")).expect("the endpoint sends CoAP")
    }

    #[track_caller]
    pub(crate) fn assert_silent(&self) {
        assert!(self.sent.is_empty(), "unexpected: {:02x?}", self.sent);
    }

    #[track_caller]
    pub(crate) fn assert_uneventful(&self) {
        assert!(self.events.is_empty(), "unexpected: {:?}", self.events);
    }

    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        self.events.pop_front().expect("an event")
    }

    /// The next event is a request; its receipt and message.
    #[track_caller]
    pub(crate) fn asked(&mut self) -> (Receipt, Message) {
        let event = self.event();
        let Event::Request { receipt, message, .. } = event else { panic!("{event:?}") };
        (receipt, message)
    }

    /// The next event is the response to this request.
    #[track_caller]
    pub(crate) fn answered(&mut self, to: RequestId) -> (Delivery, Message) {
        let event = self.event();
        let Event::Response { id, delivery, message, .. } = event else { panic!("{event:?}") };
        assert_eq!(id, to);
        (delivery, message)
    }

    /// The next event is a notification of this observation; its receipt, if confirmable, is there.
    #[track_caller]
    pub(crate) fn notified(&mut self, of: u64) -> (Option<Receipt>, Message) {
        let event = self.event();
        let Event::Notification { id, receipt, message, .. } = event else { panic!("{event:?}") };
        assert_eq!(id, ObservationId(of));
        (receipt, message)
    }

    /// Lets time pass, stopping wherever the endpoint wants to be called.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.timeout.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    fn pump(&mut self) {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit(transmit) => self.sent.push_back(transmit.payload),
                Output::Event(event) => self.events.push_back(event),
                Output::Timeout(timeout) => {
                    self.timeout = timeout;
                    return;
                }
            }
        }
    }
}
