//! `bench run`: Waypost and bare Envoy, in turn, row by row, round by round.

use crate::Result;
use crate::args::Args;
use crate::body::{self, Size};
use crate::cpu::{self, QUIET, Sample, Usage};
use crate::gateway::{self, Gateway, Process, Setup};
use crate::load::{self, Counts, Load, Pace, Shot};
use crate::mock::{self, Settings};
use crate::sys::{self, Regex};
use crate::table::{Measured, Rows};
use crate::wire::Api;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const BARE_PORT: u16 = 19110;
pub const WAYPOST_PORT: u16 = 19150;

/// How often a measurement is repeated that others disturbed.
const REPEATS: usize = 2;

/// One load, given to both gateways.
pub struct Test {
    pub name: &'static str,
    api: Api,
    size: Size,
    /// Content deltas of each answer; 0: JSON.
    chunks: usize,
    interval: Duration,
    conns: usize,
    stagger: Duration,
}

const NONE: Duration = Duration::ZERO;
const PLAIN: Test = Test {
    name: "",
    api: Api::OpenAi,
    size: Size::Small,
    chunks: 0,
    interval: NONE,
    conns: 32,
    stagger: NONE,
};
const LARGE: Test = Test { size: Size::Large, conns: 16, ..PLAIN };
const STREAM: Test = Test { chunks: 200, conns: 16, ..PLAIN };
/// Each chunk reaches the gateway by itself, as from a model: nothing is read in bunches. The
/// stagger is no multiple of the interval, so that the streams do not beat as one.
const PACED: Test = Test {
    chunks: 200,
    interval: Duration::from_millis(4),
    conns: 40,
    stagger: Duration::from_micros(10_100),
    ..PLAIN
};
const SINGLE: Test = Test { conns: 1, ..PLAIN };

/// The names are those of the rows in `table.rs`.
pub const TESTS: &[Test] = &[
    Test { name: "1k-openai", ..PLAIN },
    Test { name: "1k-anthropic", api: Api::Anthropic, ..PLAIN },
    Test { name: "100k-openai", ..LARGE },
    Test { name: "100k-anthropic", api: Api::Anthropic, ..LARGE },
    Test { name: "stream-openai", ..STREAM },
    Test { name: "stream-anthropic", api: Api::Anthropic, ..STREAM },
    Test { name: "paced-openai", ..PACED },
    Test { name: "paced-anthropic", api: Api::Anthropic, ..PACED },
    Test { name: "latency-openai", ..SINGLE },
    Test { name: "latency-anthropic", api: Api::Anthropic, ..SINGLE },
];

struct Plan {
    rounds: usize,
    /// How often a row goes through both gateways in a round. Many short windows side by side show
    /// less of the machine's moods than a few long ones.
    passes: usize,
    repeats: usize,
    /// How long the run may wait in all for others to leave the machine alone.
    patience: Cell<Duration>,
    warm: Duration,
    window: Duration,
    /// Time between the first answer and the reading of idle memory.
    settle: Duration,
    load_core: usize,
    tests: Vec<&'static Test>,
    /// Waypost's side is bare Envoy too: shows the noise of the measurement.
    same: bool,
    bare: Setup,
    waypost: Setup,
}

/// True when every bar holds.
pub fn command(args: &Args) -> Result<bool> {
    let quick = args.flag("quick");
    let same = args.flag("same");
    let markdown = args.flag("markdown");
    let out = args.text("out").map(PathBuf::from);
    let module = args.text("module");
    let module =
        PathBuf::from(module.as_deref().unwrap_or("target/wasm32-wasip1/release/waypost.wasm"));
    let only = args.text("only").map(|pattern| Regex::new(&pattern)).transpose()?;
    let plan = plan(args, quick, same, only.as_ref())?;
    args.finish()?;
    gateway::require(&plan.bare.config)?;
    gateway::require(&plan.waypost.config)?;
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only.is_match(name));

    let mut rows = Rows::default();
    if !same && wanted("module") {
        gateway::require(&module)?;
        rows.module(std::fs::metadata(&module)?.len());
    }
    measure(&plan, &mut rows)?;
    let table = rows.table(wanted);
    println!("{}", if markdown { table.markdown() } else { table.text() });
    if let Some(path) = out {
        std::fs::write(&path, table.json(&rows).to_string() + "\n")?;
    }
    Ok(table.holds())
}

