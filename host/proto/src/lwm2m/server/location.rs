//! Locations and tokens, as far as they tell the shard.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::coap::Entropy;
use crate::coap::token::Token;

/// What stands behind `/rd/`: the shard and 64 random bits, base64url. Who knows it is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Location([u8; LENGTH]);

impl Location {
    pub(super) fn new(shard: u8, entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [shard; LENGTH];
        entropy.fill(&mut bytes[1..]);
        Self(bytes)
    }

    /// The shard, of so many, that has it.
    pub(super) fn shard(self, shards: u8) -> u8 {
        home(self.0[0], shards)
    }

    /// The location of a registration's path.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        Self::parse(path.strip_prefix("/rd/")?.as_bytes())
    }

    /// Reads what [`Display`](fmt::Display) writes; none for anything else.
    pub(super) fn parse(id: &[u8]) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The shard, of so many, that has a location, from what stands behind `/rd/`; none if it is not a location of ours.
pub fn shard_of_location(id: &str, shards: u8) -> Option<u8> {
    Location::parse(id.as_bytes()).map(|location| location.shard(shards))
}

/// The shard, of so many, that has the observation or request of a token; none if it is not a token of ours.
pub fn shard_of_token(token: &Token, shards: u8) -> Option<u8> {
    match token.as_bytes() {
        [shard, rest @ ..] if rest.len() == 7 => Some(home(*shard, shards)),
        _ => None,
    }
}

/// Where what a shard has given out belongs now: there may be fewer since a restart. The only place that says so; DTLS has
/// the same rule for its associations (`tidegate_dtls::endpoint::shard_of_association`).
fn home(shard: u8, shards: u8) -> u8 {
    shard % shards.max(1)
}

/// Bytes; 12 characters. There are builds of Wakaama 1.0 (that of node-red-contrib-lwm2m with a recent gcc) that cannot
/// read an option of 13 bytes or more, so that they never learn that they are registered.
const LENGTH: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&mut self, buffer: &mut [u8]) {
            for byte in buffer {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
        }
    }

    #[test]
    fn a_location_tells_its_shard() {
        let mut entropy = Counting(0xf0);
        let location = Location::new(7, &mut entropy);
        let text = location.to_string();
        assert_eq!(Location::parse(text.as_bytes()), Some(location));
        assert_eq!(shard_of_location(&text, 8), Some(7));
        assert_eq!(shard_of_location(&text, 4), Some(3), "there are fewer now");
        assert_ne!(location, Location::new(7, &mut entropy));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
    }

    #[test]
    fn a_location_does_not_need_an_extended_option_length() {
        assert!(Location([0xff; LENGTH]).to_string().len() < 13);
    }

    #[test]
    fn what_is_no_location_has_no_shard() {
        let text = Location([7; LENGTH]).to_string();
        for wrong in ["", "0", "x1Yz", &text[1..], &format!("{text}A"), &format!("{}=", &text[1..])] {
            assert_eq!(shard_of_location(wrong, 8), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_tells_its_shard() {
        let token = |bytes: &[u8]| Token::from_slice(bytes).unwrap();
        assert_eq!(shard_of_token(&token(&[9, 0, 0, 0, 0, 0, 0, 1]), 10), Some(9));
        assert_eq!(shard_of_token(&token(&[9, 0, 0, 0]), 10), None);
        assert_eq!(shard_of_token(&token(&[]), 10), None);
    }
}
