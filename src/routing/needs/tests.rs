#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::*;
use crate::config::Config;

/// Candidates in the order of these names: `blind` can do nothing, `claude` lacks sound and a
/// schema that is enforced, `full` can do everything but reason, `mini` has a small window,
/// `thinker` only reasons and reads pictures, `unknown` is not known.
fn gateway() -> Gateway {
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
        "providers": {
            "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {
                "blind": {"capabilities": []},
                "full": {"capabilities": ["tools", "vision", "pdf", "audio", "json_schema"]},
                "mini": {"context_window": 1000},
                "thinker": {"capabilities": ["reasoning", "vision"], "context_window": 1000, "max_output_tokens": 500},
                "unknown": {},
                "vectors": {"capabilities": ["embeddings"]},
            }},
            "c": {"api": "anthropic", "endpoints": [{"cluster": "c"}], "models": {
                "claude": {"capabilities": ["tools", "vision", "pdf", "reasoning"]},
            }},
        },
    }));
    match config {
        Ok(Config::Gateway(gateway)) => *gateway,
        other => panic!("{other:?}"),
    }
}

const NAMES: [&str; 7] = ["blind", "full", "mini", "thinker", "unknown", "vectors", "claude"];

fn candidate(name: &str) -> Candidate {
    let at = NAMES.iter().position(|known| *known == name).unwrap();
    Candidate { provider: at / 6, model: at % 6, endpoint: 0 }
}

