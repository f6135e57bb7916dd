//! CoAP tokens.

use std::fmt;

/// A CoAP token: up to 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token {
    bytes: [u8; 8],
    length: u8,
}

impl Token {
    /// The token of these bytes; none if there are more than 8.
    pub fn from_slice(slice: &[u8]) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..slice.len())?.copy_from_slice(slice);
        Some(Self { bytes, length: u8::try_from(slice.len()).ok()? })
    }

    /// The bytes, as they stand in a datagram.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether it has no bytes at all.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl From<[u8; 8]> for Token {
    fn from(bytes: [u8; 8]) -> Self {
        Self { bytes, length: 8 }
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_up_to_eight_bytes() {
        assert_eq!(Token::from_slice(&[]), Some(Token::default()));
        assert_eq!(Token::from_slice(&[0; 9]), None);
        let token = Token::from_slice(&[0xb1, 0x0e, 0, 0]).unwrap();
        assert_eq!(token.as_bytes(), [0xb1, 0x0e, 0, 0]);
        assert_eq!(token.to_string(), "b10e0000");
        assert_ne!(token, Token::from_slice(&[0xb1, 0x0e]).unwrap());
    }
}
