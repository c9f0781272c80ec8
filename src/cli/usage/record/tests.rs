//! Lines of logs.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const WHOLE: &str = r#"{"v":2,"time":"2026-11-21T18:11:46.123Z","request_id":"r-1","tenant":"search","team":"discovery","user":"an\u00e9 \"x\"","application":"web","tier":"gold","key_id":"search-2026","proof":"key","route":"default","requested_model":"gpt-4o","operation":"chat","stream":true,"provider_chosen":"openai","model":"gpt-4o-mini","fallback_used":true,"cache_hit":false,"status":200,"input_tokens":30,"output_tokens":12,"cached_tokens":4,"cache_write_tokens":3,"reasoning_tokens":2,"cost_usd":0.000123456,"latency_ms":310,"timings":{"gateway_us":40,"network_ms":1},"warnings":[],"attempts":[{"provider":"claude","model":"claude-haiku-4-5","rule":"default","outcome":"failed","status":503,"input_tokens":10,"estimated":true,"cost_usd":null,"unpriced":true},{"provider":"openai","model":"gpt-4o-mini","outcome":"answered","status":200,"input_tokens":20,"output_tokens":12,"cached_tokens":4,"cache_write_tokens":3,"reasoning_tokens":2,"cost_usd":0.000123456}],"skipped":[{"why":"open"}],"prompt":[{"role":"user","content":"{\"v\":3,\"tenant\":\"other\"}"}],"answer":"a \\\" } ] b"}"#;

fn line(text: &str) -> Line<'static> {
    // Tests may leak.
    read(text.to_owned().leak().as_bytes(), Box::leak(Box::default()))
}

fn record(text: &str) -> Record<'static> {
    match line(text) {
        Line::Record(record) => record,
        other => panic!("{other:?}: {text}"),
    }
}

fn said(text: Option<Text<'_>>) -> String {
    String::from_utf8(text.unwrap().bytes().into_owned()).unwrap()
}

fn whole(record: &Record<'_>) {
    assert_eq!(record.time, 1_795_284_706_123);
    assert_eq!(said(record.tenant), "search");
    assert_eq!(said(record.team), "discovery");
    assert_eq!(said(record.user), "ané \"x\"");
    assert_eq!(said(record.application), "web");
    assert_eq!(said(record.tier), "gold");
    assert_eq!(said(record.key), "search-2026");
    assert_eq!(said(record.rule), "default");
    assert_eq!(said(record.provider), "openai");
    assert_eq!(said(record.model), "gpt-4o-mini");
    assert_eq!((record.status, record.latency), (Some(200), 310));
    assert_eq!(said(record.requested), "gpt-4o");
    let cost = Some(NanoUsd(123_456));
    let answered = Used {
        input: 20,
        output: 12,
        cached: 4,
        cache_write: 3,
        reasoning: 2,
        cost,
        estimated: false,
    };
    assert_eq!(record.used, Used { input: 30, ..answered });
    let [failed, last] = &*record.attempts else { panic!("{record:?}") };
    assert_eq!(said(failed.provider), "claude");
    assert_eq!(said(failed.model), "claude-haiku-4-5");
    assert_eq!(said(failed.rule), "default");
    assert!(failed.failed && !last.failed);
    assert_eq!(failed.used, Used { input: 10, estimated: true, ..Used::default() });
    assert_eq!((said(last.provider), last.rule, last.used), ("openai".to_owned(), None, answered));
}

#[test]
fn a_record_is_read_field_by_field() {
    whole(&record(WHOLE));
    whole(&record(&format!(" \t{WHOLE}\r\n")));
}

