//! Credentials in logs and headers, and an admin interface that others can reach.

use super::Findings;
use super::document::At;
use super::setup::is_loopback;

/// Request headers in which the provider filter puts a provider's key. They are still there when
/// the access log is written.
const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// Looks at the whole file.
pub fn check(root: &At<'_>, findings: &mut Findings) {
    search(root, findings);
    if let Some(at) = root.dig(&["admin", "address", "socket_address"])
        && let Some(address) = at.text("address").filter(|address| !is_loopback(address))
    {
        findings.warn(at.path_of("address"), format!("the admin interface listens on {address}: whoever reaches it can read the configuration and stop Envoy; bind it to 127.0.0.1"));
    }
}

fn search(at: &At<'_>, findings: &mut Findings) {
    if let Some(text) = at.value.as_str() {
        for name in credentials_in(text) {
            findings.error(&at.path, format!("prints the request header {name}, in which the provider's key stands by then; remove it"));
        }
    }
    for name in ["additional_request_headers_to_log", "request_headers_to_log"] {
        for header in at.list(name) {
            if let Some(name) = header.value.as_str().filter(|name| is_credential(name)) {
                findings.error(&header.path, format!("logs the request header {name}, in which the provider's key stands by then; remove it"));
            }
        }
    }
    for tag in at.list("custom_tags") {
        if let Some(header) = tag.get("request_header")
            && let Some(name) = header.text("name").filter(|name| is_credential(name))
        {
            findings.error(header.path, format!("puts the request header {name} into traces, in which the provider's key stands by then; remove it"));
        }
    }
    for child in at.children() {
        search(&child, findings);
    }
}

/// The credential headers that a format prints: with `%REQ(…)%`, its longer name, the second header
/// in either, or a CEL expression.
fn credentials_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in
        ["%REQ(", "%REQUEST_HEADER("].iter().flat_map(|command| text.split(command).skip(1))
    {
        let names = piece.split(')').next().unwrap_or_default();
        found.extend(names.split('?').filter(|name| is_credential(name)).map(str::to_owned));
    }
    for piece in text.split("%CEL(").skip(1) {
        let expression = piece.split(")%").next().unwrap_or_default().to_ascii_lowercase();
        let quoted = |name: &&str| {
            expression.contains(&format!("'{name}'")) || expression.contains(&format!("\"{name}\""))
        };
        found.extend(CREDENTIALS.iter().filter(|name| quoted(name)).map(|name| (*name).to_owned()));
    }
    found
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.iter().any(|known| known.eq_ignore_ascii_case(name.trim()))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn credentials_are_found_under_either_name() {
        assert_eq!(
            credentials_in("%REQ(:PATH)% %REQ(X-Foo?AUTHORIZATION):10% %REQ(x-api-key)%"),
            ["AUTHORIZATION", "x-api-key"]
        );
        assert_eq!(credentials_in("%REQUEST_HEADER(API-KEY)%"), ["API-KEY"]);
        assert_eq!(credentials_in("%CEL(request.headers['x-goog-api-key'])%"), ["x-goog-api-key"]);
        assert!(
            credentials_in("%RESP(AUTHORIZATION)% %REQ( %CEL(request.headers['x'])%").is_empty()
        );
    }
}
