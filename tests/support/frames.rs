//! Streams in binary frames, written down as text: one frame a line.
//!
//! | line | frame |
//! |---|---|
//! | `{"event": "messageStop", "payload": {…}}` | an event |
//! | `{"exception": "throttlingException", "payload": {…}}` | an exception |
//! | `{"error": "code", "message": "…"}` | an error without payload |
//! | … with `"flip": 30` | the same with all bits of this byte turned over |
//! | … with `"keep": 30` | only so many of its bytes |

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a fixture that is none must fail"
)]

use serde::Deserialize;
use serde_json::value::RawValue;
use waypost::wire::aws_event_stream;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a> {
    event: Option<&'a str>,
    exception: Option<&'a str>,
    error: Option<&'a str>,
    message: Option<&'a str>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    flip: Option<usize>,
    keep: Option<usize>,
}

/// The bytes of the frames in a fixture. Panics where it is none: `path` says which.
pub fn encode(path: &str, lines: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(lines).expect("a fixture is text");
    text.lines().filter(|line| !line.is_empty()).flat_map(|line| frame(path, line)).collect()
}

fn frame(path: &str, line: &str) -> Vec<u8> {
    let frame: Frame<'_> = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("{path}: {error} in the line {line}"));
    let (kind, name, value) = match (frame.event, frame.exception, frame.error) {
        (Some(event), None, None) => ("event", ":event-type", event),
        (None, Some(exception), None) => ("exception", ":exception-type", exception),
        (None, None, Some(code)) => ("error", ":error-code", code),
        _ => panic!("{path}: neither event, exception nor error: {line}"),
    };
    let mut headers = vec![(name, value), (":message-type", kind)];
    if frame.payload.is_some() {
        headers.push((":content-type", "application/json"));
    }
    headers.extend(frame.message.map(|text| (":error-message", text)));
    let payload = frame.payload.map_or("", RawValue::get);
    let mut bytes = aws_event_stream::encode(&headers, payload.as_bytes());
    if let Some(at) = frame.flip {
        bytes[at] = !bytes[at];
    }
    bytes.truncate(frame.keep.unwrap_or(bytes.len()));
    bytes
}
