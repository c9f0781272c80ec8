//! What the two providers send: heads, JSON answers, stream events.

use crate::marks;
use memchr::memmem;
use std::io::Write;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Api {
    OpenAi,
    Anthropic,
}

impl Api {
    /// Which provider's endpoint a request target is, whatever stands before its end.
    pub fn of(target: &str) -> Option<Self> {
        let path = target.split('?').next().unwrap_or_default();
        if path.ends_with("/chat/completions") {
            Some(Self::OpenAi)
        } else if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else {
            None
        }
    }
}

const OPENAI_HEADERS: &str = "\
    openai-organization: org-bench\r\n\
    openai-processing-ms: 311\r\n\
    openai-version: 2020-10-01\r\n\
    x-ratelimit-limit-requests: 30000\r\n\
    x-ratelimit-limit-tokens: 150000000\r\n\
    x-ratelimit-remaining-requests: 29999\r\n\
    x-ratelimit-remaining-tokens: 149999000\r\n\
    x-request-id: req_0123456789abcdef0123456789abcdef\r\n";

const ANTHROPIC_HEADERS: &str = "\
    anthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\n\
    anthropic-ratelimit-requests-limit: 4000\r\n\
    anthropic-ratelimit-requests-remaining: 3999\r\n\
    anthropic-ratelimit-tokens-limit: 400000\r\n\
    anthropic-ratelimit-tokens-remaining: 399000\r\n\
    request-id: req_0123456789abcdefghijABCD\r\n";

fn headers(api: Api) -> &'static str {
    match api {
        Api::OpenAi => OPENAI_HEADERS,
        Api::Anthropic => ANTHROPIC_HEADERS,
    }
}

/// The whole JSON answer, head included: about 100 words with mark 0 at their end.
pub fn answer(api: Api) -> Vec<u8> {
    let mut text =
        "A gateway reads the request, picks a provider and passes the answer on.\\n".repeat(8);
    let mut mark = Vec::new();
    marks::write(0, &mut mark);
    text.push_str(&String::from_utf8_lossy(&mark));
    let body = match api {
        Api::OpenAi => format!(
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
      "finish_reason": "stop"
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
  "system_fingerprint": "fp_bench01234"
}}
"#
        ),
        Api::Anthropic => format!(
            r#"{{"model":"bench-anthropic-20250101","id":"msg_01Bench0123456789abcdef","type":"message","role":"assistant","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":231,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":118,"service_tier":"standard"}}}}"#
        ),
    };
    plain("200 OK", headers(api), &body)
}

/// A JSON answer of the mock itself.
pub fn plain(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n\
         {body}",
        body.len()
    )
    .into_bytes()
}

/// One stream of `chunks` content deltas. Step 0 opens it, steps 1 to `chunks` are the deltas, the
/// last one closes it.
#[derive(Clone, Copy)]
pub struct Stream {
    pub api: Api,
    pub chunks: usize,
    /// The client asked for usage at the end (OpenAI only).
    pub usage: bool,
}

impl Stream {
    pub fn head(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n");
        out.extend_from_slice(headers(self.api).as_bytes());
        out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    }

