//! Tools, and the choice among them.

use serde_json::value::RawValue;

use super::cache::Marks;
use super::json_answer::{self, JsonAnswer};
use super::schema;
use crate::openai::json::{Append, RawStr, separate, write_str};
use crate::openai::message::Function;
use crate::openai::place::members;
use crate::openai::request::read;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::catalogue::{Capability, Facts};
use crate::providers::claude::json_answer::{JSON_TOOL, forces_a_call};
use crate::providers::claude::marks;
use crate::providers::functions::{self, Allowed, Choice};
use crate::providers::warnings::{Warnings, unsupported};

/// Who speaks, in refusals.
const API: &str = "Anthropic";

/// Whether the request as it is sent forces a call.
pub(super) fn call_is_forced(chat: &Chat<'_>, facts: &Facts) -> bool {
    facts.parameters.forced_tool_use
        && (forces_a_call(chat) || json_answer::way(chat, facts) == JsonAnswer::Tool)
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
    out.put(b",\"tools\":[");
    let empty = out.len();
    let allowed = Allowed::by(chat);
    for (index, tool) in chat.tools.iter().enumerate() {
        let Some(function) = allowed.function(index, tool, API, target, warnings)? else {
            continue;
        };
        separate(out);
        write_function(index, function, target, out, warnings)?;
        let mark = marks::mark(tool.cache_control, None, warnings);
        marks.write(out, mark, warnings);
        out.mark(b'}');
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
    out.mark(b']');
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
    out.put(b"{\"name\":");
    out.put(function.name.as_written().as_bytes());
    if let Some(description) = function.description.filter(|text| !text.is_empty()) {
        out.put(b",\"description\":");
        out.put(description.as_written().as_bytes());
    }
    let wanted = function.strict == Some(true);
    let strict = wanted && target.facts.capabilities.has(Capability::JsonSchema);
    if wanted && !strict {
        warnings.dropped("tools[].function.strict");
    }
    out.put(b",\"input_schema\":");
    schema::write_parameters(index, function.parameters, strict, out, warnings)?;
    if strict {
        out.put(b",\"strict\":true");
    }
    Ok(())
}

fn write_web_search(
    options: &RawValue,
    target: &Target<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    struct Options<'a> {
        search_context_size: Option<&'a RawValue>,
        user_location: Option<Location<'a>>,
    }
    members!(Options<'a> { search_context_size, user_location });
    struct Location<'a> {
        approximate: Option<Place<'a>>,
    }
    members!(Location<'a> { approximate });
    struct Place<'a> {
        city: Option<RawStr<'a>>,
        country: Option<RawStr<'a>>,
        region: Option<RawStr<'a>>,
        timezone: Option<RawStr<'a>>,
    }
    members!(Place<'a> { city, country, region, timezone });
    const PARAM: &str = "web_search_options";
    if !target.facts.capabilities.has(Capability::WebSearch) {
        let message = format!("The model '{}' does not search the web.", target.model);
        return unsupported(PARAM, PARAM, message, target, warnings);
    }
    let options: Options<'_> = read(PARAM, options)?;
    if options.search_context_size.is_some() {
        warnings.dropped("web_search_options.search_context_size");
    }
    warnings.unpriced(PARAM);
    separate(out);
    out.put(br#"{"type":"web_search_20260318","name":"web_search""#);
    if let Some(place) = options.user_location.and_then(|location| location.approximate) {
        out.put(br#","user_location":{"type":"approximate""#);
        for (name, value) in [
            ("city", place.city),
            ("country", place.country),
            ("region", place.region),
            ("timezone", place.timezone),
        ] {
            if let Some(value) = value.filter(|value| !value.is_blank()) {
                out.put(format!(",\"{name}\":{}", value.as_written()).as_bytes());
            }
        }
        out.mark(b'}');
    }
    out.mark(b'}');
    Ok(())
}

fn write_choice(
    chat: &Chat<'_>,
    target: &Target<'_>,
    offered: Offered,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let forceable = target.facts.parameters.forced_tool_use;
    let mut choice = functions::choice(chat, forceable, API, target, warnings)?;
    let mut json = offered.json;
    if json && offered.functions && matches!(choice, Choice::Unsaid | Choice::Auto) {
        // A call of the client's, or the answer.
        choice = Choice::Required;
        json = false;
    }
    let one_call =
        json || chat.parallel_tool_calls == Some(false) && !matches!(choice, Choice::None);
    if matches!(choice, Choice::Unsaid) && one_call {
        choice = Choice::Auto;
    }
    let kind: &[u8] = match choice {
        _ if json => br#","tool_choice":{"type":"tool","name":"#,
        Choice::Unsaid => return Ok(()),
        Choice::Auto => br#","tool_choice":{"type":"auto""#,
        Choice::Required => br#","tool_choice":{"type":"any""#,
        Choice::None => br#","tool_choice":{"type":"none""#,
        Choice::Named(_) => br#","tool_choice":{"type":"tool","name":"#,
    };
    out.put(kind);
    match choice {
        _ if json => write_str(out, JSON_TOOL),
        Choice::Named(name) => out.put(name.as_written().as_bytes()),
        Choice::Unsaid | Choice::Auto | Choice::Required | Choice::None => {}
    }
    if one_call {
        out.put(br#","disable_parallel_tool_use":true"#);
    }
    out.mark(b'}');
    Ok(())
}
