//! Sessions: resumed after whatever has become of the association, and never after the credential is gone.

use std::time::Duration;

use openssl::ssl::SslSession;
use tidegate_dtls::credential::{Credentials, Key};
use tidegate_dtls::endpoint::{Config, End};

use crate::client::State;
use crate::client::profile::Profile;
use crate::client::wire::ALERT;
use crate::network::identity::{PSK, bare, credentials, identities, key_of, many, psk, raw, x509};
use crate::network::{Network, address};

#[test]
fn after_the_client_has_closed() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        network.clients[client].close();
        network.collect(client);
        network.run();
        assert!(network.endpoint.is_empty());
        assert!(resumes(&mut network, client, &profile));
    }
}

#[test]
fn after_eviction() {
    let credentials = many(40);
    let config = Config { max_associations: 4, ..Config::default() };
    let mut network = Network::with(config, credentials);
    let profiles: Vec<_> =
        (0..40).map(|number| Profile::psk(&format!("device-{number}"), &key_of(number))).collect();
    let clients: Vec<_> = profiles.iter().map(|profile| network.connect(profile)).collect();
    assert_eq!(network.endpoint.len(), 4);
    assert_eq!(network.ended().len(), 36);
    assert!(network.ended().iter().all(|(_, reason)| *reason == End::Evicted));
    for (client, profile) in clients.iter().zip(&profiles) {
        assert!(resumes(&mut network, *client, profile));
    }
}

/// Eviction is said with close_notify, so that the client knows at once.
#[test]
fn whoever_is_evicted_hears_of_it() {
    let mut network = Network::with(Config { max_associations: 1, ..Config::default() }, credentials());
    let evicted = network.connect(&psk());
    network.connect(&raw());
    network.run_for(Duration::from_secs(1));
    assert_eq!(network.clients[evicted].state, State::Closed);
}

#[test]
fn after_many_resumptions_of_the_same_session() {
    for profile in all() {
        let mut network = Network::new();
        let mut client = network.connect(&profile);
        let principal = network.established()[0].1.clone();
        for _ in 0..10 {
            let resuming = profile.clone().with_session(network.clients[client].session());
            client = network.connect(&resuming);
            assert!(network.clients[client].is_resumed());
            assert!(network.talks(client));
        }
        assert!(network.established().iter().all(|(_, of, _)| *of == principal));
        assert_eq!(network.sessions.len(), 1);
    }
}

#[test]
fn with_another_connection_id_or_none() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_connection_id(b"12345"));
    for profile in [psk(), psk().with_connection_id(&[]), psk().with_connection_id(&[7; 9])] {
        let resuming = profile.with_session(network.clients[client].session());
        let with_id = resuming.connection_id.is_some();
        let again = network.connect(&resuming);
        assert!(network.clients[again].is_resumed());
        assert_eq!(network.established().last().unwrap().2.connection_id, with_id);
        assert!(network.talks(again));
    }
}

/// A gateway that keeps nothing has forgotten sessions, too: the client falls back to a full handshake.
#[test]
fn after_a_restart_that_forgets() {
    for profile in all() {
        let mut network = Network::new();
        let client = network.connect(&profile);
        network.restart(credentials());
        let session = network.clients[client].session();
        let again = network.connect(&profile.with_session(session));
        assert!(!network.clients[again].is_resumed());
        assert!(network.talks(again));
    }
}

#[test]
fn after_a_restart_that_keeps() {
    for profile in all() {
        let mut network = Network::with(Config { keep: true, ..Config::default() }, credentials());
        let client = network.connect(&profile);
        network.restart(credentials());
        assert!(resumes(&mut network, client, &profile));
    }
}

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn never_after_the_credential_is_gone() {
    for (profile, left) in [(psk(), without_psk()), (x509(), without_authority()), (raw(), without_raw())] {
        let mut network = Network::new();
        let client = network.connect(&profile);
        let session = network.clients[client].session();
        network.renew(left);
        assert!(network.sessions.is_empty());
        assert!(is_not_let_in(&mut network, &profile, session));
    }
}

/// Shards take new credentials one after the other: one that still has the old ones lets a client in, which then comes
/// to one that has the new ones.
#[test]
fn never_on_a_shard_that_knows_of_it_already() {
    let mut late = Network::new();
    let client = late.connect(&psk());
    let session = late.clients[client].session();
    let mut early = Network::with_sessions(Config::default(), without_psk(), late.sessions.clone());
    assert!(is_not_let_in(&mut early, &psk(), session.clone()));
    let mut same = Network::with_sessions(Config::default(), credentials(), late.sessions.clone());
    let again = same.connect(&psk().with_session(session));
    assert!(same.clients[again].is_resumed());
}

/// The identity is still there, with another key: the session was made with the old one.
#[test]
fn never_after_the_key_was_changed() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let session = network.clients[client].session();
    let mut changed = without_psk();
    changed.add_psk(PSK.0, Key::new(b"a new key.......".to_vec()), "urn:dev:psk").unwrap();
    network.renew(changed);
    assert_eq!(network.ended().len(), 1);
    assert!(is_not_let_in(&mut network, &psk(), session.clone()));
    // With the new key it gets in by a full handshake.
    let again = network.connect(&Profile::psk(PSK.0, b"a new key.......").with_session(session));
    assert!(!network.clients[again].is_resumed());
}

