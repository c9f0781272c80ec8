//! Google Gemini in AI Studio, and the same model at Vertex.

use super::{Api, PROMPT_TOKENS, Part, Stream, word};
use std::io::Write;

pub const GEMINI: Api = Api {
    name: "gemini",
    label: "Gemini",
    translated: true,
    central: false,
    model: "bench-gemini",
    host: "generativelanguage.googleapis.com",
    path: "/v1beta/models/mock-model-1:generateContent",
    stream_path: "/v1beta/models/mock-model-1:streamGenerateContent?alt=sse",
    headers: "\
        vary: Origin, X-Origin, Referer\r\n\
        server: scaffolding on HTTPServer2\r\n\
        x-xss-protection: 0\r\n\
        x-frame-options: SAMEORIGIN\r\n\
        x-content-type-options: nosniff\r\n\
        server-timing: gfet4t7; dur=412\r\n\
        x-gemini-service-tier: standard\r\n\
        alt-svc: h3=\":443\"; ma=2592000,h3-29=\":443\"; ma=2592000\r\n",
    stream_type: "text/event-stream",
    forms: ["\"candidates\"", "\"candidates\""],
    end: b"\"finishReason\"",
    answer: |text| answer(text, "", ""),
    events: |stream, step, out| events(stream, step, "", "", out),
};

pub const VERTEX: Api = Api {
    name: "vertex",
    label: "Vertex (Gemini)",
    model: "bench-vertex",
    host: "us-central1-aiplatform.googleapis.com",
    path: "/v1/projects/bench/locations/us-central1/publishers/google/models/mock-model-1:generateContent",
    stream_path: "/v1/projects/bench/locations/us-central1/publishers/google/models/mock-model-1:streamGenerateContent?alt=sse",
    forms: ["\"ON_DEMAND\"", "\"ON_DEMAND\""],
    answer: |text| {
        answer(
            text,
            ",\n    \"trafficType\": \"ON_DEMAND\"",
            ",\n  \"createTime\": \"2025-03-10T01:25:52.000000Z\"",
        )
    },
    events: |stream, step, out| {
        let created = r#","createTime":"2025-03-10T01:25:52.000000Z""#;
        events(stream, step, r#","trafficType":"ON_DEMAND""#, created, out);
    },
    ..GEMINI
};

/// `usage` and `whole` are added at the end of the usage and of the answer.
fn answer(text: &str, usage: &str, whole: &str) -> String {
    format!(
        r#"{{
  "candidates": [
    {{
      "content": {{
        "parts": [
          {{
            "text": "{text}"
          }}
        ],
        "role": "model"
      }},
      "finishReason": "STOP",
      "index": 0
    }}
  ],
  "usageMetadata": {{
    "promptTokenCount": 231,
    "candidatesTokenCount": 118,
    "totalTokenCount": 349,
    "promptTokensDetails": [
      {{
        "modality": "TEXT",
        "tokenCount": 231
      }}
    ]{usage}
  }},
  "modelVersion": "mock-model-1",
  "responseId": "Bench0123456789abcdefghi"{whole}
}}
"#
    )
}

/// No event opens a stream, and each tells the usage so far.
fn events(stream: &Stream, step: usize, usage: &str, whole: &str, out: &mut Vec<u8>) {
    let said = match stream.part(step) {
        Part::Opening => return,
        Part::Delta(number) => number + 1,
        Part::Closing => stream.chunks,
    };
    out.extend_from_slice(br#"data: {"candidates": [{"content": {"parts": [{"text": ""#);
    match stream.part(step) {
        Part::Delta(number) => {
            word(number, out);
            out.extend_from_slice(br#""}],"role": "model"},"index": 0}]"#);
        }
        _ => out.extend_from_slice(br#""}],"role": "model"},"finishReason": "STOP","index": 0}]"#),
    }
    let total = PROMPT_TOKENS + said;
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        r#","usageMetadata": {{"promptTokenCount": {PROMPT_TOKENS},"candidatesTokenCount": {said},"totalTokenCount": {total},"promptTokensDetails": [{{"modality": "TEXT","tokenCount": {PROMPT_TOKENS}}}]{usage}}},"modelVersion": "mock-model-1","responseId": "Bench0123456789abcdefghi"{whole}}}"#
    );
    out.extend_from_slice(b"\r\n\r\n");
}
