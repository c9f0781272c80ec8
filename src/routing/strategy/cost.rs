//! The cheapest for this request first.
//!
//! Behind those with a price those without, and behind them those into whose window the request will
//! hardly fit: it is not certain enough to leave them out.

use crate::config::rule::TargetId;
use crate::routing::estimate;
use crate::routing::scene::Scene;

/// Keys of those without a price.
const UNPRICED: u64 = 1 << 62;
/// Keys of those whose window is too small.
const TIGHT: u64 = 1 << 63;

pub(in crate::routing) fn key(target: TargetId, scene: &Scene<'_, '_>) -> u64 {
    let Some(model) = scene.model(target) else { return u64::MAX };
    let input = scene.input();
    let question = scene.question;
    let cost = estimate::cost(model, question.operation, input, question.output);
    let key = cost.map_or(UNPRICED, |cost| cost.0.min(UNPRICED - 1));
    let tight = model.facts.context_window.is_some_and(|window| input.tokens > window);
    if tight { key | TIGHT } else { key }
}
