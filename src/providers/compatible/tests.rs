#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::Value;

use super::calls::MAX_HELD_ARGUMENTS;
use super::said::MAX_CALLS;
use super::*;
use crate::openai::Class;
use crate::providers::catalogue::Facts;
use crate::providers::openai::answer::MAX_CHOICES;
use crate::providers::{Base, Payload, Policy, Progress, Settings};

const SILENT: &str = r#"{"model":"m","stream":true}"#;
const HEAD: &str = r#""id":"a","object":"chat.completion.chunk","created":1,"model":"x""#;
const DONE: &str = "data: [DONE]\n\n";

fn with_call<T>(request: &str, run: impl FnOnce(&Call<'_>) -> T) -> T {
    let facts = Facts::unknown();
    let base = Base::parse("https://h").unwrap();
    let settings = Settings::default();
    let chat = Chat::parse(request.as_bytes()).unwrap();
    let policy = Policy::default();
    let target = Target { base: &base, settings: &settings, model: "m", facts: &facts, policy };
    run(&Call { chat: &chat, target, id: "i", created: 7 })
}

fn answered(row: &Compatible, body: &str) -> Result<(Answer, Value), Error> {
    with_call("{}", |call| {
        let answer = row.answer(call, &Headers::default(), body.as_bytes())?;
        let json = serde_json::from_slice(&answer.body.apply(body.as_bytes())).unwrap();
        Ok((answer, json))
    })
}

fn streamed(row: &Compatible, bytes: &str) -> Result<(String, Progress), Error> {
    with_call(SILENT, |call| {
        let mut stream = row.stream(call);
        let mut out = Vec::new();
        stream.push(bytes.as_bytes(), &mut out)?;
        stream.finish(&mut out)?;
        Ok((String::from_utf8(out).unwrap(), stream.progress()))
    })
}

fn event(choices: &str) -> String {
    format!("data: {{{HEAD},\"choices\":[{choices}]}}\n\n")
}

fn delta(delta: &str) -> String {
    event(&format!(r#"{{"index":0,"delta":{{{delta}}},"finish_reason":null}}"#))
}

fn end() -> String {
    event(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#)
}

#[test]
fn a_canonical_answer_is_passed_on_as_it_came() {
    let body = r#"{"id":"a","object":"chat.completion","created":1,"model":"x","choices":[ {"index":0,"message":{"role":"assistant","content":"1.0","x":1.0},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    for row in [&DEEPSEEK, &GROQ, &QWEN, &XAI, &OPENROUTER, &TOGETHER, &OLLAMA, &VLLM] {
        let (answer, _) = answered(row, body).unwrap();
        assert_eq!(answer.body, Payload::Same);
        assert_eq!(answer.usage.map(|usage| usage.total()), Some(5));
    }
}

#[test]
fn an_ordinary_event_is_passed_on_as_it_came() {
    let odd = delta(r#""content" : "b \"role\"", "reasoning_content":null"#);
    let stream = [delta(r#""role":"assistant","content":"a""#), odd.clone(), end()].concat() + DONE;
    let (out, progress) = streamed(&DEEPSEEK, &stream).unwrap();
    assert!(out.contains(&odd), "{out}");
    assert_eq!(progress, Progress::Ended);
}

#[test]
fn an_event_with_another_top_is_not_ordinary() {
    let second = delta(r#""content":"b""#).replace("\"id\":\"a\"", "\"id\":\"c\"");
    let stream = [delta(r#""role":"assistant","content":"a""#), second, end()].concat() + DONE;
    let (out, _) = streamed(&DEEPSEEK, &stream).unwrap();
    assert_eq!(out.matches("\"id\":\"a\"").count(), 3, "{out}");
}

#[test]
fn calls_have_a_bound() {
    let call = |at: usize| {
        format!(r#"{{"index":{at},"id":"c{at}","function":{{"name":"f","arguments":"{{}}"}}}}"#)
    };
    let most: String =
        (0..MAX_CALLS).map(|at| delta(&format!("\"tool_calls\":[{}]", call(at)))).collect();
    let (out, _) = streamed(&VLLM, &(most.clone() + &end())).unwrap();
    assert!(out.contains(&format!("\"index\":{}", MAX_CALLS - 1)), "{out}");
    let more = delta(&format!("\"tool_calls\":[{}]", call(MAX_CALLS)));
    let error = streamed(&VLLM, &(most + &more)).unwrap_err();
    assert_eq!((error.class, &*error.message), (Class::Server, "the provider made too many calls"));
    let list: Vec<String> = (0..=MAX_CALLS).map(call).collect();
    let many = delta(&format!("\"tool_calls\":[{}]", list.join(",")));
    assert_eq!(streamed(&VLLM, &many).unwrap_err().class, Class::Server);
    let body = format!(
        r#"{{"choices":[{{"message":{{"role":"assistant","tool_calls":[{}]}}}}]}}"#,
        list.join(",")
    );
    assert_eq!(answered(&VLLM, &body).unwrap_err().class, Class::Server);
}

#[test]
fn arguments_before_a_name_wait_for_it_and_have_a_bound() {
    let piece = |text: &str| {
        delta(&format!(
            r#""tool_calls":[{{"index":0,"id":"c","function":{{"arguments":"{text}"}}}}]"#
        ))
    };
    let name = delta(r#""tool_calls":[{"index":0,"function":{"name":"f","arguments":"}"}}]"#);
    let (out, _) = streamed(&VLLM, &[piece("{"), name, end()].concat()).unwrap();
    assert!(
        out.contains(r#""id":"c","type":"function","function":{"name":"f","arguments":"{}"}"#),
        "{out}"
    );
    let half = "1".repeat(MAX_HELD_ARGUMENTS / 2);
    assert!(streamed(&VLLM, &[piece(&half), piece(&half), end()].concat()).is_ok());
    let error = streamed(&VLLM, &[piece(&half), piece(&half), piece("1")].concat()).unwrap_err();
    assert_eq!(error.message, "the provider sent a call without a function's name");
}

#[test]
fn a_call_that_is_named_late_takes_no_others_number() {
    let piece = |index: u8, function: &str| {
        delta(&format!(
            r#""tool_calls":[{{"index":{index},"id":"c{index}","function":{{{function}}}}}]"#
        ))
    };
    let stream = [
        piece(0, r#""arguments":"{""#),
        piece(1, r#""name":"g","arguments":"{}""#),
        piece(0, r#""name":"f","arguments":"}""#),
        end(),
    ];
    let (out, _) = streamed(&VLLM, &stream.concat()).unwrap();
    assert!(out.contains(r#""tool_calls":[{"index":0,"id":"c1""#), "{out}");
    assert!(out.contains(r#""tool_calls":[{"index":1,"id":"c0""#), "{out}");
    assert!(out.contains(r#""name":"f","arguments":"{}""#), "{out}");
}

#[test]
fn choices_have_a_bound() {
    let choice = |at: usize| {
        event(&format!(r#"{{"index":{at},"delta":{{"content":"x"}},"finish_reason":"stop"}}"#))
    };
    let most: String = (0..MAX_CHOICES).map(choice).collect();
    assert!(streamed(&VLLM, &most).is_ok());
    assert_eq!(streamed(&VLLM, &(most + &choice(MAX_CHOICES))).unwrap_err().class, Class::Server);
}

#[test]
fn what_is_no_answer_is_the_providers_fault() {
    for body in [
        "",
        "\n\n",
        "null",
        "7",
        "{",
        "{}",
        "[]",
        r#"{"choices":[]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":7}"#,
        r#"{"choices":[7]}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"message":null}]}"#,
        r#"{"choices":[{"message":[]}]}"#,
        r#"{"choices":[{"message":{"tool_calls":{}}}]}"#,
    ] {
        let error = answered(&VLLM, body).unwrap_err();
        assert_eq!((error.class, error.status), (Class::Server, 502), "{body}");
    }
}

#[test]
fn what_is_no_event_ends_the_stream() {
    for data in
        ["7", "{", "[]", r#"{"choices":7}"#, r#"{"choices":[7]}"#, r#"{"choices":[{"delta":7}]}"#]
    {
        let error = streamed(&VLLM, &format!("data: {data}\n\n")).unwrap_err();
        assert_eq!(error.class, Class::Server, "{data}");
    }
    assert_eq!(streamed(&VLLM, "").unwrap_err().code.as_deref(), Some("stream_cut"));
    assert_eq!(streamed(&VLLM, DONE).unwrap_err().code.as_deref(), Some("stream_cut"));
}

#[test]
fn a_call_that_never_gets_a_name_is_no_call() {
    let nameless = delta(r#""tool_calls":[{"index":0,"id":"c","function":{"arguments":"{}"}}]"#);
    let (out, _) = streamed(&VLLM, &[nameless, end()].concat()).unwrap();
    assert!(out.contains(r#""finish_reason":"stop""#) && !out.contains("tool_calls"), "{out}");
}

#[test]
fn counts_are_read_by_any_name() {
    let usage = |row: &Compatible, json: &str| {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{json}}}"#);
        answered(row, &body).unwrap().0.usage.unwrap_or_default()
    };
    let hit = usage(
        &DEEPSEEK,
        r#"{"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":4}"#,
    );
    assert_eq!((hit.uncached_input, hit.cache_read), (5, 4));
    let apart = r#"{"prompt_tokens":9,"completion_tokens":1,"total_tokens":15,"completion_tokens_details":{"reasoning_tokens":5}}"#;
    for row in [&XAI, &OPENROUTER] {
        let counted = usage(row, apart);
        assert_eq!((counted.output, counted.reasoning), (6, 5));
        // Where the total does not bear it out, nothing is added.
        let within = usage(row, &apart.replace("15", "10"));
        assert_eq!((within.output, within.reasoning), (1, 1));
    }
    let native = usage(&OLLAMA, r#"{"prompt_eval_count":"9","eval_count":2.0}"#);
    assert_eq!((native.prompt(), native.output), (9, 2));
    let contradictory = usage(
        &VLLM,
        r#"{"prompt_tokens":3,"prompt_tokens_details":{"cached_tokens":9,"cache_creation_tokens":9}}"#,
    );
    assert_eq!((contradictory.uncached_input, contradictory.cache_read), (0, 3));
    let huge = usage(
        &XAI,
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615,"reasoning_tokens":1e300}"#,
    );
    assert_eq!(huge.total(), u64::MAX);
    assert_eq!(usage(&VLLM, "{}").total(), 0);
}

#[test]
fn vectors_are_not_asked_of_another_model_either() {
    let asked = |fields: &str| {
        let body = format!(r#"{{"model":"m","input":"x"{fields}}}"#);
        with_call("{}", |call| {
            let asked = Embeddings::parse(body.as_bytes()).unwrap();
            OPENROUTER.embed(&asked, body.as_bytes(), &call.target).map(|outbound| outbound.path)
        })
    };
    assert_eq!(asked(""), Ok("/embeddings".to_owned()));
    assert_eq!(asked(r#","provider":{"order":["x"]}"#), Ok("/embeddings".to_owned()));
    let error = asked(r#","preset":"x""#).unwrap_err();
    assert_eq!((error.status, error.param.as_deref()), (400, Some("preset")));
}
