//! Dialects: one file or folder for each provider, one registry table.

pub mod catalogue;
