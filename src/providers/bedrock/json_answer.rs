//! How a model that is asked for JSON is brought to give it: by the API's own means, by way of a
//! tool, or by an instruction.

use super::family::Family;
use super::turns::member;
use crate::openai::json::{Append, write_compact, write_str};
use crate::openai::request::ResponseFormat;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::anthropic::json_answer::bad_format;
use crate::providers::anthropic::schema;
use crate::providers::catalogue::Capability;
use crate::providers::claude::json_answer::{JSON_TOOL, forces_a_call};
use crate::providers::warnings::Warnings;

/// How the model is brought to answer in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonAnswer {
    /// It is not asked to, or must call a tool in any case.
    No,
    /// By `outputConfig.textFormat`.
    Format,
    /// By having to call [`JSON_TOOL`].
    Tool,
    /// By an instruction: the model takes no forced call.
    Instruction,
}

/// How this request's answer becomes JSON. Depends on nothing but the request and the model, so
/// whoever reads the answer finds the same.
pub(super) fn way(chat: &Chat<'_>, target: &Target<'_>, family: Family) -> JsonAnswer {
    let parameters = &target.facts.parameters;
    match &chat.response_format {
        None | Some(ResponseFormat::Text) => JsonAnswer::No,
        // Nova follows a schema only in a tool, whatever its own documentation calls that.
        Some(ResponseFormat::JsonSchema(wanted))
            if wanted.schema.is_some()
                && family != Family::Nova
                && target.facts.capabilities.has(Capability::JsonSchema) =>
        {
            JsonAnswer::Format
        }
        Some(_) if forces_a_call(chat) => JsonAnswer::No,
        Some(_) if parameters.forced_tool_use && parameters.tool_choice => JsonAnswer::Tool,
        Some(_) => JsonAnswer::Instruction,
    }
}

/// Appends [`JSON_TOOL`].
///
/// # Errors
/// A 400 for what is no schema.
pub(super) fn write_tool(chat: &Chat<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    out.put(br#"{"toolSpec":{"name":"#);
    write_str(out, JSON_TOOL);
    let mut schema = None;
    let mut description = None;
    if let Some(ResponseFormat::JsonSchema(wanted)) = &chat.response_format {
        schema = wanted.schema;
        description = wanted.description.filter(|text| !text.is_blank());
    }
    out.put(b",\"description\":");
    match description {
        Some(text) => out.put(text.as_written().as_bytes()),
        None => write_str(out, "Gives the answer as JSON. Always answer through this tool."),
    }
    out.put(br#","inputSchema":{"json":"#);
    schema::write(schema, out).map_err(bad_format)?;
    out.put(b"}}}");
    Ok(())
}

/// Appends `textFormat`, with the schema as a string that holds JSON.
///
/// # Errors
/// A 400 for what is no schema.
pub(super) fn write_format(
    chat: &Chat<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let Some(ResponseFormat::JsonSchema(wanted)) = &chat.response_format else { return Ok(()) };
    let Some(schema) = wanted.schema else { return Ok(()) };
    let mut enforced = Vec::with_capacity(schema.get().len());
    if schema::write_enforced(schema, &mut enforced).map_err(bad_format)? {
        let param = "response_format.json_schema.schema";
        warnings.changed(param, "what the provider enforces");
    }
    let mut compact = Vec::with_capacity(enforced.len());
    write_compact(&mut compact, &String::from_utf8_lossy(&enforced));
    member(out, "textFormat");
    out.put(br#"{"type":"json_schema","structure":{"jsonSchema":{"schema":"#);
    write_str(out, &String::from_utf8_lossy(&compact));
    for (name, text) in [("name", Some(wanted.name)), ("description", wanted.description)] {
        if let Some(text) = text.filter(|text| !text.is_blank()) {
            member(out, name);
            out.put(text.as_written().as_bytes());
        }
    }
    out.put(b"}}}");
    Ok(())
}
