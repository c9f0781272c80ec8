//! Tools, and the choice among them.

use super::cache::Points;
use super::family::Family;
use super::json_answer::{self, JsonAnswer};
use super::turns::member;
use crate::openai::json::write_str;
use crate::openai::json::{Append, separate};
use crate::openai::message::{Function, Message, Role};
use crate::openai::request::ToolChoice;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::anthropic::schema;
use crate::providers::catalogue::Capability;
use crate::providers::claude::json_answer::{JSON_TOOL, forces_a_call};
use crate::providers::claude::marks;
use crate::providers::functions::{self, Allowed, Choice};
use crate::providers::warnings::Warnings;

/// Who speaks, in refusals.
const API: &str = "Bedrock";

/// Stands in for tools that the request no longer offers: where earlier turns called some, the API
/// refuses a request without any.
const NO_TOOL: &[u8] = br#"{"toolSpec":{"name":"waypost_no_tool","description":"Does nothing. Never call this tool.","inputSchema":{"json":{"type":"object","properties":{}}}}}"#;

/// Whether the request as it is sent forces a call.
pub(super) fn call_is_forced(chat: &Chat<'_>, target: &Target<'_>, family: Family) -> bool {
    let parameters = &target.facts.parameters;
    parameters.forced_tool_use
        && parameters.tool_choice
        && (forces_a_call(chat) || json_answer::way(chat, target, family) == JsonAnswer::Tool)
}

/// What the model itself is told about the choice, beside the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Claude's own `tool_choice`, which makes at most one call.
    pub(super) one_call: bool,
}

/// Appends `toolConfig` where there is something to say.
///
/// # Errors
/// A 400 that names the tool or choice that cannot be translated.
pub(super) fn write(
    chat: &Chat<'_>,
    target: &Target<'_>,
    family: Family,
    out: &mut Vec<u8>,
    points: &mut Points,
    warnings: &mut Warnings,
) -> Result<Told, Error> {
    let past_calls = chat.messages.iter().any(has_calls);
    let start = out.len();
    member(out, "toolConfig");
    out.put(b"{\"tools\":[");
    let empty = out.len();
    let allowed = Allowed::by(chat);
    // The API has no word for "none": what is not offered is not called.
    let none = matches!(chat.tool_choice, Some(ToolChoice::None)) && !past_calls;
    for (index, tool) in chat.tools.iter().enumerate().filter(|_| !none) {
        let Some(function) = allowed.function(index, tool, API, target, warnings)? else {
            continue;
        };
        separate(out);
        write_function(index, function, target, family, out, warnings)?;
        match marks::mark(tool.cache_control, None, warnings) {
            // Nova keeps no tools.
            Some(_) if family == Family::Nova => warnings.dropped("tools[].cache_control"),
            mark => points.write(mark, out, warnings),
        }
    }
    let functions = out.len() > empty;
    let json = json_answer::way(chat, target, family) == JsonAnswer::Tool;
    if json {
        separate(out);
        json_answer::write_tool(chat, out)?;
    }
    if out.len() == empty && past_calls {
        out.put(NO_TOOL);
    }
    if out.len() == empty {
        out.truncate(start);
        return Ok(Told::default());
    }
    out.mark(b']');
    let told = write_choice(chat, target, family, Offered { functions, json }, out, warnings)?;
    out.mark(b'}');
    Ok(told)
}

fn has_calls(message: &Message<'_>) -> bool {
    // An empty list calls nothing, but it is not read here.
    message.role == Role::Tool || message.tool_calls.is_some_and(|calls| calls.get().len() > 2)
}

/// What stands in `tools`.
#[derive(Clone, Copy)]
struct Offered {
    /// Functions of the client.
    functions: bool,
    /// [`JSON_TOOL`].
    json: bool,
}

fn write_function(
    index: usize,
    function: &Function<'_>,
    target: &Target<'_>,
    family: Family,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    out.put(br#"{"toolSpec":{"name":"#);
    out.put(function.name.as_written().as_bytes());
    if let Some(description) = function.description.filter(|text| !text.is_blank()) {
        out.put(b",\"description\":");
        out.put(description.as_written().as_bytes());
    }
    let wanted = function.strict == Some(true);
    let enforces = family != Family::Nova && target.facts.capabilities.has(Capability::JsonSchema);
    let strict = wanted && enforces;
    if wanted && !strict {
        warnings.dropped("tools[].function.strict");
    }
    out.put(br#","inputSchema":{"json":"#);
    schema::write_parameters(index, function.parameters, strict, out, warnings)?;
    out.mark(b'}');
    if strict {
        out.put(b",\"strict\":true");
    }
    out.put(b"}}");
    Ok(())
}

fn write_choice(
    chat: &Chat<'_>,
    target: &Target<'_>,
    family: Family,
    offered: Offered,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<Told, Error> {
    let parameters = &target.facts.parameters;
    let forceable = parameters.forced_tool_use && parameters.tool_choice;
    let mut choice = functions::choice(chat, forceable, API, target, warnings)?;
    let mut json = offered.json;
    if matches!(choice, Choice::None) && !json && offered.functions {
        warnings.dropped("tool_choice");
    }
    // Automatic is what a model does that takes no choice.
    if !parameters.tool_choice {
        choice = Choice::Unsaid;
    }
    // Who must answer through one tool calls no other, unless the client's are on offer too.
    if json && offered.functions && matches!(choice, Choice::Unsaid | Choice::Auto) {
        // A call of the client's, or the answer.
        choice = Choice::Required;
        json = false;
    }
    let mut told = Told::default();
    if chat.parallel_tool_calls == Some(false) && offered.functions {
        match choice {
            // One call is all there can be.
            _ if json => {}
            // Claude takes it in its own choice, which must not stand beside the API's.
            Choice::Unsaid | Choice::Auto | Choice::None if family == Family::Claude => {
                told.one_call = true;
                choice = Choice::Unsaid;
            }
            _ => warnings.dropped("parallel_tool_calls"),
        }
    }
    match choice {
        _ if json => write_named(out, |out| write_str(out, JSON_TOOL)),
        Choice::Named(name) => {
            write_named(out, |out| out.put(name.as_written().as_bytes()));
        }
        Choice::Unsaid | Choice::None => {}
        Choice::Auto => out.put(br#","toolChoice":{"auto":{}}"#),
        Choice::Required => out.put(br#","toolChoice":{"any":{}}"#),
    }
    Ok(told)
}

/// Appends the choice of one tool. `name` appends its name.
fn write_named(out: &mut Vec<u8>, name: impl FnOnce(&mut Vec<u8>)) {
    out.put(br#","toolChoice":{"tool":{"name":"#);
    name(out);
    out.put(b"}}");
}
