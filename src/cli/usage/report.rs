//! Who used what, in the order in which it is told.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use super::sums::{MAX_GROUPS, Sums};
use super::tally::{Plan, Tally, names};

/// The name of a group of which nothing is known, where one has to be printed.
pub const NONE: &str = "(none)";

/// The name of all groups that have no row of their own.
pub const OTHERS: &str = "(others)";

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// One for each dimension.
    pub names: Vec<Option<String>>,
    pub sums: Sums,
}

/// Groups without a row of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    pub sums: Sums,
    /// How many; None when there were too many to tell apart.
    pub groups: Option<usize>,
}

/// Who used what. The sum of `rows` and `others` is `total`.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    pub rows: Vec<Row>,
    pub others: Option<Others>,
    pub total: Sums,
    pub span: Option<(u64, u64)>,
    pub bars: BTreeMap<i64, u128>,
    pub plan: &'a Plan,
}

impl<'a> Report<'a> {
    /// The `top` groups that spent most; without it, all. Groups are in the order of what they spent,
    /// or in that of time if time is what they are made by first.
    pub fn new(tally: Tally, plan: &'a Plan, top: Option<usize>) -> Self {
        let Tally { groups, total, span, bars, .. } = tally;
        let folded = groups.folded();
        let mut rows: Vec<Row> = groups
            .into_rows()
            .into_iter()
            .map(|(name, sums)| Row { names: names(&name), sums })
            .collect();
        rows.sort_by(by_spend);
        let rest = rows.split_off(top.unwrap_or(rows.len()).min(rows.len()));
        let mut others = folded.unwrap_or_default();
        for row in &rest {
            others += &row.sums;
        }
        let has_others = folded.is_some() || !rest.is_empty();
        if plan.by.first().is_some_and(|first| first.is_time()) {
            // Of one moment, those that spent most stay first.
            rows.sort_by(|a, b| a.names.first().cmp(&b.names.first()));
        }
        let groups = folded.is_none().then_some(rest.len());
        let others = has_others.then_some(Others { sums: others, groups });
        Self { rows, others, total, span, bars, plan }
    }
}

/// What the others are, for people.
pub fn others_name(others: &Others) -> String {
    match others.groups {
        Some(1) => "(1 other)".to_owned(),
        Some(groups) => format!("({groups} others)"),
        None => format!("(others, beyond {MAX_GROUPS})"),
    }
}

/// Who spent more comes first; then who used more.
fn by_spend(a: &Row, b: &Row) -> Ordering {
    let key = |row: &Row| {
        let Sums { spend, input, output, requests, .. } = row.sums;
        Reverse((spend, input + output, requests))
    };
    key(a).cmp(&key(b)).then_with(|| a.names.cmp(&b.names))
}
