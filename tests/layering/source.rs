//! Just enough of Rust's grammar to see which names a file uses.

/// What a file names, each with its line, counted from 1. Comments and texts are left out.
#[derive(Default)]
pub struct Source {
    /// Every word.
    pub words: Vec<(usize, String)>,
    /// Every path of two or more names; `a::{b, c::d}` gives `a::b` and `a::c::d`.
    pub paths: Vec<Path>,
    /// Where foreign functions are declared.
    pub extern_blocks: Vec<usize>,
}

/// A path where it is used.
pub struct Path {
    /// Its line.
    pub line: usize,
    /// How many modules of this file it stands in: `mod tests { … }`.
    pub inside: usize,
    /// Its names.
    pub names: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text,
    PathSeparator,
    Mark(char),
}

/// Reads a file.
pub fn read(text: &str) -> Source {
    let tokens = tokens(text);
    let mut source = Source::default();
    let mut at = 0;
    let mut braces = 0;
    let mut modules: Vec<usize> = Vec::new();
    while let Some((line, token)) = tokens.get(at) {
        let next = |ahead: usize| tokens.get(at + ahead).map(|(_, token)| token);
        match token {
            Token::Word(word) if word == "extern" => {
                let block = match next(1) {
                    Some(Token::Text) => next(2),
                    other => other,
                };
                if block == Some(&Token::Mark('{')) {
                    source.extern_blocks.push(*line);
                }
                at += 1;
            }
            Token::Word(_) if next(1) == Some(&Token::PathSeparator) => {
                let mut found = Vec::new();
                at = tree(&tokens, at, &[], &mut found);
                let inside = modules.len();
                source.paths.extend(found.into_iter().map(|(line, names)| Path {
                    line,
                    inside,
                    names,
                }));
            }
            Token::Word(word) if word == "mod" && next(2) == Some(&Token::Mark('{')) => {
                modules.push(braces);
                at += 1;
            }
            Token::Mark('{') => {
                braces += 1;
                at += 1;
            }
            Token::Mark('}') => {
                braces = braces.saturating_sub(1);
                modules.pop_if(|opened_at| *opened_at == braces);
                at += 1;
            }
            _ => at += 1,
        }
    }
    for (line, token) in tokens {
        if let Token::Word(word) = token {
            source.words.push((line, word));
        }
    }
    source
}

/// Reads a path, or a tree of paths, that begins at `at` below `above`; gives the place after it.
fn tree(
    tokens: &[(usize, Token)],
    mut at: usize,
    above: &[String],
    paths: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let line = tokens.get(at).map_or(0, |(line, _)| *line);
    let mut names = above.to_vec();
    loop {
        match tokens.get(at).map(|(_, token)| token) {
            Some(Token::Word(name)) => {
                names.push(name.clone());
                at += 1;
            }
            Some(Token::Mark('{')) if names.len() > above.len() || above.is_empty() => {
                at += 1;
                while let Some((_, token)) = tokens.get(at) {
                    match token {
                        Token::Mark('}') => return at + 1,
                        Token::Word(_) => at = tree(tokens, at, &names, paths),
                        _ => at += 1,
                    }
                }
                return at;
            }
            _ => {}
        }
        if tokens.get(at).map(|(_, token)| token) != Some(&Token::PathSeparator) {
            break;
        }
        at += 1;
        // `a::<T>` and `a::*` end the names.
        let goes_on = matches!(
            tokens.get(at).map(|(_, token)| token),
            Some(Token::Word(_) | Token::Mark('{'))
        );
        if !goes_on {
            break;
        }
    }
    paths.push((line, names));
    at
}

fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let (token, length) = token(rest, c);
        if let Some(token) = token {
            tokens.push((line, token));
        }
        let (taken, after) = rest.split_at(length.clamp(c.len_utf8(), rest.len()));
        line += taken.matches('\n').count();
        rest = after;
    }
    tokens
}

/// The token at the start of `rest`, if it counts, and its length.
fn token(rest: &str, first: char) -> (Option<Token>, usize) {
    if rest.starts_with("//") {
        return (None, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if let Some(length) = raw_text(rest) {
        return (Some(Token::Text), length);
    }
    match first {
        '"' => (Some(Token::Text), quoted(rest, '"')),
        '\'' => {
            let mut after = rest.chars().skip(1);
            let (one, two) = (after.next(), after.next());
            // Otherwise a lifetime, whose name is read as a word.
            let is_char = one == Some('\\') || two == Some('\'');
            if is_char { (Some(Token::Text), quoted(rest, '\'')) } else { (None, 1) }
        }
        ':' if rest.starts_with("::") => (Some(Token::PathSeparator), 2),
        c if c.is_alphanumeric() || c == '_' => {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (rest.get(..end).map(|word| Token::Word(word.to_owned())), end)
        }
        c if c.is_whitespace() => (None, c.len_utf8()),
        c => (Some(Token::Mark(c)), c.len_utf8()),
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(rest) = rest.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of `r"…"`, `br#"…"#` and their like.
fn raw_text(rest: &str) -> Option<usize> {
    let start = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let inner = start.trim_start_matches('#');
    let hashes = start.len() - inner.len();
    let inner = inner.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(rest.len() - inner.len() + length)
}

/// The length of a text with escapes, quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
