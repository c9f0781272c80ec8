//! JSON Schemas, as the API takes them.
//!
//! The API knows two forms, each a part of the language: since 2.5 JSON Schema itself, before that
//! OpenAPI's. References are written out where they stand, since the API resolves them badly or not
//! at all; only a schema that refers to itself keeps them, and only the newer form can have that.
//! What a form does not know is told to the model in the description.

use serde_json::value::RawValue;

use super::surface::Generation;
use crate::openai::Error;
use crate::openai::json::{Texts, is_object, separate, string, write_compact, write_str};
use crate::openai::object::Members;
use crate::openai::place::from_str;
use node::{Kinds, Node, Pair, Place, is_annotation, words};

mod node;

/// Deepest nesting of a schema, references written out.
pub(super) const MAX_DEPTH: usize = 64;

/// Most bytes that the schemas of one request may be longer than they came. References written out
/// can make much of little.
pub(super) const MAX_GROWTH: usize = 1 << 20;

/// How often a schema may be read on average: a byte is read once for each level that it stands
/// under, and again for each reference to it.
const MAX_READINGS: usize = 8;

/// Bytes of all schemas of one request that may be read beyond that.
const MAX_READING: usize = 16 << 20;

/// Most keywords of one node, apart from its properties.
pub(super) const MAX_KEYWORDS: usize = 256;

/// Most references that lead to one another.
const MAX_CHAIN: usize = 32;

/// Forms of a string or number that the API knows.
const FORMATS: &[&str] =
    &["date-time", "date", "time", "enum", "float", "double", "int32", "int64"];

/// The language in which a schema is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON Schema: `parametersJsonSchema`, `responseJsonSchema`.
    Json,
    /// OpenAPI's: `parameters`, `responseSchema`.
    OpenApi,
}

impl Form {
    /// What the model takes.
    pub(super) fn of(generation: Generation) -> Self {
        if generation == Generation::Old { Self::OpenApi } else { Self::Json }
    }
}

/// What cannot be written, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    path: String,
    why: &'static str,
}

impl Fault {
    /// A 400 that blames the place below the field `param`.
    pub(super) fn at(self, param: &str) -> Error {
        let param = format!("{param}{}", self.path);
        let message = format!("'{param}' {}.", self.why);
        Error::invalid(param, message)
    }
}

const NO_SCHEMA: &str = "is no JSON Schema";
const NO_OBJECT: &str = "must be a JSON Schema of type \"object\"";
const CYCLE: &str = "refers to itself, which the model's schemas cannot express";
const UNRESOLVED: &str = "refers to what is not in the schema";
const NOTHING: &str = "is a schema that allows nothing, which cannot be expressed";
const TOO_DEEP: &str = "is nested too deeply";
const TOO_LARGE: &str = "is too large with its references written out";

/// What became of a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Something is only told in descriptions.
    pub(super) narrowed: bool,
    /// It is of an object without properties, which some models refuse: it says nothing.
    pub(super) empty: bool,
}

/// What the schemas of one request may still take beyond their own length.
#[derive(Debug)]
pub(super) struct Room {
    growth: usize,
    reading: usize,
}

impl Room {
    /// For all schemas of a request.
    pub(super) const fn new() -> Self {
        Self { growth: MAX_GROWTH, reading: MAX_READING }
    }
}

/// Appends the schema of a function's arguments, which is one of an object.
pub(super) fn write_arguments(
    schema: &RawValue,
    form: Form,
    room: &mut Room,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    write(schema, form, true, room, out)
}

/// Appends the schema of an answer.
pub(super) fn write_answer(
    schema: &RawValue,
    form: Form,
    room: &mut Room,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    write(schema, form, false, room, out)
}

fn write(
    schema: &RawValue,
    form: Form,
    object: bool,
    room: &mut Room,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let begin = out.len();
    let mut writer = Writer::new(schema, form, object, room, out);
    let mut result = writer.node(schema, Place::ROOT);
    let (mut written, mut left) = (writer.written, writer.left);
    if let Err(Fault { why: CYCLE | TOO_LARGE, .. }) = result
        && form == Form::Json
    {
        out.truncate(begin);
        let mut writer = Writer::new(schema, form, object, room, out);
        writer.keeps = true;
        result = writer.node(schema, Place::ROOT);
        (written, left) = (writer.written, left.min(writer.left));
    }
    let length = schema.get().len();
    room.growth = room.growth.saturating_sub((out.len() - begin).saturating_sub(length));
    room.reading = room.reading.min(left);
    result.map(|()| written)
}

