//! Who does how, and which rule went where, as JSON.
//!
//! ```text
//! v           1: the version of what is written here; a change that breaks a reader makes it 2
//! at          when it was true, in milliseconds since 1970
//! rules       in the order of the configuration; behind them "model", once a request named a model that no rule took
//!   name                  as the configuration says
//!   choose                static failover cost quality latency canary, or null
//!   targets               provider, model, weight
//!   attempts              of the last 5 minutes
//!   went                  where they went: provider, cluster, model, attempts, per_mille (of the
//!                         rule's attempts); most first, at most MAX_WENT
//! providers   in the order of their names
//!   name, api
//!   endpoints             in the order of the configuration
//!     cluster, region
//!     breaker             state: closed open half_open
//!                         until: when an open one lets the first request through, else null
//!                         opened: how often it opened without having closed
//!                         reason: the class of the failure that opened it, or null
//!     in_flight           attempts of all workers now
//!     max_concurrency     most of them, or null
//!     overflowing         whether Envoy's own pool said within a second that it is full
//!     last                "10s", "1m" and "5m": requests, failures, per_mille
//!     models              in the order of the configuration
//!       name, breaker
//!       last              as above, and first_token and total: times of streams to their first
//!                         content and of other answers to their end, in milliseconds: samples,
//!                         p50, p95, p99; null without a sample
//!       errors            how many of each class in the last 5 minutes; those that the request
//!                         itself was to blame for too, which count as failures nowhere
//!       p95_history       of each 30 seconds of the last 5 minutes, oldest first: in
//!                         milliseconds, or null
//! prices      number: that of the document of newer prices that holds
//!             checked: when it was last found to hold, in milliseconds since 1970
//!             age_s: seconds since then; null before the first document, and where none is taken
//! left_out    how many rules, endpoints and models are not listed, as there are too many. Those
//!             that nobody asks and that are well go first.
//! ```
//!
//! Names come from the configuration. Nothing of a request, no header and no credential is ever in
//! it.

use std::io::Write as _;

use crate::config::rule::TargetId;
use crate::config::{Choose, Endpoint, Gateway, Provider};
use crate::health::report::{BreakerReport, EndpointReport, TargetReport};
use crate::health::{Counts, Percentiles, Slot, State, Window};
use crate::openai::json::{separate, write_str};
use crate::store::Millis;

/// Most rules listed.
pub const MAX_RULES: usize = 128;

/// Most endpoints listed.
pub const MAX_ENDPOINTS: usize = 256;

/// Most models listed, counted at each endpoint that has them.
pub const MAX_MODELS: usize = 512;

/// Most that are listed of those whom a rule went to.
pub const MAX_WENT: usize = 32;

/// A rule and where it went in the last five minutes: an entry of [`crate::health::Traffic::report`].
pub type Went = (String, Vec<(Slot, u32)>);

/// Which document of newer prices holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Counts up from 1 with each other document.
    pub number: u64,
    /// When it was last found to hold.
    pub checked: Millis,
}

/// The status of `gateway`. `fleet` is in the order of [`Slot::endpoint`].
#[must_use]
pub fn write(
    gateway: &Gateway,
    fleet: &[EndpointReport],
    traffic: &[Went],
    prices: Option<Prices>,
    now: Millis,
) -> Vec<u8> {
    let mut json = Json(Vec::with_capacity(4096));
    json.begin("", b'{');
    json.number("v", 1);
    json.number("at", now);
    let rules = write_rules(&mut json, gateway, traffic);
    let (endpoints, models) = write_providers(&mut json, gateway, fleet);
    match prices {
        Some(Prices { number, checked }) => {
            json.begin("prices", b'{');
            json.number("number", number);
            json.number("checked", checked);
            json.number("age_s", now.saturating_sub(checked) / 1000);
            json.end(b'}');
        }
        None => json.null("prices"),
    }
    json.begin("left_out", b'{');
    json.number("rules", rules);
    json.number("endpoints", endpoints);
    json.number("models", models);
    json.end(b'}');
    json.end(b'}');
    json.0
}

/// What an endpoint's slot stands for.
type Place<'a> = (&'a Provider, &'a Endpoint);

