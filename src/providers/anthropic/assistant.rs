//! The assistant's turns: thinking, text, calls.

use super::thinking::Surroundings;
use super::turns::Turns;
use crate::openai::json::{Append, separate, write_str};
use crate::openai::message::{Content, Message, Role, ToolCall};
use crate::openai::{Chat, Error};
use crate::providers::claude::assistant::{self, Own, Voice, has_thoughts};
use crate::providers::claude::marks::Mark;
use crate::providers::conversation::{Called, called, calls_of, check_answer, no_prefill};
use crate::providers::ids;
use crate::providers::warnings::Warnings;

impl<'a> Turns<'_, 'a> {
    /// A run of the assistant's messages. `last` says that the model is to go on with it.
    pub(super) fn write_assistant(
        &mut self,
        at: usize,
        run: &[Message<'a>],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if last && !self.target.facts.parameters.assistant_prefill {
            return Err(no_prefill(at + run.len().saturating_sub(1), self.target));
        }
        let begin = out.len();
        separate(out);
        out.put(br#"{"role":"assistant","content":"#);
        if let [message] = run
            && let Content::Text(text) = message.content
            && !last
            && !text.is_blank()
            && is_plain(message)
        {
            self.warnings.drop_name(message);
            out.put(text.as_written().as_bytes());
            out.mark(b'}');
            return Ok(());
        }
        out.mark(b'[');
        let empty = out.len();
        for (index, message) in (at..).zip(run) {
            let last = last && index + 1 == at + run.len();
            self.write_assistant_message(index, message, last, out)?;
        }
        if out.len() == empty {
            out.truncate(begin);
        } else {
            out.put(b"]}");
        }
        Ok(())
    }

    /// Thinking, then text, then calls.
    fn write_assistant_message(
        &mut self,
        index: usize,
        message: &Message<'a>,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let sound = "Anthropic knows no sound";
        check_answer(index, message, sound, self.target, &mut self.warnings)?;
        assistant::write(self, index, message, last, out)?;
        for (place, call) in calls_of(index, message)?.iter().enumerate() {
            self.write_call(index, place, call, out)?;
        }
        Ok(())
    }

    fn write_call(
        &mut self,
        index: usize,
        place: usize,
        call: &ToolCall<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Called { name, arguments } = called(index, place, call, "Anthropic")?;
        separate(out);
        out.put(br#"{"type":"tool_use","id":"#);
        write_str(out, self.ids.fit(&call.id.decode()));
        out.put(b",\"name\":");
        write_str(out, &ids::fit_name(&name));
        out.put(b",\"input\":");
        out.put(arguments.trim_ascii().as_bytes());
        out.mark(b'}');
        Ok(())
    }
}

impl Voice for Turns<'_, '_> {
    fn warnings(&mut self) -> &mut Warnings {
        &mut self.warnings
    }

    fn thought(&mut self, thought: &Own<'_>, out: &mut Vec<u8>) -> bool {
        separate(out);
        out.put(b"{\"type\":");
        write_str(out, &thought.kind);
        for (name, text) in [
            ("thinking", thought.thinking),
            ("signature", thought.signature),
            ("data", thought.data),
        ] {
            if let Some(text) = text {
                out.put(format!(",\"{name}\":").as_bytes());
                out.put(text.as_written().as_bytes());
            }
        }
        out.mark(b'}');
        true
    }

    fn text(&mut self, written: &str, mark: Option<Mark>, out: &mut Vec<u8>) {
        self.write_text(written, mark, out);
    }
}

/// What the conversation says about thinking: see [`Surroundings::thoughtless_call`].
pub(crate) fn surroundings(chat: &Chat<'_>, max_tokens: u64, forced_call: bool) -> Surroundings {
    // Looked at only where it matters: it costs another reading of the message.
    let last = chat.messages.iter().rfind(|message| message.role == Role::Assistant);
    let thoughtless_call = chat.reasoning_effort.is_some()
        && last.is_some_and(|message| message.tool_calls.is_some() && !has_thoughts(message));
    Surroundings { max_tokens, forced_call, thoughtless_call }
}

/// Whether a message of the assistant says nothing but its content.
fn is_plain(message: &Message<'_>) -> bool {
    message.tool_calls.is_none()
        && message.function_call.is_none()
        && message.refusal.is_none()
        && message.reasoning_content.is_none()
        && message.thinking_blocks.is_none()
        && message.audio.is_none()
        && message.rest.is_empty()
}
