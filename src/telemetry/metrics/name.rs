//! A metric's name, and the labels in it.

/// Longest value of a label, in bytes. Of a longer one it is the end.
pub const MAX_LABEL_BYTES: usize = 64;

/// A metric's name in the making.
pub(super) struct Name(pub(super) String);

impl Name {
    pub(super) fn new(name: &str) -> Self {
        Self::whole(&["waypost_", name].concat())
    }

    pub(super) fn whole(name: &str) -> Self {
        let mut text = String::with_capacity(192);
        text.push_str(name);
        Self(text)
    }

    /// Adds a label.
    pub(super) fn with(mut self, label: &str, value: &str) -> Self {
        self.0.push(';');
        self.0.push_str(label);
        self.0.push('=');
        self.0.push_str(&self::label(value));
        self
    }
}

/// A value as it stands in a label. What could end it, or is no plain character, becomes `_`.
pub(super) fn label(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@".contains(&byte);
    // The end of a long one, such as an ARN, tells it from its like.
    let bytes = value.bytes().skip(value.len().saturating_sub(MAX_LABEL_BYTES));
    bytes.map(|byte| if plain(byte) { char::from(byte) } else { '_' }).collect()
}
