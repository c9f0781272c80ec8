//! What `waypost usage` prints, and what becomes of logs of any kind.
//!
//! `UPDATE_GOLDEN=1` writes the files in `tests/usage` anew. Each line is a claim: read the
//! difference.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of a test, which may fail like one"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::Value;

#[path = "support/audit.rs"]
mod audit;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/usage")
}

/// A file of its own for a test, in Cargo's folder for that.
fn file(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("usage-{name}"));
    std::fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.arg("usage").args(arguments).current_dir(folder());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).stdin(Stdio::null()).output().unwrap()
}

fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends before it has read everything breaks the pipe.
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = feeder.join().unwrap();
    output
}

fn said(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn golden(name: &str, arguments: &[&str]) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let printed = format!("{}[stderr]\n{}", said(&output.stdout), said(&output.stderr));
    let path = folder().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        // What could not be written is told by the comparison.
        let _ = std::fs::write(&path, &printed);
    }
    assert_eq!(printed, std::fs::read_to_string(path).unwrap_or_default(), "{name}");
}

#[test]
fn tenants_are_a_table() {
    golden("tenant.txt", &["audit.log"]);
}

#[test]
fn tokens_are_charged_where_they_were_used() {
    golden("provider-model.txt", &["audit.log", "--by", "provider,model"]);
}

#[test]
fn spend_by_day_is_drawn_with_its_gaps() {
    golden("chart.txt", &["audit.log", "--by", "day,tenant", "--chart"]);
}

#[test]
fn spreadsheets_and_programs_get_every_digit() {
    golden("user.csv", &["audit.log", "--by", "user,tenant", "--format", "csv"]);
    golden("tenant.json", &["audit.log", "--top", "1", "--format", "json"]);
}

#[test]
fn names_from_clients_do_nothing_to_a_terminal() {
    golden("user.txt", &["audit.log", "--by", "user", "--by", "status"]);
}

#[test]
fn an_access_log_with_the_record_in_a_field_says_the_same() {
    golden("access.txt", &["access.log", "--by", "tenant,provider"]);
}

#[test]
fn days_and_tenants_choose_records() {
    golden("filtered.txt", &["audit.log", "--from", "2026-11-01", "--to", "2026-11-01"]);
    let one = json(&["audit.log", "--tenant", "demo"]);
    assert_eq!(one["total"]["requests"], 2);
    let two = json(&["audit.log", "--tenant", "demo", "--tenant", "search"]);
    assert_eq!(two["total"]["requests"], 4);
    let none = run(&["audit.log", "--tenant", "nobody"]);
    assert!(said(&none.stdout).contains("No request"), "{}", said(&none.stdout));
    assert_eq!(none.status.code(), Some(0));
}

#[test]
fn the_input_packed_files_and_several_files_are_read_alike() {
    let log = std::fs::read(folder().join("audit.log")).unwrap();
    let expected = run(&["audit.log"]).stdout;
    assert_eq!(fed(&["-"], &log).stdout, expected);
    assert_eq!(fed(&[], &log).stdout, expected);
    let pack = |bytes: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let (first, second) = log.split_at(log.iter().position(|byte| *byte == b'\n').unwrap() + 1);
    // Two packed parts in a row are one packed file.
    let both = [pack(first), pack(second)].concat();
    assert_eq!(fed(&["-"], &both).stdout, expected);
    assert_eq!(run(&[&file("both.gz", &both)]).stdout, expected);
    // A file may end without a line break.
    let (first, second) = (file("first", first.trim_ascii_end()), file("second.gz", &pack(second)));
    assert_eq!(run(&[&first, &second]).stdout, expected);
    let cut = file("cut.gz", both.split_at(both.len() / 2).0);
    let output = run(&[&cut]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output.stderr).starts_with(&format!("waypost: {cut}: ")), "{output:?}");
}

