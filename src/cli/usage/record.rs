//! One line of a log, read as far as sums need it. The record is that of `filter::record`, version 2.

use std::borrow::Cow;

use super::cursor::{Cursor, Text, Value};
use super::decimal::nano_usd;
use super::when;
use crate::providers::catalogue::NanoUsd;

/// The version of records that is understood.
pub const VERSION: u64 = 2;

/// Most tokens of one attempt; more is no count of tokens.
pub const MAX_TOKENS: u64 = 1_000_000_000_000;

/// Longest time of a request, in milliseconds: a year.
const MAX_LATENCY: u64 = 366 * 86_400_000;

/// Most attempts of one request. The gateway makes 32 at most.
pub const MAX_ATTEMPTS: usize = 64;

/// What was used, of one attempt or of a whole request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// All tokens of input, those of caches included.
    pub input: u64,
    /// All tokens of output, those of reasoning included.
    pub output: u64,
    pub cached: u64,
    pub cache_write: u64,
    pub reasoning: u64,
    /// None where the model has no price.
    pub cost: Option<NanoUsd>,
    /// Whether the gateway counted, since the provider did not.
    pub estimated: bool,
}

/// An attempt at a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt<'a> {
    pub provider: Option<Text<'a>>,
    pub model: Option<Text<'a>>,
    pub rule: Option<Text<'a>>,
    pub failed: bool,
    pub used: Used,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// Milliseconds since 1970.
    pub time: u64,
    pub tenant: Option<Text<'a>>,
    pub team: Option<Text<'a>>,
    pub user: Option<Text<'a>>,
    pub application: Option<Text<'a>>,
    pub tier: Option<Text<'a>>,
    pub key: Option<Text<'a>>,
    pub rule: Option<Text<'a>>,
    pub provider: Option<Text<'a>>,
    pub model: Option<Text<'a>>,
    pub status: Option<u64>,
    /// The model asked for.
    pub requested: Option<Text<'a>>,
    /// Milliseconds from the time to the end.
    pub latency: u64,
    /// Over all attempts, those that are left out of the record included.
    pub used: Used,
    pub attempts: Vec<Attempt<'a>>,
}

/// What a line is.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is a record")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Record(Record<'a>),
    /// A line of an access log about something else: it is empty or `-`, or such is its `record`.
    Nothing,
    /// A record of another version.
    Version(u64),
    /// Neither, and why.
    Garbage(&'static str),
}

const NOT_JSON: &str = "it is no JSON object, or is cut off";

/// Reads a line without its line break. An access log in JSON has the record as a string, which is
/// written to `scratch` when it has escapes.
pub fn read<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Line<'a> {
    let line = line.trim_ascii();
    if matches!(line, b"" | b"-") {
        return Line::Nothing;
    }
    let inner = match outer(line) {
        Outer::Line(line) => return line,
        Outer::Within(inner) => inner,
    };
    let text: &[u8] = match inner {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => {
            *scratch = text;
            scratch
        }
    };
    match outer(text) {
        Outer::Line(Line::Nothing) => Line::Garbage("its `record` is none"),
        Outer::Line(line) => line,
        Outer::Within(_) => Line::Garbage("its `record` has a `record`"),
    }
}

#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is a record")]
enum Outer<'a> {
    Line(Line<'a>),
    /// The record is in a field.
    Within(Cow<'a, [u8]>),
}

/// Which of the fields are ours is known only when all are read: a line of an access log may have a
/// `status` or a `time` of its own kind beside the `record`.
fn outer(line: &[u8]) -> Outer<'_> {
    let mut reader = Reader::default();
    let mut cursor = Cursor::new(line);
    let read = cursor.object(|key, value| reader.field(key, value));
    if read.is_none() || !cursor.at_end() {
        return Outer::Line(Line::Garbage(NOT_JSON));
    }
    let garbage = |why| Outer::Line(Line::Garbage(why));
    match (reader.within, reader.version) {
        (Some(Value::String(text)), _) if !text.is("-") && !text.is_empty() => {
            Outer::Within(text.bytes())
        }
        (Some(Value::Nested(object)), _) => Outer::Within(Cow::Borrowed(object)),
        (Some(Value::String(_) | Value::Null), _) => Outer::Line(Line::Nothing),
        (Some(_), _) => garbage("its `record` is none"),
        (None, None) => garbage("it has neither `v` nor `record`"),
        (None, Some(VERSION)) => match (reader.wrong, reader.time) {
            (Some(wrong), _) => garbage(wrong),
            (None, None) => garbage("it has no `time`"),
            (None, Some(time)) => {
                reader.record.time = time;
                Outer::Line(Line::Record(reader.record))
            }
        },
        (None, Some(version)) => Outer::Line(Line::Version(version)),
    }
}

