//! JSON read into its places: one reader for all types.
//!
//! A reader that serde derives is a copy of the parser for each struct: 2 to 4 KB of the module for
//! each. Here a struct tells only the names of its members and where they go, as [`members`] writes
//! it down, and the parser exists once. What is an error, and where, is the same.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::usage::count;

/// Reads `text` as a `T`.
///
/// # Errors
/// What does not fit, or where the JSON is broken.
pub fn from_str<'a, T: Place<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    let mut value = T::blank();
    fill(text, &mut value)?;
    Ok(value)
}

/// Reads `bytes` as a `T`.
///
/// # Errors
/// As [`from_str`], and what is not UTF-8.
pub fn from_slice<'a, T: Place<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    let mut value = T::blank();
    // Broken JSON, like the empty text.
    let text = simdutf8::basic::from_utf8(bytes).unwrap_or_default();
    fill(text, &mut value)?;
    Ok(value)
}

#[inline(never)]
fn fill<'a>(text: &'a str, place: &mut dyn Place<'a>) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    Seed(place).deserialize(&mut parser)?;
    parser.end()
}

/// Where a value of a known form goes.
pub trait Place<'a> {
    /// What stands there before.
    fn blank() -> Self
    where
        Self: Sized;

    /// Reads the value that is next in `source`.
    ///
    /// # Errors
    /// It has another form, or the JSON is broken.
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault>;
}

/// Why a value was not read.
#[derive(Debug)]
pub struct Fault(
    /// Nothing where the source knows it already.
    Option<String>,
);

impl Fault {
    /// The fault that `said` tells.
    #[must_use]
    pub const fn new(said: String) -> Self {
        Self(Some(said))
    }

    /// The member `name` is there twice.
    #[cold]
    #[must_use]
    pub fn duplicate(name: &str) -> Self {
        Self::new(format!("duplicate field `{name}`"))
    }
}

