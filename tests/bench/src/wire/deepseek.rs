//! DeepSeek, for those that speak as OpenAI does: thinking under a name of its own, usage in the
//! last chunk unasked, signs of life before the answer.

use super::openai::OPENAI;
use super::{Api, PROMPT_TOKENS, Part, Stream, word};
use std::io::Write;

pub const DEEPSEEK: Api = Api {
    name: "deepseek",
    label: "DeepSeek",
    central: false,
    model: "bench-deepseek",
    host: "api.deepseek.com",
    headers: "x-ds-trace-id: 0123456789abcdef0123456789abcdef\r\nserver: openresty\r\n",
    forms: ["\"reasoning_content\"", "\"reasoning_content\""],
    answer,
    events,
    ..OPENAI
};

/// One delta of so many is thought, the first ones: the others are said.
const THOUGHT: usize = 4;

fn answer(text: &str) -> String {
    format!(
        r#"


{{"id":"01234567-89ab-4cde-8f01-23456789abcd","object":"chat.completion","created":1741569952,"model":"mock-model-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","reasoning_content":"The user asks what a gateway does.\nI should say it in a few words."}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":231,"completion_tokens":118,"total_tokens":349,"prompt_tokens_details":{{"cached_tokens":128}},"completion_tokens_details":{{"reasoning_tokens":16}},"prompt_cache_hit_tokens":128,"prompt_cache_miss_tokens":103}},"system_fingerprint":"fp_bench01234_prod"}}"#
    )
}

fn events(stream: &Stream, step: usize, out: &mut Vec<u8>) {
    const CHUNK: &[u8] = br#"data: {"id":"01234567-89ab-4cde-8f01-23456789abcd","object":"chat.completion.chunk","created":1741569952,"model":"mock-model-1","system_fingerprint":"fp_bench01234_prod","choices":[{"index":0,"delta":{"#;
    const OPEN: &[u8] = b"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
    let thoughts = stream.chunks / THOUGHT;
    match stream.part(step) {
        Part::Opening => {
            out.extend_from_slice(b": keep-alive\n\n");
            out.extend_from_slice(CHUNK);
            out.extend_from_slice(br#""role":"assistant","content":null,"reasoning_content":"""#);
            out.extend_from_slice(OPEN);
        }
        Part::Delta(number) => {
            out.extend_from_slice(CHUNK);
            let (before, after): (&[u8], &[u8]) = if number < thoughts {
                (br#""content":null,"reasoning_content":""#, b"\"")
            } else {
                (br#""content":""#, br#"","reasoning_content":null"#)
            };
            out.extend_from_slice(before);
            word(number, out);
            out.extend_from_slice(after);
            out.extend_from_slice(OPEN);
        }
        Part::Closing => {
            out.extend_from_slice(CHUNK);
            let (output, total) = (stream.chunks, PROMPT_TOKENS + stream.chunks);
            // Writing to a vector cannot fail.
            let _ = write!(
                out,
                r#""content":"","reasoning_content":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":128}},"completion_tokens_details":{{"reasoning_tokens":{thoughts}}},"prompt_cache_hit_tokens":128,"prompt_cache_miss_tokens":103}}}}"#
            );
            out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        }
    }
}
