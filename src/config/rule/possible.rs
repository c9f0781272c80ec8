//! Requirements that nobody could ever meet, and operations that nobody is for.

use super::require::MaxPrice;
use super::target::Targets;
use super::{Operation, Require, TargetId, When};
use crate::config::model::Model;
use crate::config::provider::Provider;
use crate::config::reader::{Problems, nearest, sorted};
use crate::providers::catalogue::{Capabilities, Mode, Rates};

/// Reports an operation that no target is known for.
pub(super) fn check_operation(
    when: &When,
    targets: &Targets<'_>,
    providers: &[Provider],
    problems: &mut Problems,
) {
    let (mode, other) = match when.only_operation() {
        Some(Operation::Chat) => (Mode::Embedding, "embeddings, and the rule is for chats"),
        Some(Operation::Embeddings) => (Mode::Chat, "chats, and the rule is for embeddings"),
        None => return,
    };
    if targets.whole && serve_only(mode, &targets.list, providers) {
        problems.say(
            &targets.path,
            format_args!("no target could ever answer: each is known to be for {other}"),
        );
    }
}

/// Whether each of these is known to be a model of this kind.
pub(super) fn serve_only(mode: Mode, targets: &[TargetId], providers: &[Provider]) -> bool {
    let mut models = targets.iter().filter_map(|target| target.of(providers));
    models.all(|(_, model)| model.facts.known && model.facts.mode == mode)
}

/// Reports each requirement that no target meets, or all of them when no target meets them together.
pub(super) fn check(
    path: &str,
    require: &Require,
    targets: &Targets<'_>,
    providers: &[Provider],
    problems: &mut Problems,
) {
    if !targets.whole {
        return;
    }
    let before = problems.count();
    let of: Vec<(&Provider, &Model)> =
        targets.list.iter().filter_map(|target| target.of(providers)).collect();
    check_region(path, require, &of, problems);
    let mut nobody = |name: &str, lack: &dyn Fn(&Model) -> Option<String>| {
        let lacks: Option<Vec<String>> = of
            .iter()
            .map(|(provider, model)| {
                Some(format!("{}/{} {}", provider.name, model.name, lack(model)?))
            })
            .collect();
        if let Some(lacks) = lacks {
            problems.say(
                &format!("{path}.{name}"),
                format_args!(
                    "no target could ever answer: {}; ask for less, or add a target",
                    lacks.join(", ")
                ),
            );
        }
    };
    nobody("capabilities", &|model| lacks_capability(require.capabilities, model));
    nobody("max_price", &|model| too_dear(require.max_price?, model));
    nobody("min_quality", &|model| too_bad(require.min_quality?, model));
    let meets = |(provider, model): &(&Provider, &Model)| {
        lacks_capability(require.capabilities, model).is_none()
            && require.max_price.is_none_or(|most| too_dear(most, model).is_none())
            && require.min_quality.is_none_or(|least| too_bad(least, model).is_none())
            && provider.endpoints.iter().any(|at| require.allows(at.region.as_deref()))
    };
    if problems.count() == before && !of.iter().any(meets) {
        problems.add(
            path,
            "no target could ever answer: each meets some of these, and none meets all of them",
        );
    }
}

fn check_region(
    path: &str,
    require: &Require,
    targets: &[(&Provider, &Model)],
    problems: &mut Problems,
) {
    let endpoints = || targets.iter().flat_map(|(provider, _)| &provider.endpoints);
    if endpoints().any(|endpoint| require.allows(endpoint.region.as_deref())) {
        return;
    }
    let mut known = sorted(endpoints().filter_map(|at| at.region.as_deref()).collect());
    known.dedup();
    let hint = require.region.first().map(|region| nearest(region, &known)).unwrap_or_default();
    let there = match known.as_slice() {
        [] => "none of them says its region".to_owned(),
        known => format!("they are in: {}", known.join(", ")),
    };
    problems.say(
        &format!("{path}.region"),
        format_args!(
            "no endpoint of any target is in \"{}\", so nobody could ever answer{hint} ({there})",
            require.region.join("\" or \"")
        ),
    );
}

fn lacks_capability(wanted: Capabilities, model: &Model) -> Option<String> {
    let facts = &model.facts;
    let missing = wanted.iter().find(|one| !facts.known || !facts.capabilities.has(*one))?;
    Some(match facts.known {
        true => format!("lacks {missing}"),
        false => format!("is not known to have {missing} (give it capabilities)"),
    })
}

fn too_dear(most: MaxPrice, model: &Model) -> Option<String> {
    let Some(price) = &model.facts.price else { return Some("has no price".to_owned()) };
    let base = &price.base;
    let over = |most: Option<_>, rate| most.is_some_and(|most| rate > most);
    let dear = |rates: &Rates| over(most.input, rates.input) || over(most.output, rates.output);
    // One of the tiers may be cheaper.
    (dear(base) && price.tiers.iter().all(|tier| dear(&tier.rates))).then(|| {
        format!(
            "costs {} USD per million tokens of input and {} of output",
            base.input.usd_per_mtok(),
            base.output.usd_per_mtok()
        )
    })
}

fn too_bad(least: u16, model: &Model) -> Option<String> {
    let scores = model.quality.tasks.iter().map(|(_, score)| *score);
    let best = scores.chain(model.quality.general).max();
    match best {
        None => Some("has no quality".to_owned()),
        Some(best) if best < least => Some(format!("has {}", f64::from(best) / 1000.0)),
        Some(_) => None,
    }
}
