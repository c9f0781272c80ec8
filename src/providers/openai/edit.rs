//! Changes to JSON text that leave the rest of it alone.
//!
//! What was parsed is a slice of the text it came from, so where it stands is a matter of
//! addresses, and nothing is searched for or written anew that does not change.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::openai::Chat;
use crate::openai::json::write_str;
use crate::openai::order::ordered;
use crate::openai::place::{from_slice, members};
use crate::providers::Payload;

/// Where `part`, a slice of `whole`, stands in it. Nothing if it is a slice of something else.
#[must_use]
pub fn span(whole: &[u8], part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

/// One replacement of a range of bytes.
pub type Splice = (Range<usize>, Cow<'static, str>);

/// Appends `text` with replacements, which are ordered by where they start and do not overlap.
pub fn splice(out: &mut Vec<u8>, text: &[u8], splices: &[Splice]) {
    let mut at = 0;
    for (range, with) in splices {
        out.extend_from_slice(text.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(with.as_bytes());
        at = range.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
}

/// The replacements by where they start, as [`splice`] wants them.
#[must_use]
pub fn in_order(splices: Vec<Splice>) -> Vec<Splice> {
    ordered(splices, |(range, _)| range.start)
}

/// Changes to the members at the top of a request.
#[derive(Debug, Default)]
pub struct Edit<'a> {
    /// Members with another value, or new ones.
    set: Vec<(&'static str, Cow<'a, str>)>,
    /// Members with another name.
    renamed: Vec<(&'static str, &'static str)>,
    dropped: Vec<&'static str>,
    messages: Option<Vec<u8>>,
}

impl<'a> Edit<'a> {
    /// Gives the member `name` the value `json`, whether or not there is such a member.
    pub fn set(&mut self, name: &'static str, json: impl Into<Cow<'a, str>>) {
        self.set_value(name, json.into());
    }

    #[inline(never)]
    fn set_value(&mut self, name: &'static str, json: Cow<'a, str>) {
        self.set.push((name, json));
    }

    /// Gives the member `from` the name `to`; a member that has this name already is dropped.
    pub fn rename(&mut self, from: &'static str, to: &'static str) {
        self.dropped.push(to);
        self.renamed.push((from, to));
    }

    /// Leaves out the member `name`.
    #[inline(never)]
    pub fn remove(&mut self, name: &'static str) {
        self.dropped.push(name);
    }

    /// Gives the messages as another JSON list.
    pub fn set_messages(&mut self, json: Vec<u8>) {
        self.messages = Some(json);
    }

    /// The changed body. `chat` borrows from `body`.
    #[must_use]
    pub fn apply(&self, chat: &Chat<'a>, body: &[u8]) -> Payload {
        let untouched = self.set.is_empty()
            && self.renamed.is_empty()
            && self.dropped.is_empty()
            && self.messages.is_none();
        if untouched {
            return Payload::Same;
        }
        self.prefix(chat, body).unwrap_or_else(|| Payload::Whole(self.whole(chat, body)))
    }

    /// Most requests need another model and a new member at most: both are done in what stands
    /// before the end of the model's value.
    fn prefix(&self, chat: &Chat<'a>, body: &[u8]) -> Option<Payload> {
        if !(self.renamed.is_empty() && self.dropped.is_empty() && self.messages.is_none()) {
            return None;
        }
        // A new member needs one to stand before, or a comma would be left over.
        chat.fields.first()?;
        let brace = body.iter().position(|byte| *byte == b'{')?;
        let mut replaced = None;
        let mut new = 0;
        for (name, json) in &self.set {
            match chat.fields.iter().find(|field| field.name == *name) {
                Some(field) if replaced.is_none() => {
                    replaced = Some((span(body, field.value.get())?, json));
                }
                Some(_) => return None,
                None => new += name.len() + json.len() + r#""":,"#.len(),
            }
        }
        let (drop, json) = match &replaced {
            Some((range, json)) => (range.end, json.as_bytes()),
            None => (brace + 1, [].as_slice()),
        };
        // Exactly as long as it gets: the model may stand behind a long conversation.
        let mut insert = Vec::with_capacity(drop + new + json.len());
        insert.extend_from_slice(body.get(..=brace)?);
        for (name, json) in &self.set {
            if !chat.fields.iter().any(|field| field.name == *name) {
                write_member(&mut insert, name, json);
                insert.push(b',');
            }
        }
        if let Some((range, json)) = &replaced {
            insert.extend_from_slice(body.get(brace + 1..range.start)?);
            insert.extend_from_slice(json.as_bytes());
        }
        Some(Payload::Prefix { drop, insert })
    }

    fn whole(&self, chat: &Chat<'a>, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(body.len() + 128);
        out.push(b'{');
        let value_of = |name: &str| self.set.iter().find(|(known, _)| *known == name);
        for (name, json) in &self.set {
            if !chat.fields.iter().any(|field| field.name == *name) {
                separate(&mut out);
                write_member(&mut out, name, json);
            }
        }
        for (at, field) in chat.fields.iter().enumerate() {
            if at == chat.messages_at {
                self.write_messages(&mut out, chat, body);
            }
            let name = &*field.name;
            let renamed = self.renamed.iter().find(|(from, _)| *from == name);
            let json = match value_of(name) {
                _ if self.dropped.contains(&name) => continue,
                Some((_, json)) => json,
                None => field.value.get(),
            };
            separate(&mut out);
            write_member(&mut out, renamed.map_or(name, |(_, to)| to), json);
        }
        if chat.messages_at >= chat.fields.len() {
            self.write_messages(&mut out, chat, body);
        }
        out.push(b'}');
        out
    }

    fn write_messages(&self, out: &mut Vec<u8>, chat: &Chat<'a>, body: &[u8]) {
        if let Some(json) = self.messages.as_deref().or_else(|| messages(chat, body)) {
            separate(out);
            out.extend_from_slice(b"\"messages\":");
            out.extend_from_slice(json);
        }
    }
}

/// The value of `messages` as it stands in a request. `chat` borrows from `body`.
#[must_use]
pub fn messages<'b>(chat: &Chat<'_>, body: &'b [u8]) -> Option<&'b [u8]> {
    struct Only<'a> {
        messages: Option<&'a RawValue>,
    }
    members!(Only<'a> { messages (written) });
    if let Some(range) = between_fields(chat, body) {
        return body.get(range);
    }
    let only: Only<'b> = from_slice(body).ok()?;
    Some(only.messages?.get().as_bytes())
}

/// Where the list of messages stands, from where its neighbours do: reading a long conversation
/// once more only to find its end would cost as much as all the rest. Nothing when it is no list
/// with messages, or when escapes hide where the next field begins.
fn between_fields(chat: &Chat<'_>, body: &[u8]) -> Option<Range<usize>> {
    chat.messages.first()?;
    let after = match chat.messages_at.checked_sub(1) {
        Some(before) => span(body, chat.fields.get(before)?.value.get())?.end,
        None => 0,
    };
    let open = after + memchr::memchr(b'[', body.get(after..)?)?;
    let rest = match chat.fields.get(chat.messages_at) {
        Some(next) => {
            let Cow::Borrowed(name) = next.name else { return None };
            let name = span(body, name)?.start;
            body.get(..name)?.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b",")?
        }
        None => body.trim_ascii_end().strip_suffix(b"}")?,
    };
    let list = rest.trim_ascii_end();
    (list.len() > open && list.ends_with(b"]")).then_some(open..list.len())
}

fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

fn write_member(out: &mut Vec<u8>, name: &str, json: &str) {
    write_str(out, name);
    out.push(b':');
    out.extend_from_slice(json.as_bytes());
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn applied(body: &str, change: impl FnOnce(&mut Edit<'_>)) -> (Payload, String) {
        let chat = Chat::parse(body.as_bytes()).unwrap();
        let mut edit = Edit::default();
        change(&mut edit);
        let payload = edit.apply(&chat, body.as_bytes());
        let text = String::from_utf8(payload.apply(body.as_bytes()).into_owned()).unwrap();
        (payload, text)
    }

    #[test]
    fn no_change_is_no_copy() {
        assert_eq!(applied(r#"{"model":"a"}"#, |_| {}).0, Payload::Same);
    }

    #[test]
    fn another_model_changes_no_byte_after_it() {
        let (payload, text) =
            applied(" {\n \"x\" : 1, \"mod\\u0065l\" : \"a\" , \"messages\": [ ] }", |edit| {
                edit.set("model", "\"b\"");
            });
        assert_eq!(text, " {\n \"x\" : 1, \"mod\\u0065l\" : \"b\" , \"messages\": [ ] }");
        assert!(matches!(payload, Payload::Prefix { .. }));
    }

    #[test]
    fn a_new_member_stands_first() {
        let (payload, text) = applied(r#"{"model":"a","n":1}"#, |edit| edit.set("x", "{}"));
        assert_eq!(payload, Payload::Prefix { drop: 1, insert: br#"{"x":{},"#.to_vec() });
        assert_eq!(text, r#"{"x":{},"model":"a","n":1}"#);
        assert_eq!(applied("{}", |edit| edit.set("x", "1")).1, r#"{"x":1}"#);
        assert_eq!(
            applied(r#"{"messages":[]}"#, |edit| edit.set("x", "1")).1,
            r#"{"x":1,"messages":[]}"#
        );
    }

    #[test]
    fn members_are_renamed_and_left_out_in_their_places() {
        let body = r#"{"a":1,"messages":[ 1.0 ],"b":2,"c":null}"#.replace("[ 1.0 ]", "[ ]");
        let (_, text) = applied(&body, |edit| {
            edit.rename("a", "c");
            edit.remove("b");
        });
        assert_eq!(text, r#"{"c":1,"messages":[ ]}"#);
        let (_, text) = applied(&body, |edit| {
            edit.remove("a");
            edit.set_messages(b"[7]".to_vec());
            edit.set("b", "3");
        });
        assert_eq!(text, r#"{"messages":[7],"b":3,"c":null}"#);
    }

    #[test]
    fn a_slice_of_another_text_has_no_span() {
        let body = b"0123456789";
        assert_eq!(span(body, "elsewhere"), None);
        let text = std::str::from_utf8(body).unwrap();
        assert_eq!(span(body, text.get(3..5).unwrap()), Some(3..5));
    }
}
