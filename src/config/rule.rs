//! An entry of `rules`: which requests, and who may answer them.

use std::time::Duration;

use super::pattern::Pattern;
use super::provider::Provider;
use super::reader::{Fields, Node, Problems, nearest, show};
use crate::health::Window;
use crate::providers::catalogue::{Capabilities, Capability, Rate};

/// Most candidates of a rule: each endpoint of each target is one.
pub const MAX_CANDIDATES: usize = 16;

/// A rule. The first that matches a request decides who answers it.
#[derive(Debug)]
pub struct Rule {
    /// Its name, in answers and in logs.
    pub name: String,
    /// Which requests.
    pub when: When,
    /// How the targets are ordered.
    pub choose: Choose,
    /// What whoever answers must be or have.
    pub require: Require,
    /// Who may answer.
    pub targets: Vec<TargetId>,
    /// A share of the requests that is also sent elsewhere, for comparison.
    pub mirror: Option<Mirror>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// Which requests a rule is for. Everything that is said must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct When {
    /// One of these; empty for any model.
    pub models: Vec<Pattern>,
    /// Each of these headers has one of its values.
    pub headers: Vec<(String, Vec<Pattern>)>,
    /// One of these; empty for any tenant.
    pub tenants: Vec<Pattern>,
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

/// An expression that Envoy evaluates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// As written.
    pub text: String,
    /// Its place among all expressions of the configuration.
    pub at: usize,
}

/// What whoever answers must be or have. Holds whatever a client asks for, and whoever is down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    /// The endpoint is in one of these; empty for any.
    pub region: Vec<String>,
    /// The model is known to have all of these.
    pub capabilities: Capabilities,
    /// Most that a token may cost. A model without a price costs too much.
    pub max_price: Option<MaxPrice>,
    /// Longest p95 of the last five minutes: to the first content of a stream, to the end of an
    /// answer that is none. One of whom nothing is known may answer.
    pub max_latency: Option<Duration>,
    /// Least quality, 0 to 1000, for the request's task. A model without a score has none.
    pub min_quality: Option<u16>,
}

/// Most that a request may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxPrice {
    /// A token of input.
    pub input: Option<Rate>,
    /// A token of output.
    pub output: Option<Rate>,
}

/// A share of the requests that is also sent elsewhere. The answer is thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// To whom.
    pub target: TargetId,
    /// How many of ten thousand requests.
    pub share: u16,
}

/// How a rule's targets are ordered. Each orders all of them, so that failover goes down the same
/// order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choose {
    /// The only one.
    Static,
    /// As written; one that fails too often goes behind the others.
    Failover(Leave),
    /// The cheapest for this request first.
    Cost,
    /// The best score for the request's task first.
    Quality,
    /// The quickest first, by p95.
    Latency {
        /// How many of ten thousand requests go to another first, so that a slow start is not for
        /// ever.
        explore: u16,
    },
    /// By the targets' weights.
    Canary {
        /// What decides, so that the same gets the same; nothing: chance.
        sticky: Option<Sticky>,
    },
}

/// When a target of a failover rule is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// When more than so many of a thousand requests of the window failed, …
    pub error_rate_per_mille: u32,
    /// … once there were so many requests in it.
    pub min_requests: u32,
    /// Which window.
    pub window: Window,
}

impl Default for Leave {
    fn default() -> Self {
        Self { error_rate_per_mille: 50, min_requests: 20, window: Window::Minute }
    }
}

/// What decides which target of a canary rule a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// The body's `user`.
    User,
    /// The tenant.
    Tenant,
    /// A request header.
    Header(String),
    /// A member of the body's `metadata`.
    Metadata(String),
}

/// A model of a provider, by their places in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetId {
    /// In `Gateway::providers`.
    pub provider: usize,
    /// In that provider's `models`.
    pub model: usize,
    /// Its share in a canary rule, relative to the others'; 1 where none is said.
    pub weight: u32,
}

/// How long to wait. The time to connect is not here: it is the cluster's `connect_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the connection to the first content of a stream, for each attempt.
    pub first_token: Duration,
    /// From the connection to the end of an answer that is not streamed, for each attempt.
    pub answer: Duration,
    /// Between two pieces of a stream.
    pub idle: Duration,
    /// For the whole request, all attempts together.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_token: Duration::from_secs(60),
            answer: Duration::from_secs(300),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(900),
        }
    }
}

