#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::body::{MAX_BODY_BYTES, MAX_FAULTS};
use super::*;
use crate::openai::error::MAX_MESSAGE_BYTES;

fn refused(status: u16, body: &str) -> Error {
    read(status, &Headers::default(), body.as_bytes())
}

#[test]
fn the_explanation_is_found_in_every_shape() {
    for body in [
        r#"{"error":{"message":"why","type":null,"param":null,"code":null}}"#,
        r#"{"error":"why"}"#,
        r#"{"type":"error","error":{"type":"api_error","message":"why"},"request_id":"r"}"#,
        r#"[{"error":{"code":400,"message":"why","status":"INVALID_ARGUMENT"}}]"#,
        r#"{"object":"error","message":"why","type":"t","param":null,"code":null}"#,
        r#"{"message":"why"}"#,
        r#"{"Message":"why"}"#,
        r#"{"detail":"why"}"#,
        r#"{"code":"Some text","error":"why"}"#,
        r#"{"error":{"message":{"detail":[{"msg":"why"}]}}}"#,
        r#"{"message":{"detail":"why"}}"#,
        r#"{"detail":[{"msg":"why"}]}"#,
        r#"{"errors":["why"]}"#,
        r#"{"statusCode":401,"message":"why"}"#,
        r#""why""#,
        "why",
        "  why\r\n\u{0}",
        "<html><head><style>a{b}</style><SCRIPT>x</SCRIPT></head><!-- <b> --><body>why</body></html>",
    ] {
        assert_eq!(refused(400, body).message, "why", "{body}");
    }
}

#[test]
fn a_refusal_without_an_explanation_says_the_status_and_who() {
    for body in [
        "",
        "  ",
        "{}",
        "[]",
        "null",
        "7",
        r#"{"error":{}}"#,
        r#"{"error":{"message":""}}"#,
        "<p></p>",
    ] {
        assert_eq!(
            refused(502, body).message,
            "the provider answered with status 502 and no explanation",
            "{body}"
        );
    }
    assert!(read(502, &Headers::default(), b"\xff\xfe").message.len() > 2);
}

