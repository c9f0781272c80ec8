//! Anthropic Messages.

use super::{Api, EVENT_STREAM, Part, Stream, word};
use std::io::Write;

pub const ANTHROPIC: Api = Api {
    name: "anthropic",
    label: "Anthropic",
    translated: true,
    central: true,
    model: "bench-anthropic",
    host: "api.anthropic.com",
    path: "/v1/messages",
    stream_path: "/v1/messages",
    headers: "\
        anthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\n\
        anthropic-ratelimit-requests-limit: 4000\r\n\
        anthropic-ratelimit-requests-remaining: 3999\r\n\
        anthropic-ratelimit-tokens-limit: 400000\r\n\
        anthropic-ratelimit-tokens-remaining: 399000\r\n\
        request-id: req_0123456789abcdefghijABCD\r\n",
    stream_type: EVENT_STREAM,
    forms: ["\"message\"", "\"content_block_delta\""],
    end: b"message_stop",
    answer,
    events,
};

fn answer(text: &str) -> String {
    format!(
        r#"{{"model":"bench-anthropic-20250101","id":"msg_01Bench0123456789abcdef","type":"message","role":"assistant","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":231,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":118,"service_tier":"standard"}}}}"#
    )
}

fn events(stream: &Stream, step: usize, out: &mut Vec<u8>) {
    match stream.part(step) {
        Part::Opening => out.extend_from_slice(br#"event: message_start
data: {"type":"message_start","message":{"model":"bench-anthropic-20250101","id":"msg_01Bench0123456789abcdef","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":231,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

"#),
        Part::Delta(number) => {
            out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"");
            word(number, out);
            out.extend_from_slice(b"\"}}\n\n");
        }
        Part::Closing => {
            out.extend_from_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\n");
            // Writing to a vector cannot fail.
            let _ = write!(
                out,
                r#"data: {{"type":"message_delta","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"input_tokens":231,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":{}}}}}"#,
                stream.chunks
            );
            out.extend_from_slice(
                b"\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            );
        }
    }
}
