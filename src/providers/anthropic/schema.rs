//! JSON Schemas, as the API takes them.
//!
//! Where the provider enforces a schema, it knows only a part of the language and wants every object
//! closed. What it does not know is told to the model in the description instead, as the provider's
//! own client libraries do.

use std::io::Write as _;

use serde_json::value::RawValue;

use crate::openai::Error;
use crate::openai::json::{Append, RawStr, is_object, write_compact, write_str};
use crate::openai::object::Members;
use crate::openai::place::from_str;
use crate::providers::warnings::Warnings;

/// Deepest nesting of a schema that is enforced. Each level costs another reading of all below it.
const MAX_DEPTH: usize = 64;

/// How often a schema that is enforced may be read on average. A byte is read once for each level
/// that it stands under; where most of a large schema stands deep, that would take seconds.
const MAX_READINGS: usize = 8;

/// Bytes of a schema that may be read in any case, so that a small one may be as deep as it likes.
const FREE_READING: usize = 32 << 10;

/// Forms of a string that the provider enforces.
const FORMATS: &[&str] =
    &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// What is wrong, for a message that begins with the name of the field.
pub(crate) type Fault = &'static str;

const NO_OBJECT: Fault = "must be a JSON Schema of type \"object\"";

/// Appends the schema of the arguments of the function at `index`. `strict` says that the model is
/// held to it.
///
/// # Errors
/// A 400 for what is no schema.
pub(crate) fn write_parameters(
    index: usize,
    parameters: Option<&RawValue>,
    strict: bool,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let written = match parameters {
        Some(parameters) if strict => write_enforced(parameters, out),
        parameters => write(parameters, out).map(|()| false),
    };
    let changed = written.map_err(|fault| {
        let param = format!("tools[{index}].function.parameters");
        let message = format!("'{param}' {fault}.");
        Error::invalid(param, message)
    })?;
    if changed {
        warnings.changed("tools[].function.parameters", "what strict tools enforce");
    }
    Ok(())
}

