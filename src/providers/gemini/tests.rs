#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::names::Names;
use super::*;
use crate::providers::catalogue::{Catalogue, Facts};
use crate::providers::stream::{Phase, Stream};
use crate::providers::{Base, Policy};
use serde_json::{Value, json};

/// A provider to ask.
struct Asked {
    base: Base,
    settings: Settings,
    facts: Facts,
    model: &'static str,
    policy: Policy,
}

const MODEL: &str = "gemini-3.5-flash";

fn asked(model: &'static str) -> Asked {
    let facts = Catalogue::builtin().find("gemini", model).cloned();
    Asked {
        base: Base::parse("https://generativelanguage.googleapis.com").unwrap(),
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
        Gemini.request(&chat, body.as_bytes(), &self.target())
    }

    fn body(&self, request: &Value) -> Value {
        let outbound = self.outbound(request).unwrap();
        serde_json::from_slice(&outbound.body.apply(b"")).unwrap()
    }

    fn answer(&self, request: &Value, answer: &Value) -> Result<Value, Error> {
        let body = request.to_string();
        let chat = Chat::parse(body.as_bytes()).unwrap();
        let call = Call { chat: &chat, target: self.target(), id: "x", created: 0 };
        let answer = Gemini.answer(&call, &Headers::default(), answer.to_string().as_bytes())?;
        Ok(serde_json::from_slice(&answer.body.apply(b"")).unwrap())
    }

    fn stream(&self) -> Stream {
        let chat = Chat::parse(br#"{"stream":true}"#).unwrap();
        let call = Call { chat: &chat, target: self.target(), id: "x", created: 0 };
        Stream::new(Gemini.stream(&call))
    }
}

fn chat(messages: &Value) -> Value {
    let tools = json!([
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {"name": "2nd"}},
    ]);
    json!({"model": "m", "messages": messages, "tools": tools})
}

fn event(candidate: &Value) -> Vec<u8> {
    format!("data: {}\r\n\r\n", json!({"candidates": [candidate]})).into_bytes()
}

fn parts(parts: &Value) -> Value {
    json!({"content": {"role": "model", "parts": parts}})
}

#[test]
fn the_credential_goes_into_the_apis_own_header() {
    assert_eq!(Gemini.credential("k", &Settings::default()), ("x-goog-api-key", "k".to_owned()));
}

#[test]
fn a_plain_clients_second_turn_brings_back_all_that_the_model_wants() {
    let asked = asked(MODEL);
    let user = json!({"role": "user", "content": "x"});
    let calls = json!([
        {"functionCall": {"id": "a", "name": "f", "args": {"n": 1.50}}, "thoughtSignature": "CiQB+/8="},
        {"functionCall": {"name": Names::written(&mut Names::of(&Chat::default()), "2nd")}},
    ]);
    let answer = json!({"candidates": [
        {"content": {"role": "model", "parts": calls}, "finishReason": "STOP"},
    ]});
    let request = chat(&json!([user]));
    let answer = asked.answer(&request, &answer).unwrap();
    let made = answer.pointer("/choices/0/message/tool_calls").and_then(Value::as_array).unwrap();
    // Id, name and arguments are all that a plain client keeps.
    let kept: Vec<Value> = made
        .iter()
        .map(|call| json!({"id": call["id"], "type": "function", "function": call["function"]}))
        .collect();
    assert_eq!(kept[1].pointer("/function/name").unwrap(), "2nd");
    let results = kept
        .iter()
        .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "done"}));
    let mut messages =
        vec![user, json!({"role": "assistant", "content": null, "tool_calls": kept})];
    messages.extend(results);
    let body = asked.body(&chat(&json!(messages)));
    let call = body.pointer("/contents/1/parts/0").unwrap();
    assert_eq!(call["thoughtSignature"], "CiQB-_8");
    assert_eq!(call["functionCall"], json!({"id": "a", "name": "f", "args": {"n": 1.5}}));
    assert_eq!(body.pointer("/contents/2/parts/0/functionResponse/id").unwrap(), "a");
    let second = body.pointer("/contents/1/parts/1").unwrap();
    assert_eq!(second.get("thoughtSignature"), None);
    assert_eq!(second.pointer("/functionCall/id"), None);
    let result = body.pointer("/contents/2/parts/1/functionResponse").unwrap();
    assert_eq!(result.get("id"), None);
    assert_eq!(result["name"], second["functionCall"]["name"]);
}

