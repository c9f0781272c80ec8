//! What tokens cost, in integers.
//!
//! A rate is a number of pico-dollars per token: one US dollar per million tokens is 1,000,000 of
//! them. Nano-dollars would not do: 0.0375 USD per million tokens is 37.5 nano-dollars per token.

use std::fmt;

use crate::openai::Usage;

/// The highest price that is taken for a price, a thousand times that of the dearest model: beyond
/// it somebody mixed up the units.
pub const MAX_USD_PER_MTOK: f64 = 100_000.0;

/// A price in pico-dollars per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// From US dollars per million tokens, to the nearest pico-dollar per token. `None` when it is
    /// not a number, is negative, or is above [`MAX_USD_PER_MTOK`].
    #[must_use]
    pub fn from_usd_per_mtok(usd: f64) -> Option<Self> {
        let plausible = (0.0..=MAX_USD_PER_MTOK).contains(&usd);
        plausible.then(|| Self((usd * 1e6).round() as u64))
    }

    /// In US dollars per million tokens.
    #[must_use]
    pub fn usd_per_mtok(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// In pico-dollars per token.
    #[must_use]
    pub const fn pico_usd(self) -> u64 {
        self.0
    }
}

/// An amount of money in nano-dollars: a billion of them is one US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

/// In US dollars with nine decimals, `0.002500000`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

impl NanoUsd {
    /// In US dollars as a JSON number, exactly and without zeros at the end: `0.0025`.
    #[must_use]
    pub fn number(self) -> String {
        let text = self.to_string();
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// The price of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Up to the first tier.
    pub base: Rates,
    /// For longer inputs, in rising order of `above`.
    pub tiers: Vec<Tier>,
}

/// The rates of a request whose input is long. They hold for all its tokens, not only for those
/// above the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The tier holds when the input has more tokens than this, cached ones included.
    pub above: u64,
    /// They replace all base rates; what is left out falls back inside the tier.
    pub rates: Rates,
}

/// The rate of each kind of token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Input that no cache had.
    pub input: Rate,
    /// Input read from a cache. Left out: as `input`.
    pub cached_input: Option<Rate>,
    /// Input written to a cache for the provider's usual time. Left out: as `input`.
    pub cache_write: Option<Rate>,
    /// Written to be kept for one hour. Left out: as `cache_write`.
    pub cache_write_1h: Option<Rate>,
    /// Written to be kept for twelve hours. Left out: as `cache_write`.
    pub cache_write_12h: Option<Rate>,
    /// Output. Zero for embeddings.
    pub output: Rate,
    /// Output spent on reasoning. Left out: as `output`.
    pub reasoning: Option<Rate>,
    /// Input that is sound and that no cache had. Left out: as `input`.
    pub input_audio: Option<Rate>,
    /// Output that is sound. Left out: as `output`.
    pub output_audio: Option<Rate>,
}

/// The tokens of one request that are billed, by what they cost. No token is counted twice, but
/// `input_audio` is a part of `uncached_input`, and `reasoning` and `output_audio` are parts of
/// `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSplit {
    /// Input neither read from nor written to a cache.
    pub uncached_input: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache for the provider's usual time.
    pub cache_write: u64,
    /// Written to be kept for one hour.
    pub cache_write_1h: u64,
    /// Written to be kept for twelve hours.
    pub cache_write_12h: u64,
    /// All output.
    pub output: u64,
    /// The part of `output` spent on reasoning.
    pub reasoning: u64,
    /// The part of `uncached_input` that is sound.
    pub input_audio: u64,
    /// The part of `output` that is sound, and no reasoning.
    pub output_audio: u64,
}

/// Parts are never more than what they are parts of, whatever a provider says. Of sound nobody says
/// whether a cache had it; it is taken for uncached as far as there is uncached input.
impl From<&Usage> for TokenSplit {
    fn from(usage: &Usage) -> Self {
        let cache_write_12h = usage.cache_write_12h.min(usage.cache_write);
        let cache_write_1h = usage.cache_write_1h.min(usage.cache_write - cache_write_12h);
        let uncached_input = usage.uncached_input.saturating_sub(usage.unbilled_input);
        let output = usage.output.saturating_sub(usage.unbilled_output);
        let reasoning = usage.reasoning.min(output);
        Self {
            uncached_input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write - cache_write_1h - cache_write_12h,
            cache_write_1h,
            cache_write_12h,
            output,
            reasoning,
            input_audio: usage.input_audio.min(uncached_input),
            output_audio: usage.output_audio.min(output - reasoning),
        }
    }
}

impl TokenSplit {
    /// All input, which decides the tier.
    #[must_use]
    pub fn input(&self) -> u64 {
        [self.cache_read, self.cache_write, self.cache_write_1h, self.cache_write_12h]
            .into_iter()
            .fold(self.uncached_input, u64::saturating_add)
    }
}

impl Price {
    /// The cost of one request, rounded once at the end to the nearest nano-dollar, a half up. More
    /// than fits is the most that fits.
    #[must_use]
    pub fn cost(&self, tokens: &TokenSplit) -> NanoUsd {
        let rates = self.rates(tokens.input());
        let cache_write = rates.cache_write.unwrap_or(rates.input);
        let reasoning = tokens.reasoning.min(tokens.output);
        let heard = tokens.input_audio.min(tokens.uncached_input);
        let spoken = tokens.output_audio.min(tokens.output - reasoning);
        let pico_usd = [
            (tokens.uncached_input - heard, rates.input),
            (heard, rates.input_audio.unwrap_or(rates.input)),
            (tokens.cache_read, rates.cached_input.unwrap_or(rates.input)),
            (tokens.cache_write, cache_write),
            (tokens.cache_write_1h, rates.cache_write_1h.unwrap_or(cache_write)),
            (tokens.cache_write_12h, rates.cache_write_12h.unwrap_or(cache_write)),
            (tokens.output - reasoning - spoken, rates.output),
            (spoken, rates.output_audio.unwrap_or(rates.output)),
            (reasoning, rates.reasoning.unwrap_or(rates.output)),
        ]
        .into_iter()
        .map(|(count, rate)| u128::from(count) * u128::from(rate.0))
        .fold(500, u128::saturating_add);
        NanoUsd(u64::try_from(pico_usd / 1000).unwrap_or(u64::MAX))
    }

    /// The rates for a request with this many input tokens.
    #[must_use]
    pub fn rates(&self, input: u64) -> &Rates {
        let tier = self.tiers.iter().rfind(|tier| input > tier.above);
        tier.map_or(&self.base, |tier| &tier.rates)
    }
}

#[cfg(test)]
mod tests;
