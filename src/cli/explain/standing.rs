//! How candidates stand, by `GET /waypost/status`. See [`crate::telemetry::status`] for its fields.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::cli::BadUsage;
use crate::config::reader::show;
use crate::config::{Endpoint, Gateway};
use crate::health::fleet::worse;
use crate::health::{Counts, Gate, Percentiles, Slot, Standing};
use crate::routing::Candidate;
use crate::store::Millis;

/// The version of the status that is understood.
const VERSION: u64 = 1;

/// What the status said.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    v: u64,
    /// When it was true.
    pub at: Millis,
    providers: Vec<Provider>,
    left_out: LeftOut,
}

#[derive(Debug, Deserialize)]
struct LeftOut {
    endpoints: u64,
}

#[derive(Debug, Deserialize)]
struct Provider {
    endpoints: Vec<At>,
}

#[derive(Debug, Deserialize)]
struct At {
    cluster: String,
    breaker: Breaker,
    in_flight: u32,
    max_concurrency: Option<u32>,
    overflowing: bool,
    models: Vec<Model>,
}

#[derive(Debug, Deserialize)]
struct Model {
    name: String,
    breaker: Breaker,
    last: BTreeMap<String, Last>,
}

#[derive(Debug, Deserialize)]
struct Breaker {
    state: State,
    until: Option<Millis>,
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Debug, Deserialize)]
struct Last {
    requests: u32,
    failures: u32,
    first_token: Option<Times>,
    total: Option<Times>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Times {
    samples: u32,
    p50: u32,
    p95: u32,
    p99: u32,
}

impl Status {
    /// Reads what `GET /waypost/status` said.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, BadUsage> {
        let told = |why: String| {
            BadUsage(format!(
                "--status: {why}; save what GET /waypost/status of the status listener says, as `curl -s http://127.0.0.1:9902/waypost/status > status.json`"
            ))
        };
        let status: Self = serde_json::from_slice(bytes)
            .map_err(|error| told(format!("not a status: {error}")))?;
        if status.v != VERSION {
            return Err(told(format!("its version is {}, not {VERSION}", status.v)));
        }
        Ok(status)
    }

    /// Whether it tells of any cluster of a gateway.
    pub(super) fn knows_any(&self, gateway: &Gateway) -> bool {
        endpoints(gateway).any(|endpoint| self.at(&endpoint.cluster).is_some())
    }

    /// The clusters of a gateway of which it says nothing, although it says all it knows.
    pub(super) fn unknown(&self, gateway: &Gateway) -> Vec<String> {
        if self.left_out.endpoints > 0 {
            return Vec::new();
        }
        let unknown = endpoints(gateway).filter(|endpoint| self.at(&endpoint.cluster).is_none());
        unknown.map(|endpoint| endpoint.cluster.clone()).collect()
    }

    /// How a place in the fleet of `gateway` stands. One of which nothing is said stands well.
    pub(super) fn standing(&self, gateway: &Gateway, slot: Slot) -> Standing {
        self.find(gateway, slot).map(|(at, model)| self.of(at, model)).unwrap_or_default()
    }

    /// The state of the worse of two breakers, with what opened it.
    pub(super) fn breaker(&self, gateway: &Gateway, candidate: Candidate) -> String {
        let slot = candidate.slot(gateway);
        let Some((at, model)) = slot.and_then(|slot| self.find(gateway, slot)) else {
            return "not told".to_owned();
        };
        let (own, all) = (self.gate(&model.breaker), self.gate(&at.breaker));
        let worst = if worse(own, all) == own { &model.breaker } else { &at.breaker };
        let after = worst.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        match worse(own, all) {
            Gate::Closed => "closed".to_owned(),
            Gate::Open(until) => {
                let left = Duration::from_millis(until.saturating_sub(self.at));
                format!("open for {}{after}", show(left))
            }
            Gate::Trial | Gate::HalfOpen => format!("half-open{after}"),
        }
    }

    fn at(&self, cluster: &str) -> Option<&At> {
        self.providers
            .iter()
            .flat_map(|provider| &provider.endpoints)
            .find(|at| at.cluster == cluster)
    }

    fn find(&self, gateway: &Gateway, slot: Slot) -> Option<(&At, &Model)> {
        let (provider, endpoint) = gateway.providers.iter().find_map(|provider| {
            let same = |endpoint: &&Endpoint| endpoint.slot.endpoint == slot.endpoint;
            Some((provider, provider.endpoints.iter().find(same)?))
        })?;
        let place = slot.target.checked_sub(endpoint.slot.target)?;
        let name = &provider.models.get(usize::from(place))?.name;
        let at = self.at(&endpoint.cluster)?;
        Some((at, at.models.iter().find(|model| model.name == *name)?))
    }

    fn of(&self, at: &At, model: &Model) -> Standing {
        let last = |window: &str| model.last.get(window);
        let times = |of: fn(&Last) -> Option<Times>| {
            last("5m").and_then(of).map_or_else(Percentiles::default, |times| Percentiles {
                samples: times.samples,
                p50: times.p50,
                p95: times.p95,
                p99: times.p99,
            })
        };
        Standing {
            gate: worse(self.gate(&at.breaker), self.gate(&model.breaker)),
            saturated: at.overflowing
                || at.max_concurrency.is_some_and(|most| at.in_flight >= most),
            in_flight: at.in_flight,
            counts: ["10s", "1m", "5m"].map(|window| {
                last(window).map_or_else(Counts::default, |last| Counts {
                    requests: last.requests,
                    failures: last.failures,
                })
            }),
            first_token: times(|last| last.first_token),
            total: times(|last| last.total),
        }
    }

    /// How many are trying a half-open breaker is not told, so one more may.
    fn gate(&self, breaker: &Breaker) -> Gate {
        match (breaker.state, breaker.until) {
            (State::Closed, _) => Gate::Closed,
            (State::Open, Some(until)) if until > self.at => Gate::Open(until),
            (State::Open | State::HalfOpen, _) => Gate::Trial,
        }
    }
}

fn endpoints(gateway: &Gateway) -> impl Iterator<Item = &Endpoint> {
    gateway.providers.iter().flat_map(|provider| &provider.endpoints)
}
