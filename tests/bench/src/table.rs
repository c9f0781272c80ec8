//! What was measured, and the table against the bars. Figures are made within a round, then the
//! median over the rounds is taken: what slows both sides in one round does not count.

use crate::rows::{self, Bar, ROWS, Row, Source};
use serde_json::{Value, json};
use std::time::Duration;

/// One load on one gateway in one round.
pub struct Measured {
    pub test: &'static str,
    pub bare: bool,
    pub cpu_us: f64,
    pub per_second: f64,
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    /// Errors and short streams.
    pub faults: u64,
    pub foreign: f64,
    pub resident_kb: u64,
}

impl Measured {
    fn quiet(&self) -> bool {
        self.foreign <= DISTURBED
    }
}

/// Cores used by others above which a measurement is left out where it can be. A little above
/// what makes it be repeated.
const DISTURBED: f64 = 0.15;

#[derive(Default)]
pub struct Rows {
    measured: Vec<Measured>,
    starts: Vec<Start>,
    module_bytes: Option<u64>,
}

struct Start {
    bare: bool,
    first_answer: Duration,
    resident_kb: u64,
}

/// A value and whether nobody else used the machine meanwhile.
struct Point {
    value: f64,
    quiet: bool,
}

impl Rows {
    pub fn add(&mut self, measured: Measured) {
        self.measured.push(measured);
    }

    pub fn start(&mut self, bare: bool, first_answer: Duration, resident_kb: u64) {
        self.starts.push(Start { bare, first_answer, resident_kb });
    }

    pub fn module(&mut self, bytes: u64) {
        self.module_bytes = Some(bytes);
    }

    /// The rows that something was measured for and that are `wanted`.
    pub fn table(&self, wanted: impl Fn(&str) -> bool) -> Table {
        let lines = ROWS.iter().filter(|row| wanted(row.name)).filter_map(|row| {
            let (bare, waypost, disturbed) = self.pairs(row.source);
            let figures: Vec<f64> = match row.bar {
                Bar::Times(_) => bare.iter().zip(&waypost).map(|(b, w)| w / b).collect(),
                Bar::Added(_) => bare.iter().zip(&waypost).map(|(b, w)| w - b).collect(),
                Bar::Only(_) => waypost.clone(),
            };
            Some(Line {
                row,
                disturbed,
                bare: median(&bare),
                waypost: median(&waypost)?,
                figure: median(&figures)?,
                low: figures.iter().copied().fold(f64::INFINITY, f64::min),
                high: figures.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            })
        });
        Table {
            lines: lines.collect(),
            faults: self.measured.iter().map(|measured| measured.faults).sum(),
            disturbed: self.measured.iter().filter(|measured| !measured.quiet()).count(),
        }
    }

    /// Both series, value by value. Pairs that others disturbed are left out while one is left
    /// that nobody did: a busy core changes how many chunks are read at once, not only the time.
    /// The last value tells that all were disturbed.
    fn pairs(&self, source: Source) -> (Vec<f64>, Vec<f64>, bool) {
        let (bare, waypost) = (self.series(source, true), self.series(source, false));
        let pairs = || bare.iter().zip(&waypost);
        let quiet = |(a, b): &(&Point, &Point)| a.quiet && b.quiet;
        let any_quiet = pairs().any(|pair| quiet(&pair));
        if bare.is_empty() {
            return (Vec::new(), waypost.iter().map(|value| value.value).collect(), false);
        }
        let (bare, waypost) = pairs()
            .filter(|pair| !any_quiet || quiet(pair))
            .map(|(bare, waypost)| (bare.value, waypost.value))
            .unzip();
        (bare, waypost, !any_quiet)
    }

