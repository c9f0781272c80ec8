//! JSON Schemas, as the API takes them.
//!
//! The API knows two forms, each a part of the language: since 2.5 JSON Schema itself, before that
//! OpenAPI's. References are written out where they stand, since the API resolves them badly or not
//! at all; only a schema that refers to itself keeps them, and only the newer form can have that.
//! What a form does not know is told to the model in the description.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::surface::Generation;
use crate::openai::Error;
use crate::openai::json::{RawStr, is_null, is_object, separate, string, write_compact, write_str};
use crate::openai::message::Key;

/// Deepest nesting of a schema, references written out.
pub(super) const MAX_DEPTH: usize = 64;

/// Most bytes of a schema that is written. References written out can make much of little.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Most bytes that are read for one schema: a byte is read once for each level that it stands under,
/// and again for each reference to it.
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

/// Appends the schema of a function's arguments, which is one of an object.
pub(super) fn write_arguments(
    schema: &RawValue,
    form: Form,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    write(schema, form, true, out)
}

/// Appends the schema of an answer.
pub(super) fn write_answer(
    schema: &RawValue,
    form: Form,
    out: &mut Vec<u8>,
) -> Result<Written, Fault> {
    write(schema, form, false, out)
}

fn write(schema: &RawValue, form: Form, object: bool, out: &mut Vec<u8>) -> Result<Written, Fault> {
    let begin = out.len();
    let mut writer = Writer::new(schema, form, object, out);
    match writer.node(schema, Place::ROOT) {
        Err(fault) if form == Form::Json && matches!(fault.why, CYCLE | TOO_LARGE) => {
            out.truncate(begin);
            let mut writer = Writer::new(schema, form, object, out);
            writer.keeps = true;
            writer.node(schema, Place::ROOT)?;
            Ok(writer.written)
        }
        Err(fault) => Err(fault),
        Ok(()) => Ok(writer.written),
    }
}

struct Writer<'s, 'o> {
    root: &'s RawValue,
    form: Form,
    /// The root must be of an object.
    object: bool,
    /// References to definitions stay references.
    keeps: bool,
    out: &'o mut Vec<u8>,
    begin: usize,
    written: Written,
    /// Where the node that is written stands.
    path: String,
    /// The references that are being written out.
    active: Vec<String>,
    found: BTreeMap<String, &'s RawValue>,
    /// Bytes that may still be read.
    left: usize,
}

/// What surrounds a node.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// It may be null too, as its surroundings say.
    nullable: bool,
}

impl Place {
    const ROOT: Self = Self { depth: 0, nullable: false };

    const fn below(self) -> Self {
        Self { depth: self.depth + 1, nullable: false }
    }
}

type Pair<'s> = (Cow<'s, str>, &'s RawValue);

/// The keywords of one node, those of what it refers to included.
#[derive(Default)]
struct Node<'s> {
    /// Those that stand once; the first counts.
    once: Vec<Pair<'s>>,
    properties: Vec<Pair<'s>>,
    /// Those of the properties.
    names: BTreeSet<Cow<'s, str>>,
    required: Vec<RawStr<'s>>,
    /// The definition that it refers to, where that stays a reference.
    reference: Option<String>,
    /// How many references are active because of it.
    entered: usize,
}

