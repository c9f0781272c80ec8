//! The body, and what becomes of each field at the top.

use std::io::Write as _;

use serde_json::value::RawValue;

use super::messages::Turns;
use crate::openai::json::{Append, Num, RawStr, is_object, string, write_str};
use crate::openai::message::Items;
use crate::openai::place::{from_str, members};
use crate::openai::request::{ResponseFormat, read};
use crate::openai::{Chat, Error};
use crate::providers::catalogue::{Capability, Effort};
use crate::providers::functions::{self, Choice, write_schema};
use crate::providers::warnings::{Warnings, into_range, max_tokens, refuse_other_answers};
use crate::providers::{Outbound, Payload, Target};

/// The highest temperature that the API takes.
const MAX_TEMPERATURE: f64 = 1.5;

/// The API's own fields, which a client may send as they are.
const OWN: &[&str] = &[
    "guardrails",
    "metadata",
    "min_tokens",
    "prompt_cache_key",
    "prompt_mode",
    "repetition_penalty",
    "safe_prompt",
    "top_k",
];

/// The further fields that are written, or refused, or mean the same without a word.
const PLACED: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "guardrails",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "min_tokens",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_mode",
    "random_seed",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safe_prompt",
    "seed",
    "service_tier",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "web_search_options",
];

/// The request for `target`. `length` is that of the client's body, which the new one resembles.
///
/// # Errors
/// A 400 that names the field which this API or model cannot honour.
pub(super) fn write(
    chat: &Chat<'_>,
    length: usize,
    target: &Target<'_>,
) -> Result<Outbound, Error> {
    let mut warnings = Warnings::default();
    refuse_other_answers(chat, "Mistral", target, &mut warnings)?;
    let mut out = Vec::with_capacity(length + length / 8 + 256);
    out.put(b"{\"model\":");
    write_str(&mut out, target.model);
    let mut turns = Turns::new(chat, target, warnings);
    turns.write(&mut out)?;
    let mut body = Body { chat, target, out, warnings: turns.warnings };
    body.write_limits()?;
    body.write_sampling()?;
    body.write_seed()?;
    body.write_tools()?;
    body.write_response_format();
    body.write_effort()?;
    body.write_hints()?;
    if chat.stream {
        body.out.put(b",\"stream\":true");
    }
    body.out.mark(b'}');
    // The API refuses a request with a field that it does not know.
    body.warnings.dropped_but(chat, PLACED);
    Ok(Outbound {
        method: "POST",
        path: format!("{}/chat/completions", target.base.path),
        headers: vec![("content-type", "application/json".to_owned())],
        body: Payload::Whole(body.out),
        warnings: body.warnings.0,
    })
}

struct Body<'c, 'a> {
    chat: &'c Chat<'a>,
    target: &'c Target<'c>,
    out: Vec<u8>,
    warnings: Warnings,
}

impl Body<'_, '_> {
    /// Appends `,"name":value`.
    fn field(&mut self, name: &str, value: &str) {
        // Writing to a Vec cannot fail.
        let _ = write!(self.out, ",\"{name}\":{value}");
    }

    fn write_limits(&mut self) -> Result<(), Error> {
        if let Some(tokens) = max_tokens(self.chat, self.target, &mut self.warnings)? {
            self.field("max_tokens", &tokens.to_string());
        }
        if !self.chat.stop.is_empty() {
            let texts: Vec<&str> = self.chat.stop.iter().map(|text| text.as_written()).collect();
            let list = format!("[{}]", texts.join(","));
            self.field("stop", &list);
        }
        Ok(())
    }

    fn write_sampling(&mut self) -> Result<(), Error> {
        let known = &self.target.facts.parameters;
        let mut greedy = false;
        if let Some(number) = self.chat.temperature {
            if known.sampling_params {
                greedy = number.value == 0.0;
                let (target, warnings) = (self.target, &mut self.warnings);
                let number =
                    into_range("temperature", number, 0.0, MAX_TEMPERATURE, target, warnings)?;
                self.field("temperature", &number);
            } else {
                self.warnings.dropped("temperature");
            }
        }
        if let Some(number) = self.chat.top_p {
            // Where there is no chance there is none to cut, and the API refuses to be told so.
            if known.sampling_params && !(greedy && number.value < 1.0) {
                self.field("top_p", number.written);
            } else {
                self.warnings.dropped("top_p");
            }
        }
        for name in ["presence_penalty", "frequency_penalty"] {
            let Some(value) = self.chat.field(name) else { continue };
            let number: Num<'_> = read(name, value)?;
            if known.penalties {
                self.field(name, number.written);
            } else {
                self.warnings.dropped(name);
            }
        }
        if let Some(n) = self.chat.n {
            self.field("n", &n.to_string());
        }
        if self.chat.logprobs {
            self.field("logprobs", "true");
            if let Some(top) = self.chat.top_logprobs {
                self.field("top_logprobs", &top.to_string());
            }
        }
        Ok(())
    }

