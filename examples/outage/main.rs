//! What an outage costs with and without circuit breakers: a thousand requests a second through two
//! workers to two providers, in virtual time, decided by the code that runs in Envoy.
//!
//! ```text
//! cargo run --release --example outage                     the table, and a chart in the terminal
//! cargo run --release --example outage -- --svg FILE       and a picture of all runs
//! ```

mod picture;
mod scenario;
mod simulation;

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use waypost::config::{Config, Gateway};

use scenario::{BEGIN, END, Scenario};
use simulation::{Run, STEP};

/// A scenario with breakers and without.
pub struct Pair {
    scenario: Scenario,
    with: Run,
    without: Run,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let svg = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => None,
        (Some("--svg"), Some(file)) => Some(file),
        _ => return said(Err("usage: outage [--svg FILE]".to_owned())),
    };
    said(gateway().and_then(|gateway| {
        let pairs: Vec<Pair> =
            Scenario::ALL.into_iter().map(|scenario| pair(&gateway, scenario)).collect();
        let mut out = std::io::stdout().lock();
        out.write_all(report(&pairs).as_bytes()).map_err(|error| error.to_string())?;
        match svg {
            Some(file) => std::fs::write(&file, picture::draw(&pairs))
                .map_err(|error| format!("{file}: {error}")),
            None => Ok(()),
        }
    }))
}

fn said(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

/// Two providers of one model; the first is preferred.
fn gateway() -> Result<Gateway, String> {
    let provider = |cluster| json!({ "api": "openai", "endpoints": [{ "cluster": cluster }], "models": { "gpt-4o": {} } });
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
        "providers": { "first": provider("first"), "second": provider("second") },
        "rules": [{
            "name": "default",
            "choose": "failover",
            "targets": ["first/gpt-4o", "second/gpt-4o"],
        }],
    }));
    match config {
        Ok(Config::Gateway(gateway)) => Ok(*gateway),
        Ok(_) => Err("no gateway".to_owned()),
        Err(problems) => Err(problems.iter().map(|problem| format!("{problem}\n")).collect()),
    }
}

fn pair(gateway: &Gateway, scenario: Scenario) -> Pair {
    /// The same draws for both, so that they differ in nothing else.
    const SEED: u64 = 20;
    let run = |health| simulation::run(gateway, scenario, health, SEED);
    Pair { scenario, with: run(true), without: run(false) }
}

/// What people want to know of a run.
#[derive(Debug)]
struct Summary {
    came: usize,
    answered: usize,
    /// Attempts that gave nobody an answer.
    lost_attempts: u64,
    /// Of requests that came while the trouble lasted, in milliseconds.
    median: u64,
    /// The same: 99 of 100 took no longer.
    p99: u64,
    /// From the beginning of the trouble until fewer than one request in twenty was sent to the
    /// first provider, and stayed so for a second, in milliseconds.
    left_after: Option<u64>,
    /// From its end until more than nine of ten were again.
    back_after: Option<u64>,
}

fn summary(run: &Run) -> Summary {
    let answered = run.times.iter().filter(|(_, time)| time.is_some()).count();
    let mut times: Vec<u64> = run
        .times
        .iter()
        .filter(|(came, _)| (BEGIN..END).contains(came))
        .map(|(_, time)| time.unwrap_or(u64::MAX))
        .collect();
    times.sort_unstable();
    let quantile = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    Summary {
        came: run.times.len(),
        answered,
        lost_attempts: run.points.iter().map(|point| u64::from(point.lost)).sum(),
        median: quantile(50),
        p99: quantile(99),
        left_after: run.settled(BEGIN, |share| share < 0.05),
        back_after: run.settled(END, |share| share > 0.9),
    }
}

impl Run {
    /// The share of requests that the first provider was asked first, at each point.
    fn shares(&self) -> Vec<f64> {
        let share =
            |point: &simulation::Point| f64::from(point.first) / f64::from(point.came.max(1));
        self.points.iter().map(share).collect()
    }

