//! Whether a parsed request is one that the canonical API allows.
//!
//! Types are right already. What is checked here would be refused by every provider, or could
//! not be translated; what only some providers refuse is their dialect's business.

use std::borrow::Cow;
use std::fmt;

use super::error::Error;
use super::json::{Num, RawStr, Texts, is_object};
use super::message::{Content, FunctionCall, Items, Message, Part, Role, Tool, ToolCall};
use super::request::{Chat, ToolChoice, read};

/// Most stop sequences.
pub const MAX_STOP: usize = 4;

/// Most answers to one request.
pub const MAX_N: u64 = 128;

/// Longest name of a function, in bytes.
pub const MAX_FUNCTION_NAME: usize = 64;

/// Longest name of a model, in bytes.
pub const MAX_MODEL_NAME: usize = 256;

/// Where a request first holds what not every model can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// A picture.
    pub image: Option<Place>,
    /// A PDF document.
    pub pdf: Option<Place>,
    /// Sound.
    pub audio: Option<Place>,
}

/// A part of a message's content. Its text is the path in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which message.
    pub message: usize,
    /// Which of its parts.
    pub part: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}].content[{}]", self.message, self.part)
    }
}

impl Media {
    fn note(&mut self, part: &Part<'_>, place: Place) {
        let first = match &*part.kind {
            "image_url" if part.image_url.as_ref().is_some_and(|image| is_pdf(image.url)) => {
                &mut self.pdf
            }
            "image_url" => &mut self.image,
            "input_audio" => &mut self.audio,
            "file" => match part.file.as_ref().and_then(|file| file.file_data) {
                Some(data) if is_pdf(data) => &mut self.pdf,
                _ => return,
            },
            _ => return,
        };
        first.get_or_insert(place);
    }
}

/// Whether it is a PDF document inline, as a `data:` URL or bare. A slash may be written as `\/`.
fn is_pdf(data: RawStr<'_>) -> bool {
    let data = data.inner();
    ["data:application/pdf", r"data:application\/pdf", "JVBERi0"]
        .iter()
        .any(|start| data.starts_with(start))
}

impl Chat<'_> {
    /// Checks what the parser does not, and tells which media it saw.
    ///
    /// # Errors
    /// A 400 that names the field.
    pub fn validate(&self) -> Result<Media, Error> {
        check_model(&self.model)?;
        if self.messages.is_empty() {
            return Err(missing("messages"));
        }
        let mut media = Media::default();
        for (index, message) in self.messages.iter().enumerate() {
            check_message(message, index, &mut media)
                .map_err(|fault| fault.at(&format!("messages[{index}]")))?;
        }
        in_range("temperature", self.temperature, 0.0, 2.0)?;
        in_range("top_p", self.top_p, 0.0, 1.0)?;
        for name in ["frequency_penalty", "presence_penalty"] {
            let value = self.field(name).map(|value| read(name, value)).transpose()?;
            in_range(name, value, -2.0, 2.0)?;
        }
        if self.n.is_some_and(|n| n == 0 || n > MAX_N) {
            return Err(Error::invalid("n", format!("'n' must be between 1 and {MAX_N}.")));
        }
        if self.max_tokens == Some(0) {
            let param = match self.field("max_completion_tokens") {
                Some(_) => "max_completion_tokens",
                None => "max_tokens",
            };
            return Err(Error::invalid(param, format!("'{param}' must be at least 1.")));
        }
        if self.stop.len() > MAX_STOP {
            let message = format!("'stop' takes at most {MAX_STOP} sequences.");
            return Err(Error::invalid("stop", message));
        }
        if let Some(top) = self.top_logprobs {
            if !self.logprobs {
                let message = "'top_logprobs' needs 'logprobs' to be true.";
                return Err(Error::invalid("top_logprobs", message));
            }
            if top > 20 {
                let message = "'top_logprobs' must be between 0 and 20.";
                return Err(Error::invalid("top_logprobs", message));
            }
        }
        if self.field("stream_options").is_some() && !self.stream {
            let message = "'stream_options' is only allowed when 'stream' is true.";
            return Err(Error::invalid("stream_options", message));
        }
        for (index, tool) in self.tools.iter().enumerate() {
            check_tool(tool).map_err(|fault| fault.at(&format!("tools[{index}]")))?;
        }
        self.check_tool_choice()?;
        Ok(media)
    }

    fn check_tool_choice(&self) -> Result<(), Error> {
        let named: Vec<RawStr<'_>> = match &self.tool_choice {
            None | Some(ToolChoice::None) => return Ok(()),
            Some(ToolChoice::Auto | ToolChoice::Required) => Vec::new(),
            Some(ToolChoice::Function(name)) => vec![*name],
            Some(ToolChoice::Allowed { names, .. }) => names.clone(),
            // Custom tools are named within a value that only some dialects read.
            Some(ToolChoice::Custom(_)) => return Ok(()),
        };
        if self.tools.is_empty() && self.field("functions").is_none() {
            let message = "'tool_choice' is only allowed when 'tools' are given.";
            return Err(Error::invalid("tool_choice", message));
        }
        // Thousands of names may be allowed of thousands of tools, so the tools are gone through once.
        let mut functions = self.tools.iter().filter_map(|tool| Some(tool.function.as_ref()?.name));
        let known = match named.as_slice() {
            [] => Texts::default(),
            _ => Texts::of(&mut functions),
        };
        match named.iter().find(|name| !known.contains(&name.decode())) {
            Some(name) => Err(Error::invalid(
                "tool_choice",
                format!("'tool_choice' names the function {name:?}, which is not in 'tools'."),
            )),
            None => Ok(()),
        }
    }
}