/// A value that is next in the JSON. It can be read once.
pub trait Source<'a> {
    /// As it was written.
    ///
    /// # Errors
    /// The JSON is broken; so too below.
    fn raw(&mut self) -> Result<&'a RawValue, Fault>;
    /// A string.
    ///
    /// # Errors
    /// It is something else; so too below.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault>;
    /// One of `words`, by its number among them.
    ///
    /// # Errors
    /// See above.
    fn word(
        &mut self,
        wanted: &'static str,
        words: &'static [&'static str],
    ) -> Result<usize, Fault>;
    /// `true` or `false`.
    ///
    /// # Errors
    /// See above.
    fn boolean(&mut self) -> Result<bool, Fault>;
    /// A whole number from 0 on.
    ///
    /// # Errors
    /// See above.
    fn whole(&mut self) -> Result<u64, Fault>;
    /// A whole number from 0 on that fits into 32 bits.
    ///
    /// # Errors
    /// See above.
    fn small(&mut self) -> Result<u32, Fault>;
    /// A number.
    ///
    /// # Errors
    /// See above.
    fn float(&mut self) -> Result<f64, Fault>;
    /// What `place` takes, or null; says whether it was no null.
    ///
    /// # Errors
    /// See above.
    fn option(&mut self, place: &mut dyn Place<'a>) -> Result<bool, Fault>;
    /// A list.
    ///
    /// # Errors
    /// See above.
    fn list(&mut self, list: &mut dyn List<'a>) -> Result<(), Fault>;
    /// An object with known members; others are passed over.
    ///
    /// # Errors
    /// See above, and a member may be missing or there twice.
    fn members(&mut self, members: &mut dyn Members<'a>) -> Result<(), Fault>;
    /// An object with any members.
    ///
    /// # Errors
    /// See above.
    fn entries(&mut self, entries: &mut dyn Entries<'a>) -> Result<(), Fault>;
}

/// Where the entries of a list go.
pub trait List<'a> {
    /// What the list is, for the error that there is something else.
    fn wanted(&self) -> &'static str {
        "a list"
    }

    /// The place of the next entry. Nothing to pass over it.
    fn next(&mut self) -> Option<&mut dyn Place<'a>>;

    /// Looks at the entry that was read last.
    ///
    /// # Errors
    /// There may be no more of them.
    fn check(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// A name that a member of an object may have.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// On the wire.
    pub word: &'static str,
    /// Whether the object must have it.
    pub required: bool,
}

/// Where the members of an object go: see [`members`].
pub trait Members<'a> {
    /// Their names; 64 at most.
    fn names(&self) -> &'static [Name];

    /// The place of the member with the name of that number.
    fn slot(&mut self, at: usize) -> Option<Slot<'_, 'a>>;
}

/// Where a member goes, and how it is read.
pub enum Slot<'p, 'a> {
    /// As its type says.
    Place(&'p mut dyn Place<'a>),
    /// As it was written, null too.
    Written(&'p mut Option<&'a RawValue>),
    /// A [`count`].
    Count(&'p mut u64),
}

/// Where any members go.
pub trait Entries<'a> {
    /// What the object is, for the error that there is something else.
    fn wanted(&self) -> &'static str {
        "an object"
    }

    /// Reads the member `name`, whose value is next in `value`.
    ///
    /// # Errors
    /// It has the wrong form, or there are too many.
    fn entry(&mut self, name: Cow<'a, str>, value: &mut dyn Source<'a>) -> Result<(), Fault>;

    /// All were read.
    ///
    /// # Errors
    /// One is missing.
    fn end(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Says where the members of a struct go. Behind a field stands its name on the wire, where that is
/// another, and then `required`, or how it is read where its type does not say it: `written` and
/// `count`, see [`Slot`].
macro_rules! members {
    ($name:ident<'a> { $($members:tt)* }) => {
        impl<'a> $crate::openai::place::Place<'a> for $name<'a> {
            $crate::openai::place::members!(@place { $($members)* });
        }
        impl<'a> $crate::openai::place::Members<'a> for $name<'a> {
            $crate::openai::place::members!(@members { $($members)* });
        }
    };
    ($name:ident { $($members:tt)* }) => {
        impl<'a> $crate::openai::place::Place<'a> for $name {
            $crate::openai::place::members!(@place { $($members)* });
        }
        impl<'a> $crate::openai::place::Members<'a> for $name {
            $crate::openai::place::members!(@members { $($members)* });
        }
    };
    (@place { $($field:ident $($word:literal)? $(($how:ident))?),* $(,)? }) => {
        fn blank() -> Self {
            Self { $($field: $crate::openai::place::members!(@blank $($how)?)),* }
        }
        fn fill(
            &mut self,
            source: &mut dyn $crate::openai::place::Source<'a>,
        ) -> ::core::result::Result<(), $crate::openai::place::Fault> {
            source.members(self)
        }
    };
    (@members { $($field:ident $($word:literal)? $(($how:ident))?),* $(,)? }) => {
        fn names(&self) -> &'static [$crate::openai::place::Name] {
            const { &[$($crate::openai::place::Name {
                word: $crate::openai::place::members!(@word $field $($word)?),
                required: $crate::openai::place::members!(@required $($how)?),
            }),*] }
        }
        fn slot(&mut self, at: usize) -> Option<$crate::openai::place::Slot<'_, 'a>> {
            $(
                if at == 0 {
                    return Some($crate::openai::place::members!(@slot (self.$field) $($how)?));
                }
                let at = at.wrapping_sub(1);
            )*
            let _ = at;
            None
        }
    };
    (@word $field:ident) => { stringify!($field) };
    (@word $field:ident $word:literal) => { $word };
    (@required) => { false };
    (@required required) => { true };
    (@required $how:ident) => { false };
    (@blank) => { $crate::openai::place::Place::blank() };
    (@blank required) => { $crate::openai::place::Place::blank() };
    (@blank written) => { None };
    (@blank count) => { 0 };
    (@slot ($place:expr)) => { $crate::openai::place::Slot::Place(&mut $place) };
    (@slot ($place:expr) required) => { $crate::openai::place::Slot::Place(&mut $place) };
    (@slot ($place:expr) written) => { $crate::openai::place::Slot::Written(&mut $place) };
    (@slot ($place:expr) count) => { $crate::openai::place::Slot::Count(&mut $place) };
}
pub(crate) use members;

