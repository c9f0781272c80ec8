//! Asking providers unasked, to know how they do: without it nobody knows that one is back until a
//! client's request tries it.
//!
//! On the tick of every worker, and one of them asks: [`health::probe`](crate::health::probe) says
//! when. A probe is a request like any other to the breaker, of whose outcome it is told: while the
//! breaker is open it does not close it, and when its time has come a probe may be the trial.

use std::rc::Rc;
use std::time::Duration;

use super::call::{self, Ask, Call, Purpose};
use super::service::Service;
use super::{callout, host, mirror};
use crate::config::health::{Probe, ProbeAsk};
use crate::config::rule::{Operation, Timeouts};
use crate::health::probe as schedule;
use crate::openai::json;
use crate::routing::Candidate;

/// Longest that a probe may take. One that is due more often has until the next.
pub const MAX_PROBE_TIME: Duration = Duration::from_secs(10);

/// Most ticks between two looks at whether calls arrive.
const MAX_HELLO_TICKS: u32 = 16;

/// Sends probes of a worker.
#[derive(Debug, Default)]
pub struct Prober {
    /// Ticks until it is looked again at whether calls arrive, and the number from which they were
    /// counted.
    left: u32,
    wait: u32,
}

impl Prober {
    /// Sends what is due.
    pub fn tick(&mut self, service: &Rc<Service>) {
        give_up(host::monotonic());
        let gateway = &service.gateway;
        let Some(cluster) = &gateway.loopback else { return };
        if gateway.providers.iter().all(|provider| provider.probe.is_none()) {
            return;
        }
        // What does not arrive must not take a probe from a worker whose calls do: Envoy's main
        // thread ticks too, and has no listeners.
        if !call::under_way(|all| all.reached()) {
            self.hello(service, cluster);
            return;
        }
        self.wait = 0;
        for (place, provider) in gateway.providers.iter().enumerate() {
            let Some(probe) = &provider.probe else { continue };
            for (endpoint, at) in provider.endpoints.iter().enumerate() {
                let now = host::unix_millis();
                if !call::under_way(|all| all.has_room())
                    || !schedule::due(
                        service.store(),
                        &at.cluster,
                        now,
                        probe.every,
                        host::random(),
                    )
                {
                    continue;
                }
                let candidate = Candidate { provider: place, model: 0, endpoint };
                send(service, cluster, candidate, probe);
            }
        }
    }

    fn hello(&mut self, service: &Rc<Service>, cluster: &str) {
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        self.wait = (self.wait * 2).clamp(1, MAX_HELLO_TICKS);
        self.left = self.wait;
        let call = Call {
            service: Rc::clone(service),
            candidate: Candidate { provider: 0, model: 0, endpoint: 0 },
            ask: Ask::Models,
            purpose: Purpose::Hello,
            rule: String::new(),
            timeouts: within(Duration::from_secs(1)),
        };
        callout::send(cluster, call, "GET", "/", b"");
    }
}

/// Ends calls of which nothing came in their time.
fn give_up(now: u64) {
    for number in call::under_way(|all| all.lost(now)) {
        if let Some(call) = call::under_way(|all| all.end(number))
            && matches!(call.purpose, Purpose::Mirror(_))
        {
            mirror::failed(&call);
        }
    }
}

const fn within(limit: Duration) -> Timeouts {
    let total = limit.saturating_add(mirror::AFTER);
    Timeouts { first_token: limit, answer: limit, idle: limit, total }
}

fn send(service: &Rc<Service>, cluster: &str, candidate: Candidate, probe: &Probe) {
    let mut call = Call {
        service: Rc::clone(service),
        candidate,
        ask: Ask::Models,
        purpose: Purpose::Probe(probe.every),
        rule: String::new(),
        timeouts: within(probe.every.min(MAX_PROBE_TIME)),
    };
    match probe.ask {
        ProbeAsk::Models => {
            callout::send(cluster, call, "GET", "/v1/models", b"");
        }
        ProbeAsk::Chat(model) => {
            let provider = service.gateway.providers.get(candidate.provider);
            let Some(model_at) = provider.and_then(|provider| provider.models.get(model)) else {
                return;
            };
            call.candidate.model = model;
            call.ask = Ask::Body(Operation::Chat);
            let mut body = b"{\"model\":".to_vec();
            json::write_str(&mut body, &model_at.name);
            body.extend_from_slice(
                b",\"messages\":[{\"role\":\"user\",\"content\":\"ping\"}],\"max_tokens\":1}",
            );
            callout::send(cluster, call, "POST", "/v1/chat/completions", &body);
        }
    }
}

/// A probe has come to its end; `up` is nothing when the provider was not asked.
pub fn told(call: &Call, every: Duration, up: Option<bool>) {
    let at = call.candidate.resolve(&call.service.gateway);
    let (Some(at), Some(up)) = (at, up) else { return };
    let now = host::unix_millis();
    let store = call.service.store();
    schedule::told(store, &at.endpoint.cluster, up, now, every, host::random());
}
