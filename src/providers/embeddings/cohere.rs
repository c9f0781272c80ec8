//! Cohere's form, on its own API and on Bedrock.
//!
//! Cohere must be told what a text is for, and OpenAI's clients do not say: `input_type` comes from
//! a field of the request, else from the provider's setting of that name, else it is
//! `search_document`. A text that is too long is refused, as OpenAI does, unless the request's
//! `truncate` says which end to cut.

use serde_json::value::RawValue;

use super::{text, texts};
use crate::openai::embeddings::{Embeddings, MAX_INPUTS};
use crate::openai::json::write_str;
use crate::openai::json::{Append, count};
use crate::openai::message::Bounded;
use crate::openai::place::{from_str, members};
use crate::openai::vectors::{Vector, Vectors};
use crate::providers::failure::no_answer;
use crate::providers::warnings::Warnings;
use crate::providers::{Answer, Error, Target, Warning};

/// Most texts of one request.
pub const MAX_TEXTS: usize = 96;

/// What a text is for where nobody says: it is stored, to be found later.
pub const INPUT_TYPE: &str = "search_document";

/// The setting, and the field of a request, that says what texts are for.
pub const INPUT_TYPE_SETTING: &str = "input_type";

/// The words that it may have.
pub const INPUT_TYPES: &[&str] =
    &["search_document", "search_query", "classification", "clustering"];

/// Fields that are read beyond those that every API reads.
const PLACED: &[&str] = &[INPUT_TYPE_SETTING, "truncate", "max_tokens", "priority"];

