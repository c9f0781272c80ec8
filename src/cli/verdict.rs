//! What outside Envoy can be known of an expression.

/// What an expression says of a request, as far as it is known outside Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is true.
    Holds,
    /// It is false, or fails on this request, which counts as false.
    Not,
    /// It asks for this, which only Envoy knows.
    Unknown(String),
}
