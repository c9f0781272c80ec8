//! Cohere's chat, version 2.

use super::{Api, EVENT_STREAM, Part, Stream, word};
use std::io::Write;

pub const COHERE: Api = Api {
    name: "cohere",
    label: "Cohere",
    translated: true,
    central: false,
    model: "bench-cohere",
    host: "api.cohere.com",
    path: "/v2/chat",
    stream_path: "/v2/chat",
    headers: "\
        x-debug-trace-id: 0123456789abcdef0123456789abcdef\r\n\
        x-endpoint-monthly-call-limit: 1000\r\n\
        x-trial-endpoint-call-limit: 20\r\n\
        x-trial-endpoint-call-remaining: 19\r\n\
        num_chars: 420\r\n\
        num_tokens: 231\r\n\
        x-envoy-upstream-service-time: 311\r\n\
        via: 1.1 google\r\n\
        server: envoy\r\n",
    stream_type: EVENT_STREAM,
    forms: ["\"billed_units\"", "\"content-delta\""],
    end: b"\"message-end\"",
    answer,
    events,
};

fn answer(text: &str) -> String {
    format!(
        r#"{{"id":"01234567-89ab-4cde-8f01-23456789abcd","message":{{"role":"assistant","content":[{{"type":"text","text":"{text}"}}]}},"finish_reason":"COMPLETE","usage":{{"billed_units":{{"input_tokens":224.0,"output_tokens":118.0}},"tokens":{{"input_tokens":231.0,"output_tokens":118.0}},"cached_tokens":0.0}}}}"#
    )
}

fn events(stream: &Stream, step: usize, out: &mut Vec<u8>) {
    match stream.part(step) {
        Part::Opening => out.extend_from_slice(br#"event: message-start
data: {"type":"message-start","id":"01234567-89ab-4cde-8f01-23456789abcd","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}

event: content-start
data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}

"#),
        Part::Delta(number) => {
            out.extend_from_slice(b"event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"");
            word(number, out);
            out.extend_from_slice(b"\"}}}}\n\n");
        }
        Part::Closing => {
            out.extend_from_slice(b"event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\nevent: message-end\n");
            // Writing to a vector cannot fail.
            let _ = write!(
                out,
                r#"data: {{"type":"message-end","delta":{{"finish_reason":"COMPLETE","usage":{{"billed_units":{{"input_tokens":224.0,"output_tokens":{0}.0}},"tokens":{{"input_tokens":231.0,"output_tokens":{0}.0}},"cached_tokens":0.0}}}}}}"#,
                stream.chunks
            );
            out.extend_from_slice(b"\n\n");
        }
    }
}
