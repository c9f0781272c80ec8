#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::config::rule::Operation;
use crate::filter::service::tests as service;
use crate::openai::Class;
use crate::providers::Headers;
use crate::providers::catalogue::NanoUsd;
use crate::routing::{Outcome, Spent};
use crate::tenancy::Proof;

fn gateway(name: &str) -> Rc<Gateway> {
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
        "providers": {
            "a": {"api": "openai", "endpoints": [{"cluster": "a1"}, {"cluster": "a2"}], "models": {name: {}}},
            "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
            "c": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"blind": {"capabilities": []}}},
        },
        "rules": [{"name": "all", "when": {"model": "any"}, "targets": ["b/claude-sonnet-4-5", "c/blind", format!("a/{name}")]}],
    }));
    match config {
        Ok(Config::Gateway(gateway)) => Rc::from(gateway),
        other => panic!("{other:?}"),
    }
}

fn open(gateway: &Rc<Gateway>, content: &str) -> Result<Exchange, Refusal> {
    let body = format!(r#"{{"model":"any","messages":[{{"role":"user","content":{content}}}]}}"#);
    let service = service::alone(Rc::clone(gateway));
    service::open(&service, Operation::Chat, &Headers::default(), &body)
}

/// The record of a request that was refused at once.
pub fn refused(refusal: &Refusal, gateway: &Gateway, call: Option<&Call>) -> String {
    unasked(&Unasked { refusal: Some(refusal), call, ..nothing(gateway) })
}

/// A request of which nothing is known.
fn nothing(gateway: &Gateway) -> Unasked<'_> {
    Unasked {
        gateway,
        refusal: None,
        call: None,
        caller: None,
        request_id: "id",
        operation: None,
        status: None,
        clock: Clock::default(),
        request_bytes: 0,
        answer_bytes: 0,
    }
}

const PICTURE: &str = r#"[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]"#;
const SOUND: &str = r#"[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]"#;

