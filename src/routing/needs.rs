//! What a request needs of a model, and which candidates have it: decided before anything is sent.
//!
//! A candidate of which the catalogue or the configuration knows that it lacks something is left
//! out; one of which nothing is known is asked. What a request needs:
//!
//! | capability | of a request with | without it |
//! |---|---|---|
//! | `tools` | `tools` or `functions`, unless `tool_choice` is `none` | left out |
//! | `vision` | a picture | left out |
//! | `pdf` | a PDF document | left out |
//! | `audio` | sound in it, or `audio` among the `modalities` | left out |
//! | `json_schema` | `response_format` of that type | left out, unless its dialect [emulates](crate::providers::Dialect::emulates) it |
//! | `reasoning` | a `reasoning_effort` other than `none` | asked last: the effort is a hint, and dropped there |
//! | context length | more input than the window holds | left out |
//!
//! # Not supported
//! `parallel_tools`, `prompt_caching` and `web_search`: the first two are no need, and what becomes
//! of the third is the dialect's to say.

use super::decision::Plan;
use super::skipped::{Skipped, Why};
use super::{Candidate, Resolved};
use crate::config::Gateway;
use crate::openai::message::Content;
use crate::openai::request::{ResponseFormat, ToolChoice};
use crate::openai::validate::Media;
use crate::openai::{Chat, Class, Error};
use crate::providers::catalogue::{Capabilities, Capability, Mode};

/// Bytes of running text that a token has at most, on average. Tokens of English have four to
/// five, of other languages and of code fewer; repeated characters are not counted at all. So what
/// is estimated is never more than a model counts, and nothing that fits is refused.
pub const MAX_BYTES_A_TOKEN: u64 = 8;

/// What a request needs.
#[derive(Debug)]
pub struct Needs<'a> {
    chat: &'a Chat<'a>,
    media: Media,
    /// Length of the request's body: an upper bound of its text.
    body: usize,
    tools: Option<&'static str>,
    audio_out: bool,
    schema: bool,
    effort: bool,
}

/// What a candidate lacks.
struct Lack {
    what: String,
    param: String,
    class: Class,
}

impl<'a> Needs<'a> {
    /// What `chat` needs. `media` is what its validation found, `body` the length of its body.
    #[must_use]
    pub fn of(chat: &'a Chat<'a>, media: Media, body: usize) -> Self {
        let calls = !matches!(chat.tool_choice, Some(ToolChoice::None));
        let functions = || chat.field("functions").is_some();
        Self {
            chat,
            media,
            body,
            tools: match () {
                () if calls && !chat.tools.is_empty() => Some("tools"),
                () if calls && functions() => Some("functions"),
                () => None,
            },
            audio_out: chat
                .field("modalities")
                .is_some_and(|list| list.get().contains("\"audio\"")),
            schema: matches!(chat.response_format, Some(ResponseFormat::JsonSchema(_))),
            effort: chat.reasoning_effort.is_some_and(|effort| effort.as_written() != "\"none\""),
        }
    }

    /// What the request needs, for rules: the column on the left of the table above.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let Media { image, pdf, audio, .. } = &self.media;
        [
            (Capability::Tools, self.tools.is_some()),
            (Capability::Vision, image.is_some()),
            (Capability::Pdf, pdf.is_some()),
            (Capability::Audio, audio.is_some() || self.audio_out),
            (Capability::JsonSchema, self.schema),
            (Capability::Reasoning, self.effort),
        ]
        .into_iter()
        .filter_map(|(capability, needed)| needed.then_some(capability))
        .collect()
    }

    fn lack(&self, found: &Resolved<'_>) -> Option<Lack> {
        let facts = &found.model.facts;
        if facts.known {
            let lacks = |capability| !facts.capabilities.has(capability);
            let of = |capability: Capability, param: String| {
                let what = format!("{capability} is not a capability of this model");
                Some(Lack { what, param, class: Class::Client })
            };
            if facts.mode != Mode::Chat {
                let what = "it is not a model for chat completions".to_owned();
                return Some(Lack { what, param: "model".to_owned(), class: Class::Client });
            }
            for (capability, place) in [
                (Capability::Vision, self.media.image),
                (Capability::Pdf, self.media.pdf),
                (Capability::Audio, self.media.audio),
            ] {
                if let Some(place) = place
                    && lacks(capability)
                {
                    return of(capability, place.to_string());
                }
            }
            if self.audio_out && lacks(Capability::Audio) {
                return of(Capability::Audio, "modalities".to_owned());
            }
            if let Some(param) = self.tools
                && lacks(Capability::Tools)
            {
                return of(Capability::Tools, param.to_owned());
            }
            if self.schema
                && lacks(Capability::JsonSchema)
                && !found
                    .provider
                    .api
                    .dialect
                    .emulates(Capability::JsonSchema, &found.provider.target(found.model))
            {
                return of(Capability::JsonSchema, "response_format".to_owned());
            }
        }
        let window = facts.context_window?;
        // Some windows are of input alone, others of all tokens: only where the most output is not
        // known can a window be nothing but the second.
        let output = match facts.max_output {
            Some(_) => 0,
            None => self.chat.max_tokens.unwrap_or(0),
        };
        if self.body as u64 / MAX_BYTES_A_TOKEN + output <= window {
            return None;
        }
        let input = tokens_at_least(self.chat);
        (input + output > window).then(|| Lack {
            what: format!(
                "at least {input} tokens of input{} do not fit into its window of {window}",
                match output {
                    0 => String::new(),
                    output => format!(" and {output} of output"),
                }
            ),
            param: "messages".to_owned(),
            class: Class::ContextLength,
        })
    }
}