/// Returns how many were left out.
fn write_rules(json: &mut Json, gateway: &Gateway, traffic: &[Went]) -> u64 {
    let places: Vec<Place<'_>> = gateway
        .providers
        .iter()
        .flat_map(|provider| provider.endpoints.iter().map(move |endpoint| (provider, endpoint)))
        .collect();
    // What comes after the rules counts what no rule took, and is shown once there is something.
    let shown = |at: usize, went: &[_]| gateway.rules.get(at).is_some() || !went.is_empty();
    let traffic: Vec<_> =
        traffic.iter().enumerate().filter(|(at, (_, went))| shown(*at, went)).collect();
    let mut room = Room::new(MAX_RULES, traffic.iter().map(|(_, (_, went))| went.is_empty()));
    json.begin("rules", b'[');
    for (at, (name, went)) in traffic {
        if !room.take(went.is_empty()) {
            continue;
        }
        let rule = gateway.rules.get(at);
        json.begin("", b'{');
        json.text("name", name);
        match rule {
            Some(rule) => json.text("choose", choose(&rule.choose)),
            None => json.null("choose"),
        }
        json.begin("targets", b'[');
        for target in rule.map_or(&[][..], |rule| &rule.targets) {
            write_target(json, gateway, target);
        }
        json.end(b']');
        write_went(json, &places, went);
        json.end(b'}');
    }
    json.end(b']');
    room.left_out
}

fn write_target(json: &mut Json, gateway: &Gateway, target: &TargetId) {
    let Some(provider) = gateway.providers.get(target.provider) else { return };
    let Some(model) = provider.models.get(target.model) else { return };
    json.begin("", b'{');
    json.text("provider", &provider.name);
    json.text("model", &model.name);
    json.number("weight", target.weight.into());
    json.end(b'}');
}

fn write_went(json: &mut Json, places: &[Place<'_>], went: &[(Slot, u32)]) {
    let all: u64 = went.iter().map(|(_, attempts)| u64::from(*attempts)).sum();
    json.number("attempts", all);
    json.begin("went", b'[');
    // The report gives those with the most first.
    for (slot, attempts) in went.iter().take(MAX_WENT) {
        let Some((provider, endpoint)) = places.get(usize::from(slot.endpoint)) else { continue };
        let model = slot.target.checked_sub(endpoint.slot.target);
        let Some(model) = model.and_then(|at| provider.models.get(usize::from(at))) else {
            continue;
        };
        json.begin("", b'{');
        json.text("provider", &provider.name);
        json.text("cluster", &endpoint.cluster);
        json.text("model", &model.name);
        json.number("attempts", (*attempts).into());
        json.number("per_mille", u64::from(*attempts) * 1000 / all.max(1));
        json.end(b'}');
    }
    json.end(b']');
}

/// Returns how many endpoints and how many models were left out.
fn write_providers(json: &mut Json, gateway: &Gateway, fleet: &[EndpointReport]) -> (u64, u64) {
    let mut endpoints = Room::new(MAX_ENDPOINTS, fleet.iter().map(endpoint_is_quiet));
    let targets = fleet.iter().flat_map(|report| &report.targets);
    let mut models = Room::new(MAX_MODELS, targets.map(target_is_quiet));
    json.begin("providers", b'[');
    for provider in &gateway.providers {
        json.begin("", b'{');
        json.text("name", &provider.name);
        json.text("api", provider.api.name);
        json.begin("endpoints", b'[');
        for endpoint in &provider.endpoints {
            let Some(report) = fleet.get(usize::from(endpoint.slot.endpoint)) else { continue };
            if endpoints.take(endpoint_is_quiet(report)) {
                write_endpoint(json, endpoint, report, &mut models);
            } else {
                models.left_out += report.targets.len() as u64;
            }
        }
        json.end(b']');
        json.end(b'}');
    }
    json.end(b']');
    (endpoints.left_out, models.left_out)
}

fn write_endpoint(json: &mut Json, endpoint: &Endpoint, report: &EndpointReport, room: &mut Room) {
    json.begin("", b'{');
    json.text("cluster", &endpoint.cluster);
    match &endpoint.region {
        Some(region) => json.text("region", region),
        None => json.null("region"),
    }
    write_breaker(json, &report.breaker);
    json.number("in_flight", report.in_flight.into());
    json.number_or_null("max_concurrency", report.max_concurrency.map(u64::from));
    json.word("overflowing", if report.overflowing { "true" } else { "false" });
    json.begin("last", b'{');
    for (window, counts) in Window::ALL.into_iter().zip(report.counts) {
        json.begin(word(window), b'{');
        write_counts(json, counts);
        json.end(b'}');
    }
    json.end(b'}');
    json.begin("models", b'[');
    for target in &report.targets {
        if room.take(target_is_quiet(target)) {
            write_model(json, target);
        }
    }
    json.end(b']');
    json.end(b'}');
}

fn write_model(json: &mut Json, target: &TargetReport) {
    json.begin("", b'{');
    json.text("name", &target.model);
    write_breaker(json, &target.breaker);
    json.begin("last", b'{');
    let times = target.first_token.into_iter().zip(target.total);
    for ((window, counts), (first_token, total)) in
        Window::ALL.into_iter().zip(target.counts).zip(times)
    {
        json.begin(word(window), b'{');
        write_counts(json, counts);
        write_times(json, "first_token", first_token);
        write_times(json, "total", total);
        json.end(b'}');
    }
    json.end(b'}');
    json.begin("errors", b'{');
    for (class, count) in target.classes.iter().filter(|(_, count)| *count > 0) {
        json.number(class.word(), (*count).into());
    }
    json.end(b'}');
    json.begin("p95_history", b'[');
    for times in &target.history {
        json.number_or_null("", (times.samples > 0).then_some(times.p95.into()));
    }
    json.end(b']');
    json.end(b'}');
}

fn write_breaker(json: &mut Json, breaker: &BreakerReport) {
    json.begin("breaker", b'{');
    json.text("state", breaker.state.word());
    json.number_or_null("until", breaker.until);
    json.number("opened", breaker.opened.into());
    match breaker.reason {
        Some(class) => json.text("reason", class.word()),
        None => json.null("reason"),
    }
    json.end(b'}');
}

fn write_counts(json: &mut Json, counts: Counts) {
    json.number("requests", counts.requests.into());
    json.number("failures", counts.failures.into());
    json.number("per_mille", counts.per_mille().into());
}

fn write_times(json: &mut Json, name: &str, times: Percentiles) {
    if times.samples == 0 {
        return json.null(name);
    }
    json.begin(name, b'{');
    json.number("samples", times.samples.into());
    json.number("p50", times.p50.into());
    json.number("p95", times.p95.into());
    json.number("p99", times.p99.into());
    json.end(b'}');
}

const fn word(window: Window) -> &'static str {
    match window {
        Window::TenSeconds => "10s",
        Window::Minute => "1m",
        Window::FiveMinutes => "5m",
    }
}

