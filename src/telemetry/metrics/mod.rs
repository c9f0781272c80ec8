//! Names of metrics.
//!
//! | file | what it is |
//! |---|---|
//! | [`accounts`] | metrics of limits and budgets |
//! | [`series`] | metrics of requests and attempts, as a table |
//! | [`words`] | what may stand in their labels |
//! | [`name`] | a name with its labels |
//! | [`meter`] | their series: each is named once, and there is a bounded number of them |
//!
//! Envoy's module interface knows names and no labels. So labels stand in the name, and
//! `stats_config.stats_tags` of envoy.yaml takes them out again:
//! `waypost_breaker_state;provider=openai;cluster=eu;model=gpt-4o`. Envoy never forgets a name, so
//! every label is a word of the configuration or of this program, never one of a request.
//!
//! | name | kind | labels | of |
//! |---|---|---|---|
//! | `waypost_breaker_state` | gauge | provider, cluster, model | the worse of target and endpoint: 0 closed, 1 half-open, 2 open |
//! | `waypost_breaker_transitions` | counter | provider, cluster, model, to | breakers that changed; `model` is missing for that of an endpoint |
//! | `waypost_failovers` | counter | from, to, reason | attempts that failed and had another after them; from and to are clusters |
//! | `waypost_skipped` | counter | provider, cluster, reason | candidates that were not asked, or not in their turn |
//! | `waypost_mirrors` | counter | provider, cluster, outcome | copies of requests: `sent`; `dropped` as there was no room; `failed` as no whole answer came, of the sent ones too |
//! | `waypost_in_flight` | gauge | provider, cluster | attempts in flight over all workers |

pub mod accounts;
pub mod meter;
pub mod name;
pub mod prices;
pub mod series;
pub mod words;

use name::Name;

pub use meter::{Meter, Sink};
pub use name::MAX_LABEL_BYTES;
pub use series::{Kind, Metric};

use crate::health::{Gate, Level, Slot, Transition, Watched};
use crate::openai::Class;
use crate::routing::{Resolved, Why};

/// The state of a breaker as a number.
#[must_use]
pub const fn state(gate: Gate) -> u64 {
    match gate {
        Gate::Closed => 0,
        Gate::Trial | Gate::HalfOpen => 1,
        Gate::Open(_) => 2,
    }
}

/// The gauge of a breaker.
#[must_use]
pub fn breaker_state(endpoint: &Watched, model: &str) -> String {
    Name::new("breaker_state")
        .with("provider", &endpoint.provider)
        .with("cluster", &endpoint.cluster)
        .with("model", model)
        .0
}

/// The counter of a transition. `endpoint` is the one it tells of, `first` the place of its first
/// target.
#[must_use]
pub fn transition(told: &Transition, endpoint: &Watched, first: Slot) -> String {
    let name = Name::new("breaker_transitions")
        .with("provider", &endpoint.provider)
        .with("cluster", &endpoint.cluster);
    let place = usize::from(told.slot.target.saturating_sub(first.target));
    let name = match (told.level, endpoint.models.get(place)) {
        (Level::Target, Some(model)) => name.with("model", model),
        _ => name,
    };
    name.with("to", told.to.word()).0
}

/// The counter of failovers from one cluster to another.
#[must_use]
pub fn failover(from: &Resolved<'_>, to: &Resolved<'_>, reason: Class) -> String {
    Name::new("failovers")
        .with("from", &from.endpoint.cluster)
        .with("to", &to.endpoint.cluster)
        .with("reason", reason.word())
        .0
}

/// The counter of candidates that were not asked, or not in their turn.
#[must_use]
pub fn skipped(found: &Resolved<'_>, why: Why) -> String {
    Name::new("skipped")
        .with("provider", &found.provider.name)
        .with("cluster", &found.endpoint.cluster)
        .with("reason", why.word())
        .0
}

/// The counter of copies of requests.
#[must_use]
pub fn mirror(found: &Resolved<'_>, outcome: &str) -> String {
    Name::new("mirrors")
        .with("provider", &found.provider.name)
        .with("cluster", &found.endpoint.cluster)
        .with("outcome", outcome)
        .0
}

/// The gauge of attempts in flight.
#[must_use]
pub fn in_flight(endpoint: &Watched) -> String {
    Name::new("in_flight").with("provider", &endpoint.provider).with("cluster", &endpoint.cluster).0
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::health::{Breaker, State};

    fn watched() -> Watched {
        Watched {
            provider: "a.b".to_owned(),
            cluster: "eu;x=1".to_owned(),
            models: vec!["m".repeat(99), "é/1".to_owned()],
            breaker: Breaker::default(),
            max_concurrency: None,
        }
    }

    #[test]
    fn what_would_end_a_label_is_replaced_and_a_long_one_is_cut() {
        let endpoint = watched();
        assert_eq!(
            breaker_state(&endpoint, "é/1"),
            "waypost_breaker_state;provider=a.b;cluster=eu_x_1;model=__/1"
        );
        let long = breaker_state(&endpoint, &endpoint.models[0]);
        assert!(long.ends_with(&["=", &"m".repeat(MAX_LABEL_BYTES)].concat()));
        let arn = |id| {
            ["arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/", id].concat()
        };
        let [one, other] = ["a1", "b2"].map(|id| breaker_state(&endpoint, &arn(id)));
        assert_ne!(one, other);
    }

    #[test]
    fn a_transition_of_a_target_names_its_model() {
        let first = Slot { endpoint: 3, target: 10 };
        let told = |level| Transition {
            slot: Slot { target: 11, ..first },
            level,
            from: State::Closed,
            to: State::Open,
            reason: None,
            until: None,
        };
        assert_eq!(
            transition(&told(Level::Target), &watched(), first),
            "waypost_breaker_transitions;provider=a.b;cluster=eu_x_1;model=__/1;to=open"
        );
        assert_eq!(
            transition(&told(Level::Endpoint), &watched(), first),
            "waypost_breaker_transitions;provider=a.b;cluster=eu_x_1;to=open"
        );
    }
}
