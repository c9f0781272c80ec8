//! `bench soak`: many mixed requests through one gateway, and what its memory does meanwhile.

use crate::args::Args;
use crate::body::Size;
use crate::gateway::{self, Gateway, Process, Setup};
use crate::load::{Load, Pace};
use crate::mock::{self, Settings};
use crate::run::WAYPOST_PORT;
use crate::shot::Shot;
use crate::wire::{APIS, Api};
use crate::{Result, sys, table};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Content deltas of each stream, and the time between two of them.
const CHUNKS: usize = 20;
const INTERVAL: Duration = Duration::from_micros(100);
/// Deltas after which a client that hangs up does so.
const HANG_UP_AFTER: usize = 5;

/// How many of a thousand requests are of each kind: size, what the client does. The providers are
/// asked equally often in each.
const MIX: &[(u64, Size, Manner)] = &[
    (620, Size::Small, Manner::Json),
    (80, Size::Large, Manner::Json),
    (274, Size::Small, Manner::Stream),
    (20, Size::Large, Manner::Stream),
    (6, Size::Small, Manner::HangUp),
];

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Json,
    Stream,
    /// Asks for a stream and leaves in its middle.
    HangUp,
}

struct Plan {
    count: u64,
    conns: usize,
    longest: Duration,
    most_growth_mb: f64,
    every: Duration,
    load_core: usize,
    translates: bool,
    setup: Setup,
}

/// True when no request failed and memory did not grow.
pub fn command(args: &Args) -> Result<bool> {
    let config = args.text("config").unwrap_or_else(|| String::from("tests/bench/envoy.yaml"));
    let plan = Plan {
        count: args.number("count", 1_000_000)?,
        conns: args.number("conns", 32)?,
        longest: Duration::from_secs(args.number("max-minutes", 60)? * 60),
        most_growth_mb: args.number("max-growth-mb", 3.0)?,
        every: Duration::from_secs(args.number("every", 5)?),
        load_core: args.number("load-core", 1)?,
        translates: !args.flag("untranslated"),
        setup: Setup {
            name: "gateway",
            envoy: gateway::find_envoy(args.text("envoy")),
            config: PathBuf::from(config),
            port: args.number("port", WAYPOST_PORT)?,
            moved_from: None,
            core: args.number("gateway-core", 0)?,
        },
    };
    args.finish()?;
    gateway::require(&plan.setup.config)?;
    soak(&plan)
}

fn soak(plan: &Plan) -> Result<bool> {
    sys::pin(plan.load_core)?;
    let _mock = Process::mock(plan.load_core)?;
    mock::set(&Settings { chunks: CHUNKS, interval: INTERVAL, latency: Duration::ZERO })?;
    let shots: Vec<Shot> =
        MIX.iter().flat_map(|kind| APIS.iter().map(|api| shot(plan, api, *kind))).collect();
    let gateway = Gateway::start(&plan.setup, &shots[0].request)?;
    let mut memory = Memory { plan, samples: vec![(0, gateway.resident_kb()?)] };

    let pace = Pace::Closed { stagger: Duration::ZERO };
    let mut load = Load::new(plan.setup.port, plan.conns, pace, &shots, choose)?;
    load.forget_latencies();
    load.limit = plan.count;
    let started = Instant::now();
    let (mut told_at, mut told_begun) = (started, 0);
    while load.begun < plan.count && started.elapsed() < plan.longest {
        let driven = load.drive(Instant::now() + Duration::from_millis(250));
        let resident_kb = gateway.resident_kb()?;
        driven.map_err(|error| format!("{error}\n{}", gateway.last_words()))?;
        memory.samples.push((load.begun, resident_kb));
        if told_at.elapsed() >= plan.every {
            let rate = (load.begun - told_begun) as f64 / told_at.elapsed().as_secs_f64();
            eprintln!("{}", memory.line(&load, rate));
            (told_at, told_begun) = (Instant::now(), load.begun);
        }
    }
    load.drain(Duration::from_secs(20))?;
    // What the last clients held is freed.
    std::thread::sleep(Duration::from_millis(500));
    memory.samples.push((load.begun, gateway.resident_kb()?));
    println!("{}", memory.line(&load, load.begun as f64 / started.elapsed().as_secs_f64()));
    Ok(memory.verdict(&load))
}

