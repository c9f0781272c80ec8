//! An object of which any member may matter.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fault::Fault;
use super::json::{RawStr, string};
use super::place::{Entries, Place, Slot};

/// The members of any object, in order.
#[derive(Debug, Default)]
pub struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The member of that name; the first, where there are several.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The member of that name, if it is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        string(self.find(name)).map(RawStr::decode)
    }
}

impl<'a> Place<'a> for Members<'a> {
    fn blank() -> Self {
        Self::default()
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Entries(self)
    }
}

impl<'a> Entries<'a> for Members<'a> {
    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault> {
        self.0.push((name, value));
        Ok(())
    }
}
