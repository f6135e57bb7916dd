//! Opening and sealing a record with a notification in it, for `make instructions`.

#[path = "../../proto/benches/measured/mod.rs"]
mod measured;

use std::hint::black_box;
use std::process::ExitCode;

use measured::CALLS;
use tidegate_dtls::record::content_type::APPLICATION_DATA;
use tidegate_dtls::record::{Aead, Keys, RecordLayer, Role};

fn main() -> ExitCode {
    measured::main(&[("dtls/record/open", opens), ("dtls/record/seal", seals)])
}

fn opens() -> Box<dyn FnMut(usize)> {
    let (mut client, mut server) = (layer(Role::Client), layer(Role::Server));
    let sealed = |_| {
        let mut datagram = Vec::new();
        client.seal(APPLICATION_DATA, &CONTENT, &mut datagram).expect("a record");
        datagram
    };
    let mut datagrams: Vec<_> = (0..CALLS).map(sealed).collect();
    Box::new(move |at| {
        black_box(server.open(&mut datagrams[at]).expect("a record"));
    })
}

fn seals() -> Box<dyn FnMut(usize)> {
    let mut server = layer(Role::Server);
    let mut datagram = Vec::with_capacity(256);
    Box::new(move |_| {
        datagram.clear();
        server.seal(APPLICATION_DATA, black_box(&CONTENT), &mut datagram).expect("a record");
    })
}

fn layer(role: Role) -> RecordLayer {
    let keys = Keys::derive(Aead::Ccm8, &[1; 48], &[2; 32], &[3; 32]);
    RecordLayer::new(role, keys, Some(b"".as_slice().into()), Some(b"".as_slice().into()))
}

const CONTENT: [u8; 64] = [0x42; 64];
