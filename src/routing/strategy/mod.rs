//! How the targets of a rule are ordered. A strategy gives each a key; the smallest is asked first,
//! and equal ones as they are written.
//!
//! | file | smallest for |
//! |---|---|
//! | [`failover`] | the first that is written; says also who fails too often |
//! | [`cost`] | the cheapest for this request |
//! | [`quality`] | the best score |
//! | [`latency`] | the quickest |
//! | [`canary`] | whoever draws it, by weight |

pub(super) mod canary;
pub(super) mod cost;
pub mod failover;
pub mod latency;
pub(super) mod quality;

use super::chance;
use super::scene::{Entry, Scene, Seat};
use crate::config::Rule;
use crate::config::rule::Choose;

/// Orders the targets of a group. `rule` is nothing for a model that no rule takes.
pub(super) fn arrange(
    rule: Option<&Rule>,
    entries: &mut [Entry],
    seats: &[Seat],
    scene: &Scene<'_, '_>,
) {
    let choose = rule.map_or(&Choose::Static, |rule| &rule.choose);
    let sticky = match choose {
        Choose::Canary { sticky } => canary::seed(sticky.as_ref(), scene),
        _ => 0,
    };
    for entry in &mut *entries {
        let seats = entry.seats(seats);
        entry.key = match choose {
            Choose::Static | Choose::Failover(_) => 0,
            Choose::Cost => cost::key(entry.target, scene),
            Choose::Quality => quality::key(entry.target, scene),
            Choose::Latency { .. } => latency::key(seats, scene.question.stream),
            Choose::Canary { .. } => canary::key(entry.target, sticky, scene),
        };
    }
    chance::sort(entries, |entry| entry.key);
    if let Choose::Latency { explore } = choose {
        latency::explore(*explore, entries, seats, scene.moment.random);
    }
}
