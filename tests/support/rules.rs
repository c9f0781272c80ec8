//! The rules that every stream for a client keeps, whoever the provider is: one role chunk first,
//! deltas, one finish chunk for each choice, the usage chunk if it was asked for, `[DONE]`; the same
//! id, time and model throughout. An error event takes the place of all that is still to come.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The events of a stream, checked for their framing: `data: …`, an empty line, nothing else.
pub fn events(stream: &[u8]) -> Result<Vec<&str>, String> {
    let text = std::str::from_utf8(stream).map_err(|error| format!("not UTF-8: {error}"))?;
    let Some(text) = text.strip_suffix("\n\n") else {
        return Err("the last event is not ended by an empty line".into());
    };
    text.split("\n\n")
        .map(|event| match event.strip_prefix("data: ") {
            Some(data) if !data.contains(['\n', '\r']) => Ok(data),
            _ => Err(format!("not one line of data: {event:?}")),
        })
        .collect()
}

/// Checks a whole stream. `include_usage` is what the client asked for.
pub fn check(stream: &[u8], include_usage: bool) -> Result<(), String> {
    let mut seen = Seen { include_usage, ..Seen::default() };
    for (at, data) in events(stream)?.into_iter().enumerate() {
        seen.event(data).map_err(|broken| format!("event {at}: {broken}: {data}"))?;
    }
    seen.end()
}

#[derive(Default)]
struct Seen {
    include_usage: bool,
    head: Option<[Value; 4]>,
    choices: BTreeMap<u64, Choice>,
    usage: bool,
    error: bool,
    done: bool,
}

#[derive(Default)]
struct Choice {
    calls: u64,
    finished: bool,
}

impl Seen {
    fn event(&mut self, data: &str) -> Result<(), String> {
        if self.done {
            return Err("after [DONE]".into());
        }
        if data == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Map<String, Value> =
            serde_json::from_str(data).map_err(|error| format!("not a JSON object: {error}"))?;
        if self.error {
            return Err("after the error".into());
        }
        if let Some(error) = chunk.get("error") {
            self.error = true;
            return check_error(&chunk, error);
        }
        self.same_head(&chunk)?;
        let choices = list(&chunk, "choices")?;
        if self.usage {
            return Err("after the usage chunk".into());
        }
        match chunk.get("usage") {
            None | Some(Value::Null) if choices.is_empty() => Err("no choices, no usage".into()),
            None | Some(Value::Null) => Ok(()),
            Some(_) if !self.include_usage => Err("usage for a client that did not ask".into()),
            Some(_) if !choices.is_empty() => Err("usage in a chunk with choices".into()),
            Some(usage) => self.usage(usage),
        }?;
        choices.iter().try_for_each(|choice| self.choice(choice))
    }

    fn same_head(&mut self, chunk: &Map<String, Value>) -> Result<(), String> {
        let head = ["id", "object", "created", "model"]
            .map(|name| chunk.get(name).cloned().unwrap_or_default());
        let fits = matches!(&head, [Value::String(id), Value::String(object), Value::Number(created), Value::String(_)]
            if !id.is_empty() && object == "chat.completion.chunk" && created.is_u64());
        if !fits {
            return Err("id, object, created or model is missing or of a wrong type".into());
        }
        match &self.head {
            Some(first) if *first != head => Err("another id, time or model than before".into()),
            _ => {
                self.head = Some(head);
                Ok(())
            }
        }
    }

    fn usage(&mut self, usage: &Value) -> Result<(), String> {
        if self.choices.values().any(|choice| !choice.finished) {
            return Err("usage before the finish chunk".into());
        }
        let count = |name: &str| {
            usage
                .get(name)
                .and_then(Value::as_u64)
                .ok_or_else(|| format!("usage.{name} is no count"))
        };
        if count("prompt_tokens")? + count("completion_tokens")? != count("total_tokens")? {
            return Err("the total is not the sum".into());
        }
        self.usage = true;
        Ok(())
    }

