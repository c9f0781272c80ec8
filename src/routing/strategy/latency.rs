//! The quickest first, by p95 of the last five minutes: to the first content of a stream, to the end
//! of an answer that is none. The p95 of a target is the mean of its endpoints', by samples.
//!
//! ```text
//!  first   fewer than 20 samples, counting those on the way: being explored
//!          20 samples: the quickest first
//!  last    fewer than 20 samples, the rest on the way: one that hangs is not asked for ever
//! ```
//!
//! Samples of more than five minutes ago are gone, so whoever was slow is explored again; and a share
//! of the requests goes to another than the quickest.

use crate::health::{Percentiles, Standing};
use crate::routing::chance::Draw;
use crate::routing::scene::{Entry, Seat};

/// Fewer samples than this are no p95.
pub const MIN_SAMPLES: u32 = 20;

/// The percentiles that count for such a request.
#[must_use]
pub const fn of(standing: &Standing, stream: bool) -> Percentiles {
    if stream { standing.first_token } else { standing.total }
}

/// The p95 of a target in milliseconds, and its samples.
pub(in crate::routing) fn known(seats: &[Seat], stream: bool) -> (u32, u32) {
    let (mut sum, mut samples) = (0, 0);
    // How an endpoint did that is not asked now does not matter.
    let any = seats.iter().any(Seat::admits);
    for seat in seats.iter().filter(|seat| !any || seat.admits()) {
        let known = of(&seat.standing, stream);
        sum += u64::from(known.p95) * u64::from(known.samples);
        samples += u64::from(known.samples);
    }
    let p95 = sum.checked_div(samples).unwrap_or(0);
    (u32::try_from(p95).unwrap_or(u32::MAX), u32::try_from(samples).unwrap_or(u32::MAX))
}

pub(in crate::routing) fn key(seats: &[Seat], stream: bool) -> u64 {
    let (p95, samples) = known(seats, stream);
    if samples >= MIN_SAMPLES {
        return 1 + u64::from(p95);
    }
    let on_the_way =
        seats.iter().fold(0u32, |sum, seat| sum.saturating_add(seat.standing.in_flight));
    if samples.saturating_add(on_the_way) < MIN_SAMPLES { 0 } else { u64::MAX }
}

/// Puts another than the first in front, for `share` of ten thousand requests.
pub(in crate::routing) fn explore(share: u16, entries: &mut [Entry], seats: &[Seat], random: u64) {
    if !Draw::Explore.hits(random, share) {
        return;
    }
    let others = || {
        let others = entries.iter().enumerate().skip(1);
        others.filter(|(_, entry)| entry.seats(seats).iter().any(Seat::admits)).map(|(at, _)| at)
    };
    let Some(which) = Draw::Explored.from(random).checked_rem(others().count() as u64) else {
        return;
    };
    let chosen = others().nth(which as usize);
    if let Some(front) = chosen.and_then(|at| entries.get_mut(..=at)) {
        front.rotate_right(1);
    }
}