/// Appends a schema as it is, but with `"type":"object"` at its top, which the API demands.
pub(crate) fn write(schema: Option<&RawValue>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let Some(schema) = schema else {
        out.put(br#"{"type":"object","properties":{}}"#);
        return Ok(());
    };
    let text = schema.get();
    // What nearly every client writes needs no closer look.
    if text.starts_with(r#"{"type":"object""#) || text.starts_with(r#"{"type": "object""#) {
        out.put(text.as_bytes());
        return Ok(());
    }
    let fields = members(schema)?;
    match fields.find("type").map(RawValue::get) {
        Some("\"object\"") => {
            out.put(text.as_bytes());
            return Ok(());
        }
        None | Some("null") => {}
        // Such as `["object", "null"]`: arguments are never null.
        Some(list) if list.starts_with('[') && list.contains("\"object\"") => {}
        Some(_) => return Err(NO_OBJECT),
    }
    out.put(br#"{"type":"object""#);
    if fields.0.is_empty() {
        out.put(br#","properties":{}"#);
    }
    for (name, value) in fields.0.iter().filter(|(name, _)| name != "type") {
        out.mark(b',');
        write_str(out, name);
        out.mark(b':');
        out.put(value.get().as_bytes());
    }
    out.mark(b'}');
    Ok(())
}

/// Appends the part of a schema that the provider enforces. Says whether the rest was more than
/// how objects are closed.
pub(crate) fn write_enforced(schema: &RawValue, out: &mut Vec<u8>) -> Result<bool, Fault> {
    let left = schema.get().len().saturating_mul(MAX_READINGS).saturating_add(FREE_READING);
    let mut enforced = Enforced { out, narrowed: false, left };
    enforced.node(schema, 0)?;
    Ok(enforced.narrowed)
}

struct Enforced<'o> {
    out: &'o mut Vec<u8>,
    narrowed: bool,
    /// Bytes that may still be read.
    left: usize,
}

impl Enforced<'_> {
    fn node(&mut self, schema: &RawValue, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err("is nested too deeply");
        }
        let Some(left) = self.left.checked_sub(schema.get().len()) else {
            return Err("is too large for how deeply it is nested");
        };
        self.left = left;
        if !is_object(schema) {
            // `true` and `false` are schemas too; what else it is, the provider says.
            self.out.put(schema.get().as_bytes());
            return Ok(());
        }
        let fields = members(schema)?;
        let reference = fields.find("$ref").is_some();
        let kind = fields.find("type").map(RawValue::get);
        let closed = match kind {
            Some(kind) => kind.contains("\"object\""),
            None => fields.find("properties").is_some(),
        };
        let mut list = List::new(self.out);
        if closed && kind.is_none() {
            list.name("type", self.out);
            self.out.put(b"\"object\"");
        }
        let mut rest = Vec::new();
        let mut any_of = false;
        for (name, value) in &fields.0 {
            match &**name {
                "$defs" | "definitions" => {
                    list.name(name, self.out);
                    self.map(value, depth)?;
                }
                "$ref" => {
                    list.name("$ref", self.out);
                    self.out.put(value.get().as_bytes());
                }
                // Beside a reference nothing else may stand.
                _ if reference => self.narrowed = true,
                "properties" => {
                    list.name("properties", self.out);
                    self.map(value, depth)?;
                }
                "items" => {
                    list.name("items", self.out);
                    self.node(value, depth + 1)?;
                }
                "anyOf" | "oneOf" if !any_of => {
                    any_of = true;
                    list.name("anyOf", self.out);
                    self.list(value, depth)?;
                }
                "allOf" => {
                    list.name("allOf", self.out);
                    self.list(value, depth)?;
                }
                "type" | "enum" | "const" | "title" | "required" => {
                    list.name(name, self.out);
                    self.out.put(value.get().as_bytes());
                }
                "format" if is_one_of(value, FORMATS) => {
                    list.name("format", self.out);
                    self.out.put(value.get().as_bytes());
                }
                "minItems" if matches!(value.get(), "0" | "1") => {
                    list.name("minItems", self.out);
                    self.out.put(value.get().as_bytes());
                }
                "additionalProperties" if closed => {}
                "description" | "$schema" | "$id" => {}
                _ => rest.push((&**name, *value)),
            }
        }
        if reference {
            self.out.mark(b'}');
            return Ok(());
        }
        if closed {
            list.name("additionalProperties", self.out);
            self.out.put(b"false");
        }
        self.narrowed |= !rest.is_empty();
        self.describe(fields.find("description"), &rest, &mut list);
        self.out.mark(b'}');
        Ok(())
    }

    /// The description, and in it what the provider does not enforce.
    fn describe(&mut self, given: Option<&RawValue>, rest: &[(&str, &RawValue)], list: &mut List) {
        let given = given.and_then(RawStr::from_raw);
        if rest.is_empty() {
            if let Some(given) = given {
                list.name("description", self.out);
                self.out.put(given.as_written().as_bytes());
            }
            return;
        }
        let mut text = given.map(|given| given.decode().into_owned() + "\n\n").unwrap_or_default();
        text.push('{');
        for (at, (name, value)) in rest.iter().enumerate() {
            let mut compact = Vec::new();
            write_compact(&mut compact, value.get());
            text.push_str(if at == 0 { "" } else { ", " });
            text.push_str(name);
            text.push_str(": ");
            text.push_str(&String::from_utf8_lossy(&compact));
        }
        text.push('}');
        list.name("description", self.out);
        write_str(self.out, &text);
    }

    /// An object whose values are schemas.
    fn map(&mut self, schemas: &RawValue, depth: usize) -> Result<(), Fault> {
        let fields = members(schemas)?;
        let mut list = List::new(self.out);
        for (name, schema) in &fields.0 {
            list.name(name, self.out);
            self.node(schema, depth + 1)?;
        }
        self.out.mark(b'}');
        Ok(())
    }

    /// A list of schemas.
    fn list(&mut self, schemas: &RawValue, depth: usize) -> Result<(), Fault> {
        let schemas: Vec<&RawValue> = from_str(schemas.get()).map_err(|_| "is no JSON Schema")?;
        self.out.mark(b'[');
        for (at, schema) in schemas.iter().enumerate() {
            if at > 0 {
                self.out.mark(b',');
            }
            self.node(schema, depth + 1)?;
        }
        self.out.mark(b']');
        Ok(())
    }
}

/// Names of an object that is being written.
struct List {
    first: bool,
}

impl List {
    fn new(out: &mut Vec<u8>) -> Self {
        out.mark(b'{');
        Self { first: true }
    }

