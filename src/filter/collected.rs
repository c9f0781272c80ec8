//! A body that is read to its end before anything is done with it.

use super::host::Packed;
use super::shared::Share;
use crate::openai::{Class, Error};

/// Most bytes of a refusal that are read; what follows says nothing new.
pub const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// Longest answer that is not streamed, in bytes, as the provider sends it and as the client gets
/// it.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Most bytes of answers, refusals among them, that a worker reads to their end at a time. The
/// memory of its module ends at 1 GiB, and reaching that would cut every stream of the worker.
pub const MAX_ANSWERS_BYTES: usize = 128 << 20;

/// Longest answer that is left in Envoy's buffer until it is whole: fewer calls to the host, and
/// far below the smallest buffer.
pub const MAX_LEFT_BYTES: usize = 64 << 10;

/// The code of the error when this worker has no room for an answer, which is not its provider's
/// fault.
pub const NO_ROOM: &str = "gateway_overloaded";

/// What has arrived of an answer's body.
pub struct Collected {
    /// The answer's headers.
    pub headers: Packed,
    /// What was kept of the body.
    pub body: Vec<u8>,
    /// Whether it stays in Envoy's buffer until it is whole.
    pub left: bool,
    limit: usize,
    share: Share,
    /// Why it is not whole, if it is not.
    pub overflow: Option<Overflow>,
}

/// Why a body was not kept whole.
#[derive(Clone, Copy, Debug)]
pub enum Overflow {
    /// It is longer than its own limit; the beginning is kept.
    Body,
    /// The worker has no room for more answers; nothing is kept.
    Worker,
}

impl Collected {
    /// Nothing yet, of at most `limit` bytes.
    pub fn new(headers: Packed, limit: usize) -> Self {
        let (left, body) = (false, Vec::new());
        Self { headers, body, left, limit, share: Share::default(), overflow: None }
    }

    /// Adds the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.body.len());
        if bytes.len() > room {
            self.overflow = self.overflow.or(Some(Overflow::Body));
        }
        let kept = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if self.share.grow(kept.len(), MAX_ANSWERS_BYTES) {
            self.body.extend_from_slice(kept);
        } else {
            self.overflow = Some(Overflow::Worker);
            self.limit = 0;
            self.body = Vec::new();
            self.share = Share::default();
        }
    }
}

impl Overflow {
    /// What becomes of the attempt.
    pub fn error(self) -> Error {
        match self {
            Self::Body => Error::new(
                Class::Server,
                format!("the provider's answer is longer than {} MiB", MAX_ANSWER_BYTES >> 20),
            ),
            Self::Worker => Error::new(
                Class::Overloaded,
                format!(
                    "this gateway reads {} MiB of answers at the moment",
                    MAX_ANSWERS_BYTES >> 20
                ),
            )
            .with_code(NO_ROOM),
        }
    }
}
