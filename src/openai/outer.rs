//! The outermost object of a request: messages read, every other field as it was written.
//!
//! An embeddings request has no messages; its object is [`Fields`] and nothing else.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::message::{Key, Message, Messages};

/// Most fields at the top of a request.
pub const MAX_FIELDS: usize = 256;

/// A field at the top of the request.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value as it was written.
    pub value: &'a RawValue,
}

/// The request's object: messages read, everything else as text.
#[derive(Debug)]
pub(super) struct Outer<'a> {
    pub messages: Vec<Message<'a>>,
    pub messages_at: usize,
    pub fields: Vec<Field<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Outer<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OuterVisitor;
        impl<'de> Visitor<'de> for OuterVisitor {
            type Value = Outer<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outer<'de>, A::Error> {
                let mut messages: Option<Vec<Message<'de>>> = None;
                let mut messages_at = 0;
                let mut fields: Vec<Field<'de>> = Vec::with_capacity(16);
                while let Some(Key(name)) = map.next_key()? {
                    if name == "messages" {
                        if messages.is_some() {
                            return Err(A::Error::duplicate_field("messages"));
                        }
                        messages_at = fields.len();
                        let list: Option<Messages<'de>> = map.next_value()?;
                        messages = Some(list.unwrap_or_default().0);
                        continue;
                    }
                    add(&mut fields, name, &mut map)?;
                }
                Ok(Outer { messages: messages.unwrap_or_default(), messages_at, fields })
            }
        }
        deserializer.deserialize_map(OuterVisitor)
    }
}

/// The object of a request without messages.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub Vec<Field<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(Key(name)) = map.next_key()? {
                    add(&mut fields, name, &mut map)?;
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The members of an object; none when it is no object, or has more than [`MAX_FIELDS`].
pub(super) fn members(object: &RawValue) -> Vec<Field<'_>> {
    serde_json::from_str::<Fields<'_>>(object.get()).map(|fields| fields.0).unwrap_or_default()
}

/// Adds the field `name`, whose value is next in `map`.
fn add<'de, A: MapAccess<'de>>(
    fields: &mut Vec<Field<'de>>,
    name: Cow<'de, str>,
    map: &mut A,
) -> Result<(), A::Error> {
    if fields.len() >= MAX_FIELDS {
        return Err(A::Error::custom(format_args!("more than {MAX_FIELDS} fields in the request")));
    }
    // Two values for one field are read differently by different parsers, and a rule must not see
    // another model than the provider does.
    if fields.iter().any(|field| field.name == name) {
        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
    }
    fields.push(Field { name, value: map.next_value()? });
    Ok(())
}
