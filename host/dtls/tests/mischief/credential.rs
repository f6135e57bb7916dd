//! Who may not come in, and who may although it looks odd.

use std::sync::Arc;
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use tidegate_dtls::credential::{Credentials, Key, Mode, Naming};
use tidegate_dtls::endpoint::{Config, Failure};

use super::order::{forge, forge_on};
use crate::client::profile::{Profile, Proof};
use crate::client::wire::{CLIENT_KEY_EXCHANGE, Fragment};
use crate::network::identity::{
    Identity, PSK, Request, bare, credentials, identities, p384, psk, raw, rsa, with_certificates, x509,
};
use crate::network::{Network, address};

#[test]
fn an_unknown_identity() {
    let failures = refused(&Profile::psk("urn:dev:nobody", PSK.1));
    assert_eq!(failures, [Failure::UnknownIdentity { identity: "urn:dev:nobody".to_owned() }]);
}

#[test]
fn a_wrong_key() {
    for key in [&b"not the real key"[..], b"s", &[0; 16], &PSK.1[..15]] {
        for suite in ["PSK-AES128-CCM8", "PSK-AES128-GCM-SHA256", "PSK-AES128-CBC-SHA256"] {
            refused(&Profile::psk(PSK.0, key).with_suites(suite));
        }
    }
    let failures = refused(&Profile::psk(PSK.0, b"not the real key"));
    assert_eq!(failures[0], Failure::WrongKey { identity: PSK.0.to_owned() });
}

#[test]
fn identities_and_keys_of_every_length() {
    let long = "x".repeat(128);
    for (identity, key) in [("x", 16), (&long[..127], 16), (&long, 16), ("short", 1), ("long", 64)] {
        let key = vec![7; key];
        let mut credentials = Credentials::new();
        credentials.add_psk(identity, Key::new(key.clone()), "urn:dev:psk").unwrap();
        let mut network = Network::with(Config::default(), credentials);
        let client = network.connect(&Profile::psk(identity, &key));
        assert!(network.talks(client));
    }
}

#[test]
fn identities_that_nobody_can_have() {
    for length in [129, 200, 255, 256] {
        let mut identity = PSK.0.as_bytes().to_vec();
        identity.resize(length, b'x');
        refused(&Profile::new(Proof::Psk(identity, PSK.1.to_vec())));
    }
    for identity in
        [&b"\xff\xfe\xfd"[..], b"urn:dev:psk\xc3", b"URN:DEV:PSK", b"urn:dev:psk ", b" urn:dev:psk"]
    {
        refused(&Profile::new(Proof::Psk(identity.to_vec(), PSK.1.to_vec())));
    }
}

/// A NUL ends a string for OpenSSL: what comes behind it must not be cut off and the rest be let in.
#[test]
fn an_identity_with_a_nul_in_it() {
    // In one piece, and in pieces so small that no one of them has the whole identity.
    for pieces in [1000, 13, 12, 5, 1] {
        let exchange = |identity: &[u8]| {
            let body = [&u16::try_from(identity.len()).unwrap().to_be_bytes(), identity].concat();
            let mut network = Network::new();
            forge_on(&mut network, &psk(), pieces, |_| vec![Fragment::whole(CLIENT_KEY_EXCHANGE, 0, &body)]);
            network.established().len()
        };
        assert_eq!(exchange(PSK.0.as_bytes()), 1, "pieces of {pieces}");
        for identity in [
            &b"urn:dev:psk\0"[..],
            b"urn:dev:psk\0urn:dev:raw",
            b"\0urn:dev:psk",
            b"urn:dev\0:psk",
            b"\0",
            b"",
        ] {
            assert_eq!(exchange(identity), 0, "{identity:?} in pieces of {pieces}");
        }
    }
}

#[test]
fn a_key_exchange_whose_length_is_wrong() {
    let name = PSK.0.as_bytes();
    for length in [0, 1, 10, 12, 255, 256, 65_535] {
        let body = [&u16::to_be_bytes(length), name].concat();
        assert_eq!(forge(&psk(), |_| vec![Fragment::whole(CLIENT_KEY_EXCHANGE, 0, &body)]), 0);
    }
    for body in [&[][..], &[0], &[0, 0]] {
        assert_eq!(forge(&psk(), |_| vec![Fragment::whole(CLIENT_KEY_EXCHANGE, 0, body)]), 0);
    }
}

#[test]
fn certificates_that_are_not_good() {
    let authority = Some(&identities().authority);
    let of = || Request::new("urn:dev:x509");
    let refused_ones = [
        ("expired", of().days(-30, -1).sign(authority)),
        ("not valid yet", of().days(1, 30).sign(authority)),
        ("of another authority", of().sign(Some(&identities().other_authority))),
        ("of itself", of().sign(None)),
        ("RSA of 1024 bits", of().key(rsa(1024)).sign(authority)),
        ("signed with SHA-1", of().digest(MessageDigest::sha1()).sign(authority)),
        ("issued by a device", of().sign(Some(&identities().device))),
        ("without a name", Request::new("").sign(authority)),
        ("with the name of a PSK's endpoint", Request::new("urn:dev:psk").sign(authority)),
        ("with the name of a raw public key's endpoint", Request::new("urn:dev:raw").sign(authority)),
    ];
    for (what, identity) in refused_ones {
        let Identity { certificate, key } = identity;
        let failures = refused(&trusting_all(vec![certificate], key));
        assert!(!failures.is_empty(), "{what}");
    }
    let Identity { certificate, key } = of().sign(authority);
    let mut network = Network::new();
    let client = network.connect(&with_certificates(vec![certificate], key));
    assert!(network.talks(client));
}

