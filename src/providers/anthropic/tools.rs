//! Tools, and the choice among them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cache::Marks;
use super::json_answer::{self, JSON_TOOL, JsonAnswer};
use super::schema;
use crate::openai::json::{RawStr, separate, write_str};
use crate::openai::message::Function;
use crate::openai::request::{ToolChoice, read};
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::catalogue::{Capability, Facts};
use crate::providers::claude::marks;
use crate::providers::warnings::{Warnings, unsupported};

/// Whether the request as it is sent forces a call.
pub(super) fn call_is_forced(chat: &Chat<'_>, facts: &Facts) -> bool {
    facts.parameters.forced_tool_use
        && (json_answer::forces_a_call(chat) || json_answer::way(chat, facts) == JsonAnswer::Tool)
}

/// Appends `,"tools":[…]` and `,"tool_choice":…` where there is something to say.
///
/// # Errors
/// A 400 that names the tool or choice that cannot be translated.
pub(super) fn write(
    chat: &Chat<'_>,
    target: &Target<'_>,
    out: &mut Vec<u8>,
    marks: &mut Marks,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let start = out.len();
    out.extend_from_slice(b",\"tools\":[");
    let empty = out.len();
    let allowed: Option<BTreeSet<Cow<'_, str>>> = match &chat.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => {
            Some(names.iter().map(|name| name.decode()).collect())
        }
        _ => None,
    };
    for (index, tool) in chat.tools.iter().enumerate() {
        let Some(function) = &tool.function else {
            let message = "Custom tools do not exist at Anthropic: give a function instead.";
            unsupported(format!("tools[{index}].type"), "tools", message, target, warnings)?;
            continue;
        };
        if allowed.as_ref().is_some_and(|names| !names.contains(&function.name.decode())) {
            continue;
        }
        separate(out);
        write_function(index, function, target, out, warnings)?;
        let mark = marks::mark(tool.cache_control, None, warnings);
        marks.write(out, mark, warnings);
        out.push(b'}');
    }
    let functions = out.len() > empty;
    let json = json_answer::way(chat, target.facts) == JsonAnswer::Tool;
    if json {
        separate(out);
        json_answer::write_tool(chat, out)?;
    }
    if let Some(options) = chat.field("web_search_options") {
        write_web_search(options, target, out, warnings)?;
    }
    if out.len() == empty {
        out.truncate(start);
        return Ok(());
    }
    out.push(b']');
    write_choice(chat, target, Offered { functions, json }, out, warnings)
}

/// What stands in `tools`.
#[derive(Clone, Copy)]
struct Offered {
    /// Functions of the client.
    functions: bool,
    /// [`JSON_TOOL`].
    json: bool,
}

/// Without the closing brace, so that a mark can follow.
fn write_function(
    index: usize,
    function: &Function<'_>,
    target: &Target<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    out.extend_from_slice(b"{\"name\":");
    out.extend_from_slice(function.name.as_written().as_bytes());
    if let Some(description) = function.description.filter(|text| !text.is_empty()) {
        out.extend_from_slice(b",\"description\":");
        out.extend_from_slice(description.as_written().as_bytes());
    }
    let wanted = function.strict == Some(true);
    let strict = wanted && target.facts.capabilities.has(Capability::JsonSchema);
    if wanted && !strict {
        warnings.dropped("tools[].function.strict");
    }
    out.extend_from_slice(b",\"input_schema\":");
    match function.parameters {
        Some(parameters) if strict => match schema::write_enforced(parameters, out) {
            Ok(true) => {
                warnings.changed("tools[].function.parameters", "what strict tools enforce");
                Ok(())
            }
            other => other.map(drop),
        },
        parameters => schema::write(parameters, out),
    }
    .map_err(|fault| {
        let param = format!("tools[{index}].function.parameters");
        let message = format!("'{param}' {fault}.");
        Error::invalid(param, message)
    })?;
    if strict {
        out.extend_from_slice(b",\"strict\":true");
    }
    Ok(())
}