/// Fewest tokens that the texts of a conversation can be.
fn tokens_at_least(chat: &Chat<'_>) -> u64 {
    let texts = chat.messages.iter().map(|message| match message.content {
        Content::Text(text) => running(&text.decode()),
        Content::Parts(parts) => {
            let parts = crate::openai::message::parts(parts);
            parts.iter().filter_map(|part| part.text).map(|text| running(&text.decode())).sum()
        }
        Content::Absent | Content::Null => 0,
    });
    texts.sum::<u64>() / MAX_BYTES_A_TOKEN
}

/// Bytes of a text, those apart that only repeat the one before: a row of blanks or dashes can be
/// one token.
fn running(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let same = bytes.iter().zip(bytes.iter().skip(1)).filter(|(one, other)| one == other).count();
    (bytes.len() - same) as u64
}

impl Plan {
    /// Leaves out the candidates that cannot serve the request, and notes why.
    ///
    /// # Errors
    /// A 400 that says what is missing where, when none is left.
    pub fn keep_able(&mut self, needs: &Needs<'_>, gateway: &Gateway) -> Result<(), Error> {
        let mut lacks: Vec<Lack> = Vec::new();
        let skipped = &mut self.skipped;
        self.candidates.retain(|candidate| {
            let lack = candidate.resolve(gateway).and_then(|found| needs.lack(&found));
            let Some(lack) = lack else { return true };
            let why = match lack.class {
                Class::ContextLength => Why::ContextLength,
                _ => Why::Capability,
            };
            skipped.push(Skipped::new(*candidate, why, &lack.what));
            lacks.push(lack);
            false
        });
        if self.candidates.is_empty() && !lacks.is_empty() {
            return Err(self.nobody(&lacks, gateway));
        }
        self.effort = needs.effort;
        if needs.effort {
            self.defer_thoughtless(gateway);
        }
        Ok(())
    }

    /// Moves the candidates that do not reason behind those that do.
    fn defer_thoughtless(&mut self, gateway: &Gateway) {
        let reasons = |candidate: &Candidate| {
            candidate.resolve(gateway).is_none_or(|found| {
                let facts = &found.model.facts;
                !facts.known || facts.capabilities.has(Capability::Reasoning)
            })
        };
        let after = self.candidates.iter().rposition(reasons);
        let behind = self.candidates.iter().take(after.unwrap_or(0)).filter(|c| !reasons(c));
        let reason = "it does not reason: asked last";
        self.skipped
            .extend(behind.map(|candidate| Skipped::new(*candidate, Why::Capability, reason)));
        let last: Vec<Candidate> = self.candidates.extract_if(.., |it| !reasons(it)).collect();
        self.candidates.extend(last);
    }

    fn nobody(&self, lacks: &[Lack], gateway: &Gateway) -> Error {
        let mut said = String::new();
        let first = self.skipped.len().saturating_sub(lacks.len());
        for (skipped, lack) in self.skipped.iter().skip(first).zip(lacks) {
            let Some(found) = skipped.candidate.resolve(gateway) else { continue };
            let line = format!("{}/{}: {}", found.provider.name, found.model.name, lack.what);
            // Endpoints of one provider lack the same.
            if !said.contains(&line) {
                if !said.is_empty() {
                    said.push_str("; ");
                }
                said.push_str(&line);
            }
        }
        let message = format!("No candidate can serve this request ({said}).");
        let one = |same: fn(&Lack, &Lack) -> bool| {
            lacks.first().filter(|first| lacks.iter().all(|lack| same(first, lack)))
        };
        let error = match one(|first, lack| first.class == lack.class) {
            Some(Lack { class: Class::ContextLength, .. }) => {
                Error::new(Class::ContextLength, message)
            }
            _ => Error::new(Class::Client, message).with_code("unsupported_capability"),
        };
        match one(|first, lack| first.param == lack.param) {
            Some(lack) => error.with_param(&*lack.param),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests;
