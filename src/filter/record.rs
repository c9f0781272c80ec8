//! The record of a request, for the access log: what no header of the answer says.
//!
//! It is left in Envoy's filter state as `wasm.waypost_record` when the request is logged, and when
//! it is refused. One line of JSON, version 1; a field without a value is left out:
//!
//! ```json
//! {"v":1,"rule":"default","model":"gpt-4o","operation":"chat","stream":true,
//!  "refused":{"status":400,"class":"client","code":"unsupported_capability"},
//!  "attempts":[{"provider":"openai","model":"gpt-4o","cluster":"openai","at_ms":0,"ms":310,
//!    "first_token_ms":90,"outcome":"failed","status":503,"class":"overloaded","reason":"503 busy","provider_request_id":"req_1","warnings":1}],
//!  "skipped":[{"provider":"claude","model":"claude-haiku-4-5","cluster":"anthropic",
//!    "why":"capability","reason":"…"}],
//!  "left_out":1}
//! ```
//!
//! A request of the gateway's own has a `purpose`, `probe` or `mirror`, and the latter `mirror_of`: the
//! id of the client's request that it is a copy of.
//!
//! `model` is the one asked for. `outcome` is `answered`, `failed` or `unfinished`: the client left,
//! or the record was made while the answer flowed. `at_ms` counts from the first attempt, `ms` and
//! `first_token_ms` from the attempt's own beginning to its end and to the first content of a stream.
//! `why` is the `reason` of the metric `waypost_skipped`. `left_out` is how many entries did not fit.
//! New fields may come; what a field means changes only with `v`.
//!
//! Reasons are in the words of providers, without credentials; like everything in a log they may
//! repeat a part of what a client sent.

use serde::Serialize;

use super::asked::Asked;
use super::call::{Call, Purpose};
use super::exchange::Exchange;
use super::refusal::Refusal;
use crate::config::Gateway;
use crate::openai::error::start;
use crate::routing::{Attempt, Candidate, Outcome, Skipped};

/// Longest record, in bytes. Entries that do not fit are left out and counted.
pub const MAX_RECORD_BYTES: usize = 8 << 10;

/// Longest reason of an attempt in it, in bytes.
pub const MAX_REASON_BYTES: usize = 200;

#[derive(Serialize)]
struct Head<'a> {
    v: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    purpose: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    mirror_of: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    rule: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused<'a>>,
}

impl<'a> Head<'a> {
    fn new(rule: &'a str, call: Option<&'a Call>) -> Self {
        let (purpose, mirror_of) = match call.map(|call| &call.purpose) {
            Some(purpose @ Purpose::Mirror(of)) => (purpose.word(), &**of),
            Some(purpose) => (purpose.word(), ""),
            None => ("", ""),
        };
        Self {
            v: 1,
            purpose,
            mirror_of,
            rule,
            model: "",
            operation: None,
            stream: None,
            refused: None,
        }
    }
}

#[derive(Serialize)]
struct Refused<'a> {
    status: u16,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
}

#[derive(Clone, Copy)]
struct Whom<'a> {
    provider: &'a str,
    model: &'a str,
    cluster: &'a str,
}

#[derive(Serialize)]
struct Tried<'a> {
    provider: &'a str,
    model: &'a str,
    cluster: &'a str,
    at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<u64>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    warnings: usize,
}

#[derive(Serialize)]
struct NotAsked<'a> {
    provider: &'a str,
    model: &'a str,
    cluster: &'a str,
    why: &'static str,
    reason: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The record of a request that passed the gateway role.
#[must_use]
pub fn of(exchange: &Exchange) -> String {
    let (model, operation, stream) = match &exchange.parsed {
        Asked::Chat(parsed) => (&*parsed.chat().model, "chat", Some(parsed.chat().stream)),
        Asked::Embeddings(parsed) => (&*parsed.asked().model, "embeddings", None),
        Asked::Models => ("", "models", None),
    };
    let mut head = Head::new(&exchange.rule, exchange.call.as_deref());
    (head.model, head.operation, head.stream) = (model, Some(operation), stream);
    let mut record = Record::new(&head);
    let gateway = &exchange.gateway;
    let first = exchange.attempts.tried().first().map_or(0, |first| first.began);
    record.list("attempts", exchange.attempts.tried(), |attempt| {
        let candidate = exchange.attempts.candidates().get(attempt.candidate)?;
        Some(tried(attempt, whom(*candidate, gateway)?, first))
    });
    record.skipped(exchange.attempts.skipped(), gateway);
    record.end()
}