/// Checks the name of the model asked for.
///
/// # Errors
/// A 400 that names the field.
pub(super) fn check_model(model: &str) -> Result<(), Error> {
    if model.is_empty() {
        return Err(missing("model"));
    }
    if model.len() > MAX_MODEL_NAME {
        let message = format!("'model' is longer than {MAX_MODEL_NAME} bytes.");
        return Err(Error::invalid("model", message));
    }
    Ok(())
}

/// What is wrong at a place inside a message or tool.
struct Fault {
    field: String,
    message: String,
    code: Option<Cow<'static, str>>,
}

impl Fault {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), code: None }
    }

    fn at(self, place: &str) -> Error {
        let param = format!("{place}.{}", self.field);
        let message = format!("Invalid '{param}': {}.", self.message);
        Error { code: self.code, ..Error::invalid(param, message) }
    }
}

fn check_message(message: &Message<'_>, at: usize, media: &mut Media) -> Result<(), Fault> {
    if let Some(calls) = message.tool_calls {
        if message.role != Role::Assistant {
            return Err(Fault::new("tool_calls", "only an assistant makes calls"));
        }
        let calls: Items<ToolCall<'_>> =
            read("tool_calls", calls).map_err(|error| within("tool_calls", error))?;
        for (index, call) in calls.0.iter().enumerate() {
            check_call(call).map_err(|fault| Fault {
                field: format!("tool_calls[{index}].{}", fault.field),
                ..fault
            })?;
        }
    }
    match (message.role, message.content) {
        (Role::Tool, _) if message.tool_call_id.is_none_or(RawStr::is_empty) => {
            return Err(Fault::new("tool_call_id", "a tool message needs the id of its call"));
        }
        (Role::Assistant, Content::Absent | Content::Null) => {
            let says_something = message.tool_calls.is_some()
                || message.function_call.is_some()
                || message.refusal.is_some()
                || message.audio.is_some();
            if !says_something {
                let fault = "an assistant message needs content unless it has tool_calls";
                return Err(Fault::new("content", fault));
            }
        }
        // A function result may be null in the older form.
        (Role::Function, Content::Null) => {}
        (_, Content::Absent | Content::Null) => {
            return Err(Fault::new("content", "a string or a list of parts is needed"));
        }
        (role, Content::Parts(parts)) => {
            let parts: Items<Part<'_>> =
                read("content", parts).map_err(|error| within("content", error))?;
            if parts.0.is_empty() {
                return Err(Fault::new("content", "the list of parts is empty"));
            }
            for (index, part) in parts.0.iter().enumerate() {
                check_part(role, part).map_err(|fault| Fault {
                    field: format!("content[{index}].{}", fault.field),
                    ..fault
                })?;
                media.note(part, Place { message: at, part: index });
            }
        }
        (_, Content::Text(_)) => {}
    }
    Ok(())
}

/// The fault for an error whose `param` begins with `field`: its words, without the path that they
/// begin with.
fn within(field: &str, error: Error) -> Fault {
    let message = match error.message.split_once("': ") {
        Some((_, message)) => message.trim_end_matches('.').to_owned(),
        None if error.message.starts_with("Missing") => "this field is required".to_owned(),
        None => error.message,
    };
    Fault { field: error.param.unwrap_or_else(|| field.to_owned()), message, code: error.code }
}

fn check_call(call: &ToolCall<'_>) -> Result<(), Fault> {
    match (call.kind.as_deref(), &call.function) {
        (None | Some("function"), Some(FunctionCall { name, .. })) if name.is_empty() => {
            Err(Fault::new("function.name", "the name is empty"))
        }
        (None | Some("function"), None) => {
            Err(Fault::new("function", "a function call needs name and arguments"))
        }
        (Some("custom"), _) if call.custom.is_none() => {
            Err(Fault::new("custom", "a custom call needs name and input"))
        }
        (None | Some("function" | "custom"), _) => Ok(()),
        (Some(_), _) => Err(Fault::new("type", "it must be \"function\" or \"custom\"")),
    }
}

