//! What may stand in labels: words of this program, and words of a configuration. Nothing else.

use std::collections::HashMap;

use super::name::label;
use crate::config::Gateway;
use crate::openai::Class;
use crate::providers::registry::APIS;
use crate::routing::{Candidate, Resolved};
use crate::telemetry::convention::provider_name;
use crate::tenancy::{Caller, Proof};

/// A word, as its place among all of them.
pub type Word = u32;

macro_rules! fixed {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// Words of this program.
        #[derive(Clone, Copy)]
        enum Fixed { $($name),* }
        /// What they are, in their order.
        const FIXED: &[&str] = &[$($text),*];
        $(
            #[doc = concat!("`", $text, "`")]
            pub const $name: Word = Fixed::$name as Word;
        )*
    };
}

#[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "they name constants")]
mod fixed {
    use super::Word;
    fixed! {
        NONE = "",
        OTHER = "other",
        GATEWAY = "gateway",
        ANSWERED = "answered",
        REFUSED = "refused",
        FAILED = "failed",
        BROKEN = "broken",
        LEFT = "left",
        SUCCESS = "2xx",
        CLIENT_ERROR = "4xx",
        SERVER_ERROR = "5xx",
        CHAT = "chat",
        EMBEDDINGS = "embeddings",
        MODELS = "models",
        INPUT = "input",
        OUTPUT = "output",
        CACHED_INPUT = "cached_input",
        CACHE_CREATION = "cache_creation_input",
        REASONING = "reasoning",
    }
    /// What they are, in their order.
    pub(super) const TEXTS: &[&str] = FIXED;
}

pub use fixed::{
    ANSWERED, BROKEN, CACHE_CREATION, CACHED_INPUT, CHAT, CLIENT_ERROR, EMBEDDINGS, FAILED,
    GATEWAY, INPUT, LEFT, MODELS, NONE, OTHER, OUTPUT, REASONING, REFUSED, SERVER_ERROR, SUCCESS,
};

/// Words of a candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whom {
    /// OpenTelemetry's word for its provider.
    pub convention: Word,
    /// The provider's name.
    pub provider: Word,
    /// The model's name there.
    pub model: Word,
    /// The endpoint's cluster.
    pub cluster: Word,
}

/// All words that may stand in labels.
#[derive(Debug, Default)]
pub struct Words {
    texts: Vec<String>,
    /// The first that is of the configuration.
    open: Word,
    tenants: Word,
    rules: Word,
    /// Of each provider its own word; those of its models and then its clusters come right after.
    providers: Vec<Word>,
    /// Models that clients ask for by a name of the configuration.
    asked: HashMap<String, Word>,
}

impl Words {
    /// Those of a configuration. `by_model` is the name for no rule.
    #[must_use]
    pub fn new(gateway: &Gateway, by_model: &str) -> Self {
        let mut words = Self::default();
        for text in fixed::TEXTS {
            words.push(text);
        }
        for class in Class::ALL {
            words.push(class.word());
        }
        for api in APIS {
            words.push(provider_name(api));
        }
        words.open = words.next();
        words.tenants = words.open;
        for tenant in &gateway.tenancy.tenants {
            words.push(&tenant.name);
        }
        words.rules = words.next();
        for rule in &gateway.rules {
            words.push(&rule.name);
        }
        words.push(by_model);
        for provider in &gateway.providers {
            let place = words.push(&provider.name);
            words.providers.push(place);
            for model in &provider.models {
                let word = words.push(&model.name);
                words.name(&model.name, word);
            }
            for endpoint in &provider.endpoints {
                words.push(&endpoint.cluster);
            }
        }
        for alias in gateway.rules.iter().flat_map(|rule| &rule.when.models) {
            if alias.is_exact() && !words.asked.contains_key(alias.as_str()) {
                let word = words.push(alias.as_str());
                words.name(alias.as_str(), word);
            }
        }
        words
    }

    fn next(&self) -> Word {
        Word::try_from(self.texts.len()).unwrap_or(OTHER)
    }

    fn push(&mut self, text: &str) -> Word {
        let word = self.next();
        self.texts.push(label(text));
        word
    }

    /// A model by whose name clients ask. Of several of one name any will do: their texts are one.
    fn name(&mut self, model: &str, word: Word) {
        self.asked.insert(model.to_owned(), word);
    }

    /// The word as it stands in a label.
    #[must_use]
    pub fn text(&self, word: Word) -> &str {
        self.texts.get(word as usize).map_or("other", |text| text)
    }

    /// Whether it is a word of the configuration, of which there may be any number.
    #[must_use]
    pub const fn is_open(&self, word: Word) -> bool {
        word >= self.open
    }

    /// The tenant of a request: a tenant that is not listed is `other`, the gateway itself `gateway`.
    #[must_use]
    pub fn tenant(&self, caller: &Caller, gateway: &Gateway) -> Word {
        match gateway.tenancy.tenants.get(caller.terms) {
            _ if caller.proof == Proof::Own => GATEWAY,
            _ if caller.tenant.is_empty() => NONE,
            Some(tenant) if tenant.name == caller.tenant => at(self.tenants, caller.terms),
            _ => OTHER,
        }
    }

    /// The place in `tenants` of the tenant that the word means.
    #[must_use]
    pub fn listed(&self, tenant: Word) -> Option<usize> {
        let listed = tenant >= self.tenants && tenant < self.rules;
        listed.then(|| (tenant - self.tenants) as usize)
    }

    /// A rule by its place; without one the request went by its model's name.
    #[must_use]
    pub fn rule(&self, rule: Option<usize>, gateway: &Gateway) -> Word {
        at(self.rules, rule.unwrap_or(gateway.rules.len()))
    }

    /// A model that a client asks for, `provider/model` included. One that the configuration does not
    /// name is `other`.
    #[must_use]
    pub fn asked(&self, model: &str) -> Word {
        let names = [Some(model), model.split_once('/').map(|(_, name)| name)];
        names.iter().flatten().find_map(|name| self.asked.get(*name)).copied().unwrap_or(OTHER)
    }

    /// Whom a candidate means.
    #[must_use]
    pub fn whom(&self, candidate: Candidate, found: &Resolved<'_>) -> Whom {
        let provider = self.providers.get(candidate.provider).copied().unwrap_or(OTHER);
        let models = provider.saturating_add(1);
        let api = APIS.iter().position(|api| std::ptr::eq(api, found.provider.api));
        Whom {
            convention: api.map_or(OTHER, |api| at(CLASSES, Class::ALL.len() + api)),
            provider,
            model: at(models, candidate.model),
            cluster: at(models, found.provider.models.len() + candidate.endpoint),
        }
    }
}

/// Where the classes of errors begin.
const CLASSES: Word = fixed::TEXTS.len() as Word;

/// A class of error.
#[must_use]
pub const fn class(class: Class) -> Word {
    CLASSES + class as Word
}

fn at(first: Word, place: usize) -> Word {
    Word::try_from(place).map_or(OTHER, |place| first.saturating_add(place))
}

/// The class of a status.
#[must_use]
pub const fn status(status: u16) -> Word {
    match status {
        0..=399 => SUCCESS,
        400..=499 => CLIENT_ERROR,
        _ => SERVER_ERROR,
    }
}