impl<'a> Place<'a> for &'a RawValue {
    fn blank() -> Self {
        RawValue::NULL
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        *self = source.raw()?;
        Ok(())
    }
}

impl<'a> Place<'a> for Cow<'a, str> {
    fn blank() -> Self {
        Cow::Borrowed("")
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        *self = source.string()?;
        Ok(())
    }
}

impl<'a> Place<'a> for bool {
    fn blank() -> Self {
        false
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        *self = source.boolean()?;
        Ok(())
    }
}

impl<'a> Place<'a> for u64 {
    fn blank() -> Self {
        0
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        *self = source.whole()?;
        Ok(())
    }
}

impl<'a> Place<'a> for u32 {
    fn blank() -> Self {
        0
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        *self = source.small()?;
        Ok(())
    }
}

impl<'a> Place<'a> for usize {
    fn blank() -> Self {
        0
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        let whole = source.whole()?;
        *self = Self::try_from(whole).map_err(|_| Fault::new(format!("{whole} is too large")))?;
        Ok(())
    }
}

impl<'a> Place<'a> for String {
    fn blank() -> Self {
        Self::new()
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        *self = source.string()?.into_owned();
        Ok(())
    }
}

impl<'a> Place<'a> for f64 {
    fn blank() -> Self {
        0.0
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        *self = source.float()?;
        Ok(())
    }
}

impl<'a, T: Place<'a>> Place<'a> for Option<T> {
    fn blank() -> Self {
        None
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        let mut value = T::blank();
        *self = source.option(&mut value)?.then_some(value);
        Ok(())
    }
}

impl<'a, T: Place<'a>> Place<'a> for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }
    fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
        source.list(self)
    }
}

impl<'a, T: Place<'a>> List<'a> for Vec<T> {
    fn next(&mut self) -> Option<&mut dyn Place<'a>> {
        self.push(T::blank());
        self.last_mut().map(|place| place as &mut dyn Place<'a>)
    }
}

/// Lets the parser fill a place.
struct Seed<'p, 'a>(&'p mut dyn Place<'a>);

impl<'a> DeserializeSeed<'a> for Seed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        let mut next = Next { parser: Some(parser), error: None };
        let filled = self.0.fill(&mut next);
        next.result(filled)
    }
}

/// The value that is next in a parser, for those who know no parser.
struct Next<'a, D: Deserializer<'a>> {
    parser: Option<D>,
    error: Option<D::Error>,
}

impl<'a, D: Deserializer<'a>> Next<'a, D> {
    fn read<T>(&mut self, read: impl FnOnce(D) -> Result<T, D::Error>) -> Result<T, Fault> {
        let parser = self.parser.take().ok_or(Fault(None))?;
        read(parser).map_err(|error| {
            self.error = Some(error);
            Fault(None)
        })
    }

    fn result(self, filled: Result<(), Fault>) -> Result<(), D::Error> {
        match filled {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.error.unwrap_or_else(|| error(fault))),
        }
    }
}

#[cold]
fn error<E: serde::de::Error>(fault: Fault) -> E {
    E::custom(fault.0.unwrap_or_default())
}

