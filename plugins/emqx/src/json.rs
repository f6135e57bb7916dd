//! Writes JSON into a byte vector. Keys are written by the callers, in descending order as EMQX has them.

use std::borrow::Cow;

/// A text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !IS_SPECIAL[usize::from(byte)] {
            continue;
        }
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            _ => b"",
        };
        out.extend_from_slice(&text.as_bytes()[start..at]);
        if escape.is_empty() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(escape);
        }
        start = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[start..]);
    out.push(b'"');
}

/// Bytes that should be UTF-8 as a JSON string; each byte that is not becomes U+FFFD.
pub(crate) fn lossy(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return string(out, text);
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    string(out, &text);
}

/// Bytes as a JSON string in base64.
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.chunks(3) {
        let group = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for position in 0..4 {
            let is_padding = position > chunk.len();
            let index = (bits >> (18 - 6 * position)) & 0x3f;
            out.push(if is_padding { b'=' } else { ALPHABET[index as usize] });
        }
    }
    out.push(b'"');
}

/// An integer.
pub(crate) fn integer(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut large = number.unsigned_abs();
    while large > u64::from(u32::MAX) {
        at -= 1;
        digits[at] = b'0' + (large % 10) as u8;
        large /= 10;
    }
    // Nearly all are small, and WebAssembly has no multiplication to 128 bits, which a division of 64 bits by ten becomes.
    let mut rest = large as u32;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// A finite float in its shortest form, with a fraction.
pub(crate) fn float(out: &mut Vec<u8>, number: f64) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(number);
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => {
            out.extend_from_slice(mantissa.as_bytes());
            out.extend_from_slice(b".0e");
            out.extend_from_slice(exponent.as_bytes());
        }
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

/// A JSON text without the white space between its tokens.
pub(crate) fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('"') {
        compact.extend(rest[..begin].split_ascii_whitespace());
        let length = string_length(&rest.as_bytes()[begin..]);
        compact.push_str(&rest[begin..begin + length]);
        rest = &rest[begin + length..];
    }
    compact.extend(rest.split_ascii_whitespace());
    compact
}

/// The bytes of the JSON string at the beginning, with its quotes. In a text that is JSON, as here, it ends.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(place) = text[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        at += place + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at = text.len().min(at + 1);
    }
    text.len()
}

/// The bytes of a base64 text, padded or not. White space does not count.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = if text.contains(SPACES) { Cow::Owned(text.replace(SPACES, "")) } else { Cow::Borrowed(text) };
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2
        || (text.len() != digits.len() && !text.len().is_multiple_of(4))
        || digits.len() % 4 == 1
    {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = VALUES[usize::from(digit)];
        if value >= 64 {
            return None;
        }
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// As [`from_base64`], of a text that has its padding.
pub(crate) fn from_padded_base64(text: &str) -> Option<Vec<u8>> {
    let length = text.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
    from_base64(text).filter(|_| length.is_multiple_of(4))
}

/// The bytes that are escaped in a string.
const IS_SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};
/// What each byte stands for in base64; 64 for nothing.
const VALUES: [u8; 256] = {
    let mut values = [64; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_and_bad_bytes_replaced_one_by_one() {
        assert_eq!(written(|out| string(out, "a\"\\\n\u{1}ü")), r#""a\"\\\n\u0001ü""#);
        assert_eq!(written(|out| lossy(out, b"a\xff\xfeb\xc3")), "\"a\u{fffd}\u{fffd}b\u{fffd}\"");
    }

    #[test]
    fn base64_goes_both_ways() {
        for (bytes, text) in [
            (b"".as_slice(), ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"\x14\x15\x16\x17", "FBUWFw=="),
        ] {
            assert_eq!(written(|out| base64(out, bytes)), format!("\"{text}\""));
            assert_eq!(from_base64(text).as_deref(), Some(bytes));
        }
        for text in ["Z", "Zg=", "Z*==", "Zg===", "===="] {
            assert_eq!(from_base64(text), None, "{text}");
        }
        assert_eq!(from_base64("Zm9v\n Zg"), Some(b"foof".to_vec()));
        assert_eq!(from_padded_base64("Zm9v\n Zg"), None);
        assert_eq!(from_padded_base64("Zm9v\n Zg=="), Some(b"foof".to_vec()));
    }

    #[test]
    fn numbers_are_exact_and_floats_keep_a_fraction() {
        for number in [0, -1, i64::MIN, i64::MAX, 1_700_000_000] {
            assert_eq!(written(|out| integer(out, number)), number.to_string());
        }
        for (number, text) in [
            (42.0, "42.0"),
            (0.1, "0.1"),
            (0.100_000_001_490_116_12, "0.10000000149011612"),
            (1e20, "1.0e20"),
        ] {
            assert_eq!(written(|out| float(out, number)), text);
        }
    }

    #[test]
    fn compact_leaves_strings_alone() {
        assert_eq!(compact("{ \"a b\" : [1 , \"\\\" x\"] }\n"), "{\"a b\":[1,\"\\\" x\"]}");
        assert_eq!(compact("[\"\\\\\" ,\t\"\\\\\\\"ä \" , 1 ]"), "[\"\\\\\",\"\\\\\\\"ä \",1]");
    }
}
