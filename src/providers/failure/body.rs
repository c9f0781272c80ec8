//! What a refusal's body says, in any of the shapes that providers use.

use crate::openai::value::{self, Map, Value};

use super::{class, wait};

/// Most bytes of a body that are read as JSON. A longer one is taken for text, of which the start
/// counts: no provider explains itself at such length.
pub const MAX_BODY_BYTES: usize = 256 << 10;

/// Deepest nesting of a body that is read as JSON.
pub const MAX_DEPTH: usize = 16;

/// Most entries of a list of faults that make it into the message.
pub const MAX_FAULTS: usize = 8;

/// Longest `code`, `type` and `param` that are believed, in bytes.
pub const MAX_WORD_BYTES: usize = 256;

/// What a provider said about its failure, before anyone decides what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For a person; never empty. May still repeat a credential.
    pub message: Option<String>,
    /// The kind of error, as in OpenAI's `type` or Gemini's `status`.
    pub kind: Option<String>,
    /// What exactly happened, as in OpenAI's `code`.
    pub code: Option<String>,
    /// A still more exact reason, as in Azure's `innererror.code`.
    pub reason: Option<String>,
    /// The field of the request that is to blame.
    pub param: Option<String>,
    /// An HTTP status that stood in the body.
    pub status: Option<u16>,
    /// The limit that was reached is one that a minute's wait does not lift.
    pub exhausted: bool,
    /// How long to wait, where the body says it.
    pub retry_after_ms: Option<u64>,
}

/// The explanation in a body of any shape: at most about a kilobyte once it is in an error.
#[must_use]
pub fn message(body: &[u8]) -> Option<String> {
    Said::read(body).message
}

impl Said {
    /// Reads a body of any shape.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let json =
            (body.len() <= MAX_BODY_BYTES).then(|| value::parse(body, MAX_DEPTH).ok()).flatten();
        let mut said = Self::default();
        match &json {
            Some(json) => said.value(json),
            None => said.message = text(body),
        }
        if said.retry_after_ms.is_none() {
            said.retry_after_ms = said.message.as_deref().and_then(wait::from_message);
        }
        said
    }

    fn value(&mut self, json: &Value) {
        match json {
            Value::Array(list) => {
                if let Some(first) = list.iter().find(|entry| entry.is_object()) {
                    self.value(first);
                }
            }
            Value::Object(outer) => {
                match outer.get("error") {
                    Some(Value::Object(inner)) => self.object(inner),
                    Some(Value::String(text)) => self.message = clean(text),
                    _ => {}
                }
                self.object(outer);
            }
            Value::String(text) => self.message = clean(text),
            _ => {}
        }
    }

    /// Takes what is not known yet, so the inner object is read before the outer one.
    fn object(&mut self, object: &Map) {
        const MESSAGES: [&str; 6] =
            ["message", "Message", "msg", "detail", "errors", "error_description"];
        for name in MESSAGES {
            if let (None, Some(value)) = (&self.message, object.get(name)) {
                self.message = self.explanation(value);
            }
        }
        const STATUSES: [&str; 6] = [
            "code",
            "statusCode",
            "status_code",
            "raw_status_code",
            "originalStatusCode",
            "status",
        ];
        for name in STATUSES {
            match object.get(name) {
                Some(Value::Number(number)) => {
                    self.status = self.status.or_else(|| as_status(*number as u64));
                }
                Some(Value::String(text)) => match text.parse() {
                    Ok(number) => self.status = self.status.or_else(|| as_status(number)),
                    Err(_) if name == "status" => {}
                    Err(_) => self.code = self.code.take().or_else(|| word(text)),
                },
                _ => {}
            }
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str).and_then(word);
        // `{type:"error",error:{…}}` and `{object:"error",…}` only say that it is an error.
        let kind = || text("type").filter(|kind| kind != "error");
        // Gemini has the kind of error where others have a status.
        let status = || text("status").filter(|status| status.parse::<u64>().is_err());
        self.kind = self.kind.take().or_else(kind).or_else(|| text("__type")).or_else(status);
        self.kind = self.kind.take().map(|kind| class::bare(&kind).to_owned());
        self.param = self.param.take().or_else(|| text("param"));
        for name in ["innererror", "inner_error"] {
            let inner = object.get(name).and_then(|inner| inner.get("code")?.as_str());
            self.reason = self.reason.take().or_else(|| inner.and_then(word));
        }
        if let Some(metadata) = object.get("metadata") {
            self.metadata(metadata);
        }
        match object.get("details") {
            Some(Value::Array(details)) => details.iter().for_each(|detail| self.detail(detail)),
            Some(details) => {
                let code = details.get("error_code").and_then(Value::as_str);
                self.reason = self.reason.take().or_else(|| code.and_then(word));
            }
            None => {}
        }
    }

    /// What OpenRouter tells of the provider behind it: that one's own words, and what was flagged.
    fn metadata(&mut self, metadata: &Value) {
        if metadata.get("flagged_input").is_some() {
            self.reason.get_or_insert_with(|| "content_filter".to_owned());
        }
        // Each text within a text is at most half as long, so this ends soon.
        let raw = metadata.get("raw").and_then(Value::as_str);
        if let Some(raw) = raw.and_then(|raw| message(raw.as_bytes())) {
            self.message = Some(match self.message.take() {
                Some(message) if message.contains(&raw) => message,
                Some(message) => format!("{message}: {raw}"),
                None => raw,
            });
        }
    }

    /// A Google detail: `ErrorInfo`, `QuotaFailure` or `RetryInfo`.
    fn detail(&mut self, detail: &Value) {
        let text = |name: &str| detail.get(name).and_then(Value::as_str);
        self.reason = self.reason.take().or_else(|| text("reason").and_then(word));
        if let Some(delay) = text("retryDelay").and_then(wait::duration) {
            self.retry_after_ms = Some(delay);
        }
        let violations = detail.get("violations").and_then(Value::as_array);
        for violation in violations.into_iter().flatten() {
            let text = |name: &str| violation.get(name).and_then(Value::as_str);
            let per_day = text("quotaId").is_some_and(|id| id.contains("PerDay"));
            let none_at_all = text("quotaValue") == Some("0");
            self.exhausted |= per_day || none_at_all;
        }
    }

    /// The text of a message, or of a list of faults as FastAPI gives them.
    fn explanation(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => clean(text),
            Value::Object(object) => {
                let inner = ["message", "detail", "msg", "error"].into_iter();
                inner.filter_map(|name| object.get(name)).find_map(|inner| match inner {
                    Value::String(text) => clean(text),
                    Value::Array(_) => self.explanation(inner),
                    _ => None,
                })
            }
            Value::Array(list) => {
                let faults = list.iter().filter_map(|fault| self.fault(fault));
                let faults: Vec<String> = faults.take(MAX_FAULTS).collect();
                (!faults.is_empty()).then(|| faults.join("; "))
            }
            _ => None,
        }
    }

    /// One of several faults: `{loc:["body","messages",0,"role"],msg,type}`, or just a text.
    fn fault(&mut self, fault: &Value) -> Option<String> {
        if let Some(text) = fault.as_str() {
            return clean(text);
        }
        let text = ["msg", "message"].into_iter().find_map(|name| fault.get(name)?.as_str())?;
        let text = clean(text)?;
        let path = fault.get("loc").and_then(Value::as_array).map(|loc| path(loc));
        match path.filter(|path| !path.is_empty() && path.len() <= MAX_WORD_BYTES) {
            Some(path) => {
                let said = format!("{path}: {text}");
                self.param.get_or_insert(path);
                Some(said)
            }
            None => Some(text),
        }
    }
}

