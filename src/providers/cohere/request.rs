//! The body, and what becomes of each field at the top.

use std::io::Write as _;

use super::messages::Turns;
use super::names;
use crate::openai::json::{Append, Num, is_object, separate, write_str};
use crate::openai::request::{ResponseFormat, read};
use crate::openai::{Chat, Error};
use crate::providers::catalogue::{Capability, Effort};
use crate::providers::functions::{self, Choice, Offer, write_schema};
use crate::providers::warnings::{
    Warnings, into_range, refuse_more_answers, refuse_other_answers, unsupported,
};
use crate::providers::{Outbound, Payload, Target};

/// The highest temperature that all models take.
const MAX_TEMPERATURE: f64 = 1.0;

/// The API's own fields, which a client may send as they are.
const OWN: &[&str] = &["citation_options", "documents", "priority", "safety_mode"];

/// The fields that are written, or refused, or mean the same without a word.
const PLACED: &[&str] = &[
    "audio",
    "citation_options",
    "documents",
    "frequency_penalty",
    "function_call",
    "functions",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "priority",
    "reasoning_effort",
    "response_format",
    "safety_mode",
    "seed",
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
    refuse_other_answers(chat, "Cohere", target, &mut warnings)?;
    refuse_more_answers(chat, "Cohere", target, &mut warnings)?;
    if chat.top_logprobs.is_some_and(|top| top > 0) {
        let message = "'top_logprobs': Cohere gives no alternatives of tokens.";
        unsupported("top_logprobs", "top_logprobs", message, target, &mut warnings)?;
    }
    let mut out = Vec::with_capacity(length + length / 8 + 256);
    out.put(b"{\"model\":");
    write_str(&mut out, target.model);
    let mut turns = Turns::new(chat, target, warnings);
    turns.write(&mut out)?;
    let mut body = Body { chat, target, out, warnings: turns.warnings };
    let tools = body.write_tools()?;
    body.write_response_format(tools)?;
    body.write_limits();
    body.write_sampling()?;
    body.write_penalties()?;
    body.write_thinking()?;
    for name in OWN {
        if let Some(value) = chat.field(name) {
            body.field(name, value.get());
        }
    }
    // The API wants to be told in either case.
    body.field("stream", if chat.stream { "true" } else { "false" });
    body.out.mark(b'}');
    body.warnings.dropped_but(chat, PLACED);
    Ok(Outbound {
        method: "POST",
        path: format!("{}/v2/chat", target.base.path),
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

    /// Says whether there are any. A named function is the only one on offer, since the API cannot
    /// be told which to call.
    fn write_tools(&mut self) -> Result<bool, Error> {
        let (chat, target) = (self.chat, self.target);
        let Offer { mut functions, choice } =
            functions::offer(chat, target, "Cohere", &mut self.warnings)?;
        if let Choice::Named(name) = choice {
            let name = name.decode();
            functions.retain(|function| function.name.decode() == name);
        }
        // Where no call is wanted, tools only stand in the way of a JSON format.
        if functions.is_empty() || matches!(choice, Choice::None) && self.wants_json() {
            return Ok(false);
        }
        self.out.put(b",\"tools\":[");
        for function in &functions {
            separate(&mut self.out);
            self.out.put(br#"{"type":"function","function":{"name":"#);
            write_str(&mut self.out, &names::fit(&function.name.decode()));
            if let Some(text) = function.description {
                self.field("description", text.as_written());
            }
            self.out.put(b",\"parameters\":");
            write_schema(function.parameters, &mut self.out);
            self.out.put(b"}}");
        }
        self.out.mark(b']');
        let strict = functions.iter().filter(|function| function.strict == Some(true)).count();
        if strict > 0 {
            if strict < functions.len() {
                self.warnings.changed("tools[].function.strict", "true for all");
            }
            self.field("strict_tools", "true");
        }
        match choice {
            Choice::Unsaid | Choice::Auto => {}
            Choice::None => self.field("tool_choice", "\"NONE\""),
            Choice::Required | Choice::Named(_) => self.field("tool_choice", "\"REQUIRED\""),
        }
        if self.chat.parallel_tool_calls == Some(false) {
            self.warnings.dropped("parallel_tool_calls");
        }
        Ok(true)
    }

    const fn wants_json(&self) -> bool {
        matches!(
            self.chat.response_format,
            Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema(_))
        )
    }

    fn write_response_format(&mut self, tools: bool) -> Result<(), Error> {
        const PARAM: &str = "response_format";
        let schema = match &self.chat.response_format {
            None | Some(ResponseFormat::Text) => return Ok(()),
            Some(ResponseFormat::JsonObject) => None,
            Some(ResponseFormat::JsonSchema(format)) => {
                format.schema.filter(|schema| is_object(schema))
            }
        };
        if tools {
            let message = "'response_format': Cohere takes no JSON format together with tools.";
            return unsupported(PARAM, PARAM, message, self.target, &mut self.warnings);
        }
        self.out.put(br#","response_format":{"type":"json_object""#);
        if let Some(schema) = schema {
            self.out.put(b",\"json_schema\":");
            write_schema(Some(schema), &mut self.out);
        }
        self.out.mark(b'}');
        Ok(())
    }

    /// The API itself lowers a limit that is beyond the model's.
    fn write_limits(&mut self) {
        if let Some(most) = self.chat.max_tokens {
            self.field("max_tokens", &most.to_string());
        }
        if !self.chat.stop.is_empty() {
            let texts: Vec<&str> = self.chat.stop.iter().map(|text| text.as_written()).collect();
            let list = format!("[{}]", texts.join(","));
            self.field("stop_sequences", &list);
        }
    }

    fn write_sampling(&mut self) -> Result<(), Error> {
        let top_k: Option<Num<'_>> =
            self.chat.field("top_k").map(|value| read("top_k", value)).transpose()?;
        for (param, name, number, low, high) in [
            ("temperature", "temperature", self.chat.temperature, 0.0, MAX_TEMPERATURE),
            ("top_p", "p", self.chat.top_p, 0.01, 0.99),
            ("top_k", "k", top_k, 0.0, 500.0),
        ] {
            let Some(number) = number else { continue };
            if !self.target.facts.parameters.sampling_params {
                self.warnings.dropped(param);
                continue;
            }
            let number = into_range(param, number, low, high, self.target, &mut self.warnings)?;
            self.field(name, &number);
        }
        if let Some(value) = self.chat.field("seed") {
            let number: Num<'_> = read("seed", value)?;
            if number.value < 0.0 {
                self.warnings.dropped("seed");
            } else {
                self.field("seed", number.written);
            }
        }
        if self.chat.logprobs {
            self.field("logprobs", "true");
        }
        Ok(())
    }

    /// From 0 to 1, and not both: some models refuse that.
    fn write_penalties(&mut self) -> Result<(), Error> {
        let mut one = false;
        for name in ["frequency_penalty", "presence_penalty"] {
            let Some(value) = self.chat.field(name) else { continue };
            let number: Num<'_> = read(name, value)?;
            let number = into_range(name, number, 0.0, 1.0, self.target, &mut self.warnings)?;
            if number.parse() == Ok(0.0) {
                continue;
            }
            if one || !self.target.facts.parameters.penalties {
                self.warnings.dropped(name);
                continue;
            }
            one = true;
            self.field(name, &number);
        }
        Ok(())
    }

    /// An effort is a budget of tokens, of which at least half of a limit is kept for the answer.
    fn write_thinking(&mut self) -> Result<(), Error> {
        const PARAM: &str = "reasoning_effort";
        let Some(word) = self.chat.reasoning_effort else { return Ok(()) };
        let Some(wanted) = Effort::from_name(&word.decode()) else {
            let words = Effort::ALL.map(Effort::name).join(", ");
            return Err(Error::invalid(PARAM, format!("'{PARAM}' must be one of {words}.")));
        };
        if !self.target.facts.capabilities.has(Capability::Reasoning) {
            if wanted != Effort::None {
                self.warnings.dropped(PARAM);
            }
            return Ok(());
        }
        let budget: u64 = match wanted {
            Effort::None => {
                self.field("thinking", r#"{"type":"disabled"}"#);
                return Ok(());
            }
            Effort::Minimal => 512,
            Effort::Low => 1024,
            Effort::Medium => 2048,
            Effort::High => 4096,
            Effort::Xhigh => 8192,
            // As much as the model likes.
            Effort::Max => {
                self.field("thinking", r#"{"type":"enabled"}"#);
                return Ok(());
            }
        };
        let most = self.chat.max_tokens.map_or(budget, |limit| (limit / 2).max(1));
        if budget > most {
            self.warnings.changed(PARAM, format!("{most} thinking tokens"));
        }
        let budget = budget.min(most);
        self.field("thinking", &format!(r#"{{"type":"enabled","token_budget":{budget}}}"#));
        Ok(())
    }
}
