//! What becomes of a field that the API or the model does not take: dropped, changed or refused.

use crate::openai::Error;
use crate::providers::{Target, Warning};

/// What the client should know, each thing once however often it happens in a request.
#[derive(Debug, Default)]
pub(super) struct Warnings(pub(super) Vec<Warning>);

impl Warnings {
    pub(super) fn add(&mut self, warning: Warning) {
        if !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }

    pub(super) fn dropped(&mut self, param: &'static str) {
        self.add(Warning::Dropped(param.into()));
    }

    pub(super) fn changed(&mut self, param: &'static str, to: impl Into<String>) {
        self.add(Warning::Changed { param: param.into(), to: to.into() });
    }
}

/// Refuses `param`, or drops it under the name `dropped` where the policy says so.
///
/// # Errors
/// The refusal.
pub(super) fn unsupported(
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
pub(super) fn clamp(
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
