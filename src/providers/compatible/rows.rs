//! The providers, a row each. What stands here is what they document or what was seen of them; what
//! is the same for all is in [`LIKE`].

use super::Compatible;
use crate::providers::catalogue::Effort;
use crate::providers::openai::quirks::{
    LIKE, Limit, Messages, PLUGINS, Quirks, TIER, Thinking, Tools, Vectors,
};

/// DeepSeek. It thinks unless told not to, takes `high` and `max` and maps the other efforts itself,
/// and the assistant's turns must come back with their thoughts.
pub static DEEPSEEK: Compatible = Compatible(&Quirks {
    name: "DeepSeek",
    vectors: Vectors::None,
    limit: Limit::Old,
    thinking: Thinking::Switched,
    efforts: &[(Effort::Minimal, Effort::Low)],
    refuses: &["audio", "function_call", "functions", "modalities", "n", "web_search_options"],
    messages: Messages { joined: true, thoughts: Some("reasoning_content"), ..LIKE.messages },
    ..LIKE
});

/// Groq. It refuses members of messages and fields that it does not know.
pub static GROQ: Compatible = Compatible(&Quirks {
    name: "Groq",
    vectors: Vectors::None,
    hints: &[
        "logit_bias",
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
    refuses: &["audio", "logprobs", "modalities", "n", "top_logprobs", "web_search_options"],
    chooses: &["compound_custom"],
    charges: &[TIER],
    tiers: Some(&["auto", "on_demand", "flex", "performance"]),
    schema_anywhere: false,
    messages: Messages {
        members: Some(&[
            "role",
            "content",
            "tool_calls",
            "tool_call_id",
            "function_call",
            "reasoning",
        ]),
        names: false,
        developer: true,
        thoughts: Some("reasoning"),
        ..LIKE.messages
    },
    ..LIKE
});

/// Qwen at DashScope. Thinking is a switch of its own, and only streams may think.
pub static QWEN: Compatible = Compatible(&Quirks {
    name: "DashScope",
    vectors: Vectors::Numbers,
    limit: Limit::Old,
    thinking: Thinking::Enabled,
    charges: &["enable_search"],
    messages: Messages {
        joined: true,
        refused_parts: &["file"],
        keeps: &["cache_control"],
        thoughts: Some("reasoning_content"),
        ..LIKE.messages
    },
    ..LIKE
});

/// xAI. What is answered later is answered to nobody.
pub static XAI: Compatible = Compatible(&Quirks {
    name: "xAI",
    vectors: Vectors::Texts,
    refuses: &[
        "audio",
        "deferred",
        "function_call",
        "functions",
        "modalities",
        "web_search_options",
    ],
    charges: &["search_parameters"],
    efforts: &[(Effort::Minimal, Effort::Low), (Effort::Max, Effort::Xhigh)],
    tools: Tools { strict: false, ..LIKE.tools },
    messages: Messages {
        names: false,
        developer: true,
        refused_parts: &["input_audio"],
        ..LIKE.messages
    },
    ..LIKE
});

/// OpenRouter. It stands before many providers, so what some of them take passes, but for what
/// would make it ask another model.
pub static OPENROUTER: Compatible = Compatible(&Quirks {
    name: "OpenRouter",
    headers: &[("referer", "http-referer"), ("title", "x-title")],
    efforts: &[(Effort::Max, Effort::Xhigh)],
    hints: &["route"],
    refuses: &[],
    chooses: &["preset", PLUGINS],
    charges: &[PLUGINS, TIER, "speed", "web_search_options"],
    tiers: None,
    messages: Messages {
        developer: true,
        refused_parts: &[],
        keeps: &["cache_control", "prompt_cache_breakpoint", "reasoning_details"],
        thoughts: Some("reasoning"),
        ..LIKE.messages
    },
    ..LIKE
});

/// Together. `logprobs` is a number there.
pub static TOGETHER: Compatible = Compatible(&Quirks {
    name: "Together",
    vectors: Vectors::Numbers,
    limit: Limit::Old,
    counts_logprobs: true,
    chooses: &["safety_model"],
    messages: Messages { refused_parts: &["file"], thoughts: Some("reasoning"), ..LIKE.messages },
    ..LIKE
});

/// Ollama's API in the form of OpenAI's. It loads no pictures, no call can be forced, and what it
/// does not know it passes over.
pub static OLLAMA: Compatible = Compatible(&Quirks {
    name: "Ollama",
    vectors: Vectors::Texts,
    limit: Limit::Old,
    hints: &[
        "metadata",
        "moderation",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "store",
        "verbosity",
    ],
    refuses: &["audio", "function_call", "functions", "modalities", "n", "web_search_options"],
    tools: Tools { choice: false, ..LIKE.tools },
    messages: Messages { remote_pictures: false, thoughts: Some("reasoning"), ..LIKE.messages },
    ..LIKE
});

/// vLLM. What it does not know it passes over, and what a model takes is in its template.
pub static VLLM: Compatible = Compatible(&Quirks {
    name: "vLLM",
    hints: &[],
    refuses: &["function_call", "functions", "web_search_options"],
    tiers: None,
    messages: Messages { refused_parts: &["file"], thoughts: Some("reasoning"), ..LIKE.messages },
    ..LIKE
});
