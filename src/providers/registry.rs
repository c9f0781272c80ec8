//! The table of APIs: what may stand behind `api:` in a provider's entry.

use super::{Dialect, anthropic, openai};

/// One API that Waypost speaks.
#[derive(Clone, Copy)]
pub struct Api {
    /// The word behind `api:`.
    pub name: &'static str,
    /// How it is spoken.
    pub dialect: &'static dyn Dialect,
    /// The provider's word in the catalogue of models.
    pub family: &'static str,
    /// Where it is, unless `base_url` says otherwise.
    pub base_url: &'static str,
    /// The settings that its dialect reads.
    pub settings: &'static [Setting],
}

/// A setting of a dialect, as users write it in a provider's entry.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// What may stand there; empty for any text.
    pub values: &'static [&'static str],
}

/// Every API, in the order in which messages list them.
pub static APIS: &[Api] = &[
    Api {
        name: "openai",
        dialect: &openai::OpenAi,
        family: "openai",
        base_url: "https://api.openai.com/v1",
        settings: &[
            Setting { name: "organization", values: &[] },
            Setting { name: "project", values: &[] },
        ],
    },
    Api {
        name: "anthropic",
        dialect: &anthropic::Anthropic,
        family: "anthropic",
        base_url: "https://api.anthropic.com",
        settings: &[
            Setting { name: "anthropic_version", values: anthropic::VERSIONS },
            Setting { name: "anthropic_beta", values: &[] },
        ],
    },
];

/// The API of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Api> {
    APIS.iter().find(|api| api.name == name)
}

/// The names of all of them, in their order.
#[must_use]
pub fn names() -> Vec<&'static str> {
    APIS.iter().map(|api| api.name).collect()
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
