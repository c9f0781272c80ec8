//! The runs as one SVG: where requests went first, how long they took, and what was asked in vain.

use std::fmt::Write;

use super::Pair;
use super::scenario::{BEGIN, END, SECONDS};
use super::simulation::{Point, Run, STEP};

const WIDTH: f64 = 270.0;
const HEIGHT: f64 = 90.0;
const LEFT: f64 = 150.0;
const GAP: f64 = 60.0;
const TOP: f64 = 60.0;
const ROW: f64 = 130.0;

/// The slowest request that fits into the picture, in milliseconds.
const TALLEST: f64 = 5_000.0;

/// The most lost attempts of a second that fit into it.
const MOST_LOST: f64 = 1_000.0;

/// A column: its heading, and what the top of its frame stands for.
const COLUMNS: [(&str, &str); 3] = [
    ("Requests sent to the first provider first", "100 %"),
    ("Slowest request of each second", "5 s"),
    ("Attempts lost in each second", "1000"),
];

/// Draws all runs.
pub fn draw(pairs: &[Pair]) -> String {
    let column = |at: usize| LEFT + (WIDTH + GAP) * at as f64;
    let width = column(COLUMNS.len()) - GAP + 30.0;
    let height = TOP + ROW * pairs.len() as f64 + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for (at, (heading, _)) in COLUMNS.iter().enumerate() {
        text(&mut svg, column(at), 24.0, "start", heading);
    }
    for (at, (colour, name)) in
        [(WITH, "with breakers"), (WITHOUT, "without")].into_iter().enumerate()
    {
        let x = LEFT + at as f64 * 130.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"40\" y2=\"40\" stroke=\"{colour}\" stroke-width=\"3\"/>",
            x + 20.0
        );
        text(&mut svg, x + 26.0, 44.0, "start", name);
    }
    for (row, pair) in pairs.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        text(&mut svg, LEFT - 40.0, y + HEIGHT / 2.0, "end", pair.scenario.name());
        for (at, (_, top)) in COLUMNS.iter().enumerate() {
            let x = column(at);
            frame(&mut svg, x, y);
            text(&mut svg, x - 6.0, y + 10.0, "end", top);
            text(&mut svg, x - 6.0, y + HEIGHT, "end", "0");
            for second in (0..=SECONDS).step_by(30) {
                let label = format!("{}:{:02}", second / 60, second % 60);
                let x = x + WIDTH * second as f64 / SECONDS as f64;
                text(&mut svg, x, y + HEIGHT + 16.0, "middle", &label);
            }
        }
        for (run, colour) in [(&pair.without, WITHOUT), (&pair.with, WITH)] {
            for (at, values) in [run.shares(), slowest(run), lost(run)].iter().enumerate() {
                line(&mut svg, column(at), y, colour, values);
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

const WITH: &str = "#0b66c3";
const WITHOUT: &str = "#d9822b";

/// Points of a second.
const STEPS: usize = (1_000 / STEP) as usize;

fn slowest(run: &Run) -> Vec<f64> {
    let slowest = |points: &[Point]| {
        points.iter().map(|point| point.slowest).max().unwrap_or_default() as f64 / TALLEST
    };
    run.points.chunks(STEPS).map(|chunk| slowest(chunk).min(1.0)).collect()
}

fn lost(run: &Run) -> Vec<f64> {
    let lost =
        |points: &[Point]| points.iter().map(|point| point.lost).sum::<u32>() as f64 / MOST_LOST;
    run.points.chunks(STEPS).map(|chunk| lost(chunk).min(1.0)).collect()
}

fn frame(svg: &mut String, x: f64, y: f64) {
    let at = |millis: u64| x + WIDTH * millis as f64 / (SECONDS * 1_000) as f64;
    let _ = writeln!(
        svg,
        "<rect x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#f6dada\"/>\
         <rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#bbb\"/>",
        at(BEGIN),
        at(END) - at(BEGIN),
    );
}

/// A line through values of 0 to 1.
fn line(svg: &mut String, x: f64, y: f64, colour: &str, values: &[f64]) {
    let mut points = String::new();
    for (at, value) in values.iter().enumerate() {
        let across = x + WIDTH * (at as f64 + 0.5) / values.len() as f64;
        let _ = write!(points, "{across:.1},{:.1} ", y + HEIGHT * (1.0 - value));
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        points.trim_end()
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333\">{words}</text>"
    );
}
