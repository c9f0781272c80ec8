//! What is counted of a request when it is over.
//!
//! A series is named once; after that a request is a handful of numbers: nine calls of the host for an
//! answer of one attempt, eleven for a stream, and one or two more for each special kind of token.

use super::exchange::Exchange;
use super::record::Unasked;
use super::reply::local_error;
use super::service::Service;
use crate::openai::{Class, Usage};
use crate::routing::{Attempt, Outcome, Spent};
use crate::telemetry::metrics::series::{
    CONFIGURED, ESTIMATED, INFO, OPERATION_DURATION, OVERHEAD, REQUEST_DURATION, REQUESTS,
    SERIES_LIMIT, SPEND, TIME_PER_OUTPUT_TOKEN, TIME_TO_FIRST_TOKEN, TOKEN_USAGE, TOKENS, UNPRICED,
};
use crate::telemetry::metrics::words::{
    self, ANSWERED, BROKEN, CACHE_CREATION, CACHED_INPUT, CHAT, EMBEDDINGS, FAILED, INPUT, LEFT,
    MODELS, NONE, OUTPUT, REASONING, REFUSED, Whom, Word,
};
use crate::telemetry::metrics::{Meter, Metric, meter};

/// Nanoseconds in a millisecond.
const MILLI: u64 = 1_000_000;

/// Nanoseconds in a microsecond.
const MICRO: u64 = 1_000;

/// One note after the other.
struct Notes<'a> {
    service: &'a Service,
    meter: &'a mut Meter,
}

impl Notes<'_> {
    fn add(&mut self, metric: &'static Metric, labels: &[Word], value: u64) {
        self.meter.note(metric, labels, value, &self.service.gateway, &*self.service.world);
    }
}

impl Service {
    /// Counts a request that may have been tried at providers; `now` is in nanoseconds of a clock that
    /// never goes back. The gateway's own are counted by what they used only: how long a probe takes is
    /// not how long requests do.
    pub fn count_request(&self, exchange: &Exchange, now: u64) {
        let mut meter = self.meter.borrow_mut();
        let words = &meter.words;
        let tenant = words.tenant(&exchange.origin.caller, &self.gateway);
        let rule = words.rule(exchange.rule_at(), &self.gateway);
        let asked = words.asked(exchange.parsed.model());
        let operation = operation(exchange.parsed.operation());
        let own = exchange.call.is_some();
        let mut notes = Notes { service: self, meter: &mut meter };
        let mut last = None;
        for tried in exchange.attempts.tried() {
            let candidate = exchange.attempts.candidates().get(tried.candidate);
            let Some((candidate, found)) =
                candidate.and_then(|at| Some((at, at.resolve(&self.gateway)?)))
            else {
                continue;
            };
            let whom = notes.meter.words.whom(*candidate, &found);
            if let Some(spent) = &tried.spent {
                notes.spent(tenant, operation, whom, spent);
            }
            if !own {
                notes.attempt(operation, whom, tried, now);
                // A share of the attempts above: not of copies and probes.
                if tried.spent.is_some_and(|spent| spent.estimated) {
                    notes.add(&ESTIMATED, &[whom.provider, whom.model], 1);
                }
            }
            last = Some((tried, whom));
        }
        if own {
            return;
        }
        let status = exchange.journey.status;
        let (outcome, error) = result(last.map(|(tried, _)| tried), status);
        let status = status.map_or(NONE, words::status);
        notes.add(&REQUESTS, &[tenant, rule, operation, outcome, status, error], 1);
        let Some((tried, whom)) = last else { return };
        notes.add(&OVERHEAD, &[operation], overhead(exchange) / MICRO);
        let Whom { convention, provider, model, .. } = whom;
        let arrived = exchange.origin.arrived;
        let took = now.saturating_sub(arrived) / MILLI;
        // How long a client stayed that left is not how long an answer takes.
        let ended = if outcome == LEFT { LEFT } else { error };
        let served = [operation, convention, asked, model, ended, provider];
        notes.add(&REQUEST_DURATION, &served, took);
        let Some(first) = tried.first_content else { return };
        let served = [operation, convention, asked, model, provider];
        notes.add(&TIME_TO_FIRST_TOKEN, &served, first.saturating_sub(arrived) / MILLI);
        let counted = tried.spent.filter(|spent| !spent.estimated);
        let output = counted.map_or(0, |spent| spent.usage.output);
        if let (Some(after), Some(ended)) = (output.checked_sub(1).filter(|n| *n > 0), tried.ended)
        {
            let each = ended.saturating_sub(first) / after / MICRO;
            notes.add(&TIME_PER_OUTPUT_TOKEN, &served, each);
        }
    }

