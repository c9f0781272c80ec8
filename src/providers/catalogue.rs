//! Prices, windows and capabilities of models, compiled in.
