//! Bedrock's stream with frames that are whole and payloads that are not: damaged, lost, doubled, in
//! any order and any pieces. The client gets a stream that keeps the rules all the same.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a fixture that is none must fail"
)]

#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "support/rules.rs"]
mod rules;

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use waypost::cli::translate::{self, Asked, Provider};
use waypost::wire::aws_event_stream::encode;

/// The type of an event, and its payload.
type Event = (String, Vec<u8>);

/// The events of each stream of the fixtures.
static STREAMS: LazyLock<Vec<Vec<Event>>> = LazyLock::new(|| {
    let files = fixtures::files();
    let files = files.iter().filter(|(path, _)| path.ends_with(".in.jsonl"));
    files
        .map(|(_, lines)| std::str::from_utf8(lines).unwrap().lines().map(event).collect())
        .collect()
});

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| Provider::new("bedrock", None).unwrap());

fn event(line: &str) -> Event {
    let line: Value = serde_json::from_str(line).unwrap();
    let kind = ["event", "exception", "error"].iter().find_map(|name| line[name].as_str());
    (kind.unwrap().to_owned(), line["payload"].to_string().into_bytes())
}

fn frame((kind, payload): &Event) -> Vec<u8> {
    let (name, message) = match kind.ends_with("Exception") {
        true => (":exception-type", "exception"),
        false => (":event-type", "event"),
    };
    encode(&[(name, kind), (":message-type", message)], payload)
}

fn pieces<'b>(bytes: &'b [u8], places: &[Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_its_frames_hold_the_rules_are_kept(
        stream in any::<Index>(),
        moved in vec((any::<Index>(), any::<Index>(), 0..3_u8), 0..4),
        hits in vec((any::<Index>(), any::<Index>(), any::<u8>()), 0..3),
        places in vec(any::<Index>(), 0..8),
        usage in any::<bool>(),
        json in any::<bool>(),
    ) {
        let mut events = stream.get(&STREAMS).clone();
        for (from, to, how) in &moved {
            let (from, to) = (from.index(events.len()), to.index(events.len()));
            match how {
                0 => events.swap(from, to),
                1 => events.insert(to, events[from].clone()),
                _ if events.len() > 1 => drop(events.remove(from)),
                _ => {}
            }
        }
        for (event, place, byte) in &hits {
            let payload = &mut event.get_mut(&mut events).1;
            if !payload.is_empty() {
                let at = place.index(payload.len());
                payload[at] = *byte;
            }
        }
        let bytes: Vec<u8> = events.iter().flat_map(frame).collect();
        let format = if json { r#"{"type":"json_object"}"# } else { "null" };
        let asked = format!(
            r#"{{"model":"amazon.nova-pro-v1:0","stream":true,"stream_options":{{"include_usage":{usage}}},"response_format":{format}}}"#
        );
        let asked = Asked::parse(asked.as_bytes()).unwrap();
        let whole = translate::stream(&PROVIDER, &asked, [&*bytes]).bytes;
        let cut = translate::stream(&PROVIDER, &asked, pieces(&bytes, &places)).bytes;
        prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&cut));
        rules::check(&whole, usage).map_err(|broken| {
            TestCaseError::fail(format!("{broken}\n{}", String::from_utf8_lossy(&whole)))
        })?;
    }
}
