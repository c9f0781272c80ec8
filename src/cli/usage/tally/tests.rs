//! Who is charged for what.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::super::record::{self, Line};
use super::super::{Format, Options};
use super::*;

fn plan(by: &[Dimension], zone: &str) -> Plan {
    Plan::of(&Options {
        by: by.to_vec(),
        from: None,
        to: None,
        tenants: Vec::new(),
        top: None,
        zone: Zone::parse(zone).unwrap(),
        zone_name: zone.to_owned(),
        chart: true,
        format: Format::Table,
        strict: false,
    })
}

fn count(lines: &[&str], plan: &Plan) -> Tally {
    let mut tally = Tally::new(plan);
    for fields in lines {
        let line = format!(r#"{{"v":2,{fields}}}"#);
        match record::read(line.as_bytes(), &mut Vec::new()) {
            Line::Record(record) => tally.add(&record, plan),
            other => panic!("{other:?}: {fields}"),
        }
    }
    tally
}

/// Names, spend, requests, failures, attempts and failed attempts.
type Seen = (String, [u128; 5]);

fn seen(tally: Tally) -> Vec<Seen> {
    let rows = tally.groups.into_rows().into_iter();
    rows.map(|(name, sums)| {
        let names: Vec<String> =
            names(&name).into_iter().map(|name| name.unwrap_or_else(|| "∅".to_owned())).collect();
        let counts = [sums.requests, sums.failures, sums.attempts, sums.failed_attempts];
        let [requests, failures, attempts, failed] = counts.map(u128::from);
        (names.join(" "), [sums.spend, requests, failures, attempts, failed])
    })
    .collect()
}

fn row(name: &str, sums: [u128; 5]) -> Seen {
    (name.to_owned(), sums)
}

const FAILED_OVER: &str = r#""time":"2026-11-01T00:00:00Z","tenant":"a","status":200,"route":"r","provider_chosen":"q","model":"n","cost_usd":0.000000012,"attempts":[{"provider":"p","model":"m","rule":"first","outcome":"failed","cost_usd":0.000000005,"input_tokens":3},{"provider":"q","model":"n","outcome":"answered","cost_usd":0.000000007}]"#;

#[test]
fn a_request_counts_where_it_was_answered_and_its_cost_where_it_was_used() {
    let by = [Dimension::Provider, Dimension::Model, Dimension::Rule];
    let rows = seen(count(&[FAILED_OVER], &plan(&by, "UTC")));
    assert_eq!(rows, [row("p m first", [5, 0, 0, 1, 1]), row("q n r", [7, 1, 0, 1, 0])]);
    let rows = seen(count(&[FAILED_OVER], &plan(&[Dimension::Tenant], "UTC")));
    assert_eq!(rows, [row("a", [12, 1, 0, 2, 1])]);
}

#[test]
fn where_all_attempts_failed_it_counts_for_the_last() {
    let lines = [
        r#""time":"2026-11-01T00:00:00Z","status":503,"attempts":[{"provider":"p","outcome":"failed"},{"provider":"q","outcome":"failed"}]"#,
        r#""time":"2026-11-01T00:00:00Z","attempts":[{"provider":"q","outcome":"unfinished"}]"#,
    ];
    let rows = seen(count(&lines, &plan(&[Dimension::Provider], "UTC")));
    assert_eq!(rows, [row("p", [0, 0, 0, 1, 1]), row("q", [0, 2, 2, 2, 1])]);
}

#[test]
fn a_request_that_asked_nobody_counts_for_nobody() {
    let refused = r#""time":"2026-11-01T00:00:00Z","status":429,"model":"gpt-4o","provider_chosen":null,"attempts":[]"#;
    let rows = seen(count(&[refused], &plan(&[Dimension::Provider, Dimension::Model], "UTC")));
    assert_eq!(rows, [row("∅ ∅", [0, 1, 1, 0, 0])]);
}

#[test]
fn a_record_without_attempts_is_charged_to_who_was_chosen() {
    let short = r#""time":"2026-11-01T00:00:00Z","status":200,"provider_chosen":"p","model":"m","cost_usd":0.000000003"#;
    let rows = seen(count(&[short], &plan(&[Dimension::Provider, Dimension::Model], "UTC")));
    assert_eq!(rows, [row("p m", [3, 1, 0, 1, 0])]);
}

#[test]
fn attempts_that_did_not_fit_are_charged_too() {
    let cut = r#""time":"2026-11-01T00:00:00Z","status":200,"cost_usd":0.000000012,"input_tokens":9,"left_out":3,"attempts":[{"provider":"p","outcome":"answered","cost_usd":0.000000005,"input_tokens":4}]"#;
    let rows = seen(count(&[cut], &plan(&[Dimension::Provider], "UTC")));
    assert_eq!(rows, [row("p", [5, 1, 0, 1, 0]), row(LEFT_OUT, [7, 0, 0, 0, 0])]);
    let tally = count(&[cut], &plan(&[Dimension::Tenant], "UTC"));
    assert_eq!((tally.total.spend, tally.total.input), (12, 9));
}

#[test]
fn hours_days_and_months_are_those_of_the_zone() {
    let at = |time: &str| format!(r#""time":"{time}","status":200"#);
    let lines = [
        at("2026-10-25T00:30:00Z"),
        at("2026-10-25T01:30:00Z"),
        at("2026-10-31T22:59:59Z"),
        at("2026-10-31T23:00:00Z"),
    ];
    let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
    let names = |dimension, zone| -> Vec<String> {
        let rows = seen(count(&lines, &plan(&[dimension], zone)));
        rows.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(Dimension::Day, "UTC"), ["2026-10-25", "2026-10-31"]);
    let berlin = "Europe/Berlin";
    assert_eq!(names(Dimension::Day, berlin), ["2026-10-25", "2026-10-31", "2026-11-01"]);
    assert_eq!(names(Dimension::Month, berlin), ["2026-10", "2026-11"]);
    let hours = ["2026-10-25 02:00+02:00", "2026-10-25 02:00+01:00", "2026-10-31 23:00+01:00"];
    assert_eq!(names(Dimension::Hour, berlin).get(..3).unwrap(), hours);
    assert_eq!(names(Dimension::Hour, "UTC").last().unwrap(), "2026-10-31 23:00");
}

#[test]
fn long_names_are_cut_and_absent_ones_are_no_empty_ones() {
    let long = "é".repeat(MAX_NAME);
    let user = |user: &str| format!(r#""time":"2026-11-01T00:00:00Z","user":{user}"#);
    let whole = "w".repeat(MAX_NAME);
    let lines = [
        user(&format!("\"{long}1\"")),
        user(&format!("\"x{long}\"")),
        user("null"),
        user(&format!("\"{whole}\"")),
    ];
    let lines: Vec<&str> = lines.iter().map(|line| &**line).collect();
    let rows = seen(count(&lines, &plan(&[Dimension::User, Dimension::Status], "UTC")));
    let names: Vec<&str> = rows.iter().map(|(name, _)| &**name).collect();
    let half = "é".repeat(MAX_NAME / 2);
    let odd = format!("x{}… ∅", "é".repeat(MAX_NAME / 2));
    let whole = format!("{whole} ∅");
    assert_eq!(names, [&*format!("{half}… ∅"), &*odd, "∅ ∅", &*whole]);
}

#[test]
fn parts_make_the_whole() {
    let lines = [FAILED_OVER, r#""time":"2026-12-01T00:00:00Z","tenant":"b","cost_usd":0.5"#];
    let plan = plan(&[Dimension::Tenant, Dimension::Day], "UTC");
    let whole = count(&lines, &plan);
    let mut merged = Tally::new(&plan);
    for line in lines {
        merged.merge(count(&[line], &plan));
    }
    assert_eq!((merged.total, merged.span), (whole.total, whole.span));
    assert_eq!(merged.bars, whole.bars);
    assert_eq!(merged.bars.values().sum::<u128>(), whole.total.spend);
    assert_eq!(seen(merged), seen(whole));
}

#[test]
fn the_chart_remembers_a_bounded_number_of_days() {
    let plan = plan(&[Dimension::Tenant], "UTC");
    let mut tally = Tally::new(&plan);
    for at in 0..MAX_BARS + 10 {
        tally.bar(i64::try_from(at).unwrap(), 1);
    }
    assert_eq!(tally.bars.len(), MAX_BARS);
    tally.bar(0, 1);
    assert_eq!(tally.bars.get(&0), Some(&2));
}
