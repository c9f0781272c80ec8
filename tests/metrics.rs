//! docs/metrics.md and envoy/envoy.yaml against the code that names metrics: what one has and
//! another has not is a failure.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use waypost::health::State;
use waypost::openai::Class;
use waypost::routing::Why;
use waypost::telemetry::metrics::{Kind, accounts, series};

#[expect(clippy::panic, reason = "a test fails that way")]
fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

type Metrics = BTreeMap<String, BTreeSet<String>>;

/// What stands between `open` and the next `"`, each time.
fn quoted(text: &str, open: &str) -> BTreeSet<String> {
    text.split(open).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// Names with their labels, as the code writes them: the functions that make one, and the table.
fn written() -> Metrics {
    let code = |file: &str| {
        let source = read(&format!("src/telemetry/metrics/{file}"));
        source.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
    };
    let code = [code("mod.rs"), code("prices.rs")].concat();
    let functions: Vec<&str> = code.split("\npub fn ").collect();
    let functions = functions.into_iter().filter(|function| function.contains("Name::new(\""));
    let functions = functions.map(|function| {
        let names = quoted(function, "Name::new(\"");
        assert_eq!(names.len(), 1, "one metric for a function: {names:?}");
        let name = names.first().map_or_else(String::new, |name| format!("waypost_{name}"));
        (name, quoted(function, ".with(\""))
    });
    let tables = series::ALL.iter().chain(&accounts::ALL);
    let tables = tables.map(|metric| {
        let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
        (metric.name.to_owned(), labels)
    });
    functions.chain(tables).collect()
}

/// Words in backquotes.
fn words(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Names with their labels, as the page has them.
fn told(page: &str) -> Metrics {
    let ours = |line: &&str| line.starts_with("| `waypost_") || line.starts_with("| `gen_ai_");
    // What each is to OpenTelemetry stands in another table.
    let page = page.split("## OpenTelemetry").next().unwrap_or_default();
    let rows = page.lines().filter(ours);
    rows.filter_map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let mut cell = || cells.next().unwrap_or_default();
        let (name, kind, labels) = (cell(), cell(), cell());
        // Rows of labels look the same.
        let is_metric = matches!(kind, "gauge" | "counter" | "histogram");
        is_metric.then(|| (name.trim_matches('`').to_owned(), words(labels)))
    })
    .collect()
}

#[test]
fn every_metric_is_told_and_every_metric_that_is_told_exists() {
    let written = written();
    assert!(written.len() >= 29, "{written:?}");
    assert_eq!(told(&read("docs/metrics.md")), written);
}

#[test]
fn every_metric_that_a_page_speaks_of_exists() {
    let written = written();
    for page in ["README.md", "docs/metrics.md", "docs/routing.md", "docs/status.md"] {
        let text = read(page);
        let said = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let ours = [
            "breaker",
            "failovers",
            "skipped",
            "mirrors",
            "in_flight",
            "requests",
            "tokens",
            "spend",
            "unpriced",
            "estimated",
            "overhead",
            "series",
            "tenant_info",
            "configured",
            "info",
            "limited",
            "budget",
            "alerts",
            "webhook",
        ];
        for name in said.filter(|word| {
            word.strip_prefix("waypost_")
                .is_some_and(|rest| ours.iter().any(|own| rest.starts_with(own)))
        }) {
            assert!(written.contains_key(name), "{page}: {name}");
        }
    }
}

#[test]
fn every_value_of_a_label_is_told() {
    let page = read("docs/metrics.md");
    let row = |start: &str| words(page.lines().find(|line| line.starts_with(start)).unwrap_or(""));
    let classes = row("| `reason` of `waypost_failovers`");
    for class in Class::ALL {
        assert!(classes.contains(class.word()), "{}", class.word());
    }
    let whys = row("| `reason` of `waypost_skipped`");
    for why in Why::ALL {
        assert!(whys.contains(why.word()), "{}", why.word());
    }
    let states = row("| `to` of `waypost_breaker_transitions`");
    for state in [State::Closed, State::Open, State::HalfOpen] {
        assert!(states.contains(state.word()), "{}", state.word());
    }
}

#[test]
fn the_schema_of_records_knows_these_words_and_no_others() {
    let schema: Value = serde_json::from_str(&read("docs/audit.schema.json")).unwrap_or_default();
    let words = |place: &str| -> BTreeSet<String> {
        let words = schema.pointer(&format!("{place}/enum")).and_then(Value::as_array);
        words.into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
    };
    let whys = Why::ALL.map(|why| why.word().to_owned());
    assert_eq!(words("/$defs/skipped/properties/why"), BTreeSet::from(whys));
    let classes: BTreeSet<String> =
        Class::ALL.iter().map(|class| class.word().to_owned()).collect();
    for place in ["/properties/refused/properties/class", "/$defs/attempt/properties/class"] {
        assert_eq!(words(place), classes, "{place}");
    }
}

#[test]
fn envoy_takes_every_label_out_of_the_name() {
    let labels: BTreeSet<String> = written().into_values().flatten().collect();
    for file in ["envoy/envoy.yaml", "examples/providers/envoy.yaml"] {
        let text = read(file);
        let tags: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- { tag_name: "))
            .filter_map(|rest| Some(rest.split_once(',')?.0.to_owned()))
            .collect();
        assert_eq!(tags, labels, "{file}");
    }
}

#[test]
fn every_histogram_has_bounds_that_envoy_can_hold() {
    for file in ["envoy/envoy.yaml", "examples/providers/envoy.yaml"] {
        let text = read(file);
        for metric in series::ALL.iter().filter(|metric| metric.kind == Kind::Histogram) {
            let setting = format!("- match: {{ prefix: wasmcustom.{} }}\n", metric.name);
            let bounds = text.split_once(&setting).and_then(|(_, rest)| rest.lines().next());
            let bounds = bounds.unwrap_or_default().trim();
            if bounds == "buckets: *seconds" {
                continue;
            }
            let bounds = bounds.split_once('[').map_or("", |(_, rest)| rest.trim_end_matches(']'));
            let bounds: Vec<u64> =
                bounds.split(", ").map(|bound| bound.parse().unwrap_or_default()).collect();
            assert!(bounds.len() >= 10 && bounds.is_sorted(), "{file}: {}", metric.name);
            for bound in bounds {
                // Two digits, and zeros.
                let digits = bound.to_string();
                assert!(bound > 0 && digits.trim_end_matches('0').len() <= 2, "{bound}");
            }
        }
    }
}
