//! What the providers send: a row for each API that is measured, and what all of them share.

use crate::marks;
use memchr::memmem;
use std::io::Write;

mod anthropic;
mod bedrock;
mod cohere;
mod deepseek;
mod gemini;
mod mistral;
mod openai;

/// One provider's API: where it is, what it sends, and how much of it is measured.
pub struct Api {
    /// The word behind `api:` in a provider's entry, and the end of the names of its rows.
    pub name: &'static str,
    pub label: &'static str,
    /// Requests and answers are written anew for it, and its rows are held to the bars of OpenAI →
    /// Anthropic. The others are spoken to in OpenAI's words and are held to OpenAI → OpenAI.
    pub translated: bool,
    /// Measured in each way and in each pass. The others show what they differ in.
    pub central: bool,
    /// What the model is called where the client asks for it.
    pub model: &'static str,
    pub host: &'static str,
    /// Target of a request, and of one that is to be streamed. Where both are the same, the body
    /// tells which it is.
    pub path: &'static str,
    pub stream_path: &'static str,
    headers: &'static str,
    stream_type: &'static str,
    /// What a JSON answer holds and what a stream holds, and no other provider's does.
    pub forms: [&'static str; 2],
    /// What stands in the last 512 bytes of a stream and nowhere before.
    pub end: &'static [u8],
    /// The JSON answer that says a text, which is escaped already.
    answer: fn(&str) -> String,
    /// Appends what is sent at a step of a stream.
    events: fn(&Stream, usize, &mut Vec<u8>),
}

/// Every API, in the order of the table.
pub static APIS: &[Api] = &[
    openai::OPENAI,
    openai::AZURE,
    deepseek::DEEPSEEK,
    anthropic::ANTHROPIC,
    gemini::GEMINI,
    gemini::VERTEX,
    mistral::MISTRAL,
    cohere::COHERE,
    bedrock::BEDROCK,
];

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// Tokens that every answer says the request had.
const PROMPT_TOKENS: usize = 231;

/// The API of that name.
pub fn find(name: &str) -> Option<&'static Api> {
    APIS.iter().find(|api| api.name == name)
}

/// Whom a request is for: the host tells where it is a provider's own, and the path must be that
/// provider's then; else the end of the path does, in the order of the table. With the place in
/// the table.
pub fn asked(host: &str, target: &str) -> Option<(usize, &'static Api)> {
    let mut apis = APIS.iter().enumerate();
    let serves = |api: &Api| target == api.path || target == api.stream_path;
    let ends = |api: &Api| target.ends_with(api.path) || target.ends_with(api.stream_path);
    if let Some((place, api)) = apis.clone().find(|(_, api)| api.host == host) {
        return serves(api).then_some((place, api));
    }
    apis.clone().find(|(_, api)| serves(api)).or_else(|| apis.find(|(_, api)| ends(api)))
}

impl Api {
    /// Whether a request asks for a stream.
    pub fn streams(&self, target: &str, body: &[u8]) -> bool {
        if self.path == self.stream_path {
            asks_for(body, "stream")
        } else {
            target.ends_with(self.stream_path)
        }
    }

    /// The whole JSON answer, head included: about 100 words with mark 0 at their end.
    pub fn answer(&self) -> Vec<u8> {
        let mut text =
            "A gateway reads the request, picks a provider and passes the answer on.\\n".repeat(8);
        let mut mark = Vec::new();
        marks::write(0, &mut mark);
        text.push_str(&String::from_utf8_lossy(&mark));
        plain("200 OK", self.headers, &(self.answer)(&text))
    }
}

/// A JSON answer, head included.
pub fn plain(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n\
         {body}",
        body.len()
    )
    .into_bytes()
}

/// One stream of `chunks` content deltas. Step 0 opens it, steps 1 to `chunks` are the deltas, the
/// last one closes it.
pub struct Stream {
    pub api: &'static Api,
    pub chunks: usize,
    /// The client asked for usage at the end, where it has to ask.
    pub usage: bool,
}

impl Stream {
    pub fn head(&self, out: &mut Vec<u8>) {
        let Api { stream_type, headers, .. } = self.api;
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 200 OK\r\ncontent-type: {stream_type}\r\ncache-control: no-cache\r\n\
             {headers}transfer-encoding: chunked\r\n\r\n"
        );
    }

    /// Appends what is sent at `step` as one HTTP chunk; false when the stream has ended with it.
    pub fn step(&self, step: usize, event: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
        event.clear();
        (self.api.events)(self, step, event);
        // An empty chunk would be the end. Not every API has something to say before the text.
        if !event.is_empty() {
            let _ = write!(out, "{:x}\r\n", event.len());
            out.extend_from_slice(event);
            out.extend_from_slice(b"\r\n");
        }
        let last = step > self.chunks;
        if last {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        !last
    }

    /// The place of a step.
    fn part(&self, step: usize) -> Part {
        match step {
            0 => Part::Opening,
            step if step <= self.chunks => Part::Delta(step - 1),
            _ => Part::Closing,
        }
    }
}

/// A part of a stream.
enum Part {
    Opening,
    /// The delta of that number, which bears the mark of the same number.
    Delta(usize),
    Closing,
}

/// Appends the text of a delta: a word and its mark.
fn word(number: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b" word");
    marks::write(number, out);
}

/// Whether a request body sets `key` to true. A key of the same spelling deeper inside counts
/// too; the bodies sent here have none.
pub fn asks_for(body: &[u8], key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    memmem::find_iter(body, quoted.as_bytes()).any(|at| {
        let after = body[at + quoted.len()..].trim_ascii_start();
        after.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}

#[cfg(test)]
mod tests;
