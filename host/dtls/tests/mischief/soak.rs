//! Many at once.

use std::collections::HashSet;
use std::time::Duration;

use tidegate_dtls::endpoint::{Config, End};

use crate::client::Client;
use crate::client::profile::Profile;
use crate::client::wire::{ALERT, APPLICATION_DATA};
use crate::network::identity::{credentials, key_of, many, psk};
use crate::network::{Network, address};

/// Ten thousand come, talk, some of them close, start anew, move, and are driven out; at each step there are as many as
/// there should be.
#[test]
fn ten_thousand_associations() {
    const MANY: usize = 10_000;
    let config = Config { max_associations: MANY, ..Config::default() };
    let mut network = Network::with(config, many(MANY + 100));
    network.captures_on = false;
    let (plain, with_id) = (Profile::psk("", b""), Profile::psk("", b"").with_connection_id(&[]));
    let profile = |number: usize| {
        let profile = if number.is_multiple_of(2) { &plain } else { &with_id };
        profile.for_psk(&format!("device-{number}"), &key_of(number))
    };
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..MANY {
        clients.push(shake(&mut network, &profile(number), number));
    }
    assert_eq!((network.endpoint.len(), network.endpoint.handshakes()), (MANY, 0));
    let names: HashSet<_> = network.established().iter().map(|(association, ..)| *association).collect();
    assert_eq!(names.len(), MANY);

    // Each says something, those with an id from another address.
    for (number, client) in clients.iter_mut().enumerate() {
        let from = if number % 2 == 1 { 20_000 + number } else { number };
        let datagram = client.seal(APPLICATION_DATA, b"data");
        network.inject(address(from), &datagram);
    }
    assert_eq!(network.received().len(), MANY);
    assert_eq!(network.endpoint.counters().moved, MANY as u64 / 2);

    // A tenth closes, another tenth starts anew.
    for client in clients.iter_mut().take(MANY / 10) {
        let datagram = client.seal(ALERT, &[1, 0]);
        network.inject(address(30_000), &datagram);
    }
    // Without a connection ID nobody is found at another address.
    assert_eq!(network.endpoint.len(), MANY - MANY / 20);
    for number in (0..MANY / 10).step_by(2) {
        clients[number] = shake(&mut network, &profile(number), number);
    }
    assert_eq!(network.endpoint.len(), MANY - MANY / 20);
    let replaced = network.ended().iter().filter(|(_, reason)| *reason == End::Replaced).count();
    assert_eq!(replaced, MANY / 20);

    // Room is made for a few more.
    network.run_for(Duration::from_secs(3600));
    for (number, client) in clients.iter_mut().enumerate().skip(MANY / 10).step_by(2) {
        let datagram = client.seal(APPLICATION_DATA, b"data");
        network.inject(address(number), &datagram);
    }
    for number in 0..MANY / 20 + 100 {
        let number = if number < 100 { MANY + number } else { 2 * (number - 100) + 1 };
        shake(&mut network, &profile(number), 40_000 + number);
    }
    let evicted = network.ended().iter().filter(|(_, reason)| *reason == End::Evicted).count();
    assert_eq!((network.endpoint.len(), evicted), (MANY, 100));
}

/// As many at once as may be, all of which stop half-way; then everybody else is served as ever.
#[test]
fn thousands_that_stop_half_way() {
    let mut network = Network::with(Config { max_handshakes: 500, ..Config::default() }, credentials());
    network.captures_on = true;
    let profile = psk();
    for number in 0..2000 {
        let hello = super::cookie::verified(&mut network, address(number));
        network.probe(address(number), &hello.datagram(1, 1));
        network.captures.clear();
    }
    assert_eq!(network.endpoint.handshakes(), 500);
    assert_eq!(network.endpoint.counters().excess_handshakes, 1500);
    network.captures_on = false;
    network.run_for(Duration::from_secs(120));
    assert_eq!((network.endpoint.handshakes(), network.endpoint.len()), (0, 0));
    for number in 0..100 {
        network.add_at(&profile, address(5000 + number));
    }
    network.run();
    assert_eq!(network.endpoint.len(), 100);
}

/// A handshake without a network in between; the client is not kept on it.
fn shake(network: &mut Network, profile: &Profile, at: usize) -> Client {
    network.captures_on = true;
    let mut client = network.half_open(profile, address(at));
    for datagram in std::mem::take(&mut client.transmits) {
        for answer in network.probe(address(at), &datagram) {
            client.handle_datagram(network.now, &answer.payload);
        }
    }
    network.captures.clear();
    network.captures_on = false;
    assert!(client.is_established(), "{:?}", client.state);
    client
}
