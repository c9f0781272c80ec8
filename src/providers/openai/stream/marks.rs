//! Which events pass without being parsed, and what is cut out of them.

use std::ops::Range;

use memchr::memmem::Finder;

/// The members that make an event more than a piece of text. Inside a JSON string the quotes would
/// be escaped, so a mark is a whole string; a colon behind it makes it a member's name.
#[derive(Debug)]
pub(crate) struct Marks {
    delta: Finder<'static>,
    finish_reason: Finder<'static>,
    error: Finder<'static>,
    usage: Finder<'static>,
    tool_calls: Finder<'static>,
    /// Members with which a provider says more than text.
    own: Vec<Finder<'static>>,
}

/// Whether an event may pass without being parsed.
pub(crate) enum Ordinary {
    /// As it came.
    Whole,
    /// As it came, without these bytes.
    Without(Range<usize>),
    /// It must be parsed.
    No,
}

impl Marks {
    pub(crate) fn new(own: &'static [&'static str]) -> Self {
        Self {
            own: own.iter().map(|name| Finder::new(*name)).collect(),
            delta: Finder::new(b"\"delta\""),
            finish_reason: Finder::new(b"\"finish_reason\""),
            error: Finder::new(b"\"error\""),
            usage: Finder::new(b"\"usage\""),
            tool_calls: Finder::new(b"\"tool_calls\""),
        }
    }

    /// `data` is within braces. An ordinary event has choices with deltas that all go on, no
    /// error, no usage yet, and no call unless it is known already which choices make calls.
    pub(crate) fn ordinary(&self, data: &[u8], include_usage: bool, calls_known: bool) -> Ordinary {
        let mut choices = 0;
        for at in members(&self.finish_reason, data) {
            if !is_null_at(data, at.end) {
                return Ordinary::No;
            }
            choices += 1;
        }
        let deltas = members(&self.delta, data).filter(|at| !is_null_at(data, at.end));
        let each_has_delta = deltas.count() == choices;
        if choices == 0
            || !each_has_delta
            || members(&self.error, data).any(|at| !is_null_at(data, at.end))
            || self.own.iter().any(|mark| mark.find(data).is_some())
            || (!calls_known && members(&self.tool_calls, data).any(|at| !is_null_at(data, at.end)))
        {
            return Ordinary::No;
        }
        let mut usages = members(&self.usage, data);
        match (usages.next(), include_usage) {
            (None, _) => Ordinary::Whole,
            (Some(at), _) if !is_null_at(data, at.end) || usages.next().is_some() => Ordinary::No,
            (Some(_), true) => Ordinary::Whole,
            (Some(at), false) => {
                let value = at.end..at.end + NULL.len();
                match member(data, &value) {
                    Some(member) if is_at_top(data, value.end) => Ordinary::Without(member),
                    Some(_) | None => Ordinary::No,
                }
            }
        }
    }
}

const NULL: &[u8] = b"null";

/// The places of a member's name: from its quote to the start of its value.
fn members<'d>(
    mark: &'d Finder<'static>,
    data: &'d [u8],
) -> impl Iterator<Item = Range<usize>> + 'd {
    mark.find_iter(data).filter_map(|start| {
        // Behind a backslash the quote is one within a longer name.
        if start.checked_sub(1).and_then(|before| data.get(before)) == Some(&b'\\') {
            return None;
        }
        let colon = skip_blanks(data, start + mark.needle().len());
        (data.get(colon) == Some(&b':')).then(|| start..skip_blanks(data, colon + 1))
    })
}

fn skip_blanks(data: &[u8], at: usize) -> usize {
    let blanks = data.get(at..).unwrap_or_default().iter().take_while(|byte| is_blank(**byte));
    at + blanks.count()
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_null_at(data: &[u8], at: usize) -> bool {
    data.get(at..).is_some_and(|value| value.starts_with(NULL))
}

/// The bytes to leave out so that the member with this value is gone, and one comma with it.
/// Nothing where no name stands before the value.
pub(super) fn member(data: &[u8], value: &Range<usize>) -> Option<Range<usize>> {
    let before = |end: usize| data.get(..end).map(<[u8]>::trim_ascii_end);
    let name = before(value.start)?.strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    let start = memchr::memrchr(b'"', name)?;
    let next = skip_blanks(data, value.end);
    if data.get(next) == Some(&b',') {
        return Some(start..next + 1);
    }
    let left = before(start)?;
    let comma = left.strip_suffix(b",").map(<[u8]>::len);
    Some(comma.unwrap_or(start)..value.end)
}

/// Whether what follows `at` closes one brace only: then a member that ends there is one of the
/// whole object.
fn is_at_top(data: &[u8], at: usize) -> bool {
    let mut depth = 0_i32;
    let mut bytes = data.get(at..).unwrap_or_default().iter();
    let mut in_string = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    depth == -1
}
