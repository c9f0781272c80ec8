#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::request::{NEW_VERSION, OLD_VERSION};
use super::*;
use crate::providers::catalogue::{Catalogue, Facts};
use crate::providers::stream::{Phase, Stream};
use crate::providers::{Base, Policy, Settings};
use serde_json::{Value, json};

/// A provider to ask.
struct Asked {
    base: Base,
    settings: Settings,
    facts: Facts,
    model: &'static str,
    policy: Policy,
}

fn asked(model: &'static str) -> Asked {
    let facts = Catalogue::builtin().find("anthropic", model).cloned();
    Asked {
        base: Base::parse("https://api.anthropic.com").unwrap(),
        settings: Settings::default(),
        facts: facts.unwrap_or_else(Facts::unknown),
        model,
        policy: Policy::default(),
    }
}

impl Asked {
    fn target(&self) -> Target<'_> {
        Target {
            base: &self.base,
            settings: &self.settings,
            model: self.model,
            facts: &self.facts,
            policy: self.policy,
        }
    }

    fn outbound(&self, request: &Value) -> Result<Outbound, Error> {
        let body = request.to_string();
        let chat = Chat::parse(body.as_bytes())?;
        Anthropic.request(&chat, body.as_bytes(), &self.target())
    }

    fn body(&self, request: &Value) -> Value {
        let outbound = self.outbound(request).unwrap();
        serde_json::from_slice(&outbound.body.apply(b"")).unwrap()
    }

    fn refusal(&self, request: &Value) -> Error {
        self.outbound(request).unwrap_err()
    }

    fn warnings(&self, request: &Value) -> Vec<String> {
        self.outbound(request).unwrap().warnings.iter().map(ToString::to_string).collect()
    }

    fn stream(&self, request: &Value) -> Stream {
        let body = request.to_string();
        let chat = Chat::parse(body.as_bytes()).unwrap();
        let call = Call { chat: &chat, target: self.target(), id: "x", created: 0 };
        Stream::new(Anthropic.stream(&call))
    }

    fn answer(&self, request: &Value, answer: &str) -> Result<Value, Error> {
        let body = request.to_string();
        let chat = Chat::parse(body.as_bytes()).unwrap();
        let call = Call { chat: &chat, target: self.target(), id: "x", created: 0 };
        let answer = Anthropic.answer(&call, &Headers::default(), answer.as_bytes())?;
        Ok(serde_json::from_slice(&answer.body.apply(b"")).unwrap())
    }
}

const OLD: &str = "claude-sonnet-4-5";
const NEW: &str = "claude-opus-5-5";

fn chat(messages: &Value) -> Value {
    json!({"model": "m", "max_tokens": 8192, "messages": messages})
}

fn with(fields: &Value) -> Value {
    let mut request = chat(&json!([{"role": "user", "content": "hi"}]));
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

fn header<'a>(outbound: &'a Outbound, name: &str) -> Option<&'a str> {
    outbound.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
}

#[test]
fn the_credential_goes_into_the_apis_own_header() {
    assert_eq!(
        Anthropic.credential("k", &crate::providers::Settings::default()),
        ("x-api-key", "k".to_owned())
    );
}

#[test]
fn the_old_version_is_only_for_sampling_to_a_model_that_takes_it() {
    let version = |asked: &Asked, request: &Value| {
        header(&asked.outbound(request).unwrap(), "anthropic-version").map(str::to_owned)
    };
    let sampling = with(&json!({"temperature": 0.5}));
    assert_eq!(version(&asked(OLD), &sampling).as_deref(), Some(OLD_VERSION));
    assert_eq!(version(&asked(OLD), &with(&json!({}))).as_deref(), Some(NEW_VERSION));
    assert_eq!(version(&asked(NEW), &sampling).as_deref(), Some(NEW_VERSION));
    let mut set = asked(OLD);
    set.settings.0.push(("anthropic_version", NEW_VERSION.to_owned()));
    assert_eq!(version(&set, &sampling).as_deref(), Some(NEW_VERSION));
    assert_eq!(set.body(&sampling).get("temperature"), None);
    set.settings.0 = vec![("anthropic_version", OLD_VERSION.to_owned())];
    assert_eq!(version(&set, &with(&json!({}))).as_deref(), Some(OLD_VERSION));
}

