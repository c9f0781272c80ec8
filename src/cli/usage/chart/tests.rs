//! Charts.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// 2026-11-01.
const DAY: i64 = 20_758;

fn drawn(spends: &[(i64, u128)], unit: Dimension, width: usize) -> String {
    let mut out = String::new();
    let screen = Screen { width, color: false };
    write(&spends.iter().copied().collect(), unit, "UTC", screen, &mut out);
    out
}

fn days(spends: &[u128]) -> Vec<(i64, u128)> {
    spends.iter().zip(DAY..).map(|(spend, day)| (day, *spend)).collect()
}

#[test]
fn bars_are_as_high_as_their_spend() {
    let usd = 1_000_000_000;
    let chart = drawn(&days(&[4 * usd, 2 * usd, 1, 0, 3 * usd / 2]), Dimension::Day, 40);
    let expected = "\
Spend by day in USD, UTC. Highest: 4.00 on 2026-11-01.

4.00 ┤█████
     │█████
3.00 ┤█████
     │█████
2.00 ┤█████ █████
     │█████ █████             █████
1.00 ┤█████ █████             █████
     │█████ █████ ▁▁▁▁▁       █████
0.00 └──────────────────────────────
      2026-11-01  11-03       11-05

";
    assert_eq!(chart, expected);
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for count in [1, 2, 7, 30, 31, 60, 365, 10_000] {
        for width in [30, 40, 80, 200] {
            let spends: Vec<u128> = (0..count).map(|day| day * 1_234_567_891).collect();
            let chart = drawn(&days(&spends), Dimension::Day, width);
            for line in chart.lines().skip(1) {
                assert!(line.chars().count() <= width, "{count} {width}: {line}");
            }
        }
    }
}

#[test]
fn many_days_share_a_bar_and_nothing_is_lost() {
    let spends: BTreeMap<i64, u128> = (0..1_000).map(|day| (day, 1)).collect();
    let bars = Bars::of(&spends, 70);
    assert_eq!((bars.each, bars.spends.len()), (15, 67));
    assert_eq!(bars.spends.iter().sum::<u128>(), 1_000);
    let far = BTreeMap::from([(0, 1), (100_000_000, 2)]);
    let bars = Bars::of(&far, 70);
    assert_eq!(bars.spends.len(), 70);
    assert_eq!((bars.spends[0], bars.spends[69]), (1, 2));
    assert!(drawn(&days(&[1; 200]), Dimension::Day, 80).starts_with("Spend by 4 days in USD"));
}

#[test]
fn the_axis_has_round_marks() {
    for (highest, tick, marks) in
        [(0, 1, 1), (1, 1, 1), (5, 1, 5), (6, 2, 3), (11, 5, 3), (26, 10, 3), (999, 200, 5)]
    {
        let scale = scale(highest);
        assert_eq!((scale.tick, scale.marks), (tick, marks), "{highest}");
    }
    let most = u128::from(u64::MAX) * u128::from(u32::MAX);
    assert!(scale(most).top() >= most);
}

#[test]
fn hours_and_months_have_their_names() {
    let hours = [(DAY * 24 + 22, 1), (DAY * 24 + 25, 2)];
    let chart = drawn(&hours, Dimension::Hour, 60);
    assert!(chart.contains("Highest: 0.000000002 on 2026-11-02 01:00"), "{chart}");
    assert!(chart.contains("2026-11-01 22:00"), "{chart}");
    let months = [(2026 * 12 + 9, 1), (2026 * 12 + 10, 2)];
    assert!(drawn(&months, Dimension::Month, 60).contains("  2026-10"), "months");
    assert_eq!(drawn(&[], Dimension::Day, 80), "");
}

#[test]
fn colours_are_drawn_only_where_there_are_some() {
    let mut out = String::new();
    let spends = days(&[1]).into_iter().collect();
    write(&spends, Dimension::Day, "UTC", Screen { width: 80, color: true }, &mut out);
    assert!(out.contains("\u{1b}[36m██████\u{1b}[0m"), "{out}");
    assert!(!drawn(&days(&[1]), Dimension::Day, 80).contains('\u{1b}'));
}