struct Writer<'s, 'o> {
    root: &'s RawValue,
    form: Form,
    /// The root must be of an object.
    object: bool,
    /// References to definitions stay references.
    keeps: bool,
    /// The reference to the schema or definition that is being written, where references stay.
    home: String,
    /// Bytes that may still be read in search of properties that return to it.
    search: usize,
    out: &'o mut Vec<u8>,
    /// How long the output may become.
    most: usize,
    written: Written,
    /// Where the node that is written stands.
    path: String,
    /// The references that are being written out.
    active: Vec<String>,
    /// What stands where, as far as references have led.
    found: Vec<&'s RawValue>,
    /// The places in `found`.
    places: Texts,
    /// The lists and objects all of whose members are in `found`.
    known: Texts,
    /// Bytes that may still be read.
    left: usize,
}

impl<'s, 'o> Writer<'s, 'o> {
    fn new(
        root: &'s RawValue,
        form: Form,
        object: bool,
        room: &Room,
        out: &'o mut Vec<u8>,
    ) -> Self {
        let length = root.get().len();
        Self {
            root,
            form,
            object,
            keeps: false,
            home: "#".to_owned(),
            search: node::MAX_SEARCH,
            most: out.len().saturating_add(length).saturating_add(room.growth),
            out,
            written: Written::default(),
            path: String::new(),
            active: Vec::new(),
            found: Vec::new(),
            places: Texts::default(),
            known: Texts::default(),
            left: length.saturating_mul(MAX_READINGS).saturating_add(room.reading),
        }
    }

    fn fault(&self, why: &'static str) -> Fault {
        Fault { path: self.path.clone(), why }
    }

    /// Does `below` at a place below this one.
    fn at<T>(
        &mut self,
        step: &str,
        below: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let length = self.path.len();
        self.path.push_str(step);
        let done = below(self);
        if done.is_ok() {
            self.path.truncate(length);
        }
        done
    }

