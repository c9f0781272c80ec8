//! Reads `google.protobuf.Struct` from its wire form.
//!
//! Envoy hands a plugin's `Struct` over as the bytes of the message, not as JSON (measured with
//! 1.40). Only what `Struct`, `Value` and `ListValue` are made of is read; unknown fields are
//! skipped, as protobuf asks.

use crate::openai::value::{Map, Value};

/// Deepest nesting of a configuration.
pub const MAX_DEPTH: usize = 64;

/// The value that the bytes hold; nothing when they are no `Struct`.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Value> {
    structure(bytes, MAX_DEPTH)
}

fn structure(bytes: &[u8], depth: usize) -> Option<Value> {
    let mut map = Map::default();
    for field in fields(bytes) {
        if let (1, Wire::Bytes(entry)) = field? {
            let (mut key, mut value) = (String::new(), Value::Null);
            for field in fields(entry) {
                match field? {
                    (1, Wire::Bytes(text)) => key = String::from_utf8(text.to_vec()).ok()?,
                    (2, Wire::Bytes(inner)) => value = any(inner, depth.checked_sub(1)?)?,
                    _ => {}
                }
            }
            map.push(key, value);
        }
    }
    Some(Value::Object(map))
}

fn any(bytes: &[u8], depth: usize) -> Option<Value> {
    let mut value = Value::Null;
    for field in fields(bytes) {
        value = match field? {
            (1, Wire::Number(_)) => Value::Null,
            (2, Wire::Fixed(bits)) => number(f64::from_bits(bits))?,
            (3, Wire::Bytes(text)) => Value::String(String::from_utf8(text.to_vec()).ok()?),
            (4, Wire::Number(flag)) => Value::Bool(flag != 0),
            (5, Wire::Bytes(inner)) => structure(inner, depth)?,
            (6, Wire::Bytes(inner)) => list(inner, depth)?,
            _ => continue,
        };
    }
    Some(value)
}

fn list(bytes: &[u8], depth: usize) -> Option<Value> {
    let mut items = Vec::new();
    for field in fields(bytes) {
        if let (1, Wire::Bytes(inner)) = field? {
            items.push(any(inner, depth.checked_sub(1)?)?);
        }
    }
    Some(Value::Array(items))
}

/// A number; nothing for what JSON has no form for.
fn number(double: f64) -> Option<Value> {
    double.is_finite().then_some(Value::Number(double))
}

enum Wire<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message; an entry is nothing where the bytes are none, and the last one then.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u64, Wire<'_>)>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = field(&mut bytes);
        if field.is_none() {
            bytes = &[];
        }
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = varint(bytes)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(bytes)?),
        1 => {
            let (fixed, rest) = bytes.split_first_chunk::<8>()?;
            *bytes = rest;
            Wire::Fixed(u64::from_le_bytes(*fixed))
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            let (inner, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Wire::Bytes(inner)
        }
        5 => {
            let (fixed, rest) = bytes.split_first_chunk::<4>()?;
            *bytes = rest;
            Wire::Fixed(u64::from(u32::from_le_bytes(*fixed)))
        }
        _ => return None,
    };
    Some((tag >> 3, wire))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::{MAX_DEPTH, read};

    /// Writes a value as protobuf does.
    fn write(value: &Value) -> Vec<u8> {
        fn bytes(tag: u8, inner: &[u8]) -> Vec<u8> {
            let mut out = vec![tag];
            let mut length = inner.len();
            while length >= 0x80 {
                out.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            out.push(length as u8);
            out.extend_from_slice(inner);
            out
        }
        match value {
            Value::Null => vec![0x08, 0],
            Value::Bool(flag) => vec![0x20, u8::from(*flag)],
            Value::Number(n) => [&[0x11][..], &n.as_f64().unwrap().to_le_bytes()].concat(),
            Value::String(text) => bytes(0x1a, text.as_bytes()),
            Value::Array(items) => {
                let inner: Vec<u8> =
                    items.iter().flat_map(|item| bytes(0x0a, &write(item))).collect();
                bytes(0x32, &inner)
            }
            Value::Object(_) => bytes(0x2a, &write_struct(value)),
        }
    }

    fn write_struct(value: &Value) -> Vec<u8> {
        let entry = |(key, value): (&String, &Value)| {
            let entry = [&[0x0a, key.len() as u8][..], key.as_bytes()].concat();
            let value = write(value);
            let mut entry = entry;
            entry.push(0x12);
            let mut length = value.len();
            while length >= 0x80 {
                entry.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            entry.push(length as u8);
            entry.extend_from_slice(&value);
            let mut out = vec![0x0a];
            let mut length = entry.len();
            while length >= 0x80 {
                out.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            out.push(length as u8);
            out.extend_from_slice(&entry);
            out
        };
        value.as_object().unwrap().iter().flat_map(entry).collect()
    }

    #[test]
    fn a_structure_is_read_as_the_json_it_stands_for() {
        let value = json!({
            "role": "gateway", "n": 3, "f": 2.5, "yes": true, "no": null,
            "list": [1, "two", {"three": []}], "long": "x".repeat(300),
        });
        assert_eq!(read(&write_struct(&value)), Some((&value).into()));
    }

    #[test]
    fn broken_bytes_are_nothing_and_never_a_panic() {
        let whole = write_struct(&json!({"a": [1, {"b": "c"}]}));
        for cut in 1..whole.len() {
            assert_eq!(read(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(read(&[0xff; 40]), None);
    }

    #[test]
    fn nesting_beyond_the_cap_is_refused() {
        let mut deep = json!(1);
        for _ in 0..=MAX_DEPTH {
            deep = json!([deep]);
        }
        assert_eq!(read(&write_struct(&json!({"a": deep}))), None);
    }
}
