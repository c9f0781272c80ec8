//! What was asked and answered, if the configuration wants it in records: as text, without what is to be
//! taken out of it.

use super::writer::{Writer, quote};
use crate::config::audit::Audit;
use crate::filter::asked::Asked;
use crate::filter::spoken::Spoken;
use crate::guard::redact;
use crate::guard::redact::MARGIN;
use crate::openai::transcript::{Transcript, unescape};

/// The messages of a request. The newest are kept when not all of them fit.
pub(super) fn prompt(record: &mut Writer, asked: &Asked, audit: &Audit) {
    if !audit.prompts {
        return;
    }
    let most = audit.max_content.saturating_add(MARGIN);
    match asked {
        Asked::Chat(parsed) => {
            let newest = parsed.chat().messages.iter().rev();
            let mut said = newest.map(|one| (one.role.word(), Transcript::of_message(one, most)));
            let entries = fitting(record, "prompt", &mut said, audit);
            record.raw("prompt", entries.iter().rev());
        }
        Asked::Embeddings(parsed) => {
            let input = Transcript::of_input(&parsed.asked().input, most);
            let entries = fitting(record, "prompt", &mut [("input", input)].into_iter(), audit);
            record.raw("prompt", entries.iter());
        }
        Asked::Models => {}
    }
}

/// The answer, one entry for each choice.
pub(super) fn answer(record: &mut Writer, spoken: Option<&Spoken>, audit: &Audit) {
    let Some(spoken) = spoken else { return };
    let choices = spoken.choices();
    let mut said = choices.map(|choice| ("assistant", choice.clone()));
    let entries = fitting(record, "answer", &mut said, audit);
    record.raw("answer", entries.iter());
}

/// Entries as they are written, as far as they fit; the last of them may be cut.
fn fitting(
    record: &mut Writer,
    name: &'static str,
    said: &mut dyn Iterator<Item = (&'static str, Transcript)>,
    audit: &Audit,
) -> Vec<Vec<u8>> {
    // An entry counts with a comma; there is one less of those than entries, and there are two brackets.
    let mut room = audit.max_content.saturating_sub(1);
    let mut entries = Vec::new();
    for (role, transcript) in said {
        let mut entry = Vec::with_capacity(transcript.text.len() + 32);
        entry.extend_from_slice(b"{\"role\":\"");
        entry.extend_from_slice(role.as_bytes());
        entry.extend_from_slice(b"\",\"text\":");
        // Quotes, the brace and a comma.
        let left = room.checked_sub(entry.len() + 4);
        let text = unescape(&transcript.text);
        let mut most = left.unwrap_or(0);
        if !transcript.whole {
            // Without escapes it can be so short that a value that was cut at its end would be kept.
            most = most.min(text.len().saturating_sub(MARGIN + 1));
        }
        let (kept, mut whole) = redact(&text, &audit.redact, most);
        whole &= quote(&mut entry, &kept, left.unwrap_or(0)) && transcript.whole;
        entry.push(b'}');
        if left.is_some() {
            room -= entry.len() + 1;
            entries.push(entry);
        }
        if left.is_none() || !whole {
            record.note_cut(name);
            break;
        }
    }
    entries
}

/// A text in the words of a provider, which may repeat what it was sent.
pub(super) fn words(
    record: &mut Writer,
    name: &'static str,
    text: &str,
    most: usize,
    audit: &Audit,
) {
    let (kept, whole) = redact(text, &audit.redact, most);
    record.text_within(name, &kept, most);
    if !whole {
        record.note_cut(name);
    }
}
