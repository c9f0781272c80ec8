//! Names of functions that the API refuses: those that begin with a digit or a dash.

use crate::openai::Chat;
use crate::openai::json::{Texts, next_place};
use crate::providers::ids::{self, Form, Ids};

/// A name begins with a letter or `_` and is at most 64 long.
const FORM: Form = Form {
    fits: |name| {
        let first = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
        name.len() <= 64 && ids::is_plain(name) && name.as_bytes().first().is_some_and(first)
    },
    prefix: "waypost_",
    letters: ids::MAX_LETTERS,
};

/// The names of one request as they are sent.
#[derive(Debug)]
pub(super) struct Names(Ids);

impl Names {
    /// The functions that can be called come first, so that each is written the same when its call
    /// is read.
    pub(super) fn of(chat: &Chat<'_>) -> Self {
        let mut names = Self(Ids::new(&FORM));
        for function in chat.tools.iter().filter_map(|tool| tool.function.as_ref()) {
            names.written(&function.name.decode());
        }
        names
    }

    /// The name as it is sent.
    pub(super) fn written(&mut self, name: &str) -> &str {
        self.0.fit(name)
    }
}

/// The client's names for those that were written anew.
#[derive(Debug, Default)]
pub(super) struct Originals {
    /// Those written anew, with the places of what they were.
    written: Texts,
    originals: Vec<String>,
}

impl Originals {
    /// Of the functions that the request offers.
    pub(super) fn of(chat: &Chat<'_>) -> Self {
        let mut all = Self::default();
        let mut names = Names(Ids::new(&FORM));
        for function in chat.tools.iter().filter_map(|tool| tool.function.as_ref()) {
            let name = function.name.decode();
            let written = names.written(&name);
            if written != name {
                all.written.set(written, next_place(&all.originals));
                all.originals.push(name.into_owned());
            }
        }
        all
    }

    /// The client's name for a function that was called.
    pub(super) fn original(&self, written: String) -> String {
        let place = self.written.number(&written);
        match place.and_then(|place| self.originals.get(place as usize)) {
            Some(original) => original.clone(),
            None => written,
        }
    }
}
