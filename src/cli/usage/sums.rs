//! Sums, and groups of them in bounded memory.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::record::Used;

/// Most groups that are told apart. Those met later are one sum, [`Groups::folded`]. A group takes
/// some 300 bytes.
pub const MAX_GROUPS: usize = 200_000;

/// Most bytes of the names of all groups.
pub const MAX_NAMES: usize = 64 << 20;

/// What was used by a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// In nano-dollars, like all amounts here.
    pub spend: u128,
    /// What of it was charged on tokens that the gateway counted.
    pub estimated_spend: u128,
    pub requests: u64,
    /// Requests that were answered with an error or not at all.
    pub failures: u64,
    pub attempts: u64,
    pub failed_attempts: u64,
    pub input: u128,
    pub output: u128,
    pub cached: u128,
    pub cache_write: u128,
    pub reasoning: u128,
    /// Of input and output, what the gateway counted.
    pub estimated: u128,
    /// Of input and output, what has no price: it is in no amount.
    pub unpriced: u128,
}

impl Sums {
    /// Adds what an attempt used.
    pub fn charge(&mut self, used: &Used) {
        let tokens = u128::from(used.input) + u128::from(used.output);
        let cost = used.cost.map_or(0, |cost| u128::from(cost.0));
        self.spend += cost;
        self.input += u128::from(used.input);
        self.output += u128::from(used.output);
        self.cached += u128::from(used.cached);
        self.cache_write += u128::from(used.cache_write);
        self.reasoning += u128::from(used.reasoning);
        if used.estimated {
            self.estimated += tokens;
            self.estimated_spend += cost;
        }
        if used.cost.is_none() {
            self.unpriced += tokens;
        }
    }
}

impl AddAssign<&Self> for Sums {
    fn add_assign(&mut self, other: &Self) {
        self.spend += other.spend;
        self.estimated_spend += other.estimated_spend;
        self.requests += other.requests;
        self.failures += other.failures;
        self.attempts += other.attempts;
        self.failed_attempts += other.failed_attempts;
        self.input += other.input;
        self.output += other.output;
        self.cached += other.cached;
        self.cache_write += other.cache_write;
        self.reasoning += other.reasoning;
        self.estimated += other.estimated;
        self.unpriced += other.unpriced;
    }
}

/// Sums by name, in the order in which the names were met first. Each of them is whole: a name that
/// came too late is folded from its first line on.
#[derive(Clone, Debug)]
pub struct Groups {
    places: HashMap<Box<[u8]>, usize>,
    sums: Vec<Sums>,
    names: usize,
    most: usize,
    most_names: usize,
    folded: Sums,
    full: bool,
}

impl Groups {
    /// No groups, and room for [`MAX_GROUPS`].
    pub fn new() -> Self {
        Self::up_to(MAX_GROUPS, MAX_NAMES)
    }

    /// For a part of the input that is bounded itself: nothing is folded, so that the whole can tell
    /// which name came first.
    pub fn of_a_part() -> Self {
        Self::up_to(usize::MAX, usize::MAX)
    }

    fn up_to(most: usize, most_names: usize) -> Self {
        Self {
            places: HashMap::new(),
            sums: Vec::new(),
            names: 0,
            most,
            most_names,
            folded: Sums::default(),
            full: false,
        }
    }

    /// The sums of a name, or those of all names for which there is no room.
    pub fn of(&mut self, name: &[u8]) -> &mut Sums {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                let names = self.names + name.len();
                if self.full || self.sums.len() >= self.most || names > self.most_names {
                    self.full = true;
                    return &mut self.folded;
                }
                self.names = names;
                self.places.insert(name.into(), self.sums.len());
                self.sums.push(Sums::default());
                self.sums.len() - 1
            }
        };
        self.sums.get_mut(place).unwrap_or(&mut self.folded)
    }

    /// Adds the groups of the part that comes next.
    pub fn merge(&mut self, part: Self) {
        for (name, sums) in part.into_rows() {
            *self.of(&name) += &sums;
        }
    }

    /// The sum of all names for which there was no room, if there are any.
    pub fn folded(&self) -> Option<Sums> {
        self.full.then_some(self.folded)
    }

    /// All groups, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], &Sums)> {
        self.places.iter().filter_map(|(name, place)| Some((&**name, self.sums.get(*place)?)))
    }

    /// All groups, in the order in which they were met.
    pub fn into_rows(self) -> Vec<(Box<[u8]>, Sums)> {
        let mut rows: Vec<_> = self.places.into_iter().collect();
        rows.sort_unstable_by_key(|(_, place)| *place);
        rows.into_iter().zip(self.sums).map(|((name, _), sums)| (name, sums)).collect()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::providers::catalogue::NanoUsd;

    fn one(spend: u64) -> Used {
        Used { input: 1, cost: Some(NanoUsd(spend)), ..Used::default() }
    }

    fn spends(groups: Groups) -> Vec<(String, u128)> {
        let rows = groups.into_rows().into_iter();
        rows.map(|(name, sums)| (String::from_utf8_lossy(&name).into_owned(), sums.spend)).collect()
    }

    fn row(name: &str, spend: u128) -> (String, u128) {
        (name.to_owned(), spend)
    }

    #[test]
    fn names_that_come_too_late_are_one_sum() {
        let mut groups = Groups::up_to(2, MAX_NAMES);
        for (name, spend) in [("b", 1), ("a", 2), ("c", 4), ("b", 8), ("d", 16), ("c", 32)] {
            groups.of(name.as_bytes()).charge(&one(spend));
        }
        assert_eq!(groups.folded().unwrap().spend, 52);
        assert_eq!(spends(groups), [row("b", 9), row("a", 2)]);
        assert_eq!(Groups::up_to(2, MAX_NAMES).folded(), None);
    }

    #[test]
    fn the_names_have_a_limit_of_bytes_too() {
        let mut groups = Groups::new();
        let long = vec![b'x'; MAX_NAMES - 1];
        groups.of(&long).charge(&one(1));
        groups.of(b"y").charge(&one(2));
        groups.of(b"z").charge(&one(4));
        assert_eq!(groups.folded().unwrap().spend, 4);
        assert_eq!(groups.of(b"y").spend, 2);
    }

    #[test]
    fn parts_add_up_to_the_whole_in_its_order() {
        let entries = [("b", 1), ("a", 2), ("c", 4), ("b", 8), ("d", 16), ("a", 32), ("e", 64)];
        let fill = |mut groups: Groups, entries: &[(&str, u64)]| {
            for (name, spend) in entries {
                groups.of(name.as_bytes()).charge(&one(*spend));
            }
            groups
        };
        for most in 1..=6 {
            let empty = || Groups::up_to(most, MAX_NAMES);
            let whole = fill(empty(), &entries);
            for cut in 0..=entries.len() {
                let (first, second) = entries.split_at(cut);
                let mut merged = empty();
                merged.merge(fill(Groups::of_a_part(), first));
                merged.merge(fill(Groups::of_a_part(), second));
                assert_eq!(merged.folded(), whole.folded(), "{most} {cut}");
                assert_eq!(spends(merged), spends(whole.clone()), "{most} {cut}");
            }
        }
    }

    #[test]
    fn what_has_no_price_is_in_no_amount() {
        let mut sums = Sums::default();
        sums.charge(&Used { input: 5, output: 2, estimated: true, ..Used::default() });
        sums.charge(&Used { estimated: true, ..one(7) });
        assert_eq!((sums.spend, sums.estimated_spend), (7, 7));
        assert_eq!((sums.unpriced, sums.estimated, sums.input), (7, 8, 6));
    }
}