fn write_web_search(
    options: &RawValue,
    target: &Target<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Options<'a> {
        #[serde(borrow)]
        search_context_size: Option<&'a RawValue>,
        #[serde(borrow)]
        user_location: Option<Location<'a>>,
    }
    #[derive(Deserialize)]
    struct Location<'a> {
        #[serde(borrow)]
        approximate: Option<Place<'a>>,
    }
    #[derive(Deserialize)]
    struct Place<'a> {
        #[serde(borrow)]
        city: Option<RawStr<'a>>,
        #[serde(borrow)]
        country: Option<RawStr<'a>>,
        #[serde(borrow)]
        region: Option<RawStr<'a>>,
        #[serde(borrow)]
        timezone: Option<RawStr<'a>>,
    }
    const PARAM: &str = "web_search_options";
    if !target.facts.capabilities.has(Capability::WebSearch) {
        let message = format!("The model '{}' does not search the web.", target.model);
        return unsupported(PARAM, PARAM, message, target, warnings);
    }
    let options: Options<'_> = read(PARAM, options)?;
    if options.search_context_size.is_some() {
        warnings.dropped("web_search_options.search_context_size");
    }
    separate(out);
    out.extend_from_slice(br#"{"type":"web_search_20260318","name":"web_search""#);
    if let Some(place) = options.user_location.and_then(|location| location.approximate) {
        out.extend_from_slice(br#","user_location":{"type":"approximate""#);
        for (name, value) in [
            ("city", place.city),
            ("country", place.country),
            ("region", place.region),
            ("timezone", place.timezone),
        ] {
            if let Some(value) = value.filter(|value| !value.is_blank()) {
                out.extend_from_slice(format!(",\"{name}\":{}", value.as_written()).as_bytes());
            }
        }
        out.push(b'}');
    }
    out.push(b'}');
    Ok(())
}

fn write_choice(
    chat: &Chat<'_>,
    target: &Target<'_>,
    offered: Offered,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    enum Choice<'a> {
        Unsaid,
        Auto,
        Any,
        None,
        Named(RawStr<'a>),
        Json,
    }
    let mut choice = match chat.tool_choice {
        None => Choice::Unsaid,
        Some(ToolChoice::Auto) => Choice::Auto,
        Some(ToolChoice::None) => Choice::None,
        Some(ToolChoice::Required) => Choice::Any,
        Some(ToolChoice::Function(name)) => Choice::Named(name),
        Some(ToolChoice::Allowed { required: true, .. }) => Choice::Any,
        Some(ToolChoice::Allowed { required: false, .. }) => Choice::Auto,
        Some(ToolChoice::Custom(_)) => {
            let message = "Custom tools do not exist at Anthropic: name a function instead.";
            unsupported("tool_choice", "tool_choice", message, target, warnings)?;
            Choice::Unsaid
        }
    };
    if matches!(choice, Choice::Any | Choice::Named(_)) && !target.facts.parameters.forced_tool_use
    {
        let message = format!("The model '{}' cannot be forced to call a tool.", target.model);
        unsupported("tool_choice", "tool_choice", message, target, warnings)?;
        choice = Choice::Auto;
    }
    if offered.json {
        choice = match choice {
            // A call of the client's, or the answer.
            Choice::Unsaid | Choice::Auto if offered.functions => Choice::Any,
            _ => Choice::Json,
        };
    }
    let one_call = matches!(choice, Choice::Json)
        || chat.parallel_tool_calls == Some(false) && !matches!(choice, Choice::None);
    if matches!(choice, Choice::Unsaid) && one_call {
        choice = Choice::Auto;
    }
    let kind: &[u8] = match choice {
        Choice::Unsaid => return Ok(()),
        Choice::Auto => br#","tool_choice":{"type":"auto""#,
        Choice::Any => br#","tool_choice":{"type":"any""#,
        Choice::None => br#","tool_choice":{"type":"none""#,
        Choice::Named(_) | Choice::Json => br#","tool_choice":{"type":"tool","name":"#,
    };
    out.extend_from_slice(kind);
    match choice {
        Choice::Named(name) => out.extend_from_slice(name.as_written().as_bytes()),
        Choice::Json => write_str(out, JSON_TOOL),
        Choice::Unsaid | Choice::Auto | Choice::Any | Choice::None => {}
    }
    if one_call {
        out.extend_from_slice(br#","disable_parallel_tool_use":true"#);
    }
    out.push(b'}');
    Ok(())
}
