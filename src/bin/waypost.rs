//! The command line tool.
//!
//! Cargo builds every binary along with integration tests, those for V8 included, where there is no
//! terminal.

#[cfg(not(target_arch = "wasm32"))]
#[path = "waypost/commands.rs"]
mod commands;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    commands::main()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
