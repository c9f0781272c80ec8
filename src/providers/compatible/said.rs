//! What a message or a delta says, in any of the forms in use.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::openai::json::{Append, RawStr, escape, is_null, is_object, write_compact, write_str};
use crate::openai::message::{Bounded, MAX_ITEMS};
use crate::openai::object::Members;
use crate::openai::place::from_str;
use crate::providers::openai::finish::{is_empty, is_truthy};

/// Most calls of one choice.
pub(super) const MAX_CALLS: usize = 256;

/// A message, or a piece of one. Texts are JSON string contents: escaped, without the quotes.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub content: Option<Cow<'a, str>>,
    pub reasoning: Option<Cow<'a, str>>,
    pub refusal: Option<&'a str>,
    pub calls: Vec<Call<'a>>,
    /// Members that are passed on as they are.
    pub others: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Whether it is in OpenAI's form, as a whole message.
    pub canonical: bool,
}

/// A call, or a piece of one.
#[derive(Default)]
pub(super) struct Call<'a> {
    pub index: Option<u64>,
    pub id: Option<RawStr<'a>>,
    pub name: Option<RawStr<'a>>,
    /// JSON string contents; empty where there are none.
    pub arguments: Cow<'a, str>,
    pub canonical: bool,
}

impl<'a> Said<'a> {
    /// Reads a message or a delta. Nothing when it is no object, or makes too many calls.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        if !is_object(raw) {
            return None;
        }
        let members: Members<'a> = from_str(raw.get()).ok()?;
        let mut said = Self { canonical: true, ..Self::default() };
        let mut has_role = false;
        let mut has_content = false;
        for (name, value) in members.0 {
            match &*name {
                "role" => {
                    has_role = true;
                    said.canonical &= value.get() == "\"assistant\"";
                }
                "content" => {
                    has_content = true;
                    said.canonical &= is_null(value) || RawStr::from_raw(value).is_some();
                    said.content = text(value, &mut said.reasoning);
                }
                "reasoning_content" | "reasoning" => {
                    let text = RawStr::from_raw(value).map(RawStr::inner);
                    said.canonical &= name == "reasoning_content";
                    if let Some(text) = text.filter(|text| !text.is_empty())
                        && (said.reasoning.is_none() || name == "reasoning_content")
                    {
                        said.reasoning = Some(Cow::Borrowed(text));
                    }
                }
                "refusal" => said.refusal = RawStr::from_raw(value).map(RawStr::inner),
                "tool_calls" => {
                    if is_null(value) {
                        continue;
                    }
                    said.canonical &= value.get().starts_with('[') && !is_empty(value);
                    let list: Bounded<&'a RawValue, MAX_CALLS> = from_str(value.get()).ok()?;
                    said.calls = list.0.into_iter().filter_map(Call::read).collect();
                    said.canonical &= said.calls.iter().all(|call| call.canonical);
                }
                // Together tells the number of each token.
                "token_id" => {}
                _ if is_null(value) => {}
                _ => said.others.push((name, value)),
            }
        }
        said.canonical &= has_role && has_content;
        Some(said)
    }

    /// Whether a client would see something of it.
    pub(super) fn says_something(&self) -> bool {
        let text = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        text(self.content.as_deref())
            || text(self.reasoning.as_deref())
            || text(self.refusal)
            || !self.calls.is_empty()
            || self.others.iter().any(|(_, value)| is_truthy(value))
    }
}

impl<'a> Call<'a> {
    fn read(raw: &'a RawValue) -> Option<Self> {
        let members: Members<'a> = from_str(raw.get()).ok()?;
        let mut call = Self::default();
        let mut canonical = false;
        for (name, value) in members.0 {
            match &*name {
                "index" => call.index = value.get().parse::<f64>().ok().map(|index| index as u64),
                "id" => call.id = RawStr::from_raw(value).filter(|id| !id.is_empty()),
                "type" => canonical = value.get() == "\"function\"",
                "function" => call.function(value),
                _ => {}
            }
        }
        call.canonical &= canonical && call.id.is_some() && call.name.is_some();
        Some(call)
    }

