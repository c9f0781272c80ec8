//! Bedrock's `invoke`: every model has a form of its own, and Bedrock passes it on.
//!
//! | model | form |
//! |---|---|
//! | `amazon.titan-embed-text-v2:0` | one text, `dimensions`, `normalize` |
//! | `amazon.titan-embed-text-v1`, `amazon.titan-embed-g1-text-02` | one text |
//! | `cohere.embed-…` | [`super::cohere`]'s |

use serde_json::value::RawValue;

use super::{cohere, texts, truth};
use crate::openai::embeddings::Embeddings;
use crate::openai::json::{Append, count};
use crate::openai::place::members;
use crate::openai::vectors::{Vector, Vectors};
use crate::providers::failure::no_answer;
use crate::providers::warnings::Warnings;
use crate::providers::{Answer, Error, Headers, Target};

/// The header that says how many tokens the input had.
const TOKENS: &str = "x-amzn-bedrock-input-token-count";

/// Fields that Titan reads beyond those that every API reads.
const PLACED: &[&str] = &["normalize"];

enum Form {
    Titan { first: bool },
    Cohere,
}

impl Form {
    /// By the catalogue's name, where the configuration says what an ARN stands for, else by the
    /// name itself.
    fn of(target: &Target<'_>) -> Result<Self, Error> {
        let name = if target.facts.name.is_empty() { target.model } else { target.facts.name };
        if name.contains("titan-embed-text-v2") {
            Ok(Self::Titan { first: false })
        } else if name.contains("titan-embed-text-v1") || name.contains("titan-embed-g1-text") {
            Ok(Self::Titan { first: true })
        } else if name.contains("cohere.embed") || name.starts_with("embed-") {
            Ok(Self::Cohere)
        } else {
            let message = format!(
                "No form of embeddings on Bedrock is known for the model '{}'; where it is an ARN, say what it stands for with 'model' in its entry.",
                target.model
            );
            Err(Error::invalid("model", message).with_code("unsupported_operation"))
        }
    }
}

/// The body for `/model/{id}/invoke`.
///
/// # Errors
/// A model whose form is not known; tokens, too many texts, a length that the model does not have.
pub(crate) fn body(
    asked: &Embeddings<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<u8>, Error> {
    let Form::Titan { first } = Form::of(target)? else {
        return cohere::body(asked, target, false, warnings);
    };
    let [text] = texts(asked, 1, target)? else {
        return Err(Error::invalid("input", "One text is needed."));
    };
    let normalize = truth(asked, "normalize")?.filter(|_| !first);
    let placed: &[&str] = if first { &[] } else { PLACED };
    warnings.dropped_fields(&asked.fields, &[super::PLACED, placed].concat());
    let mut out = br#"{"inputText":"#.to_vec();
    out.put(text.as_written().as_bytes());
    if let Some(dimensions) = asked.dimensions {
        if first {
            let message =
                format!("The vectors of the model '{}' have one length only.", target.model);
            return Err(Error::unsupported("dimensions", message));
        }
        out.put(format!(",\"dimensions\":{dimensions}").as_bytes());
    }
    if let Some(normalize) = normalize {
        out.put(format!(",\"normalize\":{normalize}").as_bytes());
    }
    out.mark(b'}');
    Ok(out)
}

struct Titan<'a> {
    embedding: Option<&'a RawValue>,
    input_text_token_count: Option<&'a RawValue>,
}

