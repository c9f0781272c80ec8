//! What one node of a schema says: its keywords, those of what it refers to or is all of included.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    CYCLE, Fault, MAX_CHAIN, MAX_KEYWORDS, NO_SCHEMA, TOO_DEEP, TOO_LARGE, UNRESOLVED, Writer,
};
use crate::openai::json::{RawStr, Texts, is_null, is_object, next_place, string};
use crate::openai::object::Members;
use crate::openai::place::from_str;

/// Most bytes read in search of properties that return to their schema. Beyond that they stay
/// required, and the API decides.
pub(super) const MAX_SEARCH: usize = 8 << 20;

pub(super) type Pair<'s> = (Cow<'s, str>, &'s RawValue);

/// What surrounds a node.
#[derive(Clone, Copy)]
pub(super) struct Place<'s> {
    pub(super) depth: usize,
    /// It may be null too, as its surroundings say.
    pub(super) nullable: bool,
    /// What its surroundings say of it, where they have no place for that.
    pub(super) description: Option<&'s RawValue>,
}

impl Place<'_> {
    pub(super) const ROOT: Self = Self { depth: 0, nullable: false, description: None };

    pub(super) const fn below(self) -> Self {
        Self { depth: self.depth + 1, nullable: false, description: None }
    }
}

/// The keywords of one node, those of what it refers to included.
#[derive(Default)]
pub(super) struct Node<'s> {
    /// Those that stand once; the first counts.
    pub(super) once: Vec<Pair<'s>>,
    pub(super) properties: Vec<Pair<'s>>,
    /// Those of the properties.
    pub(super) names: Texts,
    pub(super) required: Vec<RawStr<'s>>,
    /// The definition that it refers to, where that stays a reference.
    pub(super) reference: Option<String>,
    /// How many references are active because of it.
    pub(super) entered: usize,
}

impl<'s> Node<'s> {
    pub(super) fn find(&self, name: &str) -> Option<&'s RawValue> {
        self.once.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Whether `items` is a schema: a list is an older way to write `prefixItems`, and `false` beside
    /// those says that there are no more.
    pub(super) fn has_items(&self) -> bool {
        let closed = |raw: &RawValue| raw.get() == "false" && self.find("prefixItems").is_some();
        self.find("items").is_some_and(|raw| !closed(raw) && !raw.get().starts_with('['))
    }

    /// The type of all values that it lists, or that a keyword is about.
    pub(super) fn told_kind(&self) -> Option<&'static str> {
        let listed: Vec<&RawValue> = match (self.find("enum"), self.find("const")) {
            (Some(list), _) => from_str(list.get()).unwrap_or_default(),
            (None, value) => value.into_iter().collect(),
        };
        let mut kinds = listed.into_iter().filter(|value| !is_null(value)).map(kind_of);
        match kinds.next() {
            Some(first) => kinds.all(|kind| kind == first).then_some(first),
            None if self.find("items").is_some() => Some("array"),
            None if self.find("additionalProperties").is_some() => Some("object"),
            None => None,
        }
    }
}

fn kind_of(value: &RawValue) -> &'static str {
    match value.get().bytes().next() {
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'{') => "object",
        Some(b'[') => "array",
        _ if value.get().contains(['.', 'e', 'E']) => "number",
        _ => "integer",
    }
}

