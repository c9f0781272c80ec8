//! The assistant's turns: thinking, text, calls.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::messages::Turns;
use crate::openai::Error;
use crate::openai::json::{Append, RawStr, separate, string, write_str};
use crate::openai::message::{Content, Items, Message};
use crate::openai::place::{from_str, members};
use crate::openai::request::read;
use crate::providers::catalogue::Capability;
use crate::providers::conversation::{
    calls_of, check_answer, no_prefill, within, write_calls, write_text,
};
use crate::providers::ids;
use crate::providers::thoughts::MISTRAL;

impl<'a> Turns<'_, 'a> {
    /// A message of the assistant. Says whether it was written: an empty one would be refused.
    /// `last` says that the model is to go on with it.
    pub(super) fn write_assistant(
        &mut self,
        index: usize,
        message: &Message<'a>,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let sound = "Mistral gives no sound that could be referred to";
        check_answer(index, message, sound, self.target, &mut self.warnings)?;
        let said = Said::read(index, message)?;
        let calls = calls_of(index, message)?;
        if said.texts.is_empty() && calls.is_empty() {
            return Ok(false);
        }
        let continued = last && calls.is_empty();
        if continued && !self.target.facts.parameters.assistant_prefill {
            return Err(no_prefill(index, self.target));
        }
        separate(out);
        out.put(b"{\"role\":\"assistant\"");
        self.write_own(&said, out);
        write_calls(index, &calls, "Mistral", &mut self.ids, ids::fit_name, out)?;
        if continued {
            out.put(b",\"prefix\":true");
        }
        out.mark(b'}');
        Ok(true)
    }

    /// Thinking with a signature of the provider's own goes back as it came. Other thinking, which
    /// may be another provider's, is for models that think.
    fn write_own(&mut self, said: &Said<'_>, out: &mut Vec<u8>) {
        let facts = self.target.facts;
        let thinks = facts.known && facts.capabilities.has(Capability::Reasoning);
        let signed = !said.signed.is_empty() && facts.capabilities.has(Capability::Reasoning);
        let unsigned = !signed && thinks && !said.thinking.is_empty();
        if !said.signed.is_empty() && !signed || said.foreign && !signed && !unsigned {
            self.warnings.dropped("messages[].thinking_blocks");
        } else if !said.thinking.is_empty() && !signed && !unsigned {
            self.warnings.dropped("messages[].reasoning_content");
        }
        match said.texts.as_slice() {
            [] if !signed && !unsigned => {}
            [text] if !signed && !unsigned => {
                out.put(b",\"content\":");
                out.put(text.as_written().as_bytes());
            }
            texts => {
                out.put(b",\"content\":[");
                if signed {
                    for (text, signature) in &said.signed {
                        write_thought(text, Some(signature), out);
                    }
                } else if unsigned {
                    write_thought(&said.thinking, None, out);
                }
                for text in texts {
                    write_text(*text, out);
                }
                out.mark(b']');
            }
        }
    }
}

fn write_thought(text: &str, signature: Option<&str>, out: &mut Vec<u8>) {
    separate(out);
    out.put(br#"{"type":"thinking","thinking":["#);
    if !text.is_empty() {
        out.put(br#"{"type":"text","text":"#);
        write_str(out, text);
        out.mark(b'}');
    }
    out.mark(b']');
    if let Some(signature) = signature {
        out.put(b",\"signature\":");
        write_str(out, signature);
    }
    out.put(b",\"closed\":true}");
}

/// What a message of the assistant says beside its calls.
struct Said<'a> {
    texts: Vec<RawStr<'a>>,
    /// What was thought, as far as it has no signature of this provider.
    thinking: String,
    /// What was thought, with this provider's signatures.
    signed: Vec<(String, String)>,
    /// There is thinking with another provider's signature.
    foreign: bool,
}

impl<'a> Said<'a> {
    fn read(index: usize, message: &Message<'a>) -> Result<Self, Error> {
        let mut said =
            Self { texts: Vec::new(), thinking: String::new(), signed: Vec::new(), foreign: false };
        let mut in_parts = String::new();
        if let Some(blocks) = message.thinking_blocks {
            let path = "thinking_blocks";
            let blocks: Items<OwnPart<'a>> = read(path, blocks).map_err(|e| within(index, e))?;
            for block in &blocks.0 {
                said.thought(block, &mut in_parts);
            }
        }
        match message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => said.texts.push(text),
            Content::Parts(parts) => {
                let parts: Items<OwnPart<'a>> =
                    read("content", parts).map_err(|e| within(index, e))?;
                for part in &parts.0 {
                    match &*part.kind {
                        "thinking" | "redacted_thinking" => said.thought(part, &mut in_parts),
                        _ => said.texts.extend(part.text.or(part.refusal)),
                    }
                }
            }
        }
        said.texts.extend(message.refusal);
        said.texts.retain(|text| !text.is_empty());
        said.thinking = match message.reasoning_content {
            Some(text) => text.decode().into_owned(),
            None => in_parts,
        };
        Ok(said)
    }

    fn thought(&mut self, block: &OwnPart<'_>, unsigned: &mut String) {
        let text = block.thinking.map(thought_text).unwrap_or_default();
        let signature = string(block.signature).map(RawStr::decode).unwrap_or_default();
        match signature.strip_prefix(MISTRAL) {
            Some(own) => self.signed.push((text, own.to_owned())),
            None => {
                self.foreign |= !signature.is_empty() || block.kind == "redacted_thinking";
                unsigned.push_str(&text);
            }
        }
    }
}

/// A string, or the provider's own list of text chunks.
fn thought_text(raw: &RawValue) -> String {
    struct Chunk<'a> {
        text: Option<RawStr<'a>>,
    }
    members!(Chunk<'a> { text });
    if let Some(text) = RawStr::from_raw(raw) {
        return text.decode().into_owned();
    }
    let chunks: Items<Chunk<'_>> = from_str(raw.get()).unwrap_or_default();
    chunks.0.iter().filter_map(|chunk| chunk.text).map(RawStr::decode).collect()
}

/// A part of an assistant's message, or one of the thinking blocks that the client got.
#[derive(Debug)]
struct OwnPart<'a> {
    kind: Cow<'a, str>,
    text: Option<RawStr<'a>>,
    refusal: Option<RawStr<'a>>,
    thinking: Option<&'a RawValue>,
    signature: Option<&'a RawValue>,
}

members!(OwnPart<'a> { kind "type" (required), text, refusal, thinking, signature });
