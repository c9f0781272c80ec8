//! What becomes of a field that the API or the model does not take: dropped, changed or refused.

use std::borrow::Cow;

use super::{Target, Warning};
use crate::openai::json::{Num, RawStr};
use crate::openai::message::Message;
use crate::openai::outer::Field;
use crate::openai::request::read;
use crate::openai::{Chat, Error, OWN_FIELDS};

/// What the client should know, each thing once however often it happens in a request.
#[derive(Debug, Default)]
pub(crate) struct Warnings(pub(crate) Vec<Warning>);

impl Warnings {
    #[inline(never)]
    pub(crate) fn add(&mut self, warning: Warning) {
        if !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }

    #[inline(never)]
    pub(crate) fn dropped(&mut self, param: &'static str) {
        self.add(Warning::Dropped(param.into()));
    }

    pub(crate) fn changed(&mut self, param: &'static str, to: impl Into<String>) {
        self.changed_to(param, to.into());
    }

    #[inline(never)]
    fn changed_to(&mut self, param: &'static str, to: String) {
        self.add(Warning::Changed { param: param.into(), to });
    }

    /// Its provider charges for it beside the tokens, or more for them.
    #[inline(never)]
    pub(crate) fn unpriced(&mut self, param: &'static str) {
        self.add(Warning::Unpriced(param));
    }

    /// A speaker's name has no place in most APIs.
    pub(crate) fn drop_name(&mut self, message: &Message<'_>) {
        if message.name.is_some() {
            self.dropped("messages[].name");
        }
    }

    /// Warns of each field at the top of a request that found no place in a body that was written
    /// anew: those that are not in `placed`.
    pub(crate) fn dropped_but(&mut self, chat: &Chat<'_>, placed: &[&str]) {
        self.dropped_fields(&chat.fields, placed);
    }

    /// The same for the fields of any request.
    pub(crate) fn dropped_fields(&mut self, fields: &[Field<'_>], placed: &[&str]) {
        for field in fields {
            let says_nothing =
                matches!(field.value.get(), "null" | "false" | "0" | "0.0" | "{}" | "[]");
            // What a client asks of the gateway is no loss at a provider.
            let ours = OWN_FIELDS.contains(&&*field.name);
            if says_nothing || ours || placed.contains(&&*field.name) {
                continue;
            }
            let name = &*field.name;
            if name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic()) {
                self.add(Warning::Dropped(Cow::Owned(name.to_owned())));
            } else {
                self.dropped("an unknown field");
            }
        }
    }
}

/// Refuses `param`, or drops it under the name `dropped` where the policy says so.
///
/// # Errors
/// The refusal.
pub(crate) fn unsupported(
    param: impl Into<String>,
    dropped: &'static str,
    message: impl Into<String>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    refuse_or_drop(param.into(), dropped, message.into(), target, warnings)
}

#[inline(never)]
fn refuse_or_drop(
    param: String,
    dropped: &'static str,
    message: String,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if target.policy.drop_unsupported {
        warnings.dropped(dropped);
        Ok(())
    } else {
        Err(Error::unsupported(param, message))
    }
}

/// Notes that `param` is lowered to `most`.
///
/// # Errors
/// A 400 where the policy is to refuse what is out of range.
pub(crate) fn clamp(
    param: &'static str,
    wanted: impl std::fmt::Display,
    most: u64,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if target.policy.reject_out_of_range {
        let message = format!(
            "'{param}' must be at most {most} for the model '{}', but is {wanted}.",
            target.model
        );
        return Err(Error::invalid(param, message));
    }
    warnings.changed(param, most.to_string());
    Ok(())
}

/// `number` as it is to be sent: as it was written, or the bound that is nearest.
///
/// # Errors
/// A 400 where the policy is to refuse what is out of range.
pub(crate) fn into_range<'a>(
    param: &'static str,
    number: Num<'a>,
    low: f64,
    high: f64,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Cow<'a, str>, Error> {
    if (low..=high).contains(&number.value) {
        return Ok(Cow::Borrowed(number.written));
    }
    if target.policy.reject_out_of_range {
        let message = format!(
            "'{param}' must be between {low} and {high} for the model '{}', but is {}.",
            target.model, number.written
        );
        return Err(Error::invalid(param, message));
    }
    let nearest = if number.value < low { low } else { high }.to_string();
    warnings.changed(param, nearest.clone());
    Ok(Cow::Owned(nearest))
}

