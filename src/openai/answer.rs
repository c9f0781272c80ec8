//! A whole answer in canonical form.

use std::io::Write as _;

use super::chunk::FinishReason;
use super::json::write_str;
use super::usage::Usage;

/// An answer to a chat request, to be written as `chat.completion`.
#[derive(Debug)]
pub struct Completion {
    /// The provider's id, or ours.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The model that answered.
    pub model: String,
    /// One for each answer.
    pub choices: Vec<Choice>,
    /// What it used.
    pub usage: Usage,
}

/// One answer. Texts are JSON string *contents*: escaped, without the quotes, so that a provider's
/// own escapes are passed on.
#[derive(Debug, Default)]
pub struct Choice {
    /// What is said, if anything is.
    pub content: Option<String>,
    /// What was thought.
    pub reasoning: Option<String>,
    /// A JSON list of thinking blocks with their signatures, for the next turn.
    pub thinking_blocks: Option<String>,
    /// Why it was refused.
    pub refusal: Option<String>,
    /// A JSON list of citations.
    pub annotations: Option<String>,
    /// A JSON list of pictures, in the form that most providers share.
    pub images: Option<String>,
    /// The calls it asks for.
    pub tool_calls: Vec<Call>,
    /// Why it ended.
    pub finish: Option<FinishReason>,
    /// A JSON object of token probabilities.
    pub logprobs: Option<String>,
}

/// A tool call.
#[derive(Debug)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// Which function.
    pub name: String,
    /// JSON text, not yet escaped.
    pub arguments: String,
    /// A JSON object with what its provider wants back.
    pub extra_content: Option<String>,
}

impl Completion {
    /// Appends the answer's body.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        write_str(out, &self.id);
        let _ = write!(out, r#","object":"chat.completion","created":{},"model":"#, self.created);
        write_str(out, &self.model);
        out.extend_from_slice(b",\"choices\":[");
        for (index, choice) in self.choices.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            choice.write(out, index);
        }
        out.extend_from_slice(b"],\"usage\":");
        self.usage.write(out);
        out.push(b'}');
    }
}

impl Choice {
    fn write(&self, out: &mut Vec<u8>, index: usize) {
        let _ = write!(out, r#"{{"index":{index},"message":{{"role":"assistant","content":"#);
        quoted_or_null(out, self.content.as_deref());
        out.extend_from_slice(b",\"refusal\":");
        quoted_or_null(out, self.refusal.as_deref());
        if self.reasoning.is_some() {
            out.extend_from_slice(b",\"reasoning_content\":");
            quoted_or_null(out, self.reasoning.as_deref());
        }
        for (name, json) in [
            ("thinking_blocks", &self.thinking_blocks),
            ("annotations", &self.annotations),
            ("images", &self.images),
        ] {
            if let Some(json) = json {
                let _ = write!(out, ",\"{name}\":{json}");
            }
        }
        if !self.tool_calls.is_empty() {
            out.extend_from_slice(b",\"tool_calls\":[");
            for (index, call) in self.tool_calls.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(b"{\"id\":");
                write_str(out, &call.id);
                out.extend_from_slice(br#","type":"function","function":{"name":"#);
                write_str(out, &call.name);
                out.extend_from_slice(b",\"arguments\":");
                write_str(out, &call.arguments);
                out.push(b'}');
                if let Some(extra) = &call.extra_content {
                    let _ = write!(out, ",\"extra_content\":{extra}");
                }
                out.push(b'}');
            }
            out.push(b']');
        }
        out.extend_from_slice(b"},\"logprobs\":");
        out.extend_from_slice(self.logprobs.as_deref().unwrap_or("null").as_bytes());
        let finish = self.finish.unwrap_or(FinishReason::Stop).word();
        let _ = write!(out, r#","finish_reason":"{finish}"}}"#);
    }
}

fn quoted_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            out.push(b'"');
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_answer_with_everything_is_valid_json() {
        let answer = Completion {
            id: "i".into(),
            created: 1,
            model: "m".into(),
            choices: vec![
                Choice {
                    content: Some(r"a\u00e9".into()),
                    reasoning: Some("hm".into()),
                    thinking_blocks: Some("[]".into()),
                    tool_calls: vec![Call {
                        id: "c".into(),
                        name: "f".into(),
                        arguments: r#"{"a":1.0}"#.into(),
                        extra_content: Some(r#"{"x":1}"#.into()),
                    }],
                    finish: Some(FinishReason::ToolCalls),
                    ..Choice::default()
                },
                Choice::default(),
            ],
            usage: Usage::default(),
        };
        let mut out = Vec::new();
        answer.write(&mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["choices"][0]["message"]["content"], "aé");
        assert_eq!(
            json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
            r#"{"a":1.0}"#
        );
        assert_eq!(json["choices"][1]["message"]["content"], serde_json::Value::Null);
        assert_eq!(json["choices"][1]["finish_reason"], "stop");
    }
}
