//! A request on its way: what both roles know of it. Lives in the memory of a worker from the end
//! of the request's body to the access log.

use std::rc::Rc;
use std::time::Duration;

use super::asked::Asked;
use super::loopback::Call as OwnCall;
use super::refusal::Refusal;
use crate::config::Gateway;
use crate::config::reader::show;
use crate::config::rule::Timeouts;
use crate::openai::{Class, Error, Usage};
use crate::providers::embeddings::NO_USAGE;
use crate::providers::{Answer, Call, Headers, Outbound, Payload};
use crate::routing::{Attempts, Candidate, Outcome, Plan, Resolved, Skipped, Why};

/// A request that passed the gateway role and may be tried at candidates.
#[derive(Debug)]
pub struct Exchange {
    /// The configuration it came under; a newer one does not change it.
    pub gateway: Rc<Gateway>,
    /// The request, parsed once.
    pub parsed: Asked,
    /// The rule that took it.
    pub rule: String,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// What was tried, and what is next.
    pub attempts: Attempts,
    /// For the client, the logs and ids of answers that bring none.
    pub request_id: String,
    /// When it came, in seconds since 1970.
    pub created: u64,
    /// The next attempt's request, translated ahead to know that it can be.
    prepared: Option<(usize, Outbound)>,
    /// Whether the headers of an answer, or of a final refusal, have gone to the client.
    pub committed: bool,
    /// Whether a stream is flowing, and whether bytes came since the last look at it.
    pub flow: Flow,
    /// What the answer used, where the provider said so.
    pub usage: Option<Usage>,
    /// Who gets a copy of it.
    pub mirror: Option<Candidate>,
    /// The gateway's own call that it is, rather than a client's request.
    pub call: Option<Rc<OwnCall>>,
}

/// A stream on its way to the client, as the tick sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// None, or not yet, or no longer.
    #[default]
    None,
    /// Bytes came since the last look.
    Moving,
    /// None came since this time, in nanoseconds of a clock that never goes back.
    QuietSince(u64),
    /// The client has got an error event, and nothing more is to come.
    Over,
}

impl Exchange {
    /// A request for which `plan` was made. Translates it for the first candidate that can take
    /// it; the others before that one count as failed.
    ///
    /// # Errors
    /// The first candidate's reason when none can take it.
    pub fn open(
        gateway: Rc<Gateway>,
        parsed: Asked,
        plan: Plan,
        request_id: String,
        created: u64,
    ) -> Result<Self, Refusal> {
        let mut attempts = Attempts::new(plan.candidates);
        plan.skipped.into_iter().for_each(|skipped| attempts.skip(skipped));
        let wanted = gateway.rules.iter().find(|rule| rule.name == plan.rule);
        let mirror = wanted.and_then(|rule| rule.mirror).filter(|mirror| mirror.share >= 10_000);
        let mirror = mirror.map(|mirror| Candidate {
            provider: mirror.target.provider,
            model: mirror.target.model,
            endpoint: 0,
        });
        let mut exchange = Self {
            gateway,
            parsed,
            rule: plan.rule,
            timeouts: plan.timeouts,
            attempts,
            request_id,
            created,
            prepared: None,
            committed: false,
            flow: Flow::None,
            usage: None,
            mirror: plan.mirror.or(mirror),
            call: None,
        };
        let all: Vec<usize> = (0..exchange.attempts.candidates().len()).collect();
        match exchange.prepare(&all) {
            Ok(()) => Ok(exchange),
            Err(error) => {
                let none = || Error::new(Class::Server, "the rule has no candidate");
                let skipped = exchange.attempts.skipped().cloned().collect();
                let error = Box::new(error.unwrap_or_else(none));
                Err(Refusal { error, rule: exchange.rule, skipped })
            }
        }
    }

