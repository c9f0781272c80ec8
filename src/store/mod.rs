//! Values that all workers of an Envoy share.
//!
//! | file | what it is |
//! |---|---|
//! | [`memory`] | values of a single process, for tests, the simulation and the command line |
//! | [`bytes`] | numbers in values |

pub mod bytes;
pub mod memory;

/// Milliseconds since 1970: the one clock that all workers share.
pub type Millis = u64;

/// Values that all workers can see. Envoy never frees a key, so there is a bounded number of them.
pub trait Store {
    /// The value of `key` and its version. An empty value counts as none.
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Writes if the value is still of that version; without one, whatever is there. A key that has
    /// no value is written whatever the version, as Envoy's shared data does it. False when another
    /// worker was quicker.
    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool;

    /// The number of the connection on which the request came that all this is done for: those that came later
    /// have higher ones, over all workers. Nothing where nobody knows.
    fn connection(&self) -> Option<u64> {
        None
    }
}

/// The version of a value that is not there: writing with it creates the value, or fails when
/// another worker has created it meanwhile. Envoy's versions count up from 1 and do not reach it.
pub const ABSENT: u32 = u32::MAX;

/// How often a write is tried when other workers are quicker.
pub const ROUNDS: usize = 16;
