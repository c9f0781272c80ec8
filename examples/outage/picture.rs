//! The runs as one SVG: on the left where requests went first, on the right how long they took.

use std::fmt::Write;

use super::Pair;
use super::scenario::{BEGIN, END, SECONDS};
use super::simulation::{Run, STEP};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 90.0;
const LEFT: f64 = 120.0;
const GAP: f64 = 70.0;
const TOP: f64 = 60.0;
const ROW: f64 = 130.0;

/// The slowest request that fits into the picture, in milliseconds.
const TALLEST: f64 = 5_000.0;

/// Draws all runs.
pub fn draw(pairs: &[Pair]) -> String {
    let width = LEFT + WIDTH * 2.0 + GAP + 30.0;
    let height = TOP + ROW * pairs.len() as f64 + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let right = LEFT + WIDTH + GAP;
    text(&mut svg, LEFT, 24.0, "start", "Requests sent to the first provider first");
    text(&mut svg, right, 24.0, "start", "Slowest request of each second");
    for (at, (colour, name)) in [(WITH, "with breakers"), (WITHOUT, "without")].into_iter().enumerate() {
        let x = LEFT + at as f64 * 130.0;
        let _ = writeln!(svg, "<line x1=\"{x}\" x2=\"{}\" y1=\"40\" y2=\"40\" stroke=\"{colour}\" stroke-width=\"3\"/>", x + 20.0);
        text(&mut svg, x + 26.0, 44.0, "start", name);
    }
    for (row, pair) in pairs.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        text(&mut svg, LEFT - 40.0, y + HEIGHT / 2.0, "end", pair.scenario.name());
        for (x, top, bottom) in [(LEFT, "100 %", "0"), (right, "5 s", "0")] {
            frame(&mut svg, x, y);
            text(&mut svg, x - 6.0, y + 10.0, "end", top);
            text(&mut svg, x - 6.0, y + HEIGHT, "end", bottom);
        }
        for (run, colour) in [(&pair.without, WITHOUT), (&pair.with, WITH)] {
            line(&mut svg, LEFT, y, colour, &run.shares());
            line(&mut svg, right, y, colour, &slowest(run));
        }
        for second in (0..=SECONDS).step_by(30) {
            let label = format!("{}:{:02}", second / 60, second % 60);
            for x in [LEFT, right] {
                let x = x + WIDTH * second as f64 / SECONDS as f64;
                text(&mut svg, x, y + HEIGHT + 16.0, "middle", &label);
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

const WITH: &str = "#0b66c3";
const WITHOUT: &str = "#d9822b";

fn slowest(run: &Run) -> Vec<f64> {
    let steps = (1_000 / STEP) as usize;
    let slowest = |points: &[super::simulation::Point]| {
        points.iter().map(|point| point.slowest).max().unwrap_or_default() as f64 / TALLEST
    };
    run.points.chunks(steps).map(|chunk| slowest(chunk).min(1.0)).collect()
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
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333\">{words}</text>");
}
