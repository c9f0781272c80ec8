//! `health`: when breakers open and close, and who is asked without a request.

use std::time::Duration;

use super::model::Model;
use super::reader::{Node, Problems, nearest, show};
use crate::health::{Breaker, Settings};
use crate::providers::catalogue::Mode;
use crate::providers::registry::Api;

/// How long between two probes where nothing is said.
const EVERY: Duration = Duration::from_secs(30);

/// Requests of our own, to know how a provider does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How long between two of them while it is up.
    pub every: Duration,
    /// What is asked.
    pub ask: ProbeAsk,
}

/// What a probe asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAsk {
    /// The provider's list of models; costs nothing.
    Models,
    /// One token of this model, by its place in `models`.
    Chat(usize),
}

/// Reads `health` at the top.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Settings {
    let mut settings = Settings::default();
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("breaker") {
        settings.breaker = read_breaker(&node, settings.breaker, problems);
    }
    fields.finish(problems);
    settings
}

/// Reads `breaker`, on top of what holds without it.
pub(super) fn read_breaker(
    node: &Node<'_>,
    mut breaker: Breaker,
    problems: &mut Problems,
) -> Breaker {
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("error_rate") {
        let rate = read_rate(&node, 10_000, problems);
        breaker.error_rate_per_mille = rate.unwrap_or(breaker.error_rate_per_mille);
    }
    for (name, place) in [
        ("min_requests", &mut breaker.min_requests),
        ("consecutive_failures", &mut breaker.consecutive_failures),
        ("close_after", &mut breaker.close_after),
    ] {
        if let Some(node) = fields.take(name) {
            *place = node.count(problems).unwrap_or(*place);
        }
    }
    let (low, high) = (Duration::from_millis(100), Duration::from_secs(3600));
    for (name, place) in [("open_for", &mut breaker.open_for), ("max_open", &mut breaker.max_open)]
    {
        if let Some(node) = fields.take(name) {
            *place = node.duration(low, high, problems).unwrap_or(*place);
        }
    }
    fields.finish(problems);
    if breaker.open_for > breaker.max_open {
        problems.say(
            &node.path,
            format_args!(
                "open_for ({}) is longer than max_open ({}); raise max_open, or shorten open_for",
                show(breaker.open_for),
                show(breaker.max_open)
            ),
        );
    }
    breaker
}

/// A rate of errors as a share, at most `high` of ten thousand; in parts of a thousand.
pub(super) fn read_rate(node: &Node<'_>, high: u16, problems: &mut Problems) -> Option<u32> {
    node.share(10, high, 10, problems).map(|share| u32::from(share / 10))
}

/// Reads `probe` of a provider with these models. `lists` when it has a list of them to ask for.
pub(super) fn read_probe(
    node: &Node<'_>,
    api: &Api,
    models: &[Model],
    lists: bool,
    problems: &mut Problems,
) -> Option<Probe> {
    let mut fields = node.fields(problems);
    let (low, high) = (Duration::from_secs(1), Duration::from_secs(3600));
    let every = match fields.take("every") {
        Some(node) => node.duration(low, high, problems),
        None => Some(EVERY),
    };
    let ask = fields.take("ask");
    fields.finish(problems);
    let path = ask.as_ref().map_or(&node.path, |node| &node.path);
    let word = match &ask {
        Some(node) => node.text(problems)?,
        None => "models",
    };
    let chats = |model: &&Model| model.facts.mode == Mode::Chat;
    let known: Vec<&str> = models.iter().filter(chats).map(|model| &*model.name).collect();
    let ask = match models.iter().position(|model| model.name == word) {
        Some(at) if known.contains(&word) => ProbeAsk::Chat(at),
        Some(_) => {
            problems.say(path, format_args!("\"{word}\" is for embeddings; a probe asks for one token of a chat (models for that: {})", known.join(", ")));
            return None;
        }
        None if word == "models" && !lists => {
            problems.say(
                path,
                format_args!(
                    "\"{}\" has no list of models to ask for; write ask: and one of: {}",
                    api.name,
                    known.join(", ")
                ),
            );
            return None;
        }
        None if word == "models" => ProbeAsk::Models,
        None => {
            let hint = nearest(word, &known);
            problems.say(
                path,
                format_args!(
                    "there is no model \"{word}\"{hint} (write \"models\", or one of: {})",
                    known.join(", ")
                ),
            );
            return None;
        }
    };
    Some(Probe { every: every?, ask })
}
