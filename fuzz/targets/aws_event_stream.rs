//! The decoder of Amazon's event stream: cuts change nothing, nothing is larger than its cap, and what
//! is decoded is what was encoded. Frames with right checksums are made of the input, since no fuzzer
//! guesses one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waypost::wire::aws_event_stream::{Decoder, Fault, MAX_PAYLOAD_BYTES, Message, encode};

type Seen = (Vec<(Option<String>, Vec<u8>)>, Result<(), Fault>);

fn decode(pieces: &[&[u8]]) -> Seen {
    let mut seen = Vec::new();
    let mut sink = |message: Message<'_>| {
        assert!(message.payload.len() <= MAX_PAYLOAD_BYTES);
        seen.push((message.header(":event-type").map(str::to_owned), message.payload.to_vec()));
        Ok::<(), Fault>(())
    };
    let mut decoder = Decoder::new();
    for piece in pieces {
        if let Err(fault) = decoder.push(piece, &mut sink) {
            return (seen, Err(fault));
        }
    }
    let end = decoder.finish();
    (seen, end)
}

fuzz_target!(|data: &[u8]| {
    let whole = decode(&[data]);
    assert_eq!(whole, decode(&waypost_fuzz::pieces(data)), "in pieces");

    let mut frames = Vec::new();
    let mut expected = Vec::new();
    for payload in waypost_fuzz::pieces(data) {
        let kind = payload.len().to_string();
        frames.extend(encode(&[(":message-type", "event"), (":event-type", &kind)], payload));
        expected.push((Some(kind), payload.to_vec()));
    }
    assert_eq!(decode(&waypost_fuzz::pieces(&frames)), (expected, Ok(())));
});
