//! How a provider that speaks like OpenAI differs from it: data, one row a provider.

use crate::providers::Settings;
use crate::providers::catalogue::Effort;
use crate::providers::ids::Form;

/// OpenAI's own mark of what to cache, which others do not know.
pub(super) const OPENAIS_MARK: &str = "prompt_cache_breakpoint";

/// The field that says how quickly, and so how dearly, to answer.
pub(crate) const TIER: &str = "service_tier";

/// The field of OpenRouter's own additions.
pub(crate) const PLUGINS: &str = "plugins";

/// What a provider takes, and how it answers.
#[derive(Debug)]
pub(crate) struct Quirks {
    /// Its name, for refusals.
    pub name: &'static str,
    /// Settings of its entry, and the header in which each is sent.
    pub headers: &'static [(&'static str, &'static str)],
    /// By which name it knows the longest answer.
    pub limit: Limit,
    /// How it is told to think.
    pub thinking: Thinking,
    /// Efforts that it does not know, and what each is sent as.
    pub efforts: &'static [(Effort, Effort)],
    /// Whether a model that reasons takes temperature and the like all the same.
    pub samples_while_reasoning: bool,
    /// Fields at the top that are hints, of which it knows nothing: they are left out.
    pub hints: &'static [&'static str],
    /// Fields at the top that would change the answer's shape, which it cannot give.
    pub refuses: &'static [&'static str],
    /// Fields at the top by which a client would choose who answers. That is for rules and prices to
    /// decide, which see nothing of it.
    pub chooses: &'static [&'static str],
    /// Fields at the top for which it charges what no price of tokens tells.
    pub charges: &'static [&'static str],
    /// Words of `service_tier` that it knows; nothing where any word passes.
    pub tiers: Option<&'static [&'static str]>,
    /// Whether `stream_options` may hold `include_obfuscation`.
    pub obfuscates: bool,
    /// Whether `logprobs` is a number, and `top_logprobs` unknown.
    pub counts_logprobs: bool,
    /// Whether an answer may have to follow a schema while it is streamed or beside tools.
    pub schema_anywhere: bool,
    /// What tools may be.
    pub tools: Tools,
    /// What messages may hold.
    pub messages: Messages,
    /// Ids of tool calls that it takes.
    pub ids: &'static Form,
    /// Members of streamed events that make one more than ordinary text.
    pub marks: &'static [&'static str],
    /// How it makes vectors.
    pub vectors: Vectors,
}

/// How a provider makes vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vectors {
    /// Not at all.
    None,
    /// Of texts and of tokens, in either encoding.
    Any,
    /// Of texts.
    Texts,
    /// Of texts, as numbers only.
    Numbers,
}

impl Quirks {
    /// The headers of a request.
    pub(crate) fn headers(&self, settings: &Settings) -> Vec<(&'static str, String)> {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        for (setting, header) in self.headers {
            if let Some(value) = settings.value(setting) {
                headers.push((header, value.to_owned()));
            }
        }
        headers
    }
}

/// By which name a provider knows the longest answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `max_completion_tokens` for models that reason, either for others.
    ByModel,
    /// Either.
    Either,
    /// `max_tokens` only.
    Old,
}

/// How a provider is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// By `reasoning_effort`.
    Effort,
    /// By `thinking: {type}`, and `reasoning_effort` for how much. While it thinks, the
    /// assistant's turns must come back with their `reasoning_content`: those that made calls by all
    /// that is reported, the others by some of it, and there it does no harm.
    Switched,
    /// By `enable_thinking`, which whole answers must not have.
    Enabled,
}

/// What tools may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tools {
    /// Whether there are custom tools.
    pub custom: bool,
    /// Whether `function.strict` is known.
    pub strict: bool,
    /// Whether `tool_choice` may be a list of allowed tools.
    pub allowed: bool,
    /// Whether there is a `tool_choice` at all.
    pub choice: bool,
}

/// What messages may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    /// The only members that a message may have; nothing where unknown ones do no harm.
    pub members: Option<&'static [&'static str]>,
    /// Whether speakers may have a `name`.
    pub names: bool,
    /// Whether there are `developer` messages.
    pub developer: bool,
    /// Whether an assistant may have refused: by `refusal`, or by a part of that kind.
    pub refusals: bool,
    /// Whether a list that holds only texts is sent as one text.
    pub joined: bool,
    /// Kinds of parts that it cannot read.
    pub refused_parts: &'static [&'static str],
    /// Whether pictures may be elsewhere, and not only inline.
    pub remote_pictures: bool,
    /// Members that other providers' clients send, and that this one takes too.
    pub keeps: &'static [&'static str],
    /// Whether the arguments of a call may be an empty text, as some models write it.
    pub blank_arguments: bool,
    /// The member that takes an assistant's thoughts back.
    pub thoughts: Option<&'static str>,
}

/// OpenAI and Azure refuse longer ids.
static SHORT_IDS: Form = Form { fits: |id| id.len() <= 40, prefix: "call_", letters: 10 };

/// No limit is published; ids that carry a signature are of no use to anyone but its provider.
pub(crate) static IDS: Form = Form { fits: |id| id.len() <= 128, prefix: "call_", letters: 10 };

/// OpenAI itself.
pub(crate) static OPENAI: Quirks = NONE;

/// Azure. Its content filter may speak in events of its own.
pub(crate) static AZURE: Quirks =
    Quirks { name: "Azure OpenAI", headers: &[], marks: &["\"content_filter_offsets\""], ..NONE };

/// OpenAI's own API.
const NONE: Quirks = Quirks {
    name: "OpenAI",
    headers: &[("organization", "openai-organization"), ("project", "openai-project")],
    limit: Limit::ByModel,
    thinking: Thinking::Effort,
    efforts: &[],
    samples_while_reasoning: false,
    hints: &[],
    refuses: &[],
    chooses: &[],
    charges: &[TIER, "web_search_options"],
    tiers: None,
    obfuscates: true,
    counts_logprobs: false,
    schema_anywhere: true,
    tools: Tools { custom: true, strict: true, allowed: true, choice: true },
    messages: Messages {
        members: None,
        names: true,
        developer: true,
        refusals: true,
        joined: false,
        refused_parts: &[],
        remote_pictures: true,
        keeps: &[OPENAIS_MARK],
        blank_arguments: true,
        thoughts: None,
    },
    ids: &SHORT_IDS,
    marks: &[],
    vectors: Vectors::Any,
};

/// What most providers have in common that speak like OpenAI but are not.
pub(crate) const LIKE: Quirks = Quirks {
    name: "",
    headers: &[],
    limit: Limit::Either,
    efforts: &[
        (Effort::Minimal, Effort::Low),
        (Effort::Xhigh, Effort::High),
        (Effort::Max, Effort::High),
    ],
    samples_while_reasoning: true,
    hints: &[
        "metadata",
        "moderation",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "store",
        "verbosity",
    ],
    refuses: &["audio", "function_call", "functions", "modalities", "web_search_options"],
    charges: &[],
    tiers: Some(&[]),
    obfuscates: false,
    tools: Tools { custom: false, strict: true, allowed: false, choice: true },
    messages: Messages {
        developer: false,
        refusals: false,
        refused_parts: &["input_audio", "file"],
        keeps: &[],
        blank_arguments: false,
        ..NONE.messages
    },
    ids: &IDS,
    marks: &[
        "\"role\"",
        "\"reasoning\"",
        "\"x_groq\"",
        "\"service_tier\"",
        "\"content\":[",
        "\"content\": [",
    ],
    ..NONE
};
