//! What each attempt of a request used and cost. It is noted when the attempt ends, once, and stands.
//!
//! | how it ended | input | output |
//! |---|---|---|
//! | a whole answer, whose provider counted | as counted | as counted |
//! | a whole answer, and nobody counted | estimate | a token for [`BYTES_A_TOKEN`] bytes of text |
//! | content flowed, and was cut or its client left | as told so far, else estimate | what was told or the text, whichever is more |
//! | sent, and no answer came, or one that is none, with a good status and without an error | as told so far, else estimate | none |
//! | sent, and the client left before the whole answer came, or it was too long to be read | estimate | as much as was asked for, at most [`DEFAULT_OUTPUT`] of each choice |
//! | refused, not sent, or no connection | nothing | nothing |
//!
//! Whatever was not counted to its end is marked as `estimated`. An answer for which a provider counts no
//! tokens at all, or more than [`MAX_TOLD`], was not counted. A model without a price has no cost, which is not a cost of nothing.

use super::Exchange;
use crate::filter::asked::Asked;
use crate::openai::bill::{self, Bill, Top};
use crate::openai::{Error, Usage};
use crate::providers::catalogue::{NanoUsd, TokenSplit};
use crate::providers::stream::STREAM_CUT;
use crate::routing::estimate::{self, BYTES_A_TOKEN, DEFAULT_OUTPUT, Input, Output};
use crate::routing::{Outcome, Spent, Total};

/// Most tokens that an attempt can have used, a hundred times what any model reads and says. Beyond it
/// somebody miscounted, and the account must not pay for that until its budget's month is over.
const MAX_TOLD: u64 = 1_000_000_000;

/// What a provider counted, if that is a count.
#[must_use]
pub fn counted(usage: Option<Usage>) -> Option<Usage> {
    usage.filter(|usage| (1..=MAX_TOLD).contains(&usage.total()))
}

/// How an attempt ended, as far as its bill goes: a line of the table each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Cut,
    Unanswered,
    Unseen,
    Free,
}

impl Exchange {
    /// What all attempts used and cost: whole when the exchange is closed, and until then without the
    /// attempt under way.
    #[must_use]
    pub fn total(&self) -> Total {
        self.attempts.total()
    }

    /// What a client is told of the cost, if it wants to know: that of all attempts, of which the last
    /// has just ended.
    #[must_use]
    pub fn bill(&self) -> Option<Bill> {
        if !self.parsed.includes_cost() {
            return None;
        }
        let last = self.attempts.tried().last().and_then(|last| last.spent).unwrap_or_default();
        Some(Bill { cost: self.cost_number(), estimated: last.estimated, usage: last.usage })
    }

    /// Puts the bill into the end of a stream, if its client wants to know.
    pub fn bill_in_stream(&self, out: &mut Vec<u8>) {
        let Some(bill) = self.bill() else { return };
        let found = self.attempts.tried().last().and_then(|last| self.candidate(last.candidate));
        let (id, created) = (&*self.origin.request_id, self.origin.created);
        bill.in_stream(
            out,
            Top { id, created, model: found.map_or("", |found| &found.model.name) },
        );
    }

    /// What all attempts cost, as a JSON number, or `null`.
    pub(super) fn cost_number(&self) -> String {
        self.total().cost().map_or_else(|| "null".to_owned(), NanoUsd::number)
    }

    /// The attempt under way has used this so far, where its provider said so, and has given the client
    /// so many bytes of text.
    pub const fn told(&mut self, usage: Option<Usage>, text_bytes: u64) {
        self.running.usage = usage;
        self.running.text_bytes = text_bytes;
        self.running.sent = true;
    }

    /// The attempt under way is answered like this, or begins to be. Where the answer names another
    /// model of the provider that has a price, it is that one's.
    pub fn answered_by(&mut self, answer: &[u8]) {
        let last = self.attempts.tried().last().map(|last| last.candidate);
        let Some(found) = last.and_then(|last| self.candidate(last)) else { return };
        let another = |name: &str| name != found.model.name && found.provider.model(name).is_some();
        let name = bill::answering(answer, another);
        if let Some(price) = name.and_then(|name| found.provider.model(name)?.price()) {
            self.running.price = Some(price);
        }
    }

    /// The attempt under way has a connection, or an answer came over one.
    pub const fn sent(&mut self) {
        self.running.sent = true;
    }

    /// The attempt under way has got an answer that is too long to be read.
    pub const fn unread(&mut self) {
        self.running.unread = true;
    }

