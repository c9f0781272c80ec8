//! `waypost translate` as a process: arguments, input, output and exit codes.
#![cfg(not(target_arch = "wasm32"))]

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;

struct Ran {
    stdout: String,
    stderr: String,
    exit: Option<i32>,
}

impl Ran {
    fn json(&self) -> Value {
        assert_eq!(self.stderr, "");
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| fail(&format!("{e}: {}", self.stdout)))
    }
}

#[expect(clippy::panic, reason = "a test fails that way")]
fn fail(why: &str) -> ! {
    panic!("{why}")
}

fn translate(arguments: &[&str], input: &str) -> Ran {
    run(arguments, input).unwrap_or_else(|error| fail(&format!("{arguments:?}: {error}")))
}

fn run(arguments: &[&str], input: &str) -> std::io::Result<Ran> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_waypost"))
        .arg("translate")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that refuses its arguments does not read its input.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    Ok(Ran {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        exit: output.status.code(),
    })
}

/// A file with this text, for arguments that name one.
fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::write(&path, text) {
        Ok(()) => path.display().to_string(),
        Err(error) => fail(&format!("{}: {error}", path.display())),
    }
}

fn refused(arguments: &[&str], said: &[&str]) {
    let ran = translate(arguments, "{}");
    assert_eq!((ran.exit, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    for part in said {
        assert!(ran.stderr.contains(part), "{arguments:?}: {part:?} is not in {}", ran.stderr);
    }
}

#[test]
fn a_request_is_printed_as_it_would_be_sent() {
    let ran = translate(&["request", "--api", "openai"], CHAT);
    let json = ran.json();
    assert_eq!(ran.exit, Some(0));
    assert_eq!((&json["method"], &json["path"]), (&json!("POST"), &json!("/v1/chat/completions")));
    assert_eq!(json["headers"]["content-type"], "application/json");
    assert_eq!(json["body"], serde_json::from_str::<Value>(CHAT).unwrap());
    assert_eq!(json.get("warnings"), None);
}

#[test]
fn the_model_of_the_provider_may_be_another_than_the_clients() {
    let arguments = ["request", "--api", "anthropic", "--model", "claude-sonnet-4-5"];
    let json = translate(&arguments, CHAT).json();
    assert_eq!(json["body"]["model"], "claude-sonnet-4-5");
    assert_eq!(json["path"], "/v1/messages");
}

#[test]
fn a_providers_entry_says_where_and_how() {
    let entry = file(
        "entry.json",
        r#"{"api":"openai","base_url":"https://eu.example/v9","organization":"org-1","models":{"gpt-4o":{}}}"#,
    );
    let json = translate(&["request", "--api", "openai", "--provider", &entry], CHAT).json();
    assert_eq!(json["path"], "/v9/chat/completions");
    assert_eq!(json["headers"]["openai-organization"], "org-1");
}

#[test]
fn what_an_entry_says_of_a_model_and_of_parameters_holds() {
    let entry = file(
        "facts.json",
        r#"{"models":{"claude-sonnet-4-5":{"max_output_tokens":7}},"parameters":{"unsupported":"drop"}}"#,
    );
    let chat = r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"hi"}],"n":2}"#;
    let arguments = ["request", "--api", "anthropic", "--provider", &entry];
    let json = translate(&arguments, chat).json();
    assert_eq!(json["body"]["max_tokens"], 7, "{json}");
    assert!(json["warnings"].as_array().unwrap().contains(&json!("n dropped")), "{json}");
}

#[test]
fn what_was_dropped_is_printed_as_a_warning() {
    let chat =
        r#"{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"hi"}],"seed":7}"#;
    let json = translate(&["request", "--api", "anthropic"], chat).json();
    let warnings = json["warnings"].as_array().unwrap();
    assert!(warnings.contains(&json!("seed dropped")), "{warnings:?}");
}

