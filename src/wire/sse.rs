//! Server-sent events: bytes in, events out, following the `text/event-stream` grammar of the HTML
//! standard.
//!
//! An event that lies whole in one push is borrowed from it; only what a push cuts is copied, each
//! byte once into the pending line and at most once more into the pending event. A line is never
//! scanned twice.
//!
//! # Not supported
//! `id` and `retry` are ignored: nothing here reconnects. Bytes need not be UTF-8; the reader of
//! the data decides.

use memchr::{memchr, memchr2};

/// Most bytes of one unfinished event: its name, its data so far and the line being read. Providers
/// send generated images and whole tool results as one event, so this is far above the size of a
/// token.
pub const MAX_EVENT_BYTES: usize = 8 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One complete event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty when the stream gave none.
    pub name: &'a [u8],
    /// The `data` lines, joined with `\n` when there are several.
    pub data: &'a [u8],
}

/// An event is larger than [`MAX_EVENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an event of the stream is larger than {MAX_EVENT_BYTES} bytes")
    }
}

impl std::error::Error for TooLarge {}

/// Decodes one stream. How the bytes are cut into pushes never changes the events.
#[derive(Debug, Default)]
pub struct Decoder {
    phase: Phase,
    /// The last byte was CR, so an LF that follows belongs to the same line end.
    after_cr: bool,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    event: Pending,
}

/// ```text
/// Bom ──► Lines ──► Closed      the end, or an error of the sink
///              └──► Overflowed  an event over the cap
/// ```
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// This many bytes of a byte order mark were seen, and nothing else.
    Bom(usize),
    Lines,
    Closed,
    Overflowed,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Bom(0)
    }
}

/// The finished lines of an event that an earlier push began.
#[derive(Debug, Default)]
struct Pending {
    name: Vec<u8>,
    /// `None` until the first data line: an event may have an empty one.
    data: Option<Vec<u8>>,
}

/// The finished lines of an event that this push began, not copied.
#[derive(Default)]
struct Fresh<'b> {
    name: Option<&'b [u8]>,
    data: Option<&'b [u8]>,
}

#[derive(Clone, Copy)]
enum Field<'b> {
    Name(&'b [u8]),
    Data(&'b [u8]),
    Ignored,
}

impl Decoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds bytes and calls `sink` for each event that they complete.
    ///
    /// # Errors
    /// The first error of `sink`; the rest of `bytes` and all later bytes are then dropped.
    /// [`TooLarge`], which every later call gives again. Both free what was pending.
    pub fn push<E: From<TooLarge>>(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let bytes = match self.phase {
            Phase::Bom(seen) => self.skip_bom(seen, bytes),
            Phase::Lines => bytes,
            Phase::Closed => return Ok(()),
            Phase::Overflowed => return Err(TooLarge.into()),
        };
        let read = self.read(bytes, sink);
        if read.is_err() {
            self.stop();
        }
        read
    }

    /// The end of the stream: completes the last line and dispatches the last event even when its
    /// blank line is missing, since some providers close without one. Later bytes are dropped.
    ///
    /// # Errors
    /// The error of `sink`, or [`TooLarge`] when the stream already was.
    pub fn finish<E: From<TooLarge>>(
        &mut self,
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if matches!(self.phase, Phase::Overflowed) {
            return Err(TooLarge.into());
        }
        self.event.apply(Field::of(&self.line));
        let last = self.event.dispatch(&mut Fresh::default(), sink);
        self.stop();
        last
    }

    /// Bytes that turn out not to be a mark are the start of the first line.
    fn skip_bom<'b>(&mut self, mut seen: usize, mut bytes: &'b [u8]) -> &'b [u8] {
        while let (Some(expected), Some((byte, rest))) = (BOM.get(seen), bytes.split_first()) {
            if byte != expected {
                self.line.extend(BOM.iter().take(seen));
                self.phase = Phase::Lines;
                return bytes;
            }
            seen += 1;
            bytes = rest;
        }
        self.phase = if seen == BOM.len() { Phase::Lines } else { Phase::Bom(seen) };
        bytes
    }

    fn read<'b, E: From<TooLarge>>(
        &mut self,
        mut rest: &'b [u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut fresh = Fresh::<'b>::default();
        loop {
            if self.after_cr && !rest.is_empty() {
                self.after_cr = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let end = memchr2(b'\n', b'\r', rest).and_then(|at| rest.split_at_checked(at));
            let Some((head, [end, tail @ ..])) = end else { break };
            rest = tail;
            self.after_cr = *end == b'\r';
            self.check_room(&fresh, head.len())?;
            if !self.line.is_empty() {
                self.line.extend_from_slice(head);
                self.event.apply(Field::of(&self.line));
                self.line.clear();
            } else if head.is_empty() {
                self.event.dispatch(&mut fresh, sink)?;
            } else {
                self.event.borrow(&mut fresh, Field::of(head));
            }
        }
        self.check_room(&fresh, rest.len())?;
        self.event.keep(&mut fresh);
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// Counts the same bytes whether they are copied or borrowed, so that the cap does not depend
    /// on the cuts.
    fn check_room(&mut self, fresh: &Fresh<'_>, more: usize) -> Result<(), TooLarge> {
        if self.event.len() + fresh.len() + self.line.len() + more > MAX_EVENT_BYTES {
            self.phase = Phase::Overflowed;
            return Err(TooLarge);
        }
        Ok(())
    }

    fn stop(&mut self) {
        if !matches!(self.phase, Phase::Overflowed) {
            self.phase = Phase::Closed;
        }
        self.line = Vec::new();
        self.event = Pending::default();
    }
}

