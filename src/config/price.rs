//! The price of a model, as a user negotiated it.

use super::reader::{Fields, Node, Problems};
use crate::providers::catalogue::{MAX_USD_PER_MTOK, Mode, Price, Rate, Rates, Tier};

/// Most tiers of a price.
pub const MAX_TIERS: usize = 16;

/// Reads `price`. It replaces the catalogue's as a whole: a rate that is left out is that of plain
/// input or output, and not the list price.
pub(super) fn read(node: &Node<'_>, mode: Mode, problems: &mut Problems) -> Option<Price> {
    let mut fields = node.fields(problems);
    let tiers = fields.take("tiers");
    let base = read_rates(node, &mut fields, mode, problems);
    fields.finish(problems);
    let tiers = tiers.map_or_else(Vec::new, |node| read_tiers(&node, mode, problems));
    Some(Price { base: base?, tiers })
}

/// Reads a rate in US dollars per million tokens.
pub(super) fn read_rate(node: &Node<'_>, problems: &mut Problems) -> Option<Rate> {
    let usd = node.number(0.0, MAX_USD_PER_MTOK, problems)?;
    let rate = Rate::from_usd_per_mtok(usd)?;
    if usd > 0.0 && rate == Rate::default() {
        // Somebody wrote the price of a token.
        let message = "is so little that nothing would be charged; a price is of a million tokens, and 0 is free";
        problems.add(&node.path, message);
        return None;
    }
    Some(rate)
}

fn read_tiers(node: &Node<'_>, mode: Mode, problems: &mut Problems) -> Vec<Tier> {
    let nodes = node.list(problems);
    if nodes.len() > MAX_TIERS {
        problems.say(&node.path, format_args!("a price has at most {MAX_TIERS} tiers"));
    }
    let mut tiers: Vec<Tier> = Vec::new();
    for node in nodes.iter().take(MAX_TIERS) {
        let mut fields = node.fields(problems);
        let above = fields.need("above_input_tokens", problems);
        let above = above.and_then(|above| {
            let count = above.whole(1, 1 << 32, problems)?;
            if tiers.last().is_some_and(|before| before.above >= count) {
                problems.add(&above.path, "each tier begins above the one before it");
            }
            Some(count)
        });
        let rates = read_rates(node, &mut fields, mode, problems);
        fields.finish(problems);
        if let (Some(above), Some(rates)) = (above, rates) {
            tiers.push(Tier { above, rates });
        }
    }
    tiers
}

/// Reads the rates that stand among other fields. Embeddings have no output.
fn read_rates(
    node: &Node<'_>,
    fields: &mut Fields<'_>,
    mode: Mode,
    problems: &mut Problems,
) -> Option<Rates> {
    let mut wrong = false;
    let mut rate = |name| {
        let node = fields.take(name)?;
        let rate = read_rate(&node, problems);
        wrong |= rate.is_none();
        rate
    };
    let input = rate("input_usd_per_mtok");
    let output = rate("output_usd_per_mtok");
    let cached_input = rate("cached_input_usd_per_mtok");
    let cache_write = rate("cache_write_usd_per_mtok");
    let cache_write_1h = rate("cache_write_1h_usd_per_mtok");
    let cache_write_12h = rate("cache_write_12h_usd_per_mtok");
    let reasoning = rate("reasoning_usd_per_mtok");
    let input_audio = rate("input_audio_usd_per_mtok");
    let output_audio = rate("output_audio_usd_per_mtok");
    let output = output.or_else(|| (mode == Mode::Embedding).then(Rate::default));
    let (Some(input), Some(output)) = (input, output) else {
        // A rate that is there and wrong has been reported.
        if !wrong {
            let message = "a price needs both input_usd_per_mtok and output_usd_per_mtok, in USD per million tokens";
            problems.add(&node.path, message);
        }
        return None;
    };
    Some(Rates {
        input,
        cached_input,
        cache_write,
        cache_write_1h,
        cache_write_12h,
        output,
        reasoning,
        input_audio,
        output_audio,
    })
}
