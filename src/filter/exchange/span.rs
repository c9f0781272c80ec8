//! What the spans of a trace say of a request and of its attempts.
//!
//! Envoy makes the spans: one of the request, and below it one of each attempt. Their attributes are
//! `custom_tags` of its configuration that read filter state, and both kinds of span read the same. So
//! the words must be those of an attempt when Envoy ends its span, right after the provider role's
//! `on_done`, and those of the request when its answer ends. Nothing is written after that: when the
//! access log comes, the request's span is closed.
//!
//! Without `tracing: true` there are no words, and Envoy is not called.

use super::Exchange;
use super::trace::{Said, WORDS};
use crate::routing::{Attempt, Outcome, Spent};
use crate::telemetry::convention::provider_name;

/// What a span is about.
#[derive(Default)]
struct About<'a> {
    /// The model asked for: by the client, or of the provider.
    asked: &'a str,
    /// The attempt, or the last one of the request.
    by: Option<&'a Attempt>,
    /// Whether that gave the client an answer.
    answered: bool,
    spent: Option<Spent>,
    error: Option<&'static str>,
    outcome: &'static str,
    attempts: Option<u64>,
}

impl Exchange {
    /// What has to be told for the span of the request. `ended` when its answer has: what it used is
    /// known then.
    pub fn request_span(&mut self, ended: bool) -> Vec<(&'static str, String)> {
        if !self.gateway.tracing {
            return Vec::new();
        }
        let tried = self.attempts.tried();
        let by = tried.last();
        let error = self.trace.error.or_else(|| class(by?));
        let flows = |by: &Attempt| matches!(by.outcome, Outcome::Answered | Outcome::Flowing);
        let said = self.say(&About {
            asked: self.parsed.model(),
            by,
            answered: error.is_none() && by.is_some_and(flows),
            spent: (ended && tried.iter().any(|tried| tried.spent.is_some())).then(|| {
                let total = self.total();
                Spent { usage: total.usage, cost: total.cost(), estimated: total.estimated }
            }),
            error,
            outcome: "",
            attempts: ended.then_some(tried.len() as u64),
        });
        self.trace.news(said)
    }

    /// What has to be told for the span of an attempt, which Envoy is about to end.
    pub fn attempt_span(&mut self, at: usize) -> Vec<(&'static str, String)> {
        if !self.gateway.tracing {
            return Vec::new();
        }
        let Some(attempt) = self.attempts.tried().get(at) else { return Vec::new() };
        let asked = self.candidate(attempt.candidate).map(|found| &*found.model.name);
        let (outcome, answered) = match attempt.outcome {
            Outcome::Answered => ("answered", true),
            Outcome::Flowing => ("unfinished", true),
            Outcome::Pending => ("unfinished", false),
            Outcome::Failed { .. } => ("failed", false),
        };
        let said = self.say(&About {
            asked: asked.unwrap_or_default(),
            by: Some(attempt),
            answered,
            spent: attempt.spent,
            error: class(attempt),
            outcome,
            attempts: None,
        });
        self.trace.news(said)
    }

    fn say(&self, about: &About<'_>) -> Said {
        let found = about.by.and_then(|by| self.candidate(by.candidate));
        let provider = found.as_ref().map_or("", |found| &found.provider.name);
        let convention = found.as_ref().map_or("", |found| provider_name(found.provider.api));
        let model = found.as_ref().filter(|_| about.answered).map_or("", |found| &found.model.name);
        let operation = self.parsed.operation();
        let first = about.by.and_then(|by| Some(by.first_content?.saturating_sub(by.began)));
        let usage = about.spent.map(|spent| spent.usage);
        let some = |count: u64| (count > 0).then_some(count);
        let (named, space) = (about.asked, if about.asked.is_empty() { "" } else { " " });
        let mut said = Said::with_capacity(WORDS.len());
        said.push([operation, space, named].concat());
        for text in [
            operation,
            convention,
            about.asked,
            if self.parsed.stream() { "true" } else { "" },
            model,
        ] {
            said.push(text.to_owned());
        }
        said.push(first.map(seconds).unwrap_or_default());
        for count in [
            usage.map(|usage| usage.prompt()),
            usage.map(|usage| usage.output),
            usage.and_then(|usage| some(usage.cache_read)),
            usage.and_then(|usage| some(usage.cache_write)),
            usage.and_then(|usage| some(usage.reasoning)),
            about.attempts,
        ] {
            said.push(count.map(|count| count.to_string()).unwrap_or_default());
        }
        let cost = about.spent.and_then(|spent| spent.cost);
        said.push(cost.map(|cost| cost.to_string()).unwrap_or_default());
        for text in [
            if about.spent.is_some_and(|spent| spent.estimated) { "true" } else { "" },
            about.error.unwrap_or_default(),
            &self.rule,
            &self.origin.caller.tenant,
            provider,
            about.outcome,
        ] {
            said.push(text.to_owned());
        }
        said
    }
}

fn seconds(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1_000_000_000, nanos / 1_000_000 % 1_000)
}

