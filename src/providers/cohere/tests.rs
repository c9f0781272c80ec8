#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::value::RawValue;

use super::content::{Citations, MAX_BLOCKS, finish_reason, logprobs, usage};
use crate::openai::Class;
use crate::openai::chunk::FinishReason;
use crate::openai::json::RawStr;

fn raw(json: &str) -> Box<RawValue> {
    serde_json::from_str(json).unwrap()
}

#[test]
fn finish_reasons_map_to_the_closed_list() {
    for (reason, calls, expected) in [
        ("COMPLETE", false, FinishReason::Stop),
        ("COMPLETE", true, FinishReason::ToolCalls),
        ("STOP_SEQUENCE", false, FinishReason::Stop),
        ("TOOL_CALL", true, FinishReason::ToolCalls),
        ("TOOL_CALL", false, FinishReason::Stop),
        ("MAX_TOKENS", true, FinishReason::Length),
        ("ERROR_TOXIC", false, FinishReason::ContentFilter),
        ("", false, FinishReason::Stop),
        ("SOMETHING_NEW", false, FinishReason::Stop),
    ] {
        assert_eq!(finish_reason(reason, None, calls).unwrap(), expected, "{reason}");
    }
}

#[test]
fn a_failure_is_of_the_class_that_its_explanation_names() {
    let said =
        |text: &'static str| -> RawStr<'static> { crate::openai::place::from_str(text).unwrap() };
    for (reason, explained, class) in [
        ("ERROR", None, Class::Server),
        ("TIMEOUT", None, Class::Timeout),
        ("ERROR", Some(said(r#""too many tokens: 5""#)), Class::ContextLength),
        ("TIMEOUT", Some(said(r#""it took too long""#)), Class::Timeout),
        ("ERROR", Some(said(r#"" ""#)), Class::Server),
    ] {
        let error = finish_reason(reason, explained, false).unwrap_err();
        assert_eq!(error.class, class, "{reason} {explained:?}");
    }
}

#[test]
fn counts_are_those_of_tokens_and_not_those_of_the_bill() {
    let usage = |json: &str| usage(Some(&raw(json)));
    let counted = usage(
        r#"{"billed_units":{"input_tokens":5},"tokens":{"input_tokens":500.0,"output_tokens":12.0},"cached_tokens":900.0}"#,
    )
    .unwrap();
    assert_eq!((counted.uncached_input, counted.cache_read, counted.output), (0, 500, 12));
    let billed = usage(r#"{"billed_units":{"input_tokens":5,"output_tokens":1}}"#).unwrap();
    assert_eq!((billed.prompt(), billed.output), (5, 1));
    assert_eq!(usage("{}"), None);
    assert_eq!(usage(r#""what""#), None);
}

#[test]
fn probabilities_that_are_none_are_left_out() {
    let of = |json: &str| logprobs(Some(&raw(json)));
    assert_eq!(
        of(r#"{"text":"a","token_ids":[1],"logprobs":[-0.10]}"#).unwrap(),
        r#"{"content":[{"token":"a","logprob":-0.10,"bytes":null,"top_logprobs":[]}],"refusal":null}"#
    );
    for json in [
        "[]",
        r#"[{"text":"a"}]"#,
        r#"[{"text":"a","logprobs":[]}]"#,
        "7",
        r#"[{"text":"a","logprobs":["x"]}]"#,
    ] {
        assert_eq!(of(json), None, "{json}");
    }
}

#[test]
fn beyond_the_bound_no_beginning_of_a_block_is_remembered() {
    let mut citations = Citations::default();
    let text: RawStr<'_> = crate::openai::place::from_str(r#""x""#).unwrap();
    for index in 0..=MAX_BLOCKS {
        citations.block(index as u64);
        citations.text(text);
    }
    let cite = |index: usize| {
        raw(&format!(
            r#"{{"start":1,"end":2,"content_index":{index},"sources":[{{"document":{{"url":"https://x.test"}}}}]}}"#
        ))
    };
    citations.cite(Some(&cite(MAX_BLOCKS - 1)));
    citations.cite(Some(&cite(MAX_BLOCKS)));
    let list = citations.list().unwrap();
    assert!(list.contains(&format!(r#""start_index":{MAX_BLOCKS}"#)), "{list}");
    assert!(list.contains(r#""start_index":1,"#), "{list}");
}
