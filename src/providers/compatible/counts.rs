//! Tokens, by any of the names in use.

use serde_json::value::RawValue;

use crate::openai::Usage;
use crate::openai::json::{Append, is_null, is_object, write_str};
use crate::openai::object::Members;
use crate::openai::place::from_str;

/// Tokens that a provider counted.
#[derive(Debug)]
pub(super) struct Counts {
    /// In the one split.
    pub usage: Usage,
    /// OpenAI's `usage` object, with what else the provider told in its own.
    pub json: Vec<u8>,
    /// Whether the provider's object was in OpenAI's form already.
    pub canonical: bool,
}

/// What [`Usage`] holds, by any name; all else is passed on.
const OWN: [&str; 9] = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_eval_count",
    "eval_count",
    "input_tokens",
    "output_tokens",
    PROMPT_DETAILS,
    COMPLETION_DETAILS,
];

const PROMPT_DETAILS: &str = "prompt_tokens_details";
const COMPLETION_DETAILS: &str = "completion_tokens_details";

/// What [`Usage`] tells within the details.
const DETAILS: [&str; 6] = [
    "cached_tokens",
    "cache_write_tokens",
    "audio_tokens",
    "reasoning_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
];

/// Reads counts; nothing where the object counts nothing. xAI, and who passes its counts on, counts
/// reasoning beside the completion, which only the total shows.
pub(super) fn read(raw: &RawValue) -> Option<Counts> {
    let counts = Counted::read(raw)?;
    let input = counts.within(PROMPT_DETAILS);
    let output = counts.within(COMPLETION_DETAILS);
    let prompt = counts.first(&["prompt_tokens", "prompt_eval_count", "input_tokens"]);
    let completion = counts.first(&["completion_tokens", "eval_count", "output_tokens"]);
    let total = counts.first(&["total_tokens"]);
    if prompt.is_none() && completion.is_none() && total.is_none() {
        return None;
    }
    let (prompt, said) = (prompt.unwrap_or(0), completion.unwrap_or(0));
    let reasoning = output
        .first(&["reasoning_tokens"])
        .or_else(|| counts.first(&["reasoning_tokens"]))
        .unwrap_or(0);
    let beside = total == Some(prompt.saturating_add(said).saturating_add(reasoning));
    let all = if beside { said.saturating_add(reasoning) } else { said };
    let cached = input.first(&["cached_tokens"]);
    let elsewhere = counts.first(&["prompt_cache_hit_tokens", "cached_tokens"]);
    let written = input.first(&["cache_write_tokens"]);
    let created = input.first(&["cache_creation_input_tokens", "cache_creation_tokens"]);
    let cache_read = cached.or(elsewhere).unwrap_or(0).min(prompt);
    let cache_write = written.or(created).unwrap_or(0).min(prompt - cache_read);
    let usage = Usage {
        uncached_input: prompt - cache_read - cache_write,
        cache_read,
        cache_write,
        output: all,
        reasoning: reasoning.min(all),
        input_audio: input.first(&["audio_tokens"]).unwrap_or(0),
        output_audio: output.first(&["audio_tokens"]).unwrap_or(0),
        accepted_prediction: output.first(&["accepted_prediction_tokens"]).unwrap_or(0),
        rejected_prediction: output.first(&["rejected_prediction_tokens"]).unwrap_or(0),
        ..Usage::default()
    };
    let canonical = all == said
        && total == prompt.checked_add(said)
        && counts.is_whole("prompt_tokens")
        && counts.is_whole("completion_tokens")
        && counts.is_whole("total_tokens")
        && (cached.is_some() || elsewhere.unwrap_or(0) == 0)
        && (written.is_some() || created.unwrap_or(0) == 0)
        && cached.unwrap_or(0) == cache_read
        && reasoning <= all
        && output.first(&["reasoning_tokens"]).unwrap_or(0) == reasoning;
    let json = if canonical { raw.get().as_bytes().to_vec() } else { counts.written(&usage) };
    Some(Counts { usage, json, canonical })
}

impl Counts {
    /// Counts that stood among other things.
    pub(super) fn bare(mut self) -> Self {
        self.json.clear();
        self.usage.write(&mut self.json);
        self.canonical = false;
        self
    }
}

struct Counted<'a>(Members<'a>);

impl<'a> Counted<'a> {
    fn read(raw: &'a RawValue) -> Option<Self> {
        is_object(raw).then(|| from_str(raw.get()).ok().map(Self))?
    }

    fn within(&self, name: &str) -> Self {
        self.0.find(name).and_then(Counted::read).unwrap_or(Counted(Members(Vec::new())))
    }

    /// The first of these members that counts something.
    fn first(&self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| self.0.find(name).and_then(count))
    }

    /// Whether the member is written as OpenAI writes a count.
    fn is_whole(&self, name: &str) -> bool {
        self.0.find(name).is_some_and(|raw| raw.get().parse::<u64>().is_ok())
    }

    /// OpenAI's object with these counts, and with what else this one tells.
    fn written(&self, usage: &Usage) -> Vec<u8> {
        const BETWEEN: &[u8] = b"},\"completion_tokens_details\"";
        let mut counts = Vec::new();
        usage.write(&mut counts);
        let end = memchr::memmem::find(&counts, BETWEEN).unwrap_or(counts.len());
        let (input, output) = counts.split_at_checked(end).unwrap_or((&counts, &[]));
        let mut json = input.to_vec();
        self.within(PROMPT_DETAILS).others(&mut json, &DETAILS);
        json.put(output.strip_suffix(b"}}").unwrap_or(output));
        self.within(COMPLETION_DETAILS).others(&mut json, &DETAILS);
        json.mark(b'}');
        self.others(&mut json, &OWN);
        json.mark(b'}');
        json
    }

    /// Appends the members that say something and are not among `own`.
    fn others(&self, json: &mut Vec<u8>, own: &[&str]) {
        for (name, value) in &self.0.0 {
            if !own.contains(&&**name) && !is_null(value) {
                json.mark(b',');
                write_str(json, name);
                json.mark(b':');
                json.put(value.get().as_bytes());
            }
        }
    }
}

/// A count as a number, also with a fraction, or as a text; nothing for anything else.
fn count(raw: &RawValue) -> Option<u64> {
    let digits = raw.get().trim_matches('"');
    // The cast saturates, and makes zero of what is negative.
    digits.parse().ok().or_else(|| digits.parse::<f64>().ok().map(|count| count as u64))
}
