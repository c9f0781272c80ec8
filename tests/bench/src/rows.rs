//! What is measured, and the most it may show: each kind of load with each API, then what a gateway
//! costs before the first request.

use crate::body::Size;
use crate::wire::{APIS, Api};
use std::sync::LazyLock;
use std::time::Duration;

/// A load that is given to both gateways, whatever the API.
struct Kind {
    /// The start of the names of its rows.
    name: &'static str,
    /// What the row says; `{}` is the API.
    label: &'static str,
    size: Size,
    /// Content deltas of each answer; 0: JSON.
    chunks: usize,
    interval: Duration,
    conns: usize,
    stagger: Duration,
    bars: Bars,
    /// Given to the APIs that are measured in each way, and not to the others.
    central: bool,
}

enum Bars {
    /// CPU divided by that of bare Envoy: where the provider speaks as OpenAI does, and where
    /// everything is translated.
    Cpu { alike: f64, translated: f64 },
    /// Added microseconds within which half and 99 % of the requests stay.
    Latency { p50: f64, p99: f64 },
}

const PLAIN: Kind = Kind {
    name: "1k",
    label: "1 KB, OpenAI → {}, CPU a request",
    size: Size::Small,
    chunks: 0,
    interval: Duration::ZERO,
    conns: 32,
    stagger: Duration::ZERO,
    bars: Bars::Cpu { alike: 1.8, translated: 2.2 },
    central: false,
};

const KINDS: &[Kind] = &[
    PLAIN,
    Kind {
        name: "100k",
        label: "100 KB, OpenAI → {}, CPU a request",
        size: Size::Large,
        conns: 16,
        bars: Bars::Cpu { alike: 2.5, translated: 3.5 },
        ..PLAIN
    },
    Kind {
        name: "stream",
        label: "stream as fast as it goes, {}, CPU a chunk",
        chunks: 200,
        conns: 16,
        bars: Bars::Cpu { alike: 1.3, translated: 2.0 },
        ..PLAIN
    },
    // Each chunk reaches the gateway by itself, as from a model: nothing is read in bunches. The
    // stagger is no multiple of the interval, so that the streams do not beat as one.
    Kind {
        name: "paced",
        label: "stream, chunk by chunk, {}, CPU a chunk",
        chunks: 200,
        interval: Duration::from_millis(4),
        conns: 40,
        stagger: Duration::from_micros(10_100),
        bars: Bars::Cpu { alike: 1.3, translated: 2.0 },
        central: true,
        ..PLAIN
    },
    Kind {
        name: "latency",
        label: "latency, one connection, {}",
        conns: 1,
        bars: Bars::Latency { p50: 60.0, p99: 200.0 },
        central: true,
        ..PLAIN
    },
];

/// One load, given to both gateways.
pub struct Test {
    /// Also the name of its row, or rows.
    pub name: String,
    pub api: &'static Api,
    pub size: Size,
    /// Content deltas of each answer; 0: JSON.
    pub chunks: usize,
    pub interval: Duration,
    pub conns: usize,
    pub stagger: Duration,
}

/// A row of the table: what it compares, and the bar.
pub struct Row {
    pub name: &'static str,
    pub label: String,
    pub unit: &'static str,
    pub source: Source,
    pub bar: Bar,
}

