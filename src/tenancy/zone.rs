//! Time zones.

/// A time zone: `UTC`, an offset, or one whose clocks are set twice a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    standard: i32,
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self { standard: 0 };

    /// The zone of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (name == "UTC").then_some(Self::UTC)
    }

    /// By how many seconds its clocks are ahead of universal time at that second since 1970.
    #[must_use]
    pub const fn offset(&self, secs: i64) -> i32 {
        let _ = secs;
        self.standard
    }

    /// The least and the most of all offsets.
    #[must_use]
    pub const fn offsets(&self) -> (i32, i32) {
        (self.standard, self.standard)
    }
}
