//! Amazon's event stream: `application/vnd.amazon.eventstream`, bytes in, messages out.
//!
//! ```text
//!  total length │ headers length │ CRC-32 of these │ headers │ payload │ CRC-32 of all before
//!       4       │       4        │        4        │         │         │          4
//! ```
//!
//! Numbers are big-endian, and the CRC-32 is zlib's. Both are checked, and so is each header. The
//! lengths are believed only once their own checksum fits, and nothing of a message over a cap is
//! kept. A message that lies whole in one push is borrowed from it; one that a push cuts is copied
//! once.
//!
//! # Not supported
//! Headers that are no text are checked and then ignored: none that counts is of another type. A
//! signature (`:chunk-signature`) is not verified: answers have none.

use std::fmt;

use super::sse;

/// Most bytes of a message's headers, as the format has it.
pub const MAX_HEADER_BYTES: usize = 128 << 10;

/// Most bytes of a message's payload. The format allows 24 MiB, but an event is no larger here than
/// one of any other stream.
pub const MAX_PAYLOAD_BYTES: usize = sse::MAX_EVENT_BYTES;

/// The lengths and their checksum.
const PRELUDE_BYTES: usize = 12;

/// What a message takes beside headers and payload.
const FRAME_BYTES: usize = PRELUDE_BYTES + 4;

/// One message, whole and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    headers: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

/// Why the bytes are no event stream, or none that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A checksum does not fit.
    Checksum,
    /// The lengths contradict each other.
    Length,
    /// A message has more than [`MAX_HEADER_BYTES`] of headers or [`MAX_PAYLOAD_BYTES`].
    TooLarge,
    /// The headers are not of the format.
    Header,
    /// The bytes ended within a message.
    Cut,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "a message of the event stream has a wrong checksum",
            Self::Length => "a message of the event stream has an impossible length",
            Self::TooLarge => "a message of the event stream is too large",
            Self::Header => "a message of the event stream has malformed headers",
            Self::Cut => "the event stream ended within a message",
        })
    }
}

impl std::error::Error for Fault {}

/// Decodes one stream. How the bytes are cut into pushes never changes the messages.
#[derive(Debug, Default)]
pub struct Decoder {
    phase: Phase,
    /// The start of a message whose end has not come yet.
    pending: Vec<u8>,
}

/// ```text
///           12 bytes, checked
///  Prelude ◄────────────────► Body(length of the message)
///     │      the whole message    │
///     ├───────────────────────────┤
///     ▼                           ▼
///  Closed   the end, or an error of the sink        Failed   what is no event stream
/// ```
#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Prelude,
    Body(Lengths),
    Closed,
    Failed(Fault),
}

/// What a prelude says, within the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lengths {
    total: usize,
    headers: usize,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds bytes and calls `sink` for each message that they complete.
    ///
    /// # Errors
    /// The first error of `sink`; the rest of `bytes` and all later bytes are then dropped. A
    /// [`Fault`], which every later call gives again. Both free what was pending.
    pub fn push<E: From<Fault>>(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let read = self.read(bytes, sink);
        if read.is_err() {
            self.stop();
        }
        read
    }

    /// The end of the stream. Later bytes are dropped.
    ///
    /// # Errors
    /// [`Fault::Cut`] when a message has begun, or the fault that was already found.
    pub fn finish(&mut self) -> Result<(), Fault> {
        let end = match self.phase {
            Phase::Failed(fault) => Err(fault),
            _ if !self.pending.is_empty() => Err(Fault::Cut),
            Phase::Prelude | Phase::Body(_) | Phase::Closed => Ok(()),
        };
        if let Err(fault) = end {
            self.phase = Phase::Failed(fault);
        }
        self.stop();
        end
    }

    fn read<E: From<Fault>>(
        &mut self,
        mut rest: &[u8],
        sink: &mut dyn FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let wanted = match self.phase {
                Phase::Prelude => PRELUDE_BYTES,
                Phase::Body(lengths) => lengths.total,
                Phase::Closed => return Ok(()),
                Phase::Failed(fault) => return Err(fault.into()),
            };
            let missing = wanted.saturating_sub(self.pending.len());
            // Borrowed: the prelude is not taken off, since the message's checksum covers it.
            if self.pending.is_empty() {
                let Some((head, tail)) = rest.split_at_checked(wanted) else { break };
                match self.phase {
                    Phase::Body(lengths) => {
                        rest = tail;
                        self.phase = Phase::Prelude;
                        self.give(head, lengths, sink)?;
                    }
                    _ => self.prelude(head)?,
                }
                continue;
            }
            let Some((head, tail)) = rest.split_at_checked(missing) else { break };
            self.pending.extend_from_slice(head);
            rest = tail;
            match self.phase {
                Phase::Body(lengths) => {
                    self.phase = Phase::Prelude;
                    let mut whole = std::mem::take(&mut self.pending);
                    self.give(&whole, lengths, sink)?;
                    whole.clear();
                    self.pending = whole;
                }
                _ => {
                    let lengths = Lengths::read(&self.pending);
                    self.phase = Phase::Body(self.checked(lengths)?);
                }
            }
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    fn prelude(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.phase = Phase::Body(self.checked(Lengths::read(bytes))?);
        Ok(())
    }

    fn give<E: From<Fault>>(
        &mut self,
        bytes: &[u8],
        lengths: Lengths,
        sink: &mut dyn FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let message = self.checked(Message::read(bytes, lengths))?;
        sink(message)
    }

    /// Remembers a fault.
    fn checked<T>(&mut self, read: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &read {
            self.phase = Phase::Failed(*fault);
        }
        read
    }

    fn stop(&mut self) {
        if !matches!(self.phase, Phase::Failed(_)) {
            self.phase = Phase::Closed;
        }
        self.pending = Vec::new();
    }
}