    /// Says which module this is, and since when its configuration holds, in seconds since 1970. All
    /// workers say the same.
    pub fn announce(&self, since: u64) {
        meter::put(&INFO, &[env!("CARGO_PKG_VERSION")], 1, &*self.world);
        meter::put(&CONFIGURED, &[], since, &*self.world);
        meter::put(&SERIES_LIMIT, &[], self.gateway.metrics.max_series.into(), &*self.world);
    }

    /// Counts a request for which nobody was asked.
    pub fn count_unasked(&self, unasked: &Unasked<'_>) {
        if unasked.call.is_some() {
            return;
        }
        let mut meter = self.meter.borrow_mut();
        let words = &meter.words;
        let tenant = unasked.caller.map_or(NONE, |caller| words.tenant(caller, &self.gateway));
        let rule = unasked.refusal.and_then(|refusal| self.rule(&refusal.rule));
        let rule = rule.map_or(NONE, |rule| words.rule(Some(rule), &self.gateway));
        let told = unasked.status.map_or(NONE, words::status);
        let (outcome, error) = match (unasked.refusal, unasked.status) {
            (Some(refusal), _) => (REFUSED, words::class(refusal.error.class)),
            (None, Some(status @ 400..)) => (REFUSED, words::class(local_error(status).class)),
            (None, Some(_)) => (ANSWERED, NONE),
            (None, None) => (LEFT, NONE),
        };
        let operation = unasked.operation.map_or(NONE, operation);
        let mut notes = Notes { service: self, meter: &mut meter };
        notes.add(&REQUESTS, &[tenant, rule, operation, outcome, told, error], 1);
    }

    fn rule(&self, name: &str) -> Option<usize> {
        self.gateway.rules.iter().position(|rule| rule.name == name)
    }
}

/// How long the gateway itself kept a request, in nanoseconds: from the end of its body to the first
/// attempt, from one attempt to the next, and what it did within attempts. What a client takes to read its
/// answer is not in it, and the translation of a stream after its beginning is not measured.
fn overhead(exchange: &Exchange) -> u64 {
    let mut overhead = exchange.journey.inside;
    let mut since = exchange.journey.complete;
    for tried in exchange.attempts.tried() {
        overhead = overhead.saturating_add(tried.began.saturating_sub(since));
        since = tried.ended.unwrap_or(tried.began);
    }
    overhead
}

impl Notes<'_> {
    /// What an attempt used.
    fn spent(&mut self, tenant: Word, operation: Word, whom: Whom, spent: &Spent) {
        let Whom { convention, provider, model, .. } = whom;
        let usage = &spent.usage;
        for (kind, tokens) in kinds(usage) {
            self.add(&TOKENS, &[tenant, provider, model, kind], tokens);
            // The convention: what is not known must not be reported.
            if tokens > 0 && !spent.estimated {
                self.add(&TOKEN_USAGE, &[operation, convention, model, kind, provider], tokens);
            }
        }
        match spent.cost {
            Some(cost) => self.add(&SPEND, &[tenant, provider, model], cost.0),
            None => self.add(&UNPRICED, &[tenant, provider, model], usage.total()),
        }
    }

    /// How an attempt went.
    fn attempt(&mut self, operation: Word, whom: Whom, tried: &Attempt, now: u64) {
        let error = match &tried.outcome {
            Outcome::Answered => NONE,
            Outcome::Failed { class, .. } => words::class(*class),
            Outcome::Pending | Outcome::Flowing => LEFT,
        };
        let took = tried.ended.unwrap_or(now).saturating_sub(tried.began) / MILLI;
        let Whom { convention, provider, model, cluster } = whom;
        let labels = [operation, convention, model, error, provider, cluster];
        self.add(&OPERATION_DURATION, &labels, took);
    }
}

