//! Spend over time, as bars in a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Dimension;
use super::decimal::{decimals, usd};
use super::format::Screen;
use super::tally::called;

/// Fewest columns of a chart: in a narrower terminal its lines break.
const MIN_WIDTH: usize = 30;

/// Widest bar.
const MAX_BAR: usize = 6;

/// Lines between two marks of the axis.
const LINES: usize = 2;

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Spends, one for each bar.
struct Bars {
    first: i64,
    /// How many hours, days or months a bar stands for.
    each: i64,
    spends: Vec<u128>,
}

/// Draws them, in USD, with an axis; nothing if there is nothing.
pub fn write(
    spends: &BTreeMap<i64, u128>,
    unit: Dimension,
    zone: &str,
    screen: Screen,
    out: &mut String,
) {
    let Some(highest) = spends.values().max().copied() else { return };
    let width = screen.width.max(MIN_WIDTH);
    // What the axis takes depends on the bars, which depend on what it leaves.
    let widest = scale(highest).label(scale(highest).top()).chars().count();
    let bars = Bars::of(spends, width.saturating_sub(widest + 4).max(1));
    let highest = bars.spends.iter().max().copied().unwrap_or_default();
    let scale = scale(highest);
    let margin = scale.label(scale.top()).chars().count();
    let room = width.saturating_sub(margin + 3);
    let step = (room / bars.spends.len().max(1)).clamp(1, MAX_BAR + 1);
    title(&bars, unit, zone, out);
    let (color, plain) = if screen.color { ("\u{1b}[36m", "\u{1b}[0m") } else { ("", "") };
    let height = scale.marks * LINES;
    for line in (1..=height).rev() {
        let mark = line % LINES == 0;
        let label =
            if mark { scale.label(scale.tick * (line / LINES) as u128) } else { String::new() };
        let axis = if mark { '┤' } else { '│' };
        let cells: String =
            bars.spends.iter().map(|spend| cell(scale.eighths(*spend), line, step)).collect();
        let cells = cells.trim_end();
        let _ = match cells.is_empty() {
            true => writeln!(out, "{label:>margin$} {axis}"),
            false => writeln!(out, "{label:>margin$} {axis}{color}{cells}{plain}"),
        };
    }
    let zero = scale.label(0);
    let _ = writeln!(out, "{zero:>margin$} └{}", "─".repeat(step * bars.spends.len()));
    let _ = writeln!(out, "{:margin$}  {}\n", "", days(&bars, unit, step, room));
}

impl Bars {
    /// At most so many.
    fn of(spends: &BTreeMap<i64, u128>, most: usize) -> Self {
        let first = spends.keys().next().copied().unwrap_or_default();
        let last = spends.keys().next_back().copied().unwrap_or(first);
        let count = last.saturating_sub(first).saturating_add(1);
        let most = i64::try_from(most).unwrap_or(i64::MAX).max(1);
        let each = count.div_euclid(most) + i64::from(count.rem_euclid(most) > 0);
        let place = |at: i64| usize::try_from((at - first) / each).unwrap_or_default();
        let mut bars = vec![0; place(last) + 1];
        for (at, spend) in spends {
            if let Some(bar) = bars.get_mut(place(*at)) {
                *bar += spend;
            }
        }
        Self { first, each, spends: bars }
    }
}

/// The axis: marks at whole multiples of `tick`.
struct Scale {
    tick: u128,
    marks: usize,
}

/// Three to five marks at 1, 2 or 5 times a power of ten.
fn scale(highest: u128) -> Scale {
    let mut power = 1;
    loop {
        for tick in [power, 2 * power, 5 * power] {
            let marks = highest.div_ceil(tick);
            if marks <= 5 {
                return Scale { tick, marks: usize::try_from(marks).unwrap_or(1).max(1) };
            }
        }
        power *= 10;
    }
}

impl Scale {
    const fn top(&self) -> u128 {
        self.tick * self.marks as u128
    }

    fn label(&self, at: u128) -> String {
        usd(at, decimals(self.tick))
    }

    /// The height of a bar in eighths of a line. What is more than nothing can be seen.
    fn eighths(&self, spend: u128) -> usize {
        let height = spend * (8 * LINES * self.marks) as u128 / self.top().max(1);
        usize::try_from(height).unwrap_or_default().max(usize::from(spend > 0))
    }
}

/// What a bar of that height has in a line; the lowest is 1.
fn cell(eighths: usize, line: usize, step: usize) -> String {
    let here = eighths.saturating_sub(8 * (line - 1)).min(8);
    let block = EIGHTHS.get(here).copied().unwrap_or(' ');
    let filled = if step > 1 { step - 1 } else { 1 };
    let mut cell: String = std::iter::repeat_n(block, filled).collect();
    cell.extend(std::iter::repeat_n(' ', step - filled));
    cell
}

fn title(bars: &Bars, unit: Dimension, zone: &str, out: &mut String) {
    let each = match bars.each {
        1 => unit.to_string(),
        each => format!("{each} {unit}s"),
    };
    let highest =
        bars.spends.iter().enumerate().max_by_key(|(at, spend)| (**spend, usize::MAX - at));
    let (at, spend) = highest.map_or((0, 0), |(at, spend)| (at, *spend));
    let when = called(unit, bars.first + bars.each * i64::try_from(at).unwrap_or_default());
    let _ = writeln!(
        out,
        "Spend by {each} in USD, {zone}. Highest: {} on {when}.\n",
        usd(spend, decimals(spend)),
    );
}

/// What is below the axis: as many names as fit.
fn days(bars: &Bars, unit: Dimension, step: usize, room: usize) -> String {
    let mut out = String::new();
    for at in 0..bars.spends.len() {
        let column = at * step;
        let length = out.chars().count();
        if length > 0 && column < length + 2 {
            continue;
        }
        let name = called(unit, bars.first + bars.each * i64::try_from(at).unwrap_or_default());
        // The first has the year, and so has every month.
        let name = match unit {
            Dimension::Month => &*name,
            _ if length == 0 => &*name,
            _ => name.split_at_checked(5).map_or(&*name, |(_, day)| day),
        };
        if length > 0 && column + name.len() > room {
            break;
        }
        out.extend(std::iter::repeat_n(' ', column - length));
        out.push_str(name);
    }
    out
}

#[cfg(test)]
mod tests;