#[test]
fn an_access_log_has_the_record_in_a_field() {
    let quoted = serde_json::to_string(WHOLE).unwrap();
    whole(&record(&format!(r#"{{"time":"10:00","status":"200","record":{quoted},"model":7}}"#)));
    whole(&record(&format!(r#"{{"record":{WHOLE}}}"#)));
    for none in [r#"{"record":"-","v":2}"#, r#"{"record":null}"#, r#"{"record":""}"#, "", " ", "-"]
    {
        assert_eq!(line(none), Line::Nothing, "{none}");
    }
    for wrong in [
        r#"{"record":7}"#,
        r#"{"record":true}"#,
        r#"{"record":"x"}"#,
        r#"{"record":"{}"}"#,
        r#"{"record":"{\"record\":\"-\"}"}"#,
        r#"{"record":{"record":{"record":{}}}}"#,
    ] {
        assert!(matches!(line(wrong), Line::Garbage(_)), "{wrong}: {:?}", line(wrong));
    }
}

#[test]
fn other_versions_are_told_apart_from_garbage() {
    assert_eq!(line(r#"{"v":1,"rule":"default","attempts":[7],"status":"x"}"#), Line::Version(1));
    assert_eq!(line(r#"{"v":3,"attempts":{}}"#), Line::Version(3));
    assert_eq!(line(r#"{"record":"{\"v\":1}"}"#), Line::Version(1));
    assert_eq!(line("{}"), Line::Garbage("it has neither `v` nor `record`"));
    assert_eq!(line(r#"{"v":null}"#), Line::Garbage("it has neither `v` nor `record`"));
    assert_eq!(line(r#"{"v":2}"#), Line::Garbage("it has no `time`"));
}

#[test]
fn a_line_cut_anywhere_is_garbage() {
    for end in 1..WHOLE.len() {
        assert_eq!(line(WHOLE.split_at(end).0), Line::Garbage(NOT_JSON), "{end}");
    }
    for wrong in ["x", "[]", "7", "{} {}", "[2026-11-21] GET /", "\u{0}", "{\"v\":2"] {
        assert_eq!(line(wrong), Line::Garbage(NOT_JSON), "{wrong}");
    }
}

#[test]
fn what_a_field_cannot_hold_makes_the_record_garbage() {
    let with = |field: &str| line(&format!(r#"{{"v":2,"time":"2026-11-21T18:11:46Z",{field}}}"#));
    for fine in [
        r#""tenant":null,"cost_usd":null,"input_tokens":null,"attempts":null,"status":null"#,
        r#""input_tokens":1000000000000,"status":0,"attempts":[],"new":{"x":[1]}"#,
        r#""attempts":[{}],"estimated":false,"user":"""#,
    ] {
        assert!(matches!(with(fine), Line::Record(_)), "{fine}: {:?}", with(fine));
    }
    for (wrong, why) in [
        (r#""tenant":7"#, "a name is no string"),
        (r#""attempts":[{"provider":{}}]"#, "a name is no string"),
        (r#""input_tokens":1.5"#, "a count is no whole number in its range"),
        (r#""input_tokens":-1"#, "a count is no whole number in its range"),
        (r#""input_tokens":1000000000001"#, "a count is no whole number in its range"),
        (r#""input_tokens":99999999999999999999"#, "a count is no whole number in its range"),
        (r#""attempts":[{"output_tokens":"7"}]"#, "a count is no whole number in its range"),
        (r#""status":1000"#, "a count is no whole number in its range"),
        (r#""cost_usd":-0.1"#, "a `cost_usd` is no amount in nano-dollars"),
        (r#""cost_usd":"0.1""#, "a `cost_usd` is no amount in nano-dollars"),
        (r#""cost_usd":0.0000000001"#, "a `cost_usd` is no amount in nano-dollars"),
        (r#""attempts":{}"#, "its `attempts` are no list"),
        (r#""attempts":["x"]"#, "one of its `attempts` is no object"),
        (r#""time":7"#, "its `time` is none in UTC"),
        (r#""time":"yesterday""#, "its `time` is none in UTC"),
    ] {
        assert_eq!(with(wrong), Line::Garbage(why), "{wrong}");
    }
}

#[test]
fn attempts_have_a_limit() {
    let with = |count: usize| {
        let attempts = vec!["{}"; count].join(",");
        line(&format!(r#"{{"v":2,"time":"2026-11-21T18:11:46Z","attempts":[{attempts}]}}"#))
    };
    assert!(
        matches!(with(MAX_ATTEMPTS), Line::Record(record) if record.attempts.len() == MAX_ATTEMPTS)
    );
    assert_eq!(with(MAX_ATTEMPTS + 1), Line::Garbage("it has too many `attempts`"));
}