/// The key is the same, but it is for another endpoint now.
#[test]
fn never_as_the_endpoint_that_it_was() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let session = network.clients[client].session();
    let mut changed = without_psk();
    changed.add_psk(PSK.0, Key::new(PSK.1.to_vec()), "urn:dev:other").unwrap();
    network.renew(changed);
    assert_eq!(network.ended().len(), 1);
    let again = network.connect(&psk().with_session(session));
    assert!(!network.clients[again].is_resumed());
    assert_eq!(&*network.established().last().unwrap().1.endpoint, "urn:dev:other");
}

#[test]
fn not_by_whoever_knows_only_its_id() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let real = network.clients[client].session();
    // The id goes over the network in the clear; the master secret does not.
    let mut der = real.to_der().unwrap();
    let mut secret = vec![0; 48];
    assert_eq!(real.master_key(&mut secret), 48);
    let at = der.windows(48).position(|window| window == secret).unwrap();
    der[at..at + 48].fill(7);
    let stolen = SslSession::from_der(&der).unwrap();
    let thief = network.add(&psk().with_session(stolen));
    network.run_for(Duration::from_secs(120));
    assert!(!network.clients[thief].is_established());
    assert_eq!((network.established().len(), network.endpoint.len()), (1, 1));
    assert!(network.talks(client));
    // And the session is still good for whoever it belongs to.
    assert!(resumes(&mut network, client, &psk()));
}

/// RFC 5246 section 7.2.2 would have the session forgotten; either way the client gets in.
#[test]
fn after_a_fatal_alert_the_client_gets_in_again() {
    let mut network = Network::new();
    let client = network.connect(&psk());
    let alert = network.clients[client].seal(ALERT, &[2, 80]);
    network.inject(address(client), &alert);
    assert!(network.endpoint.is_empty());
    let again = network.connect(&psk().with_session(network.clients[client].session()));
    assert!(network.talks(again));
}

/// With the session of one client and the suite of another mode.
#[test]
fn with_a_suite_that_the_session_does_not_have() {
    let mut network = Network::new();
    let client = network.connect(&psk().with_suites("PSK-AES128-GCM-SHA256"));
    let session = network.clients[client].session();
    let again = network.add(&psk().with_suites("PSK-AES128-CCM8").with_session(session));
    network.run();
    // A client of OpenSSL offers the session only with its suite; either way nobody else is let in.
    assert!(network.established().iter().all(|(_, of, _)| &*of.endpoint == "urn:dev:psk"));
    assert!(!network.clients[again].is_established() || network.talks(again));
}

#[test]
fn every_client_has_one_session() {
    let credentials = many(30);
    let mut network = Network::with(Config::default(), credentials);
    for number in 0..30 {
        network.connect(&Profile::psk(&format!("device-{number}"), &key_of(number)));
    }
    assert_eq!(network.sessions.len(), 30);
}

/// The oldest go first.
#[test]
fn the_newest_sessions_are_kept() {
    let few = std::sync::Arc::new(tidegate_dtls::session::Sessions::new(10));
    let mut network = Network::with_sessions(Config::default(), many(30), few);
    let profile = |number: usize| Profile::psk(&format!("device-{number}"), &key_of(number));
    let clients: Vec<_> = (0..30).map(|number| network.connect(&profile(number))).collect();
    assert_eq!(network.sessions.len(), 10);
    assert!(resumes(&mut network, clients[29], &profile(29)));
    assert!(!resumes(&mut network, clients[0], &profile(0)));
}

fn resumes(network: &mut Network, client: usize, profile: &Profile) -> bool {
    let session = network.clients[client].session();
    let again = network.connect(&profile.clone().with_session(session));
    network.clients[again].is_resumed() && network.talks(again)
}

fn is_not_let_in(network: &mut Network, profile: &Profile, session: SslSession) -> bool {
    let before = network.established().len();
    let client = network.add(&profile.clone().with_session(session));
    network.run_for(Duration::from_secs(120));
    !network.clients[client].is_resumed() && network.established().len() == before
}

fn without_psk() -> Credentials {
    let mut left = without_authority_and_psk();
    left.trust(&identities().authority.certificate.to_pem().unwrap()).unwrap();
    left
}

fn without_authority() -> Credentials {
    let mut left = without_authority_and_psk();
    left.add_psk(PSK.0, Key::new(PSK.1.to_vec()), "urn:dev:psk").unwrap();
    left
}

fn without_authority_and_psk() -> Credentials {
    let mut left = bare();
    left.add_raw_public_key(&identities().raw.public_key_to_der().unwrap(), "urn:dev:raw").unwrap();
    left
}

fn without_raw() -> Credentials {
    let mut left = bare();
    left.add_psk(PSK.0, Key::new(PSK.1.to_vec()), "urn:dev:psk").unwrap();
    left.trust(&identities().authority.certificate.to_pem().unwrap()).unwrap();
    left
}

fn all() -> [Profile; 5] {
    [psk(), psk().with_connection_id(b"12345"), x509(), raw(), raw().with_connection_id(&[])]
}
