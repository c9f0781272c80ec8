//! Where the API is spoken, and which models it speaks of.

use std::fmt::Write as _;

use crate::providers::Target;

/// The two places that speak it nearly alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// `generativelanguage.googleapis.com`.
    AiStudio,
    /// `aiplatform.googleapis.com`.
    Vertex,
}

impl Surface {
    /// The name for messages to clients.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AiStudio => "Gemini",
            Self::Vertex => "Vertex AI",
        }
    }

    /// The path of a request for content.
    pub(crate) fn path(self, target: &Target<'_>, stream: bool) -> String {
        let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        self.method(target, method)
    }

    /// The path of a method of the model.
    pub(crate) fn method(self, target: &Target<'_>, method: &str) -> String {
        let base = &target.base.path;
        let model = bare(target.model);
        match self {
            Self::AiStudio => {
                let (kind, name) = match model.strip_prefix("tunedModels/") {
                    Some(name) => ("tunedModels", name),
                    None => ("models", model),
                };
                format!("{base}/v1beta/{kind}/{}:{method}", segment(name))
            }
            Self::Vertex => vertex_path(target, "google", model, method),
        }
    }
}

/// The path of a model of any publisher at Vertex.
pub(crate) fn vertex_path(
    target: &Target<'_>,
    publisher: &str,
    model: &str,
    method: &str,
) -> String {
    let setting = |name| segment(target.settings.value(name).unwrap_or_default());
    format!(
        "{}/v1/projects/{}/locations/{}/publishers/{publisher}/models/{}:{method}",
        target.base.path,
        setting("project"),
        setting("location"),
        segment(model)
    )
}

/// One segment of a path: what could end it is written as `%2F` and the like.
fn segment(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            written.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

/// The model's name without what some clients write before it.
pub(crate) fn bare(model: &str) -> &str {
    let model = model.strip_prefix("publishers/google/").unwrap_or(model);
    let model = model.strip_prefix("google/").unwrap_or(model);
    let mut model = model;
    while let Some(rest) = model.strip_prefix("models/") {
        model = rest;
    }
    model
}

/// What the fields of a request may be, which changed from one generation of models to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Generation {
    /// Before 2.5: the older form of schemas, no public URLs, no thoughts.
    Old,
    /// 2.5: a budget of thoughts.
    Second,
    /// Since 3: a level of thinking, signatures that must come back.
    Third,
}

impl Generation {
    /// The catalogue tells it by the way in which the model is told to think. Of a model that is not
    /// in it only the name can tell; one whose name says nothing is taken for a new one.
    pub(super) fn of(target: &Target<'_>) -> Self {
        if target.facts.parameters.legacy_thinking {
            return Self::Second;
        }
        if !target.facts.name.is_empty() {
            return Self::Third;
        }
        let model = bare(target.model);
        let begins = |starts: &[&str]| starts.iter().any(|start| model.starts_with(start));
        if begins(&["gemini-1.", "gemini-2.0", "gemini-pro", "gemma"]) {
            Self::Old
        } else if begins(&["gemini-2.5"]) {
            Self::Second
        } else {
            Self::Third
        }
    }
}