/// Tokens by kind. The first two are all of them; the others are parts of these.
fn kinds(usage: &Usage) -> [(Word, u64); 5] {
    [
        (INPUT, usage.prompt()),
        (OUTPUT, usage.output),
        (CACHED_INPUT, usage.cache_read),
        (CACHE_CREATION, usage.cache_write),
        (REASONING, usage.reasoning),
    ]
}

/// What became of a request, by its last attempt, and its class of error.
fn result(last: Option<&Attempt>, status: Option<u16>) -> (Word, Word) {
    let Some(last) = last else {
        // Nobody could be asked: Envoy answered, or the client left.
        return if status.is_some() {
            (FAILED, words::class(Class::Overloaded))
        } else {
            (LEFT, NONE)
        };
    };
    match &last.outcome {
        Outcome::Answered => (ANSWERED, NONE),
        Outcome::Failed { class, .. } if last.first_content.is_some() => {
            (BROKEN, words::class(*class))
        }
        Outcome::Failed { class, .. } => (FAILED, words::class(*class)),
        Outcome::Pending if status.is_some() => (FAILED, words::class(Class::Timeout)),
        Outcome::Pending | Outcome::Flowing => (LEFT, NONE),
    }
}

fn operation(name: &str) -> Word {
    match name {
        "chat" => CHAT,
        "embeddings" => EMBEDDINGS,
        _ => MODELS,
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
    use crate::filter::record::times::Clock;
    use crate::filter::refusal::Refusal;
    use crate::filter::service::tests::{Simulated, Told, open};
    use crate::openai::Error;
    use crate::providers::Headers;
    use crate::providers::catalogue::NanoUsd;
    use crate::tenancy::Caller;

    fn service() -> (Rc<Service>, Told) {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}},
                "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
            },
            "rules": [
                {"name": "new", "when": {"model": "new-*"}, "targets": ["a/gpt-4o", "b/claude-sonnet-4-5"]},
                {"name": "all", "targets": ["a/gpt-4o"]},
            ],
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let world = Simulated::default();
        let told = Rc::clone(&world.series);
        (Rc::new(Service::new(Rc::from(gateway), Box::new(world))), told)
    }

    fn exchange(service: &Rc<Service>, model: &str, stream: bool) -> Exchange {
        let body = format!(
            r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"x"}}]}}"#
        );
        open(service, Operation::Chat, &Headers::default(), &body).unwrap()
    }

    fn spent(input: u64, output: u64, cost: Option<u64>, estimated: bool) -> Spent {
        let usage = Usage { uncached_input: input, output, ..Usage::default() };
        Spent { usage, cost: cost.map(NanoUsd), estimated }
    }

    /// What was told since the last look, without `waypost_series`.
    fn news(told: &Told) -> BTreeMap<String, u64> {
        let told = std::mem::take(&mut *told.borrow_mut());
        let ours = told.into_iter().filter(|(name, _)| name != "waypost_series");
        ours.map(|(name, value)| (name, value.unwrap())).collect()
    }

    const OF: &str = "gen_ai_operation_name=chat;gen_ai_provider_name";

    #[test]
    fn an_answer_is_nine_numbers() {
        let (service, told) = service();
        let mut request = exchange(&service, "gpt-4o", false);
        let (at, _) = request.begin(1_000_000).unwrap();
        request.attempts.spend(at, spent(10, 20, Some(700), false));
        request.answered(at, 31_000_000);
        request.journey.complete = 960_000;
        request.journey.inside = 2_900;
        request.commit(200, 9);
        for _ in 0..2 {
            news(&told);
            service.count_request(&request, 32_500_000);
        }
        let expected = [
            ("waypost_requests;rule=all;operation=chat;outcome=answered;status=2xx".to_owned(), 1),
            ("waypost_overhead_microseconds;operation=chat".to_owned(), 42),
            ("waypost_tokens;provider=a;model=gpt-4o;type=input".to_owned(), 10),
            ("waypost_tokens;provider=a;model=gpt-4o;type=output".to_owned(), 20),
            ("waypost_spend_nano_usd;provider=a;model=gpt-4o".to_owned(), 700),
            (
                format!(
                    "gen_ai_client_token_usage;{OF}=openai;gen_ai_request_model=gpt-4o;gen_ai_token_type=input;provider=a"
                ),
                10,
            ),
            (
                format!(
                    "gen_ai_client_token_usage;{OF}=openai;gen_ai_request_model=gpt-4o;gen_ai_token_type=output;provider=a"
                ),
                20,
            ),
            (
                format!(
                    "gen_ai_client_operation_duration_milliseconds;{OF}=openai;gen_ai_request_model=gpt-4o;provider=a;cluster=a"
                ),
                30,
            ),
            (
                format!(
                    "gen_ai_server_request_duration_milliseconds;{OF}=openai;gen_ai_request_model=gpt-4o;gen_ai_response_model=gpt-4o;provider=a"
                ),
                32,
            ),
        ];
        assert_eq!(news(&told), BTreeMap::from(expected));
    }

    #[test]
    fn a_stream_after_a_failover_tells_of_both_attempts_and_of_its_tokens_times() {
        let (service, told) = service();
        let mut request = exchange(&service, "new-model", true);
        let (first, candidate) = request.begin(1_000_000).unwrap();
        let down = Error::new(Class::Overloaded, "busy");
        request.failed(first, Some(503), &down, 3_000_000);
        request.move_on(candidate, &down).unwrap();
        let (second, _) = request.begin(4_000_000).unwrap();
        request.flows(second, 54_000_000);
        request.attempts.spend(second, spent(5, 21, None, false));
        request.answered(second, 154_000_000);
        request.commit(200, 9);
        service.count_request(&request, 155_000_000);
        let news = news(&told);
        // A millisecond before the first attempt, and one between the two.
        assert_eq!(news.get("waypost_overhead_microseconds;operation=chat"), Some(&2_000));
        let asked = format!(
            "{OF}=anthropic;gen_ai_request_model=other;gen_ai_response_model=claude-sonnet-4-5;provider=b"
        );
        for (name, value) in [
            (
                format!(
                    "gen_ai_client_operation_duration_milliseconds;{OF}=openai;gen_ai_request_model=gpt-4o;error_type=overloaded;provider=a;cluster=a"
                ),
                2,
            ),
            (
                format!(
                    "gen_ai_client_operation_duration_milliseconds;{OF}=anthropic;gen_ai_request_model=claude-sonnet-4-5;provider=b;cluster=b"
                ),
                150,
            ),
            (format!("gen_ai_server_time_to_first_token_milliseconds;{asked}"), 54),
            (format!("gen_ai_server_time_per_output_token_microseconds;{asked}"), 5_000),
            ("waypost_unpriced_tokens;provider=b;model=claude-sonnet-4-5".to_owned(), 26),
        ] {
            assert_eq!(news.get(&name), Some(&value), "{name} in {news:#?}");
        }
        assert!(!news.keys().any(|name| name.starts_with("waypost_spend")));
    }

    #[test]
    fn what_was_estimated_is_counted_but_no_sample() {
        let (service, told) = service();
        let mut request = exchange(&service, "gpt-4o", true);
        let (at, _) = request.begin(0).unwrap();
        request.flows(at, 1_000_000);
        request.commit(200, 0);
        request.attempts.spend(at, spent(5, 9, Some(3), true));
        service.count_request(&request, 2_000_000);
        let news = news(&told);
        assert_eq!(news.get("waypost_tokens;provider=a;model=gpt-4o;type=output"), Some(&9));
        assert_eq!(news.get("waypost_estimated_attempts;provider=a;model=gpt-4o"), Some(&1));
        assert_eq!(
            news.get("waypost_requests;rule=all;operation=chat;outcome=left;status=2xx"),
            Some(&1)
        );
        let stayed = format!(
            "gen_ai_server_request_duration_milliseconds;{OF}=openai;gen_ai_request_model=gpt-4o;gen_ai_response_model=gpt-4o;error_type=left;provider=a"
        );
        assert_eq!(news.get(&stayed), Some(&2), "{news:#?}");
        let samples = ["gen_ai_client_token_usage", "gen_ai_server_time_per_output_token"];
        assert!(!news.keys().any(|name| samples.iter().any(|sample| name.starts_with(sample))));
    }

    #[test]
    fn every_way_to_end_has_its_word() {
        let (service, _) = service();
        let down = Error::new(Class::Timeout, "late");
        let with = |status, end: &dyn Fn(&mut Exchange, usize)| {
            let mut request = exchange(&service, "gpt-4o", true);
            let (at, _) = request.begin(0).unwrap();
            end(&mut request, at);
            result(request.attempts.tried().last(), status)
        };
        let timeout = words::class(Class::Timeout);
        assert_eq!(with(Some(200), &|it, at| it.answered(at, 1)), (ANSWERED, NONE));
        assert_eq!(with(Some(504), &|it, at| it.failed(at, None, &down, 1)), (FAILED, timeout));
        let broken = |it: &mut Exchange, at| {
            it.flows(at, 1);
            it.failed(at, None, &down, 2);
        };
        assert_eq!(with(Some(200), &broken), (BROKEN, timeout));
        assert_eq!(with(Some(200), &|it, at| it.flows(at, 1)), (LEFT, NONE));
        assert_eq!(with(None, &|_, _| {}), (LEFT, NONE));
        assert_eq!(with(Some(504), &|_, _| {}), (FAILED, timeout));
        assert_eq!(result(None, None), (LEFT, NONE));
        assert_eq!(result(None, Some(503)), (FAILED, words::class(Class::Overloaded)));
    }

    #[test]
    fn who_never_came_to_a_provider_is_a_request_too() {
        let (service, told) = service();
        let ask = |refusal: Option<&Refusal>, status, operation| {
            service.count_unasked(&Unasked {
                gateway: &service.gateway,
                refusal,
                call: None,
                caller: None,
                request_id: "",
                operation,
                status,
                clock: Clock::default(),
                request_bytes: 0,
                answer_bytes: 0,
            });
            let mut news = news(&told);
            assert_eq!(news.len(), 1);
            news.pop_first().unwrap().0
        };
        let refusal = Refusal::from(Error::new(Class::RateLimit, "slow down"));
        assert_eq!(
            ask(Some(&refusal), Some(429), Some("chat")),
            "waypost_requests;operation=chat;outcome=refused;status=4xx;error_type=rate_limit"
        );
        let refusal = Refusal { rule: "all".to_owned(), ..refusal };
        assert_eq!(
            ask(Some(&refusal), Some(429), None),
            "waypost_requests;rule=all;outcome=refused;status=4xx;error_type=rate_limit"
        );
        assert_eq!(
            ask(None, Some(408), Some("chat")),
            "waypost_requests;operation=chat;outcome=refused;status=4xx;error_type=timeout"
        );
        assert_eq!(
            ask(None, Some(200), Some("models")),
            "waypost_requests;operation=models;outcome=answered;status=2xx"
        );
        assert_eq!(
            ask(None, None, Some("embeddings")),
            "waypost_requests;operation=embeddings;outcome=left"
        );
    }

    #[test]
    fn the_gateways_own_requests_cost_money_but_are_no_requests_of_clients() {
        let call = Rc::new(crate::filter::call::tests::mirror());
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}"#;
        let mut origin = crate::filter::service::tests::origin();
        let caller = Caller { proof: crate::tenancy::Proof::Own, ..(*origin.caller).clone() };
        origin.caller = Rc::new(caller);
        let mut own = crate::filter::arrived::open(&call, body.into(), origin).unwrap();
        let (at, _) = own.begin(0).unwrap();
        own.attempts.spend(at, spent(1, 2, Some(3), true));
        own.answered(at, 9);
        let (service, told) = service();
        service.count_request(&own, 10);
        let news = news(&told);
        let spend = "waypost_spend_nano_usd;tenant=gateway;provider=b;model=claude-sonnet-4-5";
        assert_eq!(news.get(spend), Some(&3));
        assert!(!news.keys().any(|name| {
            ["waypost_requests", "duration", "estimated_attempts"]
                .iter()
                .any(|of| name.contains(of))
        }));
    }
}
