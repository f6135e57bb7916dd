//! Numbers without limits, as Erlang has them: decimal text to bytes and back, and floats as text.

/// Whether a text is an integer: an optional sign and digits.
pub(crate) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A float: an optional sign, digits, a point, digits, and maybe an exponent. Nothing else counts as one.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || exponent.is_some_and(|exponent| !is_integer(exponent)) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// An integer's text as JSON has it: without a plus sign and leading zeros.
pub(crate) fn normal(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => format!("{sign}{digits}"),
    }
}

/// The decimal text of big-endian bytes.
pub(crate) fn to_decimal(bytes: &[u8], is_signed: bool) -> String {
    if let Ok(eight) = <[u8; 8]>::try_from(extend(bytes, is_signed).as_slice()) {
        let number = i64::from_be_bytes(eight);
        if is_signed || number >= 0 {
            return number.to_string();
        }
    }
    let is_negative = is_signed && bytes.first().is_some_and(|byte| *byte >= 0x80);
    let mut magnitude = if is_negative { negate(bytes) } else { bytes.to_vec() };
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_u32;
        for byte in &mut magnitude {
            let value = remainder << 8 | u32::from(*byte);
            *byte = (value / 10) as u8;
            remainder = value % 10;
        }
        digits.push(char::from(b'0' + remainder as u8));
    }
    let sign = if is_negative { "-" } else { "" };
    if digits.is_empty() { "0".to_owned() } else { sign.chars().chain(digits.into_iter().rev()).collect() }
}

/// Up to eight bytes as eight.
fn extend(bytes: &[u8], is_signed: bool) -> Vec<u8> {
    let fill = if is_signed && bytes.first().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
    let mut extended = vec![fill; 8_usize.saturating_sub(bytes.len())];
    extended.extend_from_slice(bytes);
    extended
}

/// The big-endian bytes of an integer's text as EMQX writes them: unsigned and as short as can be from zero on, two's
/// complement and as short as can be below.
pub(crate) fn to_emqx_bytes(text: &str) -> Vec<u8> {
    let digits = text.trim_start_matches(['+', '-']);
    let magnitude = magnitude(digits);
    if !text.starts_with('-') || magnitude == [0] {
        return magnitude;
    }
    let mut bytes = vec![0];
    bytes.extend_from_slice(&magnitude);
    let mut bytes = negate(&bytes);
    while bytes.len() > 1 && bytes[0] == 0xff && bytes[1] >= 0x80 {
        bytes.remove(0);
    }
    bytes
}

/// The bytes of a decimal text without sign, as short as can be; zero is one byte.
fn magnitude(digits: &str) -> Vec<u8> {
    if let Ok(number) = digits.parse::<u64>() {
        let bytes = number.to_be_bytes();
        let start = (number.leading_zeros() / 8).min(7) as usize;
        return bytes[start..].to_vec();
    }
    // Least significant byte first while it grows.
    let mut bytes: Vec<u8> = vec![0];
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            let value = u32::from(*byte) * 10 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.reverse();
    bytes
}

fn negate(bytes: &[u8]) -> Vec<u8> {
    let mut negated: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    for byte in negated.iter_mut().rev() {
        let (sum, has_carry) = byte.overflowing_add(1);
        *byte = sum;
        if !has_carry {
            break;
        }
    }
    negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_bytes_that_emqx_gives_them() {
        for (text, expected) in [
            ("0", vec![0]),
            ("127", vec![0x7f]),
            ("128", vec![0x80]),
            ("255", vec![0xff]),
            ("65536", vec![1, 0, 0]),
            ("12345", vec![0x30, 0x39]),
            ("1700000000", vec![0x65, 0x53, 0xf1, 0]),
            ("18446744073709551616", vec![1, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("-1", vec![0xff]),
            ("-128", vec![0x80]),
            ("-129", vec![0xff, 0x7f]),
            ("-100000", vec![0xfe, 0x79, 0x60]),
            ("+5", vec![5]),
            ("-0", vec![0]),
        ] {
            assert_eq!(to_emqx_bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_of_any_length_are_read() {
        assert_eq!(to_decimal(&[], true), "0");
        assert_eq!(to_decimal(&[0xff], true), "-1");
        assert_eq!(to_decimal(&[0xff], false), "255");
        assert_eq!(to_decimal(&[0xff; 8], false), "18446744073709551615");
        assert_eq!(to_decimal(&[1, 0, 0, 0, 0, 0, 0, 0, 0], true), "18446744073709551616");
        assert_eq!(to_decimal(&[0xff; 20], true), "-1");
        assert_eq!(to_decimal(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0], true), "-2361183241434822606848");
    }

    #[test]
    fn the_grammar_of_numbers_in_text() {
        for text in ["5", "+5", "-5", "007"] {
            assert!(is_integer(text), "{text}");
        }
        for text in ["", "+", " 5", "5 ", "1e3", "5.0"] {
            assert!(!is_integer(text), "{text:?}");
        }
        assert_eq!(parse_float("12.5"), Some(12.5));
        assert_eq!(parse_float("-1.5e3"), Some(-1500.0));
        for text in [".5", "5.", "1e3", "inf", "nan", "1.5e", "1.0e999"] {
            assert_eq!(parse_float(text), None, "{text}");
        }
        assert_eq!(normal("+007"), "7");
        assert_eq!(normal("-0"), "0");
    }
}
