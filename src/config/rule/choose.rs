//! How a rule's targets are ordered.

use super::Around;
use super::target::Targets;
use crate::config::health::read_rate;
use crate::config::matching::check_header;
use crate::config::model::Quality;
use crate::config::reader::{Fields, Node, Problems};
use crate::health::Window;

/// Of ten thousand requests of a latency rule, those that go to another target first.
const EXPLORE: u16 = 500;

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

impl Choose {
    /// The word behind `choose`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Static => Strategy::Static,
            Self::Failover(_) => Strategy::Failover,
            Self::Cost => Strategy::Cost,
            Self::Quality => Strategy::Quality,
            Self::Latency { .. } => Strategy::Latency,
            Self::Canary { .. } => Strategy::Canary,
        }
        .word()
    }
}

/// The words of `choose`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Static,
    Failover,
    Cost,
    Quality,
    Latency,
    Canary,
}

const STRATEGIES: [(&str, Strategy); 6] = [
    ("static", Strategy::Static),
    ("failover", Strategy::Failover),
    ("cost", Strategy::Cost),
    ("quality", Strategy::Quality),
    ("latency", Strategy::Latency),
    ("canary", Strategy::Canary),
];

impl Strategy {
    fn word(self) -> &'static str {
        STRATEGIES.iter().find(|(_, known)| *known == self).map_or("", |(word, _)| word)
    }
}

/// `choose` and what belongs to it, as written.
pub(super) struct Options<'a> {
    choose: Option<Node<'a>>,
    leave: Option<Node<'a>>,
    explore: Option<Node<'a>>,
    sticky: Option<Node<'a>>,
}

impl<'a> Options<'a> {
    /// Takes them from a rule.
    pub fn take(fields: &mut Fields<'a>) -> Self {
        Self {
            choose: fields.take("choose"),
            leave: fields.take("leave"),
            explore: fields.take("explore"),
            sticky: fields.take("sticky"),
        }
    }
}

/// Reads `choose` with its options, and looks whether the targets can be ordered so.
pub(super) fn read(
    options: &Options<'_>,
    targets: &Targets<'_>,
    around: Around<'_>,
    problems: &mut Problems,
) -> Choose {
    let default = if targets.candidates > 1 { Strategy::Failover } else { Strategy::Static };
    let strategy = match &options.choose {
        Some(node) => match node.word(&STRATEGIES, problems) {
            Some(strategy) => {
                if targets.whole {
                    check(&node.path, strategy, targets, around, problems);
                }
                strategy
            }
            // Whose the options are cannot be told.
            None => return Choose::Static,
        },
        None => default,
    };
    check_options(options, strategy, targets, problems);
    match strategy {
        Strategy::Static => Choose::Static,
        Strategy::Failover => Choose::Failover(match &options.leave {
            Some(node) => read_leave(node, problems),
            None => Leave::default(),
        }),
        Strategy::Cost => Choose::Cost,
        Strategy::Quality => Choose::Quality,
        Strategy::Latency => {
            let share = options.explore.as_ref().map(|node| node.share(0, 10_000, 1, problems));
            Choose::Latency { explore: share.flatten().unwrap_or(EXPLORE) }
        }
        Strategy::Canary => {
            let sticky = options.sticky.as_ref();
            Choose::Canary { sticky: sticky.and_then(|node| read_sticky(node, problems)) }
        }
    }
}

/// Reports options of other strategies.
fn check_options(
    options: &Options<'_>,
    strategy: Strategy,
    targets: &Targets<'_>,
    problems: &mut Problems,
) {
    let weight = targets.weights.first().filter(|_| targets.whole);
    for (node, of) in [
        (options.leave.as_ref(), Strategy::Failover),
        (options.explore.as_ref(), Strategy::Latency),
        (options.sticky.as_ref(), Strategy::Canary),
        (weight, Strategy::Canary),
    ] {
        let Some(node) = node.filter(|_| strategy != of) else { continue };
        let message = if options.choose.is_none() && of == Strategy::Failover {
            "is for \"failover\", but this rule has one candidate only; remove it, or add a target"
                .to_owned()
        } else {
            format!(
                "is for \"{}\", but this rule has \"{}\"; remove it, or write choose: {}",
                of.word(),
                strategy.word(),
                of.word()
            )
        };
        problems.add(&node.path, message);
    }
    let some = !targets.weights.is_empty() && targets.weights.len() < targets.list.len();
    if strategy == Strategy::Canary && targets.whole && some {
        problems.add(
            &targets.path,
            "some targets have a weight and some have none; give each of them one, or none of them",
        );
    }
}

/// Reports targets among which there is nothing to choose, or that cannot be compared.
fn check(
    path: &str,
    strategy: Strategy,
    targets: &Targets<'_>,
    around: Around<'_>,
    problems: &mut Problems,
) {
    let several = targets.list.len() > 1;
    let models = || targets.list.iter().filter_map(|target| target.of(around.providers));
    match strategy {
        Strategy::Static if several => problems.add(path, "\"static\" asks only the first target, the others could never be asked; remove them, or choose \"failover\""),
        Strategy::Failover if targets.candidates == 1 => problems.add(
            path,
            "\"failover\" needs a second target, or a second endpoint of this one, to go to",
        ),
        Strategy::Cost | Strategy::Quality | Strategy::Latency | Strategy::Canary if !several => {
            problems.say(path, format_args!("\"{}\" needs a second target to choose from (the endpoints of one are ordered by its provider's balance)", strategy.word()));
        }
        Strategy::Cost => {
            for ((_, model), node) in models().zip(&targets.nodes) {
                if model.facts.price.is_none() {
                    problems.say(&node.path, format_args!("\"{}\" has no price, so \"cost\" cannot compare it; give it a price, or say with \"model\" what it is", model.name));
                }
            }
        }
        Strategy::Quality if models().all(|(_, model)| model.quality == Quality::default()) => {
            problems.add(path, "no target has a score; give the models one, such as { quality: 0.8 }");
        }
        _ => {}
    }
}

fn read_leave(node: &Node<'_>, problems: &mut Problems) -> Leave {
    let mut leave = Leave::default();
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("error_rate") {
        // More than all can never fail.
        leave.error_rate_per_mille =
            read_rate(&node, 9_990, problems).unwrap_or(leave.error_rate_per_mille);
    }
    if let Some(node) = fields.take("min_requests") {
        leave.min_requests = node.count(problems).unwrap_or(leave.min_requests);
    }
    if let Some(node) = fields.take("window") {
        let words =
            [("10s", Window::TenSeconds), ("1m", Window::Minute), ("5m", Window::FiveMinutes)];
        leave.window = node.word(&words, problems).unwrap_or(leave.window);
    }
    fields.finish(problems);
    leave
}

fn read_sticky(node: &Node<'_>, problems: &mut Problems) -> Option<Sticky> {
    let text = node.text(problems)?;
    match text.split_once(':') {
        None if text == "user" => Some(Sticky::User),
        None if text == "tenant" => Some(Sticky::Tenant),
        Some(("header", name)) => {
            check_header(name, &node.path, problems);
            Some(Sticky::Header(name.to_owned()))
        }
        Some(("metadata", name)) if !name.is_empty() => Some(Sticky::Metadata(name.to_owned())),
        _ => {
            problems.say(
                &node.path,
                format_args!("\"{text}\" is not one of user, tenant, header:NAME, metadata:NAME"),
            );
            None
        }
    }
}
