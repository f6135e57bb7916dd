//! Names: the endpoint name and the path, in the characters of SenML.

use std::borrow::Cow;
use std::fmt::Write as _;

use tidegate_sdk::Path;

/// The endpoint name as the first part of a SenML name, which may have `[A-Za-z0-9:./_-]` and begins with a letter or a digit
/// (RFC 8428, 4.5.1). Most endpoint names are one already. In others, each byte of what may not be there is `_` and two hexadecimal
/// digits, and so is a `_` that would look like it; what begins otherwise has `ep:` in front. No two endpoint names become one.
pub(crate) fn of_endpoint(endpoint: &str) -> Cow<'_, str> {
    let begins_well =
        endpoint.starts_with(|first: char| first.is_ascii_alphanumeric()) && !endpoint.starts_with(OTHER);
    if begins_well && endpoint.bytes().enumerate().all(|(at, _)| is_plain(endpoint.as_bytes(), at)) {
        return Cow::Borrowed(endpoint);
    }
    let mut name = if begins_well { String::new() } else { OTHER.to_owned() };
    for (at, byte) in endpoint.bytes().enumerate() {
        if is_plain(endpoint.as_bytes(), at) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "_{byte:02X}");
        }
    }
    Cow::Owned(name)
}

/// The path of a name, which may begin with the endpoint's.
pub(crate) fn path(endpoint: &str, name: &str) -> Option<Path> {
    let below = name.strip_prefix(&*of_endpoint(endpoint)).unwrap_or(name);
    let id = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let ids: Option<Vec<u16>> = below.strip_prefix('/')?.split('/').map(id).collect();
    // 65535 is reserved (core 1.2.1, 7.3).
    let ids = ids.filter(|ids| (1..=4).contains(&ids.len()) && !ids.contains(&u16::MAX))?;
    Some(Path::new(&ids))
}

fn is_plain(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        b'_' => {
            !matches!(bytes.get(at + 1..at + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
        }
        byte => byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'/' | b'-'),
    }
}

/// In front of what does not begin with a letter or a digit, and of what begins with this.
const OTHER: &str = "ep:";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_endpoint_names_stay_as_they_are() {
        for endpoint in ["urn:imei:004999010640000", "urn:dev:ops:32473-Refrigerator-5002", "a.b_c/d"] {
            assert_eq!(of_endpoint(endpoint), endpoint);
        }
        assert_eq!(of_endpoint("my device"), "my_20device");
        assert_eq!(of_endpoint("my_20device"), "my_5F20device");
        assert_eq!(of_endpoint("_x"), "ep:_x");
        assert_eq!(of_endpoint("ep:_x"), "ep:ep:_x");
    }

    #[test]
    fn a_name_is_a_path_with_the_endpoint_before_it_or_without() {
        for name in ["/3303/0/5700", "urn:imei:1/3303/0/5700"] {
            assert_eq!(path("urn:imei:1", name).unwrap().to_string(), "/3303/0/5700");
        }
        for name in
            ["", "/", "3303/0", "/3303/", "/3303/x", "/1/2/3/4/5", "/65535", "/+1", "urn:imei:2/3303/0/5700"]
        {
            assert!(path("urn:imei:1", name).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_valid_and_its_endpoint_s_own(a in "[a-c0-9_: ]{1,6}", b in "[a-c0-9_: ]{1,6}", any in ".{1,20}") {
            for endpoint in [&a, &b, &any] {
                let name = of_endpoint(endpoint);
                prop_assert!(name.starts_with(|first: char| first.is_ascii_alphanumeric()));
                prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || ":./_-".contains(c)), "{}", name);
            }
            prop_assert_eq!(of_endpoint(&a) == of_endpoint(&b), a == b, "{:?} {:?}", a, b);
        }
    }
}
