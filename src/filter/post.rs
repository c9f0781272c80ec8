//! What may be sent to the status listener: who shows the right key changes something.
//!
//! Each handler is a row of [`POSTS`]. One whose key is not configured is not there.

use super::prices;
use super::reply::Reply;
use super::restore::{self, MAX_SNAPSHOT_BYTES};
use super::service::Service;
use crate::config::Gateway;
use crate::config::pricelist::MAX_DOCUMENT_BYTES;
use crate::openai::{Class, Error};
use crate::tenancy::key::Hash;

/// A handler of `POST`.
#[derive(Debug)]
pub struct Post {
    /// Without query.
    pub path: &'static str,
    /// Longest body, in bytes.
    pub most: usize,
    /// The hash of the key that must be shown, where there is one.
    key: fn(&Gateway) -> Option<&Hash>,
    /// Takes the body and gives JSON.
    take: fn(&Service, &[u8]) -> Result<Vec<u8>, Error>,
}

const POSTS: [Post; 2] = [
    Post {
        path: "/waypost/prices",
        most: MAX_DOCUMENT_BYTES,
        key: |gateway| gateway.prices.push.as_ref(),
        take: prices::pushed,
    },
    Post {
        path: "/waypost/budgets",
        most: MAX_SNAPSHOT_BYTES,
        key: |gateway| gateway.restore.as_ref(),
        take: restore::pushed,
    },
];

const DETAILS: &str = "waypost_status";

impl Post {
    /// The handler of a request, if it is for one and may be taken: before its body is read.
    ///
    /// # Errors
    /// There is none (nothing then), or the key is missing or wrong.
    pub fn admit(
        gateway: Option<&Gateway>,
        path: &str,
        authorization: &str,
    ) -> Option<Result<&'static Self, Reply>> {
        let path = path.split('?').next().unwrap_or_default();
        let post = POSTS.iter().find(|post| post.path == path)?;
        let key = (post.key)(gateway?)?;
        let shown = authorization
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if shown.is_some_and(|(_, shown)| key.is_of(shown.trim())) {
            return Some(Ok(post));
        }
        let error = Error::new(Class::Auth, "The key that is needed here is missing or wrong.");
        let mut reply = Reply::error(DETAILS, &error.with_status(401).with_code("invalid_api_key"));
        reply.advice.push(("www-authenticate", "Bearer".to_owned()));
        Some(Err(reply))
    }

    /// The answer to a body that is too long.
    #[must_use]
    pub fn too_large(&self) -> Reply {
        let message = format!("The body is larger than {} bytes.", self.most);
        let error = Error::new(Class::Client, message).with_status(413);
        Reply::error(DETAILS, &error.with_code("request_too_large"))
    }

    /// The answer to a whole body.
    #[must_use]
    pub fn answer(&self, service: &Service, body: &[u8]) -> Reply {
        if body.len() > self.most {
            return self.too_large();
        }
        match (self.take)(service, body) {
            Ok(body) => Reply::ok(DETAILS, body),
            Err(error) => Reply::error(DETAILS, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::filter::service::tests::alone;

    fn gateway(prices: &serde_json::Value) -> Rc<Gateway> {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}}},
            "prices": prices,
        }));
        match config {
            Ok(Config::Gateway(gateway)) => Rc::from(gateway),
            other => panic!("{other:?}"),
        }
    }

    fn pushed() -> Rc<Gateway> {
        gateway(&json!({"push": {"key": Hash::of("wp-push", [7; 16]).to_string()}}))
    }

    #[test]
    fn only_the_right_key_opens_a_handler_and_before_the_body() {
        let gateway = pushed();
        let admit = |path, key| {
            Post::admit(Some(&gateway), path, key)
                .map(|found| found.map(|post| post.path).map_err(|no| no.status))
        };
        assert_eq!(admit("/waypost/prices?x=1", "Bearer wp-push"), Some(Ok("/waypost/prices")));
        assert_eq!(admit("/waypost/prices", "bearer  wp-push"), Some(Ok("/waypost/prices")));
        for wrong in ["", "wp-push", "Basic wp-push", "Bearer wp-pusH", "Bearer "] {
            assert_eq!(admit("/waypost/prices", wrong), Some(Err(401)), "{wrong}");
        }
        assert_eq!(admit("/waypost/status", "Bearer wp-push"), None);
        assert!(Post::admit(None, "/waypost/prices", "Bearer wp-push").is_none());
    }

    #[test]
    fn without_a_key_in_the_configuration_there_is_no_handler() {
        let polled = gateway(&json!({"url": {"cluster": "p", "authority": "p", "path": "/"}}));
        assert!(Post::admit(Some(&polled), "/waypost/prices", "Bearer wp-push").is_none());
    }

    #[test]
    fn a_body_is_bounded_and_answered() {
        let service = alone(pushed());
        let Some(Ok(post)) =
            Post::admit(Some(&service.gateway), "/waypost/prices", "Bearer wp-push")
        else {
            panic!()
        };
        let answer = |body: &[u8]| post.answer(&service, body).status;
        assert_eq!(answer(br#"{"version":1,"prices":{}}"#), 200);
        assert_eq!(answer(b"garbage"), 400);
        assert_eq!(answer(&vec![b' '; post.most + 1]), 413);
    }
}
