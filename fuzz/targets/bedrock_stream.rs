//! Bedrock's stream: cuts change nothing, and the client is never left without an end. The input is
//! taken as it is, and as the lines of a script of frames with right checksums, since no fuzzer
//! guesses one: the event's type, a blank, the payload.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waypost::cli::translate::Provider;
use waypost::wire::aws_event_stream::encode;

static PROVIDER: LazyLock<Provider> =
    LazyLock::new(|| Provider::new("bedrock", None).expect("the defaults are valid"));

fn frame(line: &[u8]) -> Vec<u8> {
    let blank = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (kind, payload) = line.split_at(blank);
    let kind = String::from_utf8_lossy(kind);
    let message = match &*kind {
        "error" => "error",
        kind if kind.ends_with("Exception") => "exception",
        _ => "event",
    };
    let name = match message {
        "error" => ":error-code",
        "exception" => ":exception-type",
        _ => ":event-type",
    };
    let kind: String = kind.chars().take(60).collect();
    encode(&[(name, &kind), (":message-type", message)], payload.trim_ascii_start())
}

fuzz_target!(|data: &[u8]| {
    waypost_fuzz::stream(&PROVIDER, data);
    let frames: Vec<u8> = data.split(|byte| *byte == b'\n').flat_map(frame).collect();
    waypost_fuzz::stream(&PROVIDER, &frames);
});