    fn function(&mut self, raw: &'a RawValue) {
        let Ok(members) = from_str::<Members<'a>>(raw.get()) else { return };
        for (name, value) in members.0 {
            match &*name {
                "name" => self.name = RawStr::from_raw(value).filter(|name| !name.is_empty()),
                "arguments" => match RawStr::from_raw(value) {
                    Some(text) => {
                        self.canonical = !text.is_blank();
                        self.arguments = Cow::Borrowed(text.inner());
                    }
                    None if is_object(value) => {
                        let mut compact = Vec::new();
                        write_compact(&mut compact, value.get());
                        self.arguments = Cow::Owned(escape(&String::from_utf8_lossy(&compact)));
                    }
                    None => {}
                },
                _ => {}
            }
        }
    }
}

/// The text of a message's content: a string, or the texts of a list of parts. Thoughts among these
/// go to `reasoning`.
fn text<'a>(raw: &'a RawValue, reasoning: &mut Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
    if let Some(text) = RawStr::from_raw(raw) {
        return Some(Cow::Borrowed(text.inner()));
    }
    let parts: Bounded<Members<'a>, MAX_ITEMS> = from_str(raw.get()).ok()?;
    let mut texts = String::new();
    let mut thoughts = String::new();
    for part in &parts.0 {
        for (name, value) in &part.0 {
            match (&**name, RawStr::from_raw(value)) {
                ("text", Some(text)) => texts.push_str(text.inner()),
                ("thinking", Some(text)) => thoughts.push_str(text.inner()),
                _ => {}
            }
        }
    }
    if !thoughts.is_empty() && reasoning.is_none() {
        *reasoning = Some(Cow::Owned(thoughts));
    }
    Some(Cow::Owned(texts))
}

/// Token probabilities in OpenAI's form, or nothing where they are in it already. Together gives
/// lists of tokens and numbers, and in a stream one number for the token in `content`.
pub(super) fn logprobs(
    raw: &RawValue,
    content: Option<&str>,
    top: Option<&RawValue>,
) -> Option<String> {
    let mut out = br#"{"content":["#.to_vec();
    if raw.get().parse::<f64>().is_ok() {
        write_token(&mut out, content.unwrap_or_default(), raw.get(), top);
    } else {
        let members: Members<'_> = from_str(raw.get()).ok()?;
        let find =
            |name: &str| members.0.iter().find(|(known, _)| known == name).map(|(_, it)| *it);
        if find("content").is_some() || find("refusal").is_some() {
            return None;
        }
        let list = |name: &str| {
            let list: Bounded<&RawValue, MAX_ITEMS> = from_str(find(name)?.get()).ok()?;
            Some(list.0)
        };
        let tops = list("top_logprobs").unwrap_or_default();
        let (Some(tokens), Some(numbers)) = (list("tokens"), list("token_logprobs")) else {
            return Some("null".to_owned());
        };
        for (at, (token, number)) in tokens.iter().zip(&numbers).enumerate() {
            if at > 0 {
                out.mark(b',');
            }
            let token = RawStr::from_raw(token).map(RawStr::inner).unwrap_or_default();
            write_token(&mut out, token, number_of(number), tops.get(at).copied());
        }
    }
    out.put(b"],\"refusal\":null}");
    String::from_utf8(out).ok()
}

fn write_token(out: &mut Vec<u8>, token: &str, number: &str, top: Option<&RawValue>) {
    out.put(
        format!(r#"{{"token":"{token}","logprob":{number},"bytes":null,"top_logprobs":["#)
            .as_bytes(),
    );
    let others = top.and_then(|top| from_str::<Members<'_>>(top.get()).ok());
    for (at, (token, number)) in others.iter().flat_map(|others| &others.0).enumerate() {
        if at > 0 {
            out.mark(b',');
        }
        out.put(b"{\"token\":");
        write_str(out, token);
        let number = number_of(number);
        out.put(format!(r#","logprob":{number},"bytes":null}}"#).as_bytes());
    }
    out.put(b"]}");
}

/// The number as it was written; 0 for anything else, such as the null of a first token.
fn number_of(raw: &RawValue) -> &str {
    if raw.get().parse::<f64>().is_ok() { raw.get() } else { "0" }
}
