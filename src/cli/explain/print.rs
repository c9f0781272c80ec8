//! What is told, for people, who may be tired.

use std::fmt::Write as _;

use super::told::{Candidate, Decided, Explained, Requested, Told};
use crate::config::reader::show_share;
use crate::routing::strategy::latency::MIN_SAMPLES;

/// As JSON.
pub(super) fn json(told: &Told) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(told).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// As text.
pub(super) fn text(told: &Told) -> String {
    let mut out = String::new();
    let several = told.gateways.len() > 1;
    for explained in &told.gateways {
        if several {
            let before = if out.is_empty() { "" } else { "\n\n" };
            let _ = writeln!(out, "{before}==== gateway {} ====\n", explained.gateway);
        }
        one(&mut out, explained);
    }
    out
}

fn one(out: &mut String, explained: &Explained) {
    if let Some(request) = &explained.request {
        requested(out, request);
    }
    if !explained.not_in_status.is_empty() {
        let clusters = explained.not_in_status.join(", ");
        let _ = writeln!(out, "\nthe status says nothing of {clusters}: taken to be well");
    }
    for decided in &explained.decisions {
        decision(out, decided);
    }
}

fn requested(out: &mut String, request: &Requested) {
    let what = match (request.operation, request.stream) {
        ("embeddings", _) => "embeddings",
        (_, true) => "chat, streamed",
        _ => "chat, not streamed",
    };
    let _ = writeln!(out, "REQUEST\n  {what}, model {}", request.model);
    let _ = write!(out, "  about {} tokens of input", request.estimated_input_tokens);
    if request.cached_input_tokens > 0 {
        let _ = write!(out, ", {} of them read from a prompt cache", request.cached_input_tokens);
    }
    match request.max_output_tokens {
        _ if request.operation == "embeddings" => {}
        Some(most) => {
            let _ = write!(out, "; at most {most} of output");
            if let Some(answers) = request.answers {
                let _ = write!(out, " in each of {answers} answers");
            }
        }
        None => {
            let answers = match request.answers {
                Some(answers) => format!("{answers} answers, each"),
                None => "an answer".to_owned(),
            };
            let each = crate::routing::estimate::DEFAULT_OUTPUT;
            let _ = write!(out, "; no limit on output: costs are for {answers} of {each}");
        }
    }
    let needs = if request.needs.is_empty() {
        "nothing special".to_owned()
    } else {
        request.needs.join(", ")
    };
    let _ = writeln!(out, "\n  needs {needs}");
    if let Some(tenant) = &request.tenant {
        let _ = writeln!(out, "  tenant {tenant}");
    }
}

fn decision(out: &mut String, decided: &Decided) {
    if let Some(assumed) = &decided.only_if {
        let all = assumed.cel.iter().map(|text| format!("    {text}")).collect::<Vec<_>>();
        let lead = match (assumed.is, all.len()) {
            (true, _) => "IF ENVOY FINDS THIS TRUE",
            (false, 1) => "IF ENVOY FINDS THIS FALSE",
            (false, _) => "IF ENVOY FINDS NONE OF THESE TRUE",
        };
        let _ = writeln!(out, "\n---- {lead}\n{}", all.join("\n"));
    }
    rules(out, decided);
    chosen(out, decided);
    candidates(out, &decided.candidates);
    if !decided.left_out.is_empty() {
        out.push_str("\nLEFT OUT\n");
        let rows = decided.left_out.iter().map(|one| {
            let name = format!("{}/{}", one.provider, one.model);
            vec![name, one.cluster.clone(), one.why.to_owned(), one.reason.clone()]
        });
        table(out, &rows.collect::<Vec<_>>(), &[]);
    }
    if let Some(mirror) = &decided.mirror {
        let name = format!("{}/{}", mirror.provider, mirror.model);
        let share = show_share(mirror.share_per_ten_thousand);
        let _ = match mirror.clusters.is_empty() {
            false => writeln!(
                out,
                "\nMIRROR\n  a copy of {share} of the requests goes to {name} at {}",
                mirror.clusters.join(" or ")
            ),
            true => writeln!(
                out,
                "\nMIRROR\n  none goes to {name} ({share}): nobody there is well and meets what the rule requires"
            ),
        };
    }
    if !decided.ignored.is_empty() {
        let _ = writeln!(out, "\nIGNORED");
        for wish in &decided.ignored {
            let _ = writeln!(out, "  {wish}");
        }
    }
    if let Some(error) = &decided.error {
        let _ = writeln!(out, "\nTHE CLIENT GETS\n  status {}", error.status);
        for (name, value) in &error.headers {
            let _ = writeln!(out, "  {name}: {value}");
        }
        let body = error.body.as_ref().map_or("", |body| body.get());
        let _ = writeln!(out, "  {body}");
    }
}

