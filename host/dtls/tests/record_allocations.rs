//! Opening and sealing records make no allocation: they are on the way of every notification. OpenSSL makes its own, which
//! are not counted here, only when a thread uses an AEAD for the first time, and for its error stack.

use std::hint::black_box;

use tidegate_dtls::record::content_type::APPLICATION_DATA;
use tidegate_dtls::record::{Aead, Keys, RecordLayer, Role};

fn layer(role: Role, aead: Aead, cid: &[u8]) -> RecordLayer {
    let keys = Keys::derive(aead, &[1; 48], &[2; 32], &[3; 32]);
    RecordLayer::new(role, keys, Some(cid.into()), Some(cid.into()))
}

#[test]
fn records_are_sealed_and_opened_without_an_allocation() {
    for aead in [Aead::Ccm8, Aead::Ccm, Aead::Gcm] {
        for cid in [&b""[..], b"01234567"] {
            let (mut client, mut server) = (layer(Role::Client, aead, cid), layer(Role::Server, aead, cid));
            let mut datagram = Vec::with_capacity(512);
            let mut round = || {
                datagram.clear();
                client.seal(APPLICATION_DATA, black_box(&[7; 400]), &mut datagram).expect("a record");
                server.open(&mut datagram).expect("the record").content.len()
            };
            assert_eq!(round(), 400);
            let counted = allocation_counter::measure(|| {
                for _ in 0..100 {
                    black_box(round());
                }
            });
            assert_eq!(counted.count_total, 0, "{aead:?} {cid:?}");
        }
    }
}
