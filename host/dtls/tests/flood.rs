//! ClientHellos from addresses that are not the sender's: nothing is kept of them, and nothing is allocated.

use std::hint::black_box;
use std::net::SocketAddr;

use tidegate_dtls::cookie::Cookies;
use tidegate_dtls::hello::ClientHello;
use tidegate_proto::coap::Entropy;

struct Zeros;

impl Entropy for Zeros {
    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// A whole ClientHello with this random and cookie.
fn hello(random: u32, cookie: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[5; 28]);
    body.extend_from_slice(&random.to_be_bytes());
    body.push(0);
    body.push(u8::try_from(cookie.len()).expect("a cookie is short"));
    body.extend_from_slice(cookie);
    // The suite TLS_PSK_WITH_AES_128_CCM_8, and no compression.
    body.extend_from_slice(&[0, 2, 0xc0, 0xa8, 1, 0]);
    let (length, number) = (u8::try_from(body.len()).expect("it is short"), u8::from(!cookie.is_empty()));
    let mut datagram = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, number, 0, length + 12];
    datagram.extend_from_slice(&[1, 0, 0, length, 0, number, 0, 0, 0, 0, 0, length]);
    datagram.extend(body);
    datagram
}

fn remote(number: u32) -> SocketAddr {
    SocketAddr::from((number.to_be_bytes(), 5684))
}

#[test]
fn a_flood_of_hellos_allocates_nothing_and_is_answered_with_fewer_bytes() {
    const FLOOD: u32 = 100_000;
    let cookies = Cookies::new(&mut Zeros);
    let mut datagram = Vec::with_capacity(64);
    let (without, with_wrong) = (hello(1, &[]), hello(1, &[9; 20]));
    let mut answered = (0, 0);
    // OpenSSL's SHA-256, on a state of ours, has none of its own either; only Rust's are counted.
    let allocations = allocation_counter::measure(|| {
        for number in 0..FLOOD {
            for received in [&without, &with_wrong] {
                let hello = ClientHello::parse(black_box(received)).expect("it is a ClientHello");
                assert!(!cookies.check(remote(number), &hello));
                cookies.hello_verify_request(remote(number), &hello, &mut datagram);
                answered.0 += received.len();
                answered.1 += datagram.len();
            }
        }
    });
    assert_eq!(allocations.count_total, 0);
    assert_eq!(answered.1, 2 * 48 * FLOOD as usize);
    assert!(answered.1 < answered.0);
}

#[test]
fn each_of_many_clients_comes_back_with_its_own_cookie() {
    let cookies = Cookies::new(&mut Zeros);
    let mut datagram = Vec::new();
    let mut former = Vec::new();
    for number in 0..1_000 {
        let first = hello(number, &[]);
        cookies.hello_verify_request(remote(number), &ClientHello::parse(&first).unwrap(), &mut datagram);
        let second = hello(number, &datagram[28..]);
        let second = ClientHello::parse(&second).unwrap();
        assert!(cookies.check(remote(number), &second));
        assert!(!cookies.check(remote(number + 1), &second));
        assert_ne!(former, second.cookie);
        former = second.cookie.to_vec();
    }
}
