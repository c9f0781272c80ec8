//! What is looked for, by names.

/// Something that should not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address of electronic mail.
    Email,
    /// A telephone number: international, or North American with separators.
    Phone,
    /// The number of a payment card, by its check digit.
    Card,
    /// A bank account, by its check digits.
    Iban,
    /// A social security number of the United States.
    Ssn,
    /// An address of the Internet, of version 4 or 6.
    Ip,
    /// A key: of an API, a token that is a JWT, or a private key in PEM.
    Key,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Email, Self::Phone, Self::Card, Self::Iban, Self::Ssn, Self::Ip, Self::Key];

    /// The word for it, in configurations and in its place.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
            Self::Ip => "ip",
            Self::Key => "key",
        }
    }
}