#[test]
fn a_list_of_faults_names_each_and_blames_the_first() {
    let error = refused(
        422,
        r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required","type":"missing"},{"loc":["body","n"],"msg":"bad"}]}"#,
    );
    assert_eq!(error.message, "messages[0].role: Field required; n: bad");
    assert_eq!(error.param.as_deref(), Some("messages[0].role"));
    assert_eq!((error.status, error.class), (422, Class::Client));
    let many = format!(r#"{{"detail":[{}{{"msg":"y"}}]}}"#, r#"{"msg":"x"},"#.repeat(MAX_FAULTS));
    assert!(!refused(422, &many).message.contains('y'));
}

#[test]
fn a_page_of_html_becomes_its_words_and_a_long_text_is_cut() {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head><body><center>nginx &amp; co</center></body></html>";
    let error = refused(502, page);
    assert_eq!(error.message, "502 Bad Gateway nginx & co");
    assert_eq!((error.status, error.class), (502, Class::Server));
    assert!(refused(500, &"x ".repeat(5000)).message.len() <= MAX_MESSAGE_BYTES + 3);
    let script = format!("<script>{}", "</".repeat(50_000));
    assert!(refused(500, &script).message.starts_with("the provider"));
}

#[test]
fn a_body_over_the_cap_is_taken_for_text() {
    let fill = "x".repeat(MAX_BODY_BYTES);
    let error = refused(400, &format!(r#"{{"error":{{"message":"why","x":"{fill}"}}}}"#));
    assert!(error.message.starts_with(r#"{"error":{"message":"why""#), "{}", error.message);
    assert_eq!(
        refused(400, &format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))).status,
        400
    );
}

/// Status, body, class, status for the client.
const CLASSES: &[(u16, &str, Class, u16)] = &[
    // By status alone.
    (400, "", Class::Client, 400),
    (401, "", Class::Auth, 401),
    (402, "", Class::Quota, 429),
    (403, "", Class::Permission, 403),
    (404, "", Class::NotFound, 404),
    (405, "", Class::Client, 405),
    (408, "", Class::Timeout, 408),
    (409, "", Class::Client, 409),
    (410, "", Class::NotFound, 404),
    (413, "", Class::Client, 413),
    (415, "", Class::Client, 415),
    (422, "", Class::Client, 422),
    (424, "", Class::Server, 502),
    (429, "", Class::RateLimit, 429),
    (498, "", Class::Auth, 401),
    (499, "", Class::Timeout, 504),
    (500, "", Class::Server, 500),
    (501, "", Class::Server, 502),
    (502, "", Class::Server, 502),
    (503, "", Class::Overloaded, 503),
    (504, "", Class::Timeout, 504),
    (522, "", Class::Timeout, 504),
    (524, "", Class::Timeout, 504),
    (529, "", Class::Overloaded, 503),
    (302, "", Class::Server, 502),
    // OpenAI and Azure.
    (
        429,
        r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        Class::Quota,
        429,
    ),
    (
        429,
        r#"{"error":{"message":"x","type":"requests","code":"rate_limit_exceeded"}}"#,
        Class::RateLimit,
        429,
    ),
    (429, r#"{"error":{"message":"x","code":"project_spend_limit_exceeded"}}"#, Class::Quota, 429),
    (429, r#"{"error":{"message":"x","code":"slow_down"}}"#, Class::RateLimit, 429),
    (
        400,
        r#"{"error":{"message":"This model's Maximum Context Length is 8192 tokens","code":null}}"#,
        Class::ContextLength,
        400,
    ),
    (
        400,
        r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
        Class::ContextLength,
        400,
    ),
    (
        400,
        r#"{"error":{"message":"Invalid 'user': string too long.","code":"string_above_max_length","param":"user"}}"#,
        Class::Client,
        400,
    ),
    (
        400,
        r#"{"error":{"message":"Invalid 'user': input is too long.","code":"string_above_max_length","param":"user"}}"#,
        Class::Client,
        400,
    ),
    (
        400,
        r#"{"error":{"message":"x","type":null,"param":"prompt","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        Class::ContentFilter,
        400,
    ),
    (400, r#"{"error":{"message":"x","code":"cyber_policy"}}"#, Class::ContentFilter, 400),
    (
        400,
        r#"{"error":{"message":"x","code":"content_policy_violation"}}"#,
        Class::ContentFilter,
        400,
    ),
    (404, r#"{"error":{"message":"x","code":"DeploymentNotFound"}}"#, Class::NotFound, 404),
    (401, r#"{"error":{"code":"401","message":"x"}}"#, Class::Auth, 401),
    (503, r#"{"error":{"message":"x","code":"server_is_overloaded"}}"#, Class::Overloaded, 503),
    (500, r#"{"error":{"message":"x","type":"server_error"}}"#, Class::Server, 500),
    // Anthropic.
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 2 tokens > 1 maximum"}}"#,
        Class::ContextLength,
        400,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access"}}"#,
        Class::Quota,
        429,
    ),
    (402, r#"{"type":"error","error":{"type":"billing_error","message":"x"}}"#, Class::Quota, 429),
    (
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
        Class::Quota,
        429,
    ),
    (
        429,
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"ramp_limit_exceeded"}}}"#,
        Class::RateLimit,
        429,
    ),
    (
        529,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        Class::Overloaded,
        503,
    ),
    (
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
        Class::ContentFilter,
        400,
    ),
    // Gemini.
    (
        400,
        r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
        Class::Auth,
        401,
    ),
    (
        429,
        r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerMinute-Free","quotaValue":"15"}]}]}}"#,
        Class::RateLimit,
        429,
    ),
    (
        429,
        r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerDay-Free"}]}]}}"#,
        Class::Quota,
        429,
    ),
    (
        429,
        r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"PerMinute","quotaValue":"0"}]}]}}"#,
        Class::Quota,
        429,
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}}"#,
        Class::ContextLength,
        400,
    ),
    (503, r#"{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}"#, Class::Overloaded, 503),
    (
        504,
        r#"{"error":{"code":504,"message":"x","status":"DEADLINE_EXCEEDED"}}"#,
        Class::Timeout,
        504,
    ),
    (
        403,
        r#"{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}"#,
        Class::Permission,
        403,
    ),
    // Bedrock.
    (403, r#"{"__type":"ns#ExpiredTokenException","message":"x"}"#, Class::Auth, 401),
    (403, r#"{"__type":"AccessDeniedException","Message":"x"}"#, Class::Permission, 403),
    (
        429,
        r#"{"__type":"ThrottlingException","message":"Too many tokens, please wait before trying again."}"#,
        Class::RateLimit,
        429,
    ),
    (429, r#"{"__type":"ModelNotReadyException","message":"x"}"#, Class::Overloaded, 503),
    (408, r#"{"__type":"ModelTimeoutException","message":"x"}"#, Class::Timeout, 408),
    (400, r#"{"__type":"ServiceQuotaExceededException","message":"x"}"#, Class::Quota, 429),
    (
        400,
        r#"{"__type":"ValidationException","message":"Input is too long for requested model."}"#,
        Class::ContextLength,
        400,
    ),
    (400, r#"{"message":"The provided model identifier is invalid."}"#, Class::NotFound, 404),
    (400, r#"{"message":"input too long: 9 input tokens, limit is 8"}"#, Class::ContextLength, 400),
    // Cohere, Groq, Qwen, DeepSeek, xAI, OpenRouter.
    (
        400,
        r#"{"message":"too many tokens: total number of tokens in the prompt exceeds"}"#,
        Class::ContextLength,
        400,
    ),
    (498, r#"{"message":"invalid token"}"#, Class::Auth, 401),
    (498, r#"{"error":{"message":"Flex tier capacity exceeded"}}"#, Class::Overloaded, 503),
    (
        413,
        r#"{"error":{"message":"Request too large for model on tokens per minute (TPM): Limit 6000","type":"tokens","code":"rate_limit_exceeded"}}"#,
        Class::RateLimit,
        429,
    ),
    (
        400,
        r#"{"error":{"message":"x","code":"data_inspection_failed"}}"#,
        Class::ContentFilter,
        400,
    ),
    (429, r#"{"error":{"message":"x","code":"Throttling.RateQuota"}}"#, Class::RateLimit, 429),
    (400, r#"{"error":{"message":"x","code":"Arrearage"}}"#, Class::Quota, 429),
    (
        402,
        r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
        Class::Quota,
        429,
    ),
    (
        400,
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xx"}"#,
        Class::Auth,
        401,
    ),
    (200, r#"{"error":{"code":429,"message":"x"}}"#, Class::RateLimit, 429),
    (200, r#"{"error":{"code":402,"message":"x"}}"#, Class::Quota, 429),
    (200, r#"{"error":{"message":"x","type":"invalid_request_error"}}"#, Class::Client, 400),
    (200, r#"{"error":{"message":"x","type":"server_error"}}"#, Class::Server, 502),
    (200, r#"{"error":"something"}"#, Class::Server, 502),
    (
        400,
        r#"{"status":"error","error":{"type":"rate_limit_error","message":"x"}}"#,
        Class::RateLimit,
        429,
    ),
    (400, r#"{"status":"error","type":"overloaded_error","message":"x"}"#, Class::Overloaded, 503),
    // A server's fault stays one whatever it talks about.
    (
        502,
        r#"{"error":{"message":"invalid api key","type":"invalid_request_error"}}"#,
        Class::Server,
        502,
    ),
    (
        400,
        r#"{"error":{"message":"file not found","type":"invalid_request_error","code":"not_found"}}"#,
        Class::Client,
        400,
    ),
    // Words of other providers.
    (
        400,
        r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 200000 tokens."}"#,
        Class::ContextLength,
        400,
    ),
    (
        400,
        r#"{"message":"Malformed input request: expected maxLength: 2048, actual: 9000, please reformat your input and try again."}"#,
        Class::ContextLength,
        400,
    ),
    (
        400,
        r#"{"error":{"message":"Range of input length should be [1, 129024]","type":"invalid_request_error","code":"invalid_parameter_error"}}"#,
        Class::ContextLength,
        400,
    ),
    (
        400,
        r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#,
        Class::Permission,
        403,
    ),
    (
        400,
        r#"{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","code":"invalid_prompt"}}"#,
        Class::ContentFilter,
        400,
    ),
    (
        403,
        r#"{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines."}"#,
        Class::ContentFilter,
        400,
    ),
    (
        403,
        r#"{"error":{"message":"openai/gpt-4o requires moderation and your input was flagged.","code":403,"metadata":{"reasons":["violence"]}}}"#,
        Class::ContentFilter,
        400,
    ),
];

#[test]
fn a_refusal_is_classed_by_what_it_is_called_then_by_what_it_says_then_by_status() {
    for (status, body, class, shown) in CLASSES {
        let error = refused(*status, body);
        assert_eq!((error.class, error.status), (*class, *shown), "{status} {body}");
        assert_eq!(error.kind, class.kind(), "{status} {body}");
        assert!(!error.message.is_empty());
    }
}

#[test]
fn the_providers_code_and_param_are_kept_where_they_are_openais() {
    let error = refused(
        400,
        r#"{"error":{"message":"m","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
    );
    assert_eq!(error.code.as_deref(), Some("unsupported_parameter"));
    assert_eq!(error.param.as_deref(), Some("max_tokens"));
    let error = refused(404, r#"{"error":{"message":"m","code":"DeploymentNotFound"}}"#);
    assert_eq!(error.code.as_deref(), Some("model_not_found"));
    let error = refused(429, r#"{"error":{"message":"m","code":"slow_down","param":"x"}}"#);
    assert_eq!((error.code.as_deref(), error.param), (Some("rate_limit_exceeded"), None));
    let error = refused(400, r#"{"error":{"message":"m","code":1}}"#);
    assert_eq!(error.code, None);
}

#[test]
fn the_wait_comes_from_headers_then_details_then_words() {
    let body = br#"{"error":{"message":"Please retry after 26 seconds.","details":[{"retryDelay":"46s"}]}}"#;
    let headers = [("retry-after", "3")].into_iter().collect();
    assert_eq!(read(429, &headers, body).retry_after_ms, Some(3000));
    assert_eq!(read(429, &Headers::default(), body).retry_after_ms, Some(46_000));
    let body = br#"{"error":{"code":"429","message":"Please retry after 26 seconds."}}"#;
    assert_eq!(read(429, &Headers::default(), body).retry_after_ms, Some(26_000));
}

#[test]
fn what_the_provider_says_of_another_try_is_kept() {
    let said = |value| {
        let headers = [("x-should-retry", value)].into_iter().collect();
        read(400, &headers, b"{}").should_retry
    };
    assert_eq!((said("true"), said("false"), said("maybe")), (Some(true), Some(false), None));
    assert_eq!(refused(500, "{}").should_retry, None);
}

#[test]
fn a_failure_that_no_wait_mends_has_none() {
    let headers = || [("retry-after", "3")].into_iter().collect();
    assert_eq!(read(400, &headers(), b"try again in 5s").retry_after_ms, None);
    assert_eq!(read(429, &headers(), b"").retry_after_ms, Some(3000));
}

#[test]
fn bedrocks_header_names_the_exception() {
    let headers = [("x-amzn-errortype", "ThrottlingException:http://x/")].into_iter().collect();
    assert_eq!(read(400, &headers, br#"{"message":"m"}"#).class, Class::RateLimit);
}

#[test]
fn an_error_in_a_stream_is_read_with_and_without_its_envelope() {
    for json in [
        r#"{"error":{"message":"m","type":"overloaded_error","code":null}}"#,
        r#"{"message":"m","type":"overloaded_error"}"#,
        r#"{"error":{"message":"m","code":503}}"#,
        r#"{"error":{"message":"m","code":"503"}}"#,
        r#"{"object":"error","message":"m","code":503}"#,
    ] {
        let error = in_stream(json.as_bytes());
        assert_eq!((error.class, &*error.message), (Class::Overloaded, "m"), "{json}");
    }
    assert_eq!(in_stream(br#""boom""#).message, "boom");
    assert_eq!(
        in_stream(b"{\"error\":true}").message,
        "the provider sent an error without an explanation"
    );
}

#[test]
fn no_message_repeats_a_key() {
    let error = refused(
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-abc***xyz.","code":"invalid_api_key"}}"#,
    );
    assert_eq!(error.message, "Incorrect API key provided: ***.");
    assert_eq!(refused(400, "bad sk-12345").message, "bad ***");
}
