//! What becomes of a field that the API or the model does not take: dropped, changed or refused.

use std::borrow::Cow;

use super::{Target, Warning};
use crate::openai::outer::Field;
use crate::openai::{Chat, Error};

/// What the client should know, each thing once however often it happens in a request.
#[derive(Debug, Default)]
pub(crate) struct Warnings(pub(crate) Vec<Warning>);

impl Warnings {
    pub(crate) fn add(&mut self, warning: Warning) {
        if !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }

    pub(crate) fn dropped(&mut self, param: &'static str) {
        self.add(Warning::Dropped(param.into()));
    }

    pub(crate) fn changed(&mut self, param: &'static str, to: impl Into<String>) {
        self.add(Warning::Changed { param: param.into(), to: to.into() });
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
            if says_nothing || placed.contains(&&*field.name) {
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