/// The record of a request that was refused before anyone was asked. `call` is the gateway's own
/// that it is, if it is one.
#[must_use]
pub fn refused(refusal: &Refusal, gateway: &Gateway, call: Option<&Call>) -> String {
    let error = &refusal.error;
    let refused = Refused {
        status: error.status,
        class: error.class.word(),
        code: error.code.as_deref(),
        param: error.param.as_deref().map(|param| start(param, MAX_REASON_BYTES)),
    };
    let mut head = Head::new(&refusal.rule, call);
    head.refused = Some(refused);
    let mut record = Record::new(&head);
    record.skipped(refusal.skipped.iter(), gateway);
    record.end()
}

fn whom(candidate: Candidate, gateway: &Gateway) -> Option<Whom<'_>> {
    let found = candidate.resolve(gateway)?;
    Some(Whom {
        provider: &found.provider.name,
        model: &found.model.name,
        cluster: &found.endpoint.cluster,
    })
}

fn tried<'a>(attempt: &'a Attempt, whom: Whom<'a>, first: u64) -> Tried<'a> {
    let (outcome, status, class, reason) = match &attempt.outcome {
        Outcome::Answered => ("answered", None, None, None),
        Outcome::Pending | Outcome::Flowing => ("unfinished", None, None, None),
        Outcome::Failed { status, class, reason } => {
            ("failed", *status, Some(class.word()), Some(start(reason, MAX_REASON_BYTES)))
        }
    };
    let Whom { provider, model, cluster } = whom;
    let since = |end: u64| end.saturating_sub(attempt.began) / 1_000_000;
    Tried {
        provider,
        model,
        cluster,
        at_ms: attempt.began.saturating_sub(first) / 1_000_000,
        ms: attempt.ended.map(since),
        first_token_ms: attempt.first_content.map(since),
        outcome,
        status,
        class,
        reason,
        provider_request_id: attempt.provider_request_id.as_deref(),
        warnings: attempt.warnings,
    }
}

/// A record in the making: an object without its closing brace.
struct Record {
    json: Vec<u8>,
    left_out: usize,
}

impl Record {
    fn new(head: &Head<'_>) -> Self {
        let mut json = Vec::with_capacity(512);
        // Texts and numbers always have a JSON form.
        let _ = serde_json::to_writer(&mut json, head);
        json.pop();
        Self { json, left_out: 0 }
    }