fn plan(args: &Args, quick: bool, same: bool, only: Option<&Regex>) -> Result<Plan> {
    let envoy = gateway::find_envoy(args.text("envoy"));
    let core = args.number("gateway-core", 0)?;
    let bare = PathBuf::from(
        args.text("bare-config").unwrap_or_else(|| String::from("tests/bench/bare.yaml")),
    );
    let waypost = match args.text("waypost-config") {
        Some(path) => PathBuf::from(path),
        None if same => bare.clone(),
        None => PathBuf::from("tests/bench/envoy.yaml"),
    };
    let millis = |quick_ms, full_ms| Duration::from_millis(if quick { quick_ms } else { full_ms });
    Ok(Plan {
        passes: if quick { 1 } else { 3 },
        repeats: if quick { 0 } else { REPEATS },
        patience: Cell::new(Duration::from_secs(args.number("patience", 180)?)),
        rounds: args.number("rounds", if quick { 1 } else { 3 })?.clamp(1, 50),
        warm: millis(250, 500),
        window: millis(600, 1000),
        settle: millis(700, 2000),
        load_core: args.number("load-core", 1)?,
        tests: TESTS.iter().filter(|test| only.is_none_or(|o| o.is_match(test.name))).collect(),
        same,
        bare: Setup {
            name: "bare",
            envoy: envoy.clone(),
            config: bare,
            port: BARE_PORT,
            moved_from: None,
            core,
        },
        waypost: Setup {
            name: "waypost",
            envoy,
            config: waypost,
            port: args.number("waypost-port", WAYPOST_PORT)?,
            moved_from: same.then_some(BARE_PORT),
            core,
        },
    })
}

fn measure(plan: &Plan, rows: &mut Rows) -> Result<()> {
    sys::pin(plan.load_core)?;
    let mock = Process::mock(plan.load_core)?;
    let ours = [mock.pid(), std::process::id()];
    for round in 0..plan.rounds {
        let mut sides = Vec::new();
        for (setup, translates) in [(&plan.bare, false), (&plan.waypost, !plan.same)] {
            let side = Side { gateway: start(setup, translates, plan.settle, rows)?, translates };
            check(&side)?;
            side.gateway.pause()?;
            sides.push(side);
        }
        if round % 2 == 1 {
            sides.reverse();
        }
        for test in &plan.tests {
            for _ in 0..plan.passes {
                for side in &sides {
                    let mut figures = resumed(plan, test, side, &ours)?;
                    let round = format!("round {}/{}", round + 1, plan.rounds);
                    eprintln!("{round}  {}", figures.line(test, side));
                    rows.add(figures.measured(test, side));
                }
                // Who goes first changes from pass to pass, from row to row and from round to
                // round.
                sides.reverse();
            }
        }
    }
    Ok(())
}

struct Side {
    gateway: Gateway,
    translates: bool,
}

impl Side {
    fn shot(&self, test: &Test) -> Shot {
        let (path, model) = target(test.api, self.translates);
        let stream = test.chunks > 0;
        let body = body::chat(test.size, model, stream);
        Shot {
            request: body::request(self.gateway.port, path, &body),
            marks: test.chunks.max(1),
            end: if stream { load::end_of(path) } else { b"" },
            hang_up_after: None,
        }
    }
}

/// Path and model that reach a provider. Bare Envoy passes the same body to the provider's own
/// path.
pub fn target(api: Api, translates: bool) -> (&'static str, &'static str) {
    match api {
        Api::OpenAi => ("/v1/chat/completions", "bench-openai"),
        Api::Anthropic if translates => ("/v1/chat/completions", "bench-anthropic"),
        Api::Anthropic => ("/v1/messages", "bench-anthropic"),
    }
}

fn start(setup: &Setup, translates: bool, settle: Duration, rows: &mut Rows) -> Result<Gateway> {
    let (path, model) = target(Api::OpenAi, translates);
    let body = body::chat(Size::Small, model, false);
    let gateway = Gateway::start(setup, &body::request(setup.port, path, &body))?;
    std::thread::sleep(settle);
    let resident_kb = gateway.resident_kb()?;
    eprintln!(
        "{:8} up in {:.0} ms, {:.1} MB resident",
        gateway.name,
        gateway.first_answer.as_secs_f64() * 1e3,
        resident_kb as f64 / 1024.0
    );
    rows.start(gateway.name == "bare", gateway.first_answer, resident_kb);
    Ok(gateway)
}

/// One answer of each kind before anything is measured: the right provider must have been asked,
/// and the answer must be in the client's form.
fn check(side: &Side) -> Result<()> {
    mock::set(&Settings { chunks: 20, interval: NONE, latency: NONE })?;
    for (test, kind, form) in [
        (&TESTS[0], "openai", "\"chat.completion\""),
        (
            &TESTS[1],
            "anthropic",
            if side.translates { "\"chat.completion\"" } else { "\"message\"" },
        ),
        (&TESTS[4], "openai_stream", "\"chat.completion.chunk\""),
        (
            &TESTS[5],
            "anthropic_stream",
            if side.translates { "\"chat.completion.chunk\"" } else { "\"content_block_delta\"" },
        ),
    ] {
        let before = mock::counts()?;
        let shot = side.shot(test);
        let (status, body) = gateway::fetch(side.gateway.port, &shot.request)?;
        let after = mock::counts()?;
        let asked: BTreeMap<_, _> =
            after.iter().filter(|(name, count)| before.get(*name) != Some(count)).collect();
        let text = String::from_utf8_lossy(&body);
        if status != 200 || !text.contains(form) || !asked.keys().eq([kind].iter()) {
            return Err(format!(
                "{}, {}: status {status}, the mock saw {asked:?}, wanted {kind} and {form}: {text}\n{}",
                side.gateway.name,
                test.name,
                side.gateway.last_words()
            )
            .into());
        }
    }
    Ok(())
}

