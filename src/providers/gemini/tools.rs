//! Functions, search, and the choice among them.

use super::names::Names;
use super::schema::{self, Form, Room};
use super::surface::{Generation, Surface};
use crate::openai::json::{Append, RawStr, Texts, is_object, separate, write_str};
use crate::openai::message::Function;
use crate::openai::request::ToolChoice;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::catalogue::Capability;
use crate::providers::warnings::{Warnings, unsupported};

/// What tools are written with.
pub(super) struct Tools<'c, 'a> {
    pub(super) chat: &'c Chat<'a>,
    pub(super) target: &'c Target<'c>,
    pub(super) surface: Surface,
    pub(super) generation: Generation,
}

const SEARCH: &str = "web_search_options";

impl Tools<'_, '_> {
    /// Appends `,"tools":[…]` and `,"toolConfig":{…}` where there is something to say.
    ///
    /// # Errors
    /// A 400 that names the tool or choice that cannot be translated.
    pub(super) fn write(
        &self,
        names: &mut Names,
        room: &mut Room,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        let start = out.len();
        out.put(b",\"tools\":[");
        let empty = out.len();
        self.write_functions(names, room, out, warnings)?;
        let functions = out.len() > empty;
        self.write_search(functions, out, warnings)?;
        if out.len() == empty {
            out.truncate(start);
            return Ok(());
        }
        out.mark(b']');
        if functions {
            self.write_choice(names, out, warnings)?;
        }
        Ok(())
    }

    /// All functions stand in one tool.
    fn write_functions(
        &self,
        names: &mut Names,
        room: &mut Room,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        // A choice among some is a mode of its own, which old models do not have.
        let allowed = match &self.chat.tool_choice {
            Some(ToolChoice::Allowed { names, required: false })
                if self.generation == Generation::Old =>
            {
                Some(Texts::of(&mut names.iter().copied()))
            }
            _ => None,
        };
        let start = out.len();
        out.put(br#"{"functionDeclarations":["#);
        let empty = out.len();
        for (index, tool) in self.chat.tools.iter().enumerate() {
            let Some(function) = &tool.function else {
                let message = format!(
                    "Custom tools do not exist at {}: give a function instead.",
                    self.surface.name()
                );
                let param = format!("tools[{index}].type");
                unsupported(param, "tools", message, self.target, warnings)?;
                continue;
            };
            let name = function.name.decode();
            if allowed.as_ref().is_none_or(|names| names.contains(&name)) {
                let name = names.written(&name);
                self.write_function((index, name), function, room, out, warnings)?;
            }
        }
        if out.len() == empty {
            out.truncate(start);
        } else {
            out.put(b"]}");
        }
        Ok(())
    }

    fn write_function(
        &self,
        (index, name): (usize, &str),
        function: &Function<'_>,
        room: &mut Room,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        separate(out);
        out.put(b"{\"name\":");
        write_str(out, name);
        if let Some(description) = function.description.filter(|text| !text.is_empty()) {
            out.put(b",\"description\":");
            out.put(description.as_written().as_bytes());
        }
        if function.strict == Some(true) {
            warnings.dropped("tools[].function.strict");
        }
        if let Some(parameters) = function.parameters.filter(|schema| is_object(schema)) {
            let form = Form::of(self.generation);
            let begin = out.len();
            let name: &[u8] = match form {
                Form::Json => b",\"parametersJsonSchema\":",
                Form::OpenApi => b",\"parameters\":",
            };
            out.put(name);
            let written = schema::write_arguments(parameters, form, room, out)
                .map_err(|fault| fault.at(&format!("tools[{index}].function.parameters")))?;
            if written.narrowed {
                warnings.changed("tools[].function.parameters", "what Gemini knows of it");
            }
            if written.empty {
                out.truncate(begin);
            }
        }
        out.mark(b'}');
        Ok(())
    }

    fn write_search(
        &self,
        functions: bool,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        let Some(options) = self.chat.field(SEARCH) else { return Ok(()) };
        let model = self.target.model;
        if !self.target.facts.capabilities.has(Capability::WebSearch) {
            let message = format!("The model '{model}' does not search the web.");
            return unsupported(SEARCH, SEARCH, message, self.target, warnings);
        }
        if functions && self.generation < Generation::Third {
            let message = format!("The model '{model}' takes either 'tools' or '{SEARCH}'.");
            return unsupported(SEARCH, SEARCH, message, self.target, warnings);
        }
        // The tool has no place for the size of the context or the user's location.
        if options.get() != "{}" {
            warnings.changed(SEARCH, "googleSearch");
        }
        warnings.unpriced(SEARCH);
        separate(out);
        out.put(br#"{"googleSearch":{}}"#);
        Ok(())
    }

    fn write_choice(
        &self,
        names: &mut Names,
        out: &mut Vec<u8>,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        let (mut mode, mut allowed): (&str, &[RawStr<'_>]) = match &self.chat.tool_choice {
            None => return Ok(()),
            Some(ToolChoice::Auto) => ("AUTO", &[]),
            Some(ToolChoice::None) => ("NONE", &[]),
            Some(ToolChoice::Required) => ("ANY", &[]),
            Some(ToolChoice::Function(name)) => ("ANY", std::slice::from_ref(name)),
            Some(ToolChoice::Allowed { names, .. }) if names.is_empty() => ("NONE", &[]),
            Some(ToolChoice::Allowed { names, required: true }) => ("ANY", names),
            Some(ToolChoice::Allowed { .. }) if self.generation == Generation::Old => ("AUTO", &[]),
            Some(ToolChoice::Allowed { names, required: false }) => ("VALIDATED", names),
            Some(ToolChoice::Custom(_)) => {
                let message = format!(
                    "Custom tools do not exist at {}: name a function instead.",
                    self.surface.name()
                );
                return unsupported("tool_choice", "tool_choice", message, self.target, warnings);
            }
        };
        if mode == "ANY" && !self.target.facts.parameters.forced_tool_use {
            let message =
                format!("The model '{}' cannot be forced to call a tool.", self.target.model);
            unsupported("tool_choice", "tool_choice", message, self.target, warnings)?;
            (mode, allowed) = ("AUTO", &[]);
        }
        out.put(br#","toolConfig":{"functionCallingConfig":{"mode":""#);
        out.put(mode.as_bytes());
        out.mark(b'"');
        if !allowed.is_empty() {
            out.put(b",\"allowedFunctionNames\":[");
            for name in allowed {
                separate(out);
                write_str(out, names.written(&name.decode()));
            }
            out.mark(b']');
        }
        out.put(b"}}");
        Ok(())
    }
}