impl When {
    /// Whether every request that `other` is for is also one for this.
    fn covers(&self, other: &Self) -> bool {
        let all = |mine: &[Pattern], others: &[Pattern]| {
            mine.is_empty()
                || (!others.is_empty()
                    && others.iter().all(|other| mine.iter().any(|mine| mine.covers(other))))
        };
        all(&self.models, &other.models)
            && all(&self.tenants, &other.tenants)
            && (self.stream.is_none() || self.stream == other.stream)
            && self.headers.iter().all(|(name, values)| {
                other.headers.iter().any(|(known, others)| known == name && all(values, others))
            })
    }
}

/// Reads `rules`.
pub fn read(
    node: &Node<'_>,
    providers: &[Provider],
    timeouts: Timeouts,
    tenants: bool,
    problems: &mut Problems,
) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut doubtful = Vec::new();
    for node in node.list(problems) {
        let before = problems.count();
        let Some(rule) = read_rule(&node, providers, timeouts, tenants, problems) else { continue };
        let understood = problems.count() == before;
        if rules.iter().any(|earlier| earlier.name == rule.name) {
            problems.add(&node.path, format!("a rule named \"{}\" stands above", rule.name));
        } else if let Some(earlier) = rules.iter().find(|earlier| {
            understood && !doubtful.contains(&earlier.name) && earlier.when.covers(&rule.when)
        }) {
            problems.add(
                &node.path,
                format!(
                    "the rule \"{}\" can never match: \"{}\" above takes every request it is for",
                    rule.name, earlier.name
                ),
            );
        }
        // What is wrong in a rule may be what sets it apart from the others.
        if !understood {
            doubtful.push(rule.name.clone());
        }
        rules.push(rule);
    }
    rules
}

fn read_rule(
    node: &Node<'_>,
    providers: &[Provider],
    timeouts: Timeouts,
    tenants: bool,
    problems: &mut Problems,
) -> Option<Rule> {
    let mut fields = node.fields(problems);
    let name = fields.need("name", problems).and_then(|node| {
        let name = node.text(problems)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
        if name.len() > 64 || !name.bytes().all(plain) {
            problems.add(&node.path, "a rule's name is 1 to 64 letters, digits, '.', '_' and '-'");
        }
        Some(name)
    });
    let when =
        fields.take("when").map_or_else(When::default, |node| read_when(&node, tenants, problems));
    let choose = fields.take("choose").and_then(|node| {
        let words = [("failover", false), ("static", true)];
        let choose = node.word(&words, problems)?;
        let choose = if choose { Choose::Static } else { Choose::Failover(Leave::default()) };
        Some((choose, node.path))
    });
    let targets = fields.need("targets", problems);
    let timeouts = match fields.take("timeouts") {
        Some(node) => read_timeouts(&node, timeouts, problems),
        None => timeouts,
    };
    fields.finish(problems);
    let targets_node = targets?;
    let nodes = targets_node.list(problems);
    let targets = read_targets(&targets_node.path, &nodes, providers, problems);
    if targets.len() == nodes.len() {
        check_vectors(&nodes, &targets, providers, problems);
    }
    let candidates: usize = targets
        .iter()
        .filter_map(|target| providers.get(target.provider))
        .map(|provider| provider.endpoints.len())
        .sum();
    if candidates > MAX_CANDIDATES {
        problems.add(
            &targets_node.path,
            format!("{candidates} candidates (endpoints of all targets); at most {MAX_CANDIDATES} are tried"),
        );
    }
    let choose = match choose {
        Some((Choose::Static, path)) if nodes.len() > 1 => {
            problems.add(path, "\"static\" asks only the first target, the others could never be asked; remove them, or choose \"failover\"");
            Choose::Static
        }
        Some((Choose::Failover(leave), path))
            if candidates == 1 && targets.len() == nodes.len() =>
        {
            problems.add(
                path,
                "\"failover\" needs a second target, or a second endpoint of this one, to go to",
            );
            Choose::Failover(leave)
        }
        Some((choose, _)) => choose,
        None if candidates > 1 => Choose::Failover(Leave::default()),
        None => Choose::Static,
    };
    Some(Rule {
        name: name?.to_owned(),
        when,
        choose,
        require: Require::default(),
        targets,
        mirror: None,
        timeouts,
    })
}