/// Measures one side, which is paused before and after.
fn resumed(plan: &Plan, test: &Test, side: &Side, ours: &[u32]) -> Result<Figures> {
    let gateway = &side.gateway;
    gateway.resume()?;
    let figures = quietest(plan, test, side, ours).map_err(|error| {
        format!("{}, {}: {error}\n{}", test.name, gateway.name, gateway.last_words())
    })?;
    gateway.pause()?;
    Ok(figures)
}

/// Measures again, a few times, while others keep the machine busy.
fn quietest(plan: &Plan, test: &Test, side: &Side, ours: &[u32]) -> Result<Figures> {
    let mut best = once(plan, test, side, ours)?;
    for _ in 0..plan.repeats {
        if best.usage.foreign <= QUIET {
            break;
        }
        plan.patience.set(cpu::await_quiet(plan.patience.get()));
        let again = once(plan, test, side, ours)?;
        if again.usage.foreign < best.usage.foreign {
            best = again;
        }
    }
    Ok(best)
}

fn once(plan: &Plan, test: &Test, side: &Side, ours: &[u32]) -> Result<Figures> {
    mock::set(&Settings { chunks: test.chunks, interval: test.interval, latency: NONE })?;
    let shots = [side.shot(test)];
    let pace = Pace::Closed { stagger: test.stagger };
    let mut load = Load::new(side.gateway.port, test.conns, pace, &shots, |_| 0)?;
    load.drive(Instant::now() + plan.warm)?;
    load.reset();
    let before = Sample::take(side.gateway.pid(), ours);
    load.drive(Instant::now() + plan.window)?;
    let usage = Sample::take(side.gateway.pid(), ours).since(&before);
    let mut counts = std::mem::take(&mut load.counts);
    load.drain(Duration::from_secs(3))?;
    counts.errors += load.counts.errors;
    counts.short += load.counts.short;
    counts.first_error = counts.first_error.or(load.counts.first_error.take());
    drop(load);
    // The gateway sees its clients go before it is paused.
    std::thread::sleep(Duration::from_millis(20));
    let resident_kb = side.gateway.resident_kb()?;
    Ok(Figures { counts, usage, resident_kb })
}

struct Figures {
    counts: Counts,
    usage: Usage,
    resident_kb: u64,
}

impl Figures {
    fn unit(&self, test: &Test) -> (u64, &'static str) {
        if test.chunks > 0 { (self.counts.chunks, "chunk") } else { (self.counts.done, "request") }
    }

    fn cpu_us(&self, test: &Test) -> f64 {
        self.usage.gateway.as_secs_f64() * 1e6 / self.unit(test).0.max(1) as f64
    }

    fn line(&mut self, test: &Test, side: &Side) -> String {
        let (units, unit) = self.unit(test);
        let mut line = format!(
            "{:18}{:8}{:8.2} µs CPU a {unit}, {:.0} {unit}s/s, gateway {:.0} % of its core",
            test.name,
            side.gateway.name,
            self.cpu_us(test),
            units as f64 / self.usage.wall.as_secs_f64(),
            self.usage.gateway.as_secs_f64() / self.usage.wall.as_secs_f64() * 100.0
        );
        let (p50, p99) = (self.counts.percentile(0.5), self.counts.percentile(0.99));
        if test.chunks == 0
            && let (Some(p50), Some(p99)) = (p50, p99)
        {
            line += &format!(", p50 {p50:.0} µs, p99 {p99:.0} µs");
        }
        if self.counts.errors + self.counts.short > 0 {
            let first = self.counts.first_error.as_deref().unwrap_or_default();
            let (errors, short) = (self.counts.errors, self.counts.short);
            line += &format!(", {errors} ERRORS, {short} SHORT: {first}");
        }
        if self.usage.foreign > QUIET {
            line += &format!(", others used {:.2} core", self.usage.foreign);
        }
        line
    }

    fn measured(&mut self, test: &Test, side: &Side) -> Measured {
        Measured {
            test: test.name,
            bare: side.gateway.name == "bare",
            cpu_us: self.cpu_us(test),
            per_second: self.unit(test).0 as f64 / self.usage.wall.as_secs_f64(),
            p50_us: self.counts.percentile(0.5),
            p99_us: self.counts.percentile(0.99),
            faults: self.counts.errors + self.counts.short,
            foreign: self.usage.foreign,
            resident_kb: self.resident_kb,
        }
    }
}