fn check_part(role: Role, part: &Part<'_>) -> Result<(), Fault> {
    let allowed: &[&str] = match role {
        Role::User => &["text", "image_url", "input_audio", "file"],
        Role::Assistant => &["text", "refusal", "thinking", "redacted_thinking"],
        // Tool results may hold pictures at several providers, though not at OpenAI itself.
        Role::Tool => &["text", "image_url", "file"],
        Role::System | Role::Developer | Role::Function => &["text"],
    };
    if !allowed.contains(&&*part.kind) {
        let message = format!(
            "a part of {} message must be one of {}",
            match role {
                Role::Assistant => "an assistant".to_owned(),
                other => format!("a {}", other.word()),
            },
            allowed.iter().map(|kind| format!("\"{kind}\"")).collect::<Vec<_>>().join(", ")
        );
        return Err(Fault::new("type", message));
    }
    let present = match &*part.kind {
        "text" => part.text.is_some(),
        "refusal" => part.refusal.is_some(),
        "image_url" => part.image_url.is_some(),
        "input_audio" => part.input_audio.is_some(),
        "file" => part.file.as_ref().is_some_and(|f| f.file_data.is_some() || f.file_id.is_some()),
        _ => true,
    };
    if present {
        Ok(())
    } else {
        let message = match &*part.kind {
            "file" => "file_data or file_id is needed".to_owned(),
            kind => format!("a part of type \"{kind}\" needs this field"),
        };
        Err(Fault::new(part.kind.as_ref(), message))
    }
}

fn check_tool(tool: &Tool<'_>) -> Result<(), Fault> {
    match (&*tool.kind, &tool.function) {
        ("function", Some(function)) => {
            let name = function.name.decode();
            let fits = !name.is_empty()
                && name.len() <= MAX_FUNCTION_NAME
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if !fits {
                let message = format!(
                    "a name is 1 to {MAX_FUNCTION_NAME} letters, digits, underscores and dashes"
                );
                return Err(Fault::new("function.name", message));
            }
            match function.parameters {
                Some(parameters) if !is_object(parameters) => {
                    Err(Fault::new("function.parameters", "a JSON Schema object is needed"))
                }
                _ => Ok(()),
            }
        }
        ("function", None) => Err(Fault::new("function", "a function tool needs this field")),
        ("custom", _) if tool.custom.is_none() => {
            Err(Fault::new("custom", "a custom tool needs this field"))
        }
        ("custom", _) => Ok(()),
        _ => Err(Fault::new("type", "it must be \"function\" or \"custom\"")),
    }
}

fn in_range(name: &str, number: Option<Num<'_>>, low: f64, high: f64) -> Result<(), Error> {
    match number {
        Some(number) if !(low..=high).contains(&number.value) => Err(Error::invalid(
            name,
            format!("'{name}' must be between {low} and {high}, but is {}.", number.written),
        )),
        _ => Ok(()),
    }
}

