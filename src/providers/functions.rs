//! The functions that are on offer and the choice among them, for APIs that take the choice as a
//! word and the list as what may be chosen.

use serde_json::value::RawValue;

use super::Target;
use super::warnings::{Warnings, unsupported};
use crate::openai::json::{RawStr, Texts, separate, write_str};
use crate::openai::message::{Function, Tool};
use crate::openai::object::Members;
use crate::openai::place::from_str;
use crate::openai::request::ToolChoice;
use crate::openai::{Chat, Error};

/// What the model may call.
#[derive(Debug)]
pub(crate) struct Offer<'c, 'a> {
    /// The functions, without those that the choice leaves out.
    pub functions: Vec<&'c Function<'a>>,
    /// Whether it must call one.
    pub choice: Choice<'a>,
}

/// Whether a function must be called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice<'a> {
    /// Nothing was said about it.
    Unsaid,
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// Any.
    Required,
    /// This one.
    Named(RawStr<'a>),
}

/// The functions on offer. `api` is the provider's name, for the refusal.
///
/// # Errors
/// A custom tool, or a choice that the model does not take.
pub(crate) fn offer<'c, 'a>(
    chat: &'c Chat<'a>,
    target: &Target<'_>,
    api: &str,
    warnings: &mut Warnings,
) -> Result<Offer<'c, 'a>, Error> {
    let allowed = Allowed::by(chat);
    let mut functions = Vec::with_capacity(chat.tools.len());
    for (index, tool) in chat.tools.iter().enumerate() {
        functions.extend(allowed.function(index, tool, api, target, warnings)?);
    }
    let forceable = target.facts.parameters.forced_tool_use;
    let choice = choice(chat, forceable, api, target, warnings)?;
    Ok(Offer { functions, choice })
}

/// The functions that the choice leaves on offer: all, or those that it names.
#[derive(Debug)]
pub(crate) struct Allowed(Option<Texts>);

impl Allowed {
    /// By the request's choice.
    pub(crate) fn by(chat: &Chat<'_>) -> Self {
        Self(match &chat.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => Some(Texts::of(&mut names.iter().copied())),
            _ => None,
        })
    }

    /// The function of the tool at `index`, if it is on offer.
    ///
    /// # Errors
    /// A custom tool.
    pub(crate) fn function<'t, 'a>(
        &self,
        index: usize,
        tool: &'t Tool<'a>,
        api: &str,
        target: &Target<'_>,
        warnings: &mut Warnings,
    ) -> Result<Option<&'t Function<'a>>, Error> {
        let Some(function) = &tool.function else {
            let message = format!("Custom tools do not exist at {api}: give a function instead.");
            unsupported(format!("tools[{index}].type"), "tools", message, target, warnings)?;
            return Ok(None);
        };
        let offered = self.0.as_ref().is_none_or(|names| names.contains(&function.name.decode()));
        Ok(offered.then_some(function))
    }
}

/// Whether a function must be called. `forceable` says whether the model can be made to call one,
/// and `api` is the provider's name, for the refusal.
///
/// # Errors
/// A choice that the model does not take.
pub(crate) fn choice<'a>(
    chat: &Chat<'a>,
    forceable: bool,
    api: &str,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Choice<'a>, Error> {
    let mut choice = match chat.tool_choice {
        None => Choice::Unsaid,
        Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => Choice::Auto,
        Some(ToolChoice::None) => Choice::None,
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => Choice::Required,
        Some(ToolChoice::Function(name)) => Choice::Named(name),
        Some(ToolChoice::Custom(_)) => {
            let message = format!("Custom tools do not exist at {api}: name a function instead.");
            unsupported("tool_choice", "tool_choice", message, target, warnings)?;
            Choice::Unsaid
        }
    };
    if matches!(choice, Choice::Required | Choice::Named(_)) && !forceable {
        let message = format!("The model '{}' cannot be forced to call a tool.", target.model);
        unsupported("tool_choice", "tool_choice", message, target, warnings)?;
        choice = Choice::Auto;
    }
    Ok(choice)
}

/// Appends a JSON Schema without `$schema` and `$id`, which say nothing to a model and are refused
/// by some. An absent one is that of a function without arguments.
pub(crate) fn write_schema(schema: Option<&RawValue>, out: &mut Vec<u8>) {
    let Some(schema) = schema else {
        out.extend_from_slice(br#"{"type":"object","properties":{}}"#);
        return;
    };
    let text = schema.get();
    let named = text.contains("\"$schema\"") || text.contains("\"$id\"");
    let members = named.then(|| from_str::<Members<'_>>(text));
    match members {
        Some(Ok(members)) => {
            out.push(b'{');
            for (name, value) in &members.0 {
                if !matches!(&**name, "$schema" | "$id") {
                    separate(out);
                    write_str(out, name);
                    out.push(b':');
                    out.extend_from_slice(value.get().as_bytes());
                }
            }
            out.push(b'}');
        }
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn written(schema: &str) -> String {
        let mut out = Vec::new();
        write_schema(Some(from_str(schema).unwrap()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_schema_loses_its_names_and_nothing_else() {
        assert_eq!(
            written(r#"{"$schema":"x","a":1.0,"$id":"y","b":{"$id":"z"}}"#),
            r#"{"a":1.0,"b":{"$id":"z"}}"#
        );
        assert_eq!(written(r#"{ "a" : 1 }"#), r#"{ "a" : 1 }"#);
        assert_eq!(written(r#"{"$id":"y"}"#), "{}");
    }
}
