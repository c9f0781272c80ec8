//! Which rule takes a request.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

use super::decision::Question;
use super::estimate::Input;
use crate::config::{Gateway, When};
use crate::pattern::Pattern;
use crate::tenancy::Caller;

/// A request as rules see it. What is dear to know is found out when the first rule asks for it, and
/// kept.
pub(super) struct Seen<'s, 'a> {
    gateway: &'s Gateway,
    question: &'s Question<'a>,
    input: OnceCell<Input>,
}

impl<'s, 'a> Seen<'s, 'a> {
    pub(super) const fn new(gateway: &'s Gateway, question: &'s Question<'a>) -> Self {
        Self { gateway, question, input: OnceCell::new() }
    }

    /// The first rule that takes the request when it asks for `model`.
    pub(super) fn rule(&self, model: &str) -> Option<usize> {
        self.gateway.rules.iter().position(|rule| self.unmet(&rule.when, model).is_none())
    }

    /// The first condition that a request for `model` does not meet, by its word in the
    /// configuration. Asks Envoy last: that is a call out of the module.
    pub(super) fn unmet(&self, when: &When, model: &str) -> Option<&'static str> {
        let question = self.question;
        let one = |patterns: &[Pattern], value: Option<&str>| {
            value.is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
        };
        let unmet = |met: bool, word: &'static str| (!met).then_some(word);
        unmet(when.models.is_empty() || one(&when.models, Some(model)), "model")
            .or_else(|| {
                let met = when.operation.is_none_or(|wanted| wanted == question.operation);
                unmet(met, "operation")
            })
            .or_else(|| unmet(when.stream.is_none_or(|want| want == question.stream), "stream"))
            .or_else(|| {
                let capabilities = question.capabilities;
                unmet(when.capabilities.iter().all(|one| capabilities.has(one)), "capabilities")
            })
            .or_else(|| {
                unmet(when.tenants.is_empty() || one(&when.tenants, question.tenant()), "tenant")
            })
            .or_else(|| {
                let of = |patterns: &[Pattern], name: fn(&Caller) -> &Option<Rc<str>>| {
                    patterns.is_empty()
                        || one(patterns, question.caller.and_then(|caller| name(caller).as_deref()))
                };
                unmet(of(&when.teams, |caller| &caller.team), "team")
                    .or_else(|| unmet(of(&when.tiers, |caller| &caller.tier), "tier"))
                    .or_else(|| unmet(of(&when.users, |caller| &caller.user), "user"))
            })
            .or_else(|| {
                let mut headers = when.headers.iter();
                unmet(headers.all(|(name, all)| one(all, (question.header)(name))), "headers")
            })
            .or_else(|| {
                let value = |name: &str| -> Option<Cow<'a, str>> { (question.metadata)(name) };
                let mut members = when.metadata.iter();
                unmet(members.all(|(name, all)| one(all, value(name).as_deref())), "metadata")
            })
            .or_else(|| {
                let (least, most) = when.input_tokens;
                if least.is_none() && most.is_none() {
                    return None;
                }
                let tokens = self.input().tokens;
                let met = least.is_none_or(|least| tokens >= least)
                    && most.is_none_or(|most| tokens <= most);
                unmet(met, "input_tokens")
            })
            .or_else(|| unmet(when.cel.as_ref().is_none_or(|cel| (question.cel)(cel)), "cel"))
    }

    /// The estimate of the input, made at most once.
    pub(super) fn input(&self) -> Input {
        *self.input.get_or_init(|| (self.question.input)())
    }

    /// The estimate, if somebody asked for it.
    pub(super) fn known_input(&self) -> Option<Input> {
        self.input.get().copied()
    }
}
