//! The table of `waypost usage`.

use std::fmt::Write as _;

use super::decimal::{decimals, usd};
use super::format::Screen;
use super::report::{NONE, Report, others_name};
use super::sums::Sums;
use super::when::utc;
use crate::cli::catalog::shorten;

/// Columns with numbers.
struct Column {
    head: &'static str,
    value: fn(&Sums, &Whole) -> String,
}

/// What the numbers of a row are put in relation to.
struct Whole {
    spend: u128,
    decimals: usize,
}

const SPEND: [Column; 4] = [
    Column { head: "spend USD", value: |sums, whole| usd(sums.spend, whole.decimals) },
    Column { head: "share", value: |sums, whole| percent(sums.spend, whole.spend) },
    Column { head: "requests", value: |sums, _| grouped(sums.requests.into()) },
    Column { head: "failed", value: |sums, _| grouped(sums.failures.into()) },
];

/// Where groups are told apart attempt by attempt.
const ATTEMPTS: [Column; 2] = [
    Column { head: "attempts", value: |sums, _| grouped(sums.attempts.into()) },
    Column { head: "failed", value: |sums, _| grouped(sums.failed_attempts.into()) },
];

const TOKENS: [Column; 5] = [
    Column { head: "input", value: |sums, _| grouped(sums.input) },
    Column { head: "cached", value: |sums, _| grouped(sums.cached) },
    Column { head: "output", value: |sums, _| grouped(sums.output) },
    Column {
        head: "estimated",
        value: |sums, _| percent(sums.estimated, sums.input + sums.output),
    },
    Column { head: "unpriced", value: |sums, _| grouped(sums.unpriced) },
];

pub fn write(report: &Report<'_>, screen: Screen, out: &mut String) {
    let by = &report.plan.by;
    let per_attempt = by.iter().any(|dimension| dimension.is_of_attempts());
    let attempts = if per_attempt { &ATTEMPTS[..] } else { &[] };
    let columns: Vec<&Column> = SPEND.iter().chain(attempts).chain(&TOKENS).collect();
    let all = report.rows.iter().map(|row| &row.sums);
    let all = all.chain(report.others.iter().map(|others| &others.sums));
    let whole = Whole {
        spend: report.total.spend,
        // As many as show every amount exactly: then they add up to the eye, too.
        decimals: all.map(|sums| decimals(sums.spend)).max().unwrap_or(2),
    };
    let row = |names: Vec<String>, sums: &Sums| -> Vec<String> {
        let numbers = columns.iter().map(|column| (column.value)(sums, &whole));
        names.into_iter().chain(numbers).collect()
    };
    let padded = |first: String| -> Vec<String> {
        let rest = by.iter().skip(1).map(|_| String::new());
        std::iter::once(first).chain(rest).collect()
    };
    let head = by.iter().map(|dimension| dimension.name());
    let head = head.chain(columns.iter().map(|column| column.head)).map(str::to_owned).collect();
    let mut lines: Vec<Vec<String>> = vec![head];
    for group in &report.rows {
        let names = group.names.iter().map(|name| match name {
            Some(name) => shorten(&printable(name)),
            None => NONE.to_owned(),
        });
        lines.push(row(names.collect(), &group.sums));
    }
    if let Some(others) = &report.others {
        lines.push(row(padded(others_name(others)), &others.sums));
    }
    lines.push(row(padded("total".to_owned()), &report.total));
    let mut widths = vec![0; by.len() + columns.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let (bold, plain) = if screen.color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    let last = lines.len() - 1;
    for (at, line) in lines.iter().enumerate() {
        let text = aligned(line, &widths, by.len());
        if at == last {
            let width: usize = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
            let _ = writeln!(out, "{}", "─".repeat(width));
        }
        let _ = match at == 0 || at == last {
            true => writeln!(out, "{bold}{text}{plain}"),
            false => writeln!(out, "{text}"),
        };
    }
    footer(report, out);
}

fn footer(report: &Report<'_>, out: &mut String) {
    let Some((first, last)) = report.span else {
        out.push_str("\nNo request is in these lines that the options leave.\n");
        return;
    };
    let _ = write!(out, "\n{} to {}.", utc(first), utc(last));
    if report.total.estimated > 0 {
        out.push_str(" estimated: tokens that the gateway counted, since the provider did not.");
    }
    out.push('\n');
    if report.total.unpriced > 0 {
        out.push_str("unpriced: tokens of models without a price. They are in no amount.\n");
    }
    if report.others.is_some_and(|others| others.groups.is_none()) {
        out.push_str("Not all groups could be told apart: those met last are one row.\n");
    }
}

fn aligned(cells: &[String], widths: &[usize], texts: usize) -> String {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if at > 0 {
            line.push_str("  ");
        }
        let _ = match at < texts {
            true => write!(line, "{cell:<width$}"),
            false => write!(line, "{cell:>width$}"),
        };
    }
    line.truncate(line.trim_end().len());
    line
}

/// A name as it may stand in a terminal: clients choose the names of users, and what a terminal would
/// obey or hide is spelt out.
pub fn printable(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        let hidden = matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        if character.is_control() || hidden {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// `12,345,678`.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// In per cent with one decimal, rounded down, so that 100.0 means all of it. What is there and less
/// than that is told apart from nothing.
fn percent(part: u128, whole: u128) -> String {
    if whole == 0 {
        return String::new();
    }
    match part.saturating_mul(1_000) / whole {
        0 if part > 0 => "<0.1%".to_owned(),
        tenths => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_name_cannot_command_a_terminal() {
        assert_eq!(printable("ané"), "ané");
        assert_eq!(printable("\u{1b}[2Jx\ty"), "\\u{1b}[2Jx\\u{9}y");
        assert_eq!(printable("a\u{202e}b\u{200b}\u{9b}"), "a\\u{202e}b\\u{200b}\\u{9b}");
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(2_999, 3_000), "99.9%");
        assert_eq!(percent(3, 3), "100.0%");
        assert_eq!(percent(1, 100_000), "<0.1%");
        assert_eq!(percent(0, 3), "0.0%");
        assert_eq!(percent(0, 0), "");
    }
}
