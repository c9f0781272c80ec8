//! Prices, windows and capabilities of models, compiled in.
//!
//! The facts are in `catalogue.json`, one model a line, as of the date it names. They are the
//! providers' list prices and published limits; a configuration may give other prices for a model.
//!
//! # Not supported
//! Prices of images, audio seconds, tool calls, batches and service tiers. Guessing: a name that is
//! not in the data, apart from the documented forms of one that is, has no facts. Only of a Claude
//! that another cloud serves is known what Anthropic says of it, but for its price.
//!
//! | file | what it is |
//! |---|---|
//! | `capabilities` | what a model can do |
//! | `data` | reads the data |
//! | `effort` | reasoning efforts |
//! | `names` | from a provider's names to the catalogue's |
//! | `price` | what tokens cost |

use std::borrow::Cow;

pub use capabilities::{Capabilities, Capability};
pub use effort::{Effort, Efforts};
pub use price::{MAX_USD_PER_MTOK, NanoUsd, Price, Rate, Rates, Tier, TokenSplit};

mod capabilities;
mod data;
mod effort;
mod names;
mod price;

const DATA: &str = include_str!("catalogue.json");

/// All known models.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    as_of: &'static str,
    families: Vec<(&'static str, Vec<Facts>)>,
    /// What is known of other publishers' models wherever they are served, which is all but the
    /// price, by the family that serves them and the name there.
    served: Vec<(&'static str, String, Facts)>,
}

/// Families of places that serve other families' models, and what stands before the models' names
/// there. At Azure users choose the names: see [`Catalogue::presume`].
const SERVES: [(&str, &str, &str); 3] =
    [("bedrock", "anthropic.", "anthropic"), ("vertex", "", "anthropic"), ("vertex", "", "gemini")];

/// What is published about one model of one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// What the catalogue calls the model; empty for one that it does not know.
    pub name: &'static str,
    /// Whether the capabilities are known of the model, and not only assumed. What stands in the
    /// data is known, unless it says otherwise.
    pub known: bool,
    /// The API that serves the model.
    pub mode: Mode,
    /// List prices.
    pub price: Option<Price>,
    /// Most input tokens.
    pub context_window: Option<u64>,
    /// Most output tokens.
    pub max_output: Option<u64>,
    /// Numbers in an embedding, when the request asks for no other size.
    pub vector_size: Option<u32>,
    /// What the model can do; everything, where that is not known.
    pub capabilities: Capabilities,
    /// What a request to the model may carry.
    pub parameters: Parameters,
    /// The day from which the provider may refuse the model, as `YYYY-MM-DD`. Compare as text.
    pub deprecated_on: Option<&'static str>,
}

/// The API that serves a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Chat completions.
    Chat,
    /// Embeddings.
    Embedding,
}

/// What a request to the model may carry. The default is right for a model that nothing is known
/// of: everything that a provider could refuse is sent, so that it decides, and no special form of
/// a field is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `temperature`, `top_p` and `top_k` other than their defaults. Default true. OpenAI's models
    /// with [`Capability::Reasoning`] keep the default here, see `sampling_with_effort_none`.
    pub sampling_params: bool,
    /// `temperature`, `top_p`, the penalties, `logprobs` and `logit_bias` pass when the reasoning
    /// effort is `none`. Default false. Matters only for OpenAI's and Azure's reasoning models:
    /// they refuse these fields while they reason.
    pub sampling_with_effort_none: bool,
    /// `temperature` and `top_p` in one request. Default true.
    pub temperature_with_top_p: bool,
    /// `presence_penalty` and `frequency_penalty`. Default true.
    pub penalties: bool,
    /// `stop`. Default true.
    pub stop: bool,
    /// `tool_choice` at all. Default true.
    pub tool_choice: bool,
    /// A `tool_choice` that forces a call: `required` or a named function. Default true.
    pub forced_tool_use: bool,
    /// Function tools together with a `reasoning_effort` other than `none`, in chat completions.
    /// Default true.
    pub tools_with_effort: bool,
    /// System and developer messages. Default true.
    pub system_messages: bool,
    /// A system message after the first user message. Default false.
    pub mid_conversation_system: bool,
    /// A last message of the assistant, which the model continues. Default true.
    pub assistant_prefill: bool,
    /// Anthropic's `thinking: {type: adaptive}` with `output_config.effort`. Default false.
    pub adaptive_thinking: bool,
    /// A budget of thinking in tokens: Anthropic's `thinking: {type: enabled, budget_tokens}`,
    /// Gemini's `thinkingBudget`. Default false.
    pub legacy_thinking: bool,
    /// How an Anthropic request turns thinking off, and whether a budget of Gemini's can be 0.
    /// Default [`ThinkingOff::Disabled`].
    pub thinking_off: ThinkingOff,
    /// Values of the provider's effort field. Default: nothing is known.
    pub efforts: Efforts,
}

