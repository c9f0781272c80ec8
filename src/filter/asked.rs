//! What a client asked for, parsed once: a chat or vectors; or what a probe asks for.

use crate::openai::embeddings::ParsedEmbeddings;
use crate::openai::request::ParsedChat;
use crate::openai::{Class, Error};
use crate::providers::{Dialect, Outbound, Payload, Target};

/// A request together with its body.
#[derive(Debug)]
pub enum Asked {
    /// `POST /v1/chat/completions`.
    Chat(ParsedChat),
    /// `POST /v1/embeddings`.
    Embeddings(ParsedEmbeddings),
    /// The provider's list of models, for a probe.
    Models,
}

impl Asked {
    /// The body as the client sent it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match self {
            Self::Chat(parsed) => parsed.body(),
            Self::Embeddings(parsed) => parsed.body(),
            Self::Models => &[],
        }
    }

    /// The word for what is asked for: `gen_ai.operation.name`, where the conventions have one.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Chat(_) => "chat",
            Self::Embeddings(_) => "embeddings",
            Self::Models => "models",
        }
    }

    /// The model that the client named; empty where none is asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        match self {
            Self::Chat(parsed) => &parsed.chat().model,
            Self::Embeddings(parsed) => &parsed.asked().model,
            Self::Models => "",
        }
    }

    /// Whether events are asked for.
    #[must_use]
    pub fn stream(&self) -> bool {
        matches!(self, Self::Chat(parsed) if parsed.chat().stream)
    }

    /// Whether the client wants to know what its request cost.
    #[must_use]
    pub fn includes_cost(&self) -> bool {
        match self {
            Self::Chat(parsed) => parsed.chat().include_cost,
            Self::Embeddings(parsed) => parsed.asked().include_cost,
            Self::Models => false,
        }
    }

    /// The request for a provider.
    ///
    /// # Errors
    /// The dialect cannot express it.
    pub fn translate(&self, dialect: &dyn Dialect, target: &Target<'_>) -> Result<Outbound, Error> {
        match self {
            Self::Chat(parsed) => {
                let mut outbound = dialect.request(parsed.chat(), parsed.body(), target)?;
                // Envoy holds the client's body, and changes would be made to that one.
                if parsed.chat().altered && !matches!(outbound.body, Payload::Whole(_)) {
                    outbound.body = Payload::Whole(outbound.body.apply(parsed.body()).into_owned());
                }
                Ok(outbound)
            }
            Self::Embeddings(parsed) => dialect.embed(parsed.asked(), parsed.body(), target),
            Self::Models => dialect.models(target).ok_or_else(|| {
                Error::new(Class::Client, "this API has no list of models to probe it with")
            }),
        }
    }
}