#[test]
fn ids_that_are_made_here_are_told_apart() {
    let asked = asked(MODEL);
    let calls = json!([{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]);
    let answer = json!({"candidates": [
        {"content": {"parts": calls}, "finishReason": "STOP"},
        {"content": {"parts": calls}, "finishReason": "STOP", "index": 1},
    ]});
    let answer = asked.answer(&chat(&json!([])), &answer).unwrap();
    let mut ids: Vec<&Value> = answer["choices"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|choice| choice["message"]["tool_calls"].as_array().unwrap())
        .map(|call| &call["id"])
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn the_same_id_twice_is_answered_in_order() {
    let call = |name: &str| json!({"id": "c", "type": "function", "function": {"name": name}});
    let result = |text: &str| json!({"role": "tool", "tool_call_id": "c", "content": text});
    let made = json!({"role": "assistant", "tool_calls": [call("f"), call("g")]});
    let body = asked(MODEL).body(&chat(&json!([made, result("1"), result("2")])));
    let named = |at: usize| {
        body.pointer(&format!("/contents/1/parts/{at}/functionResponse")).cloned().unwrap()
    };
    assert_eq!(named(0), json!({"name": "f", "response": {"output": "1"}}));
    assert_eq!(named(1), json!({"name": "g", "response": {"output": "2"}}));
    let third = chat(&json!([made, result("1"), result("2"), result("3")]));
    let error = asked(MODEL).outbound(&third).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("messages[3].tool_call_id"));
}

#[test]
fn a_model_that_is_not_in_the_catalogue_is_taken_for_a_new_one_unless_its_name_says_more() {
    use surface::Generation;
    for (model, expected) in [
        ("gemini-2.5-flash", Generation::Second),
        ("gemini-3.8-flash", Generation::Third),
        ("models/gemini-2.5-flash-preview-99", Generation::Second),
        ("gemini-2.0-flash-001", Generation::Old),
        ("gemma-3-27b-it", Generation::Old),
        ("gemini-flash-latest", Generation::Third),
        ("mine", Generation::Third),
    ] {
        assert_eq!(Generation::of(&asked(model).target()), expected, "{model}");
    }
}

#[test]
fn nothing_flows_before_the_first_content() {
    let mut stream = asked(MODEL).stream();
    let mut out = Vec::new();
    assert_eq!(stream.push(&event(&parts(&json!([]))), &mut out), Phase::Held);
    assert_eq!(stream.push(&event(&parts(&json!([{"text": ""}]))), &mut out), Phase::Held);
    assert!(out.is_empty());
    let thought = parts(&json!([{"text": "hm", "thought": true}]));
    assert_eq!(stream.push(&event(&thought), &mut out), Phase::Flowing);
    assert!(!out.is_empty());
}

#[test]
fn a_finish_reason_ends_nothing_before_the_bytes_do() {
    let mut stream = asked(MODEL).stream();
    let mut out = Vec::new();
    let mut last = parts(&json!([{"text": "x"}]));
    last["finishReason"] = json!("STOP");
    assert_eq!(stream.push(&event(&last), &mut out), Phase::Flowing);
    let counts = b"data: {\"usageMetadata\":{\"promptTokenCount\":7,\"totalTokenCount\":7}}\n\n";
    assert_eq!(stream.push(counts, &mut out), Phase::Flowing);
    assert_eq!(stream.finish(&mut out), Phase::Ended);
    assert_eq!(stream.usage().unwrap().prompt(), 7);
    assert!(out.ends_with(b"data: [DONE]\n\n"));
}

#[test]
fn a_malformed_call_lets_another_candidate_answer() {
    let mut stream = asked(MODEL).stream();
    let mut out = Vec::new();
    let failed = json!({"content": {"role": "model"}, "finishReason": "MALFORMED_FUNCTION_CALL"});
    assert_eq!(stream.push(&event(&failed), &mut out), Phase::Held);
    assert_eq!(stream.finish(&mut out), Phase::Failed);
    assert!(out.is_empty());
    assert_eq!(stream.error().unwrap().class, crate::openai::Class::Server);
}

#[test]
fn a_stream_has_at_most_as_many_answers_as_the_api_gives() {
    let of = |index: u32| {
        let mut stream = asked(MODEL).stream();
        let mut candidate = parts(&json!([{"text": "x"}]));
        candidate["index"] = json!(index);
        stream.push(&event(&candidate), &mut Vec::new())
    };
    assert_eq!(of(stream::MAX_CHOICES - 1), Phase::Flowing);
    assert_eq!(of(stream::MAX_CHOICES), Phase::Failed);
}

#[test]
fn models_without_system_messages_are_told_by_the_user() {
    let mut asked = asked(MODEL);
    asked.facts.parameters.system_messages = false;
    let messages = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]);
    let body = asked.body(&chat(&messages));
    assert_eq!(body.get("systemInstruction"), None);
    assert_eq!(
        body["contents"],
        json!([{"role": "user", "parts": [{"text": "s"}, {"text": "u"}]}])
    );
}

#[test]
fn out_of_range_is_refused_where_the_policy_says_so() {
    let mut asked = asked(MODEL);
    asked.policy.reject_out_of_range = true;
    let mut request = chat(&json!([{"role": "user", "content": "x"}]));
    request["max_tokens"] = json!(70_000);
    assert_eq!(asked.outbound(&request).unwrap_err().param.as_deref(), Some("max_tokens"));
}
