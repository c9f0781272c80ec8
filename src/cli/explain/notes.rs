//! What a strategy does with a request, and what a rule requires, in words.

use crate::config::provider::Balance;
use crate::config::reader::{show, show_share};
use crate::config::rule::{Leave, Require, Sticky};
use crate::config::{Choose, Gateway, Rule};
use crate::filter::asked::Asked;
use crate::health::Window;
use crate::providers::catalogue::Rate;
use crate::routing::strategy::{failover, latency};
use crate::routing::{Plan, Question};

/// What the strategy, and the balance of each provider with several endpoints, do here.
/// `timed` when it is known how quick they are.
pub(super) fn notes(
    gateway: &Gateway,
    timed: bool,
    rule: Option<&Rule>,
    question: &Question<'_>,
    asked: &Asked,
    plan: &Plan,
) -> Vec<String> {
    let leave = |leave: &Leave| {
        let window = match leave.window {
            Window::TenSeconds => "10s",
            Window::Minute => "1m",
            Window::FiveMinutes => "5m",
        };
        format!(
            "one of which more than {} of at least {} requests failed within {window} goes behind the others, but for 1 request in {}",
            show_share(u16::try_from(leave.error_rate_per_mille * 10).unwrap_or(u16::MAX)),
            leave.min_requests,
            failover::RECHECK_ONE_OF
        )
    };
    let mut notes = Vec::new();
    let pinned = question.wishes.target.is_some()
        && gateway.clients_may.target
        && question.may(gateway).is_none_or(crate::tenancy::May::pins);
    match rule.map(|rule| &rule.choose) {
        _ if pinned => notes.push("the pinned target only".to_owned()),
        None => notes
            .extend(["in the order of the providers' names".to_owned(), leave(&Leave::default())]),
        Some(Choose::Static) => notes.push("the only target".to_owned()),
        Some(Choose::Failover(own)) => {
            notes.extend(["in the order in which the targets are written".to_owned(), leave(own)]);
        }
        Some(Choose::Cost) => notes.push("the cheapest for this request first".to_owned()),
        Some(Choose::Quality) => {
            let task = (question.metadata)("task");
            let of = task.map_or_else(
                || "in general".to_owned(),
                |task| format!("for the task \"{task}\", else in general"),
            );
            notes.push(format!("the best score first, {of}"));
        }
        Some(Choose::Latency { explore }) => {
            let what = if asked.stream() { "to the first content" } else { "to the whole answer" };
            notes.push(format!("the quickest first, by the p95 {what} over five minutes; before them those with fewer than {} samples", latency::MIN_SAMPLES));
            notes.push(format!(
                "chance: {} of the requests go to another first",
                show_share(*explore)
            ));
            if !timed {
                notes.push("without --status no times are known, and all are alike".to_owned());
            }
        }
        Some(Choose::Canary { sticky }) => notes.push(canary(sticky.as_ref(), question)),
    }
    let mut said = Vec::new();
    for candidate in &plan.candidates {
        let several = plan.candidates.iter().any(|other| {
            (other.provider, other.model) == (candidate.provider, candidate.model)
                && other.endpoint != candidate.endpoint
        });
        let Some(provider) = gateway.providers.get(candidate.provider) else { continue };
        if several && !said.contains(&candidate.provider) {
            said.push(candidate.provider);
            let how = match provider.balance {
                Balance::RoundRobin => "take turns (round_robin)",
                Balance::LeastRequests => {
                    "are asked by how few requests are in flight there (least_requests), and take turns where that is the same"
                }
                Balance::Latency => "are drawn in proportion to 1/p50 (latency)",
            };
            notes.push(format!("the endpoints of {} {how}", provider.name));
        }
    }
    notes
}

fn canary(sticky: Option<&Sticky>, question: &Question<'_>) -> String {
    let (what, key) = match sticky {
        None => return "chance: drawn for each request, by the weights".to_owned(),
        Some(Sticky::User) => ("user".to_owned(), question.user.map(str::to_owned)),
        Some(Sticky::Tenant) => ("tenant".to_owned(), question.tenant().map(str::to_owned)),
        Some(Sticky::Header(name)) => {
            (format!("header {name}"), (question.header)(name).map(str::to_owned))
        }
        Some(Sticky::Metadata(name)) => {
            (format!("metadata.{name}"), (question.metadata)(name).map(|value| value.into_owned()))
        }
    };
    match key.filter(|key| !key.is_empty()) {
        Some(_) => format!(
            "drawn by the weights from the request's {what}: always this order for the same one"
        ),
        None => format!(
            "chance: the request has no {what} to stick to, so it is drawn for each request, by the weights"
        ),
    }
}

/// What a rule requires, in its own words.
pub(super) fn requirements(rule: &Rule) -> Vec<String> {
    let Require { region, capabilities, max_price, max_latency, min_quality } = &rule.require;
    let mut all = Vec::new();
    if !region.is_empty() {
        all.push(format!("region: {}", region.join(" or ")));
    }
    if capabilities.iter().next().is_some() {
        all.push(format!("capabilities: {capabilities}"));
    }
    if let Some(most) = max_price {
        let of = |rate: Option<Rate>, what: &str| {
            rate.map(|rate| format!("{} USD per million tokens of {what}", rate.usd_per_mtok()))
        };
        let both = [of(most.input, "input"), of(most.output, "output")];
        let both: Vec<String> = both.into_iter().flatten().collect();
        all.push(format!("max_price: {}", both.join(", ")));
    }
    if let Some(most) = max_latency {
        all.push(format!("max_latency: {}", show(*most)));
    }
    if let Some(least) = min_quality {
        all.push(format!("min_quality: {}", f64::from(*least) / 1000.0));
    }
    all.into_iter().map(|one| format!("{one} (rule {})", rule.name)).collect()
}
