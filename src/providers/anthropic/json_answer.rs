//! How a model that is asked for JSON is brought to give it: by its own means, by way of a tool, or
//! by an instruction.

use serde_json::value::RawValue;

use super::schema;
use crate::openai::json::{Append, write_str};
use crate::openai::request::ResponseFormat;
use crate::openai::{Chat, Error};
use crate::providers::catalogue::{Capability, Facts};
use crate::providers::claude::json_answer::{JSON_TOOL, forces_a_call};
use crate::providers::warnings::Warnings;

/// How the model is brought to answer in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonAnswer {
    /// It is not asked to, or must call a tool in any case.
    No,
    /// By `output_config.format`.
    Format,
    /// By having to call [`JSON_TOOL`].
    Tool,
    /// By an instruction: the model takes no forced call.
    Instruction,
}

/// How this request's answer becomes JSON. Depends on nothing but the request and the model, so
/// whoever reads the answer finds the same.
pub(super) fn way(chat: &Chat<'_>, facts: &Facts) -> JsonAnswer {
    match &chat.response_format {
        None | Some(ResponseFormat::Text) => JsonAnswer::No,
        Some(ResponseFormat::JsonSchema(wanted))
            if wanted.schema.is_some() && facts.capabilities.has(Capability::JsonSchema) =>
        {
            JsonAnswer::Format
        }
        Some(_) if forces_a_call(chat) => JsonAnswer::No,
        Some(_) if facts.parameters.forced_tool_use => JsonAnswer::Tool,
        Some(_) => JsonAnswer::Instruction,
    }
}

/// Appends [`JSON_TOOL`].
///
/// # Errors
/// A 400 for what is no schema.
pub(super) fn write_tool(chat: &Chat<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    out.put(b"{\"name\":");
    write_str(out, JSON_TOOL);
    let mut schema = None;
    let mut description = None;
    if let Some(ResponseFormat::JsonSchema(wanted)) = &chat.response_format {
        schema = wanted.schema;
        description = wanted.description.filter(|text| !text.is_empty());
    }
    out.put(b",\"description\":");
    match description {
        Some(text) => out.put(text.as_written().as_bytes()),
        None => write_str(out, "Gives the answer as JSON. Always answer through this tool."),
    }
    out.put(b",\"input_schema\":");
    schema::write(schema, out).map_err(bad_format)?;
    out.mark(b'}');
    Ok(())
}

/// The schema of [`JsonAnswer::Format`], as the provider enforces it.
///
/// # Errors
/// A 400 for what is no schema.
pub(super) fn write_format(
    schema: &RawValue,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if schema::write_enforced(schema, out).map_err(bad_format)? {
        warnings.changed(FORMAT_SCHEMA, "what the provider enforces");
    }
    Ok(())
}

const FORMAT_SCHEMA: &str = "response_format.json_schema.schema";

/// The refusal of the schema of an answer.
pub(crate) fn bad_format(fault: schema::Fault) -> Error {
    Error::invalid(FORMAT_SCHEMA, format!("'{FORMAT_SCHEMA}' {fault}."))
}
