//! Why a value was not taken.

use serde::de::Unexpected;
use serde_json::value::RawValue;

/// Why a value was not taken.
#[derive(Debug)]
pub struct Fault(pub(super) String);

impl Fault {
    /// The fault that `said` tells.
    #[must_use]
    pub const fn new(said: String) -> Self {
        Self(said)
    }

    /// The member `name` is there twice.
    #[cold]
    #[must_use]
    pub fn duplicate(name: &str) -> Self {
        Self::new(format!("duplicate field `{name}`"))
    }
}

/// Stands in an error's text before the address of the value that is to blame: of a value that was
/// kept as text the parser knows no place.
pub(super) const MARK: &str = "\u{0}at ";

/// The error for a value that is not what was wanted.
pub(crate) fn misfit(raw: &RawValue, wanted: &str) -> Fault {
    let address = raw.get().as_ptr() as usize;
    let found = unexpected(raw);
    Fault::new(format!("invalid type: {found}, expected {wanted}{MARK}{address:x}"))
}

/// What a raw value is, for the error that it is not what was wanted.
fn unexpected(raw: &RawValue) -> Unexpected<'_> {
    let text = raw.get();
    match text.bytes().next() {
        Some(b'"') => Unexpected::Other("a string"),
        Some(b'[') => Unexpected::Seq,
        Some(b'{') => Unexpected::Map,
        Some(b't') => Unexpected::Bool(true),
        Some(b'f') => Unexpected::Bool(false),
        Some(b'n') => Unexpected::Unit,
        _ => Unexpected::Other("a number"),
    }
}
