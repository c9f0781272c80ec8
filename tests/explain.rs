//! What `waypost explain` prints, word by word.
//!
//! `UPDATE_GOLDEN=1` writes the files in `tests/explain` anew. Each line is a claim: read the
//! difference.
#![cfg(not(target_arch = "wasm32"))]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use waypost::cli::BadUsage;
use waypost::cli::explain::{Inquiry, Options, configured};
use waypost::cli::translate::Printed;
use waypost::config::rule::Operation;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_default()
}

/// A request to the gateway in the listener `main`, and what is known beside it.
#[derive(Default)]
struct Case<'a> {
    body: Value,
    headers: &'a [(&'a str, &'a str)],
    status: Option<&'a str>,
    embeddings: bool,
    json: bool,
    tenant: Option<&'a str>,
}

fn explain(case: &Case<'_>) -> Printed {
    let pairs = case.headers.iter();
    let inquiry = Inquiry {
        operation: if case.embeddings { Operation::Embeddings } else { Operation::Chat },
        headers: pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: case.body.to_string().into_bytes(),
        tenant: case.tenant.map(str::to_owned),
        now: 0,
    };
    let options = Options {
        gateway: Some("main".to_owned()),
        status: case.status.map(|name| read(name).into_bytes()),
        json: case.json,
    };
    let printed = configured("envoy.yaml", &read("envoy.yaml"), &inquiry, &options);
    printed.unwrap_or_else(|BadUsage(why)| Printed { bytes: why.into_bytes(), exit: 2 })
}

fn golden(name: &str, exit: u8, case: &Case<'_>) {
    let Printed { bytes, exit: found } = explain(case);
    let printed = String::from_utf8_lossy(&bytes);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        // What could not be written is told by the comparison.
        let _ = std::fs::write(folder().join(name), &*printed);
    }
    assert_eq!(printed, read(name), "{name}");
    assert_eq!(found, exit, "{name}");
}

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Say hello to all of us."}]})
}

fn with(mut body: Value, more: &Value) -> Value {
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

#[test]
fn the_first_rule_that_takes_a_request_decides() {
    golden("default.txt", 0, &Case { body: hello("gpt-4o"), ..Case::default() });
    let status = Some("status.json");
    golden("default-now.txt", 0, &Case { body: hello("gpt-4o"), status, ..Case::default() });
    let page = std::fs::read_to_string(folder().join("../../README.md")).unwrap();
    assert!(page.contains(&read("default-now.txt")), "the README shows another output");
    let case = Case { body: hello("gpt-4o"), status, json: true, ..Case::default() };
    golden("default-now.json", 0, &case);
}

#[test]
fn each_condition_says_what_it_saw_and_what_it_wanted() {
    let text = "word ".repeat(1200);
    let body = json!({
        "model": "gpt-4o", "stream": true, "max_completion_tokens": 300,
        "messages": [{"role": "user", "content": text}],
    });
    let headers = &[("x-data-class", "public"), ("x-tenant", "acme-eu")];
    golden("long.txt", 0, &Case { body, headers, ..Case::default() });
}

#[test]
fn a_region_that_is_required_leaves_the_others_out() {
    let headers = &[("x-data-class", "pii-7")];
    golden("region.txt", 0, &Case { body: hello("gpt-4o"), headers, ..Case::default() });
    let status = Some("status.json");
    golden(
        "region-now.txt",
        0,
        &Case { body: hello("gpt-4o"), headers, status, ..Case::default() },
    );
}

#[test]
fn the_cheapest_is_shown_with_what_it_costs() {
    let more = json!({"metadata": {"task": "classification"}, "max_tokens": 50});
    let case = Case {
        body: with(hello("any"), &more),
        headers: &[("x-tenant", "acme"), ("x-waypost-rule", "of-acme")],
        ..Case::default()
    };
    golden("cost.txt", 0, &case);
}

#[test]
fn where_chance_has_a_part_shares_are_shown() {
    golden("canary.txt", 0, &Case { body: hello("shared"), ..Case::default() });
    let status = Some("status.json");
    golden("canary-now.txt", 0, &Case { body: hello("shared"), status, ..Case::default() });
    golden("latency.txt", 0, &Case { body: hello("fast"), ..Case::default() });
    golden("latency-now.txt", 0, &Case { body: hello("fast"), status, ..Case::default() });
}

#[test]
fn who_sticks_to_a_target_always_gets_it() {
    golden(
        "sticky.txt",
        0,
        &Case { body: with(hello("sticky"), &json!({"user": "u-1"})), ..Case::default() },
    );
    golden("not-sticky.txt", 0, &Case { body: hello("sticky"), ..Case::default() });
}

#[test]
fn what_only_envoy_can_tell_is_decided_both_ways() {
    let headers = &[("x-tier", "gold")];
    golden("cel.txt", 0, &Case { body: hello("gold"), headers, ..Case::default() });
    let headers = &[("x-tier", "silver")];
    golden("cel-known.txt", 0, &Case { body: hello("gold"), headers, ..Case::default() });
}

#[test]
fn wishes_are_told_whether_they_are_granted_or_not() {
    let more = json!({"models": ["claude-sonnet-4-5"]});
    let headers = &[("x-waypost-target", "claude/claude-haiku-4-5")];
    golden(
        "wishes.txt",
        0,
        &Case { body: with(hello("gpt-4o"), &more), headers, ..Case::default() },
    );
}

#[test]
fn a_rule_that_the_client_asks_for_comes_with_the_requirements_of_its_own() {
    let headers = &[("x-data-class", "phi"), ("x-waypost-rule", "shares")];
    golden("wished-rule.txt", 0, &Case { body: hello("gpt-4o"), headers, ..Case::default() });
    let headers = &[("x-waypost-rule", "share")];
    golden("unknown-rule.txt", 1, &Case { body: hello("gpt-4o"), headers, ..Case::default() });
}

#[test]
fn what_a_request_needs_is_shown() {
    let more = json!({
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "reasoning_effort": "high",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "be brief ".repeat(100), "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
        ],
    });
    golden("needs.txt", 0, &Case { body: with(hello("gpt-4o"), &more), ..Case::default() });
    let body = with(with(hello("gpt-4o"), &more), &json!({"stream": true}));
    golden("needs-long.txt", 0, &Case { body, ..Case::default() });
}