    fn skipped<'a>(
        &mut self,
        skipped: impl IntoIterator<Item = &'a Skipped>,
        gateway: &'a Gateway,
    ) {
        self.list("skipped", skipped, |skipped| {
            let Whom { provider, model, cluster } = whom(skipped.candidate, gateway)?;
            let (why, reason) = (skipped.why.word(), &*skipped.reason);
            Some(NotAsked { provider, model, cluster, why, reason })
        });
    }

    /// Adds a list under `name`, unless it is empty.
    fn list<T, E: Serialize>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = T>,
        form: impl Fn(T) -> Option<E>,
    ) {
        /// Room for the ends of lists and the number of what is left out.
        const END: usize = 32;
        let mut empty = true;
        for entry in entries.into_iter().filter_map(form) {
            let before = self.json.len();
            if empty {
                self.json.extend_from_slice(b",\"");
                self.json.extend_from_slice(name.as_bytes());
                self.json.extend_from_slice(b"\":[");
            } else {
                self.json.push(b',');
            }
            let written = serde_json::to_writer(&mut self.json, &entry);
            if written.is_err() || self.json.len() > MAX_RECORD_BYTES - END {
                self.json.truncate(before);
                self.left_out += 1;
            } else {
                empty = false;
            }
        }
        if !empty {
            self.json.push(b']');
        }
    }

    fn end(mut self) -> String {
        if self.left_out > 0 {
            self.json.extend_from_slice(format!(",\"left_out\":{}", self.left_out).as_bytes());
        }
        self.json.push(b'}');
        String::from_utf8(self.json).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::rc::Rc;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;
    use crate::config::rule::Operation;
    use crate::filter::service::tests as service;
    use crate::openai::Class;
    use crate::providers::Headers;

    fn gateway(name: &str) -> Rc<Gateway> {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a1"}, {"cluster": "a2"}], "models": {name: {}}},
                "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
                "c": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"blind": {"capabilities": []}}},
            },
            "rules": [{"name": "all", "when": {"model": "any"}, "targets": ["b/claude-sonnet-4-5", "c/blind", format!("a/{name}")]}],
        }));
        match config {
            Ok(Config::Gateway(gateway)) => Rc::from(gateway),
            other => panic!("{other:?}"),
        }
    }

    fn open(gateway: &Rc<Gateway>, content: &str) -> Result<Exchange, Refusal> {
        let body =
            format!(r#"{{"model":"any","messages":[{{"role":"user","content":{content}}}]}}"#);
        service::open(
            &service::alone(Rc::clone(gateway)),
            Operation::Chat,
            &Headers::default(),
            &body,
        )
    }

    const PICTURE: &str = r#"[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]"#;
    const SOUND: &str = r#"[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]"#;

    fn read(record: &str) -> Value {
        assert!(record.len() <= MAX_RECORD_BYTES, "{}", record.len());
        serde_json::from_str(record).unwrap()
    }

    #[test]
    fn each_attempt_stands_in_it_in_order_and_who_was_not_asked() {
        let mut exchange = open(&gateway("gpt-4o"), PICTURE).unwrap();
        let (first, _) = exchange.attempts.begin(5_000_000).unwrap();
        exchange.attempts.identify(first, "req_1".into());
        exchange.attempts.warn(first, 2);
        let reason = "529 overloaded".to_owned();
        let outcome = Outcome::Failed { status: Some(529), class: Class::Overloaded, reason };
        exchange.attempts.end(first, outcome, 46_900_000);
        let (second, _) = exchange.attempts.begin(47_900_000).unwrap();
        exchange.flows(second, 147_900_000);
        exchange.answered(second, 247_900_000);
        assert_eq!(
            read(&of(&exchange)),
            json!({
                "v": 1, "rule": "all", "model": "any", "operation": "chat", "stream": false,
                "attempts": [
                    {"provider": "b", "model": "claude-sonnet-4-5", "cluster": "b", "at_ms": 0, "ms": 41, "outcome": "failed",
                        "status": 529, "class": "overloaded", "reason": "529 overloaded", "provider_request_id": "req_1", "warnings": 2},
                    {"provider": "a", "model": "gpt-4o", "cluster": "a1", "at_ms": 42, "ms": 200, "first_token_ms": 100, "outcome": "answered"},
                ],
                "skipped": [{"provider": "c", "model": "blind", "cluster": "c", "why": "capability", "reason": "vision is not a capability of this model"}],
            })
        );
    }

    #[test]
    fn a_refusal_says_why_and_whom_it_was_not_for() {
        let gateway = gateway("gpt-4o-mini");
        let refusal = open(&gateway, SOUND).unwrap_err();
        let said = read(&refused(&refusal, &gateway, None));
        assert_eq!(said["rule"], "all");
        assert_eq!(
            said["refused"],
            json!({"status": 400, "class": "client", "code": "unsupported_capability", "param": "messages[0].content[0]"})
        );
        let clusters: Vec<&Value> =
            said["skipped"].as_array().unwrap().iter().map(|entry| &entry["cluster"]).collect();
        assert_eq!(clusters, ["b", "c", "a1", "a2"]);
        let broken = Refusal::from(crate::openai::Error::invalid("model", "no model"));
        assert_eq!(
            read(&refused(&broken, &gateway, None)),
            json!({"v": 1, "refused": {"status": 400, "class": "client", "param": "model"}})
        );
    }

    #[test]
    fn what_no_candidate_can_express_is_noted_too() {
        let gateway = gateway("gpt-4o");
        let body = r#"{"model":"any","n":2,"messages":[{"role":"user","content":"x"}]}"#;
        let service = service::alone(gateway);
        let exchange = service::open(&service, Operation::Chat, &Headers::default(), body).unwrap();
        let skipped = &read(&of(&exchange))["skipped"];
        assert_eq!(skipped[0]["cluster"], "b");
        assert!(skipped[0]["reason"].as_str().unwrap().contains("'n'"), "{skipped}");
    }

    #[test]
    fn a_long_record_leaves_entries_out_and_says_how_many() {
        let name = "\u{e9}".repeat(128);
        let mut exchange = open(&gateway(&name), "\"x\"").unwrap();
        let count = 40;
        for _ in 0..count {
            exchange.attempts.set_next(Some(2));
            let (at, _) = exchange.attempts.begin(0).unwrap();
            let reason = "\u{7}".repeat(9_000);
            let outcome = Outcome::Failed { status: None, class: Class::Server, reason };
            exchange.attempts.settle(at, outcome);
        }
        let record = read(&of(&exchange));
        let attempts = record["attempts"].as_array().unwrap();
        assert!(!attempts.is_empty());
        assert_eq!(attempts[0]["reason"].as_str().unwrap().len(), MAX_REASON_BYTES);
        assert_eq!(record["left_out"].as_u64().unwrap() as usize + attempts.len(), count);
    }
}
