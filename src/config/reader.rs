//! Reads a configuration's values and gathers everything that is wrong with them.
//!
//! Each problem names the path, the value and what would be right. Reading goes on after one, so
//! that a user sees all of them at once.

use std::fmt;
use std::time::Duration;

use crate::openai::order::ordered;
use crate::openai::value::{Map, Value};

/// Most problems that are gathered; whoever has more mends these first.
pub const MAX_PROBLEMS: usize = 50;

/// The highest number of things that can be said.
const MAX_COUNT: u64 = 1_000_000;

/// Something wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `rules[2].targets[0]`.
    pub path: String,
    /// What, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, path: impl AsRef<str>, message: impl AsRef<str>) {
        self.push(path.as_ref(), message.as_ref());
    }

    /// Adds one whose message is put together.
    #[cold]
    #[inline(never)]
    pub fn say(&mut self, path: &str, message: fmt::Arguments<'_>) {
        self.push(path, &message.to_string());
    }

    // Texts are copied in one place, and not in each that finds something wrong: there are many.
    #[cold]
    #[inline(never)]
    fn push(&mut self, path: &str, message: &str) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(Problem { path: path.to_owned(), message: message.to_owned() });
        }
    }

    /// Whether none was found.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Where.
    pub path: String,
    /// What.
    pub value: &'a Value,
}

impl<'a> Node<'a> {
    /// The whole configuration.
    #[must_use]
    pub const fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// Whether it is an object with that field.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    /// Whether it is an object without fields.
    #[must_use]
    pub fn is_empty_object(&self) -> bool {
        self.value.as_object().is_some_and(Map::is_empty)
    }

