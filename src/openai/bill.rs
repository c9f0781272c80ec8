//! What a request cost, in the `usage` of its answer: `cost`, a number of US dollars or null where nobody
//! knows, and `estimated` where nobody counted the tokens. A provider's own `cost` gives way.

use serde_json::value::RawValue;

use super::chunk::DONE;
use super::json::{is_object, write_str};
use super::object::Members;
use super::place::{from_slice, from_str};
use super::usage::Usage;

/// A bill for a client.
#[derive(Clone, Debug)]
pub struct Bill {
    /// A JSON number, or `null`.
    pub cost: String,
    /// Whether the tokens are a guess.
    pub estimated: bool,
    /// The tokens, for an answer that does not tell them.
    pub usage: Usage,
}

/// What stands at the top of a chunk, for a stream that has none of usage.
#[derive(Clone, Copy, Debug)]
pub struct Top<'a> {
    /// Without the `chatcmpl-` in front.
    pub id: &'a str,
    /// In seconds since 1970.
    pub created: u64,
    /// Who answered.
    pub model: &'a str,
}

/// The model that a canonical answer, or the first event of a canonical stream, names at its top, if it
/// is a `known` one. The name is looked for as text, and the answer is read only when that is known.
#[must_use]
pub fn answering(answer: &[u8], known: impl FnOnce(&str) -> bool) -> Option<&str> {
    const NAME: &[u8] = b"\"model\"";
    let json = match answer.strip_prefix(b"data: ") {
        Some(events) => events.get(..memchr::memchr(b'\n', events)?)?,
        None => answer,
    };
    // Within a text the quotes would be escaped.
    let after = json.get(memchr::memmem::find(json, NAME)? + NAME.len()..)?;
    let value =
        after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let name = std::str::from_utf8(value.get(..memchr::memchr(b'"', value)?)?).ok()?;
    let is_at_the_top = || from_slice::<Members<'_>>(json).ok()?.text("model");
    (known(name) && is_at_the_top().is_some_and(|top| top == name)).then_some(name)
}

/// The members of `usage` that are the bill's.
const OWN: [&str; 2] = ["cost", "estimated"];

