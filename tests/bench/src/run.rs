//! `bench run`: Waypost and bare Envoy, in turn, row by row, round by round.

use crate::Result;
use crate::args::Args;
use crate::body::Size;
use crate::cpu::{self, QUIET, Sample, Usage};
use crate::gateway::{self, Gateway, Process, Setup};
use crate::load::{Counts, Load, Pace};
use crate::mock::{self, Settings};
use crate::rows::{TESTS, Test};
use crate::shot::Shot;
use crate::sys::{self, Regex};
use crate::table::{Measured, Rows};
use crate::wire::{APIS, Api};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const BARE_PORT: u16 = 19110;
pub const WAYPOST_PORT: u16 = 19150;

/// How often a measurement is repeated that others disturbed.
const REPEATS: usize = 2;

/// Windows that a measurement may take until the first answer or chunk has come.
const MAX_WINDOWS: usize = 10;

struct Plan {
    rounds: usize,
    /// For the rows of the central APIs, and for those of the others.
    central: Effort,
    others: Effort,
    repeats: usize,
    /// How long the run may wait in all for others to leave the machine alone.
    patience: Cell<Duration>,
    /// Time between the first answer and the reading of idle memory.
    settle: Duration,
    load_core: usize,
    tests: Vec<&'static Test>,
    /// Waypost's side is bare Envoy too: shows the noise of the measurement.
    same: bool,
    bare: Setup,
    waypost: Setup,
}

/// How long a row is measured in a round.
#[derive(Clone, Copy)]
struct Effort {
    /// How often it goes through both gateways. Many short windows side by side show less of the
    /// machine's moods than a few long ones.
    passes: usize,
    warm: Duration,
    window: Duration,
}

impl Effort {
    const fn new(passes: usize, warm_ms: u64, window_ms: u64) -> Self {
        let (warm, window) = (Duration::from_millis(warm_ms), Duration::from_millis(window_ms));
        Self { passes, warm, window }
    }
}

impl Plan {
    fn effort(&self, test: &Test) -> Effort {
        if test.api.central { self.central } else { self.others }
    }
}

