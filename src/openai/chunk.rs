//! A streamed answer, written event by event.

use std::io::Write as _;

use super::json::{RawStr, write_str};
use super::usage::Usage;

/// Why an answer ended: OpenAI's closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A content policy cut it.
    ContentFilter,
    /// The token limit was reached.
    Length,
    /// It was complete, or met a stop sequence.
    Stop,
    /// It asks for tools to be called.
    ToolCalls,
}

impl FinishReason {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ContentFilter => "content_filter",
            Self::Length => "length",
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// The event that ends every stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// Writes a stream in canonical form: one role chunk, deltas, one finish chunk per choice, the
/// usage chunk if it was asked for, `[DONE]`. The same id, time and model stand in each.
///
/// Order is the caller's duty; each method appends exactly one event.
#[derive(Debug)]
pub struct ChunkWriter {
    /// `data: {"id":…,"object":…,"created":…,"model":…,"choices":[`
    head: Vec<u8>,
    include_usage: bool,
}

impl ChunkWriter {
    /// A writer for one stream. `created` is in seconds since 1970.
    #[must_use]
    pub fn new(id: &str, created: u64, model: &str, include_usage: bool) -> Self {
        let mut head = Vec::with_capacity(128);
        head.extend_from_slice(b"data: {\"id\":");
        write_str(&mut head, id);
        let _ = write!(head, r#","object":"chat.completion.chunk","created":{created},"model":"#);
        write_str(&mut head, model);
        head.extend_from_slice(b",\"choices\":[");
        Self { head, include_usage }
    }

    /// The first chunk of a choice.
    pub fn role(&self, out: &mut Vec<u8>, choice: u32) {
        self.delta(out, choice, &[br#""role":"assistant","content":"""#]);
    }

    /// A piece of text; `json` is a JSON string as the provider wrote it.
    pub fn content(&self, out: &mut Vec<u8>, choice: u32, json: RawStr<'_>) {
        self.delta(out, choice, &[br#""content":"#, json.as_written().as_bytes()]);
    }

    /// A piece of text with its token probabilities: `logprobs` is a JSON object
    /// `{"content":[…],"refusal":null}`.
    pub fn content_with_logprobs(
        &self,
        out: &mut Vec<u8>,
        choice: u32,
        json: RawStr<'_>,
        logprobs: &str,
    ) {
        let members: [&[u8]; 2] = [br#""content":"#, json.as_written().as_bytes()];
        self.open(out, choice, &members);
        let _ = write!(out, r#"}},"logprobs":{logprobs},"finish_reason":null}}]"#);
        self.close(out);
    }

    /// A piece of reasoning.
    pub fn reasoning(&self, out: &mut Vec<u8>, choice: u32, json: RawStr<'_>) {
        self.delta(out, choice, &[br#""reasoning_content":"#, json.as_written().as_bytes()]);
    }

    /// A delta whose members the caller wrote, such as `"refusal":"…"`.
    pub fn members(&self, out: &mut Vec<u8>, choice: u32, members: &[u8]) {
        self.delta(out, choice, &[members]);
    }

    /// The beginning of a tool call. `index` counts the calls of the choice from 0.
    pub fn tool_start(&self, out: &mut Vec<u8>, choice: u32, index: u32, id: &str, name: &str) {
        self.tool_start_with(out, choice, index, id, name, None);
    }

    /// The same with what its provider wants back: `extra` is the JSON object `extra_content`.
    pub fn tool_start_with(
        &self,
        out: &mut Vec<u8>,
        choice: u32,
        index: u32,
        id: &str,
        name: &str,
        extra: Option<&str>,
    ) {
        let mut call = Vec::with_capacity(96);
        let _ = write!(call, r#""tool_calls":[{{"index":{index},"id":"#);
        write_str(&mut call, id);
        call.extend_from_slice(br#","type":"function","function":{"name":"#);
        write_str(&mut call, name);
        call.extend_from_slice(br#","arguments":""}"#);
        if let Some(extra) = extra {
            let _ = write!(call, r#","extra_content":{extra}"#);
        }
        call.extend_from_slice(b"}]");
        self.delta(out, choice, &[&call]);
    }

    /// A piece of a call's arguments; `json` is a JSON string that holds a piece of JSON.
    pub fn tool_arguments(&self, out: &mut Vec<u8>, choice: u32, index: u32, json: RawStr<'_>) {
        let index = index.to_string();
        self.delta(
            out,
            choice,
            &[
                br#""tool_calls":[{"index":"#,
                index.as_bytes(),
                br#","function":{"arguments":"#,
                json.as_written().as_bytes(),
                b"}}]",
            ],
        );
    }

    /// The end of a choice.
    pub fn finish(&self, out: &mut Vec<u8>, choice: u32, reason: FinishReason) {
        out.extend_from_slice(&self.head);
        let _ = write!(
            out,
            r#"{{"index":{choice},"delta":{{}},"logprobs":null,"finish_reason":"{}"}}]"#,
            reason.word()
        );
        self.close(out);
    }

    /// The usage chunk; nothing when the client did not ask for it.
    pub fn usage(&self, out: &mut Vec<u8>, usage: &Usage) {
        if self.include_usage {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            usage.write(out);
            out.extend_from_slice(b"}\n\n");
        }
    }

    /// The end of the stream.
    pub fn done(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(DONE);
    }

    fn delta(&self, out: &mut Vec<u8>, choice: u32, members: &[&[u8]]) {
        self.open(out, choice, members);
        out.extend_from_slice(br#"},"logprobs":null,"finish_reason":null}]"#);
        self.close(out);
    }

    /// A chunk up to the end of its delta's members.
    fn open(&self, out: &mut Vec<u8>, choice: u32, members: &[&[u8]]) {
        out.extend_from_slice(&self.head);
        if choice == 0 {
            out.extend_from_slice(br#"{"index":0,"delta":{"#);
        } else {
            let _ = write!(out, r#"{{"index":{choice},"delta":{{"#);
        }
        for piece in members {
            out.extend_from_slice(piece);
        }
    }

    fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" });
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn raw(json: &str) -> RawStr<'_> {
        crate::openai::place::from_str(json).unwrap()
    }

    #[test]
    fn a_stream_is_written_in_canonical_order() {
        let writer = ChunkWriter::new("chatcmpl-1", 7, "m\"x", true);
        let mut out = Vec::new();
        writer.role(&mut out, 0);
        writer.content(&mut out, 0, raw(r#""a\u00e9""#));
        writer.tool_start(&mut out, 1, 0, "id", "name");
        writer.tool_arguments(&mut out, 1, 0, raw(r#""{\"a\":""#));
        writer.finish(&mut out, 1, FinishReason::ToolCalls);
        writer.usage(&mut out, &Usage { uncached_input: 1, output: 2, ..Usage::default() });
        writer.done(&mut out);
        let text = String::from_utf8(out).unwrap();
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 7);
        for event in events.iter().take(6) {
            let json: serde_json::Value =
                serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(json["id"], "chatcmpl-1");
            assert_eq!(json["model"], "m\"x");
            assert_eq!(json["object"], "chat.completion.chunk");
        }
        assert!(events[1].contains(r#""content":"a\u00e9""#));
        assert!(events[5].contains(r#""choices":[],"usage":{"prompt_tokens":1"#));
        assert_eq!(events[6], "data: [DONE]");
    }

    #[test]
    fn usage_is_not_written_for_a_client_that_did_not_ask() {
        let writer = ChunkWriter::new("i", 7, "m", false);
        let mut out = Vec::new();
        writer.role(&mut out, 0);
        writer.usage(&mut out, &Usage::default());
        assert!(!String::from_utf8(out).unwrap().contains("usage"));
    }
}
