//! Thinking with the signatures that its provider wants back.

use crate::openai::json::{Append, RawStr};

/// Stands before a signature that Mistral made, so that it is never taken for Anthropic's: theirs are
/// base64 without a mark.
pub(crate) const MISTRAL: &str = "mistral:";

/// Whether a signature may be one of Anthropic's models, which refuse all others: not that of
/// another provider, nor none.
pub(crate) fn is_claudes(signature: RawStr<'_>) -> bool {
    !signature.is_empty() && !signature.inner().contains(':')
}

/// Thinking blocks of an answer, as a JSON list in the words of Anthropic, whose models
/// several providers serve: what the client has to send back.
#[derive(Debug, Default)]
pub(crate) struct Thoughts {
    json: Vec<u8>,
}

impl Thoughts {
    /// Bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.json.len()
    }

    /// A block of thinking; the texts as they stand between quotes. One without a signature is of
    /// no use to the provider.
    pub(crate) fn add(&mut self, thinking: &str, signature: &str) {
        if !signature.is_empty() {
            self.begin();
            self.json.put(
                format!(
                    r#"{{"type":"thinking","thinking":"{thinking}","signature":"{signature}"}}"#
                )
                .as_bytes(),
            );
        }
    }

    /// A block that only the provider can read.
    pub(crate) fn add_redacted(&mut self, data: RawStr<'_>) {
        self.begin();
        self.json.put(br#"{"type":"redacted_thinking","data":"#);
        self.json.put(data.as_written().as_bytes());
        self.json.mark(b'}');
    }

    fn begin(&mut self) {
        self.json.push(if self.json.is_empty() { b'[' } else { b',' });
    }

    /// The list, if there are any.
    pub(crate) fn list(self) -> Option<String> {
        if self.json.is_empty() {
            return None;
        }
        let mut json = self.json;
        json.mark(b']');
        String::from_utf8(json).ok()
    }
}
