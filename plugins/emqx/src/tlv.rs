//! OMA TLV: its structure, for the rules by which EMQX makes paths of it, and its headers.

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: EntryKind,
    pub(crate) id: u16,
    pub(crate) body: Body<'a>,
}

/// The type of an entry (core 1.2.1 section 7.4.3, bits 7 and 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    ObjectInstance,
    ResourceInstance,
    MultipleResource,
    Resource,
}

/// What is in an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Value(&'a [u8]),
    Entries(Vec<Entry<'a>>),
}

/// Reads a payload. None if it is truncated or nested wrongly.
pub(crate) fn parse(payload: &[u8]) -> Option<Vec<Entry<'_>>> {
    parse_level(payload, 0)
}

fn parse_level(payload: &[u8], level: u8) -> Option<Vec<Entry<'_>>> {
    // Instance, resource, resource instance: nothing legal is deeper, and nesting must not cost a stack.
    if level > 2 {
        return None;
    }
    let mut entries = Vec::new();
    let mut rest = payload;
    while let [first, tail @ ..] = rest {
        let (id, tail) = number(tail, if first & 0x20 == 0 { 1 } else { 2 })?;
        let (length, tail) = match first >> 3 & 3 {
            0 => (usize::from(first & 7), tail),
            bytes => number(tail, bytes.into())?,
        };
        let value = tail.get(..length)?;
        rest = &tail[length..];
        let kind = match first >> 6 {
            0 => EntryKind::ObjectInstance,
            1 => EntryKind::ResourceInstance,
            2 => EntryKind::MultipleResource,
            _ => EntryKind::Resource,
        };
        let body = match kind {
            EntryKind::ObjectInstance => {
                let below = parse_level(value, level + 1)?;
                let is_resource =
                    |of: &Entry<'_>| matches!(of.kind, EntryKind::Resource | EntryKind::MultipleResource);
                below.iter().all(is_resource).then_some(Body::Entries(below))?
            }
            EntryKind::MultipleResource => {
                let below = parse_level(value, level + 1)?;
                below
                    .iter()
                    .all(|of| of.kind == EntryKind::ResourceInstance)
                    .then_some(Body::Entries(below))?
            }
            _ => Body::Value(value),
        };
        entries.push(Entry { kind, id: u16::try_from(id).ok()?, body });
    }
    Some(entries)
}

fn number(bytes: &[u8], length: usize) -> Option<(usize, &[u8])> {
    let number = bytes.get(..length)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    Some((number, &bytes[length..]))
}

/// Appends an entry.
pub(crate) fn write(out: &mut Vec<u8>, kind: EntryKind, id: u16, body: &[u8]) {
    let kind = match kind {
        EntryKind::ObjectInstance => 0,
        EntryKind::ResourceInstance => 0x40,
        EntryKind::MultipleResource => 0x80,
        EntryKind::Resource => 0xc0,
    };
    let id_size = if id > 255 { 0x20 } else { 0 };
    // A length of 24 bits is the most there is; bodies are bounded far below by the size of a message.
    let length = body.len();
    let length_size: usize = match length {
        0..=7 => 0,
        8..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 3,
    };
    let inline = if length_size == 0 { length as u8 } else { (length_size as u8) << 3 };
    out.push(kind | id_size | inline);
    out.extend_from_slice(&id.to_be_bytes()[usize::from(id_size == 0)..]);
    out.extend_from_slice(&length.to_be_bytes()[size_of::<usize>() - length_size..]);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_written_as_they_are_read() {
        for (id, length, header) in [
            (14, 3, vec![0xc3, 14]),
            (14, 8, vec![0xc8, 14, 8]),
            (300, 1, vec![0xe1, 1, 44]),
            (1, 300, vec![0xd0, 1, 1, 44]),
        ] {
            let mut out = Vec::new();
            let body = vec![b'x'; length];
            write(&mut out, EntryKind::Resource, id, &body);
            assert_eq!(out[..header.len()], header);
            assert_eq!(
                parse(&out).unwrap(),
                [Entry { kind: EntryKind::Resource, id, body: Body::Value(&body) }]
            );
        }
    }

    #[test]
    fn what_is_cut_short_or_nested_wrongly_is_refused() {
        for bytes in
            [b"\xc8\x00".as_slice(), b"\xc3\x00ab", b"\x83\x06\xc1\x00\x01", b"\x04\x00\x41\x00\x01\x01"]
        {
            assert_eq!(parse(bytes), None, "{bytes:02x?}");
        }
        assert_eq!(parse(b""), Some(vec![]));
    }
}
