//! What a model takes, and what is dropped or changed for it.
//!
//! Everything comes from the catalogue's facts. Of a model that is not in it nothing is known, so
//! nothing is changed for it, and the provider decides.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::edit::Edit;
use super::messages::{self, Members};
use crate::openai::json::{Num, RawStr, write_str};
use crate::openai::request::read;
use crate::openai::{Chat, Error};
use crate::providers::catalogue::{Capability, Effort};
use crate::providers::{Payload, Target, Warning};

/// The body for OpenAI, as a change to the client's. Usage is always asked for, whether or not the
/// client wants to see it.
///
/// # Errors
/// A 400 that names the field which the model does not take.
pub fn body<'a>(
    chat: &Chat<'a>,
    body: &'a [u8],
    target: &Target<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Payload, Error> {
    let mut edit = Edit::default();
    if chat.model != target.model {
        let mut model = Vec::with_capacity(target.model.len() + 2);
        write_str(&mut model, target.model);
        edit.set("model", text(model));
    }
    if chat.stream && !chat.include_usage {
        edit.set("stream_options", with_usage(chat.field("stream_options")));
    }
    let mut fit = Fit { chat, target, edit: &mut edit, warnings };
    fit.reasoning()?;
    fit.sampling()?;
    fit.rest();
    let mut dropped = Vec::new();
    if let Some(tools) = messages::clean_tools(chat, &mut dropped) {
        edit.set("tools", tools);
    }
    if let Some(messages) = messages::clean(chat, body, &mut dropped) {
        edit.set_messages(messages);
    }
    warnings.extend(dropped.into_iter().map(|name| Warning::Dropped(Cow::Borrowed(name))));
    Ok(edit.apply(chat, body))
}

/// `stream_options` with `include_usage`, and with what else was in it.
fn with_usage(options: Option<&RawValue>) -> String {
    let mut out = br#"{"include_usage":true"#.to_vec();
    let others =
        options.and_then(|options| serde_json::from_str::<Members<'_>>(options.get()).ok());
    for (name, value) in others.iter().flat_map(|others| &others.0) {
        if name != "include_usage" {
            out.push(b',');
            write_str(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    out.push(b'}');
    text(out)
}

/// What was written is UTF-8 already.
fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_default()
}

/// A request being fitted to a model.
struct Fit<'f, 'a> {
    chat: &'f Chat<'a>,
    target: &'f Target<'f>,
    edit: &'f mut Edit<'a>,
    warnings: &'f mut Vec<Warning>,
}

impl Fit<'_, '_> {
    /// The token limit and the effort.
    fn reasoning(&mut self) -> Result<(), Error> {
        let parameters = &self.target.facts.parameters;
        if !self.reasons() {
            if self.target.facts.known && self.chat.reasoning_effort.is_some() {
                self.drop("reasoning_effort");
            }
            return Ok(());
        }
        if self.chat.field("max_tokens").is_some() {
            if self.chat.field("max_completion_tokens").is_some() {
                self.drop("max_tokens");
            } else {
                self.edit.rename("max_tokens", "max_completion_tokens");
                self.changed("max_tokens", "max_completion_tokens");
            }
        }
        let Some(wanted) = self.effort() else { return Ok(()) };
        let effort = parameters.efforts.nearest(wanted);
        let calls_functions = self.chat.tools.iter().any(|tool| tool.function.is_some())
            || self.chat.field("functions").is_some();
        if calls_functions && !parameters.tools_with_effort && effort != Effort::None {
            self.drop("reasoning_effort");
        } else if effort != wanted {
            self.edit.set("reasoning_effort", format!("\"{}\"", effort.name()));
            self.changed("reasoning_effort", effort.name());
        }
        Ok(())
    }

    /// Temperature and what else shapes the choice of tokens.
    fn sampling(&mut self) -> Result<(), Error> {
        let parameters = &self.target.facts.parameters;
        let thinks = self.reasons()
            && !(parameters.sampling_with_effort_none && self.effort() == Some(Effort::None));
        let sampling = parameters.sampling_params && !thinks;
        let both = parameters.temperature_with_top_p;
        let is_one = |number: Num<'_>| number.value == 1.0;
        if self.chat.temperature.is_some_and(|number| !is_one(number)) && !sampling {
            self.out_of_range("temperature", "1")?;
        }
        if self.chat.top_p.is_some_and(|number| !is_one(number))
            && (!sampling || !both && self.chat.temperature.is_some())
        {
            self.out_of_range("top_p", "1")?;
        }
        for name in ["presence_penalty", "frequency_penalty"] {
            let number = self.chat.field(name).map(|value| read::<Num<'_>>(name, value));
            let is_zero = number.transpose()?.is_none_or(|number| number.value == 0.0);
            if !is_zero && (thinks || !parameters.penalties) {
                self.out_of_range(name, "0")?;
            }
        }
        if thinks && self.chat.field("logit_bias").is_some() {
            self.drop("logit_bias");
        }
        if thinks && self.chat.logprobs {
            if !self.target.policy.drop_unsupported {
                return Err(Error::unsupported(
                    "logprobs",
                    format!(
                        "'logprobs' is not supported by the model '{}' while it reasons.",
                        self.target.model
                    ),
                ));
            }
            self.drop("logprobs");
            if self.chat.field("top_logprobs").is_some() {
                self.drop("top_logprobs");
            }
        }
        Ok(())
    }

    /// What is independent of sampling.
    fn rest(&mut self) {
        let facts = self.target.facts;
        if !facts.parameters.stop && !self.chat.stop.is_empty() {
            self.drop("stop");
        }
        let one_call = self.reasons() && !facts.capabilities.has(Capability::ParallelTools);
        if one_call && self.chat.parallel_tool_calls.is_some() {
            self.drop("parallel_tool_calls");
        }
    }

    fn reasons(&self) -> bool {
        self.target.facts.known && self.target.facts.capabilities.has(Capability::Reasoning)
    }

    /// The effort asked for. A word that is not one stays for the provider to refuse.
    fn effort(&self) -> Option<Effort> {
        self.chat.reasoning_effort.map(RawStr::decode).and_then(|word| Effort::from_name(&word))
    }

    fn out_of_range(&mut self, name: &'static str, only: &str) -> Result<(), Error> {
        if self.target.policy.reject_out_of_range {
            return Err(Error::unsupported(
                name,
                format!("The model '{}' takes no '{name}' other than {only}.", self.target.model),
            )
            .with_code("unsupported_value"));
        }
        self.drop(name);
        Ok(())
    }

    fn drop(&mut self, name: &'static str) {
        self.edit.remove(name);
        self.warnings.push(Warning::Dropped(Cow::Borrowed(name)));
    }

    fn changed(&mut self, param: &'static str, to: &str) {
        self.warnings.push(Warning::Changed { param: Cow::Borrowed(param), to: to.to_owned() });
    }
}

#[cfg(test)]
mod tests;
