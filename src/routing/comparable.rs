//! Who may give vectors in place of whom.
//!
//! Vectors of different models, or of different lengths, lie in different spaces: their distances
//! mean nothing, and nobody would notice. So a failover goes to the same model only, under whichever
//! name another provider serves it.

use super::decision::{BY_MODEL, Plan};
use super::{Resolved, Skipped, Why};
use crate::config::Gateway;
use crate::openai::Error;
use crate::providers::catalogue::Capability;

/// Leaves those candidates in a plan whose vectors can be compared with those of the first that
/// makes any, and notes why the others are passed over. `dimensions` is the length asked for.
///
/// # Errors
/// A 400 when it is known of every candidate that it makes no vectors.
pub fn comparable(
    gateway: &Gateway,
    plan: &mut Plan,
    dimensions: Option<u64>,
) -> Result<(), Error> {
    let mut first: Option<Resolved<'_>> = None;
    let mut left = Vec::new();
    let mut refused = None;
    for candidate in &plan.candidates {
        let Some(found) = candidate.resolve(gateway) else { continue };
        let reason = match first {
            _ if !embeds(&found) => Some("it makes no embeddings".to_owned()),
            Some(first) => difference(&first, &found, dimensions),
            None => None,
        };
        match reason {
            Some(reason) => {
                refused = refused.or(Some(&found.model.name));
                plan.skipped.push(Skipped::new(*candidate, Why::Inexpressible, &reason));
            }
            None => {
                first = first.or(Some(found));
                left.push(*candidate);
            }
        }
    }
    match refused {
        Some(model) if left.is_empty() => {
            let message = match &*plan.rule {
                BY_MODEL => format!("The model '{model}' makes no embeddings."),
                rule => format!(
                    "The rule '{rule}' takes this request, and '{model}' and its other targets make no embeddings; put a rule for embedding models above it."
                ),
            };
            Err(Error::invalid("model", message).with_code("unsupported_operation"))
        }
        _ => {
            plan.candidates = left;
            Ok(())
        }
    }
}

fn embeds(found: &Resolved<'_>) -> bool {
    let facts = &found.model.facts;
    !facts.known || facts.capabilities.has(Capability::Embeddings)
}

/// Why the vectors of two candidates cannot be compared; nothing if they can.
fn difference(first: &Resolved<'_>, other: &Resolved<'_>, asked: Option<u64>) -> Option<String> {
    let (one, two) = (first.model.canonical(), other.model.canonical());
    if one != two {
        return Some(format!("vectors of '{two}' cannot be compared with those of '{one}'"));
    }
    match (asked, first.model.facts.vector_size, other.model.facts.vector_size) {
        (None, Some(one), Some(two)) if one != two => {
            Some(format!("its vectors have {two} numbers, those of the first have {one}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::config::rule::Operation;
    use crate::routing::{Candidate, Question, plan};

    fn gateway() -> Gateway {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a1"}, {"cluster": "a2"}],
                    "models": {"gpt-4o": {}, "text-embedding-3-small": {}, "text-embedding-3-large": {}, "own": {}}},
                "b": {"api": "openai", "endpoints": [{"cluster": "b"}],
                    "models": {"text-embedding-3-small": {}, "own": {}, "other": {}}},
            },
            "rules": [
                {"name": "mixed", "when": {"model": "mixed"},
                    "targets": ["a/gpt-4o", "a/text-embedding-3-small", "b/other", "b/text-embedding-3-small"]},
                {"name": "chat", "when": {"model": "chat"}, "targets": ["a/gpt-4o"]},
            ],
        }));
        match config {
            Ok(Config::Gateway(gateway)) => *gateway,
            other => panic!("{other:?}"),
        }
    }

    fn left(model: &str) -> Result<(Vec<String>, Vec<String>), Error> {
        let gateway = gateway();
        let question = Question::new(Operation::Embeddings, model, false, &|_| None);
        let mut plan = plan(&gateway, &question)?;
        comparable(&gateway, &mut plan, None)?;
        let clusters = plan.candidates.iter().map(|candidate: &Candidate| {
            let found = candidate.resolve(&gateway).unwrap();
            format!("{}/{}", found.endpoint.cluster, found.model.name)
        });
        let skipped = plan.skipped.iter().map(|skipped: &Skipped| {
            let found = skipped.candidate.resolve(&gateway).unwrap();
            format!("{}/{}: {}", found.provider.name, found.model.name, skipped.reason)
        });
        Ok((clusters.collect(), skipped.collect()))
    }

    #[test]
    fn the_same_model_of_another_provider_may_take_over() {
        let (left, skipped) = left("text-embedding-3-small").unwrap();
        assert_eq!(
            left,
            ["a1/text-embedding-3-small", "a2/text-embedding-3-small", "b/text-embedding-3-small"]
        );
        assert!(skipped.is_empty());
        assert_eq!(super::tests::left("own").unwrap().0, ["a1/own", "a2/own", "b/own"]);
    }

    #[test]
    fn another_model_is_passed_over_with_the_reason() {
        let (left, skipped) = left("mixed").unwrap();
        assert_eq!(
            left,
            ["a1/text-embedding-3-small", "a2/text-embedding-3-small", "b/text-embedding-3-small"]
        );
        assert_eq!(
            skipped,
            [
                "a/gpt-4o: it makes no embeddings",
                "a/gpt-4o: it makes no embeddings",
                "b/other: vectors of 'other' cannot be compared with those of 'text-embedding-3-small'",
            ]
        );
    }

    #[test]
    fn a_model_that_only_talks_is_the_clients_mistake() {
        for (model, message) in [
            ("gpt-4o", "The model 'gpt-4o' makes no embeddings."),
            (
                "chat",
                "The rule 'chat' takes this request, and 'gpt-4o' and its other targets make no embeddings; put a rule for embedding models above it.",
            ),
        ] {
            let error = left(model).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some("model")));
            assert_eq!(error.message, message);
        }
    }
}
