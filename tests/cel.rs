//! What is known of expressions outside Envoy. Their reader is not part of the module, so these run
//! natively only.
#![cfg(not(target_arch = "wasm32"))]

use waypost::cli::cel::{check, evaluate};
use waypost::cli::verdict::Verdict;

fn say(expression: &str) -> Verdict {
    let headers = [("x-tier", "gold"), ("x-many", "a"), ("x-many", "b"), ("host", "llm")];
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    evaluate(expression, "/v1/chat/completions?x=1", &headers)
}

#[test]
fn what_headers_say_is_known() {
    for (expression, verdict) in [
        ("request.headers['x-tier'] == 'gold'", Verdict::Holds),
        ("request.headers['x-tier'] == 'silver'", Verdict::Not),
        ("request.headers['x-many'] == 'a,b'", Verdict::Holds),
        ("'x-none' in request.headers", Verdict::Not),
        ("request.headers['x-none'] == 'x'", Verdict::Not),
        ("request.headers['x-tier'].startsWith('go') && request.method == 'POST'", Verdict::Holds),
        ("request.url_path == '/v1/chat/completions' && request.host == 'llm'", Verdict::Holds),
        ("request.headers['x-tier']", Verdict::Not),
    ] {
        assert_eq!(say(expression), verdict, "{expression}");
    }
}

#[test]
fn what_only_envoy_knows_is_named() {
    assert_eq!(say("connection.mtls"), Verdict::Unknown("connection".to_owned()));
    assert_eq!(say("source.address == 'x'"), Verdict::Unknown("source".to_owned()));
    assert_eq!(say("requst.size > 5"), Verdict::Not);
    assert_eq!(say("request.size > 5"), Verdict::Unknown("request.size".to_owned()));
}

#[test]
fn an_expression_that_is_none_is_an_error() {
    assert!(check("request.headers['x-tier'] ==").is_err());
    let wrong = check("requst.headers['x'] == 'y'").unwrap_err();
    assert_eq!(
        wrong,
        "it fails on every request, and the rule never matches: Envoy has no attribute \"requst\"; did you mean \"request\"?"
    );
    assert_eq!(check("connection.mtls && request.headers['x-tier'] == 'gold'"), Ok(()));
    assert_eq!(check("['a', 'b'].exists(it, request.headers['x'] == it)"), Ok(()));
}
