//! JSON of any form.
//!
//! `serde_json::Value` would do the same in 60 KB of the module: its maps are trees, and its reader is
//! one of its own.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use super::fault::Fault;
use super::json::{self, RawStr};
use super::place::{self, Entries, Place, Slot};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number: in Envoy all are doubles.
    Number(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// An object.
    Object(Map),
}

/// The members of an object, as they stood. Of those with the same name the last one counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Vec<(String, Value)>);

impl Map {
    /// Adds a member.
    pub fn push(&mut self, name: String, value: Value) {
        self.0.push((name, value));
    }

    /// The value of a member. Linear in their number.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rfind(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All members that count, in the order of their names.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&str, &Value)> {
        let mut all: Vec<(&str, &Value)> =
            self.0.iter().rev().map(|(name, value)| (&**name, value)).collect();
        // As many as a client or a document of prices sends: nothing quadratic.
        all.sort_by_key(|(name, _)| *name);
        all.dedup_by_key(|(name, _)| *name);
        all
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    /// Whether it is `null`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is an object.
    #[must_use]
    pub const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Whether it is a list.
    #[must_use]
    pub const fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// The text that it is.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The flag that it is.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    /// The number that it is.
    #[must_use]
    pub const fn as_f64(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// The list that it is.
    #[must_use]
    pub const fn as_array(&self) -> Option<&Vec<Self>> {
        if let Self::Array(list) = self { Some(list) } else { None }
    }

    /// The object that it is.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Map> {
        if let Self::Object(map) = self { Some(map) } else { None }
    }

    /// The value of a member, if it is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }
}

/// As JSON, for messages.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::String(text) => f.write_str(&quoted(text)),
            Self::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    f.write_str(if at == 0 { "[" } else { "," })?;
                    value.fmt(f)?;
                }
                f.write_str(if list.is_empty() { "[]" } else { "]" })
            }
            Self::Object(map) => {
                for (at, (name, value)) in map.0.iter().enumerate() {
                    f.write_str(if at == 0 { "{" } else { "," })?;
                    f.write_str(&quoted(name))?;
                    f.write_str(":")?;
                    value.fmt(f)?;
                }
                f.write_str(if map.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    json::write_str(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// Reads JSON.
///
/// Takes as long as reading its text once for each level, of which there may be `depth`.
///
/// # Errors
/// It is none, or nested deeper.
pub fn parse(bytes: &[u8], depth: usize) -> Result<Value, String> {
    let raw: &RawValue = place::from_slice(bytes).map_err(|error| error.to_string())?;
    read(raw, depth)
}

/// A value, each level of it once more from its text: the parser passes over what is inside.
fn read(raw: &RawValue, depth: usize) -> Result<Value, String> {
    let text = raw.get();
    let broken = |error: serde_json::Error| error.to_string();
    let deeper = || depth.checked_sub(1).ok_or_else(|| "it is nested too deeply".to_owned());
    Ok(match text.bytes().next() {
        Some(b'"') => {
            let text = RawStr::from_raw(raw).map(RawStr::decode);
            Value::String(text.unwrap_or_default().into_owned())
        }
        Some(b'[') => {
            let depth = deeper()?;
            let list: Vec<&RawValue> = place::from_str(text).map_err(broken)?;
            Value::Array(list.into_iter().map(|raw| read(raw, depth)).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let depth = deeper()?;
            let mut map = Map::default();
            let Members(members) = place::from_str(text).map_err(broken)?;
            for (name, raw) in members {
                map.push(name.into_owned(), read(raw, depth)?);
            }
            Value::Object(map)
        }
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(text.parse().unwrap_or(f64::INFINITY)),
    })
}

/// The members of an object, their values as they were written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Place<'a> for Members<'a> {
    fn blank() -> Self {
        Self(Vec::new())
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Entries(self)
    }
}

impl<'a> Entries<'a> for Members<'a> {
    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault> {
        self.0.push((name, value));
        Ok(())
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::INFINITY)),
            Json::String(text) => Self::String(text.clone()),
            Json::Array(list) => Self::Array(list.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let entries = entries.iter().map(|(name, value)| (name.clone(), value.into()));
                Self::Object(Map(entries.collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const DEPTH: usize = 64;

    #[test]
    fn json_is_read_and_shown_as_it_stands() {
        let text = r#"{"a":[1,2.5,"x\"é",null,true,{}],"b":{"c":[]},"z":-3}"#;
        let value = parse(text.as_bytes(), DEPTH).unwrap();
        assert_eq!(value, Value::from(&serde_json::from_str::<serde_json::Value>(text).unwrap()));
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let value = parse(br#"{"b":1,"a":2,"b":3}"#, DEPTH).unwrap();
        assert_eq!(value.get("b").and_then(Value::as_f64), Some(3.0));
        assert!(value.get("c").is_none());
        let sorted: Vec<_> = value.as_object().unwrap().sorted();
        assert_eq!(sorted, [("a", &Value::Number(2.0)), ("b", &Value::Number(3.0))]);
    }

    #[test]
    fn what_is_no_json_or_nested_too_deeply_is_an_error() {
        let deep = |depth: usize| [&*"[".repeat(depth), &"]".repeat(depth)].concat();
        assert!(parse(deep(DEPTH).as_bytes(), DEPTH).is_ok());
        let (one, many) = (deep(DEPTH + 1), deep(100_000));
        for text in ["", "{", "[1,]", "{\"a\"}", "nul", "1 2", &one, &many] {
            assert!(parse(text.as_bytes(), DEPTH).is_err());
        }
    }
}