    /// The fields of an object; a problem, and no fields, when it is none.
    #[inline(never)]
    pub fn fields(&self, problems: &mut Problems) -> Fields<'a> {
        let object = self.value.as_object();
        if object.is_none() {
            self.report("an object", problems);
        }
        Fields { path: self.path.clone(), object, known: Vec::new() }
    }

    /// The entries of an object whose keys the user chooses, in the order of the keys.
    #[inline(never)]
    pub fn entries(&self, problems: &mut Problems) -> Vec<(&'a str, Self)> {
        let Some(object) = self.value.as_object() else {
            self.report("an object", problems);
            return Vec::new();
        };
        let node = |(key, value)| (key, Node { path: join(&self.path, key), value });
        object.sorted().into_iter().map(node).collect()
    }

    /// The entries of a list.
    #[inline(never)]
    pub fn list(&self, problems: &mut Problems) -> Vec<Self> {
        let Some(list) = self.value.as_array() else {
            self.report("a list", problems);
            return Vec::new();
        };
        let at = |index| format!("{}[{index}]", self.path);
        list.iter().enumerate().map(|(i, value)| Node { path: at(i), value }).collect()
    }

    /// The entries of a list, or the one value that stands in its place.
    #[inline(never)]
    pub fn one_or_more(&self, problems: &mut Problems) -> Vec<Self> {
        if self.value.is_array() { self.list(problems) } else { vec![self.clone()] }
    }

    /// A text that is not empty.
    #[inline(never)]
    pub fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        match self.value.as_str() {
            Some("") => {
                problems.add(&self.path, "must not be empty");
                None
            }
            Some(text) => Some(text),
            None => self.wrong("a text", problems),
        }
    }

    /// `true` or `false`.
    #[inline(never)]
    pub fn flag(&self, problems: &mut Problems) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong("true or false", problems))
    }

    /// A whole number between two others, both included.
    #[inline(never)]
    pub fn whole(&self, low: u64, high: u64, problems: &mut Problems) -> Option<u64> {
        // Envoy turns every number into a double.
        let number = self.numeric().filter(|n| n.fract() == 0.0 && *n >= 0.0);
        let number = number.map(|n| n as u64);
        match number {
            Some(number) if (low..=high).contains(&number) => Some(number),
            _ => self.wrong(&format!("a whole number from {low} to {high}"), problems),
        }
    }

    /// A number. Envoy 1.40 hands over what YAML writes with decimals, or above 31 bits, as a text.
    #[inline(never)]
    fn numeric(&self) -> Option<f64> {
        let plain = |text: &&str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        self.value.as_f64().or_else(|| self.value.as_str().filter(plain)?.parse().ok())
    }

    /// A number between two others, both included.
    #[inline(never)]
    pub fn number(&self, low: f64, high: f64, problems: &mut Problems) -> Option<f64> {
        match self.numeric() {
            Some(number) if (low..=high).contains(&number) => Some(number),
            _ => self.wrong(&format!("a number from {low} to {high}"), problems),
        }
    }

    /// How many of something, at least one.
    #[inline(never)]
    pub fn count(&self, problems: &mut Problems) -> Option<u32> {
        self.whole(1, MAX_COUNT, problems).and_then(|count| u32::try_from(count).ok())
    }

    /// A share such as `5%` or `0.25%`, in parts of ten thousand: between two others, and a
    /// multiple of a third.
    #[inline(never)]
    pub fn share(&self, low: u16, high: u16, step: u16, problems: &mut Problems) -> Option<u16> {
        let share = self.value.as_str().and_then(parse_share);
        let fits = |share: &u16| (low..=high).contains(share) && share.is_multiple_of(step);
        if let Some(share) = share.filter(fits) {
            return Some(share);
        }
        // A plain number could be either; which of them is meant is told by its size.
        let remedy = match self.value.as_f64() {
            Some(number) if (0.0..1.0).contains(&number) => number * 100.0,
            Some(number) if (1.0..=100.0).contains(&number) => number,
            _ => 5.0,
        };
        let remedy = show_share((remedy * 100.0).round() as u16);
        let mut wanted = format!("a share from {} to {}", show_share(low), show_share(high));
        if step > 1 {
            wanted.push_str(" in steps of ");
            wanted.push_str(&show_share(step));
        }
        wanted.push_str(", such as \"");
        wanted.push_str(&remedy);
        wanted.push('"');
        self.wrong(&wanted, problems)
    }

    /// A time such as `500ms`, `30s` or `5m`, between two others.
    pub fn duration(
        &self,
        low: Duration,
        high: Duration,
        problems: &mut Problems,
    ) -> Option<Duration> {
        let parsed = self.value.as_str().and_then(|text| {
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, unit) = text.split_at_checked(digits)?;
            let number: u64 = number.parse().ok()?;
            let millis = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                _ => return None,
            };
            Some(Duration::from_millis(number.checked_mul(millis)?))
        });
        match parsed {
            Some(time) if (low..=high).contains(&time) => Some(time),
            _ => self.wrong(
                &format!(
                    "a time from {} to {}, such as \"30s\" or \"500ms\"",
                    show(low),
                    show(high)
                ),
                problems,
            ),
        }
    }

    /// A size in bytes such as `512KiB` or `32MiB`, between two others.
    #[inline(never)]
    pub fn size(&self, low: u64, high: u64, problems: &mut Problems) -> Option<u64> {
        let parsed = match self.value {
            Value::String(text) => {
                [("KiB", 10), ("MiB", 20), ("GiB", 30)].into_iter().find_map(|(unit, shift)| {
                    let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
                    number.checked_mul(1 << shift)
                })
            }
            other => other.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as u64),
        };
        match parsed {
            Some(bytes) if (low..=high).contains(&bytes) => Some(bytes),
            _ => self
                .wrong(&format!("a size from {low} to {high} bytes, such as \"32MiB\""), problems),
        }
    }

    /// One of several words; a problem that names the nearest otherwise.
    pub fn word<T: Copy>(&self, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let at = self.one_of(&mut words.iter().map(|(word, _)| *word), problems)?;
        words.get(at).map(|(_, meaning)| *meaning)
    }

    /// Which of several words it is; a problem that names the nearest otherwise.
    fn one_of(
        &self,
        words: &mut dyn Iterator<Item = &str>,
        problems: &mut Problems,
    ) -> Option<usize> {
        let text = self.text(problems)?;
        let mut known = Vec::new();
        for word in words {
            if word == text {
                return Some(known.len());
            }
            known.push(word);
        }
        problems.add(&self.path, unknown(text, &known));
        None
    }

    fn wrong<T>(&self, wanted: &str, problems: &mut Problems) -> Option<T> {
        self.report(wanted, problems);
        None
    }

    #[cold]
    #[inline(never)]
    fn report(&self, wanted: &str, problems: &mut Problems) {
        // Who writes a key where its name belongs must not find it in a log.
        let secret = self.path.starts_with("credentials") || self.path.contains(".keys");
        let found = if secret { String::new() } else { format!(", but is {}", quote(self.value)) };
        problems.say(&self.path, format_args!("must be {wanted}{found}"));
    }
}

