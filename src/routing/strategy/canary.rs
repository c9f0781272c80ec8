//! By the targets' weights: each decision, or each user, draws a [lot](chance::lot) for every target.
//!
//! The lot of a target depends on nothing but the key and the target's own name, so a new target
//! takes its share from all others and moves nobody between them (weighted rendezvous hashing).
//! Whoever is out leaves the others in the order that they had drawn: weights spread over the rest.

use std::borrow::Cow;

use crate::config::rule::{Sticky, TargetId};
use crate::routing::chance::{self, Draw};
use crate::routing::scene::Scene;

/// What a decision draws from: what it sticks to, or chance where the request does not have that.
pub(in crate::routing) fn seed(sticky: Option<&Sticky>, scene: &Scene<'_, '_>) -> u64 {
    let question = scene.question;
    let key = sticky.and_then(|sticky| match sticky {
        Sticky::User => question.user.map(Cow::Borrowed),
        Sticky::Tenant => question.tenant().map(Cow::Borrowed),
        Sticky::Header(name) => (question.header)(name).map(Cow::Borrowed),
        Sticky::Metadata(name) => (question.metadata)(name),
    });
    match key.filter(|key| !key.is_empty()) {
        Some(key) => chance::hash(&[&key]),
        None => Draw::Canary.from(scene.moment.random),
    }
}

pub(in crate::routing) fn key(target: TargetId, seed: u64, scene: &Scene<'_, '_>) -> u64 {
    let provider = scene.gateway.providers.get(target.provider);
    let name = provider.map_or("", |provider| &provider.name);
    let model = scene.model(target).map_or("", |model| &model.name);
    chance::lot(chance::mix(seed ^ chance::hash(&[name, "/", model])), target.weight)
}
