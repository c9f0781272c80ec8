//! JSON for people to read, with its fields in their order and its numbers as they were written.

use serde_json::value::RawValue;

/// Longest value that stays on one line.
const WIDTH: usize = 100;

/// `json` with a line for each field and entry of what is long; nothing when it is no JSON.
/// `indent` is that of the line on which it begins.
pub fn pretty(json: &str, indent: usize) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(json).ok()?;
    let mut compact = Vec::new();
    waypost::openai::json::write_compact(&mut compact, raw.get());
    let mut out = String::new();
    write(&mut out, std::str::from_utf8(&compact).ok()?, indent);
    Some(out)
}

fn write(out: &mut String, json: &str, indent: usize) {
    let Some((open, close)) = json.chars().next().zip(json.chars().last()) else { return };
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    let nested = open == '{' || open == '[';
    if !nested || inner.is_empty() || json.len() <= WIDTH {
        out.push_str(&spaced(json));
        return;
    }
    out.push(open);
    for (at, item) in split(inner, ',').into_iter().enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(indent + 2));
        match split(item, ':').as_slice() {
            [key, value] if open == '{' => {
                out.push_str(key);
                out.push_str(": ");
                write(out, value, indent + 2);
            }
            _ => write(out, item, indent + 2),
        }
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}

/// The parts between separators that stand in no string and no bracket.
fn split(json: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut in_string, mut escaped, mut from) = (0, false, false, 0);
    for (at, c) in json.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.extend(json.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(json.get(from..));
    parts
}

/// A space after each comma and colon.
fn spaced(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 5 / 4);
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            ',' | ':' if !in_string => out.push(' '),
            _ => {}
        }
    }
    out
}
