//! Framing only: push bytes, get events. Bounded, and without knowledge of JSON.
//!
//! | file | what it is |
//! |---|---|
//! | [`sse`] | server-sent events |
//! | [`aws_event_stream`] | the binary frames of AWS |

pub mod aws_event_stream;
pub mod sse;
