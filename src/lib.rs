//! Waypost: a multi-provider AI gateway that runs inside Envoy as one WebAssembly module.

pub mod config;
pub mod openai;
pub mod providers;
pub mod routing;
pub mod wire;