    fn choice(&mut self, value: &Value) -> Result<(), String> {
        let index = value.get("index").and_then(Value::as_u64).ok_or("a choice without index")?;
        let Some(Value::Object(delta)) = value.get("delta") else {
            return Err("a choice without delta".into());
        };
        let role = delta.get("role").filter(|role| !role.is_null());
        match (self.choices.contains_key(&index), role) {
            (false, Some(Value::String(role))) if role == "assistant" => {
                self.choices.insert(index, Choice::default());
            }
            (false, _) => return Err("a choice does not begin with its role".into()),
            (true, Some(_)) => return Err("a second role chunk".into()),
            (true, None) => {}
        }
        let choice = self.choices.entry(index).or_default();
        if choice.finished {
            return Err("a chunk after the finish chunk".into());
        }
        for name in ["content", "refusal", "reasoning_content"] {
            if !matches!(delta.get(name), None | Some(Value::Null | Value::String(_))) {
                return Err(format!("delta.{name} is no text"));
            }
        }
        if let Some(calls) = delta.get("tool_calls").filter(|calls| !calls.is_null()) {
            let calls = calls.as_array().ok_or("delta.tool_calls is no list")?;
            calls.iter().try_for_each(|call| choice.call(call))?;
        }
        match value.get("finish_reason") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(word))
                if ["stop", "length", "tool_calls", "content_filter", "function_call"]
                    .contains(&word.as_str()) =>
            {
                choice.finished = true;
                Ok(())
            }
            Some(word) => Err(format!("finish_reason {word}")),
        }
    }

    fn end(&self) -> Result<(), String> {
        if self.error {
            return Ok(());
        }
        if !self.done {
            return Err("neither [DONE] nor an error at the end".into());
        }
        if self.choices.is_empty() || self.choices.values().any(|choice| !choice.finished) {
            return Err("[DONE] without a finish chunk for each choice".into());
        }
        if self.include_usage && !self.usage {
            return Err("no usage chunk for a client that asked".into());
        }
        Ok(())
    }
}

impl Choice {
    fn call(&mut self, call: &Value) -> Result<(), String> {
        let index = call.get("index").and_then(Value::as_u64).ok_or("a call without index")?;
        let text = |pointer: &str| call.pointer(pointer).and_then(Value::as_str);
        if index < self.calls {
            for name in ["/id", "/type", "/function/name"] {
                if call.pointer(name).is_some_and(|value| !value.is_null()) {
                    return Err(format!("a later delta of a call with {name}"));
                }
            }
        } else if index == self.calls {
            for name in ["/id", "/function/name"] {
                if text(name).is_none_or(str::is_empty) {
                    return Err(format!("the first delta of a call without {name}"));
                }
            }
            if text("/type") != Some("function") {
                return Err("a call that is no function".into());
            }
            self.calls += 1;
        } else {
            return Err(format!("call {index} after {} calls", self.calls));
        }
        match text("/function/arguments") {
            Some(_) => Ok(()),
            None => Err("a delta of a call without arguments".into()),
        }
    }
}

fn check_error(event: &Map<String, Value>, error: &Value) -> Result<(), String> {
    if event.len() != 1 {
        return Err("an error event with more than the error".into());
    }
    let field = |name: &str| error.get(name).ok_or_else(|| format!("the error has no {name}"));
    for name in ["message", "type"] {
        if !field(name)?.is_string() {
            return Err(format!("error.{name} is no text"));
        }
    }
    for name in ["param", "code"] {
        if !matches!(field(name)?, Value::Null | Value::String(_)) {
            return Err(format!("error.{name} is neither text nor null"));
        }
    }
    Ok(())
}

fn list<'v>(object: &'v Map<String, Value>, name: &str) -> Result<&'v Vec<Value>, String> {
    object.get(name).and_then(Value::as_array).ok_or_else(|| format!("{name} is no list"))
}
