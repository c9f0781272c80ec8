//! Framing only: push bytes, get events. Bounded, and without knowledge of JSON.

pub mod sse;
