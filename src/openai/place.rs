//! JSON read into its places: one reader for all types.
//!
//! A reader that serde derives is a copy of the parser for each struct: 2 to 4 KB of the module for
//! each. Here a struct tells only the names of its members and where they go, as [`members`] writes
//! it down, and the parser exists once. What is an error, and where, is the same.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::json::RawStr;

mod parser;

use parser::fill;

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

    /// How a member of this type is read.
    fn slot(&mut self) -> Slot<'_, 'a>
    where
        Self: Sized,
    {
        Slot::Place(self)
    }

    /// How a member is read that may be absent.
    fn optional(place: &mut Option<Self>) -> Slot<'_, 'a>
    where
        Self: Sized,
    {
        Slot::Place(place)
    }
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

/// Where a member goes, and how it is read: what most are needs no call through a [`Place`].
pub enum Slot<'p, 'a> {
    /// As its type says.
    Place(&'p mut dyn Place<'a>),
    /// As it was written.
    Raw(&'p mut Option<&'a RawValue>),
    /// A string as it was written, or null.
    Str(&'p mut Option<RawStr<'a>>),
    /// A string.
    Text(&'p mut Cow<'a, str>),
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

    /// The place of the member `name`, where its value is not to be read as it was written.
    ///
    /// # Errors
    /// It is there twice.
    fn place(&mut self, name: &str) -> Result<Option<Slot<'_, 'a>>, Fault> {
        let _ = name;
        Ok(None)
    }

    /// Takes a member that has no place.
    ///
    /// # Errors
    /// It has the wrong form, or there are too many.
    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault>;

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
    (@slot ($place:expr)) => { $crate::openai::place::Place::slot(&mut $place) };
    (@slot ($place:expr) required) => { $crate::openai::place::Place::slot(&mut $place) };
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
    fn optional(place: &mut Option<Self>) -> Slot<'_, 'a> {
        Slot::Raw(place)
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
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Text(self)
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
    fn slot(&mut self) -> Slot<'_, 'a> {
        T::optional(self)
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

/// The start of a text that is quoted back to the client.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
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