impl Lengths {
    /// Reads the first [`PRELUDE_BYTES`].
    fn read(prelude: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader(prelude);
        let (Some(total), Some(headers), Some(checksum)) =
            (reader.number(4), reader.number(4), reader.number(4))
        else {
            return Err(Fault::Length);
        };
        if checksum != u64::from(crc32(prelude.get(..8).unwrap_or_default())) {
            return Err(Fault::Checksum);
        }
        let (Ok(total), Ok(headers)) = (usize::try_from(total), usize::try_from(headers)) else {
            return Err(Fault::TooLarge);
        };
        if headers > MAX_HEADER_BYTES {
            return Err(Fault::TooLarge);
        }
        match total.checked_sub(FRAME_BYTES + headers) {
            None => Err(Fault::Length),
            Some(payload) if payload > MAX_PAYLOAD_BYTES => Err(Fault::TooLarge),
            Some(_) => Ok(Self { total, headers }),
        }
    }
}

impl<'a> Message<'a> {
    /// Reads the bytes of a whole message.
    fn read(bytes: &'a [u8], lengths: Lengths) -> Result<Self, Fault> {
        let (covered, checksum) = bytes.split_at_checked(lengths.total - 4).ok_or(Fault::Length)?;
        if Reader(checksum).number(4) != Some(crc32(covered).into()) {
            return Err(Fault::Checksum);
        }
        let content = covered.get(PRELUDE_BYTES..).ok_or(Fault::Length)?;
        let (headers, payload) = content.split_at_checked(lengths.headers).ok_or(Fault::Length)?;
        let mut reader = Reader(headers);
        while !reader.0.is_empty() {
            reader.header().ok_or(Fault::Header)?;
        }
        Ok(Self { headers, payload })
    }

    /// The text of the first header of that name, such as `:event-type`; nothing when it is of
    /// another type.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut reader = Reader(self.headers);
        while let Some((known, value)) = reader.header() {
            if known == name.as_bytes() {
                return value.and_then(|text| std::str::from_utf8(text).ok());
            }
        }
        None
    }
}

/// Takes bytes off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A number of so many bytes, at most eight.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let bytes = self.bytes(bytes)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A header's name, and its value if that is a text.
    fn header(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let length = self.number(1)?;
        let name = self.bytes(length as usize)?;
        let text = match self.number(1)? {
            // The two truth values.
            0 | 1 => None,
            2 => self.bytes(1).map(|_| None)?,
            3 => self.bytes(2).map(|_| None)?,
            4 => self.bytes(4).map(|_| None)?,
            // A number of eight bytes, and a time.
            5 | 8 => self.bytes(8).map(|_| None)?,
            kind @ (6 | 7) => {
                let length = self.number(2)?;
                let value = self.bytes(length as usize)?;
                (kind == u64::from(TEXT)).then_some(value)
            }
            // A UUID.
            9 => self.bytes(16).map(|_| None)?,
            _ => return None,
        };
        Some((name, text))
    }
}

/// The type of a header that is text.
const TEXT: u8 = 7;

/// One message with headers of text, for who plays the provider: fixtures, fuzzers and fakes.
///
/// What is too long for its length field is cut: nothing here sends such.
#[must_use]
pub fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(name.len() as u8);
        block.extend_from_slice(name.as_bytes());
        block.push(TEXT);
        block.extend_from_slice(&(value.len() as u16).to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    frame(&block, payload)
}

fn frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = FRAME_BYTES + headers.len() + payload.len();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    let prelude = crc32(&out);
    out.extend_from_slice(&prelude.to_be_bytes());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    let all = crc32(&out);
    out.extend_from_slice(&all.to_be_bytes());
    out
}

/// CRC-32 as in zlib: reflected, polynomial `EDB88320`. A table of one kilobyte is enough: a message
/// of a stream has some hundred bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        let at = (crc ^ u32::from(*byte)) & 0xFF;
        TABLE.get(at as usize).copied().unwrap_or_default() ^ crc >> 8
    })
}

static TABLE: [u32; 256] = table();

#[expect(clippy::indexing_slicing, reason = "at compile time, where it cannot panic later")]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests;
