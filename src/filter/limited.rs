//! What a client is told of limits: `x-ratelimit-*` as OpenAI writes them, and refusals.

use super::alerts::usd;
use crate::openai::{Class, Error};
use crate::providers::catalogue::NanoUsd;
use crate::store::Millis;
use crate::telemetry::metrics::accounts;
use crate::tenancy::{Exceeded, Kind, Remaining, What, Window};

/// How long whoever has too many requests under way is told to wait, in milliseconds: nobody knows when
/// one of them ends.
const UNDER_WAY_MS: u64 = 1_000;

/// The headers of an answer where limits hold: of several, the tightest.
#[must_use]
pub fn headers(remaining: &Remaining) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    let names = [
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ];
    let of_tokens =
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
    for ([limit, left, reset], told) in
        [(names, &remaining.requests), (of_tokens, &remaining.tokens)]
    {
        let Some(told) = told else { continue };
        headers.push((limit, told.limit.to_string()));
        headers.push((left, told.remaining.to_string()));
        headers.push((reset, time(told.reset)));
    }
    headers
}

/// A time as OpenAI writes it, and Go: `6m0s`, `1.5s`, `120ms`, `0s`.
#[must_use]
pub fn time(millis: Millis) -> String {
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    if seconds == 0 && rest > 0 {
        return format!("{rest}ms");
    }
    let mut text = String::new();
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if seconds >= 60 {
        text.push_str(&format!("{minutes}m"));
    }
    text.push_str(&(seconds % 60).to_string());
    if rest > 0 {
        let digits = format!(".{rest:03}");
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('s');
    text
}

/// The word for a limit in metrics and records: as the configuration has it.
#[must_use]
pub const fn word(what: What) -> &'static str {
    match what {
        What::Requests(Window::Second) => "requests_per_second",
        What::Requests(Window::Minute) => "requests_per_minute",
        What::Requests(Window::Day) => "requests_per_day",
        What::Tokens(Window::Second) => "tokens_per_second",
        What::Tokens(Window::Minute) => "tokens_per_minute",
        What::Tokens(Window::Day) => "tokens_per_day",
        What::Concurrent => "concurrent",
        What::Budget(span) => accounts::budget(span),
    }
}

/// Whose limit it is, without a name: that of a team says nothing of who else is in it.
const fn owner(kind: Kind) -> &'static str {
    match kind {
        Kind::Tenant => "this tenant",
        Kind::Team => "this tenant's team",
        Kind::Tier => "this tenant's tier",
        Kind::User => "this user",
        Kind::Model => "this tenant and model",
        Kind::Provider => "this provider",
    }
}