#[derive(Default)]
struct Reader<'a> {
    record: Record<'a>,
    version: Option<u64>,
    time: Option<u64>,
    /// What a field holds that it cannot hold in this version.
    wrong: Option<&'static str>,
    within: Option<Value<'a>>,
}

impl<'a> Reader<'a> {
    /// A key is compared as it stands: those of records need no escapes.
    fn field(&mut self, key: Text<'a>, value: &mut Cursor<'a>) -> Option<()> {
        if key.raw() == b"attempts" {
            return self.attempts(value);
        }
        let value = value.value()?;
        let Self { record, wrong, .. } = self;
        match key.raw() {
            b"v" => self.version = count(value, u64::MAX, &mut self.wrong),
            b"record" => self.within = Some(value),
            b"time" => {
                self.time = match value {
                    Value::String(text) => when::millis(&text.bytes()),
                    _ => None,
                };
                if self.time.is_none() {
                    *wrong = Some("its `time` is none in UTC");
                }
            }
            b"tenant" => record.tenant = name(value, wrong),
            b"team" => record.team = name(value, wrong),
            b"user" => record.user = name(value, wrong),
            b"application" => record.application = name(value, wrong),
            b"tier" => record.tier = name(value, wrong),
            b"key_id" => record.key = name(value, wrong),
            b"route" => record.rule = name(value, wrong),
            b"provider_chosen" => record.provider = name(value, wrong),
            b"model" => record.model = name(value, wrong),
            b"requested_model" => record.requested = name(value, wrong),
            b"latency_ms" => record.latency = count(value, MAX_LATENCY, wrong).unwrap_or_default(),
            b"status" => record.status = count(value, 999, wrong),
            key => used(&mut record.used, key, value, wrong),
        }
        Some(())
    }

    fn attempts(&mut self, value: &mut Cursor<'a>) -> Option<()> {
        let Self { record: Record { attempts, .. }, wrong, .. } = self;
        attempts.clear();
        if value.peek()? != b'[' {
            if value.value()? != Value::Null {
                *wrong = Some("its `attempts` are no list");
            }
            return Some(());
        }
        value.array(|item| {
            if item.peek()? != b'{' {
                *wrong = Some("one of its `attempts` is no object");
                return item.value().map(|_| ());
            }
            let mut attempt = Attempt::default();
            item.object(|key, value| {
                let value = value.value()?;
                match key.raw() {
                    b"provider" => attempt.provider = name(value, wrong),
                    b"model" => attempt.model = name(value, wrong),
                    b"rule" => attempt.rule = name(value, wrong),
                    b"outcome" => {
                        attempt.failed =
                            matches!(value, Value::String(outcome) if outcome.is("failed"));
                    }
                    key => used(&mut attempt.used, key, value, wrong),
                }
                Some(())
            })?;
            if attempts.len() < MAX_ATTEMPTS {
                attempts.push(attempt);
            } else {
                *wrong = Some("it has too many `attempts`");
            }
            Some(())
        })
    }
}

fn used(used: &mut Used, key: &[u8], value: Value<'_>, wrong: &mut Option<&'static str>) {
    let mut tokens = || count(value, MAX_TOKENS, wrong).unwrap_or_default();
    match key {
        b"input_tokens" => used.input = tokens(),
        b"output_tokens" => used.output = tokens(),
        b"cached_tokens" => used.cached = tokens(),
        b"cache_write_tokens" => used.cache_write = tokens(),
        b"reasoning_tokens" => used.reasoning = tokens(),
        b"estimated" => used.estimated = value == Value::Bool(true),
        b"cost_usd" => {
            used.cost = match value {
                Value::Number(text) => nano_usd(text),
                _ => None,
            };
            if used.cost.is_none() && value != Value::Null {
                *wrong = Some("a `cost_usd` is no amount in nano-dollars");
            }
        }
        _ => {}
    }
}

fn name<'a>(value: Value<'a>, wrong: &mut Option<&'static str>) -> Option<Text<'a>> {
    match value {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::Nested(_) => {
            *wrong = Some("a name is no string");
            None
        }
    }
}

fn count(value: Value<'_>, most: u64, wrong: &mut Option<&'static str>) -> Option<u64> {
    let read = match value {
        Value::Null => return None,
        Value::Number(digits) => digits.iter().try_fold(0_u64, |number, digit| {
            let digit = char::from(*digit).to_digit(10)?;
            number.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        Value::Bool(_) | Value::String(_) | Value::Nested(_) => None,
    };
    let read = read.filter(|number| *number <= most);
    if read.is_none() {
        *wrong = Some("a count is no whole number in its range");
    }
    read
}

#[cfg(test)]
mod tests;
