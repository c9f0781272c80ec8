//! Why a rule takes a request, or does not: what was seen, and what was wanted.

use std::borrow::Cow;

use crate::cli::verdict::Verdict;
use crate::config::When;
use crate::config::rule::Operation;
use crate::pattern::Pattern;
use crate::routing::Question;

/// Longest value that is shown, in characters.
const MAX_SHOWN: usize = 80;

/// A request, and what is known of expressions.
pub(super) struct Seen<'s, 'a> {
    pub question: &'s Question<'a>,
    pub cel: &'s dyn Fn(&str) -> Verdict,
}

/// The name of what is not met, what was seen, and what was wanted.
type Unmet<'w, 'v> = (&'w str, Option<Cow<'v, str>>, &'w [Pattern]);

impl Seen<'_, '_> {
    /// Why the condition of that word is not met.
    pub(super) fn unmet(&self, when: &When, word: &str) -> String {
        let question = self.question;
        let of = |what: &str, seen: Option<&str>, all: &[Pattern]| {
            format!("{what}: {}, wanted {}", shown(seen), wanted(all))
        };
        match word {
            "model" => of(word, Some(question.model), &when.models),
            "operation" => {
                let wanted = when.operation.map_or("any", operation);
                format!("operation: {}, wanted {wanted}", operation(question.operation))
            }
            "stream" => format!("stream: {}, wanted {}", question.stream, !question.stream),
            "capabilities" => {
                let needs = question.capabilities.to_string();
                let needs = if needs.is_empty() { "none needed" } else { &needs };
                format!("capabilities: {needs}, wanted {}", when.capabilities)
            }
            "tenant" => of(word, question.tenant(), &when.tenants),
            "team" => of(word, question.caller.and_then(|at| at.team.as_deref()), &when.teams),
            "tier" => of(word, question.caller.and_then(|at| at.tier.as_deref()), &when.tiers),
            "user" => of(word, question.caller.and_then(|at| at.user.as_deref()), &when.users),
            "headers" => self
                .named(&when.headers, &|name| (question.header)(name).map(Cow::from))
                .map_or_else(
                    || word.to_owned(),
                    |(name, seen, all)| of(&format!("headers.{name}"), seen.as_deref(), all),
                ),
            "metadata" => self.named(&when.metadata, question.metadata).map_or_else(
                || word.to_owned(),
                |(name, seen, all)| of(&format!("metadata.{name}"), seen.as_deref(), all),
            ),
            "input_tokens" => {
                format!("input_tokens: about {}, wanted {}", (question.input)().tokens, range(when))
            }
            "cel" => match when.cel.as_ref().map(|cel| (self.cel)(&cel.text)) {
                Some(Verdict::Unknown(what)) => format!("cel: only Envoy can tell ({what})"),
                _ => "cel: false".to_owned(),
            },
            other => other.to_owned(),
        }
    }

    /// All conditions, each of which is met.
    pub(super) fn met(&self, when: &When) -> Vec<String> {
        let question = self.question;
        let mut met = Vec::new();
        let mut one = |what: &str, seen: Option<&str>, all: &[Pattern]| {
            let seen = seen.unwrap_or_default();
            let by = all.iter().find(|pattern| pattern.matches(seen));
            met.push(match by.filter(|pattern| !pattern.is_exact()) {
                Some(pattern) => format!("{what}: {} ({pattern})", shown(Some(seen))),
                None => format!("{what}: {}", shown(Some(seen))),
            });
        };
        if !when.models.is_empty() {
            one("model", Some(question.model), &when.models);
        }
        if !when.tenants.is_empty() {
            one("tenant", question.tenant(), &when.tenants);
        }
        if let Some(caller) = question.caller {
            for (word, name, all) in [
                ("team", &caller.team, &when.teams),
                ("tier", &caller.tier, &when.tiers),
                ("user", &caller.user, &when.users),
            ] {
                if !all.is_empty() {
                    one(word, name.as_deref(), all);
                }
            }
        }
        for (name, all) in &when.headers {
            one(&format!("headers.{name}"), (question.header)(name), all);
        }
        for (name, all) in &when.metadata {
            one(&format!("metadata.{name}"), (question.metadata)(name).as_deref(), all);
        }
        if let Some(wanted) = when.operation {
            met.push(format!("operation: {}", operation(wanted)));
        }
        if let Some(stream) = when.stream {
            met.push(format!("stream: {stream}"));
        }
        if when.capabilities.iter().next().is_some() {
            met.push(format!("capabilities: {}", when.capabilities));
        }
        if when.input_tokens != (None, None) {
            met.push(format!(
                "input_tokens: about {} ({})",
                (question.input)().tokens,
                range(when)
            ));
        }
        if let Some(cel) = &when.cel {
            met.push(match (self.cel)(&cel.text) {
                Verdict::Unknown(what) => format!("cel: if Envoy says so ({what})"),
                Verdict::Holds | Verdict::Not => "cel: true".to_owned(),
            });
        }
        met
    }

    /// The first of the named conditions that is not met.
    fn named<'w, 'v>(
        &self,
        all: &'w [(String, Vec<Pattern>)],
        value: &dyn Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Option<Unmet<'w, 'v>> {
        all.iter().find_map(|(name, patterns)| {
            let seen = value(name);
            let met =
                seen.as_deref().is_some_and(|seen| patterns.iter().any(|one| one.matches(seen)));
            (!met).then_some((&**name, seen, &**patterns))
        })
    }
}

/// The word of an operation.
pub(super) const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Embeddings => "embeddings",
    }
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "absent".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) if text.chars().count() > MAX_SHOWN => {
            text.chars().take(MAX_SHOWN).chain(['…']).collect()
        }
        Some(text) => text.to_owned(),
    }
}

fn wanted(all: &[Pattern]) -> String {
    all.iter().map(Pattern::as_str).collect::<Vec<_>>().join(" or ")
}

fn range(when: &When) -> String {
    match when.input_tokens {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "any".to_owned(),
    }
}
