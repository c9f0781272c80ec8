#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

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