impl<'a, D: Deserializer<'a>> Source<'a> for Next<'a, D> {
    fn raw(&mut self) -> Result<&'a RawValue, Fault> {
        self.read(<&RawValue>::deserialize)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.read(|parser| parser.deserialize_str(TextVisitor))
    }

    fn word(
        &mut self,
        wanted: &'static str,
        words: &'static [&'static str],
    ) -> Result<usize, Fault> {
        self.read(|parser| parser.deserialize_str(WordVisitor { wanted, words }))
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        self.read(bool::deserialize)
    }

    fn whole(&mut self) -> Result<u64, Fault> {
        self.read(u64::deserialize)
    }

    fn small(&mut self) -> Result<u32, Fault> {
        self.read(u32::deserialize)
    }

    fn float(&mut self) -> Result<f64, Fault> {
        self.read(f64::deserialize)
    }

    fn option(&mut self, place: &mut dyn Place<'a>) -> Result<bool, Fault> {
        self.read(|parser| parser.deserialize_option(OptionVisitor(place)))
    }

    fn list(&mut self, list: &mut dyn List<'a>) -> Result<(), Fault> {
        self.read(|parser| parser.deserialize_seq(ListVisitor(list)))
    }

    fn members(&mut self, members: &mut dyn Members<'a>) -> Result<(), Fault> {
        self.read(|parser| parser.deserialize_map(MembersVisitor(members)))
    }

    fn entries(&mut self, entries: &mut dyn Entries<'a>) -> Result<(), Fault> {
        self.read(|parser| parser.deserialize_map(EntriesVisitor(entries)))
    }
}

struct TextVisitor;

impl<'a> Visitor<'a> for TextVisitor {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'a> DeserializeSeed<'a> for TextVisitor {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<Cow<'a, str>, D::Error> {
        parser.deserialize_str(self)
    }
}

struct WordVisitor {
    wanted: &'static str,
    words: &'static [&'static str],
}

impl Visitor<'_> for WordVisitor {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wanted)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<usize, E> {
        let at = self.words.iter().position(|word| *word == text);
        at.ok_or_else(|| E::unknown_variant(&shorten(text), self.words))
    }
}

/// The start of a text that is quoted back to the client.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

struct OptionVisitor<'p, 'a>(&'p mut dyn Place<'a>);

impl<'a> Visitor<'a> for OptionVisitor<'_, 'a> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'a>>(self, parser: D) -> Result<bool, D::Error> {
        Seed(self.0).deserialize(parser)?;
        Ok(true)
    }
}

struct ListVisitor<'p, 'a>(&'p mut dyn List<'a>);

impl<'a> Visitor<'a> for ListVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.wanted())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_element_seed(EntrySeed(self.0))?.is_some() {
            self.0.check().map_err(error)?;
        }
        Ok(())
    }
}

struct EntrySeed<'p, 'a>(&'p mut dyn List<'a>);

impl<'a> DeserializeSeed<'a> for EntrySeed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        match self.0.next() {
            Some(place) => Seed(place).deserialize(parser),
            None => IgnoredAny::deserialize(parser).map(|_| ()),
        }
    }
}

struct MembersVisitor<'p, 'a>(&'p mut dyn Members<'a>);

impl<'a> Visitor<'a> for MembersVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let names = self.0.names();
        let mut seen: u64 = 0;
        while let Some(at) = map.next_key_seed(NameVisitor(names))? {
            let Some((name, slot)) = names.get(at).zip(self.0.slot(at)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = 1 << (at as u64 & 63);
            if seen & bit != 0 {
                return Err(A::Error::duplicate_field(name.word));
            }
            seen |= bit;
            match slot {
                Slot::Place(place) => map.next_value_seed(Seed(place))?,
                Slot::Written(place) => *place = Some(map.next_value()?),
                Slot::Count(place) => *place = count(map.next_value()?),
            }
        }
        for (at, name) in names.iter().enumerate() {
            if name.required && seen & (1 << (at as u64 & 63)) == 0 {
                return Err(A::Error::missing_field(name.word));
            }
        }
        Ok(())
    }
}

/// Finds a name's number; of an unknown one, how many there are.
struct NameVisitor(&'static [Name]);

impl<'a> DeserializeSeed<'a> for NameVisitor {
    type Value = usize;

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<usize, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for NameVisitor {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, text: &str) -> Result<usize, E> {
        let at = self.0.iter().position(|name| name.word == text);
        Ok(at.unwrap_or(self.0.len()))
    }
}

struct EntriesVisitor<'p, 'a>(&'p mut dyn Entries<'a>);

impl<'a> Visitor<'a> for EntriesVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.wanted())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(TextVisitor)? {
            map.next_value_seed(EntrySeedOf { name, entries: self.0 })?;
        }
        self.0.end().map_err(error)
    }
}

