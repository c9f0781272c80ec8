//! Reasoning effort.
//!
//! Models since 3 take a level, those of 2.5 a budget in tokens, and both at once are refused. The
//! thoughts come back as a summary only where they are asked for.

use std::io::Write as _;

use super::surface::Generation;
use crate::openai::json::{Append, separate};
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::catalogue::{Capability, Effort, ThinkingOff};
use crate::providers::warnings::Warnings;

const PARAM: &str = "reasoning_effort";

/// The least budget that every model with a budget takes.
const MIN_BUDGET: u64 = 512;

/// The least budget of a model whose thoughts cannot be turned off.
const MIN_BUDGET_WITHOUT_OFF: u64 = 128;

/// Appends `"thinkingConfig":{…}` to an object where there is something to say.
///
/// # Errors
/// A 400 for a word that is no effort.
pub(super) fn write(
    chat: &Chat<'_>,
    target: &Target<'_>,
    generation: Generation,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let Some(word) = chat.reasoning_effort else { return Ok(()) };
    let Some(wanted) = Effort::from_name(&word.decode()) else {
        let words = Effort::ALL.map(Effort::name).join(", ");
        return Err(Error::invalid(PARAM, format!("'{PARAM}' must be one of {words}.")));
    };
    if generation == Generation::Old || !target.facts.capabilities.has(Capability::Reasoning) {
        if wanted != Effort::None {
            warnings.dropped(PARAM);
        }
        return Ok(());
    }
    separate(out);
    out.put(br#""thinkingConfig":{"#);
    let config = if generation == Generation::Second {
        let tokens = budget(chat, target, wanted, warnings);
        format!("\"thinkingBudget\":{tokens}")
    } else {
        format!("\"thinkingLevel\":\"{}\"", level(target, wanted, warnings))
    };
    out.put(config.as_bytes());
    if wanted != Effort::None {
        // Writing to a Vec cannot fail.
        let _ = write!(out, ",\"includeThoughts\":true");
    }
    out.mark(b'}');
    Ok(())
}

/// No level turns thinking off; the lowest is the nearest. The highest is sent only to a model that
/// is known to take it.
fn level(target: &Target<'_>, wanted: Effort, warnings: &mut Warnings) -> &'static str {
    let efforts = target.facts.parameters.efforts;
    // Of a model that is not in the catalogue only the name can tell: no Pro takes `MINIMAL`.
    let pro = target.facts.name.is_empty() && target.model.contains("-pro");
    let least = wanted.max(if pro { Effort::Low } else { Effort::Minimal });
    let most = match efforts.accepts(Effort::Xhigh) {
        Some(true) => Effort::Xhigh,
        _ => Effort::High,
    };
    let sent = efforts.nearest(least.min(most)).clamp(Effort::Minimal, Effort::Xhigh);
    if sent != wanted {
        warnings.changed(PARAM, sent.name());
    }
    match sent {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High => "HIGH",
        Effort::Xhigh | Effort::Max => "XHIGH",
    }
}

/// The budgets for `low`, `medium` and `high` are those of the provider's own OpenAI endpoint.
fn budget(chat: &Chat<'_>, target: &Target<'_>, wanted: Effort, warnings: &mut Warnings) -> u64 {
    let tokens = match wanted {
        Effort::None if target.facts.parameters.thinking_off == ThinkingOff::Never => {
            warnings.changed(PARAM, format!("{MIN_BUDGET_WITHOUT_OFF} thinking tokens"));
            return MIN_BUDGET_WITHOUT_OFF;
        }
        Effort::None => return 0,
        Effort::Minimal => MIN_BUDGET,
        Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High | Effort::Xhigh | Effort::Max => 24_576,
    };
    // The budget is a part of the longest answer; at least half of a small one is kept for words.
    let most = chat.max_tokens.map_or(tokens, |most| (most / 2).max(MIN_BUDGET));
    if tokens > most {
        warnings.changed(PARAM, format!("{most} thinking tokens"));
    }
    tokens.min(most)
}
