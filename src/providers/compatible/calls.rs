//! The calls of a streamed choice, in order, with numbers and ids of their own where the provider's
//! are missing or not to be relied on.

use std::fmt::Write as _;

use super::said::{Call as Called, MAX_CALLS};
use crate::openai::json::{RawStr, escape};
use crate::openai::{Class, Error};

/// Most bytes of arguments kept for a call whose function is not named yet.
pub(super) const MAX_HELD_ARGUMENTS: usize = 64 << 10;

/// The calls of one choice so far.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<ToolCall>);

/// One call so far.
#[derive(Debug, Default)]
struct ToolCall {
    /// The provider's number for it.
    index: Option<u64>,
    /// As JSON.
    id: String,
    /// Its number for the client, once the function is named.
    number: Option<usize>,
    /// Whether arguments came.
    argued: bool,
    /// Arguments that came before the name.
    held: String,
}

/// A piece of a call for the client.
pub(super) struct Piece {
    index: usize,
    /// Id and name as JSON, where the call begins.
    start: Option<(String, String)>,
    arguments: String,
}

impl Calls {
    /// Whether there is a call that the client knows of.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|call| call.number.is_some())
    }

    /// The pieces of calls of the choice `choice` as the client gets them. `request` is for calls
    /// that have no id.
    ///
    /// # Errors
    /// Too many calls, and arguments of a call that has no name for too long.
    pub(super) fn pieces(
        &mut self,
        said: &[Called<'_>],
        choice: u32,
        request: &str,
    ) -> Result<Vec<Piece>, Error> {
        let mut pieces = Vec::with_capacity(said.len());
        for call in said {
            let at = self.place_of(call, choice, request)?;
            let next = self.0.iter().filter(|call| call.number.is_some()).count();
            let Some(own) = self.0.get_mut(at) else { continue };
            let mut start = None;
            if let (None, Some(name)) = (own.number, call.name) {
                own.number = Some(next);
                start = Some((own.id.clone(), name.as_written().to_owned()));
            }
            own.argued |= !call.arguments.trim_ascii().is_empty();
            let Some(index) = own.number else {
                if own.held.len() + call.arguments.len() > MAX_HELD_ARGUMENTS {
                    let message = "the provider sent a call without a function's name";
                    return Err(Error::new(Class::Server, message));
                }
                own.held.push_str(&call.arguments);
                continue;
            };
            let mut arguments = std::mem::take(&mut own.held);
            arguments.push_str(&call.arguments);
            if start.is_some() || !arguments.is_empty() {
                pieces.push(Piece { index, start, arguments });
            }
        }
        Ok(pieces)
    }

    /// Which call a piece belongs to. Some providers give no numbers, and some the same to all calls,
    /// which then have ids of their own.
    fn place_of(&mut self, call: &Called<'_>, choice: u32, request: &str) -> Result<usize, Error> {
        let id = call.id.map(RawStr::as_written);
        let by_id = |own: &ToolCall| id.is_some_and(|id| own.id == id);
        let same = |own: &ToolCall| match call.index {
            Some(index) if own.index == Some(index) => {
                id.is_none() || call.name.is_none() || by_id(own)
            }
            Some(_) => false,
            None => by_id(own),
        };
        if let Some(at) = self.0.iter().rposition(same) {
            return Ok(at);
        }
        // Without number, id and name it can only go on with the last one.
        let goes_on = call.index.is_none() && id.is_none() && call.name.is_none();
        if let (true, Some(last)) = (goes_on, self.0.len().checked_sub(1)) {
            return Ok(last);
        }
        if self.0.len() >= MAX_CALLS {
            return Err(Error::new(Class::Server, "the provider made too many calls"));
        }
        let at = self.0.len();
        let id = match id {
            Some(id) => id.to_owned(),
            None if choice == 0 => format!("\"{}\"", escape(&format!("call_{request}_{at}"))),
            None => format!("\"{}\"", escape(&format!("call_{request}_{choice}_{at}"))),
        };
        self.0.push(ToolCall { index: call.index, id, ..ToolCall::default() });
        Ok(at)
    }

    /// Gives the calls that got no arguments an empty object.
    pub(super) fn empty_arguments(&mut self, pieces: &mut Vec<Piece>) {
        for call in &mut self.0 {
            let Some(index) = call.number else { continue };
            if std::mem::replace(&mut call.argued, true) {
                continue;
            }
            match pieces.iter_mut().find(|piece| piece.index == index) {
                Some(piece) => "{}".clone_into(&mut piece.arguments),
                None => pieces.push(Piece { index, start: None, arguments: "{}".to_owned() }),
            }
        }
    }
}

/// Appends the member `tool_calls` with at least one piece.
pub(super) fn write(out: &mut String, pieces: &[Piece]) {
    out.push_str("\"tool_calls\":[");
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let Piece { index, start, arguments } = piece;
        match start {
            Some((id, name)) => {
                let _ = write!(
                    out,
                    r#"{{"index":{index},"id":{id},"type":"function","function":{{"name":{name},"arguments":"{arguments}"}}}}"#
                );
            }
            None => {
                let _ =
                    write!(out, r#"{{"index":{index},"function":{{"arguments":"{arguments}"}}}}"#);
            }
        }
    }
    out.push(']');
}