fn read(record: &str) -> Value {
    assert!(record.len() <= MAX_RECORD_BYTES, "{}", record.len());
    assert!(!record.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']));
    serde_json::from_str(record).unwrap()
}

fn spent(input: u64, output: u64, cost: Option<u64>, estimated: bool) -> Spent {
    let usage = Usage { uncached_input: input, cache_read: 5, output, ..Usage::default() };
    Spent { usage, cost: cost.map(NanoUsd), estimated }
}

#[test]
fn each_attempt_stands_in_it_in_order_and_who_was_not_asked() {
    let mut exchange = open(&gateway("gpt-4o"), PICTURE).unwrap();
    let caller = Caller {
        team: Some("discovery".into()),
        user: Some("u\n1".into()),
        key: Some("search-2026".into()),
        proof: Proof::Key,
        ..Caller::anonymous(&"search".into(), 0)
    };
    exchange.origin.caller = Rc::new(caller);
    exchange.origin.arrived = 1_000_000;
    exchange.journey.complete = 3_500_000;
    exchange.journey.inside = 100_000;
    let (first, _) = exchange.attempts.begin(5_000_000).unwrap();
    exchange.attempts.identify(first, "req_1".into());
    exchange.attempts.warn(first, 2);
    exchange.attempts.sign(first, "ANTHROPIC_API_KEY".into());
    exchange.attempts.connected(first, 12_000_000);
    let reason = "529 overloaded".to_owned();
    let outcome = Outcome::Failed { status: Some(529), class: Class::Overloaded, reason };
    exchange.attempts.end(first, outcome, 46_900_000);
    exchange.attempts.spend(first, spent(2, 0, Some(7), true));
    let (second, _) = exchange.attempts.begin(47_900_000).unwrap();
    exchange.flows(second, 147_900_000);
    exchange.attempts.told(second, 150);
    exchange.attempts.spend(second, spent(10, 4, Some(2_500_000), false));
    exchange.answered(second, 247_900_000);
    exchange.commit(200, 17);
    let record = of(&exchange, 1_795_284_706_123, 251_000_000);
    let told = r#"{
        "v": 2, "time": "2026-11-21T18:11:45.873Z", "request_id": "id",
        "tenant": "search", "team": "discovery", "user": "u\n1", "key_id": "search-2026", "proof": "key",
        "route": "all", "requested_model": "any", "operation": "chat", "stream": false,
        "provider_chosen": "a", "model": "gpt-4o", "fallback_used": true, "cache_hit": false, "status": 200,
        "input_tokens": 22, "output_tokens": 4, "cached_tokens": 10, "cache_write_tokens": 0, "reasoning_tokens": 0,
        "estimated": true, "cost_usd": 0.002500007,
        "latency_ms": 250,
        "timings": {"upload_ms": 2, "gateway_us": 5700, "network_ms": 12, "inference_ms": 229, "first_token_ms": 146},
        "cache": "off", "guard": "off", "request_bytes": 115, "answer_bytes": 17,
        "attempts": [
            {"provider": "b", "endpoint": "b", "model": "claude-sonnet-4-5", "rule": "all", "at_ms": 0, "ms": 41, "connect_ms": 12,
                "outcome": "failed", "status": 529, "class": "overloaded", "reason": "529 overloaded",
                "input_tokens": 7, "output_tokens": 0, "cached_tokens": 5, "estimated": true, "cost_usd": 0.000000007,
                "key_id": "ANTHROPIC_API_KEY", "provider_request_id": "req_1", "warnings": 2},
            {"provider": "a", "endpoint": "a1", "model": "gpt-4o", "rule": "all", "at_ms": 42, "ms": 200, "first_token_ms": 100,
                "provider_ms": 150, "outcome": "answered",
                "input_tokens": 15, "output_tokens": 4, "cached_tokens": 5, "cost_usd": 0.0025}
        ],
        "skipped": [{"provider": "c", "endpoint": "c", "model": "blind", "why": "capability", "reason": "vision is not a capability of this model"}]
    }"#;
    assert_eq!(read(&record), serde_json::from_str::<Value>(told).unwrap());
    assert!(
        record.contains(r#""cost_usd":0.002500007"#)
            && record.contains(r#""cost_usd":0.002500000"#)
    );
}

#[test]
fn a_sum_that_nobody_knows_is_null() {
    let mut exchange = open(&gateway("gpt-4o"), "\"x\"").unwrap();
    let (first, _) = exchange.attempts.begin(0).unwrap();
    exchange.attempts.spend(first, spent(1, 1, Some(9), false));
    let (second, _) = exchange.attempts.begin(0).unwrap();
    exchange.attempts.spend(second, Spent::default());
    assert_eq!(read(&of(&exchange, 0, 0))["cost_usd"], json!(9e-9));
    let (third, _) = exchange.attempts.begin(0).unwrap();
    exchange.attempts.spend(third, spent(1, 1, None, false));
    let record = read(&of(&exchange, 0, 0));
    assert_eq!((&record["cost_usd"], &record["unpriced"]), (&Value::Null, &json!(true)));
    assert_eq!(record["attempts"][2]["unpriced"], json!(true));
}

#[test]
fn a_refusal_says_why_and_whom_it_was_not_for() {
    let gateway = gateway("gpt-4o-mini");
    let refusal = open(&gateway, SOUND).unwrap_err();
    let said = read(&refused(&refusal, &gateway, None));
    assert_eq!(said["route"], "all");
    assert_eq!(
        said["refused"],
        json!({"status": 400, "class": "client", "code": "unsupported_capability", "param": "messages[0].content[0]"})
    );
    let endpoints: Vec<&Value> =
        said["skipped"].as_array().unwrap().iter().map(|entry| &entry["endpoint"]).collect();
    assert_eq!(endpoints, ["b", "c", "a1", "a2"]);
}

#[test]
fn what_was_refused_at_once_has_a_record_of_the_same_form() {
    let gateway = gateway("gpt-4o");
    let broken = Refusal::from(crate::openai::Error::invalid("model", "no model"));
    let caller = Caller::anonymous(&"public".into(), 0);
    let record = unasked(&Unasked {
        refusal: Some(&broken),
        caller: Some(&caller),
        operation: Some("chat"),
        status: Some(400),
        clock: Clock {
            unix_millis: 2_000,
            now: 9_000_000,
            arrived: 1_000_000,
            complete: 3_000_000,
        },
        request_bytes: 12,
        answer_bytes: 34,
        ..nothing(&gateway)
    });
    assert_eq!(
        read(&record),
        json!({
            "v": 2, "time": "1970-01-01T00:00:01.992Z", "request_id": "id", "tenant": "public", "proof": "anonymous",
            "route": "", "operation": "chat", "provider_chosen": null, "model": "", "fallback_used": false, "cache_hit": false,
            "status": 400, "input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0,
            "cost_usd": 0.0, "latency_ms": 8, "timings": {"upload_ms": 2, "gateway_us": 6_000, "network_ms": 0, "inference_ms": 0},
            "cache": "off", "guard": "off", "request_bytes": 12, "answer_bytes": 34,
            "refused": {"status": 400, "class": "client", "param": "model"},
        })
    );
}

#[test]
fn what_no_candidate_can_express_is_noted_too() {
    let gateway = gateway("gpt-4o");
    let body = r#"{"model":"any","n":2,"messages":[{"role":"user","content":"x"}]}"#;
    let service = service::alone(gateway);
    let exchange = service::open(&service, Operation::Chat, &Headers::default(), body).unwrap();
    let skipped = &read(&of(&exchange, 0, 0))["skipped"];
    assert_eq!(skipped[0]["endpoint"], "b");
    assert!(skipped[0]["reason"].as_str().unwrap().contains("'n'"), "{skipped}");
}

#[test]
fn a_long_record_leaves_entries_out_and_says_how_many_but_keeps_the_last_attempt() {
    let name = "\u{e9}".repeat(128);
    let mut exchange = open(&gateway(&name), "\"x\"").unwrap();
    exchange.rule = "\u{1}".repeat(900);
    let count = 40;
    for _ in 0..count {
        exchange.attempts.set_next(Some(2));
        let (at, _) = exchange.attempts.begin(0).unwrap();
        exchange.attempts.sign(at, "\u{7}".repeat(9_000).into());
        exchange.attempts.identify(at, "\"".repeat(9_000));
        let reason = "\u{7}".repeat(9_000);
        let outcome = Outcome::Failed { status: None, class: Class::Server, reason };
        exchange.attempts.settle(at, outcome);
    }
    exchange.attempts.set_next(Some(0));
    let (last, _) = exchange.attempts.begin(0).unwrap();
    exchange.answered(last, 5);
    let record = read(&of(&exchange, 0, 0));
    let attempts = record["attempts"].as_array().unwrap();
    assert!(attempts.len() > 1);
    assert_eq!(attempts.last().unwrap()["outcome"], "answered");
    let skipped = record["skipped"].as_array().map_or(0, Vec::len);
    let all = count + 1 + exchange.attempts.skipped().count();
    assert_eq!(record["left_out"].as_u64().unwrap() as usize + attempts.len() + skipped, all);
    assert_eq!(record["cut"], json!(["route", "rule", "reason", "key_id", "provider_request_id"]));
}

#[test]
fn hostile_texts_stay_texts_of_one_line() {
    let hostile = "\u{0}\r\n\u{85}\u{2028}\u{2029}\u{fffd}\"},{\"v\":3,\"tenant\":\"other\"}\\";
    let gateway = gateway("gpt-4o");
    let body =
        json!({"model": hostile, "messages": [{"role": "user", "content": "x"}], "user": hostile});
    let body = body.to_string().replace('\u{fffd}', "\\ud800");
    let service = service::alone(gateway);
    let refusal = service::open(&service, Operation::Chat, &Headers::default(), &body).unwrap_err();
    let mut error = (*refusal.error).clone();
    error.param = Some(hostile.repeat(50));
    let refusal = Refusal { error: Box::new(error), ..refusal };
    let caller = Caller { user: Some(hostile.into()), ..Caller::anonymous(&hostile.into(), 0) };
    let record = unasked(&Unasked {
        refusal: Some(&refusal),
        caller: Some(&caller),
        request_id: hostile,
        ..nothing(&service.gateway)
    });
    let record = read(&record);
    assert_eq!((record["v"].as_u64(), &record["user"]), (Some(2), &json!(hostile)));
    assert_eq!(record["cut"], json!(["param"]));
    let mut exchange = open(&service.gateway, "\"x\"").unwrap();
    exchange.origin.request_id = hostile.repeat(10_000);
    assert_eq!(read(&of(&exchange, 0, 0))["cut"], json!(["request_id"]));
}

/// A snapshot that is made of records finds the accounts of the names in them.
#[test]
fn a_name_in_a_record_is_the_name_of_its_account() {
    let gateway = gateway("gpt-4o");
    let mut all = Vec::new();
    for c in ["x", "\"", "\\", "\n", "\0", "é", "例", "\u{2028}", "\u{85}"] {
        for (length, end) in
            [(1, ""), (42, ""), (127, ""), (128, ""), (222, "1"), (300, "1"), (300, "2")]
        {
            let asked = [&c.repeat(length), end].concat();
            let nobody = Rc::new(Caller::anonymous(&"all".into(), 0));
            let caller = Caller::with_user(&nobody, Some(&asked));
            let record = read(&unasked(&Unasked { caller: Some(&caller), ..nothing(&gateway) }));
            let user = caller.user.as_deref().unwrap();
            assert_eq!((record["user"].as_str(), &record["cut"]), (Some(user), &Value::Null));
            assert!(!all.contains(&user.to_owned()), "{user}");
            all.push(user.to_owned());
        }
    }
}

fn auditing(audit: &Value) -> Rc<Gateway> {
    let mut gateway = gateway("gpt-4o");
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "public", "tenants": {"public": {}}, "audit": audit,
        "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"m": {}}}},
    }));
    let Ok(Config::Gateway(read)) = config else { panic!("{config:?}") };
    Rc::get_mut(&mut gateway).unwrap().audit = read.audit;
    gateway
}

