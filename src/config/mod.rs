//! What users write, parsed into what the rest can trust.
//!
//! A configuration arrives as a `Struct`: Envoy makes it of the YAML in `envoy.yaml`. Everything is
//! checked here, so that `envoy --mode validate`, which runs this, refuses what cannot work.
//!
//! | file | what it is |
//! |---|---|
//! | [`reader`] | values with their paths, and the problems found |
//! | [`gateway`] | `role: gateway`: providers, rules, limits |
//! | [`alerts`] | where it is told that money runs out |
//! | [`provider`] | an entry of `providers` |
//! | [`metrics`] | what metrics say of tenants, and how many there may be |
//! | [`health`] | when breakers open and close, and probes |
//! | `matching` | patterns, and names of headers |
//! | [`model`] | its models, and what a user knows of them |
//! | `price` | what they cost |
//! | `budgets` | who may tell what was spent before |
//! | [`prices`] | where newer prices come from |
//! | [`pricelist`] | the document that holds them |
//! | `push` | who may send something |
//! | [`rule`] | an entry of `rules` |
//! | [`structure`] | `google.protobuf.Struct` |
//! | [`tenancy`] | who may ask, and on which terms |

pub mod alerts;
pub mod audit;
mod budgets;
pub mod gateway;
pub mod health;
mod matching;
pub mod metrics;
pub mod model;
mod price;
pub mod pricelist;
pub mod prices;
pub mod provider;
mod push;
pub mod reader;
pub mod rule;
pub mod structure;
pub mod tenancy;

use crate::openai::value::{self, Value};

pub use gateway::{Gateway, Limits};
pub use metrics::Metrics;
pub use model::Model;
pub use prices::Prices;
pub use provider::{Endpoint, Provider};
pub use reader::{Fields, Node, Problem, Problems};
pub use rule::{Choose, Rule, Timeouts, When};

/// Longest configuration, in bytes.
pub const MAX_CONFIG_BYTES: usize = 4 << 20;

/// A plugin's configuration, by its role.
#[derive(Debug)]
pub enum Config {
    /// In the listener's filter chain: once per request.
    Gateway(Box<Gateway>),
    /// In a cluster's filter chain: once per attempt.
    Provider(ProviderRole),
    /// In the internal listener's filter chain: requests of the gateway to itself.
    Loopback,
    /// In the status listener's filter chain.
    Status,
}

/// `role: provider`.
#[derive(Debug, PartialEq, Eq)]
pub struct ProviderRole {
    /// The entry of the gateway's `providers` that this cluster belongs to.
    pub provider: String,
    /// Where its credentials are. None: the provider needs none.
    pub credentials: Vec<Credential>,
}

/// Where a credential is; never the credential itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The environment variable that holds it.
    pub env: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Gateway,
    Provider,
    Loopback,
    Status,
}

const ROLES: [(&str, Role); 4] = [
    ("gateway", Role::Gateway),
    ("provider", Role::Provider),
    ("loopback", Role::Loopback),
    ("status", Role::Status),
];

impl Config {
    /// Parses what Envoy hands over: a `google.protobuf.Struct`, or a `StringValue` that holds JSON.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        if bytes.len() > MAX_CONFIG_BYTES {
            let message = format!("the configuration is larger than {MAX_CONFIG_BYTES} bytes");
            return Err(vec![Problem { path: String::new(), message }]);
        }
        let value: Value = match value::parse(bytes, structure::MAX_DEPTH) {
            Ok(value) => value,
            Err(error) => structure::read(bytes).ok_or_else(|| {
                let message = format!("the configuration is neither a Struct nor JSON: {error}");
                vec![Problem { path: String::new(), message }]
            })?,
        };
        Self::of(&value)
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(value: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        Self::of(&value.into())
    }

    fn of(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let mut fields = Node::root(value).fields(&mut problems);
        let role =
            fields.need("role", &mut problems).and_then(|node| node.word(&ROLES, &mut problems));
        let config = match role {
            Some(Role::Gateway) => {
                gateway::read(fields, &mut problems).map(|gateway| Self::Gateway(Box::new(gateway)))
            }
            Some(Role::Provider) => provider_role(fields, &mut problems).map(Self::Provider),
            Some(role @ (Role::Loopback | Role::Status)) => {
                fields.finish(&mut problems);
                Some(if role == Role::Loopback { Self::Loopback } else { Self::Status })
            }
            None => None,
        };
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems.into_vec()),
        }
    }
}

fn provider_role(mut fields: Fields<'_>, problems: &mut Problems) -> Option<ProviderRole> {
    let provider = fields.need("provider", problems).and_then(|node| node.text(problems));
    let mut credentials = Vec::new();
    if let Some(list) = fields.take("credentials") {
        for node in list.list(problems) {
            let mut fields = node.fields(problems);
            let env = fields.need("env", problems).and_then(|node| {
                let name = node.text(problems)?;
                let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                if !name.bytes().all(plain) {
                    let message = "must be the name of an environment variable, not a key itself";
                    problems.add(&node.path, message);
                    return None;
                }
                Some(name)
            });
            fields.finish(problems);
            credentials.extend(env.map(|env| Credential { env: env.to_owned() }));
        }
    }
    fields.finish(problems);
    Some(ProviderRole { provider: provider?.to_owned(), credentials })
}

#[cfg(test)]
mod tests;
