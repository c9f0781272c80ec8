//! Reasoning effort.
//!
//! Newer models decide by themselves when to think and take an effort; older ones take a budget in
//! tokens. The catalogue says which a model takes, and how, or whether, thinking is turned off.

use std::io::Write as _;

use crate::openai::{Chat, Error};
use crate::providers::catalogue::{Effort, Facts, ThinkingOff};
use crate::providers::warnings::Warnings;

/// The least budget that the API takes.
const MIN_BUDGET: u64 = 1024;

/// What a request says about thinking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The `thinking` field.
    pub(crate) thinking: Option<Thinking>,
    /// `output_config.effort`.
    pub(crate) effort: Option<Effort>,
}

/// Forms of the `thinking` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// When and as long as the model likes.
    Adaptive,
    /// At most so many tokens.
    Budget(u64),
    /// Not at all.
    Disabled,
    /// Only between tool calls, the least that some models do.
    BetweenTools,
}

/// What a request's surroundings say about thinking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    /// The longest answer, thinking included.
    pub(crate) max_tokens: u64,
    /// A tool call is forced, which the API does not take together with thinking.
    pub(crate) forced_call: bool,
    /// The last turn of the assistant calls tools and has no thinking to begin with, which the API
    /// refuses while a budget is given.
    pub(crate) thoughtless_call: bool,
}

impl Thinking {
    /// Whether the model will think, so that sampling is fixed.
    pub(crate) const fn is_on(self) -> bool {
        matches!(self, Self::Adaptive | Self::Budget(_))
    }

    /// Appends `,"thinking":…`. A summary is asked for where the API would omit the thoughts.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = match self {
            Self::Adaptive => {
                write!(out, r#","thinking":{{"type":"adaptive","display":"summarized"}}"#)
            }
            Self::Budget(tokens) => {
                write!(out, r#","thinking":{{"type":"enabled","budget_tokens":{tokens}}}"#)
            }
            Self::Disabled => write!(out, r#","thinking":{{"type":"disabled"}}"#),
            Self::BetweenTools => write!(out, r#","thinking":{{"type":"between_tools"}}"#),
        };
    }
}

/// What `reasoning_effort` means for this model.
///
/// # Errors
/// A 400 for a word that is no effort.
pub(crate) fn plan(
    chat: &Chat<'_>,
    facts: &Facts,
    around: Surroundings,
    warnings: &mut Warnings,
) -> Result<Plan, Error> {
    const PARAM: &str = "reasoning_effort";
    let Some(word) = chat.reasoning_effort else { return Ok(Plan::default()) };
    let Some(wanted) = Effort::from_name(&word.decode()) else {
        let words = Effort::ALL.map(Effort::name).join(", ");
        return Err(Error::invalid(PARAM, format!("'{PARAM}' must be one of {words}.")));
    };
    let known = &facts.parameters;
    if known.adaptive_thinking {
        if wanted == Effort::None && known.thinking_off != ThinkingOff::Never {
            let off = match known.thinking_off {
                ThinkingOff::BetweenTools => Thinking::BetweenTools,
                ThinkingOff::Disabled | ThinkingOff::Never => Thinking::Disabled,
            };
            return Ok(Plan { thinking: Some(off), effort: None });
        }
        // The field has neither `none` nor `minimal`, whatever is known of the model.
        let effort = known.efforts.nearest(wanted.max(Effort::Low));
        if effort != wanted {
            warnings.changed(PARAM, effort.name());
        }
        let thinks = wanted != Effort::None && !around.forced_call;
        return Ok(Plan { thinking: thinks.then_some(Thinking::Adaptive), effort: Some(effort) });
    }
    if known.legacy_thinking && wanted == Effort::None {
        return Ok(Plan::default());
    }
    let possible = known.legacy_thinking
        && !around.forced_call
        && !around.thoughtless_call
        && around.max_tokens > MIN_BUDGET;
    if !possible {
        warnings.dropped(PARAM);
        return Ok(Plan::default());
    }
    let budget = match wanted {
        Effort::None | Effort::Minimal | Effort::Low => MIN_BUDGET,
        Effort::Medium => 2048,
        Effort::High => 4096,
        Effort::Xhigh => 8192,
        Effort::Max => 16_384,
    };
    // The budget is a part of `max_tokens`; at least half of a small one is kept for the answer.
    let most = (around.max_tokens / 2).max(MIN_BUDGET);
    if budget > most {
        warnings.changed(PARAM, format!("{most} thinking tokens"));
    }
    Ok(Plan { thinking: Some(Thinking::Budget(budget.min(most))), effort: None })
}