impl<'s> Writer<'s, '_> {
    pub(super) fn fields(&mut self, object: &'s RawValue) -> Result<Vec<Pair<'s>>, Fault> {
        self.spend(object.get().len())?;
        from_str::<Members<'s>>(object.get())
            .map(|fields| fields.0)
            .map_err(|_| self.fault(NO_SCHEMA))
    }

    /// Takes from what may still be read, or kept of it.
    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| self.fault(TOO_LARGE))?;
        Ok(())
    }

    /// Collects the keywords of a node, and of what it refers to or is all of.
    pub(super) fn gather(
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
                        if node.names.insert(&property.0) {
                            node.properties.push(property);
                        }
                    }
                }
                "required" => node
                    .required
                    .extend(from_str::<Vec<RawStr<'s>>>(value.get()).unwrap_or_default()),
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

    /// What a pointer such as `#/$defs/a` leads to. Each object on the way is read once.
    fn resolve(&mut self, pointer: &str) -> Result<&'s RawValue, Fault> {
        let Some(steps) = pointer.strip_prefix('#') else {
            return Err(self.fault(UNRESOLVED));
        };
        let mut found = self.root;
        let mut at = String::new();
        for step in steps.split('/').skip(1) {
            if is_object(found) && self.known.insert(&at) {
                for (name, value) in self.fields(found)? {
                    self.spend(at.len())?;
                    let name = name.replace('~', "~0").replace('/', "~1");
                    self.find(&format!("{at}/{name}"), value);
                }
            } else if found.get().starts_with('[') && self.known.insert(&at) {
                for (index, value) in self.list(found)?.into_iter().enumerate() {
                    self.spend(at.len())?;
                    self.find(&format!("{at}/{index}"), value);
                }
            }
            at.push('/');
            at.push_str(step);
            let place = self.places.number(&at).ok_or_else(|| self.fault(UNRESOLVED))?;
            found = self.found.get(place as usize).copied().unwrap_or(found);
        }
        Ok(found)
    }

    fn find(&mut self, at: &str, value: &'s RawValue) {
        self.places.set(at, next_place(&self.found));
        self.found.push(value);
    }

    /// The properties that are required, as far as that can be said.
    pub(super) fn required(&mut self, node: &Node<'s>) -> Result<Vec<RawStr<'s>>, Fault> {
        let known = |name: &&RawStr<'s>| node.names.contains(&name.decode());
        let mut required: Vec<RawStr<'s>> = node.required.iter().filter(known).copied().collect();
        if self.keeps {
            let all = required.len();
            let returning = self.returning(node)?;
            required.retain(|name| !returning.contains(&name.decode()));
            self.written.narrowed |= required.len() < all;
        }
        Ok(required)
    }

    /// The properties by which a schema returns to where it began. The API writes such references
    /// out a few times, so it takes none of them in a property that is required.
    fn returning(&mut self, node: &Node<'s>) -> Result<Texts, Fault> {
        let mut returning = Texts::default();
        for (name, schema) in &node.properties {
            let mut seen = Texts::default();
            let mut open = vec![*schema];
            while let Some(schema) = open.pop() {
                let Some(left) = self.search.checked_sub(schema.get().len()) else {
                    return Ok(returning);
                };
                self.search = left;
                for pointer in references(schema.get()) {
                    let Some(definition) = definition(&pointer) else { continue };
                    if definition == self.home {
                        returning.insert(name);
                    } else if seen.insert(&definition) {
                        open.push(self.resolve(&pointer)?);
                    }
                }
            }
        }
        Ok(returning)
    }

    pub(super) fn list(&mut self, schemas: &'s RawValue) -> Result<Vec<&'s RawValue>, Fault> {
        self.spend(schemas.get().len())?;
        from_str(schemas.get()).map_err(|_| self.fault(NO_SCHEMA))
    }
}

/// The types of a node.
pub(super) struct Kinds<'s> {
    /// Without `null`.
    pub(super) names: Vec<Cow<'s, str>>,
    pub(super) null: bool,
}

impl<'s> Kinds<'s> {
    pub(super) fn of(node: &Node<'s>) -> Self {
        let kind = node.find("type");
        let mut names: Vec<Cow<'s, str>> = match kind {
            Some(raw) if raw.get().starts_with('[') => {
                let list = from_str::<Vec<RawStr<'s>>>(raw.get()).unwrap_or_default();
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

    pub(super) fn is_only(&self, name: &str) -> bool {
        matches!(self.names.as_slice(), [one] if one == name)
    }
}

/// Keywords that change nothing about what is valid, or that are seen to elsewhere.
pub(super) fn is_annotation(name: &str) -> bool {
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
pub(super) fn words(list: &RawValue) -> Option<String> {
    let list: Vec<&RawValue> = from_str(list.get()).ok()?;
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

/// Where the references in the text of a schema lead.
fn references(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.split("\"$ref\"").skip(1).filter_map(|rest| {
        let value = rest.trim_start().strip_prefix(':')?;
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<&RawValue>();
        values.next()?.ok().and_then(RawStr::from_raw).map(RawStr::decode)
    })
}
