//! A whole answer.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::block::{Block, explanation, finish_reason, update};
use super::json_answer::{self, JsonAnswer};
use super::{Answer, Call};
use crate::openai::Error;
use crate::openai::answer::{self, Choice, Completion};
use crate::openai::json::{escape, string};
use crate::openai::message::Items;
use crate::openai::place::{from_str, members};
use crate::providers::claude::citations::Citations;
use crate::providers::claude::json_answer::JSON_TOOL;
use crate::providers::failure::no_answer;
use crate::providers::thoughts::Thoughts;
use crate::providers::{Payload, answering_model, completion_id, failure};

#[derive(Debug)]
struct Message<'a> {
    kind: Option<Cow<'a, str>>,
    id: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    content: Option<Items<Block<'a>>>,
    stop_reason: Option<&'a RawValue>,
    stop_details: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
}

members!(Message<'a> { kind "type", id, model, content, stop_reason, stop_details, usage });

/// Reads an answer and writes it in canonical form.
///
/// # Errors
/// What is no answer, or an error inside a 200.
pub(super) fn read(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    let text = std::str::from_utf8(body).map_err(|_| no_answer("it is not UTF-8"))?;
    let message: Message<'_> = from_str(text).map_err(|error| {
        no_answer(if error.is_data() { "it has another form" } else { "it is not JSON" })
    })?;
    if message.kind.as_deref() == Some("error") {
        return Err(failure::in_stream(body));
    }
    let Some(blocks) = message.content.map(|list| list.0) else {
        // Proxies leave out the `type` of an error.
        return Err(match failure::message(body) {
            Some(_) => failure::in_stream(body),
            None => no_answer("it has no content"),
        });
    };
    let json = json_answer::way(call.chat, call.target.facts) == JsonAnswer::Tool;
    let stop_reason = string(message.stop_reason).map(|text| text.decode()).unwrap_or_default();

    let mut choice = choice(&blocks, json)?;
    choice.finish = Some(finish_reason(&stop_reason, !choice.tool_calls.is_empty()));
    if stop_reason == "refusal" {
        choice.refusal = explanation(message.stop_details).map(|text| text.inner().to_owned());
    }
    if choice.content.is_none() && choice.tool_calls.is_empty() && choice.refusal.is_none() {
        choice.content = Some(String::new());
    }
    let mut usage = None;
    update(&mut usage, message.usage);
    let completion = Completion {
        id: completion_id(string(message.id), call.id),
        created: call.created,
        model: answering_model(string(message.model), call.target.model),
        choices: vec![choice],
        usage: usage.unwrap_or_default(),
    };
    let mut out = Vec::with_capacity(body.len() + 512);
    completion.write(&mut out);
    Ok(Answer { body: Payload::Whole(out), usage })
}

/// What the blocks say. `json` says that [`JSON_TOOL`] was offered: its arguments are the content
/// then, and text beside them is not.
fn choice(blocks: &[Block<'_>], json: bool) -> Result<Choice, Error> {
    let mut choice = Choice::default();
    let mut thoughts = Thoughts::default();
    let mut citations = Citations::default();
    let mut answer = None;
    for block in blocks {
        match &*block.kind {
            "text" => {
                let Some(text) = string(block.text) else { continue };
                choice.content.get_or_insert_default().push_str(text.inner());
                citations.begin();
                citations.text(text.inner());
                citations.cite_all(block.citations);
                citations.end();
            }
            "thinking" => {
                let text = string(block.thinking).map_or("", |text| text.inner());
                if !text.is_empty() {
                    choice.reasoning.get_or_insert_default().push_str(text);
                }
                thoughts.add(text, string(block.signature).map_or("", |text| text.inner()));
            }
            "redacted_thinking" => {
                if let Some(data) = string(block.data) {
                    thoughts.add_redacted(data);
                }
            }
            "tool_use" => {
                let (id, name) = block.call()?;
                if json && name == JSON_TOOL {
                    answer.get_or_insert_with(|| escape(&block.arguments()));
                } else {
                    let arguments = block.arguments();
                    choice.tool_calls.push(answer::Call {
                        id,
                        name,
                        arguments,
                        extra_content: None,
                    });
                }
            }
            // What the provider's own tools did, and what is yet to come.
            _ => {}
        }
    }
    choice.thinking_blocks = thoughts.list();
    if answer.is_some() {
        choice.content = answer;
    } else {
        choice.annotations = citations.list();
    }
    Ok(choice)
}