fn rules(out: &mut String, decided: &Decided) {
    if decided.rules.is_empty() && decided.not_looked_at.is_empty() {
        return;
    }
    out.push_str("\nRULES, IN ORDER\n");
    let rows = decided.rules.iter().enumerate().map(|(at, looked)| {
        let why = match (looked.takes, looked.why.is_empty()) {
            (true, true) => "it takes any request".to_owned(),
            _ => looked.why.join("; "),
        };
        let takes = if looked.takes { "yes" } else { "no" };
        vec![(at + 1).to_string(), looked.name.clone(), takes.to_owned(), why]
    });
    table(out, &rows.collect::<Vec<_>>(), &[0]);
    if !decided.not_looked_at.is_empty() {
        let _ = writeln!(out, "  not looked at: {}", decided.not_looked_at.join(", "));
    }
}

fn chosen(out: &mut String, decided: &Decided) {
    let Some(because) = &decided.because else { return };
    out.push_str("\nDECISION\n");
    let _ = match decided.rule.as_deref() {
        None => writeln!(out, "  {because}"),
        Some("model") if decided.choose.is_none() => writeln!(out, "  by model: {because}"),
        Some(rule) => writeln!(out, "  rule {rule}: {because}"),
    };
    let mut notes = decided.notes.iter();
    let lead = decided.choose.map(|word| format!("choose: {word}"));
    let first = notes.next();
    match (lead, first) {
        (Some(lead), Some(note)) => {
            let _ = writeln!(out, "  {lead}: {note}");
        }
        (Some(only), None) => {
            let _ = writeln!(out, "  {only}");
        }
        (None, Some(only)) => {
            let _ = writeln!(out, "  {only}");
        }
        (None, None) => {}
    }
    for note in notes {
        let _ = writeln!(out, "  {note}");
    }
    for required in &decided.requires {
        let _ = writeln!(out, "  requires {required}");
    }
}

fn candidates(out: &mut String, all: &[Candidate]) {
    if all.is_empty() {
        return;
    }
    let chance = all.iter().any(|one| one.first_per_mille.is_some());
    let order = if chance {
        "IN THE ORDER THAT IS LIKELIEST"
    } else {
        "IN THE ORDER IN WHICH THEY ARE ASKED"
    };
    let _ = writeln!(out, "\nCANDIDATES, {order}");
    let weighed = all.iter().any(|one| one.weight_per_mille.is_some());
    let seen = all.iter().any(|one| one.stands.is_some());
    let small = all.iter().filter_map(|one| one.nano_usd).any(|cost| cost > 0 && cost < 100_000);
    let mut head = vec!["#", "target", "cluster", "region", "USD", "quality"];
    let mut right = vec![0, 4, 5];
    let mut column = |name: &'static str| {
        right.push(head.len());
        head.push(name);
    };
    if weighed {
        column("weight");
    }
    if chance {
        column("first");
    }
    if seen {
        column("p95 ms");
        column("failed/1m");
        column("in flight");
        head.push("breaker");
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for (at, one) in all.iter().enumerate() {
        let mut row = vec![
            (at + 1).to_string(),
            format!("{}/{}", one.provider, one.model),
            one.cluster.clone(),
            one.region.clone().unwrap_or_else(|| "-".to_owned()),
            one.nano_usd.map_or_else(|| "unpriced".to_owned(), |cost| usd(cost, small)),
            one.quality.map_or_else(|| "-".to_owned(), |score| score.to_string()),
        ];
        if weighed {
            row.push(one.weight_per_mille.map_or_else(|| "-".to_owned(), percent));
        }
        if chance {
            row.push(one.first_per_mille.map_or_else(|| "-".to_owned(), percent));
        }
        if let Some(stands) = &one.stands {
            row.push(match stands.p95_ms {
                None => "-".to_owned(),
                Some(p95) if stands.samples < MIN_SAMPLES => {
                    format!("{p95} (of {})", stands.samples)
                }
                Some(p95) => p95.to_string(),
            });
            row.push(format!("{}/{}", stands.failures_1m, stands.requests_1m));
            row.push(stands.in_flight.to_string());
            row.push(stands.breaker.clone());
        }
        rows.push(row);
    }
    table(out, &rows, &right);
    for (at, one) in all.iter().enumerate() {
        if let Some(note) = &one.note {
            let _ = writeln!(out, "  {}: {note}", at + 1);
        }
    }
    if chance {
        let _ =
            writeln!(out, "  first: how often it is asked first, of {} decisions", super::DRAWS);
    }
}

/// In dollars, with as many decimals as the column needs.
fn usd(nano: u64, small: bool) -> String {
    match small {
        true => format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000),
        false => {
            let micro = (nano + 500) / 1_000;
            format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
        }
    }
}

fn percent(per_mille: u64) -> String {
    match per_mille % 10 {
        0 => format!("{}%", per_mille / 10),
        rest => format!("{}.{rest}%", per_mille / 10),
    }
}

/// Columns of equal width; those in `right` stand to the right.
fn table(out: &mut String, rows: &[Vec<String>], right: &[usize]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match right.contains(&column) {
                true => write!(line, "  {cell:>width$}"),
                false => write!(line, "  {cell:<width$}"),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
