//! JSON from a model that has no means of its own to give it.

use crate::openai::Chat;
use crate::openai::json::{Append, write_compact, write_str};
use crate::openai::request::{ResponseFormat, ToolChoice};

/// The tool through which a model without JSON answers gives one. Its call never reaches the
/// client: the arguments are the content.
pub(crate) const JSON_TOOL: &str = "waypost_json_answer";

/// Whether the client wants a call in any case.
pub(crate) fn forces_a_call(chat: &Chat<'_>) -> bool {
    match chat.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Function(_)) => true,
        Some(ToolChoice::Allowed { required, .. }) => required,
        None | Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Custom(_)) => false,
    }
}

/// The instruction to answer in JSON, as a JSON string: for a model that takes no forced call.
pub(crate) fn write_instruction(chat: &Chat<'_>, out: &mut Vec<u8>) {
    let mut text = b"Answer with one JSON object and nothing else.".to_vec();
    if let Some(ResponseFormat::JsonSchema(wanted)) = &chat.response_format
        && let Some(schema) = wanted.schema
    {
        text.put(b" It must follow this JSON Schema: ");
        write_compact(&mut text, schema.get());
    }
    write_str(out, &String::from_utf8_lossy(&text));
}