#[test]
fn a_refused_request_has_openais_error_and_exit_code_1() {
    for (input, param) in [
        (r#"{"messages":[]}"#, json!("model")),
        (r#"{"model":7}"#, json!("model")),
        ("{", Value::Null),
        ("", Value::Null),
    ] {
        let ran = translate(&["request", "--api", "openai"], input);
        let json = ran.json();
        assert_eq!((ran.exit, &json["status"]), (Some(1), &json!(400)), "{input}");
        assert_eq!(json["error"]["type"], "invalid_request_error");
        assert_eq!(json["error"]["param"], param, "{input}");
        assert_eq!(json["error"].as_object().unwrap().len(), 4);
    }
}

#[test]
fn vectors_are_asked_for_and_printed_in_the_encoding_of_the_request() {
    let asked = r#"{"model":"text-embedding-3-small","input":["a"],"encoding_format":"base64"}"#;
    let ran = translate(
        &["request", "--api", "openai", "--operation", "embeddings", "--model", "e"],
        asked,
    );
    let json = ran.json();
    assert_eq!((ran.exit, &json["path"]), (Some(0), &json!("/v1/embeddings")));
    assert_eq!(json["body"], json!({"model": "e", "input": ["a"], "encoding_format": "base64"}));
    let refused = translate(&["request", "--api", "anthropic", "--operation", "embeddings"], asked);
    assert_eq!((refused.exit, &refused.json()["error"]["param"]), (Some(1), &json!("model")));

    let request = file("embeddings.json", asked);
    let response = ["response", "--api", "openai", "--status", "200", "--operation", "embeddings"];
    let answer = r#"{"data":[{"embedding":[1.0,-2.5]}]}"#;
    let json = translate(&[&response[..], &["--request", &request]].concat(), answer).json();
    assert_eq!(json["body"]["data"][0]["embedding"], "AACAPwAAIMA=");
    assert_eq!(json["warnings"], json!(["usage unknown"]));
    let json = translate(&response, answer).json();
    assert_eq!(json["body"]["data"][0]["embedding"], json!([1.0, -2.5]));
}

#[test]
fn an_answer_is_printed_as_the_client_gets_it() {
    let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5",
        "content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let ran = translate(
        &[
            "response",
            "--api",
            "anthropic",
            "--status",
            "200",
            "--header",
            "request-id: r1",
            "--operation",
            "chat",
        ],
        body,
    );
    let json = ran.json();
    assert_eq!((ran.exit, &json["status"]), (Some(0), &json!(200)));
    assert_eq!(json["headers"], json!({"content-type": "application/json"}));
    assert_eq!(json["body"]["object"], "chat.completion");
    assert_eq!(json["body"]["choices"][0]["message"]["content"], "hello");
    assert_eq!(json.get("class"), None);
}

#[test]
fn a_header_may_be_given_several_times() {
    let ran = translate(
        &[
            "response",
            "--api",
            "openai",
            "--status",
            "429",
            "--header",
            "Content-Type: application/json",
            "--header",
            "Retry-After:20",
        ],
        r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
    );
    let json = ran.json();
    assert_eq!(ran.exit, Some(0));
    assert_eq!(
        (&json["class"], &json["retryable"], &json["failover"]),
        (&json!("rate_limit"), &json!(true), &json!(true))
    );
    assert_eq!(
        json["headers"],
        json!({"content-type": "application/json", "retry-after": "20", "retry-after-ms": "20000"})
    );
    assert_eq!(json["body"]["error"]["message"], "slow down");
}

#[test]
fn an_answer_that_is_none_is_printed_as_the_error_it_becomes() {
    for api in ["openai", "anthropic"] {
        let json = translate(&["response", "--api", api, "--status", "200"], "<html>").json();
        assert_eq!(json["class"], "server", "{api}");
        assert!(json["status"].as_u64().unwrap() >= 500, "{api}: {json}");
        assert!(json["body"]["error"]["message"].is_string(), "{api}: {json}");
    }
}

const EVENTS: &str = "event: message_start\n\
data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
event: content_block_start\n\
data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
event: content_block_delta\n\
data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\u{e9}llo\"}}\n\n\
event: content_block_stop\n\
data: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
event: message_delta\n\
data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
event: message_stop\n\
data: {\"type\":\"message_stop\"}\n\n";

#[test]
fn a_stream_is_the_same_in_chunks_of_any_size() {
    let whole = translate(&["stream", "--api", "anthropic"], EVENTS);
    assert_eq!((whole.exit, whole.stderr.as_str()), (Some(0), ""));
    assert!(whole.stdout.contains("héllo") && whole.stdout.ends_with("data: [DONE]\n\n"));
    assert!(!whole.stdout.contains("prompt_tokens"));
    for size in ["0", "1", "7", "100000"] {
        let cut = translate(&["stream", "--api", "anthropic", "--chunk-bytes", size], EVENTS);
        assert_eq!(cut.stdout, whole.stdout, "{size}");
    }
}

#[test]
fn a_stream_heeds_what_the_client_asked() {
    let asked = file("asked.json", r#"{"stream":true,"stream_options":{"include_usage":true}}"#);
    let ran = translate(&["stream", "--api", "anthropic", "--request", &asked], EVENTS);
    assert!(ran.stdout.contains(r#""prompt_tokens":3,"completion_tokens":2,"#), "{}", ran.stdout);
}

#[test]
fn a_stream_that_was_cut_ends_with_an_error_and_exit_code_0() {
    for length in [0, EVENTS.len() / 2] {
        let (half, _) = EVENTS.split_at(length);
        let ran = translate(&["stream", "--api", "anthropic"], half);
        assert_eq!(ran.exit, Some(0));
        let last = ran.stdout.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("data: {\"error\":{"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("[DONE]") && !ran.stdout.contains("\"stop\""));
    }
}

#[test]
fn an_unknown_api_is_refused_with_the_nearest_and_all_valid_ones() {
    for command in ["request", "stream"] {
        refused(&[command, "--api", "antropic"], &["did you mean \"anthropic\"?", "openai"]);
    }
    refused(
        &["response", "--api", "x", "--status", "200"],
        &["--api: \"x\" is not one of openai, azure, anthropic, gemini, vertex, "],
    );
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let broken = file("broken.json", "{\"base_url\":");
    let strange = file("strange.json", r#"{"base_ulr":"https://x","project":7}"#);
    let list = file("list.json", r#"{"stream":"yes"}"#);
    refused(&["request", "--api", "openai", "--provider", "/no/such/file"], &["/no/such/file"]);
    refused(&["request", "--api", "openai", "--provider", &broken], &[&broken, "not JSON"]);
    refused(
        &["request", "--api", "openai", "--provider", &strange],
        &["base_ulr: there is no such field here; did you mean \"base_url\"?", "project: must be"],
    );
    refused(&["stream", "--api", "openai", "--request", &broken], &[&broken, "not valid JSON"]);
    refused(&["stream", "--api", "openai", "--request", &list], &[&list, "stream"]);
}

#[test]
fn arguments_out_of_range_are_refused() {
    refused(&["response", "--api", "openai", "--status", "99"], &["100..=599"]);
    refused(&["response", "--api", "openai"], &["--status"]);
    refused(&["response", "--api", "openai", "--status", "200", "--header", "x"], &["name: value"]);
    refused(&["stream", "--api", "openai", "--chunk-bytes=-1"], &["--chunk-bytes"]);
    refused(&["request"], &["--api"]);
}

#[test]
fn the_help_shows_examples() {
    for command in ["request", "response", "stream"] {
        let help = translate(&[command, "--help"], "").stdout;
        assert!(help.contains(&format!("  waypost translate {command} --api ")), "{help}");
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_waypost"))
        .args(["translate", "stream", "--api", "openai"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}
