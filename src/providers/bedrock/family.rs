//! Whose model it is. Converse is one API for all, but what it passes on to a model as it is has the
//! form of that model's maker.

/// Who made the model, as far as that decides the form of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's.
    Claude,
    /// DeepSeek's.
    DeepSeek,
    /// OpenAI's open models.
    GptOss,
    /// Amazon's own.
    Nova,
    /// OpenAI's other models.
    OpenAi,
    /// Any other, or one that its name does not tell, such as an application's inference profile.
    Other,
}

impl Family {
    /// By the model's id, a region's profile of it, or an ARN that ends in either.
    pub(super) fn of(model: &str) -> Self {
        let model = foundation_model(model);
        [
            ("anthropic.", Self::Claude),
            ("amazon.nova", Self::Nova),
            ("openai.gpt-oss", Self::GptOss),
            ("openai.", Self::OpenAi),
            ("deepseek.", Self::DeepSeek),
        ]
        .into_iter()
        .find_map(|(start, family)| model.starts_with(start).then_some(family))
        .unwrap_or(Self::Other)
    }
}

/// Where a region's profile runs a model, as it stands in front of the model's id.
const REGIONS: &[&str] = &["us.", "us-gov.", "eu.", "apac.", "global.", "au.", "ca.", "jp.", "sa."];

/// The model behind a region's profile, or an ARN that ends in the name of a model or profile.
fn foundation_model(name: &str) -> &str {
    let name = match name.rsplit_once('/') {
        Some((arn, last)) if arn.starts_with("arn:") => last,
        _ => name,
    };
    REGIONS.iter().find_map(|region| name.strip_prefix(region)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_models_maker_is_told_by_ids_profiles_and_arns() {
        for (model, family) in [
            ("anthropic.claude-opus-5-5", Family::Claude),
            ("us.anthropic.claude-opus-5-5", Family::Claude),
            ("global.amazon.nova-2-lite-v1:0", Family::Nova),
            ("arn:aws:bedrock:us-east-1::foundation-model/openai.gpt-oss-120b-1:0", Family::GptOss),
            (
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.deepseek.v3.2",
                Family::DeepSeek,
            ),
            ("openai.gpt-6", Family::OpenAi),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
                Family::Other,
            ),
            ("meta.llama3-3-70b-instruct-v1:0", Family::Other),
            ("", Family::Other),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