    /// Appends what is sent at `step` as one HTTP chunk; false when the stream has ended with it.
    pub fn step(self, step: usize, event: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        event.clear();
        match self.api {
            Api::OpenAi => self.openai(step, event),
            Api::Anthropic => self.anthropic(step, event),
        }
        // Writing to a vector cannot fail.
        let _ = write!(out, "{:x}\r\n", event.len());
        out.extend_from_slice(event);
        out.extend_from_slice(b"\r\n");
        let last = step > self.chunks;
        if last {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        !last
    }

    fn openai(self, step: usize, out: &mut Vec<u8>) {
        const CHUNK: &[u8] = br#"data: {"id":"chatcmpl-Bench0123456789abcdefghijkl","object":"chat.completion.chunk","created":1741569952,"model":"bench-openai-2025-01-01","service_tier":"default","system_fingerprint":"fp_bench01234","choices":["#;
        let usage: &[u8] = if self.usage { b",\"usage\":null}\n\n" } else { b"}\n\n" };
        out.extend_from_slice(CHUNK);
        if step == 0 {
            out.extend_from_slice(br#"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]"#);
            out.extend_from_slice(usage);
        } else if step <= self.chunks {
            out.extend_from_slice(br#"{"index":0,"delta":{"content":" word"#);
            marks::write(step - 1, out);
            out.extend_from_slice(br#""},"logprobs":null,"finish_reason":null}]"#);
            out.extend_from_slice(usage);
        } else {
            out.extend_from_slice(
                br#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]"#,
            );
            out.extend_from_slice(usage);
            if self.usage {
                out.extend_from_slice(CHUNK);
                let (output, total) = (self.chunks, 231 + self.chunks);
                let _ = write!(
                    out,
                    r#"],"usage":{{"prompt_tokens":231,"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}}}"#
                );
                out.extend_from_slice(b"\n\n");
            }
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
    }

    fn anthropic(self, step: usize, out: &mut Vec<u8>) {
        if step == 0 {
            out.extend_from_slice(br#"event: message_start
data: {"type":"message_start","message":{"model":"bench-anthropic-20250101","id":"msg_01Bench0123456789abcdef","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":231,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

"#);
        } else if step <= self.chunks {
            out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word");
            marks::write(step - 1, out);
            out.extend_from_slice(b"\"}}\n\n");
        } else {
            out.extend_from_slice(b"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\n");
            let _ = write!(
                out,
                r#"data: {{"type":"message_delta","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"input_tokens":231,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":{}}}}}"#,
                self.chunks
            );
            out.extend_from_slice(
                b"\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            );
        }
    }
}

/// Whether a request body sets `key` to true. A key of the same spelling deeper inside counts
/// too; the bodies sent here have none.
pub fn asks_for(body: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    memmem::find_iter(body, quoted.as_bytes()).any(|at| {
        let after = body[at + quoted.len()..].trim_ascii_start();
        after.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Kind, Reader};
    use crate::marks::Marks;
    use serde_json::Value;

    fn stream(api: Api, chunks: usize) -> Vec<u8> {
        let stream = Stream { api, chunks, usage: true };
        let (mut event, mut wire) = (Vec::new(), Vec::new());
        stream.head(&mut wire);
        let mut step = 0;
        while stream.step(step, &mut event, &mut wire) {
            step += 1;
        }
        let mut body = Vec::new();
        let mut reader = Reader::new(Kind::Response);
        assert_eq!(reader.feed(&wire, |part| body.extend_from_slice(part)).unwrap(), wire.len());
        assert!(reader.done());
        body
    }

    #[test]
    fn every_event_is_json_and_every_mark_is_there() {
        for (api, end) in [(Api::OpenAi, "[DONE]"), (Api::Anthropic, "message_stop")] {
            let body = stream(api, 7);
            let mut marks = Marks::default();
            marks.feed(&body);
            assert_eq!((marks.seen, marks.disordered), (7, false));
            assert!(marks.ends_with(end.as_bytes()));
            for line in String::from_utf8(body).unwrap().lines() {
                let Some(data) = line.strip_prefix("data: ") else { continue };
                assert!(data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok(), "{data}");
            }
        }
    }

    #[test]
    fn the_answers_are_json_with_one_mark() {
        for api in [Api::OpenAi, Api::Anthropic] {
            let wire = answer(api);
            let (mut reader, mut body) = (Reader::new(Kind::Response), Vec::new());
            reader.feed(&wire, |part| body.extend_from_slice(part)).unwrap();
            assert!(reader.done() && serde_json::from_slice::<Value>(&body).is_ok());
            let mut marks = Marks::default();
            marks.feed(&body);
            assert_eq!(marks.seen, 1);
        }
    }

    #[test]
    fn stream_is_found_with_and_without_spaces() {
        assert!(asks_for(br#"{"stream": true}"#, "stream"));
        assert!(asks_for(br#"{"stream":true}"#, "stream"));
        assert!(!asks_for(br#"{"stream":false,"x":true}"#, "stream"));
    }
}