#[test]
fn a_beta_that_is_set_is_asked_for() {
    let mut asked = asked(OLD);
    asked.settings.0.push(("anthropic_beta", "a,b".to_owned()));
    asked.base.path = "/proxy".to_owned();
    let outbound = asked.outbound(&with(&json!({}))).unwrap();
    assert_eq!(header(&outbound, "anthropic-beta"), Some("a,b"));
    assert_eq!(outbound.path, "/proxy/v1/messages");
}

#[test]
fn temperature_is_lowered_to_one_or_refused_as_the_policy_says() {
    let mut asked = asked(OLD);
    let request = with(&json!({"temperature": 1.5}));
    assert_eq!(asked.body(&request)["temperature"], json!(1));
    asked.policy.reject_out_of_range = true;
    assert_eq!(asked.refusal(&request).param.as_deref(), Some("temperature"));
}

#[test]
fn numbers_keep_their_digits() {
    let body = br#"{"model":"m","temperature":0.70,"max_tokens":10,"messages":[{"role":"user","content":"x"},
        {"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"n\": 12345678901234567890, \"x\":1.0}"}}]},
        {"role":"tool","tool_call_id":"c","content":"y"}]}"#;
    let parsed = Chat::parse(body).unwrap();
    let outbound = Anthropic.request(&parsed, body, &asked(OLD).target()).unwrap();
    let text = String::from_utf8(outbound.body.apply(body).into_owned()).unwrap();
    assert!(text.contains("\"temperature\":0.70"), "{text}");
    assert!(text.contains(r#""input":{"n": 12345678901234567890, "x":1.0}"#), "{text}");
}

#[test]
fn texts_keep_their_escapes() {
    let text = r#""a\/b \u00e9 \ud800 \\ é""#;
    let body = format!(
        r#"{{"messages":[{{"role":"system","content":{text}}},{{"role":"user","content":[{{"type":"text","text":{text}}}]}},
        {{"role":"assistant","content":{text}}},{{"role":"user","content":{text}}}],"stop":{text}}}"#
    );
    let parsed = Chat::parse(body.as_bytes()).unwrap();
    let outbound = Anthropic.request(&parsed, body.as_bytes(), &asked(OLD).target()).unwrap();
    let sent = outbound.body.apply(b"").into_owned();
    assert_eq!(String::from_utf8(sent).unwrap().matches(text).count(), 5);
}

#[test]
fn a_missing_limit_becomes_the_models_and_an_unknown_models_is_small() {
    let request = json!({"messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(asked(OLD).body(&request)["max_tokens"], json!(64_000));
    assert_eq!(asked("made-up").body(&request)["max_tokens"], json!(4096));
    assert_eq!(asked("made-up").warnings(&request), ["max_tokens defaulted to 4096"]);
}

#[test]
fn a_limit_above_the_models_is_lowered_or_refused_as_the_policy_says() {
    let mut asked = asked(OLD);
    let request = with(&json!({"max_completion_tokens": 100_000}));
    assert_eq!(asked.body(&request)["max_tokens"], json!(64_000));
    asked.policy.reject_out_of_range = true;
    assert_eq!(asked.refusal(&request).param.as_deref(), Some("max_completion_tokens"));
}

#[test]
fn what_shapes_the_answer_is_refused_or_dropped_as_the_policy_says() {
    for (fields, param) in [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"audio": {"voice": "x", "format": "wav"}}), "audio"),
        (json!({"functions": [{"name": "f"}]}), "functions"),
        (json!({"function_call": "auto"}), "function_call"),
        (json!({"web_search_options": {}}), "web_search_options"),
    ] {
        let mut asked = asked(OLD);
        let request = with(&fields);
        let error = asked.refusal(&request);
        assert_eq!(error.param.as_deref(), Some(param));
        assert_eq!((error.status, error.code.as_deref()), (400, Some("unsupported_parameter")));
        asked.policy.drop_unsupported = true;
        assert_eq!(asked.warnings(&request), [format!("{param} dropped")]);
        assert_eq!(asked.body(&request).get(param), None);
    }
}

#[test]
fn custom_tools_are_refused_at_their_place() {
    let tool = json!({"type": "custom", "custom": {"name": "c"}});
    let error = asked(OLD).refusal(&with(&json!({"tools": [tool]})));
    assert_eq!(error.param.as_deref(), Some("tools[0].type"));
    let call = json!([{"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": "i", "type": "custom", "custom": {}}]},
        {"role": "tool", "tool_call_id": "i", "content": "y"}]);
    let error = asked(OLD).refusal(&chat(&call));
    assert_eq!(error.param.as_deref(), Some("messages[1].tool_calls[0].type"));
}

