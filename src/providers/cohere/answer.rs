//! A whole answer.

use serde_json::value::RawValue;

use super::content::{Block, Citations, MAX_BLOCKS, ToolCall, finish_reason, logprobs, usage};
use super::{Answer, Call};
use crate::openai::Error;
use crate::openai::answer::{self, Choice, Completion};
use crate::openai::json::{RawStr, is_object, string};
use crate::openai::message::Bounded;
use crate::openai::place::{from_str, members};
use crate::providers::failure::no_answer;
use crate::providers::{Payload, completion_id, failure};

struct Wire<'a> {
    id: Option<&'a RawValue>,
    finish_reason: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    logprobs: Option<&'a RawValue>,
}

members!(Wire<'a> { id, finish_reason, message, usage, logprobs });

struct Message<'a> {
    content: Option<&'a RawValue>,
    tool_plan: Option<&'a RawValue>,
    tool_calls: Option<Bounded<ToolCall<'a>, MAX_BLOCKS>>,
    citations: Option<&'a RawValue>,
}

members!(Message<'a> { content, tool_plan, tool_calls, citations });

/// Reads an answer and writes it in canonical form.
///
/// # Errors
/// What is no answer, or an error inside a 200.
pub(super) fn read(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    let text = std::str::from_utf8(body).map_err(|_| no_answer("it is not UTF-8"))?;
    let form = |error: serde_json::Error| {
        no_answer(if error.is_data() { "it has another form" } else { "it is not JSON" })
    };
    let wire: Wire<'_> = from_str(text).map_err(form)?;
    // In an error the message is a text.
    let Some(message) = wire.message.filter(|message| is_object(message)) else {
        return Err(match failure::message(body) {
            Some(_) => failure::in_stream(body),
            None => no_answer("it has no message"),
        });
    };
    let message: Message<'_> = from_str(message.get()).map_err(form)?;
    let id = completion_id(string(wire.id), call.id);
    let mut choice = choice(&message, &id)?;
    let reason = string(wire.finish_reason).map(RawStr::decode).unwrap_or_default();
    choice.finish = Some(finish_reason(&reason, None, !choice.tool_calls.is_empty())?);
    choice.logprobs = logprobs(wire.logprobs);
    let usage = usage(wire.usage);
    let completion = Completion {
        id,
        created: call.created,
        model: call.target.model.to_owned(),
        choices: vec![choice],
        usage: usage.unwrap_or_default(),
    };
    let mut out = Vec::with_capacity(body.len() + 512);
    completion.write(&mut out);
    Ok(Answer { body: Payload::Whole(out), usage })
}

fn choice(message: &Message<'_>, id: &str) -> Result<Choice, Error> {
    let mut choice = Choice::default();
    let mut citations = Citations::default();
    if let Some(text) = string(message.content).filter(|text| !text.is_empty()) {
        choice.content = Some(text.inner().to_owned());
    } else if let Some(list) = message.content {
        let blocks: Bounded<Block<'_>, MAX_BLOCKS> =
            from_str(list.get()).map_err(|_| no_answer("its content is no list"))?;
        for (index, block) in (0..).zip(&blocks.0) {
            citations.block(index);
            if let Some(text) = block.text() {
                citations.text(text);
                choice.content.get_or_insert_default().push_str(text.inner());
            }
            if let Some(text) = block.thinking() {
                choice.reasoning.get_or_insert_default().push_str(text.inner());
            }
        }
    }
    if let Some(plan) = string(message.tool_plan).filter(|plan| !plan.is_empty()) {
        choice.reasoning.get_or_insert_default().push_str(plan.inner());
    }
    for (number, call) in (0..).zip(message.tool_calls.iter().flat_map(|calls| &calls.0)) {
        let (id, name) = call.begin(id, number)?;
        let written = call.arguments();
        let arguments = written
            .as_deref()
            .and_then(|written| from_str(written).ok())
            .map(RawStr::decode)
            .unwrap_or_default();
        let arguments = if arguments.trim_ascii().is_empty() { "{}" } else { &*arguments };
        choice.tool_calls.push(answer::Call {
            id,
            name,
            arguments: arguments.to_owned(),
            extra_content: None,
        });
    }
    if choice.content.is_none() && choice.tool_calls.is_empty() {
        choice.content = Some(String::new());
    }
    citations.cite(message.citations);
    choice.annotations = citations.list();
    Ok(choice)
}