    /// The candidate that the next attempt will ask.
    #[must_use]
    pub fn next(&self) -> Option<Resolved<'_>> {
        self.attempts.next()?.1.resolve(&self.gateway)
    }

    /// The candidate at a place of the plan.
    #[must_use]
    pub fn candidate(&self, at: usize) -> Option<Resolved<'_>> {
        self.attempts.candidates().get(at)?.resolve(&self.gateway)
    }

    /// Decides who is asked after the candidate at `failed` failed with `error`: the next that may
    /// answer and whose dialect can express the request.
    pub fn move_on(&mut self, failed: usize, error: &Error) -> Option<Resolved<'_>> {
        let after: Vec<usize> = self.attempts.after(failed, error, &self.gateway).collect();
        self.prepare(&after).ok()?;
        self.next()
    }

    /// Translates for the first of `candidates` that can take the request and makes it the next.
    fn prepare(&mut self, candidates: &[usize]) -> Result<(), Option<Error>> {
        let mut first = None;
        for &at in candidates {
            match self.translate(at) {
                Ok(outbound) => {
                    self.prepared = Some((at, outbound));
                    self.attempts.set_next(Some(at));
                    return Ok(());
                }
                Err(error) => {
                    if let Some(candidate) = self.attempts.candidates().get(at) {
                        self.attempts.skip(Skipped::new(
                            *candidate,
                            Why::Inexpressible,
                            &error.message,
                        ));
                    }
                    first = first.or(Some(error));
                }
            }
        }
        self.prepared = None;
        self.attempts.set_next(None);
        Err(first)
    }

    fn translate(&self, at: usize) -> Result<Outbound, Error> {
        let found = self.candidate(at).ok_or_else(|| {
            Error::new(Class::Server, "the candidate is not in the configuration")
        })?;
        self.parsed.translate(found.provider.api.dialect, &found.provider.target(found.model))
    }

    /// How long an attempt may take: to the first content of a stream, to the end of an answer.
    #[must_use]
    pub fn attempt_limit(&self) -> Duration {
        if self.parsed.stream() { self.timeouts.first_token } else { self.timeouts.answer }
    }

    /// An attempt ended without a verdict: nobody was there, the connection broke, or Envoy gave
    /// up after the time it was told. `now` is of the same clock as the attempt's beginning.
    #[must_use]
    pub fn lost(&self, attempt: usize, now: u64) -> Error {
        let began = self.attempts.tried().get(attempt).map_or(now, |attempt| attempt.began);
        let limit = self.attempt_limit();
        if u128::from(now.saturating_sub(began)) >= limit.as_nanos() {
            Error::new(Class::Timeout, format!("no answer within {}", show(limit)))
        } else {
            Error::new(Class::Server, "the connection failed or was reset")
        }
    }

    /// The request for the candidate at `at`: the one translated ahead, or a fresh one.
    ///
    /// # Errors
    /// The candidate's dialect cannot express it.
    pub fn outbound(&mut self, at: usize) -> Result<Outbound, Error> {
        match self.prepared.take() {
            Some((prepared, outbound)) if prepared == at => Ok(outbound),
            _ => self.translate(at),
        }
    }

    /// What a whole answer of the candidate at `at` says, in canonical form.
    ///
    /// # Errors
    /// It is none.
    pub fn answer(&self, at: usize, headers: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        let gone = || Error::new(Class::Server, "the candidate is gone");
        let found = self.candidate(at).ok_or_else(gone)?;
        let dialect = found.provider.api.dialect;
        match &self.parsed {
            Asked::Chat(_) => dialect.answer(&self.call(at).ok_or_else(gone)?, headers, body),
            Asked::Embeddings(parsed) => {
                let target = found.provider.target(found.model);
                dialect.embedded(parsed.asked(), &target, headers, body)
            }
            // Nothing of it is read.
            Asked::Models => Ok(Answer { body: Payload::Whole(Vec::new()), usage: None }),
        }
    }

    /// What a dialect needs to know to read the answer of the candidate at `at` to a chat.
    #[must_use]
    pub fn call(&self, at: usize) -> Option<Call<'_>> {
        let Asked::Chat(parsed) = &self.parsed else { return None };
        let found = self.candidate(at)?;
        Some(Call {
            chat: parsed.chat(),
            target: found.provider.target(found.model),
            id: &self.request_id,
            created: self.created,
        })
    }

    /// The error for a client after every attempt failed and none left an answer: what Envoy says
    /// itself when it could not connect or had to give up.
    #[must_use]
    pub fn exhausted(&self, status: u16) -> Error {
        let class = if status == 504 { Class::Timeout } else { Class::Overloaded };
        let mut tried = String::new();
        for attempt in self.attempts.tried() {
            let Some(found) = self.candidate(attempt.candidate) else { continue };
            let how = match &attempt.outcome {
                Outcome::Failed { reason, .. } => reason,
                Outcome::Pending => "no answer yet",
                Outcome::Flowing | Outcome::Answered => continue,
            };
            if !tried.is_empty() {
                tried.push_str("; ");
            }
            tried.push_str(&format!("{}/{}: {how}", found.provider.name, found.model.name));
        }
        for skipped in self.attempts.skipped() {
            let Some(found) = skipped.candidate.resolve(&self.gateway) else { continue };
            let (provider, model) = (&found.provider.name, &found.model.name);
            let line = format!("not asked: {provider}/{model}: {}", skipped.reason);
            // Endpoints of one provider are passed over for the same reason.
            if !tried.contains(&line) {
                tried.push_str(if tried.is_empty() { "" } else { "; " });
                tried.push_str(&line);
            }
        }
        let message = match (class, tried.is_empty()) {
            (Class::Timeout, true) => "No provider answered in time.".to_owned(),
            (Class::Timeout, false) => format!("No provider answered in time ({tried})."),
            (_, true) => "No provider could be reached.".to_owned(),
            (_, false) => format!("No provider could answer ({tried})."),
        };
        Error::new(class, message).with_code("all_candidates_failed")
    }

    /// The headers that tell a client who answered.
    #[must_use]
    pub fn signature(&self, warnings: &[String]) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-request-id", self.request_id.clone()),
            ("x-waypost-rule", self.rule.clone()),
            ("x-waypost-attempts", self.attempts.tried().len().to_string()),
        ];
        let last = self.attempts.tried().last().and_then(|last| self.candidate(last.candidate));
        if let Some(found) = last {
            headers.push(("x-waypost-provider", found.provider.name.clone()));
            headers.push(("x-waypost-model", found.model.name.clone()));
        }
        let unknown = self.lacks_usage().then_some(NO_USAGE);
        let warnings: Vec<&str> = warnings.iter().map(|text| &**text).chain(unknown).collect();
        if !warnings.is_empty() {
            headers.push(("x-waypost-warnings", visible(&warnings.join(", "))));
        }
        headers
    }

    /// Whether vectors came without a count of tokens: the body says 0 then, and that is no count.
    fn lacks_usage(&self) -> bool {
        let answered =
            self.attempts.tried().last().is_some_and(|last| last.outcome == Outcome::Answered);
        answered && self.usage.is_none() && matches!(self.parsed, Asked::Embeddings(_))
    }
}

