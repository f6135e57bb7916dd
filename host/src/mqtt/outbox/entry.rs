//! A publication as it stands in a lane's log.
//!
//! ```text
//! record  = length u32 | checksum u32 | body        length: of the body, bytes; all numbers little-endian
//! body    = flags u8 | topic | payload | [ properties ]
//! flags   = QoS (bits 0 and 1) | retain (bit 2) | has properties (bit 3)
//! ```
//!
//! The checksum (CRC-32) is over the publication's number and the body, so that what is left of an older log at the same
//! place is no record of this one. Texts and bytes are their length, u32, and themselves; of what may be missing the first
//! byte says whether it is there.

use crate::mqtt::publication::{Properties, Publication, QoS};

/// Appends the record of the publication with this number. Says how many bytes it has.
pub(super) fn write(buffer: &mut Vec<u8>, number: u64, publication: &Publication) -> u64 {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEADER]);
    let Publication { topic, payload, qos, retain, properties } = publication;
    let qos = match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    };
    buffer.push(qos | u8::from(*retain) << 2 | u8::from(properties.is_some()) << 3);
    write_bytes(buffer, topic.as_bytes());
    write_bytes(buffer, payload);
    if let Some(properties) = properties {
        write_properties(buffer, properties);
    }
    let body = start + HEADER;
    let length = u32::try_from(buffer.len() - body).unwrap_or(u32::MAX);
    let checksum = checksum(number, &buffer[body..]);
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    buffer[start + 4..body].copy_from_slice(&checksum.to_le_bytes());
    (buffer.len() - start) as u64
}

/// Reads the first record of `bytes`, which is to have this number; says how many bytes it has.
///
/// # Errors
/// There is no whole record, or it is not what was written.
pub(super) fn read(bytes: &[u8], number: u64) -> Result<(Publication, u64), Unreadable> {
    let header = bytes.first_chunk::<HEADER>().ok_or(Unreadable::Short)?;
    let [a, b, c, d, checks @ ..] = *header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > LONGEST {
        return Err(Unreadable::Damaged);
    }
    let body = bytes.get(HEADER..HEADER + length).ok_or(Unreadable::Short)?;
    if checksum(number, body) != u32::from_le_bytes(checks) {
        return Err(Unreadable::Damaged);
    }
    let publication = publication(&mut Reader(body)).ok_or(Unreadable::Damaged)?;
    Ok((publication, (HEADER + length) as u64))
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The bytes end before it does.
    Short,
    /// They are not what was written.
    Damaged,
}

fn checksum(number: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn write_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    // A packet is far smaller than 4 GiB: `Publication::check` and the session's limit see to that.
    buffer.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    buffer.extend_from_slice(bytes);
}

fn write_option(buffer: &mut Vec<u8>, bytes: Option<&[u8]>) {
    buffer.push(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        write_bytes(buffer, bytes);
    }
}

fn write_properties(buffer: &mut Vec<u8>, properties: &Properties) {
    let Properties { response_topic, correlation, expiry, content_type, user } = properties;
    write_option(buffer, response_topic.as_ref().map(String::as_bytes));
    write_option(buffer, correlation.as_deref());
    write_option(buffer, expiry.map(u32::to_le_bytes).as_ref().map(<[u8; 4]>::as_slice));
    write_option(buffer, content_type.as_ref().map(String::as_bytes));
    buffer.extend_from_slice(&u32::try_from(user.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (name, value) in user {
        write_bytes(buffer, name.as_bytes());
        write_bytes(buffer, value.as_bytes());
    }
}

/// What is left of a body.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(read(self)?)),
            _ => None,
        }
    }
}

fn publication(body: &mut Reader<'_>) -> Option<Publication> {
    let flags = body.byte()?;
    let qos = match flags & 3 {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        2 => QoS::ExactlyOnce,
        _ => return None,
    };
    let topic = body.text()?;
    let payload = body.bytes()?.to_vec();
    let properties = if flags & 8 == 0 { None } else { Some(Box::new(properties(body)?)) };
    body.0.is_empty().then_some(Publication { topic, payload, qos, retain: flags & 4 != 0, properties })
}

fn properties(body: &mut Reader<'_>) -> Option<Properties> {
    let response_topic = body.option(Reader::text)?;
    let correlation = body.option(|body| Some(body.bytes()?.to_vec()))?;
    let expiry = body.option(|body| body.bytes()?.try_into().ok().map(u32::from_le_bytes))?;
    let content_type = body.option(Reader::text)?;
    let users = body.number()?;
    let mut user = Vec::new();
    for _ in 0..users {
        user.push((body.text()?, body.text()?));
    }
    Some(Properties { response_topic, correlation, expiry, content_type, user })
}

/// Length and checksum.
pub(super) const HEADER: usize = 8;
/// A body is never longer: an MQTT packet has 256 MiB at most (MQTT 5, 1.5.5), and the record adds little to it.
const LONGEST: usize = 272 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn publications() -> impl Strategy<Value = Publication> {
        let qos = prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let properties = (
            any::<Option<String>>(),
            prop::option::of(bytes()),
            any::<Option<u32>>(),
            any::<Option<String>>(),
            prop::collection::vec(any::<(String, String)>(), 0..3),
        );
        let properties = properties.prop_map(|(response_topic, correlation, expiry, content_type, user)| {
            Box::new(Properties { response_topic, correlation, expiry, content_type, user })
        });
        (any::<String>(), bytes(), qos, any::<bool>(), prop::option::of(properties)).prop_map(
            |(topic, payload, qos, retain, properties)| Publication {
                topic,
                payload,
                qos,
                retain,
                properties,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(publication in publications(), number: u64, rest in prop::collection::vec(any::<u8>(), 0..9)) {
            let mut bytes = Vec::new();
            let length = write(&mut bytes, number, &publication);
            prop_assert_eq!(length, bytes.len() as u64);
            bytes.extend(rest);
            prop_assert_eq!(read(&bytes, number), Ok((publication, length)));
        }

        #[test]
        fn a_record_that_was_cut_or_changed_is_none(publication in publications(), number: u64, at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = Vec::new();
            write(&mut bytes, number, &publication);
            let at = at.index(bytes.len());
            prop_assert_eq!(read(&bytes[..at], number), Err(Unreadable::Short));
            prop_assert_eq!(read(&bytes, number.wrapping_add(1)), Err(Unreadable::Damaged));
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes, number).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), number: u64) {
            let _ = read(&bytes, number);
            let _ = publication(&mut Reader(&bytes));
        }
    }
}
