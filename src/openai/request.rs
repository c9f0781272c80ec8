//! A chat request: parsed once, borrowing from the body.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::Error;
use super::invalid;
use super::json::{Num, RawStr, is_null};
use super::message::{Items, Message, Tool};
use super::outer::{Field, Outer, USAGE_FIELD};
use super::place::{Place, from_str, members};

/// A chat request. Every field but `messages` also stands in [`Chat::fields`] as it was written.
#[derive(Debug, Default)]
pub struct Chat<'a> {
    /// The model asked for; empty when the field is absent.
    pub model: Cow<'a, str>,
    /// The conversation.
    pub messages: Vec<Message<'a>>,
    /// All other fields in order, with their text in the body.
    pub fields: Vec<Field<'a>>,
    /// How many of `fields` stand before `messages` in the body.
    pub messages_at: usize,
    /// Whether events are asked for.
    pub stream: bool,
    /// Whether the client gets the usage at the end of the stream: it asked for it, or for the cost.
    pub include_usage: bool,
    /// Whether the body asks for the usage, as a provider reads it.
    pub says_include_usage: bool,
    /// Whether the client wants to know what its request cost.
    pub include_cost: bool,
    /// What the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether, or what, it must call.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it may make several calls at once.
    pub parallel_tool_calls: Option<bool>,
    /// The older and the newer name for the longest answer; the newer wins.
    pub max_tokens: Option<u64>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<Num<'a>>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<Num<'a>>,
    /// Number of answers.
    pub n: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<RawStr<'a>>,
    /// What form the answer must have.
    pub response_format: Option<ResponseFormat<'a>>,
    /// How much to think: `none` to `max`.
    pub reasoning_effort: Option<RawStr<'a>>,
    /// Whether token probabilities are asked for.
    pub logprobs: bool,
    /// How many alternatives of each token.
    pub top_logprobs: Option<u64>,
    /// Whether the body is no longer that of the client.
    pub altered: bool,
}

/// Whether, or what, the model must call.
#[derive(Debug)]
pub enum ToolChoice<'a> {
    /// As it likes.
    Auto,
    /// Nothing.
    None,
    /// Something.
    Required,
    /// This function.
    Function(RawStr<'a>),
    /// One of these functions; the flag says whether it must.
    Allowed {
        /// The names.
        names: Vec<RawStr<'a>>,
        /// Whether a call is required.
        required: bool,
    },
    /// A custom tool by name.
    Custom(RawStr<'a>),
}

/// What form the answer must have.
#[derive(Debug)]
pub enum ResponseFormat<'a> {
    /// Any text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema(JsonSchema<'a>),
}

/// `response_format.json_schema`.
#[derive(Debug)]
pub struct JsonSchema<'a> {
    /// A name for it.
    pub name: RawStr<'a>,
    /// For the model.
    pub description: Option<RawStr<'a>>,
    /// The schema; absent means any JSON.
    pub schema: Option<&'a RawValue>,
    /// Whether the answer must follow it.
    pub strict: Option<bool>,
}

