#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::openai::Chat;
use crate::providers::catalogue::Facts;
use crate::providers::openai::OpenAi;
use crate::providers::{Base, Dialect, Policy, Settings, Target, Translator};

/// What the client gets, how far it came, the usage and the error.
struct Ran {
    out: String,
    progress: Progress,
    usage: Option<Usage>,
    error: Option<Error>,
}

fn translator(request: &str) -> Box<dyn Translator> {
    let facts = Facts::unknown();
    let base = Base::parse("https://h").unwrap();
    let chat = Chat::parse(request.as_bytes()).unwrap();
    let settings = Settings::default();
    let target = Target {
        base: &base,
        settings: &settings,
        model: "m",
        facts: &facts,
        policy: Policy::default(),
    };
    OpenAi.stream(&Call { chat: &chat, target, id: "i", created: 7 })
}

fn run_cut(request: &str, bytes: &str, cut: usize) -> Ran {
    let mut translator = translator(request);
    let mut out = Vec::new();
    let fed = bytes
        .as_bytes()
        .chunks(cut.max(1))
        .try_for_each(|piece| translator.push(piece, &mut out))
        .and_then(|()| translator.finish(&mut out));
    Ran {
        out: String::from_utf8(out).unwrap(),
        progress: translator.progress(),
        usage: translator.usage(),
        error: fed.err(),
    }
}

fn run(request: &str, bytes: &str) -> Ran {
    let whole = run_cut(request, bytes, bytes.len());
    for cut in 1..bytes.len().min(40) {
        assert_eq!(run_cut(request, bytes, cut).out, whole.out, "cut {cut}");
    }
    whole
}

const ASKS: &str = r#"{"stream":true,"stream_options":{"include_usage":true}}"#;
const SILENT: &str = r#"{"stream":true}"#;
const HEAD: &str = r#""id":"a","object":"chat.completion.chunk","created":1,"model":"x""#;

fn event(members: &str) -> String {
    format!("data: {{{HEAD},{members}}}\n\n")
}

fn text(content: &str) -> String {
    event(&format!(
        r#""choices":[{{"index":0,"delta":{{"content":"{content}"}},"logprobs":null,"finish_reason":null}}]"#
    ))
}