    fn node(&mut self, schema: &'s RawValue, place: Place<'s>) -> Result<(), Fault> {
        if place.depth > MAX_DEPTH {
            return Err(self.fault(TOO_DEEP));
        }
        if self.out.len() > self.most {
            return Err(self.fault(TOO_LARGE));
        }
        match schema.get() {
            "true" if self.form == Form::Json => {
                self.out.extend_from_slice(b"{}");
                return Ok(());
            }
            "true" => {
                self.written.narrowed = true;
                self.out.extend_from_slice(br#"{"type":"STRING"}"#);
                return Ok(());
            }
            "false" => return Err(self.fault(NOTHING)),
            _ if !is_object(schema) => return Err(self.fault(NO_SCHEMA)),
            _ => {}
        }
        let mut node = Node::default();
        self.gather(schema, 0, &mut node)?;
        self.write_node(&node, place)?;
        let active = self.active.len() - node.entered;
        self.active.truncate(active);
        Ok(())
    }

    fn name(&mut self, name: &str) {
        separate(self.out);
        write_str(self.out, name);
        self.out.push(b':');
    }

    fn raw(&mut self, name: &str, value: &RawValue) {
        self.name(name);
        write_compact(self.out, value.get());
    }

    fn write_node(&mut self, node: &Node<'s>, place: Place<'s>) -> Result<(), Fault> {
        let root = place.depth == 0;
        let kinds = Kinds::of(node);
        if root && self.object && !kinds.names.is_empty() && !kinds.names.contains(&"object".into())
        {
            return Err(self.fault(NO_OBJECT));
        }
        if let Some(definition) = &node.reference {
            return self.write_reference(node, definition, place);
        }
        let nullable = place.nullable || kinds.null;
        let any_of = node.find("anyOf").or_else(|| node.find("oneOf"));
        if self.form == Form::OpenApi
            && let Some(any_of) = any_of
            && !(root && self.object)
        {
            return self.write_union(node, any_of, nullable, place);
        }
        self.out.push(b'{');
        let is_object = self.write_type(&kinds, node, nullable, root)?;
        let mut rest: Vec<(&str, &RawValue)> = Vec::new();
        for (name, value) in &node.once {
            self.keyword(node, name, value, place, &mut rest)?;
        }
        if !node.properties.is_empty() {
            self.name("properties");
            self.map(&node.properties, ".properties", place)?;
        } else if is_object && self.form == Form::Json && root {
            self.out.extend_from_slice(b",\"properties\":{}");
        }
        let required = self.required(node)?;
        if !required.is_empty() {
            self.name("required");
            self.out.push(b'[');
            for name in required {
                separate(self.out);
                self.out.extend_from_slice(name.as_written().as_bytes());
            }
            self.out.push(b']');
        }
        if self.form == Form::OpenApi && kinds.is_only("array") && !node.has_items() {
            self.out.extend_from_slice(br#","items":{"type":"STRING"}"#);
        }
        if root && is_object && node.properties.is_empty() {
            let closed = |(name, value): &Pair<'_>| match &**name {
                "type" => true,
                "additionalProperties" => value.get() == "false",
                _ => is_annotation(name),
            };
            self.written.empty = self.form == Form::OpenApi || node.once.iter().all(closed);
        }
        if self.keeps && root {
            self.write_definitions(node, place)?;
        }
        self.describe(node.find("description").or(place.description), &rest);
        self.out.push(b'}');
        Ok(())
    }

    /// Appends `type`, and says whether it is that of an object.
    fn write_type(
        &mut self,
        kinds: &Kinds<'s>,
        node: &Node<'s>,
        nullable: bool,
        root: bool,
    ) -> Result<bool, Fault> {
        let object = root && self.object;
        let implied = object || !node.properties.is_empty();
        let names: Vec<&str> = match kinds.names.as_slice() {
            _ if object => vec!["object"],
            [] if implied => vec!["object"],
            [] if kinds.null => vec!["null"],
            // OpenAPI's form does not do without a type.
            [] if self.form == Form::OpenApi => {
                let told = node.told_kind().or_else(|| {
                    self.written.narrowed |= !root;
                    (!root).then_some("string")
                });
                told.into_iter().collect()
            }
            names => names.iter().map(|name| &**name).collect(),
        };
        let is_object = names.contains(&"object");
        let nullable = nullable && !object;
        match (self.form, names.as_slice()) {
            (_, []) => {}
            (Form::Json, [one]) if !nullable || *one == "null" => {
                self.name("type");
                write_str(self.out, one);
            }
            (Form::Json, names) => {
                self.name("type");
                self.out.push(b'[');
                for name in names.iter().copied().chain(nullable.then_some("null")) {
                    separate(self.out);
                    write_str(self.out, name);
                }
                self.out.push(b']');
            }
            (Form::OpenApi, [one]) => {
                self.name("type");
                write_str(self.out, &one.to_ascii_uppercase());
                if nullable && *one != "null" {
                    self.out.extend_from_slice(b",\"nullable\":true");
                }
            }
            (Form::OpenApi, names) => {
                self.name("anyOf");
                self.out.push(b'[');
                for name in names {
                    separate(self.out);
                    self.out.extend_from_slice(b"{\"type\":");
                    write_str(self.out, &name.to_ascii_uppercase());
                    let end: &[u8] = if nullable { b",\"nullable\":true}" } else { b"}" };
                    self.out.extend_from_slice(end);
                }
                self.out.push(b']');
            }
        }
        Ok(is_object)
    }

    /// One keyword, or a place for it among the rest.
    fn keyword<'n>(
        &mut self,
        node: &'n Node<'s>,
        name: &'n str,
        value: &'s RawValue,
        place: Place<'s>,
        rest: &mut Vec<(&'n str, &'n RawValue)>,
    ) -> Result<(), Fault> {
        let json = self.form == Form::Json;
        match name {
            "type" | "nullable" | "description" => {}
            "enum" if json => self.raw("enum", value),
            "enum" => match words(value) {
                Some(words) => {
                    self.name("enum");
                    self.out.extend_from_slice(words.as_bytes());
                }
                None => rest.push((name, value)),
            },
            "const" if node.find("enum").is_some() => {}
            "const" if json || string(Some(value)).is_some_and(|word| !word.is_empty()) => {
                self.name("enum");
                self.out.push(b'[');
                self.out.extend_from_slice(value.get().as_bytes());
                self.out.push(b']');
            }
            "title" | "minItems" | "maxItems" | "minimum" | "maximum" | "propertyOrdering" => {
                self.raw(name, value);
            }
            "minLength" | "maxLength" | "minProperties" | "maxProperties" | "pattern"
            | "default" | "example"
                if !json =>
            {
                self.raw(name, value);
            }
            "format" if string(Some(value)).is_some_and(|it| FORMATS.contains(&it.inner())) => {
                self.raw(name, value);
            }
            "items" if !node.has_items() => rest.push((name, value)),
            "items" => {
                self.name("items");
                self.at(".items", |it| it.node(value, place.below()))?;
            }
            "prefixItems" if json => {
                self.name("prefixItems");
                self.nodes(value, ".prefixItems", place)?;
            }
            "anyOf" if json => {
                self.name("anyOf");
                self.nodes(value, ".anyOf", place)?;
            }
            "oneOf" if json && node.find("anyOf").is_none() => {
                self.name("anyOf");
                self.nodes(value, ".oneOf", place)?;
            }
            "additionalProperties" if matches!(value.get(), "true" | "false") => {
                if json {
                    self.raw(name, value);
                }
            }
            "additionalProperties" if json => {
                self.name(name);
                self.at(".additionalProperties", |it| it.node(value, place.below()))?;
            }
            _ if is_annotation(name) => {}
            _ => rest.push((name, value)),
        }
        Ok(())
    }

