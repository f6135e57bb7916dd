//! `cargo bench -p tidegate-dtls --bench hello`: what a ClientHello costs before its sender has shown that it receives,
//! and one with a cookie.

#![allow(missing_docs)] // criterion's macros write functions without

use std::hint::black_box;
use std::net::SocketAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use tidegate_dtls::cookie::Cookies;
use tidegate_dtls::hello::ClientHello;
use tidegate_proto::coap::Entropy;

struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// A ClientHello's record up to its cookie.
fn hello(cookie: &[u8]) -> Vec<u8> {
    let length = 36 + u8::try_from(cookie.len()).expect("a cookie is short");
    let mut datagram = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, length + 12];
    datagram.extend_from_slice(&[
        1,
        0,
        0,
        length,
        0,
        u8::from(length > 36),
        0,
        0,
        0,
        0,
        0,
        length,
        0xfe,
        0xfd,
    ]);
    datagram.extend_from_slice(&[5; 32]);
    datagram.extend_from_slice(&[0, length - 36]);
    datagram.extend_from_slice(cookie);
    datagram
}

fn hellos(criterion: &mut Criterion) {
    let remote = SocketAddr::from(([192, 0, 2, 1], 5684));
    let cookies = Cookies::new(&mut Zeros);
    let (first, mut datagram) = (hello(&[]), Vec::new());
    let mut answer = |received: &[u8]| {
        let hello = ClientHello::parse(black_box(received)).expect("it is a ClientHello");
        if cookies.check(remote, &hello) {
            return true;
        }
        cookies.hello_verify_request(remote, &hello, &mut datagram);
        false
    };
    criterion.bench_function("hello/without a cookie", |bencher| bencher.iter(|| answer(&first)));
    answer(&first);
    let forged = hello(&[7; 20]);
    criterion.bench_function("hello/with a forged cookie", |bencher| bencher.iter(|| answer(&forged)));
    answer(&first);
    let second = hello(&datagram[28..]);
    assert!(cookies.check(remote, &ClientHello::parse(&second).expect("it is a ClientHello")));
    criterion.bench_function("hello/with its cookie", |bencher| {
        bencher.iter(|| {
            let hello = ClientHello::parse(black_box(&second)).expect("it is a ClientHello");
            cookies.check(remote, &hello)
        });
    });
}

criterion_group!(benches, hellos);
criterion_main!(benches);
