//! Chance without a source of it: every draw of a decision is derived from one number.
//!
//! Numbers are mixed by the finalizer of splitmix64 (Steele, Lea, Flood: "Fast splittable
//! pseudorandom number generators", 2014), which turns any two different numbers into two that have
//! nothing to do with each other. So each [`Draw`] of one decision is independent of the others, and
//! all workers draw the same from the same number.

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draw {
    /// The order of a canary.
    Canary = 1,
    /// Whether, and whom, to explore.
    Explore,
    /// Who is explored.
    Explored,
    /// Whether a target that fails too often is asked all the same.
    Recheck,
    /// Whether a request is mirrored.
    Mirror,
    /// Through which endpoint.
    MirrorEndpoint,
    /// The order of endpoints.
    Balance,
}

impl Draw {
    /// The number that is drawn.
    pub(super) const fn from(self, random: u64) -> u64 {
        mix(random ^ mix(self as u64))
    }

    /// Whether this is one of `share` of ten thousand.
    pub(super) const fn hits(self, random: u64, share: u16) -> bool {
        self.from(random) % 10_000 < share as u64
    }
}

/// Another number for each number.
pub(super) const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number for a text, in pieces: FNV-1a, mixed. Always the same for the same text.
pub(super) fn hash(pieces: &[&str]) -> u64 {
    let bytes = pieces.iter().flat_map(|piece| piece.bytes());
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }))
}

/// The lot of one among several: the smallest wins, with a chance in proportion to its weight, and
/// the others follow as if they had drawn among themselves. That is -log(u) / weight, with u uniform
/// between 0 and 1. Weight 0 is behind all others.
pub(super) fn lot(drawn: u64, weight: u32) -> u64 {
    match weight {
        0 => u64::MAX,
        weight => (minus_log2(drawn) << 32) / u64::from(weight),
    }
}

/// Binary digits after the point of a logarithm.
const DIGITS: u32 = 20;

/// -log2(drawn / 2^64), in fixed point; never 0. Integers, so that it is the same everywhere.
fn minus_log2(drawn: u64) -> u64 {
    let drawn = drawn | 1;
    let zeros = drawn.leading_zeros();
    // Between 1 and 2, with 31 digits after the point.
    let mut rest = (drawn << zeros) >> 32;
    let mut log = 0;
    for _ in 0..DIGITS {
        rest = (rest * rest) >> 31;
        let over = rest >> 32;
        rest >>= over;
        log = log << 1 | over;
    }
    (u64::from(zeros + 1) << DIGITS) - log
}

/// Sorts a short list, equals in their order. Simpler than the library's sort, and a fraction of its
/// size in the module.
pub(super) fn sort<T>(items: &mut [T], key: impl Fn(&T) -> u64) {
    for end in 1..items.len() {
        let mut at = end;
        while at > 0
            && let Some([before, this]) = items.get(at - 1..=at)
            && key(before) > key(this)
        {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn mixing_is_that_of_splitmix64() {
        // The first numbers of the published generator with seed 0.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn logarithms_are_those_of_floating_point() {
        for drawn in [1, 3, 1 << 20, 0x1234_5678_9abc_def1, 1 << 63, u64::MAX - 5, u64::MAX] {
            let expected = -((drawn as f64) / 2f64.powi(64)).log2();
            let found = minus_log2(drawn) as f64 / f64::from(1 << DIGITS);
            assert!((found - expected).abs() < 1e-4, "{drawn}: {found} {expected}");
            assert!(minus_log2(drawn) > 0);
        }
    }

    #[test]
    fn equals_keep_their_order() {
        let mut items = [(3, 'a'), (1, 'b'), (3, 'c'), (2, 'd'), (1, 'e')];
        sort(&mut items, |item| item.0);
        assert_eq!(items.map(|item| item.1), ['b', 'e', 'd', 'a', 'c']);
        sort(&mut [] as &mut [u8], |_| 0);
    }

    #[test]
    fn the_heavier_wins_in_proportion() {
        let wins = (0..10_000u64)
            .filter(|round| lot(mix(*round), 3) < lot(mix(round ^ 0xabcd_0000), 1))
            .count();
        assert!((7_300..7_700).contains(&wins), "{wins}");
        assert_eq!(lot(7, 0), u64::MAX);
    }
}
