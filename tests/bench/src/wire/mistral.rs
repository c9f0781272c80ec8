//! Mistral's chat.

use super::{Api, EVENT_STREAM, PROMPT_TOKENS, Part, Stream, word};
use std::io::Write;

pub const MISTRAL: Api = Api {
    name: "mistral",
    label: "Mistral",
    translated: true,
    central: false,
    model: "bench-mistral",
    host: "api.mistral.ai",
    path: "/v1/chat/completions",
    stream_path: "/v1/chat/completions",
    headers: "\
        mistral-correlation-id: 00000000-0000-7000-8000-000000000001\r\n\
        x-kong-request-id: 0123456789abcdef0123456789abcdef\r\n\
        x-envoy-upstream-service-time: 311\r\n\
        x-kong-upstream-latency: 312\r\n\
        x-ratelimit-limit-req-minute: 60\r\n\
        x-ratelimit-remaining-req-minute: 59\r\n\
        server: cloudflare\r\n",
    stream_type: EVENT_STREAM,
    forms: ["\"message\":{\"role\":\"assistant\",\"tool_calls\":null", "\"chat.completion.chunk\""],
    end: b"data: [DONE]",
    answer,
    events,
};

fn answer(text: &str) -> String {
    format!(
        r#"{{"id":"0123456789abcdef0123456789abcdef","created":1741569952,"model":"mock-model-1","object":"chat.completion","usage":{{"prompt_tokens":231,"completion_tokens":118,"total_tokens":349}},"choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","tool_calls":null,"content":"{text}"}}}}]}}"#
    )
}

fn events(stream: &Stream, step: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"data: {"id":"0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1741569952,"model":"mock-model-1","choices":[{"index":0,"delta":{"#);
    match stream.part(step) {
        Part::Opening => out.extend_from_slice(
            b"\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        ),
        Part::Delta(number) => {
            out.extend_from_slice(b"\"content\":\"");
            word(number, out);
            out.extend_from_slice(b"\"},\"finish_reason\":null}]}\n\n");
        }
        Part::Closing => {
            let (output, total) = (stream.chunks, PROMPT_TOKENS + stream.chunks);
            // Writing to a vector cannot fail.
            let _ = write!(
                out,
                r#""content":""}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{PROMPT_TOKENS},"total_tokens":{total},"completion_tokens":{output}}}}}"#
            );
            out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        }
    }
}
