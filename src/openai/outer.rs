//! The outermost object of a request: messages read, every other field as it was written.
//!
//! An embeddings request has no messages; its object is [`Fields`] and nothing else.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::value::RawValue;

use super::fault::Fault;
use super::json::RawStr;
use super::message::Messages;
use super::place::{Entries, Place, Slot, from_str};

/// Most fields at the top of a request.
pub const MAX_FIELDS: usize = 256;

/// The field with which a client asks the gateway for other models. It is for nobody else: one provider
/// refuses it, and another would follow it around the rules.
pub const MODELS_FIELD: &str = "models";

/// The field with which a client asks the gateway what its request cost: `{"include": true}`. One
/// provider has it too and means its own prices; what a client gets is the gateway's, so it is not for it.
pub const USAGE_FIELD: &str = "usage";

/// The fields that are for the gateway and for no provider.
pub const OWN_FIELDS: [&str; 2] = [MODELS_FIELD, USAGE_FIELD];

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
    pub messages: Option<Messages<'a>>,
    pub messages_at: usize,
    /// Whether there were messages, if only a null.
    read: bool,
    pub fields: Vec<Field<'a>>,
}

impl<'a> Place<'a> for Outer<'a> {
    fn blank() -> Self {
        Self { messages: None, messages_at: 0, read: false, fields: Vec::with_capacity(16) }
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Entries(self)
    }
}

impl<'a> Entries<'a> for Outer<'a> {
    fn wanted(&self) -> &'static str {
        "a JSON object"
    }

    fn place(&mut self, name: &str) -> Result<Option<Slot<'_, 'a>>, Fault> {
        if name != "messages" {
            return Ok(None);
        }
        if self.read {
            return Err(Fault::duplicate("messages"));
        }
        self.read = true;
        self.messages_at = self.fields.len();
        Ok(Some(self.messages.slot()))
    }

    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault> {
        add(&mut self.fields, name, value)
    }
}

/// The object of a request without messages.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub Vec<Field<'a>>);

impl<'a> Place<'a> for Fields<'a> {
    fn blank() -> Self {
        Self(Vec::with_capacity(8))
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Entries(self)
    }
}

/// The members of an object; none when it is no object, or has more than [`MAX_FIELDS`].
pub(super) fn members(object: &RawValue) -> Vec<Field<'_>> {
    from_str::<Fields<'_>>(object.get()).map(|fields| fields.0).unwrap_or_default()
}

/// An object whose members are read by their names: taken apart once, when the first is asked for.
#[derive(Debug, Default)]
pub struct Tags<'a> {
    object: Option<&'a RawValue>,
    all: OnceCell<Vec<Field<'a>>>,
}

impl<'a> Tags<'a> {
    /// The members of `object`.
    #[must_use]
    pub const fn of(object: Option<&'a RawValue>) -> Self {
        Self { object, all: OnceCell::new() }
    }

    /// The text of a member. A number and a truth value are their own text; an object or a list has
    /// none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let object = self.object?;
        let all = self.all.get_or_init(|| members(object));
        let found = all.iter().find(|member| member.name == name)?;
        match found.value.get().bytes().next()? {
            b'"' => RawStr::from_raw(found.value).map(RawStr::decode),
            b'{' | b'[' | b'n' => None,
            _ => Some(Cow::Borrowed(found.value.get())),
        }
    }
}

impl<'a> Entries<'a> for Fields<'a> {
    fn wanted(&self) -> &'static str {
        "a JSON object"
    }

    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault> {
        add(&mut self.0, name, value)
    }
}

/// Adds the field `name`.
fn add<'a>(
    fields: &mut Vec<Field<'a>>,
    name: Cow<'a, str>,
    value: &'a RawValue,
) -> Result<(), Fault> {
    if fields.len() >= MAX_FIELDS {
        return Err(Fault::new(format!("more than {MAX_FIELDS} fields in the request")));
    }
    // Two values for one field are read differently by different parsers, and a rule must not see
    // another model than the provider does.
    if fields.iter().any(|field| field.name == name) {
        return Err(Fault::duplicate(&name));
    }
    fields.push(Field { name, value });
    Ok(())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_member_is_found_by_its_name_and_read_as_text() {
        let object = Tags::of(
            serde_json::from_str(r#"{"a":"x\u0062","b":7,"c":null,"d":[1],"e":true}"#).unwrap(),
        );
        assert_eq!(object.text("a").as_deref(), Some("xb"));
        assert_eq!(object.text("b").as_deref(), Some("7"));
        assert_eq!(object.text("e").as_deref(), Some("true"));
        for none in ["c", "d", "f"] {
            assert_eq!(object.text(none), None, "{none}");
        }
        assert_eq!(Tags::of(serde_json::from_str("[1]").unwrap()).text("a"), None);
        assert_eq!(Tags::of(None).text("a"), None);
    }
}