#[test]
fn a_forced_call_is_refused_where_the_model_refuses_it() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for choice in [json!("required"), json!({"type": "function", "function": {"name": "f"}})] {
        let request = with(&json!({"tools": tools, "tool_choice": choice}));
        let mut asked = asked(NEW);
        assert_eq!(asked.refusal(&request).param.as_deref(), Some("tool_choice"));
        asked.policy.drop_unsupported = true;
        assert_eq!(asked.body(&request)["tool_choice"], json!({"type": "auto"}));
    }
}

#[test]
fn at_most_four_marks_are_sent() {
    let part = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let request = chat(&json!([{"role": "user", "content": [part, part, part, part, part, part]}]));
    let body = asked(OLD).body(&request).to_string();
    assert_eq!(body.matches("cache_control").count(), 4);
    assert_eq!(asked(OLD).warnings(&request), ["cache_control dropped"]);
}

#[test]
fn effort_becomes_what_the_model_takes() {
    let effort = |model, effort: &str| {
        let request = with(&json!({"reasoning_effort": effort, "max_tokens": 10_000}));
        let body = asked(model).body(&request);
        (body["thinking"].clone(), body["output_config"]["effort"].clone())
    };
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    let budget = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
    for (model, word, thinking, level) in [
        ("claude-opus-4-6", "xhigh", adaptive.clone(), json!("high")),
        ("claude-opus-4-6", "none", json!({"type": "disabled"}), Value::Null),
        ("claude-sonnet-5-5", "none", json!({"type": "between_tools"}), Value::Null),
        (NEW, "none", Value::Null, json!("low")),
        (NEW, "minimal", adaptive.clone(), json!("low")),
        (NEW, "max", adaptive, json!("max")),
        (OLD, "none", Value::Null, Value::Null),
        (OLD, "minimal", budget(1024), Value::Null),
        (OLD, "high", budget(4096), Value::Null),
        (OLD, "max", budget(5000), Value::Null),
        ("made-up", "high", Value::Null, Value::Null),
    ] {
        assert_eq!(effort(model, word), (thinking, level), "{model} {word}");
    }
    let error = asked(OLD).refusal(&with(&json!({"reasoning_effort": "lots"})));
    assert_eq!(error.param.as_deref(), Some("reasoning_effort"));
}

#[test]
fn no_budget_fits_into_a_thousand_tokens() {
    let request = with(&json!({"reasoning_effort": "low", "max_tokens": 1024}));
    assert_eq!(asked(OLD).body(&request).get("thinking"), None);
    assert_eq!(asked(OLD).warnings(&request), ["reasoning_effort dropped"]);
    let request = with(&json!({"reasoning_effort": "high", "max_tokens": 1025}));
    assert_eq!(asked(OLD).body(&request)["thinking"]["budget_tokens"], json!(1024));
}

#[test]
fn a_model_that_thinks_takes_no_sampling() {
    let request = with(&json!({"reasoning_effort": "low", "temperature": 0.2, "top_k": 5}));
    let body = asked(OLD).body(&request);
    assert!(body.get("temperature").is_none() && body.get("top_k").is_none());
    assert_eq!(asked(OLD).warnings(&request), ["temperature dropped", "top_k dropped"]);
}

#[test]
fn a_budget_is_not_sent_where_the_call_before_was_made_without_thinking() {
    let turn = |blocks: Value| {
        let mut request = chat(&json!([{"role": "user", "content": "x"},
            {"role": "assistant", "thinking_blocks": blocks,
             "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "y"}]));
        request["reasoning_effort"] = json!("low");
        asked(OLD).body(&request).get("thinking").is_some()
    };
    assert!(turn(json!([{"type": "thinking", "thinking": "t", "signature": "s"}])));
    assert!(!turn(json!([{"type": "thinking", "thinking": "t"}])));
    assert!(!turn(Value::Null));
}

#[test]
fn arguments_that_are_no_object_name_their_place() {
    for arguments in ["[]", "null", "{", "\"x\"", "{} {}"] {
        let error = asked(OLD).refusal(&chat(&json!([{"role": "user", "content": "x"},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "function": {"name": "f", "arguments": " "}},
                {"id": "b", "function": {"name": "f", "arguments": arguments}}]},
            {"role": "tool", "tool_call_id": "b", "content": "y"}])));
        let param = "messages[1].tool_calls[1].function.arguments";
        assert_eq!(error.param.as_deref(), Some(param), "{arguments}");
    }
}

#[test]
fn nothing_but_empty_messages_is_refused() {
    let error = asked(OLD).refusal(&chat(&json!([{"role": "user", "content": " \n"}])));
    assert_eq!(error.param.as_deref(), Some("messages[0].content"));
    let error = asked(OLD).refusal(&chat(&json!([{"role": "assistant", "content": ""}])));
    assert_eq!(error.param.as_deref(), Some("messages"));
}

#[test]
fn a_message_for_every_role_and_part_that_cannot_be_sent_names_its_place() {
    for (message, param) in [
        (json!({"role": "function", "name": "f", "content": "x"}), "messages[1].role"),
        (
            json!({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}),
            "messages[1].content[0].type",
        ),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}),
            "messages[1].content[0].image_url.url",
        ),
        (
            json!({"role": "user", "content": [{"type": "file", "file": {"file_id": "file-abc"}}]}),
            "messages[1].content[0].file.file_id",
        ),
        (
            json!({"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]}),
            "messages[1].content[0].file.file_data",
        ),
    ] {
        let error = asked(OLD).refusal(&chat(&json!([{"role": "user", "content": "x"}, message])));
        assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
        assert_eq!(error.status, 400);
    }
}