impl Bill {
    /// The canonical answer `body` with the bill in it; nothing where it is no object.
    #[must_use]
    pub fn in_answer(&self, body: &[u8]) -> Option<Vec<u8>> {
        let answer: Members<'_> = from_slice(body).ok()?;
        let mut out = Vec::with_capacity(body.len() + 64);
        for (name, value) in answer.0.iter().filter(|(name, _)| name != "usage") {
            out.push(if out.is_empty() { b'{' } else { b',' });
            write_str(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.extend_from_slice(if out.is_empty() { b"{\"usage\":" } else { b",\"usage\":" });
        self.write(answer.find("usage"), &mut out);
        out.push(b'}');
        Some(out)
    }

    /// Puts the bill into the last chunk of a canonical stream that has just ended in `out`: before its
    /// end there is the chunk of usage, or none.
    pub fn in_stream(&self, out: &mut Vec<u8>, top: Top<'_>) {
        let Some(end) = memchr::memmem::rfind(out, DONE) else { return };
        let before = out.get(..end).unwrap_or_default();
        let body = before.strip_suffix(b"\n\n").unwrap_or(before);
        let start = memchr::memmem::rfind(body, b"\n\n").map_or(0, |at| at + 2);
        let event = body.get(start..).and_then(|event| event.strip_prefix(b"data: "));
        let told: Option<Members<'_>> = event.and_then(|event| from_slice(event).ok());
        let told = told.filter(|told| told.find("usage").is_some_and(is_object));
        let (at, chunk) = match told.and_then(|_| self.in_answer(event?)) {
            Some(chunk) => (start, chunk),
            None => (end, self.chunk(top)),
        };
        out.truncate(at);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&chunk);
        out.extend_from_slice(b"\n\n");
        out.extend_from_slice(DONE);
    }

    fn chunk(&self, top: Top<'_>) -> Vec<u8> {
        let mut out = b"{\"id\":".to_vec();
        write_str(&mut out, &["chatcmpl-", top.id].concat());
        out.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        out.extend_from_slice(top.created.to_string().as_bytes());
        out.extend_from_slice(b",\"model\":");
        write_str(&mut out, top.model);
        out.extend_from_slice(b",\"choices\":[],\"usage\":");
        self.write(None, &mut out);
        out.push(b'}');
        out
    }

    /// Appends `usage` with the bill in it, or the bill's own tokens where there is none.
    fn write(&self, usage: Option<&RawValue>, out: &mut Vec<u8>) {
        let told = usage.filter(|usage| is_object(usage));
        match told.and_then(|usage| from_str::<Members<'_>>(usage.get()).ok()) {
            Some(usage) if !self.estimated => {
                out.push(b'{');
                for (name, value) in usage.0.iter().filter(|(name, _)| !OWN.contains(&&**name)) {
                    write_str(out, name);
                    out.push(b':');
                    out.extend_from_slice(value.get().as_bytes());
                    out.push(b',');
                }
            }
            _ => {
                self.usage.write(out);
                out.pop();
                out.push(b',');
            }
        }
        out.extend_from_slice(b"\"cost\":");
        out.extend_from_slice(self.cost.as_bytes());
        out.extend_from_slice(if self.estimated { b",\"estimated\":true}" } else { b"}" });
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;

    const TOP: Top<'_> = Top { id: "r1", created: 7, model: "m" };

    fn bill(cost: &str, estimated: bool) -> Bill {
        let usage = Usage { uncached_input: 5, output: 6, ..Usage::default() };
        Bill { cost: cost.to_owned(), estimated, usage }
    }

    fn answer(bill: &Bill, body: &str) -> Value {
        serde_json::from_slice(&bill.in_answer(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_cost_stands_in_the_usage_and_a_providers_own_gives_way() {
        let said = answer(
            &bill("0.0025", false),
            r#"{"id":"x","usage":{"prompt_tokens":1,"cost":9,"more":{"a":1}},"choices":[]}"#,
        );
        let usage = json!({"prompt_tokens": 1, "more": {"a": 1}, "cost": 0.0025});
        assert_eq!(said, json!({"id": "x", "choices": [], "usage": usage}));
        assert_eq!(
            answer(&bill("null", false), r#"{"usage":{}}"#),
            json!({"usage": {"cost": null}})
        );
        assert!(bill("1", false).in_answer(b"[]").is_none());
    }

    #[test]
    fn tokens_that_nobody_counted_are_told_as_a_guess() {
        for body in ["{}", r#"{"usage":null}"#, r#"{"usage":{"prompt_tokens":0}}"#] {
            let usage = &answer(&bill("0.5", true), body)["usage"];
            assert_eq!(
                (&usage["total_tokens"], &usage["cost"]),
                (&json!(11), &json!(0.5)),
                "{body}"
            );
            assert_eq!(usage["estimated"], true);
        }
    }

    fn streamed(bill: &Bill, out: &str) -> Vec<Value> {
        let mut out = out.as_bytes().to_vec();
        bill.in_stream(&mut out, TOP);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"));
        let events = text.split_terminator("\n\n").filter(|event| *event != "data: [DONE]");
        events
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn a_stream_has_its_cost_in_the_chunk_of_usage() {
        let finish = r#"{"id":"a","choices":[{"finish_reason":"stop"}],"usage":null}"#;
        let usage = r#"{"id":"a","choices":[],"usage":{"total_tokens":3}}"#;
        let done = "data: [DONE]\n\n";
        let told = json!({"id": "a", "choices": [], "usage": {"total_tokens": 3, "cost": 1}});
        let events =
            streamed(&bill("1", false), &format!("data: {finish}\n\ndata: {usage}\n\n{done}"));
        assert_eq!((events.len(), &events[1]), (2, &told));
        assert_eq!(streamed(&bill("1", false), &format!("data: {usage}\n\n{done}")), [told]);
        let untold = streamed(&bill("null", true), &format!("data: {finish}\n\n{done}"));
        assert_eq!((untold.len(), &untold[1]["model"]), (2, &json!("m")));
        assert_eq!((&untold[1]["id"], &untold[1]["choices"]), (&json!("chatcmpl-r1"), &json!([])));
        assert_eq!(untold[1]["usage"]["total_tokens"], 11);
        assert_eq!(streamed(&bill("1", false), done).len(), 1);
    }

    #[test]
    fn a_stream_that_has_not_ended_is_left_alone() {
        let mut out = b"data: {\"usage\":{}}\n\n".to_vec();
        bill("1", false).in_stream(&mut out, TOP);
        assert_eq!(out, b"data: {\"usage\":{}}\n\n");
    }
}