impl Pending {
    fn len(&self) -> usize {
        self.name.len() + self.data.as_ref().map_or(0, Vec::len)
    }

    fn apply(&mut self, field: Field<'_>) {
        match field {
            Field::Name(name) => {
                self.name.clear();
                self.name.extend_from_slice(name);
            }
            Field::Data(line) => match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(line);
                }
                None => self.data = Some(line.to_vec()),
            },
            Field::Ignored => {}
        }
    }

    /// Copies only a second data line: the first one and the name stay in the pushed bytes.
    fn borrow<'b>(&mut self, fresh: &mut Fresh<'b>, field: Field<'b>) {
        match field {
            Field::Name(name) => {
                self.name.clear();
                fresh.name = Some(name);
            }
            Field::Data(line) if self.data.is_none() && fresh.data.is_none() => {
                fresh.data = Some(line)
            }
            Field::Data(_) => {
                if let Some(first) = fresh.data.take() {
                    self.apply(Field::Data(first));
                }
                self.apply(field);
            }
            Field::Ignored => {}
        }
    }

    fn keep(&mut self, fresh: &mut Fresh<'_>) {
        if let Some(name) = fresh.name.take() {
            self.apply(Field::Name(name));
        }
        if let Some(line) = fresh.data.take() {
            self.apply(Field::Data(line));
        }
    }

    /// An event without a data line is dropped, and its name with it.
    fn dispatch<E>(
        &mut self,
        fresh: &mut Fresh<'_>,
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Fresh { name, data } = std::mem::take(fresh);
        let kept = self.data.take();
        let sent = match data.or(kept.as_deref()) {
            Some(data) => sink(Event { name: name.unwrap_or(&self.name), data }),
            None => Ok(()),
        };
        self.name.clear();
        sent
    }
}

impl Fresh<'_> {
    fn len(&self) -> usize {
        self.name.map_or(0, <[u8]>::len) + self.data.map_or(0, <[u8]>::len)
    }
}

impl<'b> Field<'b> {
    fn of(line: &'b [u8]) -> Self {
        let colon = memchr(b':', line).and_then(|at| line.split_at_checked(at));
        let (name, value): (_, &[u8]) = match colon {
            Some((name, [_, b' ', value @ ..] | [_, value @ ..])) => (name, value),
            _ => (line, &[]),
        };
        match name {
            b"data" => Self::Data(value),
            b"event" => Self::Name(value),
            _ => Self::Ignored,
        }
    }
}

#[cfg(test)]
mod tests;
