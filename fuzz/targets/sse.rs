//! The decoder of server-sent events: neither cuts nor the kind of line end change anything, and no
//! event is larger than the cap.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waypost::wire::sse::{Decoder, Event, MAX_EVENT_BYTES, TooLarge};

type Events = Result<Vec<(Vec<u8>, Vec<u8>)>, TooLarge>;

fn decode(pieces: &[&[u8]]) -> Events {
    let mut events = Vec::new();
    let mut sink = |event: Event<'_>| {
        assert!(event.data.len() <= MAX_EVENT_BYTES);
        events.push((event.name.to_vec(), event.data.to_vec()));
        Ok(())
    };
    let mut decoder = Decoder::new();
    for piece in pieces {
        decoder.push(piece, &mut sink)?;
    }
    decoder.finish(&mut sink)?;
    Ok(events)
}

/// The same lines, each ended by a line feed.
fn with_line_feeds(data: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(data.len());
    for (at, byte) in data.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && data[at - 1] == b'\r' => {}
            b'\r' => lines.push(b'\n'),
            _ => lines.push(*byte),
        }
    }
    lines
}

fuzz_target!(|data: &[u8]| {
    let whole = decode(&[data]);
    assert_eq!(whole, decode(&waypost_fuzz::pieces(data)), "in pieces");
    assert_eq!(whole, decode(&[&with_line_feeds(data)]), "with line feeds only");
});