/// The request's body; on Bedrock the model is in the path, and `named` is false.
///
/// # Errors
/// Tokens, too many texts, a field of the wrong type.
pub(crate) fn body(
    asked: &Embeddings<'_>,
    target: &Target<'_>,
    named: bool,
    warnings: &mut Warnings,
) -> Result<Vec<u8>, Error> {
    let texts = texts(asked, MAX_TEXTS, target)?;
    let kind = match (text(asked, INPUT_TYPE_SETTING)?, target.settings.value(INPUT_TYPE_SETTING)) {
        (Some(said), _) => said.decode(),
        (None, Some(set)) => set.into(),
        (None, None) => {
            let (param, to) = (INPUT_TYPE_SETTING.into(), INPUT_TYPE.to_owned());
            warnings.add(Warning::Defaulted { param, to });
            INPUT_TYPE.into()
        }
    };
    warnings.dropped_fields(&asked.fields, &[super::PLACED, PLACED].concat());
    let mut out = vec![b'{'];
    if named {
        out.put(br#""model":"#);
        write_str(&mut out, target.model);
        out.mark(b',');
    }
    out.put(br#""texts":["#);
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.mark(b',');
        }
        out.put(text.as_written().as_bytes());
    }
    out.put(br#"],"input_type":"#);
    write_str(&mut out, &kind);
    out.put(br#","embedding_types":["float"],"truncate":"#);
    let truncate = text(asked, "truncate")?.map_or("\"NONE\"", |said| said.as_written());
    out.put(truncate.as_bytes());
    let optional = [
        ("output_dimension", "dimensions"),
        ("max_tokens", "max_tokens"),
        ("priority", "priority"),
    ];
    for (name, field) in optional {
        if let Some(value) = asked.field(field).filter(|_| named || name != "priority") {
            out.put(format!(",\"{name}\":{}", value.get()).as_bytes());
        }
    }
    out.mark(b'}');
    Ok(out)
}

struct Embedded<'a> {
    embeddings: Option<&'a RawValue>,
    meta: Option<Meta<'a>>,
}

members!(Embedded<'a> { embeddings, meta });

struct ByType<'a> {
    float: List<'a>,
}

members!(ByType<'a> { float (required) });

struct Meta<'a> {
    billed_units: Option<Billed<'a>>,
}

members!(Meta<'a> { billed_units });

struct Billed<'a> {
    input_tokens: Option<&'a RawValue>,
}

members!(Billed<'a> { input_tokens });

type List<'a> = Bounded<&'a RawValue, MAX_INPUTS>;

/// Reads an answer with a status below 300. On Bedrock a header says how many tokens were
/// `counted`, and older models give bare vectors.
///
/// # Errors
/// A body that is no answer.
pub fn answer(
    asked: &Embeddings<'_>,
    target: &Target<'_>,
    counted: Option<u64>,
    body: &[u8],
) -> Result<Answer, Error> {
    let read: Embedded<'_> = super::read(body)?;
    let list = match read.embeddings {
        Some(bare) if bare.get().starts_with('[') => from_str::<List<'_>>(bare.get()),
        Some(typed) => from_str::<ByType<'_>>(typed.get()).map(|typed| typed.float),
        None => return Err(super::unread(body)),
    };
    let list = list.map_err(|_| no_answer("embeddings that are no lists of vectors"))?.0;
    let billed = read.meta.and_then(|meta| meta.billed_units).and_then(|units| units.input_tokens);
    let vectors = Vectors {
        model: target.model.to_owned(),
        data: list.into_iter().map(Vector::read).collect::<Result<_, _>>().map_err(no_answer)?,
        prompt_tokens: billed.map(count).or(counted),
    };
    super::answer(asked, &vectors)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;
    use crate::providers::embeddings::tests::{asked, with_settings, with_target};

    fn sent(request: &str) -> Result<(Value, Vec<String>), Error> {
        with_target("embed-v4.0", |target| sent_to(target, request, true))
    }

    fn sent_to(
        target: &Target<'_>,
        request: &str,
        named: bool,
    ) -> Result<(Value, Vec<String>), Error> {
        let mut warnings = Warnings::default();
        let body = body(&asked(request), target, named, &mut warnings)?;
        let warned = warnings.0.iter().map(ToString::to_string).collect();
        Ok((serde_json::from_slice(&body).unwrap(), warned))
    }

    #[test]
    fn what_a_text_is_for_is_said_by_the_request_else_the_setting_else_it_is_stored() {
        let (body, warnings) = sent(r#"{"input":"a","user":"u"}"#).unwrap();
        assert_eq!(
            body,
            json!({"model": "embed-v4.0", "texts": ["a"], "input_type": "search_document",
                "embedding_types": ["float"], "truncate": "NONE"})
        );
        assert_eq!(warnings, ["input_type defaulted to search_document", "user dropped"]);
        let set = [(INPUT_TYPE_SETTING, "search_query")];
        with_settings("m", &set, |target| {
            let (body, warnings) = sent_to(target, r#"{"input":"a"}"#, true).unwrap();
            assert_eq!((&body["input_type"], warnings.len()), (&json!("search_query"), 0));
            let (body, _) =
                sent_to(target, r#"{"input":"a","input_type":"clustering"}"#, true).unwrap();
            assert_eq!(body["input_type"], "clustering");
        });
    }

    #[test]
    fn the_rest_of_the_request_goes_along() {
        let request = r#"{"input":["a","b"],"dimensions":512,"truncate":"END","max_tokens":9,"priority":1,"input_type":"x"}"#;
        assert_eq!(
            sent(request).unwrap().0,
            json!({"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "x",
                "embedding_types": ["float"], "truncate": "END", "output_dimension": 512,
                "max_tokens": 9, "priority": 1})
        );
        let (body, _) = with_target("m", |target| sent_to(target, request, false)).unwrap();
        assert_eq!((body.get("model"), body.get("priority")), (None, None));
    }

    #[test]
    fn too_many_texts_and_tokens_are_the_clients_mistake() {
        let many = |count: usize| format!(r#"{{"input":[{}]}}"#, vec!["\"a\""; count].join(","));
        assert!(sent(&many(MAX_TEXTS)).is_ok());
        for request in [many(MAX_TEXTS + 1), r#"{"input":[1]}"#.to_owned()] {
            let error = sent(&request).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some("input")));
        }
    }

    #[test]
    fn typed_and_bare_vectors_are_read() {
        for (body, tokens) in [
            (
                r#"{"embeddings":{"float":[[1.0,2],[3,4]]},"meta":{"billed_units":{"input_tokens":5.0}}}"#,
                5,
            ),
            (r#"{"embeddings":[[1.0,2],[3,4]],"response_type":"embeddings_floats"}"#, 9),
        ] {
            let asked = asked(r#"{"input":["a","b"]}"#);
            let answer =
                with_target("m", |target| answer(&asked, target, Some(9), body.as_bytes()))
                    .unwrap();
            let json: Value = serde_json::from_slice(&answer.body.apply(&[])).unwrap();
            assert_eq!(json["data"][1]["embedding"], json!([3, 4]));
            assert_eq!(answer.usage.unwrap().prompt(), tokens);
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in [
            "",
            "{}",
            r#"{"embeddings":{}}"#,
            r#"{"embeddings":[1]}"#,
            r#"{"embeddings":{"int8":[[1]]}}"#,
        ] {
            let error = with_target("m", |target| {
                answer(&asked(r#"{"input":"a"}"#), target, None, body.as_bytes())
            });
            assert_eq!(error.unwrap_err().status, 502, "{body}");
        }
    }
}
