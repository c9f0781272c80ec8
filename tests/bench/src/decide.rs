//! `bench decide`: what a decision costs, natively and in V8. Needs no Envoy: a loop of decisions is
//! built for both, from the crate in `tests/bench/decide`.

use crate::args::Args;
use crate::{Error, Result};
use std::path::Path;
use std::process::Command;

const CRATE: &str = "tests/bench/decide";
const TARGET: &str = "target/decide";
const WASM: &str = "wasm32-unknown-unknown";

/// Longest that a decision may take in V8, in nanoseconds.
const BAR: f64 = 20_000.0;

pub fn command(args: &Args) -> Result<bool> {
    let quick = args.flag("quick");
    let node = args.text("node").unwrap_or_else(|| "node".to_owned());
    // The kernel accounts CPU by ticks of some milliseconds; a round must take many of them.
    let count: u32 = args.number("count", if quick { 5_000 } else { 20_000 })?;
    let rounds: u32 = args.number("rounds", if quick { 3 } else { 9 })?;
    args.finish()?;
    let (count, rounds) = (count.to_string(), rounds.to_string());
    build(&["--release", "--lib", "--target", WASM])?;
    build(&["--profile", "native", "--bin", "native"])?;
    let native = Path::new(TARGET).join("native/native");
    let native = output(Command::new(native).args([&count, &rounds]))?;
    let module = Path::new(TARGET).join(WASM).join("release/decide.wasm");
    // Envoy's V8 compiles with the optimizing compiler only.
    let mut v8 = Command::new(node);
    v8.arg("--no-liftoff").arg(Path::new(CRATE).join("v8.mjs")).arg(module).args([&count, &rounds]);
    let (table, holds) = table(&native, &output(&mut v8)?)?;
    print!("{table}");
    // A quick run shows that it works; its figures prove nothing.
    Ok(holds || quick)
}

fn build(words: &[&str]) -> Result<()> {
    let manifest = Path::new(CRATE).join("Cargo.toml");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--target-dir", TARGET, "--manifest-path"]).arg(manifest);
    match cargo.args(words).status()?.success() {
        true => Ok(()),
        false => Err("the loop of decisions cannot be built".into()),
    }
}

fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The table, and whether the bar holds. `native` has a line with name and nanoseconds for each
/// strategy, `v8` one with nanoseconds.
fn table(native: &str, v8: &str) -> Result<(String, bool)> {
    if native.lines().count() != v8.lines().count() || native.is_empty() {
        return Err(format!("not the same strategies: {native:?}, {v8:?}").into());
    }
    let mut table = format!("{:<16}{:>14}{:>14}\n", "strategy", "native", "V8");
    let mut holds = true;
    for (native, v8) in native.lines().zip(v8.lines()) {
        let (name, native) = native.split_once('\t').ok_or("a line without a figure")?;
        let number = |text: &str| -> Result<f64> { text.trim().parse().map_err(Error::from) };
        let (native, v8) = (number(native)?, number(v8)?);
        holds &= v8 <= BAR;
        table.push_str(&format!("{name:<16}{:>11.2} µs{:>11.2} µs\n", native / 1e3, v8 / 1e3));
    }
    let verdict = if holds { "holds" } else { "does NOT hold" };
    table.push_str(&format!(
        "\na decision with 50 rules and 20 targets; the bar of {} µs in V8 {verdict}\n",
        BAR / 1e3
    ));
    Ok((table, holds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_in_v8_above_the_bar_does_not_hold() {
        let (text, holds) = table("cost\t5000\nlatency\t900\n", "19000\n20001\n").unwrap();
        assert!(!holds && text.contains("does NOT hold"), "{text}");
        assert!(text.contains("cost                   5.00 µs      19.00 µs"), "{text}");
        assert!(table("cost\t5000\n", "20000\n").unwrap().1);
    }

    #[test]
    fn figures_of_other_strategies_are_none() {
        for (native, v8) in [("", ""), ("cost\t1\n", ""), ("cost\n", "1\n"), ("cost\t1\n", "x\n")] {
            assert!(table(native, v8).is_err(), "{native:?} {v8:?}");
        }
    }
}
