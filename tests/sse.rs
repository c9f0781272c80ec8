//! The decoder of server-sent events against a plain reading of the grammar, on any stream and any cuts.
#![cfg(not(target_arch = "wasm32"))]

use proptest::prelude::*;
use waypost::wire::sse::{Decoder, Event, TooLarge};

type Owned = (Vec<u8>, Vec<u8>);

fn decode(stream: &[u8], cuts: &[usize]) -> Result<Vec<Owned>, TooLarge> {
    let mut events = Vec::new();
    let mut sink = |event: Event<'_>| {
        events.push((event.name.to_vec(), event.data.to_vec()));
        Ok(())
    };
    let mut decoder = Decoder::new();
    let mut rest = stream;
    for cut in cuts {
        let (push, after) = rest.split_at(rest.len().min(*cut));
        decoder.push(push, &mut sink)?;
        rest = after;
    }
    decoder.push(rest, &mut sink)?;
    decoder.finish(&mut sink)?;
    Ok(events)
}

/// Reads the whole stream at once, line by line, as the HTML standard words it.
fn read(stream: &[u8]) -> Vec<Owned> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let text: String = stream.iter().map(|byte| char::from(*byte)).collect();
    let bytes = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut name, mut data) = (Vec::new(), "", Vec::<&str>::new());
    for line in lines.split('\n').chain([""]) {
        if line.is_empty() {
            if !data.is_empty() {
                events.push((bytes(name), bytes(&data.join("\n"))));
            }
            (name, data) = ("", Vec::new());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.push(value),
            "event" => name = value,
            _ => {}
        }
    }
    events
}

/// Mostly the pieces that mean something, in any order.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "data:", "data: ", "data", "event:", "event: x", "id: 1", ":", " ", "{\"a\":1}", "dat",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        4 => prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\n\r\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec![b"\xEF".as_slice(), b"\xEF\xBB", b"\xEF\xBB\xBF"])
            .prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_in_any_pieces_gives_the_events_of_the_grammar(
        stream in stream(),
        cuts in prop::collection::vec(0_usize..12, 0..30),
    ) {
        let expected = Ok(read(&stream));
        prop_assert_eq!(decode(&stream, &[]), expected.clone());
        prop_assert_eq!(decode(&stream, &cuts), expected.clone());
        prop_assert_eq!(decode(&stream, &vec![1; stream.len()]), expected);
    }
}
