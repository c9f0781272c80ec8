//! The table of APIs: what may stand behind `api:` in a provider's entry.

use super::embeddings::cohere::{INPUT_TYPE_SETTING, INPUT_TYPES};
use super::settings::{BaseUrl, Setting};
use super::{
    Dialect, anthropic, azure, bedrock, cohere, compatible, gemini, mistral, openai, vertex,
};

/// One API that Waypost speaks.
#[derive(Clone, Copy)]
pub struct Api {
    /// The word behind `api:`.
    pub name: &'static str,
    /// How it is spoken.
    pub dialect: &'static dyn Dialect,
    /// The provider's word in the catalogue of models.
    pub family: &'static str,
    /// Where it is, unless `base_url` says otherwise.
    pub base_url: BaseUrl,
    /// The settings that its dialect reads.
    pub settings: &'static [Setting],
}

/// Every API, in the order in which messages list them.
pub static APIS: &[Api] = &[
    Api {
        name: "openai",
        dialect: &openai::OpenAi,
        family: "openai",
        base_url: BaseUrl::At("https://api.openai.com/v1"),
        settings: &[Setting::text("organization"), Setting::text("project")],
    },
    Api {
        name: "azure",
        dialect: &azure::Azure,
        family: "azure",
        base_url: BaseUrl::From(azure::base_url),
        settings: azure::SETTINGS,
    },
    Api {
        name: "anthropic",
        dialect: &anthropic::Anthropic,
        family: "anthropic",
        base_url: BaseUrl::At("https://api.anthropic.com"),
        settings: &[
            Setting::word("anthropic_version", anthropic::VERSIONS),
            Setting::text("anthropic_beta"),
        ],
    },
    Api {
        name: "gemini",
        dialect: &gemini::Gemini,
        family: "gemini",
        base_url: BaseUrl::At("https://generativelanguage.googleapis.com"),
        settings: &[Setting::word("safety_threshold", gemini::SAFETY_THRESHOLDS)],
    },
    Api {
        name: "vertex",
        dialect: &vertex::Vertex,
        family: "vertex",
        base_url: BaseUrl::From(vertex::base_url),
        settings: &[
            Setting::text("project").required(),
            Setting::text("location").required(),
            Setting::word("publisher", vertex::PUBLISHERS),
            Setting::word("safety_threshold", gemini::SAFETY_THRESHOLDS),
            Setting::word("anthropic_version", anthropic::VERTEX_VERSIONS),
            Setting::text("anthropic_beta"),
        ],
    },
    Api {
        name: "mistral",
        dialect: &mistral::Mistral,
        family: "mistral",
        base_url: BaseUrl::At("https://api.mistral.ai/v1"),
        settings: &[],
    },
    Api {
        name: "cohere",
        dialect: &cohere::Cohere,
        family: "cohere",
        base_url: BaseUrl::At("https://api.cohere.com"),
        settings: &[Setting::word(INPUT_TYPE_SETTING, INPUT_TYPES)],
    },
    Api {
        name: "bedrock",
        dialect: &bedrock::Bedrock,
        family: "bedrock",
        base_url: BaseUrl::From(bedrock::base_url),
        settings: &[
            Setting::text("region"),
            Setting::text("guardrail_id"),
            Setting::text("guardrail_version"),
            Setting::word(INPUT_TYPE_SETTING, INPUT_TYPES),
        ],
    },
    Api {
        name: "deepseek",
        dialect: &compatible::DEEPSEEK,
        family: "deepseek",
        base_url: BaseUrl::At("https://api.deepseek.com/v1"),
        settings: &[],
    },
    Api {
        name: "groq",
        dialect: &compatible::GROQ,
        family: "groq",
        base_url: BaseUrl::At("https://api.groq.com/openai/v1"),
        settings: &[],
    },
    Api {
        name: "qwen",
        dialect: &compatible::QWEN,
        family: "qwen",
        base_url: BaseUrl::At("https://dashscope.aliyuncs.com/compatible-mode/v1"),
        settings: &[],
    },
    Api {
        name: "xai",
        dialect: &compatible::XAI,
        family: "xai",
        base_url: BaseUrl::At("https://api.x.ai/v1"),
        settings: &[],
    },
    Api {
        name: "openrouter",
        dialect: &compatible::OPENROUTER,
        family: "openrouter",
        base_url: BaseUrl::At("https://openrouter.ai/api/v1"),
        settings: &[Setting::text("referer"), Setting::text("title")],
    },
    Api {
        name: "together",
        dialect: &compatible::TOGETHER,
        family: "together",
        base_url: BaseUrl::At("https://api.together.xyz/v1"),
        settings: &[],
    },
    Api {
        name: "ollama",
        dialect: &compatible::OLLAMA,
        family: "ollama",
        base_url: BaseUrl::At("http://localhost:11434/v1"),
        settings: &[],
    },
    Api {
        name: "vllm",
        dialect: &compatible::VLLM,
        family: "vllm",
        base_url: BaseUrl::At("http://localhost:8000/v1"),
        settings: &[],
    },
];

/// The API of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Api> {
    APIS.iter().find(|api| api.name == name)
}

/// The names of all of them, in their order.
#[must_use]
pub fn names() -> Vec<&'static str> {
    APIS.iter().map(|api| api.name).collect()
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