impl<'s> Node<'s> {
    fn find(&self, name: &str) -> Option<&'s RawValue> {
        self.once.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

impl<'s, 'o> Writer<'s, 'o> {
    fn new(root: &'s RawValue, form: Form, object: bool, out: &'o mut Vec<u8>) -> Self {
        Self {
            root,
            form,
            object,
            keeps: false,
            begin: out.len(),
            out,
            written: Written::default(),
            path: String::new(),
            active: Vec::new(),
            found: BTreeMap::new(),
            left: MAX_READING,
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

    fn fields(&mut self, object: &'s RawValue) -> Result<Vec<Pair<'s>>, Fault> {
        match self.left.checked_sub(object.get().len()) {
            Some(left) => self.left = left,
            None => return Err(self.fault(TOO_LARGE)),
        }
        serde_json::from_str::<Fields<'s>>(object.get())
            .map(|fields| fields.0)
            .map_err(|_| self.fault(NO_SCHEMA))
    }

    fn node(&mut self, schema: &'s RawValue, place: Place) -> Result<(), Fault> {
        if place.depth > MAX_DEPTH {
            return Err(self.fault(TOO_DEEP));
        }
        if self.out.len() - self.begin > MAX_BYTES {
            return Err(self.fault(TOO_LARGE));
        }
        match schema.get() {
            "true" => {
                self.out.extend_from_slice(b"{}");
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

    /// Collects the keywords of a node, and of what it refers to or is all of.
    fn gather(
        &mut self,
        schema: &'s RawValue,
        chain: usize,
        node: &mut Node<'s>,
    ) -> Result<(), Fault> {
        if chain > MAX_CHAIN {
            return Err(self.fault(TOO_DEEP));
        }
        if !is_object(schema) {
            return Err(self.fault(NO_SCHEMA));
        }
        let mut further = Vec::new();
        for (name, value) in self.fields(schema)? {
            match &*name {
                "$ref" => {
                    let pointer = string(Some(value)).map(RawStr::decode);
                    let pointer = pointer.ok_or_else(|| self.fault(UNRESOLVED))?;
                    match definition(&pointer).filter(|_| self.keeps) {
                        Some(definition) => {
                            self.resolve(&pointer)?;
                            node.reference.get_or_insert(definition);
                        }
                        None => {
                            let target = self.enter(pointer.into_owned(), node)?;
                            further.push(target);
                        }
                    }
                }
                "allOf" => further.extend(self.list(value)?),
                "properties" => {
                    for property in self.fields(value)? {
                        if node.names.insert(property.0.clone()) {
                            node.properties.push(property);
                        }
                    }
                }
                "required" => node.required.extend(
                    serde_json::from_str::<Vec<RawStr<'s>>>(value.get()).unwrap_or_default(),
                ),
                _ if node.once.len() > MAX_KEYWORDS => return Err(self.fault(TOO_LARGE)),
                _ if node.find(&name).is_none() => node.once.push((name, value)),
                _ => self.written.narrowed |= !is_annotation(&name),
            }
        }
        further.into_iter().try_for_each(|schema| self.gather(schema, chain + 1, node))
    }

    fn enter(&mut self, pointer: String, node: &mut Node<'s>) -> Result<&'s RawValue, Fault> {
        if self.active.contains(&pointer) || pointer == "#" {
            return Err(self.fault(CYCLE));
        }
        let target = self.resolve(&pointer)?;
        self.active.push(pointer);
        node.entered += 1;
        Ok(target)
    }

    /// What a pointer such as `#/$defs/a` leads to.
    fn resolve(&mut self, pointer: &str) -> Result<&'s RawValue, Fault> {
        if let Some(found) = self.found.get(pointer) {
            return Ok(found);
        }
        let Some(steps) = pointer.strip_prefix('#') else {
            return Err(self.fault(UNRESOLVED));
        };
        let mut found = self.root;
        for step in steps.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = if is_object(found) {
                let fields = self.fields(found)?;
                fields.into_iter().find(|(name, _)| *name == step).map(|(_, value)| value)
            } else {
                let list = serde_json::from_str::<Vec<&RawValue>>(found.get()).ok();
                list.zip(step.parse::<usize>().ok()).and_then(|(list, at)| list.get(at).copied())
            };
            found = next.ok_or_else(|| self.fault(UNRESOLVED))?;
        }
        self.found.insert(pointer.to_owned(), found);
        Ok(found)
    }

    fn list(&mut self, schemas: &'s RawValue) -> Result<Vec<&'s RawValue>, Fault> {
        match self.left.checked_sub(schemas.get().len()) {
            Some(left) => self.left = left,
            None => return Err(self.fault(TOO_LARGE)),
        }
        serde_json::from_str(schemas.get()).map_err(|_| self.fault(NO_SCHEMA))
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

    fn write_node(&mut self, node: &Node<'s>, place: Place) -> Result<(), Fault> {
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
        let is_object = self.write_type(&kinds, node, nullable, root && self.object)?;
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
        let required: Vec<&RawStr<'s>> =
            node.required.iter().filter(|name| node.names.contains(&name.decode())).collect();
        if !required.is_empty() {
            self.name("required");
            self.out.push(b'[');
            for name in required {
                separate(self.out);
                self.out.extend_from_slice(name.as_written().as_bytes());
            }
            self.out.push(b']');
        }
        if self.form == Form::OpenApi && kinds.is_only("array") && node.find("items").is_none() {
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
        self.describe(node, &rest);
        self.out.push(b'}');
        Ok(())
    }

    /// Appends `type`, and says whether it is that of an object.
    fn write_type(
        &mut self,
        kinds: &Kinds<'s>,
        node: &Node<'s>,
        nullable: bool,
        object: bool,
    ) -> Result<bool, Fault> {
        let implied = object || !node.properties.is_empty();
        let names: Vec<&str> = match kinds.names.as_slice() {
            _ if object => vec!["object"],
            [] if implied => vec!["object"],
            [] if kinds.null => vec!["null"],
            // A list of words is one of strings; OpenAPI's form does not do without a type.
            [] if self.form == Form::OpenApi && node.find("enum").is_some() => vec!["string"],
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
        place: Place,
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
            // An older way to write `prefixItems`.
            "items" if value.get().starts_with('[') => rest.push((name, value)),
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
    fn describe(&mut self, node: &Node<'s>, rest: &[(&str, &RawValue)]) {
        let given = string(node.find("description")).filter(|text| !text.is_empty());
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
        place: Place,
    ) -> Result<(), Fault> {
        let members = self.list(any_of)?;
        let null = |member: &&&RawValue| {
            serde_json::from_str::<Fields<'_>>(member.get()).is_ok_and(|fields| {
                fields.0.iter().any(|(name, value)| name == "type" && value.get() == "\"null\"")
            })
        };
        let some: Vec<&RawValue> = members.iter().filter(|it| !null(it)).copied().collect();
        let nullable = nullable || some.len() < members.len();
        let below = Place { depth: place.depth + 1, nullable };
        self.written.narrowed |= node.once.iter().any(|(name, _)| {
            !matches!(&**name, "anyOf" | "oneOf" | "title") && !is_annotation(name)
        }) || !node.properties.is_empty();
        if let [one] = some.as_slice() {
            return self.at(".anyOf[0]", |it| it.node(one, below));
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
        place: Place,
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
    fn write_definitions(&mut self, node: &Node<'s>, place: Place) -> Result<(), Fault> {
        let mut all = Vec::new();
        let mut names = BTreeSet::new();
        for list in ["$defs", "definitions"] {
            let Some(definitions) = node.find(list) else { continue };
            let definitions = self.fields(definitions)?;
            all.extend(definitions.into_iter().filter(|(name, _)| names.insert(name.clone())));
        }
        if !all.is_empty() {
            self.name("$defs");
            self.map(&all, ".$defs", place)?;
        }
        Ok(())
    }

    fn map(&mut self, schemas: &[Pair<'s>], step: &str, place: Place) -> Result<(), Fault> {
        self.out.push(b'{');
        for (name, schema) in schemas {
            self.name(name);
            self.at(&format!("{step}.{name}"), |it| it.node(schema, place.below()))?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn nodes(&mut self, schemas: &'s RawValue, step: &str, place: Place) -> Result<(), Fault> {
        self.out.push(b'[');
        for (at, schema) in self.list(schemas)?.into_iter().enumerate() {
            separate(self.out);
            self.at(&format!("{step}[{at}]"), |it| it.node(schema, place.below()))?;
        }
        self.out.push(b']');
        Ok(())
    }
}

/// The types of a node.
struct Kinds<'s> {
    /// Without `null`.
    names: Vec<Cow<'s, str>>,
    null: bool,
}

impl<'s> Kinds<'s> {
    fn of(node: &Node<'s>) -> Self {
        let kind = node.find("type");
        let mut names: Vec<Cow<'s, str>> = match kind {
            Some(raw) if raw.get().starts_with('[') => {
                let list = serde_json::from_str::<Vec<RawStr<'s>>>(raw.get()).unwrap_or_default();
                list.into_iter().map(RawStr::decode).collect()
            }
            raw => string(raw).map(RawStr::decode).into_iter().collect(),
        };
        for name in &mut names {
            // As OpenAPI's form has them.
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                *name = Cow::Owned(name.to_ascii_lowercase());
            }
        }
        let count = names.len();
        names.retain(|name| name != "null");
        let nullable = node.find("nullable").is_some_and(|raw| raw.get() == "true");
        Self { null: names.len() < count || nullable, names }
    }

    fn is_only(&self, name: &str) -> bool {
        matches!(self.names.as_slice(), [one] if one == name)
    }
}

/// Keywords that change nothing about what is valid, or that are seen to elsewhere.
fn is_annotation(name: &str) -> bool {
    matches!(
        name,
        "$schema"
            | "$id"
            | "$anchor"
            | "$comment"
            | "$defs"
            | "definitions"
            | "description"
            | "id"
            | "strict"
            | "title"
    ) || name.starts_with("x-")
}

/// The strings of an `enum` without the empty one; nothing where something else stands in it.
fn words(list: &RawValue) -> Option<String> {
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let mut words = Vec::new();
    for value in list.into_iter().filter(|value| !is_null(value)) {
        let word = RawStr::from_raw(value)?;
        if !word.is_empty() {
            words.push(word.as_written());
        }
    }
    (!words.is_empty()).then(|| format!("[{}]", words.join(",")))
}

/// A reference to a definition as it is kept: `definitions` is an older name for `$defs`.
fn definition(pointer: &str) -> Option<String> {
    if pointer == "#" {
        return Some("#".to_owned());
    }
    let name =
        pointer.strip_prefix("#/$defs/").or_else(|| pointer.strip_prefix("#/definitions/"))?;
    (!name.contains('/')).then(|| format!("#/$defs/{name}"))
}

/// The fields of an object, in order.
struct Fields<'a>(Vec<Pair<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON Schema object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests;
