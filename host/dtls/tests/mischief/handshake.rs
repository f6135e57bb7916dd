//! Handshakes without mischief: every suite, every mode, full and resumed, with and without connection IDs.

use crate::client::profile::Profile;
use crate::network::identity::{credentials, identities, psk, raw, x509};
use crate::network::{Network, address};
use tidegate_dtls::credential::Mode;
use tidegate_dtls::endpoint::Config;

#[test]
fn psk_suites() {
    for (suite, name) in PSK_SUITES {
        shakes_hands(&psk().with_suites(suite), name, Mode::Psk, "urn:dev:psk");
    }
}

#[test]
fn certificate_suites() {
    for (suite, name) in ECDSA_SUITES {
        shakes_hands(&x509().with_suites(suite), name, Mode::X509, "urn:dev:x509");
    }
}

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn raw_public_key_suites() {
    for (suite, name) in ECDSA_SUITES {
        let client = shakes_hands(&raw().with_suites(suite), name, Mode::RawPublicKey, "urn:dev:raw");
        let shown = client.clients[0].peer_raw_public_key();
        assert_eq!(shown, Some(identities().server.key.public_key_to_der().unwrap()));
    }
}

/// mbed TLS gives the records of its ClientHellos the version 0xfe00; OpenSSL 0xfeff.
#[test]
fn a_client_whose_first_records_have_the_version_of_mbed_tls() {
    let mut network = Network::new();
    let mut client = network.half_open_with(&psk(), address(1), |datagram| {
        assert_eq!(datagram[..2], [22, 0xfe]);
        datagram[2] = 0;
    });
    for datagram in std::mem::take(&mut client.transmits) {
        network.inject(address(1), &datagram);
    }
    assert_eq!(network.established().len(), 1);
}

/// Also when it resumes, and after a restart: the gateway must know it before it sends anything.
#[test]
fn a_client_with_room_for_small_records_only() {
    for (code, bytes) in [(0, None), (1, Some(512)), (2, Some(1024)), (4, Some(4096))] {
        let mut network = Network::with(Config { keep: true, ..Config::default() }, credentials());
        let profile = psk().with_max_fragment(code);
        let client = network.connect(&profile);
        let session = network.clients[client].session();
        network.connect(&profile.with_session(session));
        let told = |network: &Network| {
            network.established().iter().map(|(_, _, summary)| summary.max_fragment).collect::<Vec<_>>()
        };
        assert_eq!(told(&network), [bytes; 2]);
        network.restart(credentials());
        assert_eq!(told(&network), [bytes; 2]);
    }
}

#[test]
fn over_ipv6() {
    let mut network = Network::with(Config { keep: true, ..Config::default() }, credentials());
    let address = "[2001:db8::17]:5684".parse().unwrap();
    let client = network.add_at(&psk(), address);
    network.run();
    assert!(network.talks(client));
    network.restart(credentials());
    assert!(network.talks(client));
}

/// A handshake, data both ways, and the same resumed.
fn shakes_hands(profile: &Profile, suite: &str, mode: Mode, endpoint: &str) -> Network {
    let mut network = Network::new();
    let client = network.connect(profile);
    assert_eq!(network.clients[client].suite(), suite);
    let (_, principal, summary) = network.established().pop().unwrap();
    assert_eq!((principal.mode, &*principal.endpoint), (mode, endpoint));
    assert_eq!((summary.suite, summary.resumed, summary.connection_id), (suite, false, false));
    assert!(network.talks(client), "{suite}");

    // A suite whose records stay inside OpenSSL begins anew: a lost flight of a resumption could not be repeated.
    let is_ours = !suite.contains("CBC");
    let resuming = profile.clone().with_session(network.clients[client].session());
    let again = network.connect(&resuming);
    assert_eq!(network.clients[again].is_resumed(), is_ours, "{suite}");
    let (_, resumed, summary) = network.established().pop().unwrap();
    assert_eq!(resumed, principal);
    assert_eq!((summary.suite, summary.resumed), (suite, is_ours));
    assert!(network.talks(again), "{suite}");
    assert_eq!((network.endpoint.len(), network.ended().len()), (2, 0));
    network.assert_nonces_unique();
    network
}

/// OpenSSL's names and IANA's.
pub(crate) const PSK_SUITES: [(&str, &str); 5] = [
    ("PSK-AES128-CCM8", "TLS_PSK_WITH_AES_128_CCM_8"),
    ("PSK-AES128-CCM", "TLS_PSK_WITH_AES_128_CCM"),
    ("PSK-AES128-GCM-SHA256", "TLS_PSK_WITH_AES_128_GCM_SHA256"),
    ("PSK-AES128-CBC-SHA256", "TLS_PSK_WITH_AES_128_CBC_SHA256"),
    ("ECDHE-PSK-AES128-CBC-SHA256", "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256"),
];
pub(crate) const ECDSA_SUITES: [(&str, &str); 4] = [
    ("ECDHE-ECDSA-AES128-CCM8", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"),
    ("ECDHE-ECDSA-AES128-CCM", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ("ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
];