    /// Negative seeds are refused.
    fn write_seed(&mut self) -> Result<(), Error> {
        for name in ["seed", "random_seed"] {
            let Some(value) = self.chat.field(name) else { continue };
            let number: Num<'_> = read(name, value)?;
            if number.value < 0.0 {
                self.warnings.dropped(name);
                continue;
            }
            self.field("random_seed", number.written);
            break;
        }
        Ok(())
    }

    fn write_tools(&mut self) -> Result<(), Error> {
        let (chat, target) = (self.chat, self.target);
        let offer = functions::offer(chat, target, "Mistral", &mut self.warnings)?;
        for (at, function) in offer.functions.iter().enumerate() {
            let begin: &[u8] = if at == 0 { b",\"tools\":[" } else { b"," };
            self.out.put(begin);
            self.out.put(br#"{"type":"function","function":{"name":"#);
            self.out.put(function.name.as_written().as_bytes());
            if let Some(text) = function.description {
                self.field("description", text.as_written());
            }
            self.out.put(b",\"parameters\":");
            write_schema(function.parameters, &mut self.out);
            if function.strict == Some(true) {
                self.field("strict", "true");
            }
            self.out.put(b"}}");
        }
        if offer.functions.is_empty() {
            return Ok(());
        }
        self.out.mark(b']');
        match offer.choice {
            Choice::Unsaid => {}
            Choice::Auto => self.field("tool_choice", "\"auto\""),
            Choice::None => self.field("tool_choice", "\"none\""),
            // `required` is understood by newer models only.
            Choice::Required => self.field("tool_choice", "\"any\""),
            Choice::Named(name) => {
                let choice =
                    format!(r#"{{"type":"function","function":{{"name":{}}}}}"#, name.as_written());
                self.field("tool_choice", &choice);
            }
        }
        if let Some(parallel) = self.chat.parallel_tool_calls {
            self.field("parallel_tool_calls", if parallel { "true" } else { "false" });
        }
        Ok(())
    }

    fn write_response_format(&mut self) {
        let format = match &self.chat.response_format {
            None | Some(ResponseFormat::Text) => return,
            Some(ResponseFormat::JsonObject) => None,
            Some(ResponseFormat::JsonSchema(format)) => {
                format.schema.filter(|schema| is_object(schema)).map(|schema| (format, schema))
            }
        };
        let Some((format, schema)) = format else {
            self.field("response_format", r#"{"type":"json_object"}"#);
            return;
        };
        self.field("response_format", r#"{"type":"json_schema","json_schema":{"name":"#);
        self.out.put(format.name.as_written().as_bytes());
        if let Some(text) = format.description {
            self.field("description", text.as_written());
        }
        self.out.put(b",\"schema\":");
        write_schema(Some(schema), &mut self.out);
        if let Some(strict) = format.strict {
            self.field("strict", if strict { "true" } else { "false" });
        }
        self.out.put(b"}}");
    }

    fn write_effort(&mut self) -> Result<(), Error> {
        const PARAM: &str = "reasoning_effort";
        let Some(word) = self.chat.reasoning_effort else { return Ok(()) };
        let Some(wanted) = Effort::from_name(&word.decode()) else {
            let words = Effort::ALL.map(Effort::name).join(", ");
            return Err(Error::invalid(PARAM, format!("'{PARAM}' must be one of {words}.")));
        };
        let facts = self.target.facts;
        if !facts.capabilities.has(Capability::Reasoning) {
            if wanted != Effort::None {
                self.warnings.dropped(PARAM);
            }
            return Ok(());
        }
        let effort = facts.parameters.efforts.nearest(wanted);
        if effort != wanted {
            self.warnings.changed(PARAM, effort.name());
        }
        self.field(PARAM, &format!("\"{}\"", effort.name()));
        Ok(())
    }

    fn write_hints(&mut self) -> Result<(), Error> {
        for name in OWN {
            if let Some(value) = self.chat.field(name) {
                self.field(name, value.get());
            }
        }
        if let Some(value) = self.chat.field("service_tier") {
            match &*read::<RawStr<'_>>("service_tier", value)?.decode() {
                "auto" => self.field("service_tier", "\"auto\""),
                "default" | "standard_only" => self.field("service_tier", "\"standard_only\""),
                _ => self.warnings.dropped("service_tier"),
            }
        }
        if let Some(value) = self.chat.field("prediction") {
            match prediction(value) {
                Some(text) => {
                    self.out.put(br#","prediction":{"type":"content","content":"#);
                    write_str(&mut self.out, &text);
                    self.out.mark(b'}');
                }
                None => self.warnings.dropped("prediction"),
            }
        }
        Ok(())
    }
}

/// The text that is predicted: OpenAI takes parts too.
fn prediction(value: &RawValue) -> Option<String> {
    struct Prediction<'a> {
        content: &'a RawValue,
    }
    members!(Prediction<'a> { content (required) });
    struct Part<'a> {
        text: RawStr<'a>,
    }
    members!(Part<'a> { text (required) });
    let content = from_str::<Prediction<'_>>(value.get()).ok()?.content;
    if let Some(text) = string(Some(content)) {
        return Some(text.decode().into_owned());
    }
    let parts: Items<Part<'_>> = from_str(content.get()).ok()?;
    Some(parts.0.iter().map(|part| part.text.decode()).collect())
}
