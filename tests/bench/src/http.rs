//! HTTP/1.1 messages, read as the bytes come. Enough for a loopback between known peers.

use crate::Result;
use memchr::memmem;

/// Longest head or chunk-size line accepted, in bytes.
const MAX_LINE: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Request,
    Response,
}

/// Reads one message; [`Reader::reset`] makes it ready for the next.
///
/// ```text
/// Head ─┬─ content-length ─► Sized ──────────────────────────┬─► Done
///       ├─ chunked ─► Size ─► Chunk ─► ChunkEnd ─► Size … 0 ─► Trailers
///       ├─ neither, response ─► UntilClose
///       └─ neither, request ─────────────────────────────────┘
/// ```
pub struct Reader {
    kind: Kind,
    state: State,
    held: Vec<u8>,
    /// First line of the message.
    pub start: String,
    /// Whom a request is for.
    pub host: String,
    /// The peer keeps the connection open after this message.
    pub keep: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Head,
    Sized(usize),
    Size,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

impl Reader {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            state: State::Head,
            held: Vec::new(),
            start: String::new(),
            host: String::new(),
            keep: true,
        }
    }

    pub fn reset(&mut self) {
        self.state = State::Head;
        self.held.clear();
        self.keep = true;
    }

    pub fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Status of an answer; 0 before its head has come.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// Target of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The connection ended. True when that is a proper end of the message.
    pub fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
            self.keep = false;
        }
        self.done()
    }

    /// Takes bytes up to the end of the message, gives those of the body to `body`, and returns
    /// how many it took.
    pub fn feed(&mut self, data: &[u8], mut body: impl FnMut(&[u8])) -> Result<usize> {
        let mut rest = data;
        while !rest.is_empty() {
            match self.state {
                State::Done => break,
                State::Head => {
                    if self.line(&mut rest, b"\r\n\r\n")? {
                        self.state = self.framing()?;
                    }
                }
                State::Sized(left) => {
                    let taken = take(&mut rest, left, &mut body);
                    self.state =
                        if taken == left { State::Done } else { State::Sized(left - taken) };
                }
                State::Size => {
                    if self.line(&mut rest, b"\r\n")? {
                        let text = String::from_utf8_lossy(&self.held);
                        let digits = text.split([';', '\r']).next().unwrap_or_default().trim();
                        let size = usize::from_str_radix(digits, 16)
                            .map_err(|_| format!("chunk size {digits:?}"))?;
                        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
                        self.held.clear();
                    }
                }
                State::Chunk(left) => {
                    let taken = take(&mut rest, left, &mut body);
                    self.state =
                        if taken == left { State::ChunkEnd } else { State::Chunk(left - taken) };
                }
                State::ChunkEnd => {
                    if self.line(&mut rest, b"\r\n")? {
                        self.state = State::Size;
                        self.held.clear();
                    }
                }
                State::Trailers => {
                    if self.line(&mut rest, b"\r\n")? {
                        if self.held == b"\r\n" {
                            self.state = State::Done;
                        }
                        self.held.clear();
                    }
                }
                State::UntilClose => {
                    body(rest);
                    rest = &[];
                }
            }
        }
        Ok(data.len() - rest.len())
    }

    /// Moves bytes through `end` into `held`; true when `end` has come.
    fn line(&mut self, rest: &mut &[u8], end: &[u8]) -> Result<bool> {
        let before = self.held.len();
        let found = if before == 0 {
            memmem::find(rest, end).map(|at| at + end.len())
        } else {
            let from = before.saturating_sub(end.len() - 1);
            self.held.extend_from_slice(rest);
            let found = memmem::find(&self.held[from..], end).map(|at| from + at + end.len());
            self.held.truncate(before);
            found.map(|until| until - before)
        };
        let (line, after) = rest.split_at(found.unwrap_or(rest.len()));
        self.held.extend_from_slice(line);
        *rest = after;
        if self.held.len() > MAX_LINE {
            return Err("a head or a chunk-size line that does not end".into());
        }
        Ok(found.is_some())
    }

    fn framing(&mut self) -> Result<State> {
        let head = String::from_utf8_lossy(&self.held);
        let mut lines = head.split("\r\n");
        self.start.clear();
        self.start.push_str(lines.next().unwrap_or_default());
        let (mut length, mut chunked) = (None, false);
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length =
                    Some(value.parse::<usize>().map_err(|_| format!("content-length {value:?}"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("host") {
                self.host = value.to_owned();
            } else if name.eq_ignore_ascii_case("connection") {
                self.keep = !value.eq_ignore_ascii_case("close");
            }
        }
        self.held.clear();
        Ok(match (chunked, length, self.kind) {
            (true, _, _) => State::Size,
            (false, Some(0), _) | (false, None, Kind::Request) => State::Done,
            (false, Some(length), _) => State::Sized(length),
            (false, None, Kind::Response) => State::UntilClose,
        })
    }
}

fn take(rest: &mut &[u8], limit: usize, body: &mut impl FnMut(&[u8])) -> usize {
    let (part, after) = rest.split_at(limit.min(rest.len()));
    body(part);
    *rest = after;
    part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], piece: usize) -> (Reader, Vec<u8>, usize) {
        let mut reader = Reader::new(Kind::Response);
        let (mut body, mut taken) = (Vec::new(), 0);
        for part in wire.chunks(piece) {
            taken += reader.feed(part, |bytes| body.extend_from_slice(bytes)).unwrap();
        }
        (reader, body, taken)
    }

    #[test]
    fn how_bytes_are_cut_does_not_matter() {
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".as_slice();
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\na: b\r\n\r\n"
            .as_slice();
        for wire in [sized, chunked] {
            for piece in 1..=wire.len() {
                let (reader, body, taken) = read(wire, piece);
                assert!(reader.done(), "{piece}");
                assert_eq!((reader.status(), taken), (200, wire.len()));
                assert_eq!(body, b"hello");
            }
        }
    }

    #[test]
    fn a_request_tells_its_host_and_target() {
        let mut reader = Reader::new(Kind::Request);
        let wire = b"POST /v2/chat?x=1 HTTP/1.1\r\nHost: api.cohere.com\r\n\r\n";
        reader.feed(wire, |_| ()).unwrap();
        assert!(reader.done());
        assert_eq!((&*reader.host, reader.target()), ("api.cohere.com", "/v2/chat?x=1"));
    }

    #[test]
    fn bytes_after_the_message_are_left() {
        let (reader, body, taken) =
            read(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP", 1000);
        assert!(reader.done());
        assert_eq!((body.as_slice(), taken), (b"ok".as_slice(), 40));
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let mut reader = Reader::new(Kind::Response);
        assert!(reader.feed(&[b'a'; MAX_LINE + 1], |_| ()).is_err());
    }
}
