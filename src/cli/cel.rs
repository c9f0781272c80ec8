//! Expressions that Envoy evaluates, read outside Envoy: for `waypost check` and `waypost explain`.
//!
//! Envoy has the last word. Here only what a request file and headers say can be known; whatever
//! asks for the connection, or for Envoy's own state, is [`Verdict::Unknown`].

use std::collections::BTreeMap;

use cel::{Context, ExecutionError, Program, Value};
use serde::Serialize;

use super::verdict::Verdict;

/// What Envoy calls the parts of a request and its surroundings. Source: Envoy's documentation of
/// attributes.
const ATTRIBUTES: [&str; 11] = [
    "connection",
    "destination",
    "filter_state",
    "metadata",
    "node",
    "plugin_name",
    "request",
    "response",
    "source",
    "upstream",
    "xds",
];

/// The parts of `request` that only Envoy knows.
const ENVOYS: [&str; 8] =
    ["duration", "headers_bytes", "id", "protocol", "query", "size", "time", "total_size"];

/// The attributes of a request that are known here.
#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    url_path: &'a str,
    host: &'a str,
    scheme: &'a str,
    useragent: &'a str,
    referer: &'a str,
    headers: BTreeMap<&'a str, String>,
}

/// Whether Envoy can do something with an expression. It refuses to start with one that it cannot
/// parse, and takes one that names what there is not: that one fails on every request.
///
/// # Errors
/// What is wrong with it, and what comes of it.
pub fn check(expression: &str) -> Result<(), String> {
    let program = Program::compile(expression).map_err(|error| {
        format!("Envoy will not start with it: {}", first_line(&error.to_string()))
    })?;
    let references = program.references();
    // A comprehension, such as `list.exists(it, …)`, names its own variable.
    let bound = |name: &str| {
        let dense: String = expression.split_whitespace().collect();
        dense.contains(&format!("({name},"))
    };
    let unknown =
        references.variables().into_iter().find(|name| !ATTRIBUTES.contains(name) && !bound(name));
    match unknown {
        Some(name) => Err(format!(
            "it fails on every request, and the rule never matches: Envoy has no attribute \"{name}\"{}",
            crate::config::reader::nearest(name, &ATTRIBUTES)
        )),
        None => Ok(()),
    }
}

/// What an expression says of a request to `path` with these headers.
#[must_use]
pub fn evaluate(expression: &str, path: &str, headers: &[(String, String)]) -> Verdict {
    let Ok(program) = Program::compile(expression) else { return Verdict::Not };
    let mut all: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        // Envoy joins the values of a header that comes several times.
        let place = all.entry(name).or_default();
        if !place.is_empty() {
            place.push(',');
        }
        place.push_str(value);
    }
    let header =
        |name: &str| headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
    let request = Request {
        method: "POST",
        path,
        url_path: path.split('?').next().unwrap_or_default(),
        host: header("host"),
        scheme: "http",
        useragent: header("user-agent"),
        referer: header("referer"),
        headers: all,
    };
    let mut context = Context::default();
    if context.add_variable("request", request).is_err() {
        return Verdict::Unknown("request".to_owned());
    }
    match program.execute(&context) {
        Ok(Value::Bool(true)) => Verdict::Holds,
        Err(ExecutionError::UndeclaredReference(name)) if ATTRIBUTES.contains(&&**name) => {
            Verdict::Unknown(name.to_string())
        }
        Err(ExecutionError::NoSuchKey(name)) if ENVOYS.contains(&&**name) => {
            Verdict::Unknown(format!("request.{name}"))
        }
        _ => Verdict::Not,
    }
}

fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}