/// How an Anthropic request turns thinking off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThinkingOff {
    /// `thinking: {type: disabled}`.
    #[default]
    Disabled,
    /// `thinking: {type: between_tools}`.
    BetweenTools,
    /// The model refuses to have it off.
    Never,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            sampling_params: true,
            sampling_with_effort_none: false,
            temperature_with_top_p: true,
            penalties: true,
            stop: true,
            tool_choice: true,
            forced_tool_use: true,
            tools_with_effort: true,
            system_messages: true,
            mid_conversation_system: false,
            assistant_prefill: true,
            adaptive_thinking: false,
            legacy_thinking: false,
            thinking_off: ThinkingOff::Disabled,
            efforts: Efforts::default(),
        }
    }
}

impl Facts {
    /// For a model of which nothing is known: every field is sent, no limit is known and every
    /// ability is assumed, so that the provider decides.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            name: "",
            known: false,
            mode: Mode::Chat,
            price: None,
            context_window: None,
            max_output: None,
            vector_size: None,
            capabilities: Capabilities::all(),
            parameters: Parameters::default(),
            deprecated_on: None,
        }
    }
}

impl Catalogue {
    /// The catalogue that is compiled in. Parses it, so call this once for each configuration.
    #[expect(clippy::expect_used, reason = "the data is part of the source and a test parses it")]
    #[must_use]
    pub fn builtin() -> Self {
        let (as_of, families) = data::read(DATA).expect("catalogue.json holds a catalogue");
        let mut catalogue = Self { as_of, families, served: Vec::new() };
        for (place, prefix, publisher) in SERVES {
            let unpriced = catalogue.of(publisher).iter().map(|facts| {
                let name = [prefix, facts.name].concat();
                (place, name, Facts { price: None, deprecated_on: None, ..facts.clone() })
            });
            let unpriced: Vec<_> = unpriced.collect();
            catalogue.served.extend(unpriced);
        }
        catalogue
    }

    /// The day on which the facts were collected, as `YYYY-MM-DD`.
    #[must_use]
    pub fn as_of(&self) -> &'static str {
        self.as_of
    }

    /// The facts of a model, by its name at the provider: see [`Catalogue::entry`]. A model that
    /// the provider only serves has the publisher's facts and no price, since what a model takes
    /// and can do is the same wherever it is served.
    #[must_use]
    pub fn find(&self, family: &str, model: &str) -> Option<&Facts> {
        self.entry(family, model).map(|(_, facts)| facts).or_else(|| {
            names::forms(family, model).find_map(|form| {
                let mut served = self.served.iter();
                let found = served.find(|(place, name, _)| *place == family && name == form);
                found.map(|(_, _, facts)| facts)
            })
        })
    }

    /// The facts of a model, by its name at the provider, where those of the same model elsewhere
    /// will do. Azure's deployments have the names of OpenAI's models unless someone chose another;
    /// what they cost there is another matter, so the price is left out.
    #[must_use]
    pub fn presume(&self, family: &str, model: &str) -> Option<Cow<'_, Facts>> {
        if let Some(facts) = self.find(family, model) {
            return Some(Cow::Borrowed(facts));
        }
        let facts = self.find("openai", model).filter(|_| family == "azure")?;
        Some(Cow::Owned(Facts { price: None, ..facts.clone() }))
    }

    /// What the catalogue calls a model, and its facts, by its name at the provider. A name that is
    /// not known is tried without what the documented forms put around it, its date among them: a
    /// snapshot has the facts of its model. Nothing else is guessed.
    ///
    /// ```
    /// # use waypost::providers::catalogue::Catalogue;
    /// let catalogue = Catalogue::builtin();
    /// let (name, _) = catalogue.entry("bedrock", "us.anthropic.claude-opus-5-5").unwrap();
    /// assert_eq!(name, "anthropic.claude-opus-5-5");
    /// assert!(catalogue.entry("openai", "gpt-4o-2024-08-06").is_some());
    /// ```
    #[must_use]
    pub fn entry(&self, family: &str, model: &str) -> Option<(&'static str, &Facts)> {
        let models = self.of(family);
        let known = |form| models.iter().find(|facts| facts.name == form);
        let found = names::forms(family, model).find_map(known)?;
        Some((found.name, found))
    }

    /// The names and facts of a family's models, in the order of the names; empty for an unknown
    /// family.
    pub fn models(&self, family: &str) -> impl Iterator<Item = (&'static str, &Facts)> {
        self.of(family).iter().map(|facts| (facts.name, facts))
    }

    fn of(&self, family: &str) -> &[Facts] {
        let found = self.families.iter().find(|(name, _)| *name == family);
        found.map(|(_, models)| &**models).unwrap_or_default()
    }

    /// The names of the families, in order.
    pub fn families(&self) -> impl Iterator<Item = &'static str> {
        self.families.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests;