/// Longest `x-waypost-warnings`, in bytes.
pub const MAX_WARNINGS_BYTES: usize = 1024;

/// A header's value may hold visible ASCII only; a client's own field names stand in warnings.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(MAX_WARNINGS_BYTES)
        .collect()
}

/// A refusal of the gateway's own credential is not the client's business: its own key is fine.
#[must_use]
pub fn for_client(error: &Error, provider: &str) -> Error {
    match error.class {
        Class::Auth | Class::Permission => Error {
            retry_after_ms: error.retry_after_ms,
            ..Error::new(
                Class::Server,
                format!("The provider \"{provider}\" refused the gateway's own credential."),
            )
            .with_code("provider_auth_failed")
        },
        _ => error.clone(),
    }
}

/// Shortest secret that is looked for in what a provider says; a shorter one could be any word.
pub const MIN_SECRET_BYTES: usize = 8;

/// The error without the keys that the provider was sent, should it repeat them. What looks like
/// some key is taken out by the dialects already; these are known, whatever they look like.
#[must_use]
pub fn without_secrets(error: &Error, secrets: &[String]) -> Error {
    Error {
        kind: hide(&error.kind, secrets).into(),
        message: hide(&error.message, secrets),
        param: error.param.as_deref().map(|param| hide(param, secrets)),
        code: error.code.as_deref().map(|code| hide(code, secrets).into()),
        ..error.clone()
    }
}