members!(Titan<'a> { embedding, input_text_token_count "inputTextTokenCount" });

/// Reads an answer with a status below 300.
///
/// # Errors
/// A body that is no answer.
pub fn answer(
    asked: &Embeddings<'_>,
    target: &Target<'_>,
    headers: &Headers<'_>,
    body: &[u8],
) -> Result<Answer, Error> {
    let counted = headers.text(TOKENS).and_then(|tokens| tokens.parse().ok());
    // The answer itself says whose it is, where the name of the model does not.
    let titan = match Form::of(target) {
        Ok(Form::Cohere) => None,
        Ok(Form::Titan { .. }) => Some(super::read::<Titan<'_>>(body)?),
        Err(_) => super::read::<Titan<'_>>(body).ok().filter(|it| it.embedding.is_some()),
    };
    let Some(read) = titan else {
        return cohere::answer(asked, target, counted, body);
    };
    let Some(vector) = read.embedding else { return Err(super::unread(body)) };
    let own = read.input_text_token_count.map(count);
    let vectors = Vectors {
        model: target.model.to_owned(),
        data: vec![Vector::read(vector).map_err(no_answer)?],
        prompt_tokens: own.or(counted),
    };
    super::answer(asked, &vectors)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;
    use crate::providers::embeddings::tests::{asked, with_target};

    const TITAN: &str = "amazon.titan-embed-text-v2:0";

    fn sent(model: &str, request: &str) -> Result<Value, Error> {
        with_target(model, |target| {
            let body = body(&asked(request), target, &mut Warnings::default())?;
            Ok(serde_json::from_slice(&body).unwrap())
        })
    }

    fn read(model: &str, headers: &[(&str, &str)], body: &str) -> Result<Option<u64>, Error> {
        let headers: Headers<'_> = headers.iter().copied().collect();
        let answer = with_target(model, |target| {
            answer(&asked(r#"{"input":"a"}"#), target, &headers, body.as_bytes())
        })?;
        let json: Value = serde_json::from_slice(&answer.body.apply(&[])).unwrap();
        assert_eq!(json["data"][0]["embedding"], json!([0.5, 1]));
        assert_eq!(json["model"], model);
        Ok(answer.usage.map(|usage| usage.prompt()))
    }

    #[test]
    fn titan_takes_one_text() {
        assert_eq!(
            sent(TITAN, r#"{"input":["a"],"dimensions":256,"normalize":false}"#).unwrap(),
            json!({"inputText": "a", "dimensions": 256, "normalize": false})
        );
        let first = "amazon.titan-embed-text-v1";
        assert_eq!(
            sent(first, r#"{"input":"a","normalize":true}"#).unwrap(),
            json!({"inputText": "a"})
        );
        for (model, request, param) in [
            (TITAN, r#"{"input":["a","b"]}"#, "input"),
            (TITAN, r#"{"input":[1]}"#, "input"),
            (first, r#"{"input":"a","dimensions":256}"#, "dimensions"),
            ("meta.llama3", r#"{"input":"a"}"#, "model"),
        ] {
            let error = sent(model, request).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{request}");
        }
        let error = sent(TITAN, r#"{"input":["a","b"]}"#).unwrap_err();
        assert!(error.message.contains("one text") && error.message.contains("has 2"), "{error:?}");
    }

    #[test]
    fn coheres_models_are_asked_as_cohere_is() {
        let body = sent("us.cohere.embed-v4:0", r#"{"input":"a"}"#).unwrap();
        assert_eq!((&body["texts"], body.get("model")), (&json!(["a"]), None));
    }

    #[test]
    fn tokens_are_counted_in_the_body_or_in_a_header() {
        let header = [(TOKENS, "7")];
        let titan =
            r#"{"embedding":[0.5,1],"inputTextTokenCount":3,"embeddingsByType":{"float":[0.5,1]}}"#;
        assert_eq!(read(TITAN, &header, titan).unwrap(), Some(3));
        assert_eq!(read(TITAN, &header, r#"{"embedding":[0.5,1]}"#).unwrap(), Some(7));
        let cohere =
            r#"{"embeddings":{"float":[[0.5,1]]},"id":"x","response_type":"embeddings_by_type"}"#;
        assert_eq!(read("cohere.embed-v4:0", &header, cohere).unwrap(), Some(7));
        assert_eq!(read("cohere.embed-v4:0", &[], cohere).unwrap(), None);
        assert_eq!(read(TITAN, &[], "{}").unwrap_err().status, 502);
    }

    #[test]
    fn an_answer_is_read_by_its_form_where_the_name_tells_none() {
        let (model, header) = ("arn:aws:bedrock:us-east-1:1:imported-model/x", [(TOKENS, "7")]);
        let titan = r#"{"embedding":[0.5,1],"inputTextTokenCount":3}"#;
        assert_eq!(read(model, &header, titan).unwrap(), Some(3));
        assert_eq!(read(model, &header, r#"{"embeddings":[[0.5,1]]}"#).unwrap(), Some(7));
        for body in ["{}", "[]", "", r#"{"message":"no"}"#] {
            assert_eq!(read(model, &[], body).unwrap_err().status, 502, "{body}");
        }
    }
}
