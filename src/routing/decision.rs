//! A decision: what is known of the request and of the world, and what is decided.

use std::borrow::Cow;
use std::rc::Rc;

use super::estimate::{Input, Output};
use super::wishes::Wishes;
use super::{Candidate, Skipped};
use crate::config::Gateway;
use crate::config::rule::{Expression, Operation, Rule, TargetId, Timeouts};
use crate::health::{Slot, Standing};
use crate::providers::catalogue::Capabilities;
use crate::store::Millis;
use crate::tenancy::{Caller, May};

/// What rules can see of a request.
pub struct Question<'a> {
    /// Who asks, with the user that the credential or else the body names.
    pub caller: Option<&'a Rc<Caller>>,
    /// What is asked for.
    pub operation: Operation,
    /// The model asked for.
    pub model: &'a str,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// The value of a request header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The text of a member of the body's `metadata`.
    pub metadata: &'a dyn Fn(&str) -> Option<Cow<'a, str>>,
    /// The body's `user`.
    pub user: Option<&'a str>,
    /// Tokens of input, by [`estimate`](super::estimate). Asked for once, and only if a rule, a
    /// price or a strategy wants to know.
    pub input: &'a dyn Fn() -> Input,
    /// Most output.
    pub output: Output,
    /// What the request needs of a model: [`Needs::capabilities`](super::Needs::capabilities).
    pub capabilities: Capabilities,
    /// What Envoy says of an expression.
    pub cel: &'a dyn Fn(&Expression) -> bool,
    /// What the client asks for beside a model.
    pub wishes: Wishes<'a>,
}

impl<'a> Question<'a> {
    /// A request of which only this is known.
    #[must_use]
    pub fn new(
        operation: Operation,
        model: &'a str,
        stream: bool,
        header: &'a dyn Fn(&str) -> Option<&'a str>,
    ) -> Self {
        Self {
            caller: None,
            operation,
            model,
            stream,
            header,
            metadata: &|_| None,
            user: None,
            input: &Input::default,
            output: Output::default(),
            capabilities: Capabilities::default(),
            cel: &|_| false,
            wishes: Wishes::default(),
        }
    }

    /// What the tenant may ask for; nothing when nobody is known.
    #[must_use]
    pub fn may<'g>(&self, gateway: &'g Gateway) -> Option<&'g May> {
        Some(&gateway.tenancy.tenants.get(self.caller?.terms)?.may)
    }

    /// The name of the tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&'a str> {
        self.caller.map(|caller| &*caller.tenant).filter(|name| !name.is_empty())
    }
}

/// What a decision needs of the world.
pub struct Moment<'a> {
    /// When it is made.
    pub now: Millis,
    /// Any number; another one for each decision.
    pub random: u64,
    /// How a target stands.
    pub standing: &'a dyn Fn(Slot) -> Standing,
    /// How many turns a provider, by its place in the configuration, has had before this one. Asked
    /// at most once for each provider of a decision, so counting the calls is enough; a count of all
    /// decisions is not, since providers that take turns would share it in step.
    pub turn: &'a dyn Fn(usize) -> u64,
}

/// Who may answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The rule's name; `model` when no rule matched and the model's own providers answer.
    pub rule: String,
    /// The rule's place in the configuration.
    pub at: Option<usize>,
    /// In the order in which they are asked; at least one once they are [ordered](Plan::order).
    pub candidates: Vec<Candidate>,
    /// Those that were left out, or moved to the end.
    pub skipped: Vec<Skipped>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Where a copy of the request is sent, for comparison.
    pub mirror: Option<Candidate>,
    /// What the client wished for in vain, for people.
    pub warnings: Vec<String>,
    /// The rule that takes the request by itself: what it requires holds whatever the client wishes.
    pub(super) bound: Option<usize>,
    /// Whether a wish leads elsewhere than the model of the request.
    pub(super) free: bool,
    /// What the candidates come from, in the order in which it is asked.
    pub(super) groups: Vec<Group>,
    /// Whether an effort is asked for, so that those who reason are asked first.
    pub(super) effort: bool,
    /// The estimate, if somebody asked for it.
    pub(super) input: Option<Input>,
}

/// Targets that are ordered together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The rule that orders them, and whose requirements hold for them.
    pub rule: Option<usize>,
    /// The rule that takes the model of a target that was asked for by its provider: what it requires
    /// holds however the model is named.
    pub also: Option<usize>,
    /// As they are written.
    pub targets: Vec<TargetId>,
}

impl Group {
    pub(super) fn rule<'g>(&self, gateway: &'g Gateway) -> Option<&'g Rule> {
        gateway.rules.get(self.rule?)
    }
}

/// The name of the plan for a request that no rule takes.
pub const BY_MODEL: &str = crate::config::rule::NO_RULE;
