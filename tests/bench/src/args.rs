//! `--name value` and `--flag` words of the command line.

use crate::Result;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::str::FromStr;

const FLAGS: &[&str] = &["quick", "all", "markdown", "same", "stream", "untranslated"];

/// Every option must be asked for before [`Args::finish`], which rejects those that nobody knew.
pub struct Args {
    values: RefCell<BTreeMap<String, String>>,
}

impl Args {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut values = BTreeMap::new();
        let mut words = words;
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                return Err(format!("{word:?}: expected an option").into());
            };
            let value = if FLAGS.contains(&name) {
                String::from("true")
            } else {
                words.next().ok_or_else(|| format!("--{name} needs a value"))?
            };
            values.insert(name.to_owned(), value);
        }
        Ok(Self { values: RefCell::new(values) })
    }

    pub fn flag(&self, name: &str) -> bool {
        self.values.borrow_mut().remove(name).is_some()
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.values.borrow_mut().remove(name)
    }

    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|_| format!("--{name} {text:?}: not a number").into())
            }
        }
    }

    pub fn finish(&self) -> Result<()> {
        match self.values.borrow().keys().next() {
            None => Ok(()),
            Some(name) => Err(format!("unknown option --{name}").into()),
        }
    }
}