#[derive(Clone, Copy)]
pub enum Source {
    Cpu(&'static str),
    P50(&'static str),
    P99(&'static str),
    ResidentMb,
    LoadMs,
    ModuleMb,
}

/// The most a row may show.
#[derive(Clone, Copy)]
pub enum Bar {
    /// Waypost divided by bare.
    Times(f64),
    /// Waypost less bare, in the row's unit.
    Added(f64),
    /// Waypost's own figure.
    Only(f64),
}

impl Bar {
    pub fn limit(self) -> f64 {
        match self {
            Self::Times(limit) | Self::Added(limit) | Self::Only(limit) => limit,
        }
    }
}

pub static TESTS: LazyLock<Vec<Test>> =
    LazyLock::new(|| pairs().map(|(kind, api)| test(kind, api)).collect());

pub static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let tests: &'static [Test] = &TESTS;
    let measured = pairs().zip(tests).flat_map(|((kind, api), test)| rows(kind, api, &test.name));
    measured.chain(fixed()).collect()
});

fn pairs() -> impl Iterator<Item = (&'static Kind, &'static Api)> {
    let with = |kind: &'static Kind| APIS.iter().filter(|api| api.central || !kind.central);
    KINDS.iter().flat_map(move |kind| with(kind).map(move |api| (kind, api)))
}

fn test(kind: &Kind, api: &'static Api) -> Test {
    let Kind { size, chunks, interval, conns, stagger, .. } = *kind;
    Test {
        name: format!("{}-{}", kind.name, api.name),
        api,
        size,
        chunks,
        interval,
        conns,
        stagger,
    }
}

fn rows(kind: &Kind, api: &Api, name: &'static str) -> Vec<Row> {
    let label = kind.label.replace("{}", api.label);
    let row = |label, source, bar| Row { name, label, unit: "µs", source, bar };
    match kind.bars {
        Bars::Cpu { alike, translated } => {
            let most = if api.translated { translated } else { alike };
            vec![row(label, Source::Cpu(name), Bar::Times(most))]
        }
        Bars::Latency { p50, p99 } => vec![
            row(format!("{label}, p50"), Source::P50(name), Bar::Added(p50)),
            row(format!("{label}, p99"), Source::P99(name), Bar::Added(p99)),
        ],
    }
}

fn fixed() -> [Row; 3] {
    let row = |name, label: &str, unit, source, bar| {
        let label = label.to_owned();
        Row { name, label, unit, source, bar }
    };
    [
        row("memory", "resident memory, idle", "MB", Source::ResidentMb, Bar::Added(40.0)),
        row("module", "size of the module", "MB", Source::ModuleMb, Bar::Only(1.5)),
        row("load", "start to first answer", "ms", Source::LoadMs, Bar::Added(1000.0)),
    ]
}

/// Which APIs are held to which bars, for the end of the table.
pub fn families() -> String {
    let labels = |translated| {
        let apis = APIS.iter().filter(|api| api.translated == translated);
        apis.map(|api| api.label).collect::<Vec<_>>().join(", ")
    };
    format!(
        "Bars of OpenAI → OpenAI: {}. Bars of OpenAI → Anthropic: {}.",
        labels(false),
        labels(true)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_has_a_row_for_small_and_large_requests_and_for_streams() {
        for api in APIS {
            for kind in ["1k", "100k", "stream"] {
                let name = format!("{kind}-{}", api.name);
                assert_eq!(ROWS.iter().filter(|row| row.name == name).count(), 1, "{name}");
                assert!(TESTS.iter().any(|test| test.name == name));
            }
        }
    }

    #[test]
    fn every_test_has_a_row() {
        for test in TESTS.iter() {
            assert!(ROWS.iter().any(|row| row.name == test.name), "{}", test.name);
        }
    }

    #[test]
    fn those_that_are_translated_share_the_bars_of_anthropic() {
        let bars = |name: &str| {
            ["1k", "100k", "stream"].map(|kind| {
                let name = format!("{kind}-{name}");
                ROWS.iter().find(|row| row.name == name).unwrap().bar.limit()
            })
        };
        for alike in ["openai", "azure", "deepseek"] {
            assert_eq!(bars(alike), [1.8, 2.5, 1.3], "{alike}");
        }
        for other in ["anthropic", "gemini", "vertex", "mistral", "cohere", "bedrock"] {
            assert_eq!(bars(other), [2.2, 3.5, 2.0], "{other}");
        }
    }

    #[test]
    fn paced_streams_and_latency_are_of_the_central_apis() {
        let named = |start: &str| {
            let tests = TESTS.iter().filter(|test| test.name.starts_with(start));
            tests.map(|test| test.api.name).collect::<Vec<_>>()
        };
        assert_eq!(named("paced-"), ["openai", "anthropic"]);
        assert_eq!(named("latency-"), ["openai", "anthropic"]);
    }
}
