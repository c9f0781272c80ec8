//! Which requests a rule is for.

use crate::config::matching::{check_header, read_patterns};
use crate::config::model::read_needed;
use crate::config::reader::{Node, Problems, unknown};
use crate::pattern::Pattern;
use crate::providers::catalogue::{Capabilities, Capability};
use crate::tenancy::Tenancy;

/// Longest expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 1024;

/// Most tokens that a condition can name.
const MAX_TOKENS: u64 = 1 << 32;

/// Abilities that no request is said to need: a model without them answers as well, or what becomes
/// of the wish is its dialect's to say.
const NO_NEED: [Capability; 3] =
    [Capability::ParallelTools, Capability::PromptCaching, Capability::WebSearch];

/// Which requests a rule is for. Everything that is said must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct When {
    /// One of these; empty for any model.
    pub models: Vec<Pattern>,
    /// Each of these headers has one of its values.
    pub headers: Vec<(String, Vec<Pattern>)>,
    /// One of these; empty for any tenant.
    pub tenants: Vec<Pattern>,
    /// One of these; empty for any team and for none.
    pub teams: Vec<Pattern>,
    /// One of these; empty for any tier and for none.
    pub tiers: Vec<Pattern>,
    /// One of these; empty for any user and for none.
    pub users: Vec<Pattern>,
    /// Whether a stream is asked for.
    pub stream: Option<bool>,
    /// What is asked for.
    pub operation: Option<Operation>,
    /// Each of these members of the body's `metadata` has one of its values.
    pub metadata: Vec<(String, Vec<Pattern>)>,
    /// Estimated tokens of input, at least and at most.
    pub input_tokens: (Option<u64>, Option<u64>),
    /// The request needs all of these.
    pub capabilities: Capabilities,
    /// Envoy evaluates it over the request's headers and its connection.
    pub cel: Option<Expression>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/embeddings`.
    Embeddings,
}

impl Operation {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
        }
    }
}

/// An expression that Envoy evaluates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// As written.
    pub text: String,
    /// Its place among all expressions of the configuration.
    pub at: usize,
}

impl When {
    /// Whether every request that `other` is for is also one for this. May miss some.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let all = |mine: &[Pattern], others: &[Pattern]| {
            mine.is_empty()
                || (!others.is_empty()
                    && others.iter().all(|other| mine.iter().any(|mine| mine.covers(other))))
        };
        let named = |mine: &[(String, Vec<Pattern>)], others: &[(String, Vec<Pattern>)]| {
            mine.iter().all(|(name, values)| {
                others.iter().any(|(known, others)| known == name && all(values, others))
            })
        };
        let (least, most) = self.input_tokens;
        let (other_least, other_most) = other.input_tokens;
        all(&self.models, &other.models)
            && all(&self.tenants, &other.tenants)
            && all(&self.teams, &other.teams)
            && all(&self.tiers, &other.tiers)
            && all(&self.users, &other.users)
            && (self.stream.is_none() || self.stream == other.stream)
            && (self.operation.is_none() || self.operation == other.only_operation())
            && named(&self.headers, &other.headers)
            && named(&self.metadata, &other.metadata)
            && least.is_none_or(|least| other_least.unwrap_or(0) >= least)
            && most.is_none_or(|most| other_most.is_some_and(|other| other <= most))
            && self.capabilities.iter().all(|one| other.capabilities.has(one))
            && self.cel.as_ref().is_none_or(|mine| {
                other.cel.as_ref().is_some_and(|other| other.text.trim() == mine.text.trim())
            })
    }

    /// The operation that the conditions leave, when they leave one only. Vectors need no abilities.
    pub(super) fn only_operation(&self) -> Option<Operation> {
        let chats = self.stream == Some(true) || self.capabilities.iter().next().is_some();
        self.operation.or_else(|| chats.then_some(Operation::Chat))
    }
}

/// Reads `when`.
pub(super) fn read(node: &Node<'_>, tenancy: &Tenancy, problems: &mut Problems) -> When {
    let mut when = When::default();
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("model") {
        when.models = read_patterns(&node, problems);
    }
    if let Some(node) = fields.take("headers") {
        for (name, node) in node.entries(problems) {
            check_header(name, &node.path, problems);
            when.headers.push((name.to_owned(), read_patterns(&node, problems)));
        }
    }
    if let Some(node) = fields.take("tenant") {
        when.tenants = read_patterns(&node, problems);
        check_tenants(&node.path, &when.tenants, tenancy, problems);
    }
    for (word, patterns) in
        [("team", &mut when.teams), ("tier", &mut when.tiers), ("user", &mut when.users)]
    {
        if let Some(node) = fields.take(word) {
            *patterns = read_patterns(&node, problems);
        }
    }
    if let Some(node) = fields.take("stream") {
        when.stream = node.flag(problems);
    }
    if let Some(node) = fields.take("operation") {
        let words = [("chat", Operation::Chat), ("embeddings", Operation::Embeddings)];
        when.operation = node.word(&words, problems);
    }
    if let Some(node) = fields.take("metadata") {
        for (name, node) in node.entries(problems) {
            when.metadata.push((name.to_owned(), read_patterns(&node, problems)));
        }
    }
    if let Some(node) = fields.take("input_tokens") {
        when.input_tokens = read_tokens(&node, problems);
    }
    if let Some(node) = fields.take("capabilities") {
        when.capabilities = read_needed(&node, problems);
    }
    if let Some(node) = fields.take("cel") {
        when.cel = read_expression(&node, problems);
    }
    fields.finish(problems);
    check(&node.path, &when, problems);
    when
}

/// Reports a tenant that there is not.
fn check_tenants(path: &str, patterns: &[Pattern], tenancy: &Tenancy, problems: &mut Problems) {
    if tenancy.others.is_some() || tenancy.tenants.is_empty() {
        return;
    }
    let mut named = tenancy.tenants.iter().map(|tenant| &*tenant.name);
    for pattern in patterns {
        if !named.clone().any(|name| pattern.matches(name)) {
            let known: Vec<&str> = named.by_ref().take(8).collect();
            problems.add(path, unknown(pattern.as_str(), &known));
            return;
        }
    }
}

/// Reports conditions that no request can meet, by themselves or together.
fn check(path: &str, when: &When, problems: &mut Problems) {
    let vectors = when.operation == Some(Operation::Embeddings);
    if vectors && when.stream == Some(true) {
        problems.add(
            format!("{path}.stream"),
            "no request for embeddings is a stream, so the rule could never match; remove stream or operation",
        );
    }
    let needs = when.capabilities;
    let message = if needs.has(Capability::Embeddings) {
        "a request for embeddings is told by operation: embeddings; write that instead".to_owned()
    } else if let Some(one) = NO_NEED.into_iter().find(|one| needs.has(*one)) {
        format!(
            "no request needs {one}, so the rule could never match; to have it of whoever answers, write it under require"
        )
    } else if let Some(one) = needs.iter().next().filter(|_| vectors) {
        format!("no request for embeddings needs {one}, so the rule could never match; remove it")
    } else {
        return;
    };
    problems.add(format!("{path}.capabilities"), message);
}

/// Reads `input_tokens`.
fn read_tokens(node: &Node<'_>, problems: &mut Problems) -> (Option<u64>, Option<u64>) {
    let mut fields = node.fields(problems);
    let mut count = |name| fields.take(name)?.whole(0, MAX_TOKENS, problems);
    let (least, most) = (count("at_least"), count("at_most"));
    fields.finish(problems);
    if node.is_empty_object() {
        problems.add(&node.path, "needs at_least, at_most or both");
    }
    if let (Some(low), Some(high)) = (least, most)
        && low > high
    {
        problems.say(
            &node.path,
            format_args!(
                "at_least ({low}) is above at_most ({high}), so the rule could never match"
            ),
        );
    }
    (least, most)
}

/// Reads `cel`. Whether it can be understood is Envoy's to say.
fn read_expression(node: &Node<'_>, problems: &mut Problems) -> Option<Expression> {
    let text = node.text(problems)?;
    if text.trim().is_empty() {
        problems.add(&node.path, "must not be empty");
    } else if text.len() > MAX_EXPRESSION_BYTES {
        problems.say(
            &node.path,
            format_args!(
                "is {} bytes long; an expression has at most {MAX_EXPRESSION_BYTES}",
                text.len()
            ),
        );
    }
    Some(Expression { text: text.to_owned(), at: 0 })
}