#[test]
fn a_user_id_over_the_limit_or_like_an_address_is_dropped() {
    let sent = |user: &str| asked(OLD).body(&with(&json!({"user": user})))["metadata"].clone();
    assert_eq!(sent(&"é".repeat(512)), json!({"user_id": "é".repeat(512)}));
    assert_eq!(sent(&"é".repeat(513)), Value::Null);
    assert_eq!(sent("a@b.c"), Value::Null);
}

#[test]
fn instructions_alone_are_what_the_user_says() {
    for model in [OLD, NEW] {
        let body = asked(model).body(&chat(&json!([
            {"role": "system", "content": "a"}, {"role": "developer", "content": "b"}])));
        let said = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(body["messages"], json!([{"role": "user", "content": said}]), "{model}");
        assert_eq!(body.get("system"), None);
    }
}

#[test]
fn a_hundred_unknown_fields_are_dropped_once_each() {
    let fields: serde_json::Map<String, Value> =
        (0..100).map(|n| (format!("field_{n}\n"), json!(1))).collect();
    assert_eq!(asked(OLD).warnings(&with(&Value::Object(fields))), ["an unknown field dropped"]);
}

/// What is fed as one event each, then the end.
fn run(request: &Value, model: &'static str, events: &[&str]) -> (Vec<u8>, Stream) {
    let mut stream = asked(model).stream(request);
    let mut out = Vec::new();
    for event in events {
        stream.push(format!("data: {event}\n\n").as_bytes(), &mut out);
    }
    stream.finish(&mut out);
    (out, stream)
}

