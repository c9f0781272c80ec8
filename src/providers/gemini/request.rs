//! The body, and what becomes of each field at the top.

use std::io::Write as _;

use super::contents::Contents;
use super::names::Names;
use super::schema::{self, Form, Room};
use super::surface::{Generation, Surface};
use super::thinking;
use super::tools::Tools;
use crate::openai::json::{Append, Num, RawStr, separate};
use crate::openai::request::{ResponseFormat, read};
use crate::openai::{Chat, Error};
use crate::providers::warnings::{Warnings, max_tokens, refuse_old_functions, unsupported};
use crate::providers::{Outbound, Payload, Target};

/// Most answers to one request.
const MAX_ANSWERS: u64 = 8;

/// Values of the setting `safety_threshold`, from which on harmful content is blocked.
pub const SAFETY_THRESHOLDS: &[&str] =
    &["OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"];

/// The kinds of harm that every model knows.
const HARMS: [&str; 4] = ["HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT"];

/// The fields that are written, or refused, or mean the same without a word.
const PLACED: &[&str] = &[
    "audio",
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
    "reasoning_effort",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "store",
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
pub(crate) fn write(
    chat: &Chat<'_>,
    length: usize,
    target: &Target<'_>,
    surface: Surface,
) -> Result<Outbound, Error> {
    let generation = Generation::of(target);
    let mut contents = Contents {
        chat,
        target,
        surface,
        generation,
        names: Names::of(chat),
        calls: Vec::new(),
        warnings: Warnings::default(),
    };
    let mut out = Vec::with_capacity(length + length / 8 + 512);
    out.mark(b'{');
    contents.write(&mut out)?;
    let Contents { mut names, mut warnings, .. } = contents;
    let mut room = Room::new();
    Tools { chat, target, surface, generation }.write(
        &mut names,
        &mut room,
        &mut out,
        &mut warnings,
    )?;
    if chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty() {
        warnings.dropped("parallel_tool_calls");
    }
    Config { chat, target, surface, generation, room, out: &mut out, warnings: &mut warnings }
        .write()?;
    write_safety(target, &mut out);
    write_service_tier(chat, &mut out, &mut warnings)?;
    write_store(chat, surface, &mut out, &mut warnings)?;
    out.mark(b'}');
    // The API refuses a request with a field that it does not know.
    warnings.dropped_but(chat, PLACED);
    Ok(Outbound {
        method: "POST",
        path: surface.path(target, chat.stream),
        headers: vec![("content-type", "application/json".to_owned())],
        body: Payload::Whole(out),
        warnings: warnings.0,
    })
}

/// Writes `generationConfig`.
struct Config<'c, 'a> {
    chat: &'c Chat<'a>,
    target: &'c Target<'c>,
    surface: Surface,
    generation: Generation,
    room: Room,
    out: &'c mut Vec<u8>,
    warnings: &'c mut Warnings,
}

impl Config<'_, '_> {
    fn write(&mut self) -> Result<(), Error> {
        let begin = self.out.len();
        self.out.put(b",\"generationConfig\":{");
        let empty = self.out.len();
        self.sampling()?;
        self.length()?;
        self.stop();
        self.answers()?;
        self.penalties()?;
        self.probabilities();
        self.modalities()?;
        self.format()?;
        thinking::write(self.chat, self.target, self.generation, self.out, self.warnings)?;
        if self.out.len() == empty {
            self.out.truncate(begin);
        } else {
            self.out.mark(b'}');
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        separate(self.out);
        // Writing to a Vec cannot fail.
        let _ = write!(self.out, "\"{name}\":{value}");
    }

    /// Some models take none but the defaults.
    fn sampling(&mut self) -> Result<(), Error> {
        let top_k: Option<Num<'_>> =
            self.chat.field("top_k").map(|value| read("top_k", value)).transpose()?;
        for (param, name, number) in [
            ("temperature", "temperature", self.chat.temperature),
            ("top_p", "topP", self.chat.top_p),
            ("top_k", "topK", top_k),
        ] {
            let Some(number) = number else { continue };
            if self.target.facts.parameters.sampling_params {
                self.field(name, number.written);
            } else if param == "top_k" || number.value != 1.0 {
                self.warnings.dropped(param);
            }
        }
        Ok(())
    }

    fn length(&mut self) -> Result<(), Error> {
        if let Some(tokens) = max_tokens(self.chat, self.target, self.warnings)? {
            self.field("maxOutputTokens", tokens);
        }
        Ok(())
    }

    fn stop(&mut self) {
        let usable: Vec<&str> = self
            .chat
            .stop
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| text.as_written())
            .collect();
        if usable.len() < self.chat.stop.len() {
            self.warnings.dropped("stop");
        }
        if !usable.is_empty() {
            self.field("stopSequences", format_args!("[{}]", usable.join(",")));
        }
    }

    fn answers(&mut self) -> Result<(), Error> {
        match self.chat.n {
            Some(n) if n > MAX_ANSWERS => {
                let name = self.surface.name();
                let message = format!("'n': {name} gives at most {MAX_ANSWERS} answers.");
                unsupported("n", "n", message, self.target, self.warnings)?;
            }
            Some(n) if n > 1 => self.field("candidateCount", n),
            _ => {}
        }
        Ok(())
    }

    fn penalties(&mut self) -> Result<(), Error> {
        for (param, name) in
            [("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty")]
        {
            let Some(value) = self.chat.field(param) else { continue };
            let number: Num<'_> = read(param, value)?;
            if number.value == 0.0 {
                continue;
            }
            if self.target.facts.parameters.penalties {
                self.field(name, number.written);
            } else {
                self.warnings.dropped(param);
            }
        }
        if let Some(value) = self.chat.field("seed") {
            let seed: Num<'_> = read("seed", value)?;
            // The API's number has 32 bits, and a seed is a hint.
            match seed.written.parse::<i32>() {
                Ok(seed) => self.field("seed", seed),
                Err(_) => self.warnings.dropped("seed"),
            }
        }
        Ok(())
    }

    /// The number of alternatives is refused without the flag.
    fn probabilities(&mut self) {
        if self.chat.logprobs {
            self.field("responseLogprobs", "true");
            if let Some(top) = self.chat.top_logprobs.filter(|top| *top > 0) {
                self.field("logprobs", top);
            }
        }
    }

    fn modalities(&mut self) -> Result<(), Error> {
        let name = self.surface.name();
        if self.chat.field("audio").is_some() {
            let message = "'audio': spoken answers are not translated.";
            unsupported("audio", "audio", message, self.target, self.warnings)?;
        }
        refuse_old_functions(self.chat, self.target, self.warnings)?;
        let Some(modalities) = self.chat.field("modalities") else { return Ok(()) };
        let modalities: Vec<RawStr<'_>> = read("modalities", modalities)?;
        let mut wanted = Vec::new();
        for modality in &modalities {
            match &*modality.decode() {
                "text" => wanted.push("\"TEXT\""),
                "image" => wanted.push("\"IMAGE\""),
                other => {
                    let message = format!("'modalities': no answers as '{other}' from {name}.");
                    unsupported("modalities", "modalities", message, self.target, self.warnings)?;
                }
            }
        }
        if wanted.contains(&"\"IMAGE\"") {
            self.field("responseModalities", format_args!("[{}]", wanted.join(",")));
        }
        Ok(())
    }

    fn format(&mut self) -> Result<(), Error> {
        const PARAM: &str = "response_format";
        let schema = match &self.chat.response_format {
            None | Some(ResponseFormat::Text) => return Ok(()),
            Some(ResponseFormat::JsonObject) => None,
            Some(ResponseFormat::JsonSchema(wanted)) => wanted.schema,
        };
        if self.generation < Generation::Third && !self.chat.tools.is_empty() {
            let model = self.target.model;
            let message = format!("The model '{model}' takes either 'tools' or a JSON format.");
            return unsupported(PARAM, PARAM, message, self.target, self.warnings);
        }
        self.field("responseMimeType", "\"application/json\"");
        let Some(schema) = schema else { return Ok(()) };
        let form = Form::of(self.generation);
        let name: &[u8] = match form {
            Form::Json => b",\"responseJsonSchema\":",
            Form::OpenApi => b",\"responseSchema\":",
        };
        self.out.put(name);
        let written = schema::write_answer(schema, form, &mut self.room, self.out)
            .map_err(|fault| fault.at("response_format.json_schema.schema"))?;
        if written.narrowed {
            self.warnings.changed("response_format", "what Gemini enforces of it");
        }
        Ok(())
    }
}

fn write_safety(target: &Target<'_>, out: &mut Vec<u8>) {
    let Some(threshold) = target.settings.value("safety_threshold") else { return };
    out.put(b",\"safetySettings\":[");
    for harm in HARMS {
        separate(out);
        let _ = write!(out, r#"{{"category":"HARM_CATEGORY_{harm}","threshold":"{threshold}"}}"#);
    }
    out.mark(b']');
}

fn write_service_tier(
    chat: &Chat<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let Some(value) = chat.field("service_tier") else { return Ok(()) };
    let tier: &[u8] = match &*read::<RawStr<'_>>("service_tier", value)?.decode() {
        "auto" => return Ok(()),
        "default" | "standard" => br#","serviceTier":"standard""#,
        "flex" => br#","serviceTier":"flex""#,
        "priority" => br#","serviceTier":"priority""#,
        _ => {
            warnings.dropped("service_tier");
            return Ok(());
        }
    };
    if !tier.ends_with(b"\"standard\"") {
        warnings.unpriced("service_tier");
    }
    out.put(tier);
    Ok(())
}

/// Vertex has no such field.
fn write_store(
    chat: &Chat<'_>,
    surface: Surface,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let Some(value) = chat.field("store") else { return Ok(()) };
    let store: bool = read("store", value)?;
    match surface {
        Surface::AiStudio => {
            let _ = write!(out, ",\"store\":{store}");
        }
        Surface::Vertex if store => warnings.dropped("store"),
        Surface::Vertex => {}
    }
    Ok(())
}
