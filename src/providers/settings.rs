//! What a dialect may be told in a provider's entry, and where its API is.

/// Values for the settings that a registry row names, in its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(pub Vec<(&'static str, String)>);

impl Settings {
    /// The value that was set.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }
}

/// Where an API is.
#[derive(Clone, Copy, Debug)]
pub enum BaseUrl {
    /// At one address for everyone.
    At(&'static str),
    /// At an address that the settings tell.
    ///
    /// # Errors
    /// The name of the setting that is missing.
    From(fn(&Settings) -> Result<String, &'static str>),
}

impl BaseUrl {
    /// The address, given the settings.
    ///
    /// # Errors
    /// The name of the setting that is missing.
    pub fn resolve(self, settings: &Settings) -> Result<String, &'static str> {
        match self {
            Self::At(url) => Ok(url.to_owned()),
            Self::From(url) => url(settings),
        }
    }
}

/// A setting of a dialect, as users write it in a provider's entry.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// What may stand there; empty for any text.
    pub values: &'static [&'static str],
    /// Whether the dialect cannot do without.
    pub required: bool,
}

impl Setting {
    /// Any text, or nothing.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self { name, values: &[], required: false }
    }

    /// One of these words, or nothing.
    #[must_use]
    pub const fn word(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values, required: false }
    }

    /// The same, but it must be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}
