//! Measures Waypost against the same Envoy without it. See `tests/bench/README.md`.

mod args;
mod body;
mod cpu;
mod decide;
mod gateway;
mod http;
mod load;
mod marks;
mod mock;
mod rows;
mod run;
mod shot;
mod soak;
mod sys;
mod table;
mod wire;

use args::Args;
use std::process::ExitCode;

pub type Error = Box<dyn std::error::Error>;
pub type Result<T> = std::result::Result<T, Error>;

const USAGE: &str = "\
bench run   compare Waypost with bare Envoy and print a table
            --rounds N  --quick  --all  --only REGEX  --markdown  --out FILE.json  --same
            --patience S
            --envoy PATH  --waypost-config FILE  --waypost-port N  --bare-config FILE  --module FILE
            --gateway-core N  --load-core N
bench soak  many mixed requests through one gateway, with its memory as it goes
            --count N  --conns N  --every S  --max-growth-mb N  --max-minutes N
            --config FILE  --port N  --untranslated  --envoy PATH
            --gateway-core N  --load-core N
bench decide  what a decision costs, natively and in V8
            --count N  --rounds N  --quick  --node PATH
bench load  one load against something that listens already
            --port N  --api NAME  --untranslated  --body 1k|100k  --stream  --chunks N  --conns N
            --rate R  --warm S  --secs S  --pid N
bench mock  the mock provider alone, on 127.0.0.1:9101 (--port N)";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let outcome = sys::catch_signals().map_err(Error::from).and_then(|()| {
        let args = Args::parse(words)?;
        match command.as_str() {
            "run" => run::command(&args),
            "soak" => soak::command(&args),
            "decide" => decide::command(&args),
            "load" => load::command(&args),
            "mock" => mock::command(&args),
            other => Err(format!("unknown command {other:?}\n{USAGE}").into()),
        }
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}
