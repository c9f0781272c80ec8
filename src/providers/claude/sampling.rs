//! Temperature and the like: one set of rules, since a request names them alike everywhere.

use crate::openai::json::Num;
use crate::openai::request::read;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::warnings::{Warnings, clamp};

/// What is sent about sampling, each number as it was written.
#[derive(Debug, Default)]
pub(crate) struct Sampling<'a> {
    pub(crate) temperature: Option<&'a str>,
    pub(crate) top_p: Option<&'a str>,
    pub(crate) top_k: Option<&'a str>,
}

impl<'a> Sampling<'a> {
    /// Newer models take none of it, some take only one of the first two. `taken` is false where
    /// something else leaves no choice but the defaults: thinking, or the version of the API.
    ///
    /// # Errors
    /// What is no number, and where the policy is to refuse it, what is out of range.
    pub(crate) fn choose(
        chat: &Chat<'a>,
        target: &Target<'_>,
        taken: bool,
        warnings: &mut Warnings,
    ) -> Result<Self, Error> {
        let known = &target.facts.parameters;
        let top_k: Option<Num<'a>> =
            chat.field("top_k").map(|value| read("top_k", value)).transpose()?;
        if !known.sampling_params || !taken {
            // One is the default of both: to drop it changes nothing.
            for (param, number) in [("temperature", chat.temperature), ("top_p", chat.top_p)] {
                if number.is_some_and(|number| number.value != 1.0) {
                    warnings.dropped(param);
                }
            }
            if top_k.is_some() {
                warnings.dropped("top_k");
            }
            return Ok(Self::default());
        }
        let mut sampling = Self {
            temperature: chat.temperature.map(|number| number.written),
            top_p: chat.top_p.map(|number| number.written),
            top_k: top_k.map(|number| number.written),
        };
        if let Some(number) = chat.temperature.filter(|number| number.value > 1.0) {
            clamp("temperature", number.written, 1, target, warnings)?;
            sampling.temperature = Some("1");
        }
        if sampling.temperature.is_some()
            && sampling.top_p.is_some()
            && !known.temperature_with_top_p
        {
            warnings.dropped("top_p");
            sampling.top_p = None;
        }
        Ok(sampling)
    }

    /// Whether nothing is sent.
    pub(crate) const fn is_empty(&self) -> bool {
        self.temperature.is_none() && self.top_p.is_none() && self.top_k.is_none()
    }
}
