//! A whole answer, written anew where it is not in OpenAI's form.

use std::borrow::Cow;
use std::io::Write as _;

use serde_json::value::RawValue;

use super::counts::{self, Counts};
use super::said::{Call as Called, Said, logprobs};
use crate::openai::Error;
use crate::openai::json::{Append, RawStr, is_null, write_str};
use crate::openai::message::Bounded;
use crate::openai::object::Members;
use crate::openai::place::{from_slice, from_str};
use crate::providers::openai::answer::{MAX_CHOICES, no_answer, unread};
use crate::providers::openai::finish::{ended, is_truthy, replacement};
use crate::providers::{Answer, Call, Payload, failure};

/// OpenAI's words for `service_tier`.
const TIERS: [&str; 6] = ["auto", "default", "flex", "scale", "priority", "fast"];

/// Reads the body of an answer with a status below 300.
///
/// # Errors
/// A body that is no answer, and an error that came with a good status.
pub(super) fn read(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    // Some send blank lines while they think.
    let body = body.trim_ascii();
    if body.is_empty() {
        return Err(no_answer("an empty body"));
    }
    // What is passed over is not looked at, and must be text all the same.
    if std::str::from_utf8(body).is_err() {
        return Err(no_answer("text that is not UTF-8"));
    }
    let members: Members<'_> = from_slice(body).map_err(|error| unread(body, &error))?;
    let find = |name: &str| members.find(name).filter(|value| !is_null(value));
    if find("error").is_some_and(is_truthy) {
        return Err(failure::in_stream(body));
    }
    let list: Option<Bounded<&RawValue, MAX_CHOICES>> = match find("choices") {
        Some(list) => {
            Some(from_str(list.get()).map_err(|_| no_answer("choices that are no list"))?)
        }
        None => None,
    };
    let Some(list) = list.filter(|list| !list.0.is_empty()) else {
        // Some tell an error without the envelope, too.
        if failure::message(body).is_some() {
            return Err(failure::in_stream(body));
        }
        return Err(no_answer("an answer without choices"));
    };
    let mut writer = Writer { call, out: Vec::with_capacity(body.len() + 256), canonical: true };
    writer.head(&members);
    for (at, choice) in list.0.iter().enumerate() {
        writer.out.put(if at == 0 { b"," } else { b"" });
        writer.out.put(if at == 0 { b"\"choices\":[" } else { b"," });
        writer.choice(at, choice)?;
    }
    writer.out.mark(b']');
    let whole = || from_slice::<&RawValue>(body).ok();
    // Ollama's own form has counts at the top.
    let counts = match find("usage") {
        Some(usage) => counts::read(usage),
        None => whole().and_then(counts::read).map(Counts::bare),
    };
    if let Some(counts) = &counts {
        writer.canonical &= counts.canonical;
        writer.out.put(b",\"usage\":");
        writer.out.put(&counts.json);
    }
    writer.others(&members);
    writer.out.mark(b'}');
    let Writer { out, canonical, .. } = writer;
    let body = if canonical { Payload::Same } else { Payload::Whole(out) };
    Ok(Answer { body, usage: counts.map(|counts| counts.usage) })
}

/// Whether it is a text that is not empty.
pub(super) fn is_text(json: &RawValue) -> bool {
    RawStr::from_raw(json).is_some_and(|text| !text.is_empty())
}

/// The value of a member at the top that is passed on, in OpenAI's words.
pub(super) fn own_word<'a>(name: &str, value: &'a RawValue) -> Cow<'a, str> {
    let tier = value.get().trim_matches('"');
    if name == "service_tier" && !TIERS.contains(&tier) {
        return Cow::Borrowed("\"default\"");
    }
    Cow::Borrowed(value.get())
}

struct Writer<'w> {
    call: &'w Call<'w>,
    out: Vec<u8>,
    /// Whether everything so far stands in the provider's body as it is written here.
    canonical: bool,
}

