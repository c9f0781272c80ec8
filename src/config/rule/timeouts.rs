//! How long to wait.

use std::time::Duration;

use crate::config::reader::{Node, Problems, show};

/// How long to wait. The time to connect is not here: it is the cluster's `connect_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the connection to the first content of a stream, for each attempt.
    pub first_token: Duration,
    /// From the connection to the end of an answer that is not streamed, for each attempt.
    pub answer: Duration,
    /// Between two pieces of a stream.
    pub idle: Duration,
    /// For the whole request, all attempts together.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_token: Duration::from_secs(60),
            answer: Duration::from_secs(300),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(900),
        }
    }
}

/// Reads `timeouts`, on top of those that hold without it.
pub fn read_timeouts(node: &Node<'_>, mut timeouts: Timeouts, problems: &mut Problems) -> Timeouts {
    let (low, high) = (Duration::from_millis(10), Duration::from_secs(24 * 3600));
    let mut fields = node.fields(problems);
    let mut said = Vec::new();
    for (name, place) in [
        ("first_token", &mut timeouts.first_token),
        ("answer", &mut timeouts.answer),
        ("idle", &mut timeouts.idle),
        ("total", &mut timeouts.total),
    ] {
        if let Some(node) = fields.take(name)
            && let Some(time) = node.duration(low, high, problems)
        {
            *place = time;
            said.push(name);
        }
    }
    if let Some(node) = fields.take("connect") {
        problems.add(
            node.path,
            "the time to connect cannot differ by rule: set connect_timeout on the Envoy cluster",
        );
    }
    fields.finish(problems);
    let total = timeouts.total;
    for (name, time) in
        [("first_token", &mut timeouts.first_token), ("answer", &mut timeouts.answer)]
    {
        if *time > total && said.contains(&name) {
            problems.say(
                &node.path,
                format_args!(
                    "{name} ({}) is longer than total ({}) and could never be reached",
                    show(*time),
                    show(total)
                ),
            );
        }
        // Whoever shortens the whole need not repeat the parts.
        *time = (*time).min(total);
    }
    timeouts
}
