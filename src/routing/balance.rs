//! In which order the endpoints of a target are asked.

use super::chance::{self, Draw};
use super::scene::Seat;
use super::strategy::latency;
use crate::config::provider::Balance;

/// Which part of an even share a slow endpoint has at least: a tenth of it, so that its getting
/// quicker is seen.
const FLOOR: u64 = 10;

/// The weight of an endpoint whose median is one millisecond.
const FASTEST: u64 = 1_000_000_000;

/// Orders the endpoints of one target: by rank, and those of one rank by `balance`. `turn` counts
/// the provider's turns, and is asked once where somebody has to take turns.
pub(super) fn order(
    balance: Balance,
    seats: &mut [Seat],
    stream: bool,
    random: u64,
    turn: impl FnOnce() -> u64,
) {
    if seats.len() < 2 {
        return;
    }
    chance::sort(seats, |seat| u64::from(seat.rank));
    let turn = match balance {
        Balance::RoundRobin | Balance::LeastRequests => turn(),
        Balance::Latency => 0,
    };
    for equals in seats.chunk_by_mut(|one, other| one.rank == other.rank) {
        let shift = turn.checked_rem(equals.len() as u64).unwrap_or(0) as usize;
        equals.rotate_left(shift);
        match balance {
            Balance::RoundRobin => {}
            Balance::LeastRequests => {
                chance::sort(equals, |seat| u64::from(seat.standing.in_flight));
            }
            Balance::Latency => {
                draw(equals, stream, Draw::Balance.from(random));
                chance::sort(equals, |seat| seat.key);
            }
        }
    }
}

/// Draws an order in proportion to 1/p50. One of which too little is known counts as the mean of the
/// others.
fn draw(seats: &mut [Seat], stream: bool, drawn: u64) {
    let speed = |seat: &Seat| {
        let known = latency::of(&seat.standing, stream);
        let enough = known.samples >= latency::MIN_SAMPLES;
        enough.then(|| FASTEST / u64::from(known.p50.max(1)))
    };
    let known = seats.iter().filter_map(speed).count() as u64;
    let sum: u64 = seats.iter().filter_map(speed).sum();
    let mean = sum.checked_div(known).unwrap_or(1).max(1);
    for seat in seats {
        let weight = speed(seat).unwrap_or(mean).max(mean / FLOOR).max(1);
        let own = chance::mix(drawn ^ chance::mix(seat.candidate.endpoint as u64));
        seat.key = chance::lot(own, u32::try_from(weight).unwrap_or(u32::MAX));
    }
}