/// The error for a field that is needed and absent.
pub(super) fn missing(field: &str) -> Error {
    Error::invalid(field, format!("Missing required parameter: '{field}'."))
        .with_code("missing_required_parameter")
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn check(fields: &str) -> Result<(), Error> {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        Chat::parse(body.as_bytes()).and_then(|chat| chat.validate().map(drop))
    }

    fn with_message(message: &str) -> Result<(), Error> {
        check(&format!(r#""messages":[{{"role":"user","content":"x"}},{message}]"#))
    }

    #[test]
    fn model_and_messages_are_required() {
        let error = Chat::parse(b"{}").unwrap().validate().unwrap_err();
        assert_eq!(error.param.as_deref(), Some("model"));
        assert_eq!(error.message, "Missing required parameter: 'model'.");
        let error = Chat::parse(br#"{"model":"m"}"#).unwrap().validate().unwrap_err();
        assert_eq!(error.param.as_deref(), Some("messages"));
    }

    #[test]
    fn a_conversation_with_every_role_is_fine() {
        check(
            r#""messages":[{"role":"developer","content":"be brief"},{"role":"system","content":[{"type":"text","text":"x"}]},
            {"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}},{"type":"file","file":{"file_id":"f"}}]},
            {"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":""}}]},
            {"role":"tool","tool_call_id":"c","content":"42"},{"role":"function","name":"f","content":null}],
            "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}}"#,
        )
        .unwrap();
    }

    #[test]
    fn a_fault_inside_a_message_names_its_place() {
        for (message, param) in [
            (r#"{"role":"user"}"#, "messages[1].content"),
            (r#"{"role":"assistant","content":null}"#, "messages[1].content"),
            (r#"{"role":"tool","content":"x"}"#, "messages[1].tool_call_id"),
            (r#"{"role":"user","content":"x","tool_calls":[]}"#, "messages[1].tool_calls"),
            (r#"{"role":"user","content":[]}"#, "messages[1].content"),
            (r#"{"role":"user","content":[{"type":"text"}]}"#, "messages[1].content[0].text"),
            (
                r#"{"role":"user","content":[{"type":"text","text":7}]}"#,
                "messages[1].content[0].text",
            ),
            (r#"{"role":"user","content":[{"text":"x"}]}"#, "messages[1].content[0].type"),
            (r#"{"role":"user","content":[["text","x"]]}"#, "messages[1].content[0]"),
            (r#"{"role":"user","content":[{"type":"video"}]}"#, "messages[1].content[0].type"),
            (
                r#"{"role":"user","content":[{"type":"image_url","image_url":{}}]}"#,
                "messages[1].content[0].image_url.url",
            ),
            (
                r#"{"role":"user","content":[{"type":"file","file":{}}]}"#,
                "messages[1].content[0].file",
            ),
            (
                r#"{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}"#,
                "messages[1].tool_calls[0].id",
            ),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"x"}]}"#,
                "messages[1].tool_calls[0].function",
            ),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"x","type":"what"}]}"#,
                "messages[1].tool_calls[0].type",
            ),
        ] {
            let error = with_message(message).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{message}: {}", error.message);
            assert_eq!(error.status, 400);
        }
    }

    #[test]
    fn a_fault_deep_inside_a_message_names_its_place_once() {
        let error =
            with_message(r#"{"role":"user","content":[{"type":"text","text":7}]}"#).unwrap_err();
        assert_eq!(
            error.message,
            "Invalid 'messages[1].content[0].text': expected a string, but got a number instead."
        );
        let error = with_message(r#"{"role":"user","content":[{"text":"x"}]}"#).unwrap_err();
        assert_eq!(error.message, "Invalid 'messages[1].content[0].type': this field is required.");
    }

    #[test]
    fn values_out_of_range_name_their_field() {
        for (fields, param) in [
            (r#""temperature":2.1"#, "temperature"),
            (r#""top_p":-0.1"#, "top_p"),
            (r#""presence_penalty":3"#, "presence_penalty"),
            (r#""n":0"#, "n"),
            (r#""max_tokens":0"#, "max_tokens"),
            (r#""max_completion_tokens":0"#, "max_completion_tokens"),
            (r#""stop":["a","b","c","d","e"]"#, "stop"),
            (r#""top_logprobs":2"#, "top_logprobs"),
            (r#""logprobs":true,"top_logprobs":21"#, "top_logprobs"),
            (r#""stream_options":{}"#, "stream_options"),
            (r#""tool_choice":"auto""#, "tool_choice"),
            (
                r#""tools":[{"type":"function","function":{"name":"a b"}}]"#,
                "tools[0].function.name",
            ),
            (
                r#""tools":[{"type":"function","function":{"name":"f","parameters":[]}}]"#,
                "tools[0].function.parameters",
            ),
            (r#""tools":[{"type":"magic"}]"#, "tools[0].type"),
        ] {
            let error = check(&format!(r#""messages":[{{"role":"user","content":"x"}}],{fields}"#))
                .unwrap_err();
            assert_eq!(error.param.as_deref(), Some(param), "{fields}: {}", error.message);
        }
    }

    /// Compared one by one, with escapes to undo each time, these would take minutes.
    #[test]
    fn thousands_of_allowed_tools_are_found_among_thousands() {
        let name = |at: usize| format!("{}{at}", "\\u0061".repeat(50));
        let functions = |tail: &str| -> Vec<String> {
            (0..4096)
                .map(|at| {
                    format!(r#"{{"type":"function","function":{{"name":"{}"{tail}}}}}"#, name(at))
                })
                .collect()
        };
        let tools = functions(r#","parameters":{}"#).join(",");
        let mut allowed = functions("");
        allowed.reverse();
        let asked = |allowed: &[String]| {
            check(&format!(
                r#""messages":[{{"role":"user","content":"x"}}],"tools":[{tools}],"tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"auto","tools":[{}]}}}}"#,
                allowed.join(",")
            ))
        };
        asked(&allowed).unwrap();
        allowed.push(r#"{"type":"function","function":{"name":"other"}}"#.to_owned());
        assert_eq!(asked(&allowed).unwrap_err().param.as_deref(), Some("tool_choice"));
    }

    #[test]
    fn a_tool_choice_must_name_a_tool() {
        let error = check(
            r#""messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}}"#,
        )
        .unwrap_err();
        assert!(error.message.contains("\"g\""), "{}", error.message);
    }
}
