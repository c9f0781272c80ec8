//! What a provider and a model take, and what is dropped or changed for them.
//!
//! What concerns the model comes from the catalogue's facts. Of a model that is not in it nothing is
//! known, so nothing is changed for it, and the provider decides; but for the name of its limit, where
//! the model's own name tells that the older one is refused. What concerns the provider comes from its
//! [`Quirks`].

use serde_json::value::RawValue;

use super::edit::Edit;
use super::messages;
use super::quirks::{Limit, Quirks, TIER, Thinking};
use super::routes;
use super::tools;
use crate::openai::json::{Append, Num, RawStr, write_str};
use crate::openai::object::Members;
use crate::openai::place::from_str;
use crate::openai::request::{ResponseFormat, ToolChoice, read};
use crate::openai::{Chat, Error, OWN_FIELDS};
use crate::providers::catalogue::{Capability, Effort};
use crate::providers::warnings::{Warnings, unsupported};
use crate::providers::{Payload, Target, Warning};

/// What is particular to one deployment of the API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'p> {
    /// The model's name in the body.
    pub model: &'p str,
    /// Hints that this version of the API does not know yet.
    pub too_new: &'p [&'static str],
    /// Whether this version knows `max_tokens` only.
    pub old_limit: bool,
}

impl<'p> Place<'p> {
    /// The newest version, with the model's own name.
    pub(crate) const fn of(target: &Target<'p>) -> Self {
        Self { model: target.model, too_new: &[], old_limit: false }
    }
}

/// The body for a provider that speaks like OpenAI, as a change to the client's. Usage is always
/// asked for, whether or not the client wants to see it.
///
/// # Errors
/// A 400 that names the field which the model or the provider does not take.
pub(crate) fn body<'a>(
    chat: &Chat<'a>,
    body: &'a [u8],
    target: &Target<'_>,
    quirks: &'static Quirks,
    place: Place<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Payload, Error> {
    let mut edit = Edit::default();
    if chat.model != place.model {
        let mut model = Vec::with_capacity(place.model.len() + 2);
        write_str(&mut model, place.model);
        edit.set("model", text(model));
    }
    let said = Warnings(std::mem::take(warnings));
    let mut fit = Fit { chat, target, quirks, place, edit: &mut edit, warnings: said };
    fit.stream();
    fit.limit();
    let thinks = fit.reasoning();
    fit.sampling()?;
    fit.logprobs()?;
    fit.rest()?;
    fit.tools()?;
    let mut said = fit.warnings;
    let thinks = thinks && quirks.thinking == Thinking::Switched;
    if let Some(messages) = messages::fitted(chat, body, target, quirks, thinks, &mut said)? {
        edit.set_messages(messages);
    }
    *warnings = said.0;
    Ok(edit.apply(chat, body))
}

/// `stream_options` with `include_usage`, and with what else was in it.
fn with_usage(options: Option<&RawValue>, obfuscates: bool) -> String {
    let mut out = br#"{"include_usage":true"#.to_vec();
    let others = options.and_then(|options| from_str::<Members<'_>>(options.get()).ok());
    for (name, value) in others.iter().flat_map(|others| &others.0) {
        if name != "include_usage" && (obfuscates || name != "include_obfuscation") {
            out.mark(b',');
            write_str(&mut out, name);
            out.mark(b':');
            out.put(value.get().as_bytes());
        }
    }
    out.mark(b'}');
    text(out)
}

/// What was written is UTF-8 already.
fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_default()
}

/// A request being fitted to a provider and a model.
struct Fit<'f, 'a> {
    chat: &'f Chat<'a>,
    target: &'f Target<'f>,
    quirks: &'static Quirks,
    place: Place<'f>,
    edit: &'f mut Edit<'a>,
    warnings: Warnings,
}

impl Fit<'_, '_> {
    fn stream(&mut self) {
        let options = self.chat.field("stream_options");
        if !self.chat.stream {
            return;
        }
        if self.place.too_new.contains(&"stream_options") {
            if options.is_some() {
                self.edit.remove("stream_options");
            }
            return;
        }
        let obfuscates = self.quirks.obfuscates
            || options.is_none_or(|options| !options.get().contains("include_obfuscation"));
        if !self.chat.says_include_usage || !obfuscates {
            self.edit.set("stream_options", with_usage(options, self.quirks.obfuscates));
        }
    }

    /// The name of the longest answer.
    fn limit(&mut self) {
        const NAMES: (&str, &str) = ("max_tokens", "max_completion_tokens");
        let (from, to) = match self.quirks.limit {
            _ if self.place.old_limit => (NAMES.1, NAMES.0),
            Limit::ByModel if self.reasons() || self.may_reason() => NAMES,
            Limit::ByModel | Limit::Either => return,
            Limit::Old => (NAMES.1, NAMES.0),
        };
        if self.chat.field(from).is_none() {
            return;
        }
        // Where both stand, the newer one is meant.
        if from == NAMES.0 && self.chat.field(to).is_some() {
            self.drop(from);
        } else {
            self.edit.rename(from, to);
            self.warnings.changed(from, to);
        }
    }

