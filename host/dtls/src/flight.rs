//! A flight of handshake messages of ours (RFC 6347 section 4.2.4), and how it is written once more.
//!
//! OpenSSL makes the messages; [`handshake`](super::handshake) takes its datagrams apart. Each time a flight is sent
//! its records get new numbers: those of epoch 0 are under no MAC and continue after the ClientHello's, as RFC 6347
//! section 4.2.1 wants it; those of epoch 1 are sealed anew by our own record layer. What OpenSSL has sealed never
//! leaves the process, so that no nonce is used by two.

use crate::record::{self, Header, RecordLayer};

/// Datagrams that are sent together, and again together.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    datagrams: Vec<Vec<Record>>,
}

#[derive(Debug)]
enum Record {
    /// Epoch 0: content type and version as OpenSSL has written them, and the content.
    Plain { start: [u8; 3], content: Vec<u8> },
    /// To be sealed by our record layer.
    Own { content_type: u8, content: Vec<u8> },
    /// Of a suite whose records OpenSSL seals; once more it is the same record.
    Engine(Vec<u8>),
}

impl Flight {
    /// Takes OpenSSL's datagrams apart. `layer` is none if the suite's records are OpenSSL's.
    pub(crate) fn take(datagrams: &[Vec<u8>], layer: Option<&RecordLayer>) -> Self {
        let datagrams = datagrams.iter().map(|datagram| {
            record::split(datagram, 0).filter_map(|range| Record::take(&datagram[range], layer)).collect()
        });
        Self { datagrams: datagrams.collect() }
    }

    /// Writes its datagrams. `sequence` is the next number for a record of epoch 0.
    pub(crate) fn write(
        &self,
        sequence: &mut u64,
        mut layer: Option<&mut RecordLayer>,
        mut send: impl FnMut(Vec<u8>),
    ) {
        for records in &self.datagrams {
            let mut datagram = Vec::new();
            for record in records {
                record.write(sequence, layer.as_deref_mut(), &mut datagram);
            }
            if !datagram.is_empty() {
                send(datagram);
            }
        }
    }
}

impl Record {
    fn take(record: &[u8], layer: Option<&RecordLayer>) -> Option<Self> {
        let header = Header::parse(record, 0)?;
        if header.epoch == 0 {
            let start = [record[0], record[1], record[2]];
            return Some(Self::Plain { start, content: record[header.header_length..].to_vec() });
        }
        match layer {
            Some(layer) => {
                let (content_type, content) = layer.open_own(record)?;
                Some(Self::Own { content_type, content })
            }
            None => Some(Self::Engine(record.to_vec())),
        }
    }

    fn write(&self, sequence: &mut u64, layer: Option<&mut RecordLayer>, datagram: &mut Vec<u8>) {
        match self {
            Self::Plain { start, content } => {
                let Ok(length) = u16::try_from(content.len()) else { return };
                datagram.extend_from_slice(start);
                // Epoch 0 and 48 bits of number.
                datagram.extend_from_slice(&(*sequence & MAX_SEQUENCE).to_be_bytes());
                datagram.extend_from_slice(&length.to_be_bytes());
                datagram.extend_from_slice(content);
                *sequence += 1;
            }
            Self::Own { content_type, content } => {
                let Some(layer) = layer else { return };
                // It cannot be sealed only if numbers are used up, which a handshake is far from.
                let _ = layer.seal(*content_type, content, datagram);
            }
            Self::Engine(record) => datagram.extend_from_slice(record),
        }
    }
}

const MAX_SEQUENCE: u64 = (1 << 48) - 1;
