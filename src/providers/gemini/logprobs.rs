//! Token probabilities.

use serde_json::value::RawValue;

use crate::openai::json::{RawStr, is_object, string};
use crate::openai::place::{from_str, members};

/// OpenAI's number for what is next to impossible.
const IMPOSSIBLE: &str = "-9999.0";

struct Tokens<'a> {
    token: Option<&'a RawValue>,
    log_probability: Option<&'a RawValue>,
}

members!(Tokens<'a> { token, log_probability "logProbability" });

struct Alternatives<'a> {
    candidates: Option<Vec<Tokens<'a>>>,
}

members!(Alternatives<'a> { candidates });

struct Result<'a> {
    chosen_candidates: Option<Vec<Tokens<'a>>>,
    top_candidates: Option<Vec<Alternatives<'a>>>,
}

members!(Result<'a> { chosen_candidates "chosenCandidates", top_candidates "topCandidates" });

/// The entries of `logprobs.content` for a `logprobsResult`, with commas between.
pub(super) fn entries(result: Option<&RawValue>) -> Option<String> {
    let raw = result.filter(|raw| is_object(raw))?;
    let result: Result<'_> = from_str(raw.get()).ok()?;
    let chosen = result.chosen_candidates.filter(|list| !list.is_empty())?;
    let top = result.top_candidates.unwrap_or_default();
    let mut json = String::new();
    for (at, token) in chosen.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        json.push('{');
        token.write(&mut json);
        json.push_str(",\"top_logprobs\":[");
        let alternatives = top.get(at).and_then(|top| top.candidates.as_deref());
        for (at, token) in alternatives.unwrap_or_default().iter().enumerate() {
            json.push_str(if at > 0 { ",{" } else { "{" });
            token.write(&mut json);
            json.push('}');
        }
        json.push_str("]}");
    }
    Some(json)
}

/// The object for entries.
pub(super) fn object(entries: &str) -> String {
    format!(r#"{{"content":[{entries}],"refusal":null}}"#)
}

impl Tokens<'_> {
    fn write(&self, json: &mut String) {
        let token = string(self.token).unwrap_or(RawStr::EMPTY).as_written();
        // A zero may be left out, and what is infinite is a word.
        let number = match self.log_probability.map(RawValue::get) {
            None | Some("null") => "0.0",
            Some(word) if word.starts_with('"') => IMPOSSIBLE,
            Some(number) => number,
        };
        json.push_str(&format!(r#""token":{token},"logprob":{number},"bytes":null"#));
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn each_token_stands_with_its_alternatives() {
        let raw: Box<RawValue> = serde_json::from_str(
            r#"{"chosenCandidates":[{"token":"Hi","tokenId":1,"logProbability":-0.50},{"token":"!"}],"topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.50},{"token":"Yo","logProbability":"-Infinity"}]}]}"#,
        )
        .unwrap();
        assert_eq!(
            entries(Some(&raw)).unwrap(),
            r#"{"token":"Hi","logprob":-0.50,"bytes":null,"top_logprobs":[{"token":"Hi","logprob":-0.50,"bytes":null},{"token":"Yo","logprob":-9999.0,"bytes":null}]},{"token":"!","logprob":0.0,"bytes":null,"top_logprobs":[]}"#
        );
        assert_eq!(entries(None), None);
    }
}