/// `["body","messages",0,"role"]` as `messages[0].role`.
fn path(loc: &[Value]) -> String {
    let mut path = String::new();
    for (at, step) in loc.iter().enumerate() {
        match step {
            Value::String(name) if at == 0 && name == "body" => {}
            Value::String(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Value::Number(index) => path.push_str(&format!("[{index}]")),
            _ => {}
        }
    }
    path
}

fn as_status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

fn word(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= MAX_WORD_BYTES && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

/// The explanation in a body that is not JSON, such as a proxy's page.
fn text(body: &[u8]) -> Option<String> {
    let start = body.get(..MAX_BODY_BYTES).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    if text.trim_start().starts_with('<') { clean(&strip_html(&text)) } else { clean(&text) }
}

/// White space in one line, no control characters; nothing when nothing is left. Stops soon after
/// what an error holds.
fn clean(text: &str) -> Option<String> {
    const ENOUGH: usize = 2 * crate::openai::error::MAX_MESSAGE_BYTES;
    let mut out = String::with_capacity(text.len().min(ENOUGH));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().take(ENOUGH));
        if out.len() > ENOUGH {
            break;
        }
    }
    (!out.is_empty()).then_some(out)
}

/// The words of a page, without tags, comments, scripts and styles.
fn strip_html(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        out.push(' ');
        rest = match ["script", "style"].into_iter().find(|name| starts_with(tag, name)) {
            Some(name) => after_closing(tag, name),
            None if tag.starts_with("!--") => tag.split_once("-->").map_or("", |(_, rest)| rest),
            None => tag.split_once('>').map_or("", |(_, rest)| rest),
        };
    }
    out.push_str(rest);
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ] {
        if out.contains(entity) {
            out = out.replace(entity, character);
        }
    }
    out
}

fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// What follows `</name>`.
fn after_closing<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, tag)) = rest.split_once("</") {
        if starts_with(tag, name) {
            return tag.split_once('>').map_or("", |(_, rest)| rest);
        }
        rest = tag;
    }
    ""
}
