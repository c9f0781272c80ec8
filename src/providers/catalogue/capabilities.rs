//! What a model can do.

use std::fmt;
use std::str::FromStr;

/// One ability of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Calls functions.
    Tools,
    /// Calls several functions in one turn.
    ParallelTools,
    /// Reads images.
    Vision,
    /// Reads PDF files.
    Pdf,
    /// Reads or speaks audio.
    Audio,
    /// Answers after a JSON schema, enforced by the provider.
    JsonSchema,
    /// Thinks before it answers.
    Reasoning,
    /// Takes a repeated start of the prompt from a cache.
    PromptCaching,
    /// Searches the web by itself.
    WebSearch,
    /// Gives embeddings.
    Embeddings,
}

impl Capability {
    /// Each ability, in the order in which a set is iterated and printed.
    pub const ALL: [Self; 10] = [
        Self::Tools,
        Self::ParallelTools,
        Self::Vision,
        Self::Pdf,
        Self::Audio,
        Self::JsonSchema,
        Self::Reasoning,
        Self::PromptCaching,
        Self::WebSearch,
        Self::Embeddings,
    ];

    /// The name used in the data, in configurations and in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::ParallelTools => "parallel_tools",
            Self::Vision => "vision",
            Self::Pdf => "pdf",
            Self::Audio => "audio",
            Self::JsonSchema => "json_schema",
            Self::Reasoning => "reasoning",
            Self::PromptCaching => "prompt_caching",
            Self::WebSearch => "web_search",
            Self::Embeddings => "embeddings",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of abilities. Its text is their names with a space between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

impl Capabilities {
    /// Every ability.
    #[must_use]
    pub fn all() -> Self {
        Capability::ALL.into_iter().collect()
    }

    /// Whether the set holds `capability`.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// The set with `capability` added.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// The members, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.has(*capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(members: I) -> Self {
        members.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, capability) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(capability.name())?;
        }
        Ok(())
    }
}

impl FromStr for Capabilities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |word: &str| {
            let capability = Capability::ALL.into_iter().find(|known| known.name() == word);
            capability.ok_or_else(|| format!("capability {word:?} is unknown"))
        };
        text.split_ascii_whitespace().map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn the_text_of_a_set_reads_back_as_the_set() {
        let all = Capabilities::all();
        assert_eq!(all.to_string().parse(), Ok(all));
        assert_eq!(all.iter().count(), Capability::ALL.len());
        assert_eq!(Capabilities::default().to_string(), "");
        assert_eq!("".parse(), Ok(Capabilities::default()));
    }

    #[test]
    fn members_come_in_the_order_of_the_list_and_once() {
        let set = Capabilities::default()
            .with(Capability::Embeddings)
            .with(Capability::Vision)
            .with(Capability::Tools)
            .with(Capability::Vision);
        assert_eq!(set.to_string(), "tools vision embeddings");
        assert!(set.has(Capability::Vision));
        assert!(!set.has(Capability::Pdf));
    }

    #[test]
    fn an_unknown_capability_is_an_error_that_names_it() {
        let error = "tools telepathy".parse::<Capabilities>().unwrap_err();
        assert_eq!(error, "capability \"telepathy\" is unknown");
    }
}
