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

#[cfg(test)]
mod tests {
    use super::*;

    fn say(expression: &str) -> Verdict {
        let headers = [("x-tier", "gold"), ("x-many", "a"), ("x-many", "b"), ("host", "llm")];
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        evaluate(expression, "/v1/chat/completions?x=1", &headers)
    }

    #[test]
    fn what_headers_say_is_known() {
        for (expression, verdict) in [
            ("request.headers['x-tier'] == 'gold'", Verdict::Holds),
            ("request.headers['x-tier'] == 'silver'", Verdict::Not),
            ("request.headers['x-many'] == 'a,b'", Verdict::Holds),
            ("'x-none' in request.headers", Verdict::Not),
            ("request.headers['x-none'] == 'x'", Verdict::Not),
            (
                "request.headers['x-tier'].startsWith('go') && request.method == 'POST'",
                Verdict::Holds,
            ),
            ("request.url_path == '/v1/chat/completions' && request.host == 'llm'", Verdict::Holds),
            ("request.headers['x-tier']", Verdict::Not),
        ] {
            assert_eq!(say(expression), verdict, "{expression}");
        }
    }

    #[test]
    fn what_only_envoy_knows_is_named() {
        assert_eq!(say("connection.mtls"), Verdict::Unknown("connection".to_owned()));
        assert_eq!(say("source.address == 'x'"), Verdict::Unknown("source".to_owned()));
        assert_eq!(say("requst.size > 5"), Verdict::Not);
        assert_eq!(say("request.size > 5"), Verdict::Unknown("request.size".to_owned()));
    }

    #[test]
    fn an_expression_that_is_none_is_an_error() {
        assert!(check("request.headers['x-tier'] ==").is_err());
        let wrong = check("requst.headers['x'] == 'y'").unwrap_err();
        assert_eq!(
            wrong,
            "it fails on every request, and the rule never matches: Envoy has no attribute \"requst\"; did you mean \"request\"?"
        );
        assert_eq!(check("connection.mtls && request.headers['x-tier'] == 'gold'"), Ok(()));
        assert_eq!(check("['a', 'b'].exists(it, request.headers['x'] == it)"), Ok(()));
    }
}
