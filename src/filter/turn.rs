//! A turn is one call of Envoy's into the module. The clocks stand still while it lasts: all that is
//! decided in it is decided at one time, and a clock is read once, if at all.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use super::host;

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

/// A context whose every callback is a turn, its end as well.
pub struct Turns<T>(pub T);

// What falls with a context settles accounts.
impl<T> Drop for Turns<T> {
    fn drop(&mut self) {
        host::begin_turn();
    }
}

impl<T: Context> Context for Turns<T> {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, trailers: usize) {
        host::begin_turn();
        self.0.on_http_call_response(call, headers, body, trailers);
    }

    fn on_done(&mut self) -> bool {
        host::begin_turn();
        self.0.on_done()
    }
}

impl<T: RootContext> RootContext for Turns<T> {
    fn on_vm_start(&mut self, size: usize) -> bool {
        host::begin_turn();
        self.0.on_vm_start(size)
    }

    fn on_configure(&mut self, size: usize) -> bool {
        host::begin_turn();
        self.0.on_configure(size)
    }

    fn on_tick(&mut self) {
        host::begin_turn();
        self.0.on_tick();
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        host::begin_turn();
        self.0.create_http_context(id)
    }

    fn get_type(&self) -> Option<ContextType> {
        self.0.get_type()
    }
}

impl<T: HttpContext> HttpContext for Turns<T> {
    fn on_http_request_headers(&mut self, count: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_request_headers(count, end)
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_request_body(size, end)
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        host::begin_turn();
        self.0.on_http_request_trailers(count)
    }

    fn on_http_response_headers(&mut self, count: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_response_headers(count, end)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_response_body(size, end)
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        host::begin_turn();
        self.0.on_http_response_trailers(count)
    }

    fn on_log(&mut self) {
        host::begin_turn();
        self.0.on_log();
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