const START: &str =
    r#"{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn a_hostile_stream_is_an_error_or_ignored() {
    let fine = |events: &[&str]| {
        let (_, stream) = run(&json!({}), OLD, &[&[START], events, &[STOP]].concat());
        assert_eq!(stream.phase(), Phase::Ended, "{events:?}: {:?}", stream.error());
    };
    fine(&[r#"{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"x"}}"#]);
    fine(&[r#"{"type":"content_block_stop","index":18446744073709551616}"#]);
    fine(&[
        r#"{"type":"content_block_start","index":"0","content_block":{"type":"text","text":7}}"#,
        r#"{"type":"content_block_delta","index":"0","delta":{"type":"text_delta","text":[]}}"#,
    ]);
    fine(&[r#"{"type":"message_delta","delta":{"stop_reason":{"a":1}},"usage":"many"}"#]);
    fine(&["", r#"{"type":"content_block_stop"}"#]);
    fine(&[r#"{"type":"new_event","delta":1,"index":[]}"#, START]);
    for event in [
        "[DONE]",
        "{",
        "[]",
        r#"{"type":7}"#,
        r#"{"type":"content_block_start","index":0}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":1}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"i","name":""}}"#,
        r#"{"type":"message_delta","delta":[]}"#,
        r#"{"type":"error"}"#,
        r#"{"type":"error","error":"text"}"#,
    ] {
        let (_, stream) = run(&json!({}), OLD, &[START, event, STOP]);
        assert_eq!(stream.phase(), Phase::Failed, "{event}");
    }
    for event in [
        STOP,
        r#"{"type":"message_delta","delta":{}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
    ] {
        let (_, stream) = run(&json!({}), OLD, &[event]);
        assert_eq!(stream.phase(), Phase::Failed, "{event}");
    }
}

#[test]
fn a_stream_without_its_last_event_was_cut() {
    let stop = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#;
    let (_, stream) = run(&json!({}), OLD, &[START, stop]);
    assert_eq!(stream.phase(), Phase::Failed);
    assert_eq!(stream.error().unwrap().code.as_deref(), Some("stream_cut"));
    assert_eq!(stream.usage().unwrap().output, 3);
}

#[test]
fn only_what_a_client_can_see_commits_the_stream() {
    let mut stream = asked(OLD).stream(&json!({}));
    let mut out = Vec::new();
    let mut feed = |event: &str| stream.push(format!("data: {event}\n\n").as_bytes(), &mut out);
    assert_eq!(feed(START), Phase::Held);
    assert_eq!(feed(r#"{"type":"ping"}"#), Phase::Held);
    assert_eq!(
        feed(
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#
        ),
        Phase::Held
    );
    assert_eq!(
        feed(r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}"#),
        Phase::Held
    );
    assert_eq!(
        feed(
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#
        ),
        Phase::Flowing
    );
}

#[test]
fn thinking_over_the_cap_goes_on_as_text_without_blocks() {
    let piece = "t".repeat(told::MAX_THINKING_BYTES / 2);
    let delta = format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"thinking_delta","thinking":"{piece}"}}}}"#
    );
    let begin = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#;
    let sign = r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}"#;
    let end = r#"{"type":"content_block_stop","index":0}"#;
    let (out, stream) = run(&json!({}), OLD, &[START, begin, &delta, sign, end, STOP]);
    assert_eq!(stream.phase(), Phase::Ended);
    assert!(String::from_utf8(out).unwrap().contains("thinking_blocks"));
    let (out, stream) = run(&json!({}), OLD, &[START, begin, &delta, &delta, sign, end, STOP]);
    assert_eq!(stream.phase(), Phase::Ended);
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("thinking_blocks") && out.matches("reasoning_content").count() == 2);
}

#[test]
fn kept_text_over_the_cap_is_the_answer() {
    let request = json!({"response_format": {"type": "json_object"}});
    let piece = "t".repeat(told::MAX_TEXT_BYTES + 1);
    let begin =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let delta = |text: &str| {
        format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
        )
    };
    let mut stream = asked(OLD).stream(&request);
    let mut out = Vec::new();
    let mut feed = |event: &str| stream.push(format!("data: {event}\n\n").as_bytes(), &mut out);
    feed(START);
    feed(begin);
    assert_eq!(feed(&delta("short")), Phase::Held);
    assert_eq!(feed(&delta(&piece)), Phase::Flowing);
    feed(
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"i","name":"waypost_json_answer","input":{}}}"#,
    );
    feed(
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
    );
    assert_eq!(feed(STOP), Phase::Ended);
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("tool_calls") && out.contains("\"finish_reason\":\"stop\""));
}

#[test]
fn citations_over_the_cap_are_left_out() {
    let url = "u".repeat(crate::providers::citations::MAX_CITATION_BYTES / 2);
    let citation = json!({"type": "web_search_result_location", "url": url, "title": null});
    let body = json!({"type": "message", "content": [
        {"type": "text", "text": "x", "citations": [citation, citation, citation]}]});
    let answer = asked(OLD).answer(&json!({}), &body.to_string()).unwrap();
    assert_eq!(answer["choices"][0]["message"]["annotations"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_answer_is_the_providers_fault() {
    use crate::openai::Class;
    for body in [
        "",
        "{",
        "[]",
        "{}",
        "null",
        r#"{"content":"x"}"#,
        r#"{"content":[7]}"#,
        r#"{"content":[{"type":"tool_use","name":"f"}]}"#,
        r#"{"content":[{"type":"tool_use","name":"","id":"i"}]}"#,
        r#"{"content":[{"type":"tool_use","name":"f","id":""}]}"#,
        "<html>",
    ] {
        let error = asked(OLD).answer(&json!({}), body).unwrap_err();
        assert_eq!((error.class, error.status), (Class::Server, 502), "{body}");
    }
    for kind in [r#""type":"error","#, ""] {
        let body = format!(r#"{{{kind}"error":{{"type":"overloaded_error","message":"busy"}}}}"#);
        let error = asked(OLD).answer(&json!({}), &body).unwrap_err();
        assert_eq!((error.class, &*error.message), (Class::Overloaded, "busy"));
    }
}
