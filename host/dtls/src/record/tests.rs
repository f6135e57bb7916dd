//! See also `tests/record.rs`, which has what can be seen from outside.

use super::*;

fn pair(aead: Aead, to_server: Option<&[u8]>, to_client: Option<&[u8]>) -> (RecordLayer, RecordLayer) {
    let keys = Keys::derive(aead, &[7; 48], &[8; 32], &[9; 32]);
    let boxed = |cid: Option<&[u8]>| cid.map(Box::from);
    (
        RecordLayer::new(Role::Client, keys.clone(), boxed(to_client), boxed(to_server)),
        RecordLayer::new(Role::Server, keys, boxed(to_server), boxed(to_client)),
    )
}

const AEADS: [Aead; 3] = [Aead::Ccm8, Aead::Ccm, Aead::Gcm];

#[test]
fn what_one_side_seals_the_other_opens() {
    for aead in AEADS {
        let (mut client, mut server) = pair(aead, Some(b"12345678"), Some(b""));
        for round in 0..3 {
            let mut datagram = Vec::new();
            client.seal(content_type::APPLICATION_DATA, b"hello", &mut datagram).unwrap();
            let opened = server.open(&mut datagram).unwrap();
            assert_eq!(&datagram[opened.content], b"hello");
            assert_eq!((opened.content_type, opened.sequence, opened.newest), (23, round, true));
        }
    }
}
