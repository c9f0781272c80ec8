//! A stream for a client, folded into the answer that it tells.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::rules::events;

/// The answer as `{"model", "choices", "usage"}`, in the form of [`whole`].
pub fn fold(stream: &[u8]) -> Result<Value, String> {
    let mut model = Value::Null;
    let mut usage = Value::Null;
    let mut choices: BTreeMap<u64, Choice> = BTreeMap::new();
    for data in events(stream)? {
        if data == "[DONE]" {
            break;
        }
        let mut chunk: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        if let Some(error) = chunk.get("error") {
            return Err(format!("the stream ends with {error}"));
        }
        model = chunk.get_mut("model").map(Value::take).unwrap_or_default();
        if let Some(counted) = chunk.get_mut("usage").filter(|usage| !usage.is_null()) {
            usage = counted.take();
        }
        let list = chunk.get("choices").and_then(Value::as_array);
        for choice in list.into_iter().flatten() {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or_default();
            choices.entry(index).or_default().take(choice);
        }
    }
    let choices: Vec<Value> = choices.iter().map(|(index, choice)| choice.whole(*index)).collect();
    Ok(json!({"model": model, "choices": choices, "usage": usage}))
}

/// The same form for an answer that came whole: what says nothing is left out, and the arguments of
/// a call are read, since white space in them means nothing.
pub fn whole(answer: &Value) -> Value {
    let list = answer.get("choices").and_then(Value::as_array);
    let choices: Vec<Value> = list
        .into_iter()
        .flatten()
        .map(|choice| {
            let mut message = choice.get("message").cloned().unwrap_or_default();
            for call in
                message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten()
            {
                read_arguments(call);
            }
            json!({
                "index": choice.get("index"),
                "message": telling(&message),
                "finish_reason": choice.get("finish_reason"),
                "logprobs": choice.get("logprobs").filter(|it| !it.is_null()).map(telling),
            })
        })
        .collect();
    json!({"model": answer.get("model"), "choices": choices, "usage": answer.get("usage")})
}

#[derive(Default)]
struct Choice {
    texts: BTreeMap<&'static str, String>,
    lists: BTreeMap<&'static str, Vec<Value>>,
    calls: Vec<Value>,
    logprobs: BTreeMap<String, Vec<Value>>,
    finish: Value,
}

impl Choice {
    fn take(&mut self, choice: &Value) {
        let delta = choice.get("delta").unwrap_or(&Value::Null);
        for name in ["role", "content", "refusal", "reasoning_content"] {
            if let Some(text) = delta.get(name).and_then(Value::as_str) {
                self.texts.entry(name).or_default().push_str(text);
            }
        }
        for name in ["thinking_blocks", "annotations", "images", "reasoning_details"] {
            if let Some(items) = delta.get(name).and_then(Value::as_array) {
                self.lists.entry(name).or_default().extend(items.iter().cloned());
            }
        }
        for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            self.call(call);
        }
        for (name, items) in choice.get("logprobs").and_then(Value::as_object).into_iter().flatten()
        {
            if let Some(items) = items.as_array() {
                self.logprobs.entry(name.clone()).or_default().extend(items.iter().cloned());
            }
        }
        if let Some(word) = choice.get("finish_reason").filter(|word| !word.is_null()) {
            self.finish = word.clone();
        }
    }

    fn call(&mut self, delta: &Value) {
        let index = delta.get("index").and_then(Value::as_u64).unwrap_or_default() as usize;
        let piece =
            delta.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
        match self.calls.get_mut(index).and_then(|call| call.pointer_mut("/function/arguments")) {
            Some(Value::String(arguments)) => arguments.push_str(piece),
            _ => {
                let mut call = delta.clone();
                if let Some(call) = call.as_object_mut() {
                    call.remove("index");
                }
                self.calls.push(call);
            }
        }
    }

    fn whole(&self, index: u64) -> Value {
        let mut message = Map::new();
        for (name, text) in &self.texts {
            message.insert((*name).to_owned(), json!(text));
        }
        for (name, items) in &self.lists {
            message.insert((*name).to_owned(), json!(items));
        }
        let mut calls = self.calls.clone();
        calls.iter_mut().for_each(read_arguments);
        message.insert("tool_calls".to_owned(), json!(calls));
        let logprobs = if self.logprobs.is_empty() { Value::Null } else { json!(self.logprobs) };
        json!({
            "index": index,
            "message": telling(&Value::Object(message)),
            "finish_reason": self.finish,
            "logprobs": logprobs,
        })
    }
}

fn read_arguments(call: &mut Value) {
    if let Some(arguments) = call.pointer_mut("/function/arguments")
        && let Some(read) = arguments.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *arguments = read;
    }
}

/// Only the fields that say something.
fn telling(message: &Value) -> Value {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    };
    let fields = message.as_object().into_iter().flatten();
    fields
        .filter(|(_, value)| says(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
