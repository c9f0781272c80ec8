//! Copies of clients' requests, sent to another target for comparison. Whatever becomes of one, the
//! client does not notice: it is sent when the client's request is on its way, nobody waits for it,
//! and it is left out rather than take the room of clients' requests.

use std::rc::Rc;
use std::time::Duration;

use super::call::{self, Ask, Call, Purpose};
use super::callout::{self, Started};
use super::exchange::Exchange;
use super::shared;
use crate::config::rule::{Operation, Timeouts};

/// Most mirrored requests of a worker that are under way at a time.
pub const MAX_MIRRORS: usize = 64;

/// Longest body that is mirrored, in bytes.
pub const MAX_MIRRORED_BYTES: usize = 1 << 20;

/// Sends the copy of a request that has just been released, if its plan wants one.
pub fn send(exchange: &Exchange, operation: Operation) {
    let Some(candidate) = exchange.mirror else { return };
    let (service, gateway) = (exchange.service(), &exchange.gateway);
    let body = exchange.parsed.body();
    // Half of what may be held stays for clients: they would be refused for it otherwise.
    let room = shared::held().saturating_add(body.len() as u64) <= gateway.limits.held / 2;
    let few = call::under_way(|all| all.mirrors() < MAX_MIRRORS);
    let (Some(cluster), true) =
        (&gateway.loopback, room && few && body.len() <= MAX_MIRRORED_BYTES)
    else {
        return service.mirrored(candidate, Fate::Dropped.word());
    };
    // The attempt's own time ends first, so that it counts for the target.
    let total = exchange.timeouts.answer.saturating_add(AFTER);
    let call = Call {
        service: Rc::clone(service),
        candidate,
        ask: Ask::Body(operation),
        purpose: Purpose::Mirror(exchange.origin.request_id.clone()),
        rule: exchange.rule.clone(),
        timeouts: Timeouts { total, ..exchange.timeouts },
    };
    let path = match operation {
        Operation::Chat => "/v1/chat/completions",
        Operation::Embeddings => "/v1/embeddings",
    };
    let outcome = match callout::send(cluster, call, "POST", path, body) {
        Started::Sent => Fate::Sent,
        Started::Full => Fate::Dropped,
        Started::Refused => Fate::Failed,
    };
    service.mirrored(candidate, outcome.word());
}

/// How much longer than its attempt a call of ours may take.
pub const AFTER: Duration = Duration::from_secs(1);

/// What becomes of copies, as they are counted.
#[derive(Clone, Copy)]
enum Fate {
    /// It was sent.
    Sent,
    /// It was left out.
    Dropped,
    /// It was sent and got no whole answer, or could not be sent.
    Failed,
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// Counts a copy that was sent and got no whole answer.
pub fn failed(call: &Call) {
    call.service.mirrored(call.candidate, Fate::Failed.word());
}
