//! Datagrams as the specifications write them.

/// `44 02 C624 B2 'rd' FF "</1/0>"`: pairs of hexadecimal digits, and text in quotes of either kind.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let (quoted, behind) = rest[1..].split_once(first).expect("a closing quote");
            bytes.extend_from_slice(quoted.as_bytes());
            rest = behind.trim_start();
        } else {
            let (digits, behind) = rest.split_at(2);
            bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
            rest = behind.trim_start();
        }
    }
    bytes
}

/// For messages of failed assertions.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[track_caller]
pub(crate) fn assert_bytes(actual: &[u8], expected: &str) {
    assert_eq!(shown(actual), shown(&bytes(expected)));
}

#[test]
fn digits_and_text_are_read() {
    assert_eq!(bytes("44 02C6 'r d' 00 \"'\""), b"\x44\x02\xc6r d\0'");
}
