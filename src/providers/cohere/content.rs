//! What answers consist of, as it arrives: borrowed, and read no stricter than needed.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::names;
use crate::openai::chunk::FinishReason;
use crate::openai::json::{Append, RawStr, escape, is_object, string, write_compact, write_str};
use crate::openai::message::Bounded;
use crate::openai::place::{from_str, members};
use crate::openai::usage::{Count, Usage};
use crate::openai::{Class, Error};
use crate::providers::citations::{Annotations, characters};
use crate::providers::failure;
use crate::providers::failure::no_answer;
use crate::providers::ids::{Form, Ids, MAX_LETTERS};

/// Most blocks of content of an answer, and most calls. A stream with more is read on, but where
/// the later blocks begin is not remembered.
pub(super) const MAX_BLOCKS: usize = 8192;

/// Most tokens whose probabilities are passed on. An answer with more of them comes without.
const MAX_TOKENS: usize = 1 << 20;

/// A tool call, or a piece of one.
#[derive(Debug)]
pub(super) struct ToolCall<'a> {
    id: Option<&'a RawValue>,
    function: Option<Function<'a>>,
}

members!(ToolCall<'a> { id, function });

#[derive(Debug)]
struct Function<'a> {
    name: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
}

members!(Function<'a> { name, arguments });

impl<'a> ToolCall<'a> {
    /// Id and name. One without an id gets one, which is the same for the same `answer` and place
    /// in it.
    ///
    /// # Errors
    /// A call without a name cannot be answered.
    pub(super) fn begin(&self, answer: &str, number: u32) -> Result<(String, String), Error> {
        let name = self.function.as_ref().and_then(|function| string(function.name));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(no_answer("a tool call without a name"));
        };
        let id = match string(self.id).filter(|id| !id.is_empty()) {
            Some(id) => id.decode().into_owned(),
            None => made_id(answer, number),
        };
        Ok((id, names::original(name.decode())))
    }

    /// The arguments, or a piece of them, as a JSON string: a string as it is, an object as its
    /// compact text; nothing where there are none.
    pub(super) fn arguments(&self) -> Option<Cow<'a, str>> {
        let raw = self.function.as_ref()?.arguments?;
        match string(Some(raw)) {
            Some(text) => Some(text).filter(|it| !it.is_empty()).map(|it| it.as_written().into()),
            None if is_object(raw) => {
                let mut json = Vec::new();
                write_compact(&mut json, raw.get());
                Some(format!("\"{}\"", escape(&String::from_utf8_lossy(&json))).into())
            }
            None => None,
        }
    }
}

/// The form of ids that are made here.
const MADE_IDS: Form = Form { fits: |_| false, prefix: "call_", letters: MAX_LETTERS };

fn made_id(answer: &str, number: u32) -> String {
    Ids::new(&MADE_IDS).fit(&format!("{answer}:{number}")).to_owned()
}

/// A block of content: text or thinking. A piece of one has no type.
#[derive(Debug)]
pub(super) struct Block<'a> {
    text: Option<&'a RawValue>,
    thinking: Option<&'a RawValue>,
}

members!(Block<'a> { text, thinking });

impl<'a> Block<'a> {
    /// What is said.
    pub(super) fn text(&self) -> Option<RawStr<'a>> {
        string(self.text).filter(|text| !text.is_empty())
    }

    /// What is thought.
    pub(super) fn thinking(&self) -> Option<RawStr<'a>> {
        string(self.thinking).filter(|text| !text.is_empty())
    }
}

/// The citations of an answer, and where in the content its blocks begin.
#[derive(Debug, Default)]
pub(super) struct Citations {
    annotations: Annotations,
    /// The number of a block, and the characters of content before it.
    blocks: Vec<(u64, usize)>,
    /// Characters of content so far.
    position: usize,
}

impl Citations {
    /// A block begins.
    pub(super) fn block(&mut self, index: u64) {
        if self.blocks.len() < MAX_BLOCKS {
            self.blocks.push((index, self.position));
        }
    }

    /// More content.
    pub(super) fn text(&mut self, text: RawStr<'_>) {
        self.position = self.position.saturating_add(characters(text.inner()));
    }

    /// A citation, or a list of them. Of its sources those with a URL become annotations.
    pub(super) fn cite(&mut self, raw: Option<&RawValue>) {
        let Some(raw) = raw else { return };
        if is_object(raw) {
            if let Ok(citation) = from_str(raw.get()) {
                self.one(&citation);
            }
        } else if let Ok(list) = from_str::<Bounded<Citation<'_>, MAX_BLOCKS>>(raw.get()) {
            list.0.iter().for_each(|citation| self.one(citation));
        }
    }

    fn one(&mut self, citation: &Citation<'_>) {
        // Those of thoughts and plans have no place in the content.
        if string(citation.kind).is_some_and(|kind| kind.inner() != "TEXT_CONTENT") {
            return;
        }
        let block = citation
            .content_index
            .and_then(|index| self.blocks.iter().rev().find(|(number, _)| *number == index.0));
        let before = block.map_or(0, |(_, before)| *before);
        let at = |place: &Option<Count>| {
            let place = place.as_ref().map_or(0, |place| usize::try_from(place.0).unwrap_or(0));
            before.saturating_add(place)
        };
        let (start, end) = (at(&citation.start), at(&citation.end));
        for source in citation.sources.iter().flat_map(|list| &list.0) {
            for raw in [source.document, source.tool_output].into_iter().flatten() {
                let Ok(found) = from_str::<Found<'_>>(raw.get()) else { continue };
                if let Some(url) = string(found.url).filter(|url| !url.is_empty()) {
                    let title = string(found.title).unwrap_or(RawStr::EMPTY);
                    self.annotations.add(start, end, title, url);
                }
            }
        }
    }

    /// The list of annotations, if there are any.
    pub(super) fn list(&mut self) -> Option<String> {
        self.annotations.list()
    }
}

