//! How long it takes to open and to seal a record of 128 bytes: the way of every notification.

#![allow(missing_docs)] // criterion's macros write functions without

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidegate_dtls::record::content_type::APPLICATION_DATA;
use tidegate_dtls::record::{Aead, Keys, RecordLayer, Role};

fn layer(role: Role, aead: Aead, cid: &[u8]) -> RecordLayer {
    let keys = Keys::derive(aead, &[1; 48], &[2; 32], &[3; 32]);
    RecordLayer::new(role, keys, Some(cid.into()), Some(cid.into()))
}

fn records(criterion: &mut Criterion) {
    let content = [0x42; 128];
    for (name, aead, cid) in [
        ("ccm_8", Aead::Ccm8, &b""[..]),
        ("ccm_8 cid", Aead::Ccm8, b"12345678"),
        ("ccm", Aead::Ccm, b""),
        ("gcm", Aead::Gcm, b""),
        ("gcm cid", Aead::Gcm, b"12345678"),
    ] {
        let (mut client, mut server) = (layer(Role::Client, aead, cid), layer(Role::Server, aead, cid));
        let mut group = criterion.benchmark_group(name);
        let mut datagram = Vec::with_capacity(256);
        group.bench_function("seal", |bencher| {
            bencher.iter(|| {
                datagram.clear();
                server.seal(APPLICATION_DATA, black_box(&content), &mut datagram).expect("a record");
            });
        });
        group.bench_function("open", |bencher| {
            let sealed = || {
                let mut datagram = Vec::new();
                client.seal(APPLICATION_DATA, &content, &mut datagram).expect("a record");
                datagram
            };
            bencher.iter_batched_ref(
                sealed,
                |datagram| server.open(datagram).expect("a record"),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("open forged", |bencher| {
            let mut datagram = Vec::new();
            client.seal(APPLICATION_DATA, &content, &mut datagram).expect("a record");
            datagram[40] ^= 1;
            // A layer of its own for each, as it bears only so many.
            bencher.iter_batched_ref(
                || (layer(Role::Server, aead, cid), datagram.clone()),
                |(server, datagram)| server.open(datagram).expect_err("it is forged"),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
    criterion.bench_function("keys", |bencher| {
        bencher.iter(|| Keys::derive(Aead::Ccm8, black_box(&[1; 48]), &[2; 32], &[3; 32]));
    });
}

criterion_group!(benches, records);
criterion_main!(benches);
