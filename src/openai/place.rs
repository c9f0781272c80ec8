//! JSON read into its places: one reader for all types.
//!
//! A reader that serde derives is a copy of the parser for each struct: 2 to 4 KB of the module for
//! each. Here a struct tells only the names of its members and where they go, as [`members`] writes
//! it down, and the parser exists once. What is an error, and where, is the same.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fault::Fault;
use super::json::RawStr;

mod parser;
mod values;

use parser::fill;

/// Reads `text` as a `T`.
///
/// # Errors
/// What does not fit, or where the JSON is broken.
pub fn from_str<'a, T: Place<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    let mut value = T::blank();
    fill(text, value.slot())?;
    Ok(value)
}

/// Reads `bytes` as a `T`.
///
/// # Errors
/// As [`from_str`], and what is not UTF-8.
pub fn from_slice<'a, T: Place<'a>>(bytes: &'a [u8]) -> Result<T, serde_json::Error> {
    // Broken JSON, like the empty text.
    from_str(simdutf8::basic::from_utf8(bytes).unwrap_or_default())
}

/// Where a value of a known form goes.
pub trait Place<'a>: Sized {
    /// What stands there before.
    fn blank() -> Self;

    /// How it is read.
    fn slot(&mut self) -> Slot<'_, 'a>;

    /// How it is read where it may be null.
    fn optional(place: &mut Option<Self>) -> Slot<'_, 'a> {
        Slot::Maybe(place)
    }
}

/// Where a value goes, and so how it is read.
pub enum Slot<'p, 'a> {
    /// As it was written, or null.
    Raw(&'p mut Option<&'a RawValue>),
    /// As it was written, null too.
    Written(&'p mut Option<&'a RawValue>),
    /// A string as it was written, or null.
    Str(&'p mut Option<RawStr<'a>>),
    /// A string.
    Text(&'p mut Cow<'a, str>),
    /// One of some words.
    Word(&'p mut dyn Word),
    /// A [`super::json::count`].
    Count(&'p mut u64),
    /// A whole number from 0 on.
    Whole(&'p mut u64),
    /// A whole number from 0 on that fits into 32 bits.
    Small(&'p mut u32),
    /// `true` or `false`.
    Flag(&'p mut bool),
    /// An object with known members; others are passed over.
    Members(&'p mut dyn Members<'a>),
    /// An object with any members.
    Entries(&'p mut dyn Entries<'a>),
    /// A list.
    List(&'p mut dyn List<'a>),
    /// A value or null.
    Maybe(&'p mut dyn Maybe<'a>),
    /// What is made of the value as it was written.
    Own(&'p mut dyn Own<'a>),
}

/// Takes a value as it was written.
pub trait Own<'a> {
    /// Takes it.
    ///
    /// # Errors
    /// It has another form.
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault>;
}

/// Takes one of some words.
pub trait Word {
    /// What they are together, for the error that there is no string, and all of them.
    fn words(&self) -> (&'static str, &'static [&'static str]);

    /// Takes the word of that number.
    fn choose(&mut self, at: usize);
}

/// The place of a value that may be null.
pub trait Maybe<'a> {
    /// It is no null.
    fn begin(&mut self) -> Slot<'_, 'a>;
}

/// Where the entries of a list go.
pub trait List<'a> {
    /// What the list is, for the error that there is something else.
    fn wanted(&self) -> &'static str {
        "a list"
    }

    /// The place of the next entry. Nothing to pass over it.
    fn next(&mut self) -> Option<Slot<'_, 'a>>;

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
    word: &'static str,
    /// [`tag`] of the word.
    tag: u32,
    /// Whether the object must have it.
    required: bool,
}

impl Name {
    /// The name on the wire, and whether the object must have that member.
    #[must_use]
    pub const fn new(word: &'static str, required: bool) -> Self {
        Self { word, tag: tag(word.as_bytes()), required }
    }

    /// Whether `text`, whose [`tag`] is `tag`, is the name.
    fn is(&self, tag: u32, text: &[u8]) -> bool {
        self.tag == tag && same(self.word.as_bytes(), text)
    }
}

/// The names of an object's members.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    all: &'static [Name],
    /// A bit for each that the object must have.
    required: u64,
}

impl Names {
    /// These names, 64 at most.
    #[must_use]
    pub const fn new(all: &'static [Name]) -> Self {
        let (mut required, mut bit, mut rest) = (0, 1_u64, all);
        while let [name, others @ ..] = rest {
            if name.required {
                required |= bit;
            }
            bit <<= 1;
            rest = others;
        }
        Self { all, required }
    }
}

/// The length and the first and last byte of a name: nearly always enough to tell it from the others.
const fn tag(name: &[u8]) -> u32 {
    match name {
        [] => 0,
        [first, .., last] => (name.len() as u32) << 16 | (*first as u32) << 8 | *last as u32,
        [only] => 1 << 16 | *only as u32,
    }
}

/// Whether two names of the same [`tag`] are the same. Nearly all are short, and comparing those by
/// a call takes longer than to find them.
fn same(word: &[u8], text: &[u8]) -> bool {
    match (word.first_chunk::<4>(), word.last_chunk::<4>()) {
        (Some(start), Some(end)) if word.len() <= 8 => {
            text.first_chunk() == Some(start) && text.last_chunk() == Some(end)
        }
        _ => word == text,
    }
}

/// Where the members of an object go: see [`members`].
pub trait Members<'a> {
    /// Their names; 64 at most.
    fn names(&self) -> &'static Names;

    /// The place of the member with the name of that number.
    fn member(&mut self, at: usize) -> Option<Slot<'_, 'a>>;
}

/// Where any members go.
pub trait Entries<'a> {
    /// What the object is, for the error that there is something else.
    fn wanted(&self) -> &'static str {
        "an object"
    }

    /// The place of the member `name`, where its value is not taken as it was written.
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
        fn slot(&mut self) -> $crate::openai::place::Slot<'_, 'a> {
            $crate::openai::place::Slot::Members(self)
        }
    };
    (@members { $($field:ident $($word:literal)? $(($how:ident))?),* $(,)? }) => {
        fn names(&self) -> &'static $crate::openai::place::Names {
            const {
                &$crate::openai::place::Names::new(const { &[$($crate::openai::place::Name::new(
                    $crate::openai::place::members!(@word $field $($word)?),
                    $crate::openai::place::members!(@required $($how)?),
                )),*] })
            }
        }
        fn member(&mut self, at: usize) -> Option<$crate::openai::place::Slot<'_, 'a>> {
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
    struct Nest(Vec<Self>);

    impl<'a> Place<'a> for Nest {
        fn blank() -> Self {
            Self(Vec::new())
        }
        fn slot(&mut self) -> Slot<'_, 'a> {
            self.0.slot()
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
