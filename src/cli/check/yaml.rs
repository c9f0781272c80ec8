//! YAML into JSON's values, as Envoy reads it.

use serde_json::{Map, Number, Value};
use serde_yaml_ng::Value as Yaml;

/// Reads YAML, or JSON, which is YAML too.
///
/// # Errors
/// What is no YAML, with line and column, and what is no object.
pub fn parse(text: &str) -> Result<Value, String> {
    let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| {
        let at = error.location().map(|at| format!("line {} column {}: ", at.line(), at.column()));
        let error = error.to_string();
        let place = error.rfind(" at line ").and_then(|end| error.get(..end));
        format!("{}{}", at.unwrap_or_default(), place.unwrap_or(&error))
    })?;
    match json(yaml) {
        Value::Object(object) => Ok(Value::Object(object)),
        _ => Err("is no Envoy configuration: an object with static_resources is expected".into()),
    }
}

fn json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (.., Some(number)) => Number::from_f64(number).map_or(Value::Null, Value::Number),
            _ => Value::Null,
        },
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(list) => list.into_iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (key_text(key), json(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Yaml::Tagged(tagged) => json(tagged.value),
    }
}

/// Envoy takes every key as it is written.
fn key_text(key: Yaml) -> String {
    match json(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