const fn class(attempt: &Attempt) -> Option<&'static str> {
    match &attempt.outcome {
        Outcome::Failed { class, .. } => Some(class.word()),
        Outcome::Pending | Outcome::Flowing | Outcome::Answered => None,
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::collections::BTreeMap;
    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::config::rule::Operation;
    use crate::filter::exchange::trace::ERROR;
    use crate::filter::service::tests as service;
    use crate::openai::{Class, Error, Usage};
    use crate::providers::Headers;

    fn exchange(tracing: bool, fields: &str) -> Exchange {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "tracing": tracing,
            "providers": {
                "eu": {"api": "azure", "base_url": "https://eu.example.com", "endpoints": [{"cluster": "eu"}], "models": {"gpt-4o": {}}},
                "claude": {"api": "anthropic", "endpoints": [{"cluster": "claude"}], "models": {"claude-sonnet-4-5": {}}},
            },
            "rules": [{"name": "all", "when": {"model": "gpt"}, "targets": ["eu/gpt-4o", "claude/claude-sonnet-4-5"]}],
        }));
        let gateway = match config {
            Ok(Config::Gateway(gateway)) => Rc::from(gateway),
            other => panic!("{other:?}"),
        };
        let body =
            format!(r#"{{"model":"gpt","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
        let all = service::alone(gateway);
        service::open(&all, Operation::Chat, &Headers::default(), &body).unwrap()
    }

    /// What Envoy knows after it was told.
    fn tell(known: &mut BTreeMap<&str, String>, words: Vec<(&'static str, String)>) {
        known.extend(words);
        known.retain(|_, value| !value.is_empty());
    }

    fn known<'a>(known: &'a BTreeMap<&str, String>) -> Vec<(&'a str, &'a str)> {
        known
            .iter()
            .map(|(name, value)| (name.trim_start_matches("waypost_span"), &**value))
            .collect()
    }

    fn down() -> Error {
        Error::new(Class::Overloaded, "busy")
    }

    #[test]
    fn each_attempt_and_then_the_request_have_their_own_words() {
        let mut exchange = exchange(true, r#","stream":true"#);
        let mut envoy = BTreeMap::new();
        tell(&mut envoy, exchange.request_span(false));
        let asked = [
            ("", "chat gpt"),
            ("_asked", "gpt"),
            ("_operation", "chat"),
            ("_rule", "all"),
            ("_stream", "true"),
        ];
        assert_eq!(known(&envoy), asked);

        let (at, candidate) = exchange.begin(0).unwrap();
        exchange.failed(at, Some(503), &down(), 1);
        exchange.move_on(candidate, &down()).unwrap();
        tell(&mut envoy, exchange.attempt_span(at));
        assert_eq!(
            known(&envoy),
            [
                ("", "chat gpt-4o"),
                ("_asked", "gpt-4o"),
                ("_entry", "eu"),
                ("_error", "overloaded"),
                ("_operation", "chat"),
                ("_outcome", "failed"),
                ("_provider", "azure.ai.openai"),
                ("_rule", "all"),
                ("_stream", "true"),
            ]
        );

        let (at, _) = exchange.begin(2_000_000_000).unwrap();
        exchange.flows(at, 3_234_567_890);
        tell(&mut envoy, exchange.request_span(false));
        let usage = Usage { uncached_input: 10, cache_read: 4, output: 7, ..Usage::default() };
        exchange.told(Some(usage), 20);
        exchange.answered(at, 4_000_000_000);
        tell(&mut envoy, exchange.attempt_span(at));
        let used =
            [("_cache_read", "4"), ("_cost", "0.000136200"), ("_input", "14"), ("_output", "7")];
        let found = known(&envoy);
        assert!(used.iter().all(|word| found.contains(word)), "{found:?}");
        assert!(found.contains(&("_outcome", "answered")), "{found:?}");
        assert!(found.contains(&("_asked", "claude-sonnet-4-5")), "{found:?}");

        tell(&mut envoy, exchange.request_span(true));
        assert_eq!(
            known(&envoy),
            [
                ("", "chat gpt"),
                ("_asked", "gpt"),
                ("_attempts", "2"),
                ("_cache_read", "4"),
                ("_cost", "0.000136200"),
                ("_entry", "claude"),
                ("_first", "1.234"),
                ("_input", "14"),
                ("_model", "claude-sonnet-4-5"),
                ("_operation", "chat"),
                ("_output", "7"),
                ("_provider", "anthropic"),
                ("_rule", "all"),
                ("_stream", "true"),
            ]
        );
        assert_eq!(exchange.request_span(true), []);
    }

    #[test]
    fn without_tracing_envoy_is_told_nothing() {
        let mut exchange = exchange(false, "");
        let (at, _) = exchange.begin(0).unwrap();
        exchange.answered(at, 1);
        assert_eq!(exchange.request_span(false), []);
        assert_eq!(exchange.attempt_span(at), []);
        assert_eq!(exchange.request_span(true), []);
    }

    #[test]
    fn the_error_of_the_client_is_that_of_the_last_attempt_unless_it_got_another() {
        let mut exchange = exchange(true, "");
        let (at, _) = exchange.begin(0).unwrap();
        exchange.failed(at, Some(503), &down(), 1);
        let error = |exchange: &mut Exchange| {
            let words = exchange.request_span(true);
            words.into_iter().find(|(name, _)| *name == ERROR).map(|(_, error)| error)
        };
        assert_eq!(error(&mut exchange).as_deref(), Some("overloaded"));
        exchange.trace.error = Some("timeout");
        assert_eq!(error(&mut exchange).as_deref(), Some("timeout"));
    }
}
