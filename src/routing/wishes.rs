//! What a client asks for beside a model. Wishes choose; they never go around what the rule of the
//! request requires.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Plan, Question};
use crate::config::Gateway;
use crate::config::gateway::ClientsMay;
use crate::openai::Error;
use crate::openai::message::Bounded;
use crate::openai::request::read;
use crate::tenancy::May;

/// The request header that names another rule.
pub const RULE_HEADER: &str = "x-waypost-rule";
/// The request header that names a target, as `provider/model`.
pub const TARGET_HEADER: &str = "x-waypost-target";
pub use crate::openai::MODELS_FIELD;

/// Most models that a client may list.
pub const MAX_MODELS: usize = 16;

/// What a client asks for beside a model; see [`ClientsMay`].
#[derive(Clone, Debug, Default)]
pub struct Wishes<'a> {
    /// Another rule's targets.
    pub rule: Option<&'a str>,
    /// One target, as `provider/model`.
    pub target: Option<&'a str>,
    /// These models in this order, after the one asked for.
    pub models: Vec<Cow<'a, str>>,
}

impl<'a> Wishes<'a> {
    /// Reads `models` of a body.
    ///
    /// # Errors
    /// A 400 when it is not a list of at most [`MAX_MODELS`] texts.
    pub fn read_models(field: Option<&'a RawValue>) -> Result<Vec<Cow<'a, str>>, Error> {
        let Some(field) = field else { return Ok(Vec::new()) };
        read(MODELS_FIELD, field)
            .map(|Bounded(models): Bounded<Cow<'a, str>, MAX_MODELS>| models)
            .map_err(|_| {
                let message =
                    format!("'models' must be a list of at most {MAX_MODELS} names of models.");
                Error::invalid(MODELS_FIELD, message)
            })
    }

    /// Those that the configuration allows, and that the tenant may have. Says of the others that they
    /// are ignored.
    pub(super) fn granted(
        &self,
        may: ClientsMay,
        tenant: Option<&May>,
        warnings: &mut Vec<String>,
    ) -> Granted<'_> {
        let pins = tenant.is_none_or(May::pins);
        let mut grant = |wished: bool, may: bool, name: &str, word: &str| {
            let may = may && pins;
            if wished && !may {
                warnings.push(match pins {
                    true => format!("{name} is ignored: clients_may does not say \"{word}\""),
                    false => format!("{name} is ignored: this tenant may not choose"),
                });
            }
            wished && may
        };
        Granted {
            rule: self.rule.filter(|_| grant(true, may.rule, RULE_HEADER, "rule")),
            target: self.target.filter(|_| grant(true, may.target, TARGET_HEADER, "target")),
            models: match grant(!self.models.is_empty(), may.models, MODELS_FIELD, "models") {
                true => &self.models,
                false => &[],
            },
        }
    }
}

/// Wishes that are allowed.
pub(super) struct Granted<'w> {
    pub rule: Option<&'w str>,
    pub target: Option<&'w str>,
    pub models: &'w [Cow<'w, str>],
}

impl Granted<'_> {
    /// Whether they lead elsewhere than the model of the request.
    pub(super) const fn leads(&self) -> bool {
        self.rule.is_some() || self.target.is_some()
    }
}

impl Plan {
    /// The model that is asked first, where a wish leads there and not the model of the request: by its
    /// name in the list, else as `provider/model`.
    #[must_use]
    pub fn wished<'q>(
        &self,
        gateway: &Gateway,
        question: &'q Question<'_>,
    ) -> Option<Cow<'q, str>> {
        if !self.free && self.groups.len() < 2 {
            return None;
        }
        let first = *self.candidates.first()?;
        match self.place(first)?.0.checked_sub(1) {
            Some(at) => Some(Cow::Borrowed(&**question.wishes.models.get(at)?)),
            None if self.free => {
                let found = first.resolve(gateway)?;
                Some([&*found.provider.name, "/", &found.model.name].concat().into())
            }
            None => None,
        }
    }
}
