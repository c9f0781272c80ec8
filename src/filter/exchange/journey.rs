//! What the record of a request says beside its attempts.

use crate::filter::spoken::Spoken;

/// What happened to a request on its way, beside its attempts.
#[derive(Debug, Default)]
pub struct Journey {
    /// When all of it was here, in nanoseconds of a clock that never goes back.
    pub complete: u64,
    /// What the module did between beginning and end of attempts, in nanoseconds.
    pub inside: u64,
    /// The status of the answer that the client got, or of the final refusal.
    pub status: Option<u16>,
    /// The body that the client got, in bytes.
    pub answer_bytes: u64,
    /// What it says, where the record wants that.
    pub spoken: Option<Box<Spoken>>,
}