/// Who is left of `names`, and why the others are not.
fn left(names: &[&str], fields: &str) -> Result<(Vec<String>, Vec<String>), Error> {
    let gateway = gateway();
    let body = format!(r#"{{"model":"m",{fields}}}"#);
    let chat = Chat::parse(body.as_bytes()).unwrap();
    let media = chat.validate().unwrap();
    let mut plan = Plan {
        rule: "r".into(),
        candidates: names.iter().map(|name| candidate(name)).collect(),
        ..Plan::default()
    };
    plan.keep_able(&Needs::of(&chat, media, body.len()), &gateway)?;
    let name = |candidate: &Candidate| candidate.resolve(&gateway).unwrap().model.name.clone();
    let why = |skipped: &Skipped| format!("{}: {}", name(&skipped.candidate), skipped.reason);
    Ok((plan.candidates.iter().map(name).collect(), plan.skipped.iter().map(why).collect()))
}

fn asked(names: &[&str], fields: &str) -> Vec<String> {
    left(names, fields).unwrap().0
}

const HELLO: &str = r#""messages":[{"role":"user","content":"hello"}]"#;
const CHATS: [&str; 6] = ["blind", "full", "mini", "thinker", "unknown", "claude"];

fn saying(part: &str) -> String {
    format!(
        r#""messages":[{{"role":"user","content":"x"}},{{"role":"user","content":[{{"type":"text","text":"image_url"}},{part}]}}]"#
    )
}

const IMAGE: &str = r#"{"type":"image_url","image_url":{"url":"https://x/y.png"}}"#;
const PDF: &str = r#"{"type":"file","file":{"file_data":"data:application\/pdf;base64,JVBERi0="}}"#;
const SOUND: &str = r#"{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}"#;

#[test]
fn a_plain_request_may_go_to_every_chat_model() {
    assert_eq!(asked(&CHATS, HELLO), CHATS);
    let nothing = r#","tools":[],"functions":null,"response_format":{"type":"json_object"},"reasoning_effort":"none","modalities":["text"]"#;
    assert_eq!(asked(&CHATS, &format!("{HELLO}{nothing}")), CHATS);
    assert_eq!(asked(&CHATS, &saying(r#"{"type":"text","text":"x"}"#)), CHATS);
}

#[test]
fn a_candidate_that_lacks_what_is_needed_is_left_out() {
    let tool = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let schema =
        r#""response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{}}}"#;
    for (fields, expected) in [
        (saying(IMAGE), vec!["full", "mini", "thinker", "unknown", "claude"]),
        (saying(PDF), vec!["full", "mini", "unknown", "claude"]),
        (saying(SOUND), vec!["full", "mini", "unknown"]),
        (
            format!(r#"{HELLO},"modalities":["text","audio"],"audio":{{}}"#),
            vec!["full", "mini", "unknown"],
        ),
        (format!("{HELLO},{tool}"), vec!["full", "mini", "unknown", "claude"]),
        (
            format!(r#"{HELLO},"functions":[{{"name":"f"}}]"#),
            vec!["full", "mini", "unknown", "claude"],
        ),
        (format!(r#"{HELLO},{tool},"tool_choice":"none""#), CHATS.to_vec()),
        (format!("{HELLO},{schema}"), vec!["full", "mini", "unknown", "claude"]),
    ] {
        assert_eq!(asked(&CHATS, &fields), expected, "{fields}");
    }
}

#[test]
fn a_schema_that_a_dialect_emulates_is_no_need() {
    let catalogue = crate::providers::catalogue::Catalogue::builtin();
    let emulates = |api, model: &str| {
        let api = crate::providers::registry::find(api).unwrap();
        let entry = json!({"project": "p", "location": "eu", "region": "r", "models": {model: {}}});
        let names: Vec<&str> = api.settings.iter().map(|setting| setting.name).collect();
        let entry: serde_json::Map<String, serde_json::Value> = entry
            .as_object()
            .unwrap()
            .clone()
            .into_iter()
            .filter(|(name, _)| name == "models" || names.contains(&&**name))
            .collect();
        let provider = crate::config::provider::read_alone(&entry.into(), api, &catalogue).unwrap();
        let target = provider.target(provider.model(model).unwrap());
        assert!(!api.dialect.emulates(Capability::Vision, &target));
        api.dialect.emulates(Capability::JsonSchema, &target)
    };
    assert!(emulates("anthropic", "claude-haiku-4-5"));
    assert!(emulates("bedrock", "meta.llama3-3-70b-instruct-v1:0"));
    assert!(emulates("vertex", "claude-sonnet-5-5"));
    assert!(!emulates("vertex", "gemini-3.8-flash"));
    assert!(!emulates("openai", "gpt-4o"));
}

#[test]
fn why_a_candidate_was_left_out_is_noted() {
    let (_, why) = left(&["blind", "full"], &saying(IMAGE)).unwrap();
    assert_eq!(why, ["blind: vision is not a capability of this model"]);
    let (_, why) = left(&["vectors", "full"], HELLO).unwrap();
    assert_eq!(why, ["vectors: it is not a model for chat completions"]);
}

#[test]
fn a_model_that_does_not_reason_is_asked_last_for_an_effort() {
    let fields = format!(r#"{HELLO},"reasoning_effort":"low""#);
    let (candidates, why) = left(&["full", "claude", "blind", "unknown"], &fields).unwrap();
    assert_eq!(candidates, ["claude", "unknown", "full", "blind"]);
    let last = "it does not reason: asked last";
    assert_eq!(why, [format!("full: {last}"), format!("blind: {last}")]);
    for in_order in [&["full", "blind"][..], &["claude", "full"]] {
        let (candidates, why) = left(in_order, &fields).unwrap();
        assert_eq!(
            (candidates.as_slice(), why.len()),
            (&in_order.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()[..], 0)
        );
    }
}

#[test]
fn a_conversation_that_cannot_fit_is_left_out() {
    let of = |bytes: usize| {
        let text: String = "abcdefgh".chars().cycle().take(bytes).collect();
        format!(r#""messages":[{{"role":"user","content":"{text}"}}]"#)
    };
    assert_eq!(asked(&["mini", "full"], &of(8_000)), ["mini", "full"]);
    assert_eq!(asked(&["mini", "full"], &of(8_007)), ["mini", "full"]);
    let (candidates, why) = left(&["mini", "thinker", "full"], &of(8_008)).unwrap();
    assert_eq!(candidates, ["full"]);
    let said = "at least 1001 tokens of input do not fit into its window of 1000";
    assert_eq!(why, [format!("mini: {said}"), format!("thinker: {said}")]);
}

#[test]
fn the_answers_limit_counts_only_where_the_window_must_hold_it() {
    let fields = format!(r#"{HELLO},"max_tokens":1000"#);
    assert_eq!(asked(&["mini", "thinker"], &fields), ["mini", "thinker"]);
    let fields = format!(r#"{HELLO},"max_tokens":1001"#);
    let (candidates, why) = left(&["mini", "thinker"], &fields).unwrap();
    assert_eq!(candidates, ["thinker"]);
    assert_eq!(
        why,
        ["mini: at least 0 tokens of input and 1001 of output do not fit into its window of 1000"]
    );
}

#[test]
fn only_running_text_counts_for_a_window() {
    let blanks = " ".repeat(50_000);
    let dashes = "-".repeat(50_000);
    let escapes = r"\u4e2d".repeat(2_000);
    let image = format!(
        r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}"#,
        "iVBORw0K".repeat(9_000)
    );
    for content in [
        format!(r#""{blanks}{dashes}""#),
        format!(r#""{escapes}""#),
        format!(r#"[{image},{{"type":"text","text":"what is it?"}}]"#),
        "null".to_owned(),
    ] {
        let fields = format!(
            r#""messages":[{{"role":"assistant","content":{content},"refusal":"no"}},{{"role":"user","content":"x"}}]"#
        )
        .replace(r#""role":"assistant","content":["#, r#""role":"user","content":["#);
        assert_eq!(asked(&["mini"], &fields), ["mini"]);
    }
    // The same picture as text is text.
    let text =
        format!(r#""messages":[{{"role":"user","content":"{}"}}]"#, "iVBORw0K".repeat(9_000));
    assert!(left(&["mini"], &text).is_err());
}

#[test]
fn when_nobody_is_left_the_error_says_what_is_missing_where() {
    let error = left(&["blind", "claude"], &saying(SOUND)).unwrap_err();
    assert_eq!((error.status, error.code.as_deref()), (400, Some("unsupported_capability")));
    assert_eq!(error.param.as_deref(), Some("messages[1].content[1]"));
    assert_eq!(
        error.message,
        "No candidate can serve this request (a/blind: audio is not a capability of this model; c/claude: audio is not a capability of this model)."
    );
}

#[test]
fn one_field_is_blamed_only_where_it_alone_is_to_blame() {
    let text: String = "abcdefgh".repeat(1_100);
    let both = format!(
        r#""messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"}},{IMAGE}]}}]"#
    );
    let error = left(&["mini", "blind"], &both).unwrap_err();
    assert_eq!((error.code.as_deref(), error.param), (Some("unsupported_capability"), None));
    let error = left(&["mini", "thinker"], &both).unwrap_err();
    assert_eq!(error.class, Class::ContextLength);
    assert_eq!(error.code.as_deref(), Some("context_length_exceeded"));
    assert_eq!(error.param.as_deref(), Some("messages"));
}