    /// How long after `from` the share began to be `so` for at least a second.
    fn settled(&self, from: u64, so: impl Fn(f64) -> bool) -> Option<u64> {
        let (steps, shares) = ((1_000 / STEP) as usize, self.shares());
        let start = (from / STEP) as usize;
        let place = shares
            .windows(steps)
            .skip(start)
            .position(|window| window.iter().all(|share| so(*share)))?;
        Some(place as u64 * STEP)
    }
}

fn report(pairs: &[Pair]) -> String {
    let mut out = String::from(
        "A thousand requests a second for two minutes; the first of two providers is in trouble from 0:20 to 1:00.\n\n\
         | trouble       | breakers | answered |   median |      p99 | attempts lost | left after | back after |\n\
         |---------------|----------|---------:|---------:|---------:|--------------:|-----------:|-----------:|\n",
    );
    let seconds = |time: Option<u64>| match time {
        Some(time) => format!("{:.2} s", time as f64 / 1_000.0),
        None => "never".to_owned(),
    };
    let millis = |time: u64| match time {
        u64::MAX => "no answer".to_owned(),
        time => format!("{time} ms"),
    };
    for pair in pairs {
        for (name, run) in [("with", &pair.with), ("without", &pair.without)] {
            let summary = summary(run);
            out.push_str(&format!(
                "| {:<13} | {name:<8} | {:>7.3}% | {:>8} | {:>8} | {:>13} | {:>10} | {:>10} |\n",
                pair.scenario.name(),
                summary.answered as f64 * 100.0 / summary.came.max(1) as f64,
                millis(summary.median),
                millis(summary.p99),
                summary.lost_attempts,
                seconds(summary.left_after),
                seconds(summary.back_after),
            ));
        }
    }
    out.push_str("\nRequests sent to the first provider first, a column for each second and a half (█ all, blank none):\n\n");
    for pair in pairs {
        for (name, run) in [("with", &pair.with), ("without", &pair.without)] {
            out.push_str(&format!(
                "{:>13} {name:<7} {}\n",
                pair.scenario.name(),
                chart(&run.shares())
            ));
        }
    }
    out
}

/// A line of blocks.
fn chart(shares: &[f64]) -> String {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let block = |chunk: &[f64]| {
        let mean = chunk.iter().sum::<f64>() / chunk.len().max(1) as f64;
        BLOCKS.get((mean * 8.0).round() as usize).copied().unwrap_or('?')
    };
    shares.chunks(6).map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summaries(scenario: Scenario) -> (Summary, Summary) {
        let pair = pair(&gateway().unwrap(), scenario);
        (summary(&pair.with), summary(&pair.without))
    }

    #[test]
    fn in_an_outage_traffic_leaves_within_the_first_time_limit_and_nobody_is_lost() {
        let (with, without) = summaries(Scenario::Outage);
        assert_eq!(with.answered, with.came);
        assert!(with.left_after.unwrap() <= simulation::ATTEMPT_LIMIT + 500, "{with:?}");
        assert_eq!(without.left_after, None);
        assert!(with.median * 3 < without.median, "{with:?} {without:?}");
        assert!(with.lost_attempts * 10 < without.lost_attempts, "{with:?} {without:?}");
    }

    #[test]
    fn traffic_is_back_within_one_backoff_of_the_recovery() {
        for scenario in [Scenario::Outage, Scenario::BrownOut] {
            let (with, _) = summaries(scenario);
            // The longest backoff, and its jitter.
            assert!(with.back_after.unwrap() <= 75_000, "{scenario:?}: {with:?}");
        }
    }

    #[test]
    fn a_provider_that_recovers_slowly_is_not_run_over() {
        let (with, without) = summaries(Scenario::SlowRecovery);
        assert_eq!(with.answered, with.came);
        assert!(with.lost_attempts * 10 < without.lost_attempts, "{with:?} {without:?}");
    }

    #[test]
    fn a_flapping_provider_costs_few_attempts() {
        let (with, without) = summaries(Scenario::Flapping);
        assert_eq!(with.answered, with.came);
        assert!(with.lost_attempts * 4 < without.lost_attempts, "{with:?} {without:?}");
    }
}
