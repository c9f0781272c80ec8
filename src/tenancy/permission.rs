//! What a tenant may ask for.
//!
//! A model may be asked for by its name, or else by whoever would answer, as `provider/model` or by
//! the model's own name: then only they are asked. What a tenant may not ask for and what there is not
//! get the same answer, so that nobody learns what others use.

use super::May;
use crate::openai::{Class, Error};
use crate::pattern::Pattern;

/// Most names that a refusal tells.
const MAX_NAMED: usize = 30;

impl May {
    /// Whether a model may be asked for by this name.
    #[must_use]
    pub fn asks_for(&self, model: &str) -> bool {
        self.models.is_empty() || one(&self.models, model)
    }

    /// Whether this model of this provider may answer, whatever was asked for.
    #[must_use]
    pub fn is_answered_by(&self, provider: &str, model: &str) -> bool {
        self.asks_for(model) || one(&self.models, &[provider, "/", model].concat())
    }

    /// Refuses a model. `param` is where it was asked for.
    #[must_use]
    pub fn no_such_model(&self, param: &str) -> Error {
        self.refuse(param, "model_not_allowed", "models", &self.models)
    }

    /// Whether it may choose whatever the gateway's clients may.
    #[must_use]
    pub fn pins(&self) -> bool {
        self.pin != Some(false)
    }

    /// Whether a rule may decide; `param` is where it was asked for.
    ///
    /// # Errors
    /// 403 with the rules that may.
    pub fn check_rule(&self, rule: &str, param: &str) -> Result<(), Error> {
        if self.rules.is_empty() || one(&self.rules, rule) {
            return Ok(());
        }
        Err(self.refuse(param, "rule_not_allowed", "rules", &self.rules))
    }

    /// Whether there may be requests of this kind.
    ///
    /// # Errors
    /// 403 with the kinds that may be.
    pub fn check_operation(&self, operation: &str) -> Result<(), Error> {
        if self.operations.is_empty() || self.operations.iter().any(|known| **known == *operation) {
            return Ok(());
        }
        let message = format!(
            "This tenant may not ask for {operation}; it may for {}.",
            self.operations.join(", ")
        );
        Err(Error::new(Class::Permission, message).with_code("operation_not_allowed"))
    }

    /// Whether so many tokens of output may be asked for by the field `param`, for each of `choices`.
    ///
    /// # Errors
    /// 400 with the most that may be, for the field that asks for too many: `n` where one choice alone
    /// would not be too much.
    pub fn check_output(&self, param: &str, tokens: u64, choices: u64) -> Result<(), Error> {
        let all = tokens.saturating_mul(choices);
        let Some(most) = self.max_tokens.filter(|most| all > *most) else { return Ok(()) };
        if tokens > most {
            let wanted = format!("'{param}' is {tokens}");
            return Err(too_much(param, &wanted, most));
        }
        Err(too_much("n", &format!("'n' is {choices} and '{param}' {tokens}, {all} in all"), most))
    }

    /// Most tokens of output of each of `choices` of a request that asks for none in particular;
    /// nothing where there is no limit.
    ///
    /// # Errors
    /// 400 where there are more choices than tokens.
    pub fn output_of_each(&self, choices: u64) -> Result<Option<u64>, Error> {
        let Some(most) = self.max_tokens else { return Ok(None) };
        match most.checked_div(choices) {
            Some(0) => Err(too_much("n", &format!("'n' is {choices}"), most)),
            each => Ok(Some(each.unwrap_or(most))),
        }
    }

    fn refuse(&self, param: &str, code: &'static str, what: &str, known: &[Pattern]) -> Error {
        let mut message = format!("This tenant may not use what '{param}' asks for. Its {what}: ");
        for (at, pattern) in known.iter().take(MAX_NAMED).enumerate() {
            message.push_str(if at == 0 { "" } else { ", " });
            message.push_str(pattern.as_str());
        }
        message.push_str(if known.len() > MAX_NAMED { ", …" } else { "." });
        Error::new(Class::Permission, message).with_code(code).with_param(param)
    }
}

fn too_much(param: &str, wanted: &str, most: u64) -> Error {
    let message = format!("{wanted}, and this tenant may ask for at most {most} tokens of output.");
    Error::invalid(param, message).with_code("max_tokens_not_allowed")
}

fn one(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn may(models: &[&str], rules: &[&str]) -> May {
        let patterns = |all: &[&str]| all.iter().map(|text| Pattern::new(text)).collect();
        May { models: patterns(models), rules: patterns(rules), ..May::default() }
    }

    #[test]
    fn nothing_said_bounds_nothing() {
        let may = May::default();
        assert!(may.asks_for("x") && may.is_answered_by("p", "x"));
        assert_eq!(may.check_rule("r", "model"), Ok(()));
        assert_eq!(may.check_operation("chat"), Ok(()));
        assert_eq!(may.check_output("max_tokens", u64::MAX, 128), Ok(()));
        assert_eq!(may.output_of_each(128), Ok(None));
    }

    #[test]
    fn a_model_is_allowed_by_the_name_asked_for_or_by_whoever_answers() {
        let may = may(&["gpt-4o*", "claude/*"], &[]);
        assert!(may.asks_for("gpt-4o-mini") && !may.asks_for("o3"));
        assert!(may.is_answered_by("openai", "gpt-4o") && may.is_answered_by("claude", "opus"));
        assert!(!may.is_answered_by("openai", "o3") && !may.is_answered_by("claud", "e/x"));
    }

    #[test]
    fn a_refusal_names_the_field_and_what_is_allowed() {
        let error = may(&["gpt-4o*", "claude/*"], &[]).no_such_model("model");
        assert_eq!((error.status, error.param.as_deref()), (403, Some("model")));
        assert!(error.message.ends_with("Its models: gpt-4o*, claude/*."), "{}", error.message);
        let error = may(&[], &["a-*"]).check_rule("b", "x-waypost-rule").unwrap_err();
        assert_eq!(error.code.as_deref(), Some("rule_not_allowed"));
        let most = May { max_tokens: Some(9), operations: vec!["chat".into()], ..May::default() };
        let error = most.check_output("max_completion_tokens", 10, 3).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some("max_completion_tokens")));
        assert_eq!(most.check_output("max_tokens", 9, 1), Ok(()));
        assert_eq!(most.check_operation("embeddings").unwrap_err().status, 403);
    }

    #[test]
    fn output_is_bounded_of_all_choices_together() {
        let may = May { max_tokens: Some(100), ..May::default() };
        assert_eq!(may.check_output("max_tokens", 25, 4), Ok(()));
        let error = may.check_output("max_tokens", 26, 4).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some("n")));
        assert_eq!(error.code.as_deref(), Some("max_tokens_not_allowed"));
        assert_eq!(
            error.message,
            "'n' is 4 and 'max_tokens' 26, 104 in all, and this tenant may ask for at most 100 tokens of output."
        );
        assert!(may.check_output("max_tokens", 2, u64::MAX).is_err());
        assert_eq!(may.output_of_each(1), Ok(Some(100)));
        assert_eq!(may.output_of_each(3), Ok(Some(33)));
        assert_eq!(may.output_of_each(100), Ok(Some(1)));
        let error = may.output_of_each(101).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some("n")));
        // What a request says of its choices is checked elsewhere.
        assert_eq!(may.output_of_each(0), Ok(Some(100)));
    }

    #[test]
    fn a_refusal_does_not_grow_with_the_list() {
        let names: Vec<String> = (0..500).map(|at| format!("model-{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let message = may(&names, &[]).no_such_model("model").message;
        assert!(message.ends_with("model-29, …"), "{message}");
    }
}
