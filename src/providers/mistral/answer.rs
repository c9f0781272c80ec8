//! A whole answer.

use serde_json::value::RawValue;

use super::content::{
    MAX_CHOICES, MAX_CHUNKS, Message, Notes, Piece, finish_reason, logprobs, made_id, pieces, usage,
};
use super::{Answer, Call};
use crate::openai::Error;
use crate::openai::answer::{self, Choice, Completion};
use crate::openai::json::{RawStr, string};
use crate::openai::message::Bounded;
use crate::openai::order::ordered;
use crate::openai::place::{from_str, members};
use crate::providers::failure::no_answer;
use crate::providers::{Payload, answering_model, completion_id, failure};

struct Wire<'a> {
    object: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    created: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    choices: Option<Bounded<WireChoice<'a>, MAX_CHOICES>>,
    usage: Option<&'a RawValue>,
}

members!(Wire<'a> { object, error, id, created, model, choices, usage });

struct WireChoice<'a> {
    index: Option<u32>,
    message: Option<Message<'a>>,
    /// In place of one message, where there were several turns.
    messages: Option<Bounded<Message<'a>, MAX_CHUNKS>>,
    finish_reason: Option<&'a RawValue>,
    logprobs: Option<&'a RawValue>,
}

members!(WireChoice<'a> { index, message, messages, finish_reason, logprobs });

/// Reads an answer and writes it in canonical form.
///
/// # Errors
/// What is no answer, or an error inside a 200.
pub(super) fn read(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    let text = std::str::from_utf8(body).map_err(|_| no_answer("it is not UTF-8"))?;
    let wire: Wire<'_> = from_str(text).map_err(|error| {
        no_answer(if error.is_data() { "it has another form" } else { "it is not JSON" })
    })?;
    let says_error = string(wire.object).is_some_and(|object| object.inner() == "error");
    let choices = wire.choices.map(|list| list.0).unwrap_or_default();
    if says_error || wire.error.is_some() {
        return Err(failure::in_stream(body));
    }
    if choices.is_empty() {
        return Err(match failure::message(body) {
            Some(_) => failure::in_stream(body),
            None => no_answer("it has no choices"),
        });
    }
    let choices = ordered(choices, |choice| choice.index);
    let id = completion_id(string(wire.id), call.id);
    let choices: Result<Vec<Choice>, Error> =
        (0..).zip(&choices).map(|(number, wire)| choice(wire, &id, number)).collect();
    let usage = usage(wire.usage);
    let completion = Completion {
        id,
        created: wire.created.and_then(|raw| raw.get().parse().ok()).unwrap_or(call.created),
        model: answering_model(string(wire.model), call.target.model),
        choices: choices?,
        usage: usage.unwrap_or_default(),
    };
    let mut out = Vec::with_capacity(body.len() + 512);
    completion.write(&mut out);
    Ok(Answer { body: Payload::Whole(out), usage })
}

fn choice(wire: &WireChoice<'_>, id: &str, number: u32) -> Result<Choice, Error> {
    let mut choice = Choice::default();
    let mut notes = Notes::new();
    let more = wire.messages.iter().flat_map(|list| &list.0);
    let mut messages = wire.message.iter().chain(more).peekable();
    if messages.peek().is_none() {
        return Err(no_answer("a choice without a message"));
    }
    for message in messages {
        for piece in pieces(message.content) {
            notes.take(piece);
            match piece {
                Piece::Text(text) => choice.content.get_or_insert_default().push_str(text.inner()),
                Piece::Thought(text) => {
                    choice.reasoning.get_or_insert_default().push_str(text.inner());
                }
                Piece::Signature(_) | Piece::Source { .. } => {}
            }
        }
        for call in message.tool_calls.iter().flat_map(|calls| &calls.0) {
            let name = call.name().ok_or_else(|| no_answer("a tool call without a name"))?;
            let place = u32::try_from(choice.tool_calls.len()).unwrap_or(u32::MAX);
            let arguments = decoded(&call.arguments());
            choice.tool_calls.push(answer::Call {
                id: match call.id() {
                    Some(id) => id.decode().into_owned(),
                    None => made_id(id, number, place),
                },
                name: name.decode().into_owned(),
                arguments: if arguments.trim_ascii().is_empty() { "{}".into() } else { arguments },
                extra_content: None,
            });
        }
    }
    if choice.content.is_none() && choice.tool_calls.is_empty() {
        choice.content = Some(String::new());
    }
    let reason = string(wire.finish_reason).map(RawStr::decode).unwrap_or_default();
    choice.finish = Some(finish_reason(&reason, !choice.tool_calls.is_empty())?);
    choice.thinking_blocks = notes.thinking_blocks();
    choice.annotations = notes.annotations();
    choice.logprobs = logprobs(wire.logprobs);
    Ok(choice)
}

/// The text of what stands between quotes.
fn decoded(inner: &str) -> String {
    let quoted = format!("\"{inner}\"");
    from_str::<RawStr<'_>>(&quoted).map(|text| text.decode().into_owned()).unwrap_or_default()
}