/// The text with each secret replaced by `***`.
#[must_use]
pub fn hide(text: &str, secrets: &[String]) -> String {
    let known = secrets.iter().filter(|secret| secret.len() >= MIN_SECRET_BYTES);
    known.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::config::rule::Operation;

    fn gateway() -> Rc<Gateway> {
        let config = Config::read(&json!({
            "role": "gateway",
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}},
                "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
                "c": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"gpt-4o-mini": {}}},
            },
            "rules": [{"name": "all", "targets": ["b/claude-sonnet-4-5", "a/gpt-4o", "c/gpt-4o-mini"], "timeouts": {"first_token": "2s", "answer": "9s"}}],
        }));
        match config {
            Ok(Config::Gateway(gateway)) => Rc::from(gateway),
            other => panic!("{other:?}"),
        }
    }

    fn exchange(fields: &str) -> Result<Exchange, Refusal> {
        let body =
            format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"x"}}]{fields}}}"#);
        crate::filter::intake::open(
            &gateway(),
            Operation::Chat,
            &Headers::default(),
            body.into_bytes(),
            "id".into(),
            7,
        )
    }

    fn cluster(exchange: &Exchange) -> Option<&str> {
        exchange.next().map(|next| &*next.endpoint.cluster)
    }

    #[test]
    fn the_first_candidate_is_translated_before_anything_is_sent() {
        let mut exchange = exchange("").unwrap();
        assert_eq!(cluster(&exchange), Some("b"));
        let (_, candidate) = exchange.attempts.begin(0).unwrap();
        assert_eq!(exchange.outbound(candidate).unwrap().path, "/v1/messages");
        assert_eq!(cluster(&exchange), Some("a"));
    }

    #[test]
    fn a_candidate_that_cannot_express_the_request_is_passed_over() {
        let exchange = exchange(r#","n":2"#).unwrap();
        assert_eq!(cluster(&exchange), Some("a"));
    }

    fn vectors(model: &str, fields: &str) -> Result<Exchange, Refusal> {
        let config = Config::read(&json!({
            "role": "gateway",
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a"}],
                    "models": {"text-embedding-3-small": {}, "own": {}}},
                "b": {"api": "openai", "endpoints": [{"cluster": "b"}],
                    "models": {"text-embedding-3-small": {}, "other": {}}},
                "c": {"api": "anthropic", "endpoints": [{"cluster": "c"}],
                    "models": {"claude-sonnet-4-5": {}}},
            },
            "rules": [
                {"name": "own", "when": {"model": "own"}, "targets": ["a/own", "b/other"]},
                {"name": "none", "when": {"model": "none"}, "targets": ["c/claude-sonnet-4-5"]},
            ],
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let body = format!(r#"{{"model":"{model}","input":"x"{fields}}}"#);
        crate::filter::intake::open(
            &Rc::from(gateway),
            Operation::Embeddings,
            &Headers::default(),
            body.into_bytes(),
            "id".into(),
            7,
        )
    }

    #[test]
    fn vectors_fail_over_to_the_same_model_only() {
        let down = Error::new(Class::Server, "down");
        let mut same = vectors("text-embedding-3-small", "").unwrap();
        let (_, candidate) = same.attempts.begin(0).unwrap();
        assert_eq!(same.outbound(candidate).unwrap().path, "/v1/embeddings");
        assert_eq!(same.move_on(candidate, &down).map(|next| &*next.endpoint.cluster), Some("b"));

        let mut other = vectors("own", "").unwrap();
        let (at, candidate) = other.attempts.begin(0).unwrap();
        assert!(other.move_on(candidate, &down).is_none());
        other.attempts.settle(
            at,
            Outcome::Failed { status: None, class: Class::Server, reason: "down".into() },
        );
        assert_eq!(
            other.exhausted(503).message,
            "No provider could answer (a/own: down; not asked: b/other: vectors of 'other' cannot be compared with those of 'own')."
        );
        assert_eq!(vectors("none", "").unwrap_err().error.param.as_deref(), Some("model"));
    }

    #[test]
    fn vectors_without_a_count_of_tokens_come_with_a_warning() {
        let mut exchange = vectors("own", "").unwrap();
        let (at, candidate) = exchange.attempts.begin(0).unwrap();
        let body = br#"{"data":[{"embedding":[1.0]}]}"#;
        let answer = exchange.answer(candidate, &Headers::default(), body).unwrap();
        exchange.usage = answer.usage;
        let warned = |exchange: &Exchange| {
            exchange.signature(&[]).contains(&("x-waypost-warnings", NO_USAGE.to_owned()))
        };
        assert!(!warned(&exchange));
        exchange.attempts.settle(at, Outcome::Answered);
        assert!(warned(&exchange));
        exchange.usage = Some(Usage::default());
        assert!(!warned(&exchange));
    }

    #[test]
    fn a_failure_moves_on_and_the_last_leaves_nobody() {
        let mut exchange = exchange("").unwrap();
        let down = Error::new(Class::Server, "down");
        for expected in [Some("a"), Some("c"), None] {
            let (_, candidate) = exchange.attempts.begin(0).unwrap();
            let next = exchange.move_on(candidate, &down).map(|next| next.endpoint.cluster.clone());
            assert_eq!(next.as_deref(), expected);
        }
        assert!(exchange.attempts.begin(0).is_none());
    }

    #[test]
    fn an_attempt_without_a_verdict_is_a_timeout_only_after_its_time() {
        let mut exchange = exchange(r#","stream":true"#).unwrap();
        exchange.attempts.begin(1_000).unwrap();
        assert_eq!(exchange.lost(0, 1_999_999_999).class, Class::Server);
        let error = exchange.lost(0, 2_000_001_000);
        assert_eq!((error.class, &*error.message), (Class::Timeout, "no answer within 2s"));
    }

    #[test]
    fn the_last_error_names_everyone_who_was_tried() {
        let mut exchange = exchange("").unwrap();
        for reason in ["down", "gone"] {
            let (at, _) = exchange.attempts.begin(0).unwrap();
            let outcome =
                Outcome::Failed { status: None, class: Class::Server, reason: reason.into() };
            exchange.attempts.settle(at, outcome);
        }
        assert_eq!(
            exchange.exhausted(503).message,
            "No provider could answer (b/claude-sonnet-4-5: down; a/gpt-4o: gone)."
        );
        assert_eq!(exchange.exhausted(504).status, 504);
    }

    #[test]
    fn the_gateways_own_credential_is_not_the_clients_fault() {
        let seen = for_client(&Error::new(Class::Auth, "Incorrect API key"), "a");
        assert_eq!((seen.status, &*seen.kind), (502, "server_error"));
        assert!(!seen.message.contains("API key"));
    }

    #[test]
    fn a_warning_with_strange_characters_is_still_a_header() {
        let exchange = exchange("").unwrap();
        let headers = exchange.signature(&["fé\r\nx: y dropped".to_owned()]);
        let warnings = headers.iter().find(|(name, _)| *name == "x-waypost-warnings").unwrap();
        assert_eq!(warnings.1, "f???x: y dropped");
        let long = exchange.signature(&["a".repeat(9 * MAX_WARNINGS_BYTES)]);
        assert!(long.iter().all(|(_, value)| value.len() <= MAX_WARNINGS_BYTES));
    }

    #[test]
    fn a_secret_that_a_provider_repeats_is_hidden_wherever_it_stands() {
        let secrets = ["Zm9vYmFyMTIz".to_owned(), "short".to_owned()];
        let error = Error::invalid("a.Zm9vYmFyMTIz", "You sent Zm9vYmFyMTIz, too short.")
            .with_code("Zm9vYmFyMTIz");
        let seen = without_secrets(&error, &secrets);
        assert_eq!(seen.message, "You sent ***, too short.");
        assert_eq!((seen.param.as_deref(), seen.code.as_deref()), (Some("a.***"), Some("***")));
        assert_eq!((seen.status, seen.class), (error.status, error.class));
    }
}