#[test]
fn an_error_is_the_one_that_the_client_gets() {
    golden("no-model.txt", 1, &Case { body: hello("gtp-4o"), ..Case::default() });
    golden("invalid.txt", 1, &Case { body: json!({"model": "gpt-4o"}), ..Case::default() });
    let headers = &[("x-data-class", "phi"), ("x-waypost-target", "claude/claude-haiku-4-5")];
    golden("no-region.txt", 1, &Case { body: hello("gpt-4o"), headers, ..Case::default() });
    let status = Some("full.json");
    golden("saturated.txt", 1, &Case { body: hello("gpt-4o"), status, ..Case::default() });
}

#[test]
fn a_candidate_that_cannot_express_the_request_is_left_out() {
    let body = with(hello("gpt-4o"), &json!({"n": 3}));
    golden("inexpressible.txt", 0, &Case { body, ..Case::default() });
}

#[test]
fn vectors_go_to_the_providers_that_list_their_model() {
    let body = json!({"model": "text-embedding-3-small", "input": ["one text", "another text"]});
    golden("embeddings.txt", 0, &Case { body, embeddings: true, ..Case::default() });
}

#[test]
fn what_cannot_be_explained_is_told() {
    let told = |text: &str, body: &str, options: Options| {
        let inquiry = Inquiry {
            operation: Operation::Chat,
            headers: Vec::new(),
            body: body.into(),
            tenant: None,
            now: 0,
        };
        configured("e.yaml", text, &inquiry, &options).unwrap_err().0
    };
    let (file, body) = (read("envoy.yaml"), hello("gpt-4o").to_string());
    let said = told("static_resources: {}", &body, Options::default());
    assert_eq!(said, "e.yaml: no gateway in it can be understood; `waypost check e.yaml` says why");
    let said = told(&file, "{", Options::default());
    assert!(said.starts_with("the request is not JSON: EOF while"), "{said}");
    let said = told(&file, &body, Options { gateway: Some("mian".into()), ..Options::default() });
    assert_eq!(
        said,
        "--gateway: no listener with a gateway is called \"mian\"; did you mean \"main\"? (there are: main, other)"
    );
    for (status, why) in [
        ("[", "--status: not a status: EOF"),
        ("{\"v\":1}", "--status: not a status: missing field"),
        (
            "{\"v\":2,\"at\":1,\"providers\":[],\"left_out\":{\"endpoints\":0}}",
            "--status: its version is 2, not 1",
        ),
        (
            "{\"v\":1,\"at\":1,\"providers\":[],\"left_out\":{\"endpoints\":0}}",
            "--status: it tells of none",
        ),
    ] {
        let said =
            told(&file, &body, Options { status: Some(status.into()), ..Options::default() });
        assert!(said.starts_with(why), "{said}");
    }
}

#[test]
fn the_program_explains_every_gateway_of_a_file() {
    let body = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explained.json");
    std::fs::write(&body, hello("llama").to_string()).unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_waypost"))
            .args(["explain", "tests/explain/envoy.yaml", "--request"])
            .arg(&body)
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap()
    };
    let printed = run(&["--gateway", "other"]);
    assert_eq!(printed.status.code(), Some(0));
    let text = String::from_utf8(printed.stdout).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let _ = std::fs::write(folder().join("by-model.txt"), &text);
    }
    assert_eq!(text, read("by-model.txt"));
    // The first gateway knows no such model.
    let printed = run(&["--json"]);
    assert_eq!(printed.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(told["gateways"][0]["decisions"][0]["error"]["status"], 404);
    assert_eq!(told["gateways"][1]["decisions"][0]["candidates"][0]["cluster"], "own");
    for wrong in [&["--gateway", "x"][..], &["--header", "x"], &["--status", "no-such-file"]] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
