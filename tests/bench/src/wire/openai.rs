//! OpenAI, and Azure: the same with the results of content filters.

use super::{Api, EVENT_STREAM, PROMPT_TOKENS, Part, Stream, word};
use std::io::Write;

pub const OPENAI: Api = Api {
    name: "openai",
    label: "OpenAI",
    translated: false,
    central: true,
    model: "bench-openai",
    host: "api.openai.com",
    path: "/v1/chat/completions",
    stream_path: "/v1/chat/completions",
    headers: "\
        openai-organization: org-bench\r\n\
        openai-processing-ms: 311\r\n\
        openai-version: 2020-10-01\r\n\
        x-ratelimit-limit-requests: 30000\r\n\
        x-ratelimit-limit-tokens: 150000000\r\n\
        x-ratelimit-remaining-requests: 29999\r\n\
        x-ratelimit-remaining-tokens: 149999000\r\n\
        x-request-id: req_0123456789abcdef0123456789abcdef\r\n",
    stream_type: EVENT_STREAM,
    forms: ["\"chat.completion\"", "\"chat.completion.chunk\""],
    end: b"data: [DONE]",
    answer: |text| answer(text, "", ""),
    events: |stream, step, out| events(stream, step, &BARE, out),
};

pub const AZURE: Api = Api {
    name: "azure",
    label: "Azure",
    central: false,
    model: "bench-azure",
    host: "bench.openai.azure.com",
    path: "/openai/v1/chat/completions",
    stream_path: "/openai/v1/chat/completions",
    headers: "\
        apim-request-id: 00000000-0000-4000-8000-000000000001\r\n\
        x-request-id: 00000000-0000-4000-9000-000000000001\r\n\
        x-ms-region: East US\r\n\
        x-ms-deployment-name: mock-model-1\r\n\
        x-ms-rai-invoked: true\r\n\
        x-ratelimit-limit-requests: 500\r\n\
        x-ratelimit-limit-tokens: 30000\r\n\
        x-ratelimit-remaining-requests: 499\r\n\
        x-ratelimit-remaining-tokens: 29960\r\n\
        strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n\
        x-content-type-options: nosniff\r\n",
    forms: ["\"prompt_filter_results\"", "\"content_filter_results\""],
    answer: |text| answer(text, ANSWER_FILTERS, PROMPT_FILTERS),
    events: |stream, step, out| events(stream, step, &FILTERED, out),
    ..OPENAI
};

const ANSWER_FILTERS: &str = r#",
      "content_filter_results": {
        "hate": {"filtered": false, "severity": "safe"},
        "protected_material_code": {"filtered": false, "detected": false},
        "protected_material_text": {"filtered": false, "detected": false},
        "self_harm": {"filtered": false, "severity": "safe"},
        "sexual": {"filtered": false, "severity": "safe"},
        "violence": {"filtered": false, "severity": "safe"}
      }"#;

const PROMPT_FILTERS: &str = r#",
  "prompt_filter_results": [
    {
      "prompt_index": 0,
      "content_filter_results": {
        "hate": {"filtered": false, "severity": "safe"},
        "jailbreak": {"filtered": false, "detected": false},
        "self_harm": {"filtered": false, "severity": "safe"},
        "sexual": {"filtered": false, "severity": "safe"},
        "violence": {"filtered": false, "severity": "safe"}
      }
    }
  ]"#;

/// What a provider adds to the events of a stream.
struct Extras {
    /// Before the first event.
    preamble: &'static str,
    /// At the end of a choice: of one without text, with text, with a finish reason.
    choice: [&'static str; 3],
}

const BARE: Extras = Extras { preamble: "", choice: [""; 3] };

const FILTERED: Extras = Extras {
    preamble: concat!(
        r#"data: {"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}}]}"#,
        "\n\n"
    ),
    choice: [
        r#","content_filter_results":{}"#,
        r#","content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#,
        r#","content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"protected_material_code":{"filtered":false,"detected":false},"protected_material_text":{"filtered":false,"detected":false},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#,
    ],
};

/// `choice` and `whole` are added at the end of the choice and of the answer.
fn answer(text: &str, choice: &str, whole: &str) -> String {
    format!(
        r#"{{
  "id": "chatcmpl-Bench0123456789abcdefghijkl",
  "object": "chat.completion",
  "created": 1741569952,
  "model": "bench-openai-2025-01-01",
  "choices": [
    {{
      "index": 0,
      "message": {{
        "role": "assistant",
        "content": "{text}",
        "refusal": null,
        "annotations": []
      }},
      "logprobs": null,
      "finish_reason": "stop"{choice}
    }}
  ],
  "usage": {{
    "prompt_tokens": 231,
    "completion_tokens": 118,
    "total_tokens": 349,
    "prompt_tokens_details": {{
      "cached_tokens": 0,
      "audio_tokens": 0
    }},
    "completion_tokens_details": {{
      "reasoning_tokens": 0,
      "audio_tokens": 0,
      "accepted_prediction_tokens": 0,
      "rejected_prediction_tokens": 0
    }}
  }},
  "service_tier": "default",
  "system_fingerprint": "fp_bench01234"{whole}
}}
"#
    )
}

fn events(stream: &Stream, step: usize, extras: &Extras, out: &mut Vec<u8>) {
    const CHUNK: &[u8] = br#"data: {"id":"chatcmpl-Bench0123456789abcdefghijkl","object":"chat.completion.chunk","created":1741569952,"model":"bench-openai-2025-01-01","service_tier":"default","system_fingerprint":"fp_bench01234","choices":["#;
    let end: &[u8] = if stream.usage { b"}],\"usage\":null}\n\n" } else { b"}]}\n\n" };
    let [empty, text, finish] = extras.choice;
    match stream.part(step) {
        Part::Opening => {
            out.extend_from_slice(extras.preamble.as_bytes());
            out.extend_from_slice(CHUNK);
            out.extend_from_slice(br#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null"#);
            out.extend_from_slice(empty.as_bytes());
            out.extend_from_slice(end);
        }
        Part::Delta(number) => {
            out.extend_from_slice(CHUNK);
            out.extend_from_slice(br#"{"index":0,"delta":{"content":""#);
            word(number, out);
            out.extend_from_slice(br#""},"logprobs":null,"finish_reason":null"#);
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(end);
        }
        Part::Closing => {
            out.extend_from_slice(CHUNK);
            out.extend_from_slice(
                br#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop""#,
            );
            out.extend_from_slice(finish.as_bytes());
            out.extend_from_slice(end);
            if stream.usage {
                out.extend_from_slice(CHUNK);
                let (output, total) = (stream.chunks, PROMPT_TOKENS + stream.chunks);
                // Writing to a vector cannot fail.
                let _ = write!(
                    out,
                    r#"],"usage":{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}}}"#
                );
                out.extend_from_slice(b"\n\n");
            }
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
    }
}