fn shot(plan: &Plan, api: &'static Api, (_, size, manner): (u64, Size, Manner)) -> Shot {
    let chunks = if manner == Manner::Json { 0 } else { CHUNKS };
    Shot {
        hang_up_after: (manner == Manner::HangUp).then_some(HANG_UP_AFTER),
        ..Shot::chat(plan.setup.port, api, size, chunks, plan.translates)
    }
}

/// The shot of request `number`: mixed evenly, and the same in every run.
fn choose(number: u64) -> usize {
    // The finishing steps of SplitMix64.
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    let api = (bits / 1000) as usize % APIS.len();
    let mut left = bits % 1000;
    for (kind, (share, ..)) in MIX.iter().enumerate() {
        if left < *share {
            return kind * APIS.len() + api;
        }
        left -= share;
    }
    0
}

/// Resident kB by the number of requests begun.
struct Memory<'a> {
    plan: &'a Plan,
    samples: Vec<(u64, u64)>,
}

impl Memory<'_> {
    fn line(&self, load: &Load, rate: f64) -> String {
        let mb = |kb: u64| kb as f64 / 1024.0;
        let (first, now) = (self.samples.first(), self.samples.last());
        let peak = self.samples.iter().map(|(_, kb)| *kb).max();
        format!(
            "{:>9} requests ({:3.0} %)  {rate:6.0}/s  {} errors  {} short  {} hung up  \
             memory {:.1} MB now, {:.1} at the start, {:.1} at most",
            load.begun,
            load.begun as f64 / self.plan.count as f64 * 100.0,
            load.counts.errors,
            load.counts.short,
            load.counts.hung_up,
            mb(now.map_or(0, |sample| sample.1)),
            mb(first.map_or(0, |sample| sample.1)),
            mb(peak.unwrap_or(0)),
        )
    }

    /// Median in MB of the samples between two shares of the requests.
    fn typical(&self, from: f64, to: f64) -> Option<f64> {
        let count = self.plan.count as f64;
        let within = |begun: u64| (from * count..=to * count).contains(&(begun as f64));
        let samples = self.samples.iter().filter(|(begun, _)| within(*begun));
        table::median(&samples.map(|(_, kb)| *kb as f64 / 1024.0).collect::<Vec<_>>())
    }

    fn verdict(&self, load: &Load) -> bool {
        let counts = &load.counts;
        if counts.errors + counts.short > 0 {
            let first = counts.first_error.as_deref().unwrap_or_default();
            println!("FAILED: {} errors, {} short: {first}", counts.errors, counts.short);
            return false;
        }
        let (Some(early), Some(half), Some(late)) =
            (self.typical(0.10, 0.15), self.typical(0.45, 0.55), self.typical(0.95, 1.0))
        else {
            println!("FAILED: the run was too short or was cut off by --max-minutes");
            return false;
        };
        let growth = late - early;
        let holds = growth <= self.plan.most_growth_mb;
        println!(
            "{}: memory {early:.1} MB at 10 %, {half:.1} MB at 50 %, {late:.1} MB at the end of {} \
             requests: {growth:+.1} MB (at most +{:.1})",
            if holds { "HOLDS" } else { "GROWS" },
            load.begun,
            self.plan.most_growth_mb
        );
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_make_a_thousand() {
        assert_eq!(MIX.iter().map(|kind| kind.0).sum::<u64>(), 1000);
    }

    #[test]
    fn every_kind_comes_about_as_often_as_it_should_from_every_provider() {
        const REQUESTS: usize = 1_000_000;
        let mut seen = vec![0_usize; MIX.len() * APIS.len()];
        for number in 0..REQUESTS as u64 {
            seen[choose(number)] += 1;
        }
        for ((share, ..), seen) in MIX.iter().zip(seen.chunks(APIS.len())) {
            let expected = *share as usize * REQUESTS / 1000 / APIS.len();
            for seen in seen {
                assert!(*seen > expected * 8 / 10 && *seen < expected * 12 / 10, "{share}: {seen}");
            }
        }
    }
}
