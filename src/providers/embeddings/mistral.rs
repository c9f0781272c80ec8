//! Mistral's form: OpenAI's, but for the name of `dimensions`, and every unknown field is refused.

use std::borrow::Cow;

use super::texts;
use crate::openai::embeddings::{Embeddings, Encoding, MAX_INPUTS};
use crate::openai::json::{Append, write_str};
use crate::openai::request::read;
use crate::providers::warnings::Warnings;
use crate::providers::{Error, Target};

/// Fields that are read beyond those that every API reads.
const PLACED: &[&str] = &["output_dtype", "metadata"];

/// The request's body. Its answer is read by [`super::openai::answer`].
///
/// # Errors
/// Tokens, and an `output_dtype` other than `float`: OpenAI's vectors are of floats.
pub(crate) fn body(
    asked: &Embeddings<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<u8>, Error> {
    texts(asked, MAX_INPUTS, target)?;
    if let Some(kind) = asked.field("output_dtype")
        && read::<Cow<'_, str>>("output_dtype", kind)? != "float"
    {
        let message = "'output_dtype' must be \"float\": embeddings are passed on as floats.";
        return Err(Error::unsupported("output_dtype", message));
    }
    warnings.dropped_fields(&asked.fields, &[super::PLACED, PLACED].concat());
    let mut out = br#"{"model":"#.to_vec();
    write_str(&mut out, target.model);
    for (name, field) in
        [("input", "input"), ("output_dimension", "dimensions"), ("metadata", "metadata")]
    {
        if let Some(value) = asked.field(field) {
            out.put(format!(",\"{name}\":").as_bytes());
            out.put(value.get().as_bytes());
        }
    }
    if asked.encoding == Encoding::Base64 {
        out.put(br#","encoding_format":"base64""#);
    }
    out.mark(b'}');
    Ok(out)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;
    use crate::providers::embeddings::tests::{asked, with_target};

    fn sent(request: &str) -> Result<(Value, Vec<String>), Error> {
        with_target("mistral-embed", |target| {
            let mut warnings = Warnings::default();
            let body = body(&asked(request), target, &mut warnings)?;
            let warned = warnings.0.iter().map(ToString::to_string).collect();
            Ok((serde_json::from_slice(&body).unwrap(), warned))
        })
    }

    #[test]
    fn dimensions_have_another_name_and_unknown_fields_stay_behind() {
        let (body, warnings) = sent(
            r#"{"model":"m","input":["a","b"],"dimensions":256,"encoding_format":"base64","user":"u","output_dtype":"float"}"#,
        )
        .unwrap();
        assert_eq!(
            body,
            json!({"model": "mistral-embed", "input": ["a", "b"], "output_dimension": 256, "encoding_format": "base64"})
        );
        assert_eq!(warnings, ["user dropped"]);
        assert_eq!(
            sent(r#"{"input":"a"}"#).unwrap().0,
            json!({"model": "mistral-embed", "input": "a"})
        );
    }

    #[test]
    fn what_is_no_text_or_no_float_is_refused() {
        for (request, param) in [
            (r#"{"input":[1]}"#, "input"),
            (r#"{"input":"a","output_dtype":"int8"}"#, "output_dtype"),
            (r#"{"input":"a","output_dtype":8}"#, "output_dtype"),
        ] {
            assert_eq!(sent(request).unwrap_err().param.as_deref(), Some(param));
        }
    }
}