const fn choose(choose: &Choose) -> &'static str {
    match choose {
        Choose::Static => "static",
        Choose::Failover(_) => "failover",
        Choose::Cost => "cost",
        Choose::Quality => "quality",
        Choose::Latency { .. } => "latency",
        Choose::Canary { .. } => "canary",
    }
}

/// Whether nobody asks it and it is well.
fn endpoint_is_quiet(report: &EndpointReport) -> bool {
    let [.., five_minutes] = report.counts;
    report.breaker.state == State::Closed
        && five_minutes.requests == 0
        && report.in_flight == 0
        && report.targets.iter().all(target_is_quiet)
}

fn target_is_quiet(report: &TargetReport) -> bool {
    let [.., five_minutes] = report.counts;
    report.breaker.state == State::Closed && five_minutes.requests == 0
}

/// How many more are listed. Those that are quiet leave their places to the others.
struct Room {
    quiet: usize,
    others: usize,
    left_out: u64,
}

impl Room {
    fn new(most: usize, are_quiet: impl Iterator<Item = bool>) -> Self {
        let others = are_quiet.filter(|quiet| !quiet).count().min(most);
        Self { quiet: most - others, others, left_out: 0 }
    }

    fn take(&mut self, quiet: bool) -> bool {
        let room = if quiet { &mut self.quiet } else { &mut self.others };
        let fits = *room > 0;
        if fits {
            *room -= 1;
        } else {
            self.left_out += 1;
        }
        fits
    }
}

/// Writes JSON. A member of an object has a name; in a list it is empty.
struct Json(Vec<u8>);

impl Json {
    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            separate(&mut self.0);
        }
        if !name.is_empty() {
            write_str(&mut self.0, name);
            self.0.push(b':');
        }
    }

    fn begin(&mut self, name: &str, bracket: u8) {
        self.name(name);
        self.0.push(bracket);
    }

    fn end(&mut self, bracket: u8) {
        self.0.push(bracket);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        write_str(&mut self.0, text);
    }

    /// A value that is JSON already.
    fn word(&mut self, name: &str, word: &str) {
        self.name(name);
        self.0.extend_from_slice(word.as_bytes());
    }

    fn null(&mut self, name: &str) {
        self.word(name, "null");
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        let _ = write!(self.0, "{number}");
    }

    fn number_or_null(&mut self, name: &str, number: Option<u64>) {
        match number {
            Some(number) => self.number(name, number),
            None => self.null(name),
        }
    }
}

#[cfg(test)]
mod tests;
