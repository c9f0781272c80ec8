//! The decoder of server-sent events: cuts change nothing, and no event is larger than the cap.
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

fuzz_target!(|data: &[u8]| {
    assert_eq!(decode(&[data]), decode(&waypost_fuzz::pieces(data)));
});
