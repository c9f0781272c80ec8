//! Framing only: push bytes, get events. Bounded, and without knowledge of JSON.

pub mod aws_event_stream;
pub mod sse;