/// True when every bar holds.
pub fn command(args: &Args) -> Result<bool> {
    let quick = args.flag("quick");
    let all = args.flag("all");
    let same = args.flag("same");
    let markdown = args.flag("markdown");
    let out = args.text("out").map(PathBuf::from);
    let module = args.text("module");
    let module =
        PathBuf::from(module.as_deref().unwrap_or("target/wasm32-wasip1/release/waypost.wasm"));
    let only = args.text("only").map(|pattern| Regex::new(&pattern)).transpose()?;
    let plan = plan(args, quick, all, same, only.as_ref())?;
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

fn plan(args: &Args, quick: bool, all: bool, same: bool, only: Option<&Regex>) -> Result<Plan> {
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
    let central = if quick { Effort::new(1, 250, 600) } else { Effort::new(3, 500, 1000) };
    let others = if quick { Effort::new(1, 150, 300) } else { Effort::new(1, 300, 700) };
    Ok(Plan {
        central,
        others: if all { central } else { others },
        repeats: if quick { 0 } else { REPEATS },
        patience: Cell::new(Duration::from_secs(args.number("patience", 180)?)),
        rounds: args.number("rounds", if quick { 1 } else { 3 })?.clamp(1, 50),
        settle: Duration::from_millis(if quick { 700 } else { 2000 }),
        load_core: args.number("load-core", 1)?,
        tests: TESTS.iter().filter(|test| only.is_none_or(|o| o.is_match(&test.name))).collect(),
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
            check(plan, &side)?;
            side.gateway.pause()?;
            sides.push(side);
        }
        if round % 2 == 1 {
            sides.reverse();
        }
        for test in &plan.tests {
            for _ in 0..plan.effort(test).passes {
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
    fn shot(&self, api: &'static Api, size: Size, chunks: usize) -> Shot {
        Shot::chat(self.gateway.port, api, size, chunks, self.translates)
    }
}

fn start(setup: &Setup, translates: bool, settle: Duration, rows: &mut Rows) -> Result<Gateway> {
    let first = Shot::chat(setup.port, &APIS[0], Size::Small, 0, translates);
    let gateway = Gateway::start(setup, &first.request)?;
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

/// One answer and one stream of each API before anything is measured: the right provider must have
/// been asked, the answer must be in the client's form, and what is translated must tell the usage
/// that the provider told.
fn check(plan: &Plan, side: &Side) -> Result<()> {
    const CHUNKS: usize = 20;
    mock::set(&Settings { chunks: CHUNKS, interval: Duration::ZERO, latency: Duration::ZERO })?;
    let tested = |api: &&Api| plan.tests.iter().any(|test| test.api.name == api.name);
    for api in APIS.iter().filter(tested) {
        let [answer, stream] = if side.translates {
            [
                ["\"chat.completion\"", "\"total_tokens\":349"],
                ["\"chat.completion.chunk\"", "\"total_tokens\":251"],
            ]
        } else {
            api.forms.map(|form| [form; 2])
        };
        checked(side, api, api.name, 0, answer)?;
        checked(side, api, &format!("{}_stream", api.name), CHUNKS, stream)?;
    }
    Ok(())
}

/// Asks once: the mock must have counted one more of `kind`, and the answer must hold all `forms`,
/// however it is spaced.
fn checked(
    side: &Side,
    api: &'static Api,
    kind: &str,
    chunks: usize,
    forms: [&str; 2],
) -> Result<()> {
    let before = mock::counts()?;
    let shot = side.shot(api, Size::Small, chunks);
    let (status, body) = gateway::fetch(side.gateway.port, &shot.request)?;
    let after = mock::counts()?;
    let asked: BTreeMap<_, _> =
        after.iter().filter(|(name, count)| before.get(*name) != Some(count)).collect();
    let text = String::from_utf8_lossy(&body).replace("\": ", "\":");
    let whole = forms.iter().all(|form| text.contains(form));
    if status == 200 && whole && asked.keys().eq([kind].iter()) {
        return Ok(());
    }
    Err(format!(
        "{}: status {status}, the mock saw {asked:?}, wanted {kind} and {forms:?}: {text}\n{}",
        side.gateway.name,
        side.gateway.last_words()
    )
    .into())
}

/// Measures one side, which is paused before and after.
fn resumed(plan: &Plan, test: &'static Test, side: &Side, ours: &[u32]) -> Result<Figures> {
    let gateway = &side.gateway;
    gateway.resume()?;
    let figures = quietest(plan, test, side, ours).map_err(|error| {
        format!("{}, {}: {error}\n{}", test.name, gateway.name, gateway.last_words())
    })?;
    gateway.pause()?;
    Ok(figures)
}

/// Measures again, a few times, while others keep the machine busy.
fn quietest(plan: &Plan, test: &'static Test, side: &Side, ours: &[u32]) -> Result<Figures> {
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

fn once(plan: &Plan, test: &'static Test, side: &Side, ours: &[u32]) -> Result<Figures> {
    let Effort { warm, window, .. } = plan.effort(test);
    mock::set(&Settings { chunks: test.chunks, interval: test.interval, latency: Duration::ZERO })?;
    let shots = [side.shot(test.api, test.size, test.chunks)];
    let pace = Pace::Closed { stagger: test.stagger };
    let mut load = Load::new(side.gateway.port, test.conns, pace, &shots, |_| 0)?;
    load.drive(Instant::now() + warm)?;
    load.reset();
    let before = Sample::take(side.gateway.pid(), ours);
    let mut windows = 0;
    // Where others keep the machine busy, a window may pass in which nothing comes.
    while windows == 0 || (units(test, &load.counts) == 0 && windows < MAX_WINDOWS) {
        load.drive(Instant::now() + window)?;
        windows += 1;
    }
    if units(test, &load.counts) == 0 {
        let first = load.counts.first_error.take().unwrap_or_default();
        return Err(format!("nothing came {first}").into());
    }
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

/// What the CPU of a test is divided by: chunks of a stream, else requests.
fn units(test: &Test, counts: &Counts) -> u64 {
    if test.chunks > 0 { counts.chunks } else { counts.done }
}

struct Figures {
    counts: Counts,
    usage: Usage,
    resident_kb: u64,
}

impl Figures {
    fn cpu_us(&self, test: &Test) -> f64 {
        self.usage.gateway.as_secs_f64() * 1e6 / units(test, &self.counts).max(1) as f64
    }

    fn line(&mut self, test: &Test, side: &Side) -> String {
        let units = units(test, &self.counts);
        let unit = if test.chunks > 0 { "chunk" } else { "request" };
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

    fn measured(&mut self, test: &'static Test, side: &Side) -> Measured {
        Measured {
            test: &test.name,
            bare: side.gateway.name == "bare",
            cpu_us: self.cpu_us(test),
            per_second: units(test, &self.counts) as f64 / self.usage.wall.as_secs_f64(),
            p50_us: self.counts.percentile(0.5),
            p99_us: self.counts.percentile(0.99),
            faults: self.counts.errors + self.counts.short,
            foreign: self.usage.foreign,
            resident_kb: self.resident_kb,
        }
    }
}
