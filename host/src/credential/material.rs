//! Keys as they are written: hex, base64, PEM, DER. What is wrong with one is said without any of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::pkey::PKey;
use tidegate_dtls::credential::Key;
use zeroize::Zeroizing;

/// A pre-shared key from hex digits.
///
/// # Errors
/// What is wrong with them, without any of them.
pub fn key(hex: &str) -> Result<Key, String> {
    let mut bytes = Zeroizing::new(vec![0; hex.len() / 2]);
    decode_hex(hex, &mut bytes)?;
    // Copied into a box of its own, as shrinking a vector may leave its bytes behind.
    Ok(Key::new(Box::<[u8]>::from(bytes.as_slice())))
}

/// The DER of a public key from what a file holds: PEM, DER, or what can be written in `public-key`.
///
/// # Errors
/// When it is none of them.
pub fn public_key_from_file(bytes: &[u8]) -> Result<Vec<u8>, String> {
    // A SubjectPublicKeyInfo is a SEQUENCE; in text, 0x30 is the digit 0, which is how hex of one begins, too.
    let is_text = bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if bytes.first() == Some(&SEQUENCE) && !is_text {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "holds neither PEM nor DER".to_owned())?;
    public_key(text.trim())
}

/// The DER of a public key from base64 (or hex) of it, or from PEM.
///
/// # Errors
/// When it is none of them. What the DER holds is not looked at.
pub fn public_key(text: &str) -> Result<Vec<u8>, String> {
    if text.starts_with("-----BEGIN") {
        let key = PKey::public_key_from_pem(text.as_bytes())
            .map_err(|_| "is not a public key in PEM (\"BEGIN PUBLIC KEY\")".to_owned())?;
        return key.public_key_to_der().map_err(|_| "is a key that OpenSSL cannot write".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let mut bytes = vec![0; text.len() / 2];
        decode_hex(text, &mut bytes)?;
        return Ok(bytes);
    }
    let lines: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(lines).map_err(|_| "is neither base64 nor hex of a SubjectPublicKeyInfo".to_owned())
}

/// Fills `bytes`, which are half as many as the digits.
fn decode_hex(hex: &str, bytes: &mut [u8]) -> Result<(), String> {
    if let Some(place) = hex.bytes().position(|digit| !digit.is_ascii_hexdigit()) {
        return Err(format!("is not hex: character {} is none of 0 to 9 and a to f", place + 1));
    }
    if hex.len() % 2 == 1 {
        return Err(format!("has {} hex digits; two make a byte, so it must be an even number", hex.len()));
    }
    let digit =
        |of: u8| char::from(of).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or_default();
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    Ok(())
}

/// The first byte of DER (X.690 section 8.9).
const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_either_case() {
        assert_eq!(key("00Ff7a").unwrap().expose(), [0, 0xff, 0x7a]);
        assert!(key("").unwrap().expose().is_empty());
    }

    #[test]
    fn what_is_wrong_with_hex_is_said_without_it() {
        let odd = key("abc").unwrap_err();
        assert!(odd.starts_with("has 3 hex digits"), "{odd}");
        let wrong = key("ab:cd").unwrap_err();
        assert!(wrong.starts_with("is not hex: character 3 "), "{wrong}");
        // The place is that of a byte in what a person would call another character.
        assert!(key("äb").is_err());
    }

    #[test]
    fn a_public_key_is_the_same_in_every_form() {
        let curve = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(openssl::ec::EcKey::generate(&curve).unwrap()).unwrap();
        let der = key.public_key_to_der().unwrap();
        let hex: String = der.iter().map(|byte| format!("{byte:02X}")).collect();
        let pem = String::from_utf8(key.public_key_to_pem().unwrap()).unwrap();
        for text in [hex, STANDARD.encode(&der), pem] {
            assert_eq!(public_key(&text).as_ref(), Ok(&der), "{text}");
            assert_eq!(public_key_from_file(format!("\n{text}\n").as_bytes()).as_ref(), Ok(&der), "{text}");
        }
        assert_eq!(public_key_from_file(&der).as_ref(), Ok(&der));
        assert!(public_key("not a key").is_err());
        assert!(public_key("-----BEGIN CERTIFICATE-----").is_err());
        assert!(public_key_from_file(&[0xff; 9]).is_err());
    }
}
