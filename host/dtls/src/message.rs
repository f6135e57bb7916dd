//! Checks plaintext records of a handshake before OpenSSL sees them.

/// What has come in one handshake.
#[derive(Debug, Default)]
pub struct Flow {
    bytes: usize,
}

/// The record is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal;

impl Flow {
    /// Whether OpenSSL may see this record.
    ///
    /// # Errors
    /// When it must not.
    pub fn admit(&mut self, record: &[u8]) -> Result<(), Refusal> {
        let (header, mut body) = record.split_at_checked(13).ok_or(Refusal)?;
        self.bytes += record.len();
        if self.bytes > 65_536 || body.is_empty() {
            return Err(Refusal);
        }
        while header[0] == 22 && !body.is_empty() {
            let message = body.get(..12).ok_or(Refusal)?;
            let number =
                |at: usize| u32::from_be_bytes([0, message[at], message[at + 1], message[at + 2]]) as usize;
            let (length, offset, fragment) = (number(1), number(6), number(9));
            if length > 8_192 || offset + fragment > length || message[4] != 0 || message[5] > 9 {
                return Err(Refusal);
            }
            body = body.get(12 + fragment..).ok_or(Refusal)?;
        }
        Ok(())
    }
}
