//! Numbered marks in the mock's texts. They show that each chunk came, once and in order,
//! whatever the gateway made of the JSON around it.

use memchr::{memchr, memmem};
use std::io::Write;

/// Greatest number of marks an answer can hold.
pub const MAX_MARKS: usize = 10_000;

const SIGN: u8 = b'~';
const DIGITS: u8 = 4;

/// Appends mark number `number`, e.g. `~0017`.
pub fn write(number: usize, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "~{:04}", number % MAX_MARKS);
}

/// Counts marks in an answer that comes in pieces.
#[derive(Default)]
pub struct Marks {
    partial: Option<(u8, usize)>,
    tail: Vec<u8>,
    /// Marks seen in order from 0.
    pub seen: usize,
    /// One was missing, doubled or in a wrong place.
    pub disordered: bool,
}

/// How much of the end of an answer is kept, in bytes: the last events of a stream.
const TAIL: usize = 512;

impl Marks {
    pub fn reset(&mut self) {
        self.partial = None;
        self.tail.clear();
        self.seen = 0;
        self.disordered = false;
    }

    pub fn feed(&mut self, data: &[u8]) {
        let mut rest = data;
        loop {
            if self.partial.is_none() {
                let Some(at) = memchr(SIGN, rest) else { break };
                rest = &rest[at + 1..];
                self.partial = Some((0, 0));
            }
            let (Some((digits, value)), Some((byte, after))) = (self.partial, rest.split_first())
            else {
                break;
            };
            if !byte.is_ascii_digit() {
                self.partial = None;
                continue;
            }
            rest = after;
            let (digits, value) = (digits + 1, value * 10 + usize::from(byte - b'0'));
            self.partial = Some((digits, value));
            if digits == DIGITS {
                self.partial = None;
                self.disordered |= value != self.seen;
                self.seen += 1;
            }
        }
        self.keep_tail(data);
    }

    /// Whether `end` stands in the last bytes of the answer.
    pub fn ends_with(&self, end: &[u8]) -> bool {
        memmem::find(&self.tail, end).is_some()
    }

    /// The last bytes of the answer, for error reports.
    pub fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).into_owned()
    }

    fn keep_tail(&mut self, data: &[u8]) {
        let data = &data[data.len().saturating_sub(TAIL)..];
        let surplus = (self.tail.len() + data.len()).saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &[u8], piece: usize) -> (usize, bool) {
        let mut marks = Marks::default();
        for part in text.chunks(piece) {
            marks.feed(part);
        }
        (marks.seen, marks.disordered)
    }

    #[test]
    fn marks_are_counted_however_they_are_cut() {
        for piece in 1..20 {
            assert_eq!(count(b"a~0000 b~0001c~ ~00x ~0002", piece), (3, false));
        }
    }

    #[test]
    fn a_missing_or_doubled_mark_is_noticed() {
        assert!(count(b"~0000 ~0002", 4).1);
        assert!(count(b"~0000 ~0000", 4).1);
    }

    #[test]
    fn the_end_is_found_across_pieces() {
        let mut marks = Marks::default();
        marks.feed(&[b'x'; 2 * TAIL]);
        marks.feed(b"data: [DO");
        assert!(!marks.ends_with(b"[DONE]"));
        marks.feed(b"NE]\n\n");
        assert!(marks.ends_with(b"[DONE]"));
    }
}
