//! Decisions in a loop: what `bench decide` measures. See `tests/bench/README.md`.
//!
//! A decision is what the gateway role does with a request that is parsed: rules, requirements,
//! capabilities, a look at what all workers share, the strategy, and the order.

mod world;

pub use world::{RULES, STRATEGIES, Scene, TARGETS};

use std::cell::RefCell;

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// How many strategies there are.
#[unsafe(no_mangle)]
pub extern "C" fn strategies() -> u32 {
    STRATEGIES.len() as u32
}

/// Makes ready for a strategy, by its place.
#[unsafe(no_mangle)]
pub extern "C" fn prepare(strategy: u32) {
    SCENE.set(Some(Scene::new(strategy as usize)));
}

/// Makes so many decisions by the strategy that was prepared last.
#[unsafe(no_mangle)]
pub extern "C" fn decide(count: u32) -> u32 {
    SCENE.with_borrow(|scene| scene.as_ref().map_or(0, |scene| scene.decide(count)) as u32)
}
