//! What goes wrong at the first of two providers, and what the second does meanwhile: nothing
//! unusual.

/// Seconds of a run.
pub const SECONDS: u64 = 120;

/// When the trouble begins, in milliseconds.
pub const BEGIN: u64 = 20_000;

/// When it ends, in milliseconds.
pub const END: u64 = 60_000;

/// Median time of an answer, in milliseconds. Times are spread around it by a factor of two.
const USUAL: f64 = 300.0;

/// What an attempt will come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A whole answer after so many milliseconds.
    Answer(u64),
    /// A refusal after so many milliseconds: the provider's 503, or a connection that failed.
    Refusal(u64),
    /// Nothing, until the caller gives up.
    Silence,
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// It takes connections and never answers.
    Outage,
    /// Every answer takes ten times as long.
    BrownOut,
    /// It refuses everything for three seconds, works for three, and so on.
    Flapping,
    /// It refuses everything; afterwards it bears only a few requests at a time, and slowly more.
    SlowRecovery,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Outage, Self::BrownOut, Self::Flapping, Self::SlowRecovery];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::BrownOut => "brown-out",
            Self::Flapping => "flapping",
            Self::SlowRecovery => "slow recovery",
        }
    }

    /// What becomes of an attempt at the first provider that begins at `now` with `in_flight`
    /// others on their way there. `spread` is a draw of the standard normal distribution.
    pub fn fate(self, now: u64, in_flight: u64, spread: f64) -> Fate {
        let usual = Fate::Answer(time(USUAL, spread));
        let trouble = (BEGIN..END).contains(&now);
        match self {
            Self::Outage if trouble => Fate::Silence,
            Self::BrownOut if trouble => Fate::Answer(time(USUAL * 10.0, spread)),
            Self::Flapping if trouble && ((now - BEGIN) / 3_000).is_multiple_of(2) => {
                Fate::Refusal(2)
            }
            Self::SlowRecovery if trouble => Fate::Refusal(2),
            // From 40 at a time to 840, in forty seconds.
            Self::SlowRecovery if now >= END && in_flight > 40 + (now - END) / 50 => {
                Fate::Refusal(20)
            }
            _ => usual,
        }
    }
}

/// What becomes of an attempt at the second provider.
pub fn steady(spread: f64) -> Fate {
    Fate::Answer(time(USUAL * 1.2, spread))
}

fn time(median: f64, spread: f64) -> u64 {
    (median * (0.35 * spread).exp()) as u64
}
