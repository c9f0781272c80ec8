//! What several tests need: the fixtures, the rules of a stream, and a stream folded into one answer.

pub mod fixtures;
pub mod fold;
pub mod frames;
pub mod pretty;
pub mod rules;

/// A small generator for test inputs: the same seed gives the same numbers on every target.
pub struct Random(pub u64);

impl Random {
    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // xorshift64: good enough to choose where to cut.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
