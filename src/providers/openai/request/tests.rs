#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::*;
use crate::providers::catalogue::{Catalogue, Facts};
use crate::providers::openai::OpenAi;
use crate::providers::{Base, Dialect, Outbound, Policy, Settings};

fn asked(request: &str, model: &str, policy: Policy) -> Result<(Outbound, String), Error> {
    let catalogue = Catalogue::builtin();
    let unknown = Facts::unknown();
    let base = Base::parse("https://api.openai.com/v1").unwrap();
    let target = Target {
        base: &base,
        settings: &Settings(vec![("organization", "o".to_owned())]),
        model,
        facts: catalogue.find("openai", model).unwrap_or(&unknown),
        policy,
    };
    let chat = Chat::parse(request.as_bytes()).unwrap();
    let outbound = OpenAi.request(&chat, request.as_bytes(), &target)?;
    let body = outbound.body.apply(request.as_bytes()).into_owned();
    Ok((outbound, String::from_utf8(body).unwrap()))
}

fn sent(request: &str, model: &str) -> (Value, Vec<String>) {
    let (outbound, body) = asked(request, model, Policy::default()).unwrap();
    let warnings = outbound.warnings.iter().map(ToString::to_string).collect();
    (serde_json::from_str(&body).unwrap(), warnings)
}