/// The error for a request that a limit or budget refuses.
#[must_use]
pub fn refusal(exceeded: &Exceeded) -> Error {
    let Exceeded { what, limit, wanted, wait, .. } = exceeded;
    let owner = owner(exceeded.subject.kind);
    let again = wait.map_or_else(String::new, |wait| format!(" Try again in {}.", time(wait)));
    let bound = match what {
        What::Requests(window) => format!("{limit} requests a {}", window.word()),
        What::Tokens(window) => format!("{limit} tokens a {}", window.word()),
        What::Concurrent => format!("{limit} requests at a time"),
        What::Budget(span) => format!("{} USD a {}", usd(NanoUsd(*limit)), span.word()),
    };
    let (kind, message) = match (what, wait) {
        (What::Budget(span), _) => {
            let wanted = usd(NanoUsd(*wanted));
            let message = match wait {
                Some(wait) => format!(
                    "The budget of {owner} is used up: {bound}. This request may cost {wanted} USD. The next {} begins in {}.",
                    span.word(),
                    time(*wait)
                ),
                None => format!(
                    "This request may cost {wanted} USD, more than the whole budget of {owner}: {bound}."
                ),
            };
            let error = Error::new(Class::Quota, message)
                .with_code("budget_exceeded")
                .with_status(exceeded.status);
            // Clients try again by themselves what has this status, and would all day.
            let retry_after_ms = wait.filter(|_| exceeded.status == 429);
            return Error { retry_after_ms, should_retry: Some(false), ..error };
        }
        (What::Concurrent, _) => {
            ("requests", format!("Rate limit reached for {owner}: {bound}. Try again shortly."))
        }
        (What::Requests(_), _) => {
            ("requests", format!("Rate limit reached for {owner}: {bound}.{again}"))
        }
        (What::Tokens(_), Some(_)) => (
            "tokens",
            format!(
                "Rate limit reached for {owner}: {bound}. This request needs about {wanted}.{again}"
            ),
        ),
        (What::Tokens(_), None) => (
            "tokens",
            format!(
                "Request too large for {owner}: {bound}. This request needs about {wanted}, and can never have them; shorten it, or set a lower max_tokens."
            ),
        ),
    };
    let retry_after_ms = match what {
        What::Concurrent => Some(UNDER_WAY_MS),
        _ => *wait,
    };
    let should_retry = retry_after_ms.is_none().then_some(false);
    let error = Error::new(Class::RateLimit, message);
    Error { kind: kind.into(), retry_after_ms, should_retry, ..error }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::rc::Rc;

    use super::*;
    use crate::tenancy::{Exhausted, Left, Limits, Span, Subject, Terms};

    fn exceeded(kind: Kind, what: What, limit: u64, wait: Option<u64>) -> Exceeded {
        let limits = Limits { concurrent: Some(1), ..Limits::default() };
        let terms = Rc::new(Terms { limits, ..Terms::default() });
        Exceeded {
            subject: Subject::new(kind, "secret", &terms).unwrap(),
            what,
            limit,
            wanted: 2_500_000_000,
            wait,
            remaining: Remaining::default(),
            on_exhausted: Exhausted::Reject,
            status: 429,
            first: false,
        }
    }

    #[test]
    fn times_are_written_as_openai_writes_them() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (120, "120ms"),
            (1_000, "1s"),
            (8_640, "8.64s"),
            (59_999, "59.999s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
            (86_400_000, "24h0m0s"),
            (90_061_500, "25h1m1.5s"),
        ] {
            assert_eq!(time(millis), text);
        }
    }

    #[test]
    fn the_tightest_limits_are_told_and_nothing_where_none_holds() {
        assert!(headers(&Remaining::default()).is_empty());
        let left = Left { window: Window::Minute, limit: 60, remaining: 59, reset: 1_000 };
        let told = headers(&Remaining { requests: Some(left), tokens: None });
        assert_eq!(
            told,
            [
                ("x-ratelimit-limit-requests", "60".to_owned()),
                ("x-ratelimit-remaining-requests", "59".to_owned()),
                ("x-ratelimit-reset-requests", "1s".to_owned()),
            ]
        );
    }

    #[test]
    fn a_refusal_names_the_limit_its_owner_and_when_to_ask_again() {
        let what = What::Requests(Window::Minute);
        let error = refusal(&exceeded(Kind::Team, what, 600, Some(120)));
        assert_eq!(
            error.message,
            "Rate limit reached for this tenant's team: 600 requests a minute. Try again in 120ms."
        );
        assert_eq!((error.status, &*error.kind), (429, "requests"));
        assert_eq!(error.code.as_deref(), Some("rate_limit_exceeded"));
        let advice: Vec<_> = error.advice().collect();
        let wanted = [("retry-after", "1".to_owned()), ("retry-after-ms", "120".to_owned())];
        assert_eq!(advice, wanted);
    }

    #[test]
    fn what_never_fits_is_not_to_be_tried_again() {
        let error = refusal(&exceeded(Kind::User, What::Tokens(Window::Day), 5, None));
        assert_eq!((&*error.kind, error.should_retry), ("tokens", Some(false)));
        assert!(error.message.starts_with("Request too large for this user: 5 tokens a day."));
        assert_eq!(error.retry_after_ms, None);
    }

    #[test]
    fn nobody_knows_when_a_request_under_way_ends() {
        let error = refusal(&exceeded(Kind::Tier, What::Concurrent, 3, None));
        assert_eq!((&*error.kind, error.retry_after_ms), ("requests", Some(UNDER_WAY_MS)));
        assert!(error.message.contains("this tenant's tier: 3 requests at a time"));
    }

    #[test]
    fn a_budget_says_when_the_next_one_begins() {
        let what = What::Budget(Span::Month);
        let mut over = exceeded(Kind::Tenant, what, 1_000_000_000_000, Some(3_600_000));
        let error = refusal(&over);
        assert_eq!(
            error.message,
            "The budget of this tenant is used up: 1000.00 USD a month. This request may cost 2.50 USD. The next month begins in 1h0m0s."
        );
        assert_eq!((error.status, &*error.kind), (429, "insufficient_quota"));
        assert_eq!(error.code.as_deref(), Some("budget_exceeded"));
        assert_eq!((error.retry_after_ms, error.should_retry), (Some(3_600_000), Some(false)));
        over.status = 402;
        let error = refusal(&over);
        assert_eq!((error.status, error.retry_after_ms), (402, None));
    }
}
