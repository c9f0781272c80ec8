//! What the status listener answers.

use std::borrow::Cow;

use super::page::{PAGE, PAGE_POLICY};
use crate::openai::{Class, Error};

/// An answer of the status listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers, status not included.
    pub headers: Vec<(&'static str, &'static str)>,
    /// JSON, or the page. A `HEAD` gets the headers only: Envoy leaves the body out.
    pub body: Cow<'static, [u8]>,
}

impl Answer {
    /// The answer to a request for `path`, query included. `status` writes the status; it has none
    /// while no gateway is configured in this VM.
    pub fn to(method: &str, path: &str, status: impl FnOnce() -> Option<Vec<u8>>) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let page = matches!(path, "/waypost/" | "/waypost/status.html");
        if !page && path != "/waypost/status" {
            let message = "There is nothing here. The page is at /waypost/, what it draws at /waypost/status.";
            return Self::error(Error::new(Class::NotFound, message).with_code("unknown_url"), 404);
        }
        if !matches!(method, "GET" | "HEAD") {
            let error = Error::new(Class::Client, "This can only be read: use GET.");
            let mut answer = Self::error(error.with_code("method_not_allowed"), 405);
            answer.headers.push(("allow", "GET, HEAD"));
            return answer;
        }
        if page {
            let mut page = Self::new(200, "text/html; charset=utf-8", PAGE.as_bytes());
            page.headers.push(("content-security-policy", PAGE_POLICY));
            return page;
        }
        match status() {
            Some(status) => Self::new(200, JSON, status),
            None => {
                let message = "No gateway is configured in this Envoy yet, or its vm_config is not the one of this listener.";
                Self::error(Error::new(Class::Overloaded, message).with_code("no_gateway"), 503)
            }
        }
    }

    fn new(status: u16, kind: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        let headers = vec![
            ("content-type", kind),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ];
        Self { status, headers, body: body.into() }
    }

    fn error(error: Error, status: u16) -> Self {
        Self::new(status, JSON, error.with_status(status).body())
    }
}

const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn ask(method: &str, path: &str) -> Answer {
        Answer::to(method, path, || Some(b"{}".to_vec()))
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn code(answer: &Answer) -> String {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["error"]["code"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_status_is_json_that_nobody_keeps() {
        for (method, path) in [("GET", "/waypost/status"), ("HEAD", "/waypost/status?x=1")] {
            let answer = ask(method, path);
            assert_eq!((answer.status, &*answer.body), (200, &b"{}"[..]));
            assert_eq!(header(&answer, "content-type"), Some("application/json"));
            assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        }
    }

    #[test]
    fn the_page_has_two_names_and_may_load_nothing() {
        for path in ["/waypost/", "/waypost/status.html", "/waypost/?x"] {
            let answer = ask("GET", path);
            assert_eq!((answer.status, &*answer.body), (200, PAGE.as_bytes()));
            assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(header(&answer, "cache-control"), Some("no-store"));
            assert!(
                header(&answer, "content-security-policy")
                    .unwrap()
                    .starts_with("default-src 'none';")
            );
        }
    }

    #[test]
    fn anything_else_is_not_found() {
        for path in ["/", "/waypost", "/waypost/status/", "/waypost/page.html", "/v1/models", ""] {
            let answer = ask("GET", path);
            assert_eq!((answer.status, code(&answer)), (404, "unknown_url".to_owned()), "{path}");
            assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        }
        assert_eq!(ask("POST", "/").status, 404);
    }

    #[test]
    fn nothing_can_be_changed() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", ""] {
            for path in ["/waypost/", "/waypost/status"] {
                let answer = ask(method, path);
                assert_eq!((answer.status, code(&answer)), (405, "method_not_allowed".to_owned()));
                assert_eq!(header(&answer, "allow"), Some("GET, HEAD"));
            }
        }
    }

    #[test]
    fn without_a_gateway_there_is_a_page_but_no_status() {
        let answer = Answer::to("GET", "/waypost/status", || None);
        assert_eq!((answer.status, code(&answer)), (503, "no_gateway".to_owned()));
        assert_eq!(Answer::to("GET", "/waypost/", || None).status, 200);
    }
}
