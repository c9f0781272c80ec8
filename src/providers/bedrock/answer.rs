//! A whole answer.

use serde_json::value::RawValue;

use super::block::{ToolUse, cite, finish_reason, is_malformed, malformed_answer, object, usage};
use super::family::Family;
use super::json_answer::{self, JsonAnswer};
use super::{Answer, Call, Headers};
use crate::openai::Error;
use crate::openai::answer::{self, Choice, Completion};
use crate::openai::json::{RawStr, escape, is_object, string, write_compact};
use crate::openai::message::Items;
use crate::openai::place::{from_str, members};
use crate::providers::claude::citations::Citations;
use crate::providers::claude::json_answer::JSON_TOOL;
use crate::providers::failure::no_answer;
use crate::providers::thoughts::Thoughts;
use crate::providers::{Payload, failure};

/// Longest request id that becomes the answer's, in bytes. Amazon's have 36.
const MAX_ID_BYTES: usize = 128;

#[derive(Debug)]
struct Wire<'a> {
    output: Option<&'a RawValue>,
    stop_reason: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
}

members!(Wire<'a> { output, stop_reason "stopReason", usage });

#[derive(Debug)]
struct Output<'a> {
    message: Option<&'a RawValue>,
}

members!(Output<'a> { message });

#[derive(Debug)]
struct Message<'a> {
    content: Option<Items<&'a RawValue>>,
}

members!(Message<'a> { content });

/// One block: the member that is there says what it is.
#[derive(Debug)]
struct Block<'a> {
    text: Option<&'a RawValue>,
    tool_use: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    cited: Option<&'a RawValue>,
}

members!(Block<'a> {
    text,
    tool_use "toolUse",
    reasoning "reasoningContent",
    cited "citationsContent",
});

#[derive(Debug)]
struct ReasoningContent<'a> {
    text: Option<&'a RawValue>,
    redacted: Option<&'a RawValue>,
}

members!(ReasoningContent<'a> { text "reasoningText", redacted "redactedContent" });

#[derive(Debug)]
struct ReasoningText<'a> {
    text: Option<&'a RawValue>,
    signature: Option<&'a RawValue>,
}

members!(ReasoningText<'a> { text, signature });

#[derive(Debug)]
struct Cited<'a> {
    content: Option<Items<&'a RawValue>>,
    citations: Option<Items<&'a RawValue>>,
}

members!(Cited<'a> { content, citations });

#[derive(Debug)]
struct Text<'a> {
    text: Option<&'a RawValue>,
}

members!(Text<'a> { text });

/// Reads an answer and writes it in canonical form.
///
/// # Errors
/// What is no answer, or an error inside a 200.
pub(super) fn read(call: &Call<'_>, headers: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
    let text = std::str::from_utf8(body).map_err(|_| no_answer("it is not UTF-8"))?;
    let wire: Wire<'_> = from_str(text).map_err(|error| {
        no_answer(if error.is_data() { "it has another form" } else { "it is not JSON" })
    })?;
    let message = object::<Output<'_>>(wire.output)
        .and_then(|output| object::<Message<'_>>(output.message))
        .and_then(|message| message.content);
    let Some(blocks) = message else {
        // Bedrock answers some failures with status 200.
        return Err(match failure::message(body) {
            Some(_) => failure::in_stream(body),
            None => no_answer("it has no output"),
        });
    };
    let family = Family::of(call.target.model);
    let json = json_answer::way(call.chat, &call.target, family) == JsonAnswer::Tool;
    let stop_reason = string(wire.stop_reason).map(|text| text.decode()).unwrap_or_default();

    let mut choice = choice(&blocks.0, json)?;
    if choice.content.is_none() && choice.tool_calls.is_empty() {
        if is_malformed(&stop_reason) {
            return Err(malformed_answer(&stop_reason));
        }
        choice.content = Some(String::new());
    }
    choice.finish = Some(finish_reason(&stop_reason, !choice.tool_calls.is_empty()));
    let usage = usage(wire.usage);
    let completion = Completion {
        id: id(headers, call.id),
        created: call.created,
        model: call.target.model.to_owned(),
        choices: vec![choice],
        usage: usage.unwrap_or_default(),
    };
    let mut out = Vec::with_capacity(body.len() + 512);
    completion.write(&mut out);
    Ok(Answer { body: Payload::Whole(out), usage })
}

/// The answer itself has no id, but the request that it answers has.
fn id(headers: &Headers<'_>, ours: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let given = headers
        .text("x-amzn-requestid")
        .filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(plain));
    format!("chatcmpl-{}", given.unwrap_or(ours))
}

/// What the blocks say. `json` says that [`JSON_TOOL`] was offered: its arguments are the content
/// then, and text beside them is not.
fn choice(blocks: &[&RawValue], json: bool) -> Result<Choice, Error> {
    let mut choice = Choice::default();
    let mut thoughts = Thoughts::default();
    let mut citations = Citations::default();
    let mut answer = None;
    for block in blocks {
        let Some(block) = object::<Block<'_>>(Some(block)) else { continue };
        if let Some(text) = string(block.text) {
            say(&mut choice, &mut citations, text.inner());
        }
        if let Some(cited) = object::<Cited<'_>>(block.cited) {
            citations.begin();
            for part in cited.content.unwrap_or_default().0 {
                if let Some(text) = object::<Text<'_>>(Some(part)).and_then(|it| string(it.text)) {
                    say(&mut choice, &mut citations, text.inner());
                }
            }
            for citation in cited.citations.unwrap_or_default().0 {
                cite(&mut citations, citation);
            }
            citations.end();
        }
        if let Some(reasoning) = object::<ReasoningContent<'_>>(block.reasoning) {
            if let Some(text) = object::<ReasoningText<'_>>(reasoning.text) {
                let thought = string(text.text).map_or("", |text| text.inner());
                if !thought.is_empty() {
                    choice.reasoning.get_or_insert_default().push_str(thought);
                }
                thoughts.add(thought, string(text.signature).map_or("", |text| text.inner()));
            }
            if let Some(data) = string(reasoning.redacted) {
                thoughts.add_redacted(data);
            }
        }
        if let Some(tool) = object::<ToolUse<'_>>(block.tool_use)
            && !tool.is_the_providers()
        {
            let (id, name) = tool.call()?;
            let arguments = arguments(tool.input);
            if json && name == JSON_TOOL {
                answer.get_or_insert_with(|| escape(&arguments));
            } else {
                let call = answer::Call { id, name, arguments, extra_content: None };
                choice.tool_calls.push(call);
            }
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

fn say(choice: &mut Choice, citations: &mut Citations, text: &str) {
    choice.content.get_or_insert_default().push_str(text);
    citations.text(text);
}

/// The arguments of a call, as compact JSON. A text is what a stream gives: the JSON itself.
fn arguments(input: Option<&RawValue>) -> String {
    if let Some(text) =
        string(input).map(RawStr::decode).filter(|text| !text.trim_ascii().is_empty())
    {
        return text.into_owned();
    }
    let mut json = Vec::new();
    write_compact(&mut json, input.filter(|raw| is_object(raw)).map_or("{}", RawValue::get));
    String::from_utf8(json).unwrap_or_else(|_| "{}".to_owned())
}
