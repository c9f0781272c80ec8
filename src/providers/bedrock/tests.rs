#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::providers::catalogue::Facts;
use crate::providers::{Base, Policy};

/// The body for a model of which this is known.
fn body(model: &str, facts: &Facts, request: &str) -> serde_json::Value {
    let base = Base { authority: "x".into(), path: String::new() };
    let settings = Settings::default();
    let target =
        Target { base: &base, settings: &settings, model, facts, policy: Policy::default() };
    let chat = Chat::parse(request.as_bytes()).unwrap();
    let sent = Bedrock.request(&chat, request.as_bytes(), &target).unwrap();
    serde_json::from_slice(&sent.body.apply(b"")).unwrap()
}

#[test]
fn instructions_are_the_users_words_where_the_model_takes_none() {
    let mut facts = Facts::unknown();
    let request =
        r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#;
    assert_eq!(body("m", &facts, request)["system"][0]["text"], "Be brief.");
    facts.parameters.system_messages = false;
    let sent = body("m", &facts, request);
    assert_eq!(sent.get("system"), None);
    assert_eq!(sent["messages"].as_array().unwrap().len(), 1);
    assert_eq!(sent["messages"][0]["content"][0]["text"], "Be brief.");
}

#[test]
fn stop_sequences_are_dropped_where_the_model_takes_none() {
    let mut facts = Facts::unknown();
    let request = r#"{"messages":[{"role":"user","content":"Hi"}],"stop":"END"}"#;
    assert_eq!(body("m", &facts, request)["inferenceConfig"]["stopSequences"][0], "END");
    facts.parameters.stop = false;
    assert_eq!(body("m", &facts, request).get("inferenceConfig"), None);
}

#[test]
fn an_effort_for_openais_newer_models_is_an_object() {
    let request = r#"{"messages":[{"role":"user","content":"Hi"}],"reasoning_effort":"xhigh"}"#;
    let sent = body("openai.gpt-6", &Facts::unknown(), request);
    assert_eq!(sent["additionalModelRequestFields"]["reasoning"]["effort"], "xhigh");
}

#[test]
fn a_model_that_an_arn_hides_gets_its_signed_thoughts_back() {
    let request = r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"a",
        "thinking_blocks":[{"type":"thinking","thinking":"t","signature":"s"}]},{"role":"user","content":"b"}]}"#;
    let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";
    let first =
        |model: &str| body(model, &Facts::unknown(), request)["messages"][1]["content"][0].clone();
    assert_eq!(first(arn)["reasoningContent"]["reasoningText"]["signature"], "s");
    assert_eq!(first("amazon.nova-pro-v1:0")["text"], "a");
}

#[test]
fn a_key_of_bedrock_is_a_bearers() {
    let header = Bedrock.credential("bedrock-api-key-x", &Settings::default());
    assert_eq!(header, ("authorization", "Bearer bedrock-api-key-x".to_owned()));
}

#[test]
fn each_region_has_its_address() {
    let at = |region: &str| base_url(&Settings(vec![("region", region.to_owned())])).unwrap();
    assert_eq!(at("us-east-1"), "https://bedrock-runtime.us-east-1.amazonaws.com");
    assert_eq!(at("cn-north-1"), "https://bedrock-runtime.cn-north-1.amazonaws.com.cn");
    assert_eq!(base_url(&Settings::default()), Err("region"));
}