impl Writer<'_> {
    /// What every answer has at its top.
    fn head(&mut self, members: &Members<'_>) {
        let id = members.find("id").filter(|id| is_text(id));
        let model = members.find("model").filter(|model| is_text(model));
        let created = members.find("created").filter(|it| it.get().parse::<u64>().is_ok());
        let object = members.find("object").map(RawValue::get);
        self.canonical &= id.is_some() && model.is_some() && created.is_some();
        self.canonical &= object == Some("\"chat.completion\"");
        self.out.put(b"{\"id\":");
        match id {
            Some(id) => self.out.put(id.get().as_bytes()),
            None => write_str(&mut self.out, &format!("chatcmpl-{}", self.call.id)),
        }
        self.out.put(b",\"object\":\"chat.completion\",\"created\":");
        match created {
            Some(created) => self.out.put(created.get().as_bytes()),
            // Writing to a Vec cannot fail.
            None => drop(write!(self.out, "{}", self.call.created)),
        }
        self.out.put(b",\"model\":");
        match model {
            Some(model) => self.out.put(model.get().as_bytes()),
            None => write_str(&mut self.out, self.call.target.model),
        }
    }

    fn choice(&mut self, at: usize, raw: &RawValue) -> Result<(), Error> {
        let members: Members<'_> =
            from_str(raw.get()).map_err(|_| no_answer("a choice that is no object"))?;
        let find = |name: &str| members.find(name).filter(|value| !is_null(value));
        if let Some(error) = find("error").filter(|error| is_truthy(error)) {
            return Err(failure::in_stream(error.get().as_bytes()));
        }
        let said = find("message").and_then(Said::read);
        let Some(said) = said else { return Err(no_answer("a choice without a message")) };
        let index = find("index").and_then(|index| index.get().parse::<u32>().ok());
        let reason = members.find("finish_reason").map_or("null", RawValue::get);
        let word =
            replacement(reason, !said.calls.is_empty(), Some(ended(!said.calls.is_empty())))?;
        let top = find("top_logprobs");
        let written = find("logprobs");
        let probable = written.and_then(|raw| logprobs(raw, said.content.as_deref(), top));
        self.canonical &= said.canonical && index.is_some() && word.is_none() && probable.is_none();
        let index = index.unwrap_or_else(|| u32::try_from(at).unwrap_or_default());
        // Writing to a Vec cannot fail.
        let _ = write!(self.out, r#"{{"index":{index},"message":"#);
        self.message(&said);
        self.out.put(b",\"logprobs\":");
        let probable = probable.as_deref().or_else(|| written.map(RawValue::get)).unwrap_or("null");
        self.out.put(probable.as_bytes());
        let _ = write!(self.out, r#","finish_reason":{}"#, word.as_deref().unwrap_or(reason));
        for (name, value) in &members.0 {
            let own = ["index", "message", "logprobs", "finish_reason", "error", "text"];
            if !own.contains(&&**name) && !is_null(value) {
                self.member(name, value.get());
            }
        }
        self.out.mark(b'}');
        Ok(())
    }

    fn message(&mut self, said: &Said<'_>) {
        self.out.put(br#"{"role":"assistant","content":"#);
        quoted_or_null(&mut self.out, said.content.as_deref());
        if let Some(refusal) = said.refusal {
            self.out.put(b",\"refusal\":");
            quoted_or_null(&mut self.out, Some(refusal));
        }
        if let Some(reasoning) = &said.reasoning {
            self.out.put(b",\"reasoning_content\":");
            quoted_or_null(&mut self.out, Some(reasoning));
        }
        for (at, call) in said.calls.iter().enumerate() {
            let before: &[u8] = if at == 0 { b",\"tool_calls\":[" } else { b"," };
            self.out.put(before);
            write_call(&mut self.out, call, &call_id(self.call, at));
        }
        if !said.calls.is_empty() {
            self.out.mark(b']');
        }
        for (name, value) in &said.others {
            self.member(name, value.get());
        }
        self.out.mark(b'}');
    }

    /// What else stood at the top.
    fn others(&mut self, members: &Members<'_>) {
        for (name, value) in &members.0 {
            let own = ["id", "object", "created", "model", "choices", "usage", "error"];
            if !own.contains(&&**name) && !is_null(value) {
                let json = own_word(name, value);
                self.canonical &= json == value.get();
                self.member(name, &json);
            }
        }
    }

    fn member(&mut self, name: &str, json: &str) {
        self.out.mark(b',');
        write_str(&mut self.out, name);
        self.out.mark(b':');
        self.out.put(json.as_bytes());
    }
}

/// An id for a call that came without.
pub(super) fn call_id(call: &Call<'_>, at: usize) -> String {
    format!("call_{}_{at}", call.id)
}

fn write_call(out: &mut Vec<u8>, call: &Called<'_>, ours: &str) {
    out.put(b"{\"id\":");
    match call.id {
        Some(id) => out.put(id.as_written().as_bytes()),
        None => write_str(out, ours),
    }
    out.put(br#","type":"function","function":{"name":"#);
    out.put(call.name.unwrap_or(RawStr::EMPTY).as_written().as_bytes());
    let blank = call.arguments.trim_ascii().is_empty();
    let arguments = if blank { "{}" } else { &*call.arguments };
    // Writing to a Vec cannot fail.
    let _ = write!(out, r#","arguments":"{arguments}"}}}}"#);
}

fn quoted_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        // Writing to a Vec cannot fail.
        Some(text) => drop(write!(out, "\"{text}\"")),
        None => out.put(b"null"),
    }
}