struct EntrySeedOf<'p, 'a> {
    name: Cow<'a, str>,
    entries: &'p mut dyn Entries<'a>,
}

impl<'a> DeserializeSeed<'a> for EntrySeedOf<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        let mut next = Next { parser: Some(parser), error: None };
        let read = self.entries.entry(self.name, &mut next);
        next.result(read)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[derive(Debug)]
    struct Thing<'a> {
        kind: Cow<'a, str>,
        size: Option<u64>,
        parts: Vec<Part>,
        mark: Option<&'a RawValue>,
        tokens: u64,
    }

    members!(Thing<'a> { kind "type" (required), size, parts, mark (written), tokens (count) });

    #[derive(Debug)]
    struct Part {
        flag: Option<bool>,
    }

    members!(Part { flag });

    fn thing(json: &str) -> Result<Thing<'_>, String> {
        from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn members_go_to_their_places_and_others_are_passed_over() {
        let json = r#" {"new":[{"type":1}],"si\u007ae":7,"type":"a\nb","parts":[{},{"flag":true}],
            "mark":null,"tokens":"12.0"} "#;
        let read = thing(json).unwrap();
        assert_eq!((&*read.kind, read.size, read.tokens), ("a\nb", Some(7), 12));
        assert_eq!(read.parts.iter().map(|part| part.flag).collect::<Vec<_>>(), [None, Some(true)]);
        assert_eq!(read.mark.map(RawValue::get), Some("null"));
    }

    #[test]
    fn what_is_absent_or_null_is_blank() {
        let read = thing(r#"{"type":"","size":null}"#).unwrap();
        assert!(read.size.is_none() && read.mark.is_none() && read.parts.is_empty());
        assert_eq!(read.tokens, 0);
    }

    #[test]
    fn what_does_not_fit_is_told_in_the_parsers_words() {
        for (json, said) in [
            ("{}", "missing field `type` at line 1 column 2"),
            (r#"{"type":"","type":""}"#, "duplicate field `type` at line 1 column 17"),
            (r#"{"type":null}"#, "invalid type: null, expected a string at line 1 column 12"),
            (r#"{"size":-1}"#, "invalid value: integer `-1`, expected u64 at line 1 column 10"),
            (r#"{"parts":null}"#, "invalid type: null, expected a list at line 1 column 13"),
            (r#"{"parts":[[]]}"#, "invalid type: sequence, expected an object at line 1 column 10"),
            (r#"{"type":"a\ud800"}"#, "unexpected end of hex escape at line 1 column 17"),
            (r#"{"type":"""#, "EOF while parsing an object at line 1 column 10"),
            (r#"{"type":""} x"#, "trailing characters at line 1 column 13"),
            ("7", "invalid type: integer `7`, expected an object at line 1 column 1"),
        ] {
            assert_eq!(thing(json).unwrap_err(), said, "{json}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_no_json() {
        let error = from_slice::<Thing<'_>>(b"{\"type\":\"\xff\"}").unwrap_err();
        assert!(!error.is_data());
    }

    /// A list in a list in a list.
    #[derive(Debug)]
    struct Nest(Vec<Nest>);

    impl<'a> Place<'a> for Nest {
        fn blank() -> Self {
            Self(Vec::new())
        }
        fn fill(&mut self, source: &mut dyn Source<'a>) -> Result<(), Fault> {
            source.list(&mut self.0)
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_an_error() {
        let nested = |deep: usize| format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        assert!(from_str::<Nest>(&nested(127)).is_ok());
        let error = from_str::<Nest>(&nested(100_000)).unwrap_err().to_string();
        assert!(error.starts_with("recursion limit exceeded"), "{error}");
    }
}