#[test]
fn no_certificate_at_all() {
    let mut profile = Profile::new(Proof::Nothing);
    profile.trusted = Some(identities().authority.certificate.clone());
    assert!(!refused(&profile).is_empty());
}

#[test]
fn a_chain_with_an_authority_in_between() {
    let between = Request::new("between").authority().sign(Some(&identities().authority));
    let device = Request::new("urn:dev:x509").sign(Some(&between));
    let chain = vec![device.certificate, between.certificate];
    let mut network = Network::new();
    let client = network.connect(&with_certificates(chain.clone(), device.key.clone()));
    assert!(network.talks(client));
    refused(&with_certificates(chain[..1].to_vec(), device.key));
}

#[test]
fn a_chain_of_more_than_eight_kilobytes() {
    let chain = |bytes: usize| {
        let name = format!("{}.example", "a".repeat(bytes));
        Request::new("urn:dev:x509").alternative(&name).sign(Some(&identities().authority))
    };
    let Identity { certificate, key } = chain(6000);
    let mut network = Network::new();
    let client = network.connect(&with_certificates(vec![certificate], key));
    assert!(network.talks(client));
    for bytes in [8200, 14_000] {
        let Identity { certificate, key } = chain(bytes);
        assert!(certificate.to_der().unwrap().len() > 8192);
        refused(&with_certificates(vec![certificate], key));
    }
}

#[test]
fn the_endpoint_may_be_named_by_the_alternative_name() {
    let mut credentials = credentials();
    credentials.name_by(Naming::AlternativeName);
    let credentials = Arc::new(credentials);
    let device =
        Request::new("urn:dev:other").alternative("meter.example").sign(Some(&identities().authority));
    let mut network = Network::with(Config::default(), Arc::clone(&credentials));
    network.connect(&with_certificates(vec![device.certificate], device.key));
    assert_eq!(&*network.established()[0].1.endpoint, "meter.example");
    // This one has none.
    let client = network.add(&x509());
    network.run();
    assert!(!network.clients[client].is_established() || network.established().len() == 1);
    assert_eq!(network.established().len(), 1);
}

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn raw_public_keys_that_are_not_good() {
    for key in [crate::network::identity::p256(), p384(), rsa(1024), rsa(2048)] {
        let suite = if key.ec_key().is_ok() { "ECDHE-ECDSA-AES128-CCM8" } else { "ECDHE-ECDSA-AES128-CCM" };
        let failures = refused(&Profile::new(Proof::RawPublicKey(key)).with_suites(suite));
        assert!(!failures.is_empty());
    }
}

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn a_client_with_certificate_and_raw_public_key() {
    let all = identities();
    // A certificate for the very key that is known as a raw public key, too.
    let certificate =
        Request::new("urn:dev:both").key(all.raw.clone()).sign(Some(&all.authority)).certificate;
    let profile = Profile::new(Proof::Either(certificate, all.raw.clone()));
    let mut network = Network::new();
    let client = network.connect(&profile);
    assert_eq!(network.established()[0].1.mode, Mode::RawPublicKey);
    assert!(network.talks(client));
    // A gateway that has no raw public keys takes the certificate.
    let mut other = bare();
    other.trust(&all.authority.certificate.to_pem().unwrap()).unwrap();
    let mut network = Network::with(Config::default(), other);
    let client = network.connect(&profile);
    assert_eq!(network.established()[0].1.mode, Mode::X509);
    assert_eq!(&*network.established()[0].1.endpoint, "urn:dev:both");
    assert!(network.talks(client));
}

#[test]
fn a_mode_that_nobody_has_is_not_offered() {
    let mut only_psk = Credentials::new();
    only_psk.add_psk(PSK.0, Key::new(PSK.1.to_vec()), "urn:dev:psk").unwrap();
    let mut network = Network::with(Config::default(), only_psk);
    for profile in [x509(), raw()] {
        network.add(&profile);
    }
    network.connect(&psk());
    assert_eq!(network.established().len(), 1);
    let mut nobody = Network::with(Config::default(), bare());
    for profile in [psk(), x509(), raw()] {
        nobody.add(&profile);
    }
    nobody.run_for(Duration::from_secs(120));
    assert!(nobody.established().is_empty() && nobody.endpoint.handshakes() == 0);
}

/// OpenSSL holds on to nothing of a handshake that was refused: the next one at the address is a new one.
#[test]
fn whoever_was_refused_may_try_again_with_the_right_key() {
    let mut network = Network::new();
    for wrong in [Profile::psk("urn:dev:nobody", PSK.1), Profile::psk(PSK.0, b"not the real key")] {
        let client = network.add_at(&wrong, address(1));
        network.run_for(Duration::from_secs(3));
        assert!(!network.clients[client].is_established());
    }
    forge_on(&mut network, &psk(), 1000, |messages| messages);
    assert_eq!(network.established().len(), 1);
}

/// The client is not let in, its handshake is over after the time that one may take, and it is said why.
fn refused(profile: &Profile) -> Vec<Failure> {
    let mut network = Network::new();
    let client = network.add(profile);
    network.run_for(Duration::from_secs(180));
    assert!(network.established().is_empty());
    assert!(!network.clients[client].is_established() || network.endpoint.is_empty());
    assert_eq!((network.endpoint.len(), network.endpoint.handshakes()), (0, 0));
    network.failures()
}

fn trusting_all(chain: Vec<openssl::x509::X509>, key: PKey<Private>) -> Profile {
    let mut profile = with_certificates(chain, key);
    profile.trusted = None;
    // OpenSSL's client has a security level of its own, which the tests set to 0.
    profile.suites = "ECDHE-ECDSA-AES128-CCM8";
    profile
}
