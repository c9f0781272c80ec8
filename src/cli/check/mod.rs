//! `waypost check`: reads a whole Envoy file for what Envoy accepts and Waypost cannot work with.
//!
//! Each finding has a path, what is wrong, what happens then, and the remedy. Nearly all of them
//! were measured on Envoy 1.40: a request that hangs, a stream that is cut, a failover that never
//! comes. What Envoy itself refuses is left to `envoy --mode validate`.
//!
//! | file | what it looks at |
//! |---|---|
//! | `yaml` | YAML into values |
//! | `document` | values with their paths |
//! | `setup` | where everything is: connection managers, waypost filters, clusters |
//! | `signing` | requests to AWS that Envoy signs |
//! | `plugin` | one waypost filter, and that all of them share one VM |
//! | `manager` | the connection manager around a filter in a listener |
//! | `route` | routes, retries, the matcher |
//! | `cluster` | provider clusters |
//! | `inner` | the way back in, and the listener of the status page |
//! | `expression` | expressions that Envoy evaluates |
//! | `identity` | who could say that he is somebody else, and keys that do not hold |
//! | `price` | models without a price |
//! | `share` | gateways that share accounts |
//! | `leak` | credentials in logs and headers |
//!
//! # Not supported
//! What arrives by xDS is not in the file; the report says so. Environment variables and other
//! files are not looked at.

mod cluster;
mod document;
#[cfg(not(target_arch = "wasm32"))]
mod expression;
mod identity;
mod inner;
mod leak;
mod manager;
mod plugin;
mod price;
mod route;
mod setup;
mod share;
mod signing;
#[cfg(not(target_arch = "wasm32"))]
mod yaml;

use std::fmt;

use serde_json::Value;

#[cfg(not(target_arch = "wasm32"))]
use super::BadUsage;
#[cfg(not(target_arch = "wasm32"))]
use crate::config::{Config, Gateway};
use setup::Setup;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Requests fail, hang, leak or do not fail over.
    Error,
    /// It works, but not well, or not everywhere.
    Warning,
    /// Something could not be checked.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where, such as `static_resources.clusters[1](anthropic).circuit_breakers`.
    pub path: String,
    /// What is wrong, what comes of it, and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Severity::Error => {}
            Severity::Warning => f.write_str("warning: ")?,
            Severity::Note => f.write_str("note: ")?,
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Error, path.into(), message.into());
    }

    fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Warning, path.into(), message.into());
    }

    fn note(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Severity::Note, path.into(), message.into());
    }

    fn add(&mut self, severity: Severity, path: String, message: String) {
        let finding = Finding { severity, path, message };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}

/// What `waypost check` says of a file.
#[derive(Debug)]
pub struct Report {
    /// Errors first, then warnings, then notes.
    pub findings: Vec<Finding>,
    file: String,
    summary: String,
}

impl Report {
    /// Whether there are errors. Warnings and notes leave a configuration usable.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}: {finding}", self.file)?;
        }
        let count =
            |severity| self.findings.iter().filter(|known| known.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        match (errors, warnings) {
            (0, 0) => writeln!(f, "{}: fine", self.file)?,
            (0, n) => writeln!(f, "{}: usable, {}", self.file, plural(n, "warning"))?,
            (n, 0) => return writeln!(f, "{}: {}", self.file, plural(n, "error")),
            (n, m) => {
                return writeln!(
                    f,
                    "{}: {}, {}",
                    self.file,
                    plural(n, "error"),
                    plural(m, "warning")
                );
            }
        }
        write!(f, "\n{}", self.summary)
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Checks the text of an Envoy file. `file` is its name, for messages.
///
/// # Errors
/// When it is not YAML, with line and column, or no Envoy configuration at all.
#[cfg(not(target_arch = "wasm32"))]
pub fn check_text(file: &str, text: &str) -> Result<Report, BadUsage> {
    let value = yaml::parse(text).map_err(|error| BadUsage(format!("{file}: {error}")))?;
    Ok(check(file, &value))
}

/// The gateways of an Envoy file that can be understood, with the names of their listeners, or their
/// paths. `file` is its name, for messages.
///
/// # Errors
/// As [`check_text`].
#[cfg(not(target_arch = "wasm32"))]
pub fn gateways(file: &str, text: &str) -> Result<Vec<(String, Gateway)>, BadUsage> {
    let value = yaml::parse(text).map_err(|error| BadUsage(format!("{file}: {error}")))?;
    let setup = Setup::find(&document::At::root(&value), &mut Findings::default());
    let Setup { managers, plugins, .. } = setup;
    let named = plugins.into_iter().enumerate().filter_map(|(index, plugin)| {
        let Some(Config::Gateway(gateway)) = plugin.config else { return None };
        let manager = managers.iter().find(|manager| manager.gateway == Some(index));
        let listener = manager.map(|manager| &manager.listener);
        let name = listener.and_then(|listener| listener.text("name"));
        let path = || listener.map_or(plugin.filter.path, |listener| listener.path.clone());
        Some((name.map_or_else(path, str::to_owned), *gateway))
    });
    Ok(named.collect())
}

/// Milliseconds since 1970, where there is a clock.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(clippy::disallowed_methods, reason = "the program's own clock")
)]
fn now() -> Option<u64> {
    #[cfg(target_arch = "wasm32")]
    return None;
    #[cfg(not(target_arch = "wasm32"))]
    {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }
}

/// Checks what an Envoy file says.
#[must_use]
pub fn check(file: &str, value: &Value) -> Report {
    let root = document::At::root(value);
    let mut findings = Findings::default();
    document::merge_keys(&root, &mut findings);
    let setup = Setup::find(&root, &mut findings);
    plugin::check(&setup, &mut findings);
    manager::check(&setup, &mut findings);
    route::check(&setup, &mut findings);
    cluster::check(&setup, &mut findings);
    inner::check(&root, &setup, &mut findings);
    leak::check(&root, &mut findings);
    #[cfg(not(target_arch = "wasm32"))]
    expression::check(&setup, &mut findings);
    price::check(&setup, &mut findings);
    share::check(&setup, &mut findings);
    identity::check(&setup, now(), &mut findings);
    let mut findings = findings.0;
    findings.sort_by_key(|finding| finding.severity);
    Report { findings, file: file.to_owned(), summary: setup.summary() }
}
