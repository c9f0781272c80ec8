//! What the kernel says: time on a core, memory, and how busy the machine is.

use crate::sys;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Cores that others may use before a measurement counts as disturbed.
pub const QUIET: f64 = 0.12;

/// Time all threads of a process have spent on a core, by the scheduler's own accounting, which
/// has nanoseconds where `/proc/PID/stat` has hundredths of a second.
pub fn run_time(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let nanos = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}

/// Resident memory of a process in kB.
pub fn resident_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Time all cores were not idle since the machine started, in hundredths of a second.
fn machine_busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, (idle, iowait), irq, softirq, steal: see proc_stat(5).
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum();
    Duration::from_millis(busy * 10)
}

/// The state of all clocks at one moment.
pub struct Sample {
    at: Instant,
    gateway: Duration,
    ours: Duration,
    machine: Duration,
}

impl Sample {
    /// `ours` are the processes of the measurement besides the gateway.
    pub fn take(gateway: u32, ours: &[u32]) -> Self {
        Self {
            gateway: run_time(gateway),
            at: Instant::now(),
            ours: ours.iter().map(|pid| run_time(*pid)).sum(),
            machine: machine_busy(),
        }
    }

    pub fn since(&self, before: &Self) -> Usage {
        let gateway = self.gateway.saturating_sub(before.gateway);
        let known = gateway + self.ours.saturating_sub(before.ours);
        let wall = self.at.saturating_duration_since(before.at);
        let machine = self.machine.saturating_sub(before.machine);
        let foreign = machine.saturating_sub(known).as_secs_f64() / wall.as_secs_f64().max(1e-9);
        Usage { gateway, wall, foreign }
    }
}

/// Waits, at most `budget`, until others leave the machine alone; returns what is left of it.
pub fn await_quiet(budget: Duration) -> Duration {
    const LOOK: Duration = Duration::from_millis(500);
    let started = Instant::now();
    while started.elapsed() < budget && !sys::interrupted() {
        let before = machine_busy();
        sleep(LOOK);
        if machine_busy().saturating_sub(before) < LOOK.mul_f64(QUIET) {
            break;
        }
    }
    budget.saturating_sub(started.elapsed())
}

/// What was used between two samples.
pub struct Usage {
    pub gateway: Duration,
    pub wall: Duration,
    /// Cores used by processes that are not of the measurement.
    pub foreign: f64,
}
