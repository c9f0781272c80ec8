//! An entry of `rules`: which requests, and who may answer them.
//!
//! | file | what it is |
//! |---|---|
//! | `when` | which requests |
//! | `require` | what whoever answers must be or have |
//! | `possible` | requirements that nobody could ever meet |
//! | `choose` | how the targets are ordered |
//! | `target` | who may answer |
//! | `mirror` | a copy of some requests to another target |
//! | `timeouts` | how long to wait |

mod choose;
mod mirror;
mod possible;
mod require;
mod target;
mod timeouts;
mod when;

use super::provider::Provider;
use super::reader::{Node, Problems, unknown};
use crate::tenancy::Tenancy;

pub use choose::{Choose, Leave, Sticky};
pub use mirror::Mirror;
pub use require::{MaxPrice, Require};
pub use target::TargetId;
pub use timeouts::{Timeouts, read_timeouts};
pub use when::{Expression, MAX_EXPRESSION_BYTES, Operation, When};

/// Most candidates of a rule: each endpoint of each target is one.
pub const MAX_CANDIDATES: usize = 32;

/// What stands in the place of a rule's name where no rule takes a request.
pub const NO_RULE: &str = "model";

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

/// What rules refer to.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// All of them, without a problem.
    pub providers: &'a [Provider],
    /// Those that hold without others.
    pub timeouts: Timeouts,
    /// Who may ask.
    pub tenancy: &'a Tenancy,
    /// Whether a client may ask for a rule by its name: then none is out of reach.
    pub by_name: bool,
    /// Whether requests can be sent to this gateway itself.
    pub loopback: bool,
}

/// Reads `rules`.
pub fn read(node: &Node<'_>, around: Around<'_>, problems: &mut Problems) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut doubtful = Vec::new();
    for node in node.list(problems) {
        let before = problems.count();
        let Some(rule) = read_rule(&node, around, problems) else { continue };
        let understood = problems.count() == before;
        if rules.iter().any(|earlier| earlier.name == rule.name) {
            problems.say(&node.path, format_args!("a rule named \"{}\" stands above", rule.name));
        } else if let Some(earlier) = rules.iter().find(|earlier| {
            understood
                && !around.by_name
                && !doubtful.contains(&earlier.name)
                && earlier.when.covers(&rule.when)
        }) {
            problems.say(
                &node.path,
                format_args!(
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
    let expressions = rules.iter_mut().filter_map(|rule| rule.when.cel.as_mut());
    for (at, expression) in expressions.enumerate() {
        expression.at = at;
    }
    rules
}

/// Reports rules that a tenant may use and that there are not.
pub(super) fn check_allowed(tenancy: &Tenancy, rules: &[Rule], problems: &mut Problems) {
    let mut known: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
    known.push(NO_RULE);
    for tenant in &tenancy.tenants {
        for pattern in tenant.may.rules.iter().filter(|pattern| pattern.is_exact()) {
            if !known.contains(&pattern.as_str()) {
                let path = format!("tenants.{}.may.rules", tenant.name);
                problems.add(path, unknown(pattern.as_str(), &known));
            }
        }
    }
}

fn read_rule(node: &Node<'_>, around: Around<'_>, problems: &mut Problems) -> Option<Rule> {
    let mut fields = node.fields(problems);
    let name = fields.need("name", problems).and_then(|node| {
        let name = node.text(problems)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
        if name.len() > 64 || !name.bytes().all(plain) {
            problems.add(&node.path, "a rule's name is 1 to 64 letters, digits, '.', '_' and '-'");
        } else if name == NO_RULE {
            problems.add(
                &node.path,
                "is what requests without a rule are counted under; choose another name",
            );
        }
        Some(name)
    });
    let before = problems.count();
    let when = fields
        .take("when")
        .map_or_else(When::default, |node| when::read(&node, around.tenancy, problems));
    let sensible = problems.count() == before;
    let require = fields.take("require");
    let wanted =
        require.as_ref().map_or_else(Require::default, |node| require::read(node, problems));
    let options = choose::Options::take(&mut fields);
    let targets = fields.need("targets", problems);
    let mirror = fields.take("mirror");
    let timeouts = match fields.take("timeouts") {
        Some(node) => read_timeouts(&node, around.timeouts, problems),
        None => around.timeouts,
    };
    fields.finish(problems);
    let targets = target::read(&targets?, around.providers, problems);
    let choose = choose::read(&options, &targets, around, problems);
    if sensible {
        possible::check_operation(&when, &targets, around.providers, problems);
    }
    if let Some(node) = &require {
        possible::check(&node.path, &wanted, &targets, around.providers, problems);
    }
    let mirror = mirror.and_then(|node| mirror::read(&node, &wanted, &targets, around, problems));
    Some(Rule {
        name: name?.to_owned(),
        when,
        choose,
        require: wanted,
        targets: targets.list,
        mirror,
        timeouts,
    })
}
