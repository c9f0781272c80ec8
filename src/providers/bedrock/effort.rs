//! Reasoning effort, in the words of each family: Claude decides by itself or takes a budget, Nova
//! has three steps, OpenAI's and DeepSeek's models take a word.

use super::family::Family;
use super::tools;
use super::turns::member;
use crate::openai::json::{Append, write_str};
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::anthropic::assistant::surroundings;
use crate::providers::anthropic::thinking::{self, Plan, Thinking};
use crate::providers::catalogue::{Capability, Effort};
use crate::providers::warnings::Warnings;

const PARAM: &str = "reasoning_effort";

/// The longest answer that is counted on where neither the client nor the catalogue knows one.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// What a request says about reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasoning {
    /// Nothing.
    Unsaid,
    /// Claude's way.
    Claude(Plan),
    /// Nova's steps; nothing turns reasoning off.
    Nova(Option<Effort>),
    /// `reasoning_effort`.
    Word(Effort),
    /// `reasoning: {effort}`.
    Object(Effort),
}

/// What `reasoning_effort` means for this model.
///
/// # Errors
/// A 400 for a word that is no effort.
pub(super) fn plan(
    chat: &Chat<'_>,
    target: &Target<'_>,
    family: Family,
    max_tokens: Option<u64>,
    warnings: &mut Warnings,
) -> Result<Reasoning, Error> {
    let Some(word) = chat.reasoning_effort else { return Ok(Reasoning::Unsaid) };
    let Some(wanted) = Effort::from_name(&word.decode()) else {
        let words = Effort::ALL.map(Effort::name).join(", ");
        return Err(Error::invalid(PARAM, format!("'{PARAM}' must be one of {words}.")));
    };
    let facts = target.facts;
    let known = &facts.parameters;
    if family == Family::Claude || known.adaptive_thinking || known.legacy_thinking {
        let max_tokens = max_tokens.or(facts.max_output).unwrap_or(DEFAULT_MAX_TOKENS);
        let forced = tools::call_is_forced(chat, target, family);
        let around = surroundings(chat, max_tokens, forced);
        return Ok(Reasoning::Claude(thinking::plan(chat, facts, around, warnings)?));
    }
    let mut step = |least: Effort| {
        let effort = known.efforts.nearest(wanted.clamp(least, Effort::High));
        if effort != wanted {
            warnings.changed(PARAM, effort.name());
        }
        effort
    };
    Ok(match family {
        _ if !facts.capabilities.has(Capability::Reasoning) => {
            if wanted != Effort::None {
                warnings.dropped(PARAM);
            }
            Reasoning::Unsaid
        }
        Family::Nova if wanted == Effort::None => Reasoning::Nova(None),
        Family::Nova => Reasoning::Nova(Some(step(Effort::Low))),
        Family::GptOss => Reasoning::Word(step(Effort::Low)),
        Family::DeepSeek if wanted != Effort::None => Reasoning::Word(step(Effort::Low)),
        Family::OpenAi => {
            let effort = known.efforts.nearest(wanted);
            if effort != wanted {
                warnings.changed(PARAM, effort.name());
            }
            Reasoning::Object(effort)
        }
        Family::Claude | Family::DeepSeek | Family::Other => {
            warnings.dropped(PARAM);
            Reasoning::Unsaid
        }
    })
}

impl Reasoning {
    /// Whether Claude thinks, so that sampling is fixed.
    pub(super) fn fixes_sampling(self) -> bool {
        match self {
            Self::Claude(plan) => plan.thinking.is_some_and(Thinking::is_on),
            // Nova refuses temperature and the like at its highest step only.
            Self::Nova(step) => step == Some(Effort::High),
            Self::Unsaid | Self::Word(_) | Self::Object(_) => false,
        }
    }

    /// Whether the model refuses a limit of the answer.
    pub(super) fn refuses_max_tokens(self) -> bool {
        self == Self::Nova(Some(Effort::High))
    }

    /// Claude's effort, which is a field of the API.
    pub(super) const fn effort(self) -> Option<Effort> {
        match self {
            Self::Claude(plan) => plan.effort,
            _ => None,
        }
    }

    /// Appends members of `additionalModelRequestFields`, which has begun.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Unsaid => {}
            Self::Claude(plan) => {
                if let Some(thinking) = plan.thinking {
                    let mut written = Vec::new();
                    thinking.write(&mut written);
                    // It comes with a comma, which the first member must not have.
                    let first = out.last() == Some(&b'{');
                    out.put(written.get(usize::from(first)..).unwrap_or_default());
                }
            }
            Self::Nova(step) => {
                member(out, "reasoningConfig");
                match step {
                    Some(step) => {
                        out.put(br#"{"type":"enabled","maxReasoningEffort":"#);
                        write_str(out, step.name());
                        out.mark(b'}');
                    }
                    None => out.put(br#"{"type":"disabled"}"#),
                }
            }
            Self::Word(effort) => {
                member(out, "reasoning_effort");
                write_str(out, effort.name());
            }
            Self::Object(effort) => {
                member(out, "reasoning");
                out.put(b"{\"effort\":");
                write_str(out, effort.name());
                out.mark(b'}');
            }
        }
    }
}