/// The longest answer that the client wants, lowered to the model's where that is known.
///
/// # Errors
/// A 400 where the policy is to refuse what is out of range.
pub(crate) fn max_tokens(
    chat: &Chat<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Option<u64>, Error> {
    let Some(wanted) = chat.max_tokens else { return Ok(None) };
    let Some(most) = target.facts.max_output.filter(|most| wanted > *most) else {
        return Ok(Some(wanted));
    };
    let param = match chat.field("max_completion_tokens") {
        Some(_) => "max_completion_tokens",
        None => "max_tokens",
    };
    clamp(param, wanted, most, target, warnings)?;
    Ok(Some(most))
}

/// Refuses, or drops, the wish for more than one answer. `api` is the provider's name.
///
/// # Errors
/// The refusal.
pub(crate) fn refuse_more_answers(
    chat: &Chat<'_>,
    api: &str,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if chat.n.is_some_and(|n| n > 1) {
        let message = format!("'n': {api} gives one answer to a request.");
        unsupported("n", "n", message, target, warnings)?;
    }
    Ok(())
}

/// Refuses, or drops, the wish for token probabilities. `api` is the provider's name.
///
/// # Errors
/// The refusal.
pub(crate) fn refuse_probabilities(
    chat: &Chat<'_>,
    api: &str,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    for (param, given) in [
        ("logprobs", chat.logprobs),
        ("top_logprobs", chat.top_logprobs.is_some_and(|top| top > 0)),
    ] {
        if given {
            let message = format!("'{param}': {api} gives no token probabilities.");
            unsupported(param, param, message, target, warnings)?;
        }
    }
    Ok(())
}

/// Refuses, or drops, the wish for an answer in anything but text. `api` is the provider's name.
///
/// # Errors
/// The refusal.
pub(crate) fn refuse_all_but_text(
    chat: &Chat<'_>,
    api: &str,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let modalities: Vec<RawStr<'_>> = match chat.field("modalities") {
        Some(modalities) => read("modalities", modalities)?,
        None => Vec::new(),
    };
    let text_only = modalities.iter().all(|modality| modality.decode() == "text");
    for (param, given) in [("modalities", !text_only), ("audio", chat.field("audio").is_some())] {
        if given {
            let message = format!("'{param}': {api} answers in text only.");
            unsupported(param, param, message, target, warnings)?;
        }
    }
    Ok(())
}

/// Refuses, or drops, the fields that `tools` and `tool_choice` have replaced.
///
/// # Errors
/// The refusal.
pub(crate) fn refuse_old_functions(
    chat: &Chat<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    for (param, new) in [("functions", "tools"), ("function_call", "tool_choice")] {
        if chat.field(param).is_some() {
            let message =
                format!("'{param}': the older form of '{new}' is not translated; use '{new}'.");
            unsupported(param, param, message, target, warnings)?;
        }
    }
    Ok(())
}

/// Refuses, or drops, what an API has no place for that answers in text only, searches nothing and
/// knows functions by their newer form only. `api` is the provider's name.
///
/// # Errors
/// The refusal.
pub(crate) fn refuse_other_answers(
    chat: &Chat<'_>,
    api: &str,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    refuse_all_but_text(chat, api, target, warnings)?;
    let old = "the older form of function calls is not translated; use 'tools'";
    for (param, why) in [
        ("functions", old.to_owned()),
        ("function_call", old.to_owned()),
        ("web_search_options", format!("{api} does not search the web for a chat")),
    ] {
        if chat.field(param).is_some() {
            unsupported(param, param, format!("'{param}': {why}."), target, warnings)?;
        }
    }
    Ok(())
}