/// The record of a request for `messages`, of which `answer` was given: whole, or as events.
fn recorded(audit: &Value, messages: &str, answer: &[&str]) -> String {
    let gateway = auditing(audit);
    let body = format!(r#"{{"model":"any","messages":[{messages}]}}"#);
    let service = service::alone(gateway);
    let mut exchange =
        service::open(&service, Operation::Chat, &Headers::default(), &body).unwrap();
    if let Some(spoken) = &mut exchange.journey.spoken {
        match answer {
            [whole] => spoken.answer(whole.as_bytes()),
            events => events.iter().for_each(|bytes| spoken.events(bytes.as_bytes())),
        }
    }
    of(&exchange, 0, 0)
}

const WHOLE: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"write to jane@example.com"}}]}"#;

#[test]
fn nothing_of_what_is_said_is_recorded_unless_it_is_configured() {
    for (audit, prompt, answer) in [
        (json!({}), false, false),
        (json!({"prompts": true}), true, false),
        (json!({"answers": true}), false, true),
    ] {
        let record = recorded(&audit, r#"{"role":"user","content":"secret words"}"#, &[WHOLE]);
        let read: Value = serde_json::from_str(&record).unwrap();
        assert_eq!((read.get("prompt").is_some(), read.get("answer").is_some()), (prompt, answer));
        assert_eq!(record.contains("secret words"), prompt);
        assert_eq!(record.contains("write to"), answer);
    }
}

#[test]
fn what_is_said_is_recorded_by_role_without_what_is_to_be_taken_out() {
    let audit = json!({"prompts": true, "answers": true, "redact": ["email", {"name": "employee", "pattern": "EMP-######"}]});
    let messages = r#"{"role":"system","content":"be kind"},{"role":"user","content":[{"type":"text","text":"I am EMP-123456, j\u006fhn\u0040example.com"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"mail","arguments":"{\"to\":\"john\\u0040example.com\"}"}}]},
        {"role":"tool","tool_call_id":"c","content":"+49 30 901820"}"#;
    let record = recorded(&audit, messages, &[WHOLE]);
    let read: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(
        read["prompt"],
        json!([
            {"role": "system", "text": "be kind"},
            {"role": "user", "text": "I am [employee], [email]\n[image]"},
            {"role": "assistant", "text": "mail {\"to\":\"[email]\"}"},
            {"role": "tool", "text": "+49 30 901820"},
        ])
    );
    assert_eq!(read["answer"], json!([{"role": "assistant", "text": "write to [email]"}]));
    assert!(read.get("cut").is_none() && !record.contains("example.com"), "{record}");
}

#[test]
fn no_half_of_a_value_is_recorded_of_a_text_that_is_shorter_without_escapes() {
    let audit = json!({"prompts": true, "answers": true, "max_content": 256});
    for escapes in 0..60 {
        // A text of JSON, with the escapes of JSON in it.
        let text = format!(
            "{}x john.doe@example.com {}",
            r"\\u0041".repeat(90 + escapes),
            "y".repeat(2_000)
        );
        let messages = format!(r#"{{"role":"user","content":"{text}"}}"#);
        let answer = format!(r#"{{"choices":[{{"index":0,"message":{{"content":"{text}"}}}}]}}"#);
        let record = recorded(&audit, &messages, &[&answer]);
        assert!(record.contains(r#""cut":["prompt","answer"]"#), "{record}");
        assert!(!record.contains("john") && !record.contains("doe"), "{escapes}: {record}");
    }
}

#[test]
fn a_value_that_a_stream_tells_in_pieces_is_found() {
    let stream = r#"data: {"choices":[{"index":0,"delta":{"content":"card 4111"}}]}

data: {"choices":[{"index":0,"delta":{"content":" 1111 11"}}]}

data: {"choices":[{"index":0,"delta":{"content":"11 1111, j"}}]}

data: {"choices":[{"index":0,"delta":{"content":"ane@"}}]}

data: {"choices":[{"index":0,"delta":{"content":"example.com"}}]}

data: [DONE]

"#;
    for size in [1, 2, 7, 64, stream.len() - 1] {
        let pieces: Vec<&str> = stream
            .as_bytes()
            .chunks(size)
            .map(|piece| std::str::from_utf8(piece).unwrap())
            .collect();
        let record =
            recorded(&json!({"answers": true}), r#"{"role":"user","content":"x"}"#, &pieces);
        let read: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(read["answer"], json!([{"role": "assistant", "text": "card [card], [email]"}]));
    }
}

#[test]
fn of_a_long_conversation_the_newest_is_kept_and_the_line_stays_within_its_length() {
    let audit = json!({"prompts": true, "answers": true, "max_content": "1KiB"});
    let old = r#"{"role":"user","content":"old \u0001\u0001\u0001"},"#.repeat(60_000);
    let messages = format!(r#"{old}{{"role":"user","content":"{}new"}}"#, "\\u2028".repeat(40));
    let long = format!(
        r#"{{"choices":[{{"index":0,"message":{{"content":"{}"}}}}]}}"#,
        "\\n\\\"".repeat(4_000_000)
    );
    let record = recorded(&audit, &messages, &[&long]);
    assert!(record.len() <= MAX_RECORD_BYTES + 2 * 1024, "{}", record.len());
    assert!(!record.contains('\n') && !record.contains('\u{2028}'));
    let read: Value = serde_json::from_str(&record).unwrap();
    let prompt = read["prompt"].as_array().unwrap();
    assert!(prompt.last().unwrap()["text"].as_str().unwrap().ends_with("new"));
    assert!(prompt.len() > 5 && read["prompt"].to_string().len() <= 1024);
    assert_eq!(read["cut"], json!(["prompt", "answer"]));
}

#[test]
fn reasons_are_redacted_as_prompts_are() {
    let mut exchange = open(&auditing(&json!({})), "\"x\"").unwrap();
    let (at, _) = exchange.attempts.begin(0).unwrap();
    let reason = format!("400 no user john@example.com {}", "x".repeat(900));
    let outcome = Outcome::Failed { status: Some(400), class: Class::Client, reason };
    exchange.attempts.end(at, outcome, 0);
    let record = read(&of(&exchange, 0, 0));
    let reason = record["attempts"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("400 no user [email] xx") && reason.len() > 150);
    assert_eq!(record["cut"], json!(["reason"]));
}