    fn name(&mut self, name: &str, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.first) {
            out.mark(b',');
        }
        write_str(out, name);
        // Writing to a Vec cannot fail.
        let _ = out.write_all(b":");
    }
}

fn is_one_of(value: &RawValue, words: &[&str]) -> bool {
    RawStr::from_raw(value).is_some_and(|word| words.contains(&word.inner()))
}

fn members(object: &RawValue) -> Result<Members<'_>, Fault> {
    from_str(object.get()).map_err(|_| NO_OBJECT)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn enforced(schema: &str) -> Result<(String, bool), Fault> {
        let mut out = Vec::new();
        let narrowed = write_enforced(from_str(schema).unwrap(), &mut out)?;
        Ok((String::from_utf8(out).unwrap(), narrowed))
    }

    fn plain(schema: &str) -> Result<String, Fault> {
        let mut out = Vec::new();
        write(Some(from_str(schema).unwrap()), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_top_of_a_tools_schema_is_an_object() {
        assert_eq!(plain("{}").unwrap(), r#"{"type":"object","properties":{}}"#);
        assert_eq!(plain(r#"{"a":1.0,"type":null}"#).unwrap(), r#"{"type":"object","a":1.0}"#);
        assert_eq!(plain(r#"{"a":1,"type":"object"}"#).unwrap(), r#"{"a":1,"type":"object"}"#);
        for schema in [r#"{"type":"string"}"#, r#"{"type":["string"]}"#, "[]", "true"] {
            assert_eq!(plain(schema), Err(NO_OBJECT), "{schema}");
        }
    }

    #[test]
    fn every_object_is_closed() {
        let (schema, narrowed) = enforced(
            r#"{"type":"object","properties":{"z":{"properties":{}},"a":{"type":"array","items":{"type":"object","additionalProperties":true}}},"required":["z"]}"#,
        )
        .unwrap();
        assert_eq!(
            schema,
            r#"{"type":"object","properties":{"z":{"type":"object","properties":{},"additionalProperties":false},"a":{"type":"array","items":{"type":"object","additionalProperties":false}}},"required":["z"],"additionalProperties":false}"#
        );
        assert!(!narrowed);
    }

    #[test]
    fn what_is_not_enforced_is_told_in_the_description() {
        let (schema, narrowed) = enforced(
            r#"{"type":"integer","minimum":1,"description":"A \"n\"","maximum": 10,"format":"int32"}"#,
        )
        .unwrap();
        assert_eq!(
            schema,
            r#"{"type":"integer","description":"A \"n\"\n\n{minimum: 1, maximum: 10, format: \"int32\"}"}"#
        );
        assert!(narrowed);
    }

    #[test]
    fn one_of_is_any_of_and_a_reference_stands_alone() {
        let (schema, _) = enforced(
            r##"{"$schema":"s","$defs":{"a":{"type":"string","format":"date"}},"oneOf":[{"$ref":"#/$defs/a","title":"t"},{"type":"array","minItems":1,"maxItems":2}]}"##,
        )
        .unwrap();
        assert_eq!(
            schema,
            r##"{"$defs":{"a":{"type":"string","format":"date"}},"anyOf":[{"$ref":"#/$defs/a"},{"type":"array","minItems":1,"description":"{maxItems: 2}"}]}"##
        );
    }

    #[test]
    fn a_large_schema_must_not_stand_deep() {
        let padded = |levels: usize, bytes: usize| {
            let open = r#"{"items":"#.repeat(levels);
            format!(r#"{open}{{"title":"{}"}}{}"#, "x".repeat(bytes), "}".repeat(levels))
        };
        assert!(enforced(&padded(MAX_DEPTH - 1, 100)).is_ok());
        assert!(enforced(&padded(MAX_READINGS - 2, 4 * FREE_READING)).is_ok());
        assert_eq!(
            enforced(&padded(2 * MAX_READINGS, 4 * FREE_READING)),
            Err("is too large for how deeply it is nested")
        );
    }

    #[test]
    fn a_schema_over_the_depth_is_refused() {
        let nested =
            |depth: usize| format!("{}{{}}{}", r#"{"items":"#.repeat(depth), "}".repeat(depth));
        assert!(enforced(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(enforced(&nested(MAX_DEPTH + 1)), Err("is nested too deeply"));
        assert!(enforced(&nested(100_000)).is_err());
    }
}
