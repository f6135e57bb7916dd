//! One connection: its bytes in and out.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::Instant;

use crate::mqtt::packet::{Codec, Incoming};
use crate::mqtt::publication::Publication;
use crate::mqtt::transport::{Failure, Stream};

/// What a connection reads and writes. None of it survives the connection.
pub(super) struct Line {
    pub(super) codec: Codec,
    pub(super) output: BytesMut,
    /// A message of the broker that nobody has taken yet, and its packet identifier: nothing else is read meanwhile.
    pub(super) waiting: Option<(Publication, u16)>,
    /// DISCONNECT is written.
    pub(super) leaving: bool,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    input: BytesMut,
    /// Bytes written so far.
    written: u64,
    /// Something was written, but not all of it may have left.
    unflushed: bool,
    /// When something was written last, and when something was read.
    said: Instant,
    heard: Instant,
    /// When PINGREQ was written last, if nothing was read since.
    pinged: Option<Pinged>,
}

/// What a connection is ready for.
pub(super) enum Ready {
    /// It has read something.
    Read,
    /// So many bytes are written since it began.
    Written(u64),
    /// The broker has ended it.
    End,
}

/// A PINGREQ that nothing was read after.
#[derive(Clone, Copy)]
struct Pinged {
    /// When it was put behind the output, and once it has left that, when it did.
    at: Instant,
    /// How many bytes of the connection are written when it is.
    end: u64,
}

enum Done {
    Read(std::io::Result<usize>),
    /// 0 bytes are a flush.
    Written(std::io::Result<usize>),
}

impl Line {
    pub(super) fn new(stream: Box<dyn Stream>, codec: Codec) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let now = Instant::now();
        Self {
            codec,
            output: BytesMut::new(),
            waiting: None,
            leaving: false,
            reader,
            writer,
            input: BytesMut::new(),
            written: 0,
            unflushed: false,
            said: now,
            heard: now,
            pinged: None,
        }
    }

    /// Reads and writes until there is something to tell. May be cancelled: nothing is lost.
    pub(super) async fn exchange(&mut self) -> Result<Ready, Failure> {
        let Self { reader, writer, input, output, waiting, unflushed, .. } = self;
        input.reserve(INPUT);
        let (has_output, is_writing) = (!output.is_empty(), !output.is_empty() || *unflushed);
        let write =
            async { if has_output { writer.write(output).await } else { writer.flush().await.map(|()| 0) } };
        let done = tokio::select! {
            read = reader.read_buf(input), if waiting.is_none() => Done::Read(read),
            written = write, if is_writing => Done::Written(written),
            else => std::future::pending().await,
        };
        match done {
            Done::Read(Ok(0)) => Ok(Ready::End),
            Done::Read(Ok(_)) => {
                self.pinged = None;
                self.heard = Instant::now();
                Ok(Ready::Read)
            }
            Done::Written(Ok(0)) if has_output => Err(Failure::closed()),
            Done::Written(Ok(bytes)) => {
                self.output.advance(bytes);
                self.written += bytes as u64;
                self.unflushed = has_output;
                self.said = Instant::now();
                // On a slow line it waits behind much else.
                if let Some(pinged) = self.pinged.as_mut().filter(|it| it.end > self.written - bytes as u64) {
                    pinged.at = self.said;
                }
                Ok(Ready::Written(self.written))
            }
            Done::Read(Err(error)) | Done::Written(Err(error)) => Err(Failure::io(&error)),
        }
    }

    /// The next packet of what was read.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Failure> {
        let malformed = |error| Failure(format!("the broker has sent what is no MQTT: {error}"));
        self.codec.read(&mut self.input).map_err(malformed)
    }

    /// How many bytes of the connection are written when all of the output is.
    pub(super) fn end(&self) -> u64 {
        self.written + self.output.len() as u64
    }

    /// When it has to be shown that the connection is alive: to the broker after a silence from here, and to us after one of
    /// the broker. Whoever keeps writing to a broker that is gone is not told so by the system for many minutes.
    pub(super) fn ping_at(&self, keep_alive: std::time::Duration) -> Instant {
        self.pinged.map_or_else(|| self.said.min(self.heard), |pinged| pinged.at) + keep_alive
    }

    /// That time has come: asks the broker, unless it has not answered the last time.
    pub(super) fn ping(&mut self) -> Result<(), Failure> {
        // Who does not read cannot hear an answer.
        if self.pinged.is_some() && self.waiting.is_none() {
            return Err(Failure::timeout());
        }
        self.codec.ping(&mut self.output);
        self.pinged = Some(Pinged { at: Instant::now(), end: self.end() });
        Ok(())
    }
}

/// How much is read at once.
const INPUT: usize = 16 << 10;
