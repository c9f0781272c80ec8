//! `waypost usage`: who used what and what it cost, from logs with records of requests.
//!
//! | file | what it is |
//! |---|---|
//! | `cursor` | JSON that is read without being built |
//! | `decimal` | amounts of money from decimal text, exactly |
//! | `when` | times, and the days they fall into |
//! | `record` | one line of a log |
//! | `sums` | sums, and groups of them in bounded memory |
//! | `tally` | from records to groups |
//! | `read` | logs of any size, on all cores |
//! | `report` | who used what, in the order in which it is told |
//! | `format` | in which form it is wanted |
//! | `table` | the table |
//! | `chart` | spend over time |
//! | `print` | what is printed, and the formats for machines |
//! | [`snapshot`] | what the accounts of a configuration have spent |

use std::fmt;

mod chart;
mod cursor;
mod decimal;
mod format;
mod print;
#[cfg(not(target_arch = "wasm32"))]
mod read;
mod record;
mod report;
#[cfg(not(target_arch = "wasm32"))]
pub mod snapshot;
mod sums;
mod table;
mod tally;
mod when;

pub use format::{Format, Screen};
#[cfg(not(target_arch = "wasm32"))]
pub use read::{BLOCK, Lines, MAX_LINE, Source, Wrong};
pub use sums::MAX_GROUPS;
pub use when::{Date, utc};

#[cfg(not(target_arch = "wasm32"))]
use super::BadUsage;
use crate::tenancy::Zone;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// What groups are made by.
    pub by: Vec<Dimension>,
    /// First day, in the zone.
    pub from: Option<Date>,
    /// Last day.
    pub to: Option<Date>,
    /// Only these, if there are any.
    pub tenants: Vec<String>,
    /// Most groups with a row of their own.
    pub top: Option<usize>,
    /// The zone of days and months.
    pub zone: Zone,
    /// How it is written.
    pub zone_name: String,
    /// Whether spend is drawn, above the table.
    pub chart: bool,
    /// What is printed.
    pub format: Format,
    /// Whether to end at the first line that is no record: then [`Lines::first`] tells it.
    pub strict: bool,
}

/// What is printed, and what became of the lines.
///
/// # Errors
/// A log cannot be opened or read.
#[cfg(not(target_arch = "wasm32"))]
pub fn of_logs(
    logs: Vec<Source<'_>>,
    options: &Options,
    screen: Screen,
) -> Result<(Vec<u8>, Lines), BadUsage> {
    let plan = tally::Plan::of(options);
    let whole = Counted { tally: tally::Tally::new(&plan), plan: &plan };
    let part = || Counted { tally: tally::Tally::of_a_part(&plan), plan: &plan };
    let (Counted { tally, .. }, lines) = read::read(logs, whole, part, options.strict)?;
    let report = report::Report::new(tally, &plan, options.top);
    Ok((report.print(options.format, screen), lines))
}

#[cfg(not(target_arch = "wasm32"))]
struct Counted<'a> {
    tally: tally::Tally,
    plan: &'a tally::Plan,
}

#[cfg(not(target_arch = "wasm32"))]
impl read::Sink for Counted<'_> {
    fn take(&mut self, record: &record::Record<'_>) {
        self.tally.add(record, self.plan);
    }

    fn merge(&mut self, next: Self) {
        self.tally.merge(next.tally);
    }
}

/// What groups are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Whom a request belongs to.
    Tenant,
    /// The tenant's team.
    Team,
    /// The user.
    User,
    /// The application.
    Application,
    /// The tenant's tier.
    Tier,
    /// The client's key, by its name or handle.
    Key,
    /// Who was asked, attempt by attempt.
    Provider,
    /// For which model, attempt by attempt.
    Model,
    /// The rule, attempt by attempt.
    Rule,
    /// The status of the answer to the client.
    Status,
    /// The day.
    Day,
    /// The month.
    Month,
    /// The hour.
    Hour,
}

impl Dimension {
    /// In the order in which they are told.
    pub const ALL: [Self; 13] = [
        Self::Tenant,
        Self::Team,
        Self::User,
        Self::Application,
        Self::Tier,
        Self::Key,
        Self::Provider,
        Self::Model,
        Self::Rule,
        Self::Status,
        Self::Day,
        Self::Month,
        Self::Hour,
    ];

    /// Its name on the command line and in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Team => "team",
            Self::User => "user",
            Self::Application => "application",
            Self::Tier => "tier",
            Self::Key => "key",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Rule => "rule",
            Self::Status => "status",
            Self::Day => "day",
            Self::Month => "month",
            Self::Hour => "hour",
        }
    }

    /// Whether it may differ between attempts of one request.
    const fn is_of_attempts(self) -> bool {
        matches!(self, Self::Provider | Self::Model | Self::Rule)
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Day | Self::Month | Self::Hour)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
