//! The clocks, each read as seldom as may be: to ask Envoy costs more than to decide by what it says.

/// How long the calendar is taken to go as the steady clock does, in nanoseconds. So much later is it
/// noticed that somebody has set the system's clock.
pub const TRUST: u64 = 100_000_000;

/// What the clocks say, in nanoseconds.
#[derive(Debug, Default)]
pub struct Time {
    /// The steady clock in this turn; nothing before it was asked for.
    turn: Option<u64>,
    /// What the steady clock and the calendar said when both were last read.
    seen: Option<(u64, u64)>,
}

impl Time {
    /// No clock was read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { turn: None, seen: None }
    }

    /// A turn begins.
    pub const fn begin(&mut self) {
        self.turn = None;
    }

    /// The steady clock, the same for a whole turn.
    pub fn steady(&mut self, read: impl FnOnce() -> u64) -> u64 {
        *self.turn.get_or_insert_with(read)
    }

    /// The time since 1970, the same for a whole turn. `read` reads the steady clock, and `both` that
    /// and the calendar, which it does no more often than every [`TRUST`].
    pub fn unix(&mut self, read: impl FnOnce() -> u64, both: impl FnOnce() -> (u64, u64)) -> u64 {
        let turn = self.steady(read);
        let seen = self.seen.filter(|(steady, _)| turn < steady.saturating_add(TRUST));
        let (steady, unix) = *self.seen.insert(seen.unwrap_or_else(both));
        unix.saturating_add(turn).saturating_sub(steady)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_clocks_stand_still_in_a_turn() {
        let mut time = Time::new();
        assert_eq!(time.steady(|| 5), 5);
        assert_eq!(time.steady(|| 6), 5);
        assert_eq!(time.unix(|| 7, || (8, 1_008)), 1_005);
        assert_eq!(time.unix(|| 9, || (9, 1_009)), 1_005);
        time.begin();
        assert_eq!(time.steady(|| 10), 10);
        assert_eq!(time.unix(|| 11, || (11, 1_011)), 1_010);
    }

    #[test]
    fn the_calendar_is_read_again_before_it_can_be_wrong_for_long() {
        let mut time = Time::new();
        let mut at = |steady, calendar: Option<u64>| {
            time.begin();
            time.unix(|| steady, || (steady, calendar.unwrap()))
        };
        assert_eq!(at(50, Some(1_000)), 1_000);
        assert_eq!(at(50 + TRUST - 1, None), 1_000 + TRUST - 1);
        // Somebody has set it back.
        assert_eq!(at(50 + TRUST, Some(900)), 900);
        assert_eq!(at(51 + TRUST, None), 901);
    }
}