    /// The description, and in it what the form does not know.
    fn describe(&mut self, given: Option<&RawValue>, rest: &[(&str, &RawValue)]) {
        let given = string(given).filter(|text| !text.is_empty());
        if rest.is_empty() {
            if let Some(given) = given {
                self.name("description");
                self.out.extend_from_slice(given.as_written().as_bytes());
            }
            return;
        }
        self.written.narrowed = true;
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
        self.name("description");
        write_str(self.out, &text);
    }

    /// One of several: nothing else may stand beside it in OpenAPI's form.
    fn write_union(
        &mut self,
        node: &Node<'s>,
        any_of: &'s RawValue,
        nullable: bool,
        place: Place<'s>,
    ) -> Result<(), Fault> {
        let members = self.list(any_of)?;
        let null = |member: &&&RawValue| {
            from_str::<Members<'_>>(member.get()).is_ok_and(|fields| {
                fields.0.iter().any(|(name, value)| name == "type" && value.get() == "\"null\"")
            })
        };
        let some: Vec<&RawValue> = members.iter().filter(|it| !null(it)).copied().collect();
        let nullable = nullable || some.len() < members.len();
        let description = node.find("description").or(place.description);
        let below = Place { depth: place.depth + 1, nullable, description };
        self.written.narrowed |= node.once.iter().any(|(name, _)| {
            !matches!(&**name, "anyOf" | "oneOf" | "title") && !is_annotation(name)
        }) || !node.properties.is_empty();
        if let [one] = some.as_slice() {
            return self.at(".anyOf[0]", |it| it.node(one, below));
        }
        if some.is_empty() {
            self.out.extend_from_slice(br#"{"type":"NULL"}"#);
            return Ok(());
        }
        self.out.extend_from_slice(b"{\"anyOf\":[");
        for (at, member) in some.into_iter().enumerate() {
            separate(self.out);
            self.at(&format!(".anyOf[{at}]"), |it| it.node(member, below))?;
        }
        self.out.extend_from_slice(b"]}");
        Ok(())
    }

    /// A reference that stays one. Nothing else may stand beside it.
    fn write_reference(
        &mut self,
        node: &Node<'s>,
        definition: &str,
        place: Place<'s>,
    ) -> Result<(), Fault> {
        self.written.narrowed |= node.once.iter().any(|(name, _)| !is_annotation(name));
        self.out.push(b'{');
        self.name("$ref");
        write_str(self.out, definition);
        if place.depth == 0 {
            self.write_definitions(node, place)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// `$defs` of the root, by either name.
    fn write_definitions(&mut self, node: &Node<'s>, place: Place<'s>) -> Result<(), Fault> {
        let mut all = Vec::new();
        let mut names = Texts::default();
        for list in ["$defs", "definitions"] {
            let Some(definitions) = node.find(list) else { continue };
            let definitions = self.fields(definitions)?;
            all.extend(definitions.into_iter().filter(|(name, _)| names.insert(name)));
        }
        if !all.is_empty() {
            self.name("$defs");
            self.out.push(b'{');
            for (name, schema) in &all {
                self.home = format!("#/$defs/{name}");
                self.name(name);
                self.at(&format!(".$defs.{name}"), |it| it.node(schema, place.below()))?;
            }
            self.out.push(b'}');
        }
        Ok(())
    }

    fn map(&mut self, schemas: &[Pair<'s>], step: &str, place: Place<'s>) -> Result<(), Fault> {
        self.out.push(b'{');
        for (name, schema) in schemas {
            self.name(name);
            self.at(&format!("{step}.{name}"), |it| it.node(schema, place.below()))?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn nodes(&mut self, schemas: &'s RawValue, step: &str, place: Place<'s>) -> Result<(), Fault> {
        self.out.push(b'[');
        for (at, schema) in self.list(schemas)?.into_iter().enumerate() {
            separate(self.out);
            self.at(&format!("{step}[{at}]"), |it| it.node(schema, place.below()))?;
        }
        self.out.push(b']');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