    fn series(&self, source: Source, bare: bool) -> Vec<Point> {
        let of = |test: &'static str, value: fn(&Measured) -> Option<f64>| {
            let measured = self.measured.iter().filter(|m| m.bare == bare && m.test == test);
            let point = |m: &Measured| Some(Point { value: value(m)?, quiet: m.quiet() });
            measured.filter_map(point).collect()
        };
        let calm = |value| Point { value, quiet: true };
        let starts = self.starts.iter().filter(|start| start.bare == bare);
        match source {
            Source::Cpu(test) => of(test, |m| Some(m.cpu_us)),
            Source::P50(test) => of(test, |m| m.p50_us),
            Source::P99(test) => of(test, |m| m.p99_us),
            Source::ResidentMb => {
                starts.map(|start| calm(start.resident_kb as f64 / 1024.0)).collect()
            }
            Source::LoadMs => {
                starts.map(|start| calm(start.first_answer.as_secs_f64() * 1e3)).collect()
            }
            Source::ModuleMb if bare => Vec::new(),
            // Megabytes as the bar means them: 10^6 bytes, the stricter reading.
            Source::ModuleMb => {
                self.module_bytes.iter().map(|bytes| calm(*bytes as f64 / 1e6)).collect()
            }
        }
    }

    fn json(&self) -> Value {
        let measured = self.measured.iter().map(|m| {
            json!({
                "test": m.test, "gateway": side(m.bare), "cpu_us": m.cpu_us,
                "per_second": m.per_second, "p50_us": m.p50_us, "p99_us": m.p99_us,
                "faults": m.faults, "foreign_cores": m.foreign, "resident_kb": m.resident_kb,
            })
        });
        let starts = self.starts.iter().map(|start| {
            json!({
                "gateway": side(start.bare), "resident_kb": start.resident_kb,
                "first_answer_ms": start.first_answer.as_secs_f64() * 1e3,
            })
        });
        json!({
            "measured": measured.collect::<Vec<_>>(),
            "starts": starts.collect::<Vec<_>>(),
            "module_bytes": self.module_bytes,
        })
    }
}

pub struct Table {
    lines: Vec<Line>,
    faults: u64,
    disturbed: usize,
}

struct Line {
    row: &'static Row,
    /// No quiet measurement: the verdict says little.
    disturbed: bool,
    bare: Option<f64>,
    waypost: f64,
    figure: f64,
    low: f64,
    high: f64,
}

impl Table {
    /// Every bar holds, and no request failed.
    pub fn holds(&self) -> bool {
        self.faults == 0 && self.lines.iter().all(Line::holds)
    }