members!(JsonSchema<'a> { name (required), description, schema, strict });

impl<'a> Chat<'a> {
    /// Parses a request. What is missing counts as absent: see [`Chat::validate`].
    ///
    /// # Errors
    /// A 400 that names line and column of broken JSON, or the field that has the wrong type.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let text = simdutf8::compat::from_utf8(body)
            .map_err(|error| invalid::not_utf8(body, error.valid_up_to()))?;
        let outer: Outer<'a> =
            from_str(text).map_err(|error| invalid::explain(text, "messages", &error))?;
        let messages = outer.messages.map(|list| list.entries).unwrap_or_default();
        let mut chat = Self { messages, messages_at: outer.messages_at, ..Self::default() };
        let mut max_completion_tokens = None;
        for Field { name, value } in &outer.fields {
            if is_null(value) {
                continue;
            }
            match &**name {
                "model" => chat.model = read::<RawStr<'a>>(name, value)?.decode(),
                "stream" => chat.stream = read(name, value)?,
                "stream_options" => {
                    let options: StreamOptions = read(name, value)?;
                    chat.says_include_usage = options.include_usage.unwrap_or(false);
                }
                USAGE_FIELD => chat.include_cost = read_include(value)?,
                "tools" => chat.tools = read::<Items<Tool<'a>>>(name, value)?.0,
                "tool_choice" => chat.tool_choice = Some(tool_choice(value)?),
                "parallel_tool_calls" => chat.parallel_tool_calls = Some(read(name, value)?),
                "max_tokens" => chat.max_tokens = Some(read(name, value)?),
                "max_completion_tokens" => max_completion_tokens = Some(read(name, value)?),
                "temperature" => chat.temperature = Some(read(name, value)?),
                "top_p" => chat.top_p = Some(read(name, value)?),
                "n" => chat.n = Some(read(name, value)?),
                "stop" => chat.stop = stop(value)?,
                "response_format" => chat.response_format = Some(response_format(value)?),
                "reasoning_effort" => chat.reasoning_effort = Some(read(name, value)?),
                "logprobs" => chat.logprobs = read(name, value)?,
                "top_logprobs" => chat.top_logprobs = Some(read(name, value)?),
                _ => {}
            }
        }
        chat.max_tokens = max_completion_tokens.or(chat.max_tokens);
        chat.include_usage = chat.says_include_usage || chat.include_cost;
        chat.fields = outer.fields;
        Ok(chat)
    }

    /// The value of a field that is present and not null.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a RawValue> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        (!is_null(field.value)).then_some(field.value)
    }
}

/// Reads a value, blaming `path` when it has the wrong type.
///
/// # Errors
/// A 400 whose `param` is `path` or a place below it.
#[inline(never)]
pub fn read<'a, T: Place<'a>>(path: &str, value: &'a RawValue) -> Result<T, Error> {
    from_str(value.get()).map_err(|error| invalid::explain_field(path, value.get(), &error))
}

/// Reads `usage`: whether the client wants to know what its request cost.
///
/// # Errors
/// A 400 that blames it.
pub(super) fn read_include(value: &RawValue) -> Result<bool, Error> {
    struct Asked {
        include: Option<bool>,
    }
    members!(Asked { include });
    read::<Asked>(USAGE_FIELD, value).map(|asked| asked.include.unwrap_or(false))
}

fn stop(value: &RawValue) -> Result<Vec<RawStr<'_>>, Error> {
    if let Some(one) = RawStr::from_raw(value) {
        return Ok(vec![one]);
    }
    Ok(read::<Items<RawStr<'_>>>("stop", value)?.0)
}

fn tool_choice(value: &RawValue) -> Result<ToolChoice<'_>, Error> {
    struct Named<'a> {
        name: RawStr<'a>,
    }
    members!(Named<'a> { name (required) });
    struct Allowed<'a> {
        mode: RawStr<'a>,
        tools: Items<AllowedTool<'a>>,
    }
    members!(Allowed<'a> { mode (required), tools (required) });
    struct AllowedTool<'a> {
        function: Named<'a>,
    }
    members!(AllowedTool<'a> { function (required) });
    struct Object<'a> {
        kind: RawStr<'a>,
        function: Option<Named<'a>>,
        custom: Option<Named<'a>>,
        allowed_tools: Option<Allowed<'a>>,
    }
    members!(Object<'a> { kind "type" (required), function, custom, allowed_tools });
    const WORDS: &str = "'tool_choice' must be \"none\", \"auto\", \"required\", or an object that names a function";
    if let Some(word) = RawStr::from_raw(value) {
        return match &*word.decode() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Error::invalid("tool_choice", WORDS)),
        };
    }
    let object: Object<'_> = read("tool_choice", value)?;
    let missing = |field: &str| {
        Err(Error::invalid(
            format!("tool_choice.{field}"),
            format!("Missing required parameter: 'tool_choice.{field}'."),
        ))
    };
    match &*object.kind.decode() {
        "function" => match object.function {
            Some(function) => Ok(ToolChoice::Function(function.name)),
            None => missing("function"),
        },
        "custom" => match object.custom {
            Some(custom) => Ok(ToolChoice::Custom(custom.name)),
            None => missing("custom"),
        },
        "allowed_tools" => match object.allowed_tools {
            Some(allowed) => {
                let required = match &*allowed.mode.decode() {
                    "auto" => false,
                    "required" => true,
                    _ => {
                        return Err(Error::invalid(
                            "tool_choice.allowed_tools.mode",
                            "'tool_choice.allowed_tools.mode' must be \"auto\" or \"required\"",
                        ));
                    }
                };
                let names = allowed.tools.0.iter().map(|tool| tool.function.name).collect();
                Ok(ToolChoice::Allowed { names, required })
            }
            None => missing("allowed_tools"),
        },
        _ => Err(Error::invalid("tool_choice.type", WORDS)),
    }
}

