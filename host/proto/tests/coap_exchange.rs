//! Two endpoints, or one and a script, over a bad network.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; these helpers belong to them

mod sim;

use std::collections::HashMap;
use std::time::Duration;

use sim::{Mischief, Pair, endpoint, peer};
use tidegate_proto::coap::endpoint::{Event, Failure, ObservationId, Request, RequestId, Token};
use tidegate_proto::coap::message::{Code, Kind, Message};
use tidegate_proto::coap::option;

fn request(id: u64, message: Message) -> Request {
    Request { id: RequestId(id), message, observation: None, token: None }
}

/// How 200 requests end: (answered, failed), and how often each was executed.
fn two_hundred(mischief: Mischief, body: usize) -> (usize, usize, Vec<u32>) {
    let mut pair = Pair::new(42, mischief);
    let mut endings = HashMap::<u64, (usize, usize)>::new();
    let mut executed = vec![0_u32; 200];
    for id in 0..200 {
        let message = Message::request(Code::POST).with_path_segment(&id.to_string());
        pair.sides[0].request(pair.now, peer(1), request(id, message.with_payload(vec![id as u8; body])));
    }
    for _ in 0..100_000 {
        pair.settle(|_, endpoint, now, event| match event {
            Event::Request { receipt, message, .. } => {
                let path = message.uri_path().next().unwrap().to_vec();
                let id: usize = String::from_utf8(path.clone()).unwrap().parse().unwrap();
                assert_eq!(message.payload(), vec![id as u8; body]);
                executed[id] += 1;
                endpoint.respond(now, receipt, Message::response(Code::CHANGED).with_payload(path));
            }
            Event::Response { id, message, .. } => {
                assert_eq!(message.payload(), id.0.to_string().as_bytes());
                endings.entry(id.0).or_default().0 += 1;
            }
            Event::Failed { id, failure } => {
                assert_eq!(failure, Failure::Timeout);
                endings.entry(id.0).or_default().1 += 1;
            }
            Event::Acknowledged { .. }
            | Event::Transferred { .. }
            | Event::FetchEnded { .. }
            | Event::Notification { .. } => {
                panic!("{event:?}")
            }
        });
        if !pair.step() {
            break;
        }
    }
    assert!(!pair.step(), "comes to rest");
    for side in &pair.sides {
        assert_eq!(side.occupancy(), Default::default(), "nothing is left behind");
    }
    assert_eq!(endings.len(), 200);
    assert!(endings.values().all(|(answered, failed)| answered + failed == 1));
    let sum = endings.values().fold((0, 0), |sum, ending| (sum.0 + ending.0, sum.1 + ending.1));
    (sum.0, sum.1, executed)
}

#[test]
fn on_a_clean_network_every_request_is_answered_and_executed_once() {
    let clean = Mischief { loss: 0, duplication: 0, latency: Duration::from_millis(50) };
    assert_eq!(two_hundred(clean, 10), (200, 0, vec![1; 200]));
}

#[test]
fn at_30_percent_loss_every_request_ends_once_and_is_executed_at_most_once() {
    let bad = Mischief { loss: 30, duplication: 20, latency: Duration::from_secs(1) };
    let (answered, failed, executed) = two_hundred(bad, 10);
    assert!(answered >= 180 && answered + failed == 200, "{answered} answered, {failed} failed");
    assert!(executed.iter().all(|times| *times <= 1));
    assert!(executed.iter().sum::<u32>() as usize >= answered);
}

#[test]
fn bodies_in_blocks_survive_loss_duplication_and_reordering() {
    let bad = Mischief { loss: 10, duplication: 20, latency: Duration::from_secs(1) };
    let (answered, _, executed) = two_hundred(bad, 5000);
    assert!(answered >= 195, "{answered} answered");
    assert!(executed.iter().all(|times| *times <= 1));
}

/// Sends 300 notifications over a bad network; returns the numbers in the order of delivery.
fn notify(kind: Kind, mischief: Mischief) -> (Vec<u32>, u64, usize) {
    let mut pair = Pair::new(4242, mischief);
    pair.sides[0] = endpoint(1);
    let token = Token::from([9; 8]);
    pair.sides[0].restore_observation(ObservationId(1), peer(1), token);
    let (mut delivered, mut acknowledged) = (Vec::new(), 0);
    for number in 0..300_u16 {
        let message = Message::new(kind, Code::CONTENT, 1000 + number)
            .with_token(token)
            .with_option_uint(option::OBSERVE, 10 + u32::from(number))
            .with_payload(number.to_string().into_bytes());
        pair.launch(0, &message.to_bytes());
        let until = pair.now + Duration::from_millis(500);
        while pair.now < until {
            pair.settle(|side, endpoint, now, event| {
                let Event::Notification { receipt, message, id, .. } = event else {
                    panic!("{side} {event:?}")
                };
                assert_eq!(id, ObservationId(1));
                delivered.push(message.observe().unwrap());
                if let Some(receipt) = receipt {
                    acknowledged += 1;
                    endpoint.acknowledge(now, receipt);
                }
            });
            if !pair.step() {
                pair.now = until;
            }
        }
    }
    (delivered, pair.sides[0].counters().stale_notifications, acknowledged)
}

#[test]
fn notifications_that_come_twice_and_in_disorder_are_delivered_once_and_in_order() {
    let bad = Mischief { loss: 10, duplication: 50, latency: Duration::from_secs(2) };
    for kind in [Kind::NonConfirmable, Kind::Confirmable] {
        let (delivered, stale, acknowledged) = notify(kind, bad);
        assert!(delivered.is_sorted_by(|earlier, later| earlier < later), "{delivered:?}");
        assert!(stale > 10, "the network reorders: {stale}");
        assert!(delivered.len() > 80, "{}", delivered.len());
        assert_eq!(acknowledged, if kind == Kind::Confirmable { delivered.len() } else { 0 });
    }
}

#[test]
fn on_a_clean_network_every_notification_is_delivered() {
    let clean = Mischief { loss: 0, duplication: 0, latency: Duration::from_millis(1) };
    assert_eq!(notify(Kind::NonConfirmable, clean).0, (10..310).collect::<Vec<_>>());
}