    /// The attempt under way has got a good status and something that can be no answer, and that says
    /// of no error either: its provider takes it for one, and may say what it used.
    pub const fn garbled(&mut self, usage: Option<Usage>) {
        self.running.usage = usage;
        self.running.garbled = true;
    }

    /// Whether an attempt waits for an answer of which nothing has come.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.running.sent
            && self.attempts.tried().last().is_some_and(|last| last.outcome == Outcome::Pending)
    }

    /// How an attempt that fails now ends. `error` is nothing where Envoy gave it up.
    pub(super) fn failing(&self, attempt: usize, error: Option<&Error>) -> End {
        match self.attempts.outcome(attempt) {
            Some(Outcome::Flowing) => End::Cut,
            Some(Outcome::Pending) if self.running.unread => End::Unseen,
            Some(Outcome::Pending) if self.running.garbled => End::Unanswered,
            Some(Outcome::Pending) if self.running.sent => match error {
                // What else a provider says is why it does not answer.
                Some(error) if error.code.as_deref() != Some(STREAM_CUT) => End::Free,
                _ => End::Unanswered,
            },
            _ => End::Free,
        }
    }

    /// Notes what an attempt used.
    pub(super) fn reckon(&mut self, attempt: usize, end: End) {
        if end != End::Free
            && let Some(spent) = self.used(attempt, end)
        {
            self.attempts.spend(attempt, spent);
        }
    }

    /// Notes what attempts used that have not ended. Nobody waits for them any more.
    pub(super) fn reckon_left(&mut self) {
        let Some(last) = self.attempts.tried().len().checked_sub(1) else { return };
        let end = match self.attempts.outcome(last) {
            Some(Outcome::Flowing) => End::Cut,
            Some(Outcome::Pending) if !self.running.sent => End::Free,
            Some(Outcome::Pending) if self.parsed.stream() => End::Unanswered,
            Some(Outcome::Pending) => End::Unseen,
            _ => End::Free,
        };
        self.reckon(last, end);
    }

    fn used(&self, attempt: usize, end: End) -> Option<Spent> {
        let at = self.attempts.tried().get(attempt)?.candidate;
        let model = self.candidate(at)?.model;
        let text = self.running.text_bytes / BYTES_A_TOKEN;
        let choices = self.wanted().choices;
        let guess = |output| Some(estimate::usage(model, self.estimated_input()?, output, choices));
        let told = counted(self.running.usage);
        let said = told.map_or(text, |told| told.output.max(text));
        let (mut usage, estimated) = match (end, told) {
            (End::Whole, Some(told)) => (told, false),
            (_, Some(told)) if told.prompt() > 0 => (Usage { output: said, ..told }, true),
            (End::Whole | End::Cut, _) => (guess(said)?, true),
            (End::Unseen, _) => (guess(self.unseen_output())?, true),
            (End::Unanswered | End::Free, _) => (guess(0)?, true),
        };
        let price = self.running.price.as_ref();
        if price.is_some_and(|price| price.rates(usage.prompt()).cache_write_12h.is_some()) {
            usage.cache_write_12h = self.kept_for_hours(&usage);
        }
        let cost = price.map(|price| price.cost(&TokenSplit::from(&usage)));
        Some(Spent { usage, cost, estimated })
    }

    /// Nothing for what has no tokens.
    pub(super) fn estimated_input(&self) -> Option<Input> {
        match &self.parsed {
            Asked::Chat(parsed) => Some(estimate::chat(parsed.chat())),
            Asked::Embeddings(parsed) => Some(estimate::embeddings(&parsed.asked().input)),
            Asked::Models => None,
        }
    }

    /// How much output it allows.
    pub(super) fn wanted(&self) -> Output {
        match &self.parsed {
            Asked::Chat(parsed) => Output::of(parsed.chat()),
            Asked::Embeddings(_) | Asked::Models => Output { tokens: Some(0), choices: 1 },
        }
    }

    fn unseen_output(&self) -> u64 {
        let Output { tokens, choices } = self.wanted();
        tokens.unwrap_or(DEFAULT_OUTPUT).min(DEFAULT_OUTPUT).saturating_mul(choices)
    }

    /// How much was written to a cache for twelve hours. Where that is on offer no answer tells for how
    /// long it was; a request that asks for it anywhere is taken to ask for it everywhere.
    fn kept_for_hours(&self, usage: &Usage) -> u64 {
        let asked =
            usage.cache_write > 0 && memchr::memmem::find(self.parsed.body(), b"\"12h\"").is_some();
        if asked { usage.cache_write - usage.cache_write_1h.min(usage.cache_write) } else { 0 }
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
    use crate::config::rule::Operation;
    use crate::filter::service::tests::{alone, open};
    use crate::openai::Class;
    use crate::providers::Headers;
    use crate::providers::stream::cut_short;

    /// Of every thousand nano-dollars of a bill, one is a token in; a million is one out.
    fn exchange(body: &str) -> Exchange {
        exchange_with(&Headers::default(), body)
    }

    fn exchange_with(headers: &Headers<'_>, body: &str) -> Exchange {
        let price = json!({"input_usd_per_mtok": 1, "output_usd_per_mtok": 1000, "cached_input_usd_per_mtok": 0.1});
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"m": {"price": price}}},
                "b": {"api": "openai", "endpoints": [{"cluster": "b"}], "models": {"m": {"price": {"input_usd_per_mtok": 0, "output_usd_per_mtok": 0}}}},
                "c": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"m": {}}},
            },
            "rules": [{"name": "all", "targets": ["a/m", "b/m", "c/m"]}],
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let service = alone(Rc::from(gateway));
        open(&service, Operation::Chat, headers, body).unwrap()
    }

    fn body(fields: &str) -> String {
        let text = "abcd".repeat(100);
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]{fields}}}"#)
    }

    fn told(input: u64, output: u64) -> Option<Usage> {
        Some(Usage { uncached_input: input, output, ..Usage::default() })
    }

    /// Input, output and whether they are a guess.
    fn spent(exchange: &Exchange, attempt: usize) -> Option<(u64, u64, bool)> {
        let spent = exchange.attempts.tried().get(attempt)?.spent.as_ref()?;
        Some((spent.usage.prompt(), spent.usage.output, spent.estimated))
    }

    fn after(fields: &str, what: impl FnOnce(&mut Exchange)) -> Option<(u64, u64, bool)> {
        let mut exchange = exchange(&body(fields));
        exchange.begin(0).unwrap();
        what(&mut exchange);
        exchange.close();
        let spent = spent(&exchange, 0);
        let nano = spent.map_or(0, |(input, output, _)| input * 1_000 + output * 1_000_000);
        assert_eq!(exchange.total().cost(), Some(NanoUsd(nano)));
        spent
    }

    fn down() -> Error {
        Error::new(Class::Server, "down")
    }

    const STREAM: &str = r#","stream":true"#;

    #[test]
    fn a_whole_answer_costs_what_was_counted_and_else_an_estimate() {
        let answered = |usage, text| {
            after("", |exchange| {
                exchange.told(usage, text);
                exchange.answered(0, 1);
            })
        };
        assert_eq!(answered(told(7, 3), 4_000), Some((7, 3, false)));
        assert_eq!(answered(None, 4_000), Some((100, 1_000, true)));
        assert_eq!(answered(told(0, 0), 4_000), Some((100, 1_000, true)));
        assert_eq!(answered(told(0, MAX_TOLD), 8), Some((0, MAX_TOLD, false)));
        // A count of -1 that somebody wrote as an unsigned number.
        assert_eq!(answered(told(7, u64::MAX), 8), Some((100, 2, true)));
        assert_eq!(answered(told(MAX_TOLD, 1), 8), Some((100, 2, true)));
    }

    #[test]
    fn a_stream_that_is_cut_costs_what_it_told_and_what_was_heard_of_it() {
        let cut = |usage, text| {
            after(STREAM, |exchange| {
                exchange.told(usage, text);
                exchange.flows(0, 1);
                exchange.gone(0, Some(200), 2);
            })
        };
        let left = |usage, text| {
            after(STREAM, |exchange| {
                exchange.told(usage, text);
                exchange.flows(0, 1);
            })
        };
        for cut in [&cut as &dyn Fn(Option<Usage>, u64) -> _, &left] {
            assert_eq!(cut(told(7, 1), 400), Some((7, 100, true)));
            assert_eq!(cut(told(7, 300), 400), Some((7, 300, true)));
            assert_eq!(cut(None, 400), Some((100, 100, true)));
            assert_eq!(cut(told(0, 300), 400), Some((100, 300, true)));
        }
        let silent = after(STREAM, |exchange| {
            exchange.told(None, 40);
            exchange.flows(0, 1);
            exchange.silent(2);
        });
        assert_eq!(silent, Some((100, 10, true)));
        let broken = after(STREAM, |exchange| {
            exchange.flows(0, 1);
            exchange.told(told(9, 0), 80);
            exchange.failed(0, Some(200), &down(), 2);
        });
        assert_eq!(broken, Some((9, 20, true)));
    }

    #[test]
    fn a_request_without_an_answer_costs_its_input_once_it_was_sent() {
        let lost = |sent: bool| {
            after("", |exchange| {
                if sent {
                    exchange.sent();
                }
                exchange.gone(0, None, 2);
            })
        };
        assert_eq!((lost(false), lost(true)), (None, Some((100, 0, true))));
        let ended = after(STREAM, |exchange| {
            exchange.told(told(8, 1), 0);
            exchange.failed(0, Some(200), &cut_short(), 2);
        });
        assert_eq!(ended, Some((8, 1, true)));
    }

    #[test]
    fn a_client_that_leaves_before_the_answer_pays_for_what_is_made_in_vain() {
        let left = |fields| after(fields, Exchange::sent);
        assert_eq!(left(""), Some((100, 1_000, true)));
        assert_eq!(left(r#","max_tokens":7"#), Some((100, 7, true)));
        assert_eq!(left(r#","max_tokens":70000"#), Some((100, 1_000, true)));
        assert_eq!(left(r#","max_tokens":7,"n":3"#), Some((100, 21, true)));
        assert_eq!(left(STREAM), Some((100, 0, true)));
        assert_eq!(after("", |_| ()), None);
        let begun = after(STREAM, |exchange| exchange.told(told(8, 1), 0));
        assert_eq!(begun, Some((8, 1, true)));
        let garbage = |usage| {
            after(r#","max_tokens":7"#, |exchange| {
                exchange.sent();
                exchange.garbled(usage);
                exchange.failed(0, Some(200), &down(), 2);
            })
        };
        assert_eq!(garbage(None), Some((100, 0, true)));
        assert_eq!(garbage(told(50, 5)), Some((50, 5, true)));
        let long = after(r#","max_tokens":7"#, |exchange| {
            exchange.sent();
            exchange.unread();
            exchange.failed(0, Some(200), &down(), 2);
        });
        assert_eq!(long, Some((100, 7, true)));
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let refused = |usage| {
            after(STREAM, |exchange| {
                exchange.told(usage, 0);
                exchange.failed(0, Some(529), &down(), 2);
            })
        };
        assert_eq!((refused(None), refused(told(8, 1))), (None, None));
    }

    #[test]
    fn each_attempt_is_charged_where_it_was_made_and_once() {
        let mut exchange = exchange(&body(""));
        exchange.begin(0).unwrap();
        exchange.sent();
        exchange.gone(0, None, 1);
        exchange.begin(2).unwrap();
        exchange.told(told(50, 5), 0);
        exchange.answered(1, 3);
        exchange.told(told(99, 99), 99);
        exchange.answered(1, 4);
        exchange.failed(1, None, &down(), 4);
        let total = exchange.total();
        exchange.close();
        exchange.gone(1, None, 5);
        exchange.close();
        assert_eq!(exchange.total(), total);
        assert_eq!(
            (spent(&exchange, 0), spent(&exchange, 1)),
            (Some((100, 0, true)), Some((50, 5, false)))
        );
        // The second model is free by its configuration.
        assert_eq!((total.cost(), total.estimated), (Some(NanoUsd(100_000)), true));
        assert_eq!((total.usage.prompt(), total.usage.output), (150, 5));
    }

    #[test]
    fn a_model_without_a_price_has_no_cost_and_is_not_free() {
        let mut exchange = exchange(&body(""));
        for at in 0..3 {
            exchange.begin(0).unwrap();
            exchange.told(told(10, 1), 0);
            if at < 2 {
                exchange.failed(at, Some(200), &cut_short(), 1);
            } else {
                exchange.answered(at, 1);
            }
        }
        let total = exchange.total();
        assert_eq!((total.cost(), total.unpriced), (None, true));
        assert_eq!(total.priced, NanoUsd(10_000 + 1_000_000));
        let costs: Vec<_> =
            exchange.attempts.tried().iter().map(|tried| tried.spent.unwrap().cost).collect();
        assert_eq!(costs, [Some(NanoUsd(1_010_000)), Some(NanoUsd(0)), None]);
    }

    #[test]
    fn an_answer_of_another_model_has_the_price_of_that_one() {
        let price =
            |usd: u64| json!({"price": {"input_usd_per_mtok": usd, "output_usd_per_mtok": usd}});
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {"a": {"api": "openrouter", "endpoints": [{"cluster": "a"}],
                "models": {"auto": {}, "cheap": price(1), "dear": price(50), "unknown": {}}}},
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let service = alone(Rc::from(gateway));
        let cost = |asked: &str, answer: &str| {
            let body =
                format!(r#"{{"model":"{asked}","messages":[{{"role":"user","content":"x"}}]}}"#);
            let mut exchange = open(&service, Operation::Chat, &Headers::default(), &body).unwrap();
            exchange.begin(0).unwrap();
            exchange.told(told(10, 0), 0);
            exchange.answered_by(answer.as_bytes());
            exchange.answered(0, 1);
            exchange.total().cost().map(|cost| cost.0)
        };
        for answer in [
            r#"{"id":"x","model":"dear","choices":[]}"#,
            r#"{"choices":[{"message":{"content":"\"model\":\"cheap\""}}],"model" : "dear"}"#,
            "data: {\"id\":\"x\",\"model\":\"dear\",\"choices\":[]}\n\ndata: {\"model\":\"cheap\"}\n\n",
        ] {
            assert_eq!(
                (cost("cheap", answer), cost("auto", answer)),
                (Some(500_000), Some(500_000))
            );
        }
        for answer in [
            r#"{"model":"cheap-2026-01-01"}"#,
            r#"{"model":"unknown"}"#,
            r#"{"model":"cheap"}"#,
            r#"{"choices":[{"model":"dear"}],"model":"cheap"}"#,
            r#"{"model":"dear""#,
            r#"{"model":7}"#,
            "",
            "data: ",
        ] {
            assert_eq!(
                (cost("cheap", answer), cost("auto", answer).is_none()),
                (Some(10_000), answer != r#"{"model":"cheap"}"#),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_client_that_asks_is_told_what_all_attempts_cost() {
        let header = [("x-waypost-cost", "include")].into_iter().collect::<Headers<'_>>();
        let asks = [(r#","usage":{"include":true}"#, Headers::default()), ("", header)];
        for (fields, headers) in asks {
            let mut exchange = exchange_with(&headers, &body(fields));
            exchange.begin(0).unwrap();
            exchange.sent();
            exchange.gone(0, None, 1);
            exchange.begin(2).unwrap();
            exchange.told(told(50, 5), 0);
            exchange.answered(1, 3);
            let bill = exchange.bill().unwrap();
            assert_eq!((&*bill.cost, bill.estimated, bill.usage.output), ("0.0001", false, 5));
            let headers = exchange.signature(&[]);
            assert!(headers.contains(&("x-waypost-cost-usd", "0.0001".to_owned())), "{headers:?}");
        }
        for fields in ["", r#","usage":{"include":false}"#, r#","usage":{}"#, r#","usage":null"#] {
            let exchange = exchange(&body(fields));
            assert!(exchange.bill().is_none(), "{fields}");
            assert!(exchange.signature(&[]).iter().all(|(name, _)| *name != "x-waypost-cost-usd"));
        }
    }

    #[test]
    fn a_stream_is_billed_in_its_last_chunk_and_not_in_its_headers() {
        let mut exchange = exchange(&body(r#","stream":true,"usage":{"include":true}"#));
        exchange.begin(0).unwrap();
        exchange.told(told(10, 1), 0);
        exchange.flows(0, 1);
        assert!(exchange.signature(&[]).iter().all(|(name, _)| *name != "x-waypost-cost-usd"));
        exchange.answered(0, 2);
        let mut out = b"data: [DONE]\n\n".to_vec();
        exchange.bill_in_stream(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(r#""model":"m","choices":[],"usage":{"prompt_tokens":10,"#),
            "{text}"
        );
        assert!(text.contains(r#""cost":0.00101}"#), "{text}");
    }

    #[test]
    fn what_is_kept_for_twelve_hours_is_known_by_the_request() {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {"a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-6-sol": {}}}},
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let service = alone(Rc::from(gateway));
        for (breakpoint, nano) in [("30m", 2_500_000), ("12h", 5_000_000)] {
            let body = format!(
                r#"{{"model":"gpt-6-sol","messages":[{{"role":"user","content":[{{"type":"text","text":"x","prompt_cache_breakpoint":{{"mode":"explicit","ttl":"{breakpoint}"}}}}]}}]}}"#
            );
            let mut exchange = open(&service, Operation::Chat, &Headers::default(), &body).unwrap();
            exchange.begin(0).unwrap();
            exchange.told(Some(Usage { cache_write: 1_000, ..Usage::default() }), 0);
            exchange.answered(0, 1);
            assert_eq!(exchange.total().cost(), Some(NanoUsd(nano)), "{breakpoint}");
        }
    }
}
