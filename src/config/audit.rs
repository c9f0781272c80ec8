//! `audit`: what records hold of what was asked and answered.

use super::reader::{Node, Problems};
use crate::guard::{Finder, Kind, Shape};

/// Most patterns of a configuration.
pub const MAX_SHAPES: usize = 16;

/// Longest name of a pattern, in bytes.
const MAX_NAME: usize = 32;

/// What records hold of what was asked and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whether they hold prompts.
    pub prompts: bool,
    /// Whether they hold answers.
    pub answers: bool,
    /// What is taken out of both.
    pub redact: Finder,
    /// The longest prompt, and the longest answer, in bytes as written.
    pub max_content: usize,
}

impl Default for Audit {
    fn default() -> Self {
        let redact = Finder::everything();
        Self { prompts: false, answers: false, redact, max_content: 16 << 10 }
    }
}

/// Reads `audit`.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Audit {
    let mut audit = Audit::default();
    let mut fields = node.fields(problems);
    for (name, flag) in [("prompts", &mut audit.prompts), ("answers", &mut audit.answers)] {
        if let Some(node) = fields.take(name) {
            *flag = node.flag(problems).unwrap_or_default();
        }
    }
    if let Some(node) = fields.take("redact") {
        audit.redact = read_finder(&node, problems);
    }
    if let Some(node) = fields.take("max_content") {
        let size = node.size(256, 256 << 10, problems);
        audit.max_content = size.and_then(|size| size.try_into().ok()).unwrap_or(audit.max_content);
    }
    fields.finish(problems);
    audit
}

fn read_finder(node: &Node<'_>, problems: &mut Problems) -> Finder {
    let words = Kind::ALL.map(|kind| (kind.word(), kind));
    let mut finder = Finder::default();
    for node in node.list(problems) {
        if node.value.is_object() {
            finder.shapes.extend(read_shape(&node, problems));
        } else if let Some(kind) = node.word(&words, problems)
            && !finder.kinds.contains(&kind)
        {
            finder.kinds.push(kind);
        }
    }
    if finder.shapes.len() > MAX_SHAPES {
        problems.say(&node.path, format_args!("at most {MAX_SHAPES} patterns"));
    }
    finder
}

fn read_shape(node: &Node<'_>, problems: &mut Problems) -> Option<(String, Shape)> {
    let mut fields = node.fields(problems);
    let name = fields.need("name", problems);
    let pattern = fields.need("pattern", problems);
    fields.finish(problems);
    let (name, pattern) = (name?, pattern?);
    let word = name.text(problems)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if word.len() > MAX_NAME || !word.bytes().all(plain) {
        problems.say(
            &name.path,
            format_args!("must be letters, digits, - and _, at most {MAX_NAME} of them"),
        );
    }
    match Shape::parse(pattern.text(problems)?) {
        Ok(shape) => Some((word.to_owned(), shape)),
        Err(message) => {
            problems.add(&pattern.path, message);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;

    fn read_value(value: &Value) -> (Audit, Vec<String>) {
        let mut problems = Problems::default();
        let audit = read(&Node::root(&value.into()), &mut problems);
        (audit, problems.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nothing_is_recorded_and_everything_taken_out_unless_it_is_said() {
        let (audit, problems) = read_value(&json!({}));
        assert_eq!((audit, problems), (Audit::default(), vec![]));
        assert!(!Audit::default().prompts && !Audit::default().answers);
        assert_eq!(Audit::default().redact.kinds.len(), 7);
    }

    #[test]
    fn every_key_is_read() {
        let (audit, problems) = read_value(&json!({
            "prompts": true, "answers": true, "max_content": "4KiB",
            "redact": ["email", "card", "email", {"name": "employee", "pattern": "EMP-######"}],
        }));
        assert_eq!(problems, Vec::<String>::new());
        assert!(audit.prompts && audit.answers && audit.max_content == 4096);
        assert_eq!(audit.redact.kinds, [Kind::Email, Kind::Card]);
        assert_eq!(audit.redact.shapes[0].0, "employee");
        assert_eq!(read_value(&json!({"redact": []})).0.redact, Finder::default());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (value, told) in [
            (
                json!({"prompt": true}),
                "prompt: there is no such field here; did you mean \"prompts\"?",
            ),
            (json!({"max_content": "1MiB"}), "max_content: "),
            (
                json!({"redact": ["emial"]}),
                "redact[0]: \"emial\" is not one of email, phone, card, iban, ssn, ip, key; did you mean \"email\"?",
            ),
            (
                json!({"redact": [{"name": "a b", "pattern": "###"}]}),
                "redact[0].name: must be letters",
            ),
            (
                json!({"redact": [{"name": "a", "pattern": "##"}]}),
                "redact[0].pattern: must stand for 3 to 64",
            ),
            (json!({"redact": [{"name": "a"}]}), "redact[0]: needs the field \"pattern\""),
            (
                json!({"redact": vec![json!({"name": "a", "pattern": "###"}); MAX_SHAPES + 1]}),
                "redact: at most 16 patterns",
            ),
        ] {
            let (_, problems) = read_value(&value);
            assert!(
                problems.iter().any(|problem| problem.starts_with(told)),
                "{value}: {problems:?}"
            );
        }
    }
}
