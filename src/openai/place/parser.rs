//! What stands between places and the parser of `serde_json`, once for all of them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Entries, List, Maybe, Members, Name, Slot, tag};
use crate::openai::fault::{Fault, misfit};
use crate::openai::json::{RawStr, count, is_null};

/// Reads the whole of `text` into `slot`.
///
/// # Errors
/// As [`super::from_str`].
#[inline(never)]
pub(super) fn fill<'a>(text: &'a str, slot: Slot<'_, 'a>) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    slot.deserialize(&mut parser)?;
    parser.end()
}

#[cold]
fn error<E: serde::de::Error>(fault: Fault) -> E {
    E::custom(fault.0)
}

impl<'a> DeserializeSeed<'a> for Slot<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        match self {
            Slot::Raw(place) => {
                let raw = <&RawValue>::deserialize(parser)?;
                *place = (!is_null(raw)).then_some(raw);
            }
            Slot::Written(place) => *place = Some(Deserialize::deserialize(parser)?),
            Slot::Str(place) => {
                let raw = <&RawValue>::deserialize(parser)?;
                *place = RawStr::from_raw(raw);
                if place.is_none() && !is_null(raw) {
                    return Err(error(misfit(raw, "a string")));
                }
            }
            Slot::Text(place) => *place = TextVisitor.deserialize(parser)?,
            Slot::Word(word) => {
                let (wanted, words) = word.words();
                word.choose(parser.deserialize_str(WordVisitor { wanted, words })?);
            }
            Slot::Count(place) => *place = count(Deserialize::deserialize(parser)?),
            Slot::Whole(place) => *place = Deserialize::deserialize(parser)?,
            Slot::Small(place) => *place = Deserialize::deserialize(parser)?,
            Slot::Flag(place) => *place = Deserialize::deserialize(parser)?,
            Slot::Members(members) => return parser.deserialize_map(MembersVisitor(members)),
            Slot::Entries(entries) => return parser.deserialize_map(EntriesVisitor(entries)),
            Slot::List(list) => return parser.deserialize_seq(ListVisitor(list)),
            Slot::Maybe(place) => return parser.deserialize_option(MaybeVisitor(place)),
            Slot::Own(place) => {
                return place.take(Deserialize::deserialize(parser)?).map_err(error);
            }
        }
        Ok(())
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
fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

struct MaybeVisitor<'p, 'a>(&'p mut dyn Maybe<'a>);

impl<'a> Visitor<'a> for MaybeVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        self.0.begin().deserialize(parser)
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
            Some(slot) => slot.deserialize(parser),
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
        while let Some(at) = map.next_key_seed(NameVisitor(names.all))? {
            let Some(slot) = self.0.member(at) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = bit(at);
            if seen & bit != 0 {
                return Err(A::Error::duplicate_field(
                    names.all.get(at).map_or("", |name| name.word),
                ));
            }
            seen |= bit;
            map.next_value_seed(slot)?;
        }
        let missing = names.required & !seen;
        match names.all.get(missing.trailing_zeros() as usize) {
            Some(name) if missing != 0 => Err(A::Error::missing_field(name.word)),
            _ => Ok(()),
        }
    }
}

const fn bit(at: usize) -> u64 {
    1 << (at as u64 & 63)
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
        let tag = tag(text.as_bytes());
        let at = self.0.iter().position(|name| name.is(tag, text.as_bytes()));
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
            match self.0.place(&name).map_err(error)? {
                Some(slot) => map.next_value_seed(slot)?,
                None => self.0.entry(name, map.next_value()?).map_err(error)?,
            }
        }
        self.0.end().map_err(error)
    }
}
