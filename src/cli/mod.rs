//! What the commands of the native binary decide and print, without its input and output.
//!
//! | file | what it is |
//! |---|---|
//! | [`catalog`] | `waypost catalog`: what is known of models |
//! | `cel` | expressions that Envoy evaluates, read without Envoy |
//! | [`check`] | `waypost check`: what is wrong with a whole Envoy file |
//! | [`explain`] | `waypost explain`: which rule takes a request, and who is asked in which order |
//! | [`key`] | `waypost key`: virtual keys, their hashes, and whose they are |
//! | [`translate`] | `waypost translate`: one request, answer or stream through a dialect |
//! | [`usage`] | `waypost usage`: who used what and what it cost, from logs |
//! | [`verdict`] | what is known of an expression |

use std::fmt;

pub mod catalog;
#[cfg(not(target_arch = "wasm32"))]
pub mod cel;
pub mod check;
pub mod explain;
pub mod key;
pub mod translate;
pub mod usage;
pub mod verdict;

/// Why a command could not be carried out. It goes to the error output; the exit code is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUsage(pub String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUsage {}
