//! An attempt in a record, and who was not asked.

use super::content::words;
use super::writer::Writer;
use crate::config::Gateway;
use crate::config::audit::Audit;
use crate::filter::exchange::Exchange;
use crate::routing::{Attempt, Candidate, Outcome, Skipped};

/// Longest reason of an attempt, in bytes as written.
pub const MAX_REASON_BYTES: usize = 200;

/// More than the longest attempt, in bytes: the last one, which mostly is the one that answered, is
/// never left out.
pub(super) const MAX_ATTEMPT_BYTES: usize = 3 << 10;

/// All attempts, in order. Those that do not fit are left out, but for the last.
pub(super) fn attempts(record: &mut Writer, exchange: &Exchange) {
    let tried = exchange.attempts.tried();
    let first = tried.first().map_or(0, |first| first.began);
    record.open("attempts", b'[');
    for (at, attempt) in tried.iter().enumerate() {
        let room = if at + 1 == tried.len() { 0 } else { MAX_ATTEMPT_BYTES };
        record.entry(room, &mut |record| {
            record.open("", b'{');
            let candidate = exchange.attempts.candidates().get(attempt.candidate);
            if let Some(candidate) = candidate {
                whom(record, *candidate, &exchange.gateway);
            }
            record.text("rule", &exchange.rule);
            tried_at(record, attempt, first, &exchange.gateway.audit);
            record.close(b'}');
        });
    }
    record.close(b']');
}

fn tried_at(record: &mut Writer, attempt: &Attempt, first: u64, audit: &Audit) {
    let since = |end: u64| end.saturating_sub(attempt.began) / 1_000_000;
    record.number("at_ms", attempt.began.saturating_sub(first) / 1_000_000);
    record.maybe_number("ms", attempt.ended.map(since));
    record.maybe_number("connect_ms", attempt.connect.map(|nanos| nanos / 1_000_000));
    record.maybe_number("first_token_ms", attempt.first_content.map(since));
    record.maybe_number("provider_ms", attempt.told_millis);
    match &attempt.outcome {
        Outcome::Answered => record.text("outcome", "answered"),
        Outcome::Pending | Outcome::Flowing => record.text("outcome", "unfinished"),
        Outcome::Failed { status, class, reason } => {
            record.text("outcome", "failed");
            record.maybe_number("status", status.map(u64::from));
            record.text("class", class.word());
            words(record, "reason", reason, MAX_REASON_BYTES, audit);
        }
    }
    if let Some(spent) = &attempt.spent {
        let usage = &spent.usage;
        record.number("input_tokens", usage.prompt());
        record.number("output_tokens", usage.output);
        for (name, count) in [
            ("cached_tokens", usage.cache_read),
            ("cache_write_tokens", usage.cache_write),
            ("reasoning_tokens", usage.reasoning),
        ] {
            record.maybe_number(name, Some(count).filter(|count| *count > 0));
        }
        if spent.estimated {
            record.flag("estimated", true);
        }
        record.money("cost_usd", spent.cost);
        if spent.cost.is_none() {
            record.flag("unpriced", true);
        }
    }
    record.maybe("key_id", attempt.key.as_deref());
    record.maybe("provider_request_id", attempt.provider_request_id.as_deref());
    record.maybe_number("warnings", Some(attempt.warnings as u64).filter(|count| *count > 0));
}

/// Who was not asked, and why.
pub(super) fn skipped(
    record: &mut Writer,
    skipped: &mut dyn Iterator<Item = &Skipped>,
    gateway: &Gateway,
) {
    let mut skipped = skipped.peekable();
    if skipped.peek().is_none() {
        return;
    }
    record.open("skipped", b'[');
    for skipped in skipped {
        record.entry(0, &mut |record| {
            record.open("", b'{');
            whom(record, skipped.candidate, gateway);
            record.text("why", skipped.why.word());
            record.text_within("reason", &skipped.reason, MAX_REASON_BYTES);
            record.close(b'}');
        });
    }
    record.close(b']');
}

fn whom(record: &mut Writer, candidate: Candidate, gateway: &Gateway) {
    if let Some(found) = candidate.resolve(gateway) {
        record.text("provider", &found.provider.name);
        record.text("endpoint", &found.endpoint.cluster);
        record.text("model", &found.model.name);
    }
}
