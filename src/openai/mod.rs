//! The canonical API: what clients send and get.
