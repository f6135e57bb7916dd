//! DTLS records and handshake messages as they are on the wire, so that tests can take datagrams to pieces.

/// A record (RFC 6347 section 4.1, RFC 9146 section 4), encrypted or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) content: u8,
    pub(crate) version: [u8; 2],
    pub(crate) epoch: u16,
    pub(crate) sequence: u64,
    pub(crate) cid: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Record {
    pub(crate) fn new(content: u8, epoch: u16, sequence: u64, payload: &[u8]) -> Self {
        Self { content, version: [0xfe, 0xfd], epoch, sequence, cid: Vec::new(), payload: payload.to_vec() }
    }

    /// The first record, and what follows it. `cid` is the length of connection IDs in this direction.
    pub(crate) fn split(datagram: &[u8], cid: usize) -> Option<(Self, &[u8])> {
        let cid = if *datagram.first()? == CID { cid } else { 0 };
        let header = datagram.get(..13 + cid)?;
        let length = usize::from(u16::from_be_bytes([header[11 + cid], header[12 + cid]]));
        let payload = datagram.get(13 + cid..13 + cid + length)?;
        let mut sequence = [0; 8];
        sequence[2..].copy_from_slice(&header[5..11]);
        let record = Self {
            content: header[0],
            version: [header[1], header[2]],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            sequence: u64::from_be_bytes(sequence),
            cid: header[11..11 + cid].to_vec(),
            payload: payload.to_vec(),
        };
        Some((record, &datagram[13 + cid + length..]))
    }

    /// All whole records of a datagram.
    pub(crate) fn all(mut datagram: &[u8], cid: usize) -> Vec<Self> {
        let mut records = Vec::new();
        while let Some((record, rest)) = Self::split(datagram, cid) {
            records.push(record);
            datagram = rest;
        }
        records
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.content];
        bytes.extend(self.version);
        bytes.extend(self.epoch_and_sequence());
        bytes.extend(&self.cid);
        bytes.extend(u16::try_from(self.payload.len()).unwrap().to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    pub(crate) fn epoch_and_sequence(&self) -> [u8; 8] {
        (u64::from(self.epoch) << 48 | self.sequence).to_be_bytes()
    }

    /// The handshake fragments in a record that is not encrypted.
    pub(crate) fn fragments(&self) -> Vec<Fragment> {
        let mut fragments = Vec::new();
        let is_plain = self.content == HANDSHAKE && self.epoch == 0;
        let mut rest = if is_plain { self.payload.as_slice() } else { &[] };
        while let Some((fragment, after)) = Fragment::split(rest) {
            fragments.push(fragment);
            rest = after;
        }
        fragments
    }

    /// Whether it has, in the clear, a handshake message of this type.
    pub(crate) fn has(&self, kind: u8) -> bool {
        self.fragments().iter().any(|fragment| fragment.kind == kind)
    }
}

/// A handshake message or a part of one (RFC 6347 section 4.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) kind: u8,
    pub(crate) length: u32,
    pub(crate) sequence: u16,
    pub(crate) offset: u32,
    pub(crate) body: Vec<u8>,
}

impl Fragment {
    /// A message in one piece.
    pub(crate) fn whole(kind: u8, sequence: u16, body: &[u8]) -> Self {
        Self { kind, length: u32::try_from(body.len()).unwrap(), sequence, offset: 0, body: body.to_vec() }
    }

    pub(crate) fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let header = bytes.get(..12)?;
        let of = |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let body = bytes.get(12..12 + of(9) as usize)?;
        let fragment = Self {
            kind: header[0],
            length: of(1),
            sequence: u16::from_be_bytes([header[4], header[5]]),
            offset: of(6),
            body: body.to_vec(),
        };
        Some((fragment, &bytes[12 + body.len()..]))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind];
        bytes.extend(&self.length.to_be_bytes()[1..]);
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(&self.offset.to_be_bytes()[1..]);
        bytes.extend(&u32::try_from(self.body.len()).unwrap().to_be_bytes()[1..]);
        bytes.extend(&self.body);
        bytes
    }

    /// The same message in pieces of at most so many bytes.
    pub(crate) fn cut(&self, size: usize) -> Vec<Self> {
        if self.body.is_empty() {
            return vec![self.clone()];
        }
        let pieces = self.body.chunks(size).enumerate();
        pieces
            .map(|(at, body)| Self {
                offset: u32::try_from(at * size).unwrap(),
                body: body.to_vec(),
                ..self.clone()
            })
            .collect()
    }
}

/// The parts of a ClientHello that tests change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: [u8; 2],
    pub(crate) random: [u8; 32],
    pub(crate) session_id: Vec<u8>,
    pub(crate) cookie: Vec<u8>,
    /// Suites, compression methods and extensions.
    pub(crate) rest: Vec<u8>,
}

impl Hello {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let id = usize::from(*body.get(34)?);
        let session_id = body.get(35..35 + id)?;
        let cookie = usize::from(*body.get(35 + id)?);
        Some(Self {
            version: [body[0], body[1]],
            random: body[2..34].try_into().ok()?,
            session_id: session_id.to_vec(),
            cookie: body.get(36 + id..36 + id + cookie)?.to_vec(),
            rest: body[36 + id + cookie..].to_vec(),
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = self.version.to_vec();
        body.extend(self.random);
        body.push(u8::try_from(self.session_id.len()).unwrap());
        body.extend(&self.session_id);
        body.push(u8::try_from(self.cookie.len()).unwrap());
        body.extend(&self.cookie);
        body.extend(&self.rest);
        body
    }

    /// As a datagram of one record.
    pub(crate) fn datagram(&self, message: u16, record: u64) -> Vec<u8> {
        let fragment = Fragment::whole(CLIENT_HELLO, message, &self.encode());
        Record::new(HANDSHAKE, 0, record, &fragment.encode()).encode()
    }
}

pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
/// tls12_cid (RFC 9146 section 7.3).
pub(crate) const CID: u8 = 25;

pub(crate) const CLIENT_HELLO: u8 = 1;
pub(crate) const SERVER_HELLO: u8 = 2;
pub(crate) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(crate) const CERTIFICATE: u8 = 11;
pub(crate) const SERVER_HELLO_DONE: u8 = 14;
pub(crate) const CERTIFICATE_VERIFY: u8 = 15;
pub(crate) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(crate) const FINISHED: u8 = 20;