    /// Whether, and how much, to think. Tells whether it is to think, as far as that is known.
    fn reasoning(&mut self) -> bool {
        let facts = self.target.facts;
        let asked = self.chat.reasoning_effort.is_some();
        if facts.known && !self.reasons() {
            if asked {
                self.drop("reasoning_effort");
            }
            return false;
        }
        let own = match self.quirks.thinking {
            Thinking::Effort => None,
            Thinking::Switched => self.chat.field("thinking").map(RawValue::get),
            Thinking::Enabled => self.chat.field("enable_thinking").map(RawValue::get),
        };
        let Some(effort) = self.effort() else {
            return match self.quirks.thinking {
                Thinking::Effort => self.reasons(),
                // It thinks unless it is told not to.
                Thinking::Switched => match own {
                    Some(own) => !own.contains("\"disabled\""),
                    None => self.reasons(),
                },
                Thinking::Enabled => {
                    let whole = self.reasons() && !self.chat.stream && own.is_none() && !asked;
                    if whole {
                        self.edit.set("enable_thinking", "false");
                        self.warnings.add(Warning::Defaulted {
                            param: "enable_thinking".into(),
                            to: "false".into(),
                        });
                    }
                    own == Some("true")
                }
            };
        };
        match self.quirks.thinking {
            Thinking::Effort => self.send(effort),
            Thinking::Switched => {
                if effort == Effort::None {
                    self.edit.remove("reasoning_effort");
                } else {
                    self.send(effort);
                }
                if own.is_none() {
                    let kind = if effort == Effort::None { "disabled" } else { "enabled" };
                    self.edit.set("thinking", format!(r#"{{"type":"{kind}"}}"#));
                }
            }
            Thinking::Enabled => {
                self.edit.remove("reasoning_effort");
                let thinks = effort != Effort::None && self.chat.stream;
                if own.is_none() {
                    self.edit.set("enable_thinking", if thinks { "true" } else { "false" });
                    if effort != Effort::None && !thinks {
                        self.warnings.changed("reasoning_effort", Effort::None.name());
                    }
                }
                return own.map_or(thinks, |own| own == "true");
            }
        }
        effort != Effort::None
    }

    /// Sends the effort that comes nearest to the one that is wanted.
    fn send(&mut self, wanted: Effort) {
        let parameters = &self.target.facts.parameters;
        let known = self.quirks.efforts.iter().find(|(unknown, _)| *unknown == wanted);
        let effort = match parameters.efforts.accepts(wanted) {
            Some(true) => wanted,
            _ => parameters.efforts.nearest(known.map_or(wanted, |(_, sent)| *sent)),
        };
        let calls_functions = self.chat.tools.iter().any(|tool| tool.function.is_some())
            || self.chat.field("functions").is_some();
        if calls_functions && !parameters.tools_with_effort && effort != Effort::None {
            self.drop("reasoning_effort");
        } else if effort != wanted {
            self.edit.set("reasoning_effort", format!("\"{}\"", effort.name()));
            self.warnings.changed("reasoning_effort", effort.name());
        }
    }

    /// Whether sampling is refused because the model thinks.
    #[inline(never)]
    fn thinks(&self) -> bool {
        let parameters = &self.target.facts.parameters;
        !self.quirks.samples_while_reasoning
            && self.reasons()
            && !(parameters.sampling_with_effort_none && self.effort() == Some(Effort::None))
    }

    /// Temperature and what else shapes the choice of tokens.
    fn sampling(&mut self) -> Result<(), Error> {
        let parameters = &self.target.facts.parameters;
        let thinks = self.thinks();
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
        Ok(())
    }

    fn logprobs(&mut self) -> Result<(), Error> {
        if self.chat.logprobs && self.thinks() {
            let message = format!(
                "'logprobs' is not supported by the model '{}' while it reasons.",
                self.target.model
            );
            unsupported("logprobs", "logprobs", message, self.target, &mut self.warnings)?;
            self.edit.remove("logprobs");
            if self.chat.field("top_logprobs").is_some() {
                self.drop("top_logprobs");
            }
        } else if self.quirks.counts_logprobs && self.chat.field("logprobs").is_some() {
            if self.chat.logprobs {
                let count = self.chat.top_logprobs.unwrap_or(0).max(1);
                self.edit.set("logprobs", count.to_string());
            } else {
                self.edit.remove("logprobs");
            }
            self.edit.remove("top_logprobs");
        }
        Ok(())
    }

    /// What is independent of sampling.
    fn rest(&mut self) -> Result<(), Error> {
        for own in OWN_FIELDS {
            if self.chat.fields.iter().any(|field| field.name == own) {
                self.edit.remove(own);
            }
        }
        let facts = self.target.facts;
        if !facts.parameters.stop && !self.chat.stop.is_empty() {
            self.drop("stop");
        }
        let one_call = self.quirks.limit == Limit::ByModel
            && self.reasons()
            && !facts.capabilities.has(Capability::ParallelTools);
        if one_call && self.chat.parallel_tool_calls.is_some() {
            self.drop("parallel_tool_calls");
        }
        for name in self.place.too_new.iter().chain(self.quirks.hints) {
            if *name != "stream_options" && self.chat.field(name).is_some() {
                self.drop(name);
            }
        }
        for name in self.quirks.refuses {
            let Some(value) = self.chat.field(name) else { continue };
            if asks_for_more(name, value, self.chat) {
                let message = format!("'{name}' is not supported by {}.", self.quirks.name);
                unsupported(*name, name, message, self.target, &mut self.warnings)?;
            } else if *name == "n" {
                continue;
            }
            self.edit.remove(name);
        }
        self.routes()?;
        let is_schema = matches!(self.chat.response_format, Some(ResponseFormat::JsonSchema(_)));
        if is_schema && !self.quirks.schema_anywhere {
            let beside = match () {
                () if self.chat.stream => Some("in a stream"),
                () if !self.chat.tools.is_empty() => Some("beside tools"),
                () => None,
            };
            if let Some(beside) = beside {
                let message = format!(
                    "'response_format': {} takes no JSON schema {beside}.",
                    self.quirks.name
                );
                let param = "response_format";
                unsupported(param, param, message, self.target, &mut self.warnings)?;
                self.edit.remove(param);
            }
        }
        Ok(())
    }

    /// What would make the provider ask another model, or charge otherwise than for its tokens.
    fn routes(&mut self) -> Result<(), Error> {
        for name in self.quirks.chooses {
            let Some(value) = self.chat.field(name) else { continue };
            if routes::chooses(name, value) {
                let message = routes::message(name, self.quirks);
                unsupported(*name, name, message, self.target, &mut self.warnings)?;
                self.edit.remove(name);
            }
        }
        if let (Some(tiers), Some(tier)) = (self.quirks.tiers, self.chat.field(TIER))
            && !tiers.contains(&tier.get().trim_matches('"'))
        {
            self.drop(TIER);
            return Ok(());
        }
        for name in self.quirks.charges {
            if self.chat.field(name).is_some_and(|value| routes::charges(name, value)) {
                self.warnings.unpriced(name);
            }
        }
        Ok(())
    }

    /// Which tools there are, and which must be called.
    fn tools(&mut self) -> Result<(), Error> {
        let parameters = &self.target.facts.parameters;
        let fitted = tools::fitted(self.chat, self.target, self.quirks, &mut self.warnings)?;
        let none_left = fitted.as_ref().is_some_and(|tools| tools == "[]");
        if none_left {
            self.edit.remove("tools");
            self.edit.remove("tool_choice");
        } else if let Some(tools) = fitted {
            self.edit.set("tools", tools);
        }
        let Some(choice) = self.chat.tool_choice.as_ref().filter(|_| !none_left) else {
            return Ok(());
        };
        let forces = !matches!(choice, ToolChoice::Auto | ToolChoice::None);
        let takes = self.quirks.tools;
        if !takes.choice || !parameters.tool_choice {
            if forces {
                let message = format!("'tool_choice' is not supported by {}.", self.quirks.name);
                let param = "tool_choice";
                unsupported(param, param, message, self.target, &mut self.warnings)?;
            }
            self.edit.remove("tool_choice");
            // Without tools none is called.
            if matches!(choice, ToolChoice::None) && !self.chat.tools.is_empty() {
                self.edit.remove("tools");
            }
            return Ok(());
        }
        if let (false, ToolChoice::Allowed { required, .. }) = (takes.allowed, choice) {
            self.edit.set("tool_choice", if *required { "\"required\"" } else { "\"auto\"" });
        }
        Ok(())
    }

    /// Whether it is a model that the catalogue does not know by a name that only models have which
    /// reason. They refuse `max_tokens`, and all of these names take what replaced it.
    fn may_reason(&self) -> bool {
        let mut bytes = self.target.model.bytes();
        let first = bytes.next();
        let is_o = first == Some(b'o') && bytes.next().is_some_and(|byte| byte.is_ascii_digit());
        let generation =
            self.target.model.strip_prefix("gpt-").and_then(|rest| rest.bytes().next());
        !self.target.facts.known
            && (is_o || generation.is_some_and(|it| (b'5'..=b'9').contains(&it)))
    }

    fn reasons(&self) -> bool {
        self.target.facts.known && self.target.facts.capabilities.has(Capability::Reasoning)
    }

    /// The effort asked for. A word that is not one stays for the provider to refuse.
    #[inline(never)]
    fn effort(&self) -> Option<Effort> {
        self.chat.reasoning_effort.map(RawStr::decode).and_then(|word| Effort::from_name(&word))
    }

    #[inline(never)]
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

    #[inline(never)]
    fn drop(&mut self, name: &'static str) {
        self.edit.remove(name);
        self.warnings.dropped(name);
    }
}

/// Whether the field asks for more than what everyone gives.
fn asks_for_more(name: &str, value: &RawValue, chat: &Chat<'_>) -> bool {
    match name {
        "n" => chat.n.is_some_and(|n| n > 1),
        "modalities" => value.get().contains("\"audio\""),
        // Without options it is a search, too.
        "web_search_options" => true,
        _ => !matches!(value.get(), "false" | "0" | "{}" | "[]" | "\"\""),
    }
}

#[cfg(test)]
mod tests;