struct Citation<'a> {
    kind: Option<&'a RawValue>,
    start: Option<Count>,
    end: Option<Count>,
    content_index: Option<Count>,
    sources: Option<Bounded<Source<'a>, MAX_BLOCKS>>,
}

members!(Citation<'a> { kind "type", start, end, content_index, sources });

struct Source<'a> {
    document: Option<&'a RawValue>,
    tool_output: Option<&'a RawValue>,
}

members!(Source<'a> { document, tool_output });

struct Found<'a> {
    url: Option<&'a RawValue>,
    title: Option<&'a RawValue>,
}

members!(Found<'a> { url, title });

/// Why an answer ended. `calls` says whether it made calls; `explained` is what the provider says of
/// a failure.
///
/// # Errors
/// The provider failed in the middle.
pub(super) fn finish_reason(
    reason: &str,
    explained: Option<RawStr<'_>>,
    calls: bool,
) -> Result<FinishReason, Error> {
    Ok(match reason {
        "ERROR" | "TIMEOUT" => return Err(failed(reason, explained)),
        "ERROR_TOXIC" => FinishReason::ContentFilter,
        "MAX_TOKENS" | "ERROR_LIMIT" => FinishReason::Length,
        _ if calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    })
}

fn failed(reason: &str, explained: Option<RawStr<'_>>) -> Error {
    if let Some(text) = explained.filter(|text| !text.is_blank()) {
        let mut json = b"{\"message\":".to_vec();
        write_str(&mut json, &text.decode());
        json.mark(b'}');
        let error = failure::in_stream(&json);
        if reason != "TIMEOUT" || error.class != Class::Server {
            return error;
        }
        return Error::new(Class::Timeout, error.message);
    }
    match reason {
        "TIMEOUT" => Error::new(Class::Timeout, "the provider took too long for its answer"),
        _ => Error::new(Class::Server, "the provider failed in the middle of its answer"),
    }
}

/// The provider's probabilities, of one piece of text or of a list of them, in OpenAI's form. A piece
/// of several tokens stands as one, as probable as all of them together: where one ends and the next
/// begins is not told.
pub(super) fn logprobs(raw: Option<&RawValue>) -> Option<String> {
    struct Item<'a> {
        text: Option<&'a RawValue>,
        logprobs: Option<Bounded<&'a RawValue, MAX_TOKENS>>,
    }
    members!(Item<'a> { text, logprobs });
    let raw = raw?;
    let items: Vec<Item<'_>> = if is_object(raw) {
        vec![from_str(raw.get()).ok()?]
    } else {
        from_str::<Bounded<Item<'_>, MAX_TOKENS>>(raw.get()).ok()?.0
    };
    let mut out = String::from("{\"content\":[");
    let empty = out.len();
    for item in &items {
        let (Some(text), Some(parts)) = (string(item.text), &item.logprobs) else { continue };
        let probable = match parts.0.as_slice() {
            [] => continue,
            [one] => one.get().to_owned(),
            several => {
                let sum: f64 = several.iter().filter_map(|it| it.get().parse::<f64>().ok()).sum();
                sum.to_string()
            }
        };
        if !probable.parse().is_ok_and(f64::is_finite) {
            continue;
        }
        out.push_str(if out.len() == empty { "" } else { "," });
        out.push_str(&format!(
            r#"{{"token":{},"logprob":{probable},"bytes":null,"top_logprobs":[]}}"#,
            text.as_written()
        ));
    }
    if out.len() == empty {
        return None;
    }
    out.push_str("],\"refusal\":null}");
    Some(out)
}

/// The counts. Those that are billed leave out what the provider adds to a prompt and to an answer,
/// and stand in where there are no others.
pub(super) fn usage(raw: Option<&RawValue>) -> Option<Usage> {
    #[derive(Default)]
    struct Wire {
        tokens: Option<Tokens>,
        billed_units: Option<Tokens>,
        cached_tokens: u64,
    }
    members!(Wire { tokens, billed_units, cached_tokens (count) });
    #[derive(Clone, Copy, Default)]
    struct Tokens {
        input_tokens: u64,
        output_tokens: u64,
    }
    members!(Tokens { input_tokens (count), output_tokens (count) });
    let raw = raw.filter(|raw| is_object(raw))?;
    let wire: Wire = from_str(raw.get()).ok()?;
    let tokens = wire.tokens.or(wire.billed_units)?;
    let billed = wire.billed_units.unwrap_or(tokens);
    let cache_read = wire.cached_tokens.min(tokens.input_tokens);
    let uncached_input = tokens.input_tokens - cache_read;
    Some(Usage {
        uncached_input,
        cache_read,
        output: tokens.output_tokens,
        unbilled_input: tokens.input_tokens.saturating_sub(billed.input_tokens).min(uncached_input),
        unbilled_output: tokens.output_tokens.saturating_sub(billed.output_tokens),
        ..Usage::default()
    })
}
