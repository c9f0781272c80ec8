//! Waypost: a multi-provider AI gateway that runs inside Envoy as one WebAssembly module.
//!
//! ```text
//!  client ──► listener ─► filter (gateway role) ─► route ─► cluster ─► filter (provider role) ──► provider
//!                           │ config: what users write                   │ providers: dialects
//!                           │ openai: the canonical API                  │ wire: framing
//!                           ├ guard: what must not leave it               │
//!                           ├ tenancy: who asks, and what they may use    │ providers::catalogue: prices
//!                           └ routing: who may answer ◄── health: how well they do ◄──┘
//!  operator ─► status listener ─► filter (status role) ◄── telemetry: what can be seen of it
//! ```
//!
//! Applications speak [`openai`] to it. The gateway role parses and validates a request once and
//! lets [`routing`] order the candidates; for each attempt the provider role lets a dialect of
//! [`providers`] translate, and turns what comes back into canonical form. [`filter`] is the only
//! folder that knows Envoy; all others are pure: bytes, time and ids come in as arguments,
//! decisions go out as values. The program `waypost` (`cli`) is the same code at a terminal: it
//! checks configurations, explains decisions, translates. Who may name whom stands in
//! `tests/layering.rs`.

#[cfg(not(target_os = "wasi"))]
pub mod cli;
pub mod config;
pub mod filter;
pub mod guard;
pub mod health;
pub mod openai;
pub mod pattern;
pub mod providers;
pub mod routing;
pub mod store;
pub mod telemetry;
pub mod tenancy;
pub mod wire;
