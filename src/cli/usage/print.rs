//! What `waypost usage` prints, and the formats for machines.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::decimal::usd;
use super::format::{Format, Screen};
use super::report::{OTHERS, Report, Row};
use super::sums::Sums;
use super::{chart, table};

impl Report<'_> {
    /// In that format.
    pub fn print(&self, format: Format, screen: Screen) -> Vec<u8> {
        match format {
            Format::Table => {
                let mut out = String::new();
                if let Some(unit) = self.plan.bars {
                    chart::write(&self.bars, unit, &self.plan.zone_name, screen, &mut out);
                }
                table::write(self, screen, &mut out);
                out.into_bytes()
            }
            Format::Csv => self.csv().into_bytes(),
            Format::Json => self.json(),
        }
    }

    fn csv(&self) -> String {
        let mut out = String::new();
        let head = self.plan.by.iter().map(|dimension| dimension.name());
        write_line(
            &mut out,
            head.map(str::to_owned).chain(FIELDS.map(|(name, _)| name.to_owned())),
        );
        for row in &self.rows {
            let names = row
                .names
                .iter()
                .map(|name| quoted(&table::printable(name.as_deref().unwrap_or_default())));
            write_line(&mut out, names.chain(values(&row.sums)));
        }
        if let Some(others) = &self.others {
            let names = (0..self.plan.by.len()).map(|at| if at == 0 { OTHERS } else { "" });
            write_line(&mut out, names.map(str::to_owned).chain(values(&others.sums)));
        }
        out
    }

    fn json(&self) -> Vec<u8> {
        let names = |row: &Row| {
            let names = self.plan.by.iter().zip(&row.names);
            names
                .map(|(dimension, name)| (dimension.name().to_owned(), name.clone().into()))
                .collect()
        };
        let rows = self.rows.iter().map(|row| Entry { names: names(row), sums: exact(&row.sums) });
        let second = |second: u64| super::when::utc(second);
        let document = Document {
            by: self.plan.by.iter().map(|dimension| dimension.name()).collect(),
            first: self.span.map(|(first, _)| second(first)),
            last: self.span.map(|(_, last)| second(last)),
            rows: rows.collect(),
            others: self
                .others
                .map(|others| OtherEntries { groups: others.groups, sums: exact(&others.sums) }),
            total: exact(&self.total),
        };
        let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// How a sum is called and written.
type Field = (&'static str, fn(&Sums) -> String);

const FIELDS: [Field; 13] = [
    ("spend_usd", |sums| usd(sums.spend, 9)),
    ("estimated_spend_usd", |sums| usd(sums.estimated_spend, 9)),
    ("requests", |sums| sums.requests.to_string()),
    ("failures", |sums| sums.failures.to_string()),
    ("attempts", |sums| sums.attempts.to_string()),
    ("failed_attempts", |sums| sums.failed_attempts.to_string()),
    ("input_tokens", |sums| sums.input.to_string()),
    ("output_tokens", |sums| sums.output.to_string()),
    ("cached_tokens", |sums| sums.cached.to_string()),
    ("cache_write_tokens", |sums| sums.cache_write.to_string()),
    ("reasoning_tokens", |sums| sums.reasoning.to_string()),
    ("estimated_tokens", |sums| sums.estimated.to_string()),
    ("unpriced_tokens", |sums| sums.unpriced.to_string()),
];

fn values(sums: &Sums) -> impl Iterator<Item = String> {
    FIELDS.iter().map(|(_, value)| value(sums))
}

fn write_line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&cell);
    }
    out.push('\n');
}

/// A name in CSV. Clients choose the names of users: what a spreadsheet would take for a formula gets
/// an apostrophe, which it does not show.
fn quoted(name: &str) -> String {
    let formula = name.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    let mark = if formula { "'" } else { "" };
    if !formula && !name.contains([',', ';', '"', '\n', '\r']) {
        return name.to_owned();
    }
    format!("\"{mark}{}\"", name.replace('"', "\"\""))
}

#[derive(Serialize)]
struct Document<'a> {
    by: Vec<&'a str>,
    first: Option<String>,
    last: Option<String>,
    rows: Vec<Entry>,
    others: Option<OtherEntries>,
    total: Exact,
}

#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    names: Map<String, Value>,
    sums: Exact,
}

#[derive(Serialize)]
struct OtherEntries {
    groups: Option<usize>,
    sums: Exact,
}

type Exact = BTreeMap<&'static str, Option<Box<RawValue>>>;

fn exact(sums: &Sums) -> Exact {
    let field = |(name, value): Field| (name, RawValue::from_string(value(sums)).ok());
    FIELDS.into_iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_spreadsheet_finds_no_formula() {
        assert_eq!(quoted("search"), "search");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("a \"b\"\n"), "\"a \"\"b\"\"\n\"");
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
        assert_eq!(quoted("@x,\"y\""), "\"'@x,\"\"y\"\"\"");
        assert_eq!(quoted("a=b-c"), "a=b-c");
        // Some read a semicolon as the end of a cell, and wide signs as the narrow ones.
        assert_eq!(quoted("a;=1+1"), "\"a;=1+1\"");
        assert_eq!(quoted("＝1+1"), "\"'＝1+1\"");
    }
}