    pub fn text(&self) -> String {
        let cells = self.cells();
        let widths: Vec<usize> = (0..HEAD.len())
            .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in cells {
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                text += &match column {
                    0 => format!("{cell:width$}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            text.push('\n');
        }
        text + &self.notes()
    }

    pub fn markdown(&self) -> String {
        let mut cells = self.cells().into_iter();
        let mut text = String::new();
        for row in cells.by_ref().take(1) {
            text += &format!("| {} |\n|---|--:|--:|--:|--:|--:|--:|\n", row.join(" | "));
        }
        for row in cells {
            text += &format!("| {} |\n", row.join(" | "));
        }
        text + &self.notes()
    }

    pub fn json(&self, rows: &Rows) -> Value {
        let lines = self.lines.iter().map(|line| {
            json!({
                "row": line.row.label, "test": line.row.name, "unit": line.row.unit,
                "bare": line.bare, "waypost": line.waypost, "figure": line.figure,
                "low": line.low, "high": line.high, "bar": line.row.bar.limit(),
                "holds": line.holds(), "disturbed": line.disturbed,
            })
        });
        json!({ "rows": lines.collect::<Vec<_>>(), "records": rows.json() })
    }

    fn cells(&self) -> Vec<[String; 7]> {
        let mut cells = vec![HEAD.map(String::from)];
        cells.extend(self.lines.iter().map(Line::cells));
        cells
    }

    fn notes(&self) -> String {
        let mut notes = format!("\n{}\n", rows::families());
        if self.faults > 0 {
            notes += &format!(
                "\n{} requests failed or came back short: see the progress lines.\n",
                self.faults
            );
        }
        if self.disturbed > 0 {
            notes += &format!(
                "\n{} measurements were disturbed (others used more than 0.15 core): left out where quiet ones remain.\n",
                self.disturbed
            );
        }
        notes
    }
}

const HEAD: [&str; 7] = ["", "bare", "Waypost", "figure", "least – greatest", "bar", "holds"];

impl Line {
    fn holds(&self) -> bool {
        self.figure <= self.row.bar.limit()
    }

    fn cells(&self) -> [String; 7] {
        let Row { unit, bar, .. } = self.row;
        let shown = |value: f64| match bar {
            Bar::Times(_) => format!("{value:.2} ×"),
            Bar::Added(_) => format!("{value:+.1} {unit}"),
            Bar::Only(_) => format!("{value:.2} {unit}"),
        };
        [
            self.row.label.clone(),
            self.bare.map_or_else(|| String::from("–"), |bare| quantity(bare, unit)),
            quantity(self.waypost, unit),
            shown(self.figure),
            format!("{} – {}", shown(self.low), shown(self.high)),
            match bar {
                Bar::Times(limit) => format!("≤ {limit:.1} ×"),
                Bar::Added(limit) => format!("≤ +{limit:.0} {unit}"),
                Bar::Only(limit) => format!("≤ {limit:.1} {unit}"),
            },
            format!(
                "{}{}",
                if self.holds() { "yes" } else { "NO" },
                if self.disturbed { ", disturbed" } else { "" }
            ),
        ]
    }
}

fn quantity(value: f64, unit: &str) -> String {
    let digits = if value < 10.0 { 2 } else { 1 };
    format!("{value:.digits$} {unit}")
}

fn side(bare: bool) -> &'static str {
    if bare { "bare" } else { "waypost" }
}

pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(test: &'static str, bare: bool, cpu_us: f64) -> Measured {
        Measured {
            test,
            bare,
            cpu_us,
            per_second: 1.0,
            p50_us: Some(cpu_us),
            p99_us: Some(cpu_us),
            faults: 0,
            foreign: 0.0,
            resident_kb: 1,
        }
    }

    #[test]
    fn the_ratio_is_made_within_a_round() {
        let mut rows = Rows::default();
        for (bare, waypost) in [(10.0, 15.0), (20.0, 30.0), (10.0, 30.0)] {
            rows.add(measured("1k-openai", true, bare));
            rows.add(measured("1k-openai", false, waypost));
        }
        let table = rows.table(|_| true);
        assert_eq!(table.lines.len(), 1);
        assert_eq!((table.lines[0].figure, table.lines[0].high), (1.5, 3.0));
        assert!(table.holds());
    }

    #[test]
    fn a_disturbed_pair_counts_only_when_there_is_no_other() {
        let mut rows = Rows::default();
        rows.add(measured("1k-openai", true, 10.0));
        rows.add(Measured { foreign: 1.0, ..measured("1k-openai", false, 50.0) });
        assert_eq!(rows.table(|_| true).lines[0].figure, 5.0);
        rows.add(measured("1k-openai", true, 10.0));
        rows.add(measured("1k-openai", false, 11.0));
        assert_eq!(rows.table(|_| true).lines[0].figure, 1.1);
    }

    #[test]
    fn a_row_above_its_bar_fails_the_table() {
        let mut rows = Rows::default();
        rows.add(measured("latency-openai", true, 100.0));
        rows.add(measured("latency-openai", false, 161.0));
        let table = rows.table(|_| true);
        assert_eq!(table.lines.len(), 2);
        assert!(!table.lines[0].holds() && table.lines[1].holds() && !table.holds());
        assert!(table.text().contains("NO"));
    }

    #[test]
    fn a_failed_request_fails_the_table() {
        let mut rows = Rows::default();
        rows.add(Measured { faults: 1, ..measured("1k-openai", true, 1.0) });
        rows.add(measured("1k-openai", false, 1.0));
        assert!(!rows.table(|_| true).holds());
    }
}
