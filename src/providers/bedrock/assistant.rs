//! The assistant's turns: thinking, text, calls.

use super::family::Family;
use super::turns::Turns;
use crate::openai::Error;
use crate::openai::json::{Append, separate, write_str};
use crate::openai::message::{Message, ToolCall};
use crate::providers::claude::assistant::{self, Own, Voice};
use crate::providers::claude::marks::Mark;
use crate::providers::conversation::{Called, called, calls_of, check_answer, no_prefill};
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
        for (index, message) in (at..).zip(run) {
            let last = last && index + 1 == at + run.len();
            self.write_assistant_message(index, message, last, out)?;
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
        let sound = "Bedrock keeps no sound of earlier answers";
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
        let Called { name, arguments } = called(index, place, call, "Bedrock")?;
        separate(out);
        out.put(br#"{"toolUse":{"toolUseId":"#);
        write_str(out, self.ids.fit(&call.id.decode()));
        out.put(b",\"name\":");
        write_str(out, self.names.fit(&name));
        out.put(b",\"input\":");
        out.put(arguments.trim_ascii().as_bytes());
        out.put(b"}}");
        Ok(())
    }
}

impl Voice for Turns<'_, '_> {
    fn warnings(&mut self) -> &mut Warnings {
        &mut self.warnings
    }

    /// Only Claude takes its thoughts back, and only with its signature.
    fn thought(&mut self, thought: &Own<'_>, out: &mut Vec<u8>) -> bool {
        // What an ARN hides may be Claude, and a signature is Claude's alone.
        if !matches!(self.family, Family::Claude | Family::Other) {
            return false;
        }
        match (thought.data, thought.thinking, thought.signature) {
            (_, Some(text), Some(signature)) if thought.kind == "thinking" => {
                separate(out);
                out.put(br#"{"reasoningContent":{"reasoningText":{"text":"#);
                out.put(text.as_written().as_bytes());
                out.put(b",\"signature\":");
                out.put(signature.as_written().as_bytes());
                out.put(b"}}}");
                true
            }
            (Some(data), ..) if thought.kind == "redacted_thinking" && !data.is_empty() => {
                separate(out);
                out.put(br#"{"reasoningContent":{"redactedContent":"#);
                out.put(data.as_written().as_bytes());
                out.put(b"}}");
                true
            }
            _ => false,
        }
    }

    fn text(&mut self, written: &str, mark: Option<Mark>, out: &mut Vec<u8>) {
        self.write_text(written, mark, out);
    }
}