fn read_targets(
    path: &str,
    nodes: &[Node<'_>],
    providers: &[Provider],
    problems: &mut Problems,
) -> Vec<TargetId> {
    if nodes.is_empty() {
        problems.add(path, "a rule needs at least one target, such as \"openai/gpt-4o\"");
    }
    let mut targets = Vec::new();
    for node in nodes {
        let Some(text) = node.text(problems) else { continue };
        // A model's name may hold slashes, a provider's may not.
        let Some((provider, model)) = text.split_once('/') else {
            problems.add(&node.path, format!("\"{text}\" is not of the form \"provider/model\""));
            continue;
        };
        let Some(at) = providers.iter().position(|known| known.name == provider) else {
            let known: Vec<&str> = providers.iter().map(|provider| &*provider.name).collect();
            problems.add(
                &node.path,
                format!(
                    "there is no provider \"{provider}\"{} (there are: {})",
                    nearest(provider, &known),
                    known.join(", ")
                ),
            );
            continue;
        };
        let models = providers.get(at).map_or(&[][..], |provider| &provider.models);
        let Some(model_at) = models.iter().position(|known| known.name == model) else {
            let known: Vec<&str> = models.iter().map(|model| &*model.name).collect();
            problems.add(
                &node.path,
                format!(
                    "\"{provider}\" has no model \"{model}\"{} (it has: {})",
                    nearest(model, &known),
                    known.join(", ")
                ),
            );
            continue;
        };
        let target = TargetId { provider: at, model: model_at, weight: 1 };
        if targets.contains(&target) {
            problems.add(&node.path, format!("\"{text}\" stands above already"));
        } else {
            targets.push(target);
        }
    }
    targets
}

/// Reports targets whose vectors cannot stand in for those of the first: they are of another model,
/// so no request for vectors is ever passed on to them.
fn check_vectors(
    nodes: &[Node<'_>],
    targets: &[TargetId],
    providers: &[Provider],
    problems: &mut Problems,
) {
    let model = |target: &TargetId| {
        let model = providers.get(target.provider)?.models.get(target.model)?;
        let embeds = model.facts.known && model.facts.capabilities.has(Capability::Embeddings);
        embeds.then_some(model)
    };
    let mut first = None;
    for (target, node) in targets.iter().zip(nodes) {
        let Some(model) = model(target) else { continue };
        let first = *first.get_or_insert(model);
        if first.canonical() != model.canonical() {
            problems.add(
                &node.path,
                format!(
                    "never takes over from \"{}\": vectors of different models cannot be compared; give \"{}\" a rule of its own",
                    first.name, model.name
                ),
            );
        }
    }
}

fn read_when(node: &Node<'_>, tenants: bool, problems: &mut Problems) -> When {
    let mut when = When::default();
    let mut fields: Fields<'_> = node.fields(problems);
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
        if !tenants {
            problems.add(
                &node.path,
                "needs tenant_header at the top, to say which header names the tenant",
            );
        }
        when.tenants = read_patterns(&node, problems);
    }
    if let Some(node) = fields.take("stream") {
        when.stream = node.flag(problems);
    }
    fields.finish(problems);
    when
}

/// Reports a name of a request header that no request can bring.
pub(super) fn check_header(name: &str, path: &str, problems: &mut Problems) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    if name.is_empty() || !name.bytes().all(plain) {
        problems.add(path, "a header's name is written in lower case");
    } else if name.starts_with("x-waypost-") || name.starts_with("x-envoy-") {
        problems.add(path, "headers of this name are taken off every request first");
    }
}

fn read_patterns(node: &Node<'_>, problems: &mut Problems) -> Vec<Pattern> {
    let nodes = node.one_or_more(problems);
    if nodes.is_empty() {
        problems.add(&node.path, "the list is empty, so nothing could ever match");
    }
    nodes.iter().filter_map(|node| node.text(problems)).map(Pattern::new).collect()
}

/// Reads `timeouts`, on top of those that hold without it.
pub fn read_timeouts(node: &Node<'_>, mut timeouts: Timeouts, problems: &mut Problems) -> Timeouts {
    let (low, high) = (Duration::from_millis(10), Duration::from_secs(24 * 3600));
    let mut fields = node.fields(problems);
    let mut said = Vec::new();
    for (name, place) in [
        ("first_token", &mut timeouts.first_token),
        ("answer", &mut timeouts.answer),
        ("idle", &mut timeouts.idle),
        ("total", &mut timeouts.total),
    ] {
        if let Some(node) = fields.take(name)
            && let Some(time) = node.duration(low, high, problems)
        {
            *place = time;
            said.push(name);
        }
    }
    if let Some(node) = fields.take("connect") {
        problems.add(
            node.path,
            "the time to connect cannot differ by rule: set connect_timeout on the Envoy cluster",
        );
    }
    fields.finish(problems);
    let total = timeouts.total;
    for (name, time) in
        [("first_token", &mut timeouts.first_token), ("answer", &mut timeouts.answer)]
    {
        if *time > total && said.contains(&name) {
            problems.add(
                &node.path,
                format!(
                    "{name} ({}) is longer than total ({}) and could never be reached",
                    show(*time),
                    show(total)
                ),
            );
        }
        // Whoever shortens the whole need not repeat the parts.
        *time = (*time).min(total);
    }
    timeouts
}