fn response_format(value: &RawValue) -> Result<ResponseFormat<'_>, Error> {
    struct Object<'a> {
        kind: RawStr<'a>,
        json_schema: Option<JsonSchema<'a>>,
    }
    members!(Object<'a> { kind "type" (required), json_schema });
    let object: Object<'_> = read("response_format", value)?;
    match &*object.kind.decode() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => match object.json_schema {
            Some(schema) => Ok(ResponseFormat::JsonSchema(schema)),
            None => Err(Error::invalid(
                "response_format.json_schema",
                "Missing required parameter: 'response_format.json_schema'.",
            )),
        },
        _ => Err(Error::invalid(
            "response_format.type",
            "'response_format.type' must be \"text\", \"json_object\" or \"json_schema\"",
        )),
    }
}

struct StreamOptions {
    include_usage: Option<bool>,
}

members!(StreamOptions { include_usage });

self_cell::self_cell!(
    /// A request together with the body that it borrows from.
    pub struct ParsedChat {
        owner: Vec<u8>,
        #[covariant]
        dependent: Chat,
    }
    impl { Debug }
);

impl ParsedChat {
    /// Parses and keeps the body.
    ///
    /// # Errors
    /// As [`Chat::parse`].
    pub fn parse(body: Vec<u8>) -> Result<Self, Error> {
        Self::try_new(body, |body| Chat::parse(body))
    }

    /// The same with so many tokens of output at most, for a request that says nothing of them: the
    /// body says so too.
    ///
    /// # Errors
    /// None of one that was parsed.
    pub fn with_max_tokens(self, most: u64) -> Result<Self, Error> {
        const FIELD: &str = "max_completion_tokens";
        // A null that stands there is no limit, and a field must not stand there twice.
        let null = self.chat().fields.iter().find(|field| field.name == FIELD);
        let null = null.map(|field| field.value.get().as_ptr().addr());
        let mut body = self.into_owner();
        let start = body.as_ptr().addr();
        let (at, length, text) = match null.and_then(|at| at.checked_sub(start)) {
            Some(at) => (at, 4, most.to_string()),
            None => {
                let brace = body.iter().position(|byte| *byte == b'{').unwrap_or_default();
                (brace + 1, 0, format!("\"{FIELD}\":{most},"))
            }
        };
        body.splice(at..at + length, text.into_bytes());
        let mut parsed = Self::parse(body)?;
        parsed.with_dependent_mut(|_, chat| chat.altered = true);
        Ok(parsed)
    }

    /// The client wants to know what its request cost, though its body does not say so.
    pub fn include_cost(&mut self) {
        self.with_dependent_mut(|_, chat| {
            chat.include_cost = true;
            chat.include_usage = true;
        });
    }

    /// The body as the client sent it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.borrow_owner()
    }

    /// What it says.
    #[must_use]
    pub fn chat(&self) -> &Chat<'_> {
        self.borrow_dependent()
    }
}

#[cfg(test)]
mod tests;