fn end(reason: &str) -> String {
    event(&format!(r#""choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]"#))
}

/// The same event with another member at its end.
fn with(event: &str, member: &str) -> String {
    format!("{},{member}}}\n\n", event.trim_end().strip_suffix('}').unwrap())
}

const USAGE: &str = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"x":1}"#;
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn a_canonical_stream_is_passed_on_as_it_came() {
    let null = r#""usage":null"#;
    let last = event(&format!(r#""choices":[],{USAGE}"#));
    let stream = [
        with(&text(""), null),
        with(&text("hi"), null),
        with(&text("usage"), null),
        with(&end("stop"), null),
        last,
    ]
    .concat()
        + DONE;
    let ran = run(ASKS, &stream);
    assert_eq!(ran.out, stream);
    assert_eq!((ran.progress, ran.error), (Progress::Ended, None));
    assert_eq!(ran.usage.map(|usage| usage.total()), Some(5));
}

#[test]
fn a_client_that_did_not_ask_sees_no_usage() {
    let null = r#""usage":null"#;
    let plain = [text(""), text("hi"), text("\\\"usage\\\":null"), end("stop")];
    let expected = plain.concat() + DONE;
    let last = event(&format!(r#""choices":[],{USAGE}"#)) + DONE;
    let with_null: String = plain.iter().map(|event| with(event, null)).collect();
    assert_eq!(run(SILENT, &(with_null + &last)).out, expected);
    // Before the other members, with white space, and before one that follows.
    let first: String =
        plain.iter().map(|event| event.replacen('{', "{\"usage\" : null , ", 1)).collect();
    assert_eq!(run(SILENT, &(first + &last)).out, expected.replace("data: {", "data: { "));
    let middle: String =
        plain.iter().map(|event| with(event, r#""usage":null,"o":"x}""#)).collect();
    let kept: String = plain.iter().map(|event| with(event, r#""o":"x}""#)).collect();
    let ran = run(SILENT, &(middle + &last));
    assert_eq!(ran.out, kept + DONE);
    assert_eq!(ran.usage.map(|usage| usage.prompt()), Some(3));
}

#[test]
fn a_usage_deeper_inside_is_not_the_events_own() {
    let nested = with(&text("a"), r#""x":{"usage":null,"y":1}"#);
    let stream = text("b") + &nested + &end("stop") + DONE;
    assert_eq!(run(SILENT, &stream).out, stream);
}

#[test]
fn usage_on_the_finish_chunk_moves_into_a_chunk_of_its_own() {
    let stream = text("a") + &with(&end("stop"), USAGE) + DONE;
    let ran = run(ASKS, &stream);
    let expected = [
        text("a"),
        with(&end("stop"), r#""usage":null"#),
        event(&format!(r#""choices":[],{USAGE}"#)),
        DONE.to_owned(),
    ];
    assert_eq!(ran.out, expected.concat());
    assert_eq!(run(SILENT, &stream).out, text("a") + &end("stop") + DONE);
}

#[test]
fn usage_on_every_chunk_is_told_once() {
    let chunk = |content: &str, count: u8| {
        with(
            &text(content),
            &format!(r#""usage":{{"prompt_tokens":1,"completion_tokens":{count}}}"#),
        )
    };
    let last = event(r#""choices":[],"usage":{"prompt_tokens":1,"completion_tokens":9}"#);
    let stream = chunk("a", 1) + &chunk("b", 2) + &end("stop") + &last + &last + DONE;
    let ran = run(ASKS, &stream);
    assert_eq!(ran.out.matches("\"choices\":[],\"usage\":{").count(), 1);
    assert_eq!(ran.out.matches("completion_tokens").count(), 1);
    assert_eq!(ran.usage.map(|usage| usage.output), Some(9));
    assert!(!run(SILENT, &stream).out.contains("usage"));
}

#[test]
fn azures_events_without_choices_or_deltas_are_swallowed() {
    let first = r#"data: {"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[]}"#;
    let annotation =
        event(r#""choices":[{"index":0,"finish_reason":null,"content_filter_results":{}}]"#);
    let ended = event(r#""choices":[{"index":0,"finish_reason":"stop"}]"#);
    let stream = format!("{first}\n\n{}{annotation}{ended}{annotation}{DONE}", text("a"));
    let ended = event(r#""choices":[{"delta":{},"index":0,"finish_reason":"stop"}]"#);
    assert_eq!(run(SILENT, &stream).out, text("a") + &ended + DONE);
}

#[test]
fn an_error_event_ends_the_stream() {
    for bad in [
        r#"{"error":{"message":"m","type":"overloaded_error"}}"#,
        r#"{"error":"m"}"#,
        r#"{"object":"error","message":"m"}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"message":"m"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}],"error":{"message":"m"}}"#,
    ] {
        for before in [String::new(), text("a")] {
            let ran = run(SILENT, &format!("{before}data: {bad}\n\n{}", text("b")));
            assert_eq!(ran.error.map(|error| error.message).as_deref(), Some("m"), "{bad}");
            assert_eq!(ran.out, before);
        }
    }
    let ran = run(SILENT, "event: error\ndata: {\"message\":\"m\"}\n\n");
    assert_eq!(ran.error.unwrap().message, "m");
    // The word alone, and an error that is none, are no errors.
    let stream =
        text("a") + &text("error") + &with(&text("b"), r#""error":null"#) + &end("stop") + DONE;
    assert_eq!(run(SILENT, &stream).out, stream);
}

#[test]
fn what_is_no_event_ends_the_stream() {
    for bad in ["hello", "[1]", "{", "{\"choices\":7}", "{x}", "{\"finish_reason\":null"] {
        for before in [String::new(), text("a")] {
            let ran = run(SILENT, &format!("{before}data: {bad}\n\n"));
            assert_eq!(ran.error.map(|error| error.class), Some(Class::Server), "{bad}");
        }
    }
}

#[test]
fn a_stream_that_ends_too_early_is_cut() {
    for stream in
        [String::new(), text("a"), text("a") + DONE, DONE.to_owned(), ": ping\n\n".to_owned()]
    {
        let error = run(SILENT, &stream).error.unwrap();
        assert_eq!(error.code.as_deref(), Some("stream_cut"), "{stream}");
    }
    let two = r#"{"stream":true,"n":2}"#;
    assert!(run(two, &(text("a") + &end("stop"))).error.is_some());
}

#[test]
fn a_stream_that_lacks_only_its_last_event_is_complete() {
    let ran = run(ASKS, &(text("a") + &with(&end("stop"), USAGE)));
    assert_eq!((ran.progress, ran.error), (Progress::Ended, None));
    assert!(ran.out.ends_with(&format!("\"choices\":[],{USAGE}}}\n\n{DONE}")), "{}", ran.out);
    let other = end("length").replace("\"index\":0", "\"index\":1");
    let two = text("a") + &end("stop") + &other;
    assert_eq!(run(r#"{"stream":true,"n":2}"#, &two).out, two + DONE);
}

#[test]
fn each_choice_ends_once_and_nothing_follows_the_end() {
    let again = text("a") + &end("stop") + &end("stop") + &text("b") + DONE + &text("c") + DONE;
    assert_eq!(run(SILENT, &again).out, text("a") + &end("stop") + DONE);
    let usage = with(&text(""), USAGE);
    let ran = run(ASKS, &(text("a") + &end("stop") + &usage + DONE));
    assert_eq!(
        ran.out,
        text("a") + &end("stop") + &event(&format!(r#""choices":[],{USAGE}"#)) + DONE
    );
    let two = event(
        r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"},{"index":1,"delta":{"content":"b"},"finish_reason":null}]"#,
    );
    let other = end("stop").replace("\"index\":0", "\"index\":1");
    let stream = text("a") + &end("stop") + &two + &other + DONE;
    assert_eq!(run(SILENT, &stream).out, stream.replace(&two, &two.replace("\"stop\"", "null")));
}

#[test]
fn another_finish_reason_becomes_one_of_openais() {
    let stream = text("a") + &end("") + &end("eos") + DONE;
    let expected = text("a") + &end("").replace("\"\"", "null") + &end("stop") + DONE;
    assert_eq!(run(SILENT, &stream).out, expected);
    assert!(run(SILENT, &(text("a") + &end("error"))).error.is_some());
}

#[test]
fn a_choice_that_made_calls_ends_with_tool_calls() {
    let delta = |index: u32, delta: &str| {
        event(&format!(
            r#""choices":[{{"index":{index},"delta":{{{delta}}},"finish_reason":null}}]"#
        ))
    };
    let call = r#""tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]"#;
    let none = r#""content":"x","tool_calls":[]"#;
    let text = r#""content":"x""#;
    for (before, reason, expected) in [
        (vec![call], "stop", "tool_calls"),
        (vec![text, call, text], "stop", "tool_calls"),
        (vec![call], "eos", "tool_calls"),
        (vec![call], "length", "length"),
        (vec![text, none], "stop", "stop"),
    ] {
        let before: String = before.into_iter().map(|said| delta(0, said)).collect();
        let stream = before + &end(reason) + DONE;
        let ran = run(SILENT, &stream);
        assert!(ran.error.is_none());
        assert_eq!(ran.out, stream.replace(&format!("\"{reason}\""), &format!("\"{expected}\"")));
    }
    let two = r#"{"stream":true,"n":2}"#;
    let stream = delta(0, text)
        + &delta(1, call)
        + &end("stop")
        + &end("stop").replace("\"index\":0", "\"index\":1");
    let out = run(two, &stream).out;
    assert!(out.contains(r#""index":0,"delta":{},"finish_reason":"stop""#), "{out}");
    assert!(out.contains(r#""index":1,"delta":{},"finish_reason":"tool_calls""#), "{out}");
}

#[test]
fn framing_becomes_canonical() {
    let chunk = text("a").trim_end().trim_start_matches("data: ").to_owned();
    let broken = chunk.replacen(",\"created\"", ",\ndata: \"created\"", 1);
    let stream = format!(
        "\u{feff}: hi\r\nid: 1\r\ndata:{chunk} \r\n\r\ndata: {broken}\n\n\
                          data:\n\n{}data:[DONE]",
        end("stop")
    );
    let spaced = text("a").replacen(",\"created\"", ", \"created\"", 1);
    assert_eq!(run(SILENT, &stream).out, text("a") + &spaced + &end("stop") + DONE);
}

#[test]
fn content_begins_with_the_first_thing_that_a_client_would_see() {
    let after = |delta: &str| {
        let mut translator = translator(SILENT);
        let chunk =
            event(&format!(r#""choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]"#));
        translator.push(chunk.as_bytes(), &mut Vec::new()).unwrap();
        translator.progress()
    };
    for delta in
        [r#"{"role":"assistant","content":""}"#, "{}", r#"{"content":null,"tool_calls":[]}"#]
    {
        assert_eq!(after(delta), Progress::Preamble, "{delta}");
    }
    for delta in [
        r#"{"content":" "}"#,
        r#"{"refusal":"x"}"#,
        r#"{"reasoning":"x"}"#,
        r#"{"reasoning_content":"x"}"#,
        r#"{"tool_calls":[{"index":0}]}"#,
        r#"{"audio":{"id":"x"}}"#,
    ] {
        assert_eq!(after(delta), Progress::Content, "{delta}");
    }
}