#[test]
fn the_first_line_that_is_wrong_is_told_by_its_place() {
    let log = std::fs::read(folder().join("audit.log")).unwrap();
    let fine = file("fine.log", log.split_inclusive(|byte| *byte == b'\n').next().unwrap());
    let output = run(&[&fine, "audit.log", "--strict"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(
        said(&output.stderr).contains("The first is audit.log:6: it is a record of version 1.")
    );
    let output = run(&[&fine, "access.log", "--strict"]);
    assert_eq!((output.status.code(), said(&output.stderr)), (Some(0), ""));
    assert!(!output.stdout.is_empty());
    // Far from the beginning, in another block than the first.
    let mut long = String::new();
    for number in 0..3_000 {
        audit::write(number, 3_000, &mut long);
        if number == 2_499 {
            long.push_str("\n\u{0}{\"v\":2\n");
        }
    }
    assert!(long.len() > 2 * waypost::cli::usage::BLOCK);
    let output = run(&[&file("long.log", long.as_bytes())]);
    assert!(said(&output.stderr).contains("1 of 3002 lines is no record"), "{output:?}");
    assert!(said(&output.stderr).contains("long.log:2502: it is no JSON object"), "{output:?}");
}

#[test]
fn hostile_lines_cost_neither_memory_nor_the_sums() {
    let mut log = Vec::new();
    audit::write(0, 1, &mut String::new());
    let mut record = String::new();
    audit::write(1, 2, &mut record);
    let garbage: [&[u8]; 8] = [
        &vec![b'['; 1 << 20],
        &[0xff; 100],
        b"{\"v\":2,\"time\":\"2026-11-01T00:00:00Z\",\"cost_usd\":1e999}",
        b"{\"v\":2,\"time\":\"2026-11-01T00:00:00Z\",\"cost_usd\":-1}",
        b"{\"v\":99999999999999999999}",
        b"null",
        b"\"{\\\"v\\\":2}\"",
        &vec![b'x'; waypost::cli::usage::MAX_LINE + waypost::cli::usage::BLOCK + 1],
    ];
    for bad in garbage {
        log.extend_from_slice(record.as_bytes());
        log.extend_from_slice(bad);
        log.push(b'\n');
    }
    log.extend_from_slice(record.as_bytes());
    let path = file("hostile.log", &log);
    assert_eq!(json(&[&path])["total"]["requests"], 9);
    let output = run(&[&path]);
    let told = said(&output.stderr);
    assert!(told.contains("8 of 17 lines are no record"), "{told}");
    assert!(told.contains("1: it is longer than 16 MiB"), "{told}");
    assert_eq!(json(&[&file("empty.log", b"")])["total"]["requests"], 0);
}

#[test]
fn users_beyond_the_limit_are_one_row_and_nothing_is_lost() {
    let most = waypost::cli::usage::MAX_GROUPS;
    let mut log = String::new();
    for user in (0..most + 1_000).chain(0..10) {
        let _ = writeln!(
            log,
            r#"{{"v":2,"time":"2026-11-01T00:00:00Z","user":"{user}","status":200,"cost_usd":0.000000001,"input_tokens":1}}"#
        );
    }
    let path = file("users.log", log.as_bytes());
    let report = json(&[&path, "--by", "user", "--top", "10"]);
    let rows = report["rows"].as_array().unwrap();
    let twice =
        |user: usize| rows.iter().any(|row| row["user"].as_str() == Some(&*user.to_string()));
    assert!(rows.len() == 10 && (0..10).all(twice), "{rows:?}");
    assert_eq!(report["others"]["groups"], Value::Null);
    assert_eq!(report["others"]["sums"]["requests"], most + 1_000 - 10);
    assert_eq!(report["total"]["requests"], most + 1_010);
    let told = run(&[&path, "--by", "user", "--top", "1"]);
    assert!(said(&told.stdout).contains("Not all groups could be told apart"), "{told:?}");
    assert!(said(&told.stdout).contains("(others, beyond 200000)"), "{told:?}");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = command(&["audit.log", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!said(&output.stderr).contains("written"), "{}", said(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_cannot_be_read_is_told() {
    for wrong in [
        &["no-such-file"][..],
        &["."],
        &["audit.log", "--by", "planet"],
        &["audit.log", "--from", "2026-02-30"],
        &["audit.log", "--time-zone", "Mars/Olympus"],
        &["audit.log", "--format", "csv", "--chart"],
        &["audit.log", "--top", "-1"],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{wrong:?}");
    }
    let output = run(&["no-such-file"]);
    assert!(said(&output.stderr).starts_with("waypost: no-such-file: No such file"), "{output:?}");
}

#[test]
fn nothing_is_coloured_and_no_progress_is_shown_in_a_pipe() {
    let output = run(&["audit.log", "--chart"]);
    assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b));
}

/// A request with attempts of which anything may be said.
fn record() -> impl Strategy<Value = String> {
    let name =
        || prop_oneof![Just("null".to_owned()), "[a-d]".prop_map(|name| format!("\"{name}\""))];
    let attempt = (name(), name(), 0_u64..1_000, 0_u64..1_000, 0_u64..2_000_000_000, 0..4_u8);
    let attempt = attempt.prop_map(|(provider, model, input, output, nanos, flags)| {
        let cost = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        let cost = if flags == 0 { "null".to_owned() } else { cost };
        let (outcome, estimated) = (if flags > 1 { "answered" } else { "failed" }, flags == 2);
        format!(
            r#"{{"provider":{provider},"model":{model},"outcome":"{outcome}","input_tokens":{input},"output_tokens":{output},"estimated":{estimated},"cost_usd":{cost}}}"#
        )
    });
    let attempts = prop::collection::vec(attempt, 0..4);
    let whole = (name(), name(), name(), attempts, 1_u8..=30, 0_u8..24, 0_u64..5_000, 0_u16..600);
    whole.prop_map(|(tenant, user, rule, attempts, day, hour, input, status)| {
        let attempts = attempts.join(",");
        format!(
            r#"{{"v":2,"time":"2026-11-{day:02}T{hour:02}:59:59.5Z","tenant":{tenant},"user":{user},"route":{rule},"status":{status},"input_tokens":{input},"cost_usd":0.7,"attempts":[{attempts}]}}"#
        )
    })
}

/// Fields by name, amounts in nano-dollars.
type Sums = Vec<(String, u128)>;

/// What all rows and the others are together, and what the report says they are.
fn sums(report: &Value) -> (Sums, Sums) {
    let exact = |sums: &Value| -> Sums {
        let fields = sums.as_object().unwrap().iter();
        // Amounts here are far below those that a float cannot hold to the nano-dollar.
        let number = |value: &Value| match value.as_u64() {
            Some(count) => u128::from(count),
            None => (value.as_f64().unwrap() * 1e9).round() as u128,
        };
        fields.map(|(name, value)| (name.clone(), number(value))).collect()
    };
    let mut all: Vec<Sums> =
        report["rows"].as_array().unwrap().iter().map(|row| exact(&row["sums"])).collect();
    if !report["others"].is_null() {
        all.push(exact(&report["others"]["sums"]));
    }
    let total = exact(&report["total"]);
    let mut together: Sums = total.iter().map(|(name, _)| (name.clone(), 0)).collect();
    for row in all {
        for ((_, sum), (_, value)) in together.iter_mut().zip(row) {
            *sum += value;
        }
    }
    (together, total)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_grouping_has_the_same_totals(records in prop::collection::vec(record(), 0..40)) {
        let path = file(&format!("property-{:?}", std::thread::current().id()), records.join("\n").as_bytes());
        let mut totals = Vec::new();
        for by in [
            "tenant", "provider", "model,user", "day", "hour,status", "month,rule,key", "team,tier,application",
        ] {
            let report = json(&[&path, "--by", by, "--top", "3"]);
            let (together, total) = sums(&report);
            prop_assert_eq!(&together, &total, "{}", by);
            totals.push(total);
        }
        prop_assert!(totals.windows(2).all(|pair| pair[0] == pair[1]), "{:?}", totals);
        let requests = totals[0].iter().find(|(name, _)| name == "requests").unwrap().1;
        prop_assert_eq!(requests, records.len() as u128);
    }
}
