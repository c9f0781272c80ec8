//! Waypost: a multi-provider AI gateway that runs inside Envoy as one WebAssembly module.

#[cfg(not(target_os = "wasi"))]
pub mod cli;
pub mod openai;
pub mod providers;
pub mod wire;
