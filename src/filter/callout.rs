//! How a request of the gateway to itself is sent.

use super::call::{self, CALL, Call};
use super::host;

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It is under way.
    Sent,
    /// There are too many.
    Full,
    /// Envoy does not take it: no such cluster, or no host in it.
    Refused,
}

/// Sends a call of ours to the cluster that leads to the internal listener.
pub fn send(cluster: &str, call: Call, method: &str, path: &str, body: &[u8]) -> Started {
    let limit = call.timeouts.total;
    let number = host::random();
    if !call::under_way(|all| all.add(call, number, host::monotonic())) {
        return Started::Full;
    }
    let text = number.to_string();
    let headers = [
        (":method", method),
        (":path", path),
        (":authority", "waypost.internal"),
        ("content-type", "application/json"),
        (CALL, &*text),
    ];
    if host::call(cluster, &headers, body, limit).is_some() {
        return Started::Sent;
    }
    call::under_way(|all| all.end(number));
    Started::Refused
}