#[test]
fn a_request_that_is_right_already_is_not_touched() {
    let (outbound, _) = asked(r#"{"model":"gpt-4o","x":1}"#, "gpt-4o", Policy::default()).unwrap();
    assert_eq!(outbound.body, Payload::Same);
    assert_eq!((outbound.method, &*outbound.path), ("POST", "/v1/chat/completions"));
    assert_eq!(
        outbound.headers,
        [("content-type", "application/json".to_owned()), ("openai-organization", "o".to_owned())]
    );
}

#[test]
fn usage_is_asked_for_whenever_events_are() {
    for (options, expected) in [
        ("", json!({"include_usage":true})),
        (r#","stream_options":null"#, json!({"include_usage":true})),
        (r#","stream_options":{"include_usage":false}"#, json!({"include_usage":true})),
        (r#","stream_options":{}"#, json!({"include_usage":true})),
        (
            r#","stream_options":{"include_obfuscation":false,"include_usage":null}"#,
            json!({"include_usage":true,"include_obfuscation":false}),
        ),
    ] {
        let (body, _) = sent(&format!(r#"{{"model":"m","stream":true{options}}}"#), "m");
        assert_eq!(body, json!({"model":"m","stream":true,"stream_options":expected}), "{options}");
    }
    let asks = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(asked(asks, "m", Policy::default()).unwrap().0.body, Payload::Same);
}

#[test]
fn the_usual_change_is_one_to_the_start_of_the_body() {
    let request = r#"{"model":"fast","messages":[{"role":"user","content":"x"}],"stream":true}"#;
    let (outbound, body) = asked(request, "gpt-4o", Policy::default()).unwrap();
    assert_eq!(
        body,
        r#"{"stream_options":{"include_usage":true},"model":"gpt-4o","messages":[{"role":"user","content":"x"}],"stream":true}"#
    );
    assert!(matches!(outbound.body, Payload::Prefix { drop: 15, .. }), "{:?}", outbound.body);
}

#[test]
fn a_reasoning_model_gets_the_newer_name_of_the_token_limit() {
    let (body, warnings) = sent(r#"{"model":"m","max_tokens":9,"messages":[]}"#, "o3");
    assert_eq!(body, json!({"model":"o3","max_completion_tokens":9,"messages":[]}));
    assert_eq!(warnings, ["max_tokens changed to max_completion_tokens"]);
    let (body, warnings) = sent(r#"{"max_tokens":9,"max_completion_tokens":8,"model":"o3"}"#, "o3");
    assert_eq!(body, json!({"model":"o3","max_completion_tokens":8}));
    assert_eq!(warnings, ["max_tokens dropped"]);
    let (body, _) = sent(r#"{"max_tokens":9,"max_completion_tokens":null,"model":"o3"}"#, "o3");
    assert_eq!(body, json!({"model":"o3","max_completion_tokens":9}));
    assert_eq!(sent(r#"{"model":"gpt-4o","max_tokens":9}"#, "gpt-4o").0["max_tokens"], 9);
}

#[test]
fn a_reasoning_model_gets_no_sampling_parameters() {
    let request = r#"{"model":"o3","temperature":0.2,"top_p":0.5,"presence_penalty":1,"frequency_penalty":-1,"logit_bias":{"1":2},"stop":["x"],"parallel_tool_calls":true}"#;
    let (body, warnings) = sent(request, "o3");
    assert_eq!(body, json!({"model":"o3"}));
    assert_eq!(warnings.len(), 7, "{warnings:?}");
    let defaults =
        r#"{"model":"o3","temperature":1.0,"top_p":1,"presence_penalty":0,"logprobs":false}"#;
    let (body, warnings) = sent(defaults, "o3");
    assert_eq!(body, serde_json::from_str::<Value>(defaults).unwrap());
    assert!(warnings.is_empty());
}

#[test]
fn effort_none_lets_sampling_parameters_pass_where_the_model_allows_it() {
    let request =
        r#"{"model":"gpt-5.6","temperature":0.2,"logprobs":true,"reasoning_effort":"none"}"#;
    assert_eq!(sent(request, "gpt-5.6").0["temperature"], 0.2);
    let (body, warnings) = sent(r#"{"model":"gpt-5.6","temperature":0.2}"#, "gpt-5.6");
    assert_eq!((body, warnings.len()), (json!({"model":"gpt-5.6"}), 1));
}

#[test]
fn logprobs_of_a_reasoning_model_are_refused_unless_the_policy_drops_them() {
    let request = r#"{"model":"o3","logprobs":true,"top_logprobs":2}"#;
    let error = asked(request, "o3", Policy::default()).unwrap_err();
    assert_eq!((error.status, error.param.as_deref()), (400, Some("logprobs")));
    assert_eq!(error.code.as_deref(), Some("unsupported_parameter"));
    let policy = Policy { drop_unsupported: true, ..Policy::default() };
    assert_eq!(asked(request, "o3", policy).unwrap().1, r#"{"model":"o3"}"#);
    let policy = Policy { reject_out_of_range: true, ..Policy::default() };
    let error = asked(r#"{"model":"o3","temperature":0}"#, "o3", policy).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("temperature"));
}

#[test]
fn an_effort_steps_to_the_nearest_that_the_model_takes() {
    let (body, warnings) = sent(r#"{"model":"o3","reasoning_effort":"max"}"#, "o3");
    assert_eq!(body["reasoning_effort"], "high");
    assert_eq!(warnings, ["reasoning_effort changed to high"]);
    let (body, _) = sent(r#"{"model":"o3","reasoning_effort":"dunno"}"#, "o3");
    assert_eq!(body["reasoning_effort"], "dunno");
}

#[test]
fn functions_and_an_effort_do_not_go_together_where_the_model_says_so() {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let request =
        |effort: &str| format!(r#"{{"model":"gpt-5.6",{tools},"reasoning_effort":"{effort}"}}"#);
    let (body, warnings) = sent(&request("high"), "gpt-5.6");
    assert!(body.get("reasoning_effort").is_none());
    assert_eq!(warnings, ["reasoning_effort dropped"]);
    assert_eq!(sent(&request("none"), "gpt-5.6").0["reasoning_effort"], "none");
}

#[test]
fn an_effort_is_dropped_for_a_model_known_not_to_reason_and_kept_for_an_unknown_one() {
    let request = r#"{"model":"x","reasoning_effort":"low","temperature":0,"max_tokens":1}"#;
    let (body, warnings) = sent(request, "gpt-4o");
    assert!(body.get("reasoning_effort").is_none());
    assert_eq!(warnings, ["reasoning_effort dropped"]);
    let (body, warnings) = sent(request, "x");
    assert_eq!(body, serde_json::from_str::<Value>(request).unwrap());
    assert!(warnings.is_empty());
}

#[test]
fn what_other_providers_put_into_messages_is_taken_out() {
    let request = r#"{"messages":[
        {"role":"system","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]},
        {"role":"user","content":  "1.0 \"cache_control\"","cache_control":{}},
        {"role":"assistant","content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"b"}],"reasoning_content":"r","thinking_blocks":[{}],
         "tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{}}}],"x_unknown":1},
        {"role":"tool","tool_call_id":"c","content":"ok"},
        {"role":"assistant","content":[{"type":"redacted_thinking","data":"t"}],"reasoning":null}
    ],"model":"gpt-4o","tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"cache_control":{}}}},"cache_control":{}}]}"#;
    let (body, warnings) = sent(request, "gpt-4o");
    assert_eq!(
        body,
        json!({"messages":[
            {"role":"system","content":[{"type":"text","text":"a"}]},
            {"role":"user","content":"1.0 \"cache_control\""},
            {"role":"assistant","content":[{"type":"text","text":"b"}],
             "tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],"x_unknown":1},
            {"role":"tool","tool_call_id":"c","content":"ok"},
            {"role":"assistant","content":""}
        ],"model":"gpt-4o","tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"cache_control":{}}}}}]})
    );
    let mut warnings = warnings;
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "cache_control dropped",
            "extra_content dropped",
            "reasoning dropped",
            "reasoning_content dropped",
            "thinking dropped",
            "thinking_blocks dropped"
        ]
    );
}

#[test]
fn a_word_that_only_looks_like_a_foreign_member_changes_nothing() {
    let request = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"cache_control"}]},
        {"role":"assistant","content":[{"type":"text","text":"thinking"}],"tool_calls":[{"id":"extra_content","function":{"name":"f"}}]}]}"#;
    let (outbound, _) = asked(request, "m", Policy::default()).unwrap();
    assert_eq!(outbound.body, Payload::Same);
    assert!(outbound.warnings.is_empty());
}

#[test]
fn a_null_that_openai_would_refuse_goes_too() {
    let request = r#"{"model":"m","messages":[{"role":"assistant","content":"a","reasoning_content":null,"thinking_blocks":null,"refusal":null}]}"#;
    assert_eq!(
        sent(request, "m").0["messages"],
        json!([{"role":"assistant","content":"a","refusal":null}])
    );
}
