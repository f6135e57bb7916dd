//! MQTT packets as far as a broker that keeps nothing must read them (MQTT 3.1.1 and 5, section 2), without copying. `sink` takes a
//! stream apart with it.

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// The protocol's version: 4 or 5.
    Connect(u8),
    Publish(Publish<'a>),
    /// Its identifier, and how many filters there are.
    Subscribe(u16, usize),
    /// The same.
    Unsubscribe(u16, usize),
    /// The second step of QoS 2.
    Release(u16),
    Ping,
    /// Nothing that is answered.
    Other,
}

/// A PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Publish<'a> {
    pub(super) topic: &'a [u8],
    /// QoS and identifier; none: QoS 0.
    pub(super) acknowledge: Option<(u8, u16)>,
    pub(super) payload: &'a [u8],
}

/// Not MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no MQTT packet")]
pub(super) struct Malformed;

/// The first packet of these bytes and its length; none: not all of it is there. `version` is that of the CONNECT.
pub(super) fn parse(bytes: &[u8], version: u8) -> Result<Option<(Packet<'_>, usize)>, Malformed> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let Some((length, header)) = variable(&bytes[1..])? else { return Ok(None) };
    let end = 1 + header + length;
    let Some(body) = bytes.get(1 + header..end) else { return Ok(None) };
    let mut body = Body(body);
    let packet = match first >> 4 {
        1 => {
            body.text()?;
            Packet::Connect(body.byte()?)
        }
        3 => Packet::Publish(publish(first, body, version)?),
        6 => Packet::Release(body.number()?),
        8 => {
            let (id, count) = body.filters(version, 1)?;
            Packet::Subscribe(id, count)
        }
        10 => {
            let (id, count) = body.filters(version, 0)?;
            Packet::Unsubscribe(id, count)
        }
        12 => Packet::Ping,
        _ => Packet::Other,
    };
    Ok(Some((packet, end)))
}

/// A PUBLISH of QoS 0, as the sink sends commands; it has no properties.
pub(super) fn publish_into(topic: &str, payload: &[u8], version: u8, out: &mut Vec<u8>) {
    let properties = usize::from(version >= 5);
    out.push(0x30);
    let mut length = 2 + topic.len() + properties + payload.len();
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        out.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(&u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.resize(out.len() + properties, 0);
    out.extend_from_slice(payload);
}

fn publish(first: u8, mut body: Body<'_>, version: u8) -> Result<Publish<'_>, Malformed> {
    let topic = body.text()?;
    let acknowledge = match first >> 1 & 3 {
        0 => None,
        qos => Some((qos, body.number()?)),
    };
    if version >= 5 {
        body.skip_properties()?;
    }
    Ok(Publish { topic, acknowledge, payload: body.0 })
}

struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().map_err(|_| Malformed)?))
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(length.into())
    }

    fn skip_properties(&mut self) -> Result<(), Malformed> {
        let (length, header) = variable(self.0)?.ok_or(Malformed)?;
        self.take(header + length).map(|_| ())
    }

    /// Identifier and count of topic filters, each followed by so many bytes.
    fn filters(&mut self, version: u8, behind: usize) -> Result<(u16, usize), Malformed> {
        let id = self.number()?;
        if version >= 5 {
            self.skip_properties()?;
        }
        let mut count = 0;
        while !self.0.is_empty() {
            self.text()?;
            self.take(behind)?;
            count += 1;
        }
        Ok((id, count))
    }
}

/// A variable byte integer and how many bytes it has (MQTT 5, 1.5.5).
fn variable(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Malformed) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packets_of_both_versions_are_read() {
        let connect = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x00";
        assert_eq!(parse(connect, 4), Ok(Some((Packet::Connect(5), connect.len()))));
        let subscribe = b"\x82\x09\x00\x07\x00\x00\x03a/#\x00";
        assert_eq!(parse(subscribe, 5), Ok(Some((Packet::Subscribe(7, 1), subscribe.len()))));
        let publish = b"\x32\x0a\x00\x01t\x00\x09\x02\x01\x01hi";
        let expected = Publish { topic: b"t", acknowledge: Some((1, 9)), payload: b"hi" };
        assert_eq!(parse(publish, 5), Ok(Some((Packet::Publish(expected), publish.len()))));
        let expected = Publish { topic: b"t", acknowledge: Some((1, 9)), payload: b"\x02\x01\x01hi" };
        assert_eq!(parse(publish, 4), Ok(Some((Packet::Publish(expected), publish.len()))));
        assert_eq!(parse(b"\xc0\x00", 4), Ok(Some((Packet::Ping, 2))));
        assert_eq!(parse(b"\x30\xff\xff\xff\xff\x01", 4), Err(Malformed));
        assert_eq!(parse(b"\x30\x01\x00", 4), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_published_is_read_again(
            topic in "[a-z/]{0,40}", payload in prop::collection::vec(any::<u8>(), 0..40_000), is_5: bool,
        ) {
            let (version, mut bytes) = (if is_5 { 5 } else { 4 }, Vec::new());
            publish_into(&topic, &payload, version, &mut bytes);
            let expected = Publish { topic: topic.as_bytes(), acknowledge: None, payload: &payload };
            prop_assert_eq!(parse(&bytes, version), Ok(Some((Packet::Publish(expected), bytes.len()))));
            prop_assert_eq!(parse(&bytes[..bytes.len() - 1], version), Ok(None));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, is_5: bool) {
            let _ = parse(&bytes, if is_5 { 5 } else { 4 });
        }
    }
}