/// The fields of an object. A field that nobody asks for is a problem.
#[derive(Debug)]
pub struct Fields<'a> {
    path: String,
    object: Option<&'a Map>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The value of `name`, if it is there and not null.
    #[inline(never)]
    pub fn take(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.known.push(name);
        let value = self.object?.get(name).filter(|value| !value.is_null())?;
        Some(Node { path: join(&self.path, name), value })
    }

    /// The value of `name`, a field that there is no more and that no message offers.
    pub fn take_former(&mut self, name: &'static str) -> Option<Node<'a>> {
        let value = self.object?.get(name)?;
        self.known.push(name);
        Some(Node { path: join(&self.path, name), value })
    }

    /// The value of `name`, which must be there.
    #[inline(never)]
    pub fn need(&mut self, name: &'static str, problems: &mut Problems) -> Option<Node<'a>> {
        let node = self.take(name);
        if node.is_none() && self.object.is_some() {
            problems.say(&self.path, format_args!("needs the field \"{name}\""));
        }
        node
    }

    /// Whether there were fields at all.
    #[must_use]
    pub const fn is_object(&self) -> bool {
        self.object.is_some()
    }

    /// Reports the fields that nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        for (name, _) in self.object.into_iter().flat_map(Map::sorted) {
            if !self.known.contains(&name) {
                problems.add(join(&self.path, name), unknown_field(name, &self.known));
            }
        }
    }
}

/// Says that `word` is not one of `known`, and which is the nearest.
#[must_use]
pub fn unknown(word: &str, known: &[&str]) -> String {
    format!("\"{word}\" is not one of {}{}", known.join(", "), nearest(word, known))
}

fn unknown_field(name: &str, known: &[&'static str]) -> String {
    let hint = nearest(name, known);
    let known = sorted(known.to_vec());
    format!("there is no such field here{hint} (there are: {})", known.join(", "))
}

/// Words in their order.
pub(super) fn sorted(words: Vec<&str>) -> Vec<&str> {
    ordered(words, |word| *word)
}

/// `; did you mean "…"?` when a known word is near.
#[must_use]
pub fn nearest(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(word.len()))
        .min()
        .map(|(_, candidate)| format!("; did you mean \"{candidate}\"?"))
        .unwrap_or_default()
}

/// A time as users write it.
#[must_use]
pub fn show(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        _ => format!("{millis}ms"),
    }
}

/// A share in parts of ten thousand, of at most three digits and two behind the point.
fn parse_share(text: &str) -> Option<u16> {
    let digits = |text: &str, most: usize| {
        let plain = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let text = text.strip_suffix('%')?;
    let (whole, rest) = match text.split_once('.') {
        Some((whole, rest)) => {
            let tenth = if rest.len() == 1 { 10 } else { 1 };
            (whole, digits(rest, 2)? * tenth)
        }
        None => (text, 0),
    };
    digits(whole, 3)?.checked_mul(100)?.checked_add(rest)
}

/// A share in parts of ten thousand, as users write it.
#[must_use]
pub fn show_share(share: u16) -> String {
    let (whole, rest) = (share / 100, share % 100);
    match rest {
        0 => format!("{whole}%"),
        _ if rest.is_multiple_of(10) => format!("{whole}.{}%", rest / 10),
        _ => format!("{whole}.{rest:02}%"),
    }
}

fn join(path: &str, name: &str) -> String {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path.is_empty(), plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[\"{name}\"]"),
    }
}

/// The start of a value, for a message.
fn quote(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
