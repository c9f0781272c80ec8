//! The model's turns: text, calls, and the signatures of the thoughts that led to them.
//!
//! Since Gemini 3 the first call of a step must come back with its signature. A client returns it in
//! `extra_content`, as Google's own endpoint has it, or in the call's id, where every client does. A
//! history that another provider wrote has none; the API has a word that stands for it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::contents::{Contents, Pending, write_text};
use super::surface::Generation;
use crate::openai::Error;
use crate::openai::json::{Append, RawStr, separate, string, write_str};
use crate::openai::message::{Content, Message, ToolCall};
use crate::openai::place::{from_str, members};
use crate::providers::conversation::{Called, called, calls_of, check_answer, parts_of};
use crate::providers::ids::unsign;

/// `skip_thought_signature_validator` in base64: the word for a signature that there is not.
const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// What begins an id that was made here since the provider gave none.
pub(super) const OWN_ID: &str = "waypost_";

impl<'a> Contents<'_, 'a> {
    /// A run of the model's messages.
    pub(super) fn write_model(
        &mut self,
        run: &[(usize, &Message<'a>)],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.calls.clear();
        let begin = out.len();
        separate(out);
        out.put(br#"{"role":"model","parts":["#);
        let empty = out.len();
        for (index, message) in run {
            self.write_model_message(*index, message, out)?;
        }
        if out.len() == empty {
            out.truncate(begin);
        } else {
            out.put(b"]}");
        }
        Ok(())
    }

    fn write_model_message(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let sound = &format!("{} keeps no sound", self.surface.name());
        check_answer(index, message, sound, self.target, &mut self.warnings)?;
        // Thoughts are no part of a conversation here, whoever had them.
        if message.reasoning_content.is_some() {
            self.warnings.dropped("messages[].reasoning_content");
        }
        if message.thinking_blocks.is_some() {
            self.warnings.dropped("messages[].thinking_blocks");
        }
        match message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => write_text(text, out),
            Content::Parts(parts) => {
                for part in parts_of(index, parts)? {
                    match part.text.or(part.refusal) {
                        Some(text) => write_text(text, out),
                        None => self.warnings.dropped("messages[].content[]"),
                    }
                }
            }
        }
        message.refusal.into_iter().for_each(|text| write_text(text, out));
        let calls = calls_of(index, message)?;
        // The provider's own ids stand beside a signature: in the same answer at least one call has.
        let own = calls.iter().any(|call| signature(call).is_some());
        for (place, call) in calls.iter().enumerate() {
            self.write_call((index, place), call, own, out)?;
        }
        Ok(())
    }

    fn write_call(
        &mut self,
        (index, place): (usize, usize),
        call: &ToolCall<'a>,
        own: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Called { name, arguments } = called(index, place, call, self.surface.name())?;
        let id = call.id.decode();
        let (bare, _) = unsign(&id);
        let given = (own && !bare.is_empty() && !bare.starts_with(OWN_ID)).then(|| bare.to_owned());
        let name = self.names.written(&name).to_owned();
        separate(out);
        out.put(br#"{"functionCall":{"#);
        if let Some(id) = &given {
            out.put(b"\"id\":");
            write_str(out, id);
            out.mark(b',');
        }
        out.put(b"\"name\":");
        write_str(out, &name);
        out.put(b",\"args\":");
        out.put(arguments.trim_ascii().as_bytes());
        out.mark(b'}');
        let first = self.calls.is_empty();
        let missing = || {
            let needed = first && self.generation >= Generation::Third;
            needed.then_some(Cow::Borrowed(NO_SIGNATURE))
        };
        if let Some(signature) = signature(call).or_else(missing) {
            out.put(b",\"thoughtSignature\":");
            write_str(out, &signature);
        }
        out.mark(b'}');
        self.calls.push(Pending { place: (index, place), id: id.into_owned(), name, given });
        Ok(())
    }
}

/// The signature that came with a call. What is no base64 would be refused, and is none.
fn signature<'a>(call: &ToolCall<'a>) -> Option<Cow<'a, str>> {
    struct Extra<'a> {
        google: Option<Google<'a>>,
    }
    members!(Extra<'a> { google });
    struct Google<'a> {
        thought_signature: Option<&'a RawValue>,
    }
    members!(Google<'a> { thought_signature });
    let extra = call.extra_content.and_then(|raw| from_str::<Extra<'a>>(raw.get()).ok());
    let told = extra.and_then(|extra| string(extra.google?.thought_signature));
    let told = told.map(RawStr::decode).filter(|text| is_base64(text));
    told.or_else(|| {
        let id = call.id.decode();
        let (_, signature) = unsign(&id);
        signature.filter(|text| is_base64(text)).map(|text| Cow::Owned(text.to_owned()))
    })
}

/// Of either alphabet, with or without padding.
fn is_base64(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    !letters.is_empty() && letters.len() % 4 != 1 && letters.bytes().all(letter)
}
