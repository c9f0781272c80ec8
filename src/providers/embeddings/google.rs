//! Google's forms: the Gemini API's, and the three of Vertex AI.
//!
//! | API | model | method | a text is |
//! |---|---|---|---|
//! | Gemini | all | `batchEmbedContents` | an entry of `requests`, with the model and all settings |
//! | Vertex | `gemini-…`, one text | `embedContent` | `content`, beside `embedContentConfig` |
//! | Vertex | `gemini-…`, several | `batchEmbedContents` | an entry of `requests`, with an `embedContentConfig` |
//! | Vertex | `…maas` | `embedContent` | as above; one in a request |
//! | Vertex | others | `predict` | an entry of `instances`, beside `parameters` |
//!
//! That is what Google's own SDK chooses. Beyond OpenAI's fields a request may have `task_type` and
//! `title`, and for Vertex `auto_truncate`. Vertex is told not to cut texts that are too long unless
//! the request says so: OpenAI refuses them, and a vector of half a text looks like any other.
//!
//! # Not supported
//! `gemini-embedding-001` gives vectors of length one only in its full size; with `dimensions` they
//! are passed on as they come.

use serde_json::value::RawValue;

use super::{text, texts, truth};
use crate::openai::embeddings::{Embeddings, MAX_INPUTS};
use crate::openai::json::count;
use crate::openai::json::{Append, RawStr, write_str};
use crate::openai::message::Bounded;
use crate::openai::place::members;
use crate::openai::vectors::{Vector, Vectors};
use crate::providers::failure::no_answer;
use crate::providers::gemini::surface::bare;
use crate::providers::warnings::Warnings;
use crate::providers::{Answer, Error, Target};

/// Most texts of one `batchEmbedContents`.
pub const MAX_BATCH: usize = 100;

/// Most texts of one `predict`.
pub const MAX_INSTANCES: usize = 250;

/// Fields of a request that these APIs read beyond those that every API reads.
const PLACED: &[&str] = &["task_type", "title"];

/// The body for the Gemini API's `batchEmbedContents`.
///
/// # Errors
/// Tokens, too many texts, a field of the wrong type.
pub(crate) fn gemini(
    asked: &Embeddings<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<u8>, Error> {
    let texts = texts(asked, MAX_BATCH, target)?;
    let config = Config::read(asked, false)?;
    warnings.dropped_fields(&asked.fields, &[super::PLACED, PLACED].concat());
    let mut model = Vec::new();
    write_str(&mut model, &format!("models/{}", bare(target.model)));
    let mut out = br#"{"requests":["#.to_vec();
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.mark(b',');
        }
        out.put(br#"{"model":"#);
        out.put(&model);
        out.mark(b',');
        content(&mut out, *text);
        config.write(&mut out, b',');
        out.mark(b'}');
    }
    out.put(b"]}");
    Ok(out)
}

/// Vertex's method for a request, and its body.
///
/// # Errors
/// As [`gemini`].
pub(crate) fn vertex(
    asked: &Embeddings<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(&'static str, Vec<u8>), Error> {
    // A deployment of one's own may have any name; the catalogue's is the model's.
    let model = if target.facts.name.is_empty() { target.model } else { target.facts.name };
    let model = model.rsplit('/').next().unwrap_or(model);
    let (contents, most) = match (model.contains("gemini"), model.contains("maas")) {
        (_, true) => (true, 1),
        (true, false) => (true, MAX_BATCH),
        (false, false) => (false, MAX_INSTANCES),
    };
    let texts = texts(asked, most, target)?;
    let config = Config::read(asked, true)?;
    warnings.dropped_fields(&asked.fields, &[super::PLACED, PLACED, &["auto_truncate"]].concat());
    let mut out = Vec::new();
    let method = match (contents, texts) {
        (true, [text]) => {
            out.mark(b'{');
            content(&mut out, *text);
            config.write_nested(&mut out);
            out.mark(b'}');
            "embedContent"
        }
        (true, texts) => {
            out.put(br#"{"requests":["#);
            for (at, text) in texts.iter().enumerate() {
                out.put(if at > 0 { b",{" } else { b"{" });
                content(&mut out, *text);
                config.write_nested(&mut out);
                out.mark(b'}');
            }
            out.put(b"]}");
            "batchEmbedContents"
        }
        (false, texts) => {
            config.instances(&mut out, texts);
            "predict"
        }
    };
    Ok((method, out))
}

fn content(out: &mut Vec<u8>, text: RawStr<'_>) {
    out.put(br#""content":{"parts":[{"text":"#);
    out.put(text.as_written().as_bytes());
    out.put(b"}]}");
}

/// What is said of all texts.
struct Config<'a> {
    task_type: Option<RawStr<'a>>,
    title: Option<RawStr<'a>>,
    dimensions: Option<u64>,
    /// Only Vertex knows it.
    auto_truncate: Option<bool>,
}

impl<'a> Config<'a> {
    fn read(asked: &Embeddings<'a>, vertex: bool) -> Result<Self, Error> {
        let auto_truncate =
            if vertex { Some(truth(asked, "auto_truncate")?.unwrap_or(false)) } else { None };
        Ok(Self {
            task_type: text(asked, "task_type")?,
            title: text(asked, "title")?,
            dimensions: asked.dimensions,
            auto_truncate,
        })
    }

    /// Appends the members, with `before` in front of the first.
    fn write(&self, out: &mut Vec<u8>, before: u8) {
        let mut before = before;
        let mut member = |name: &str, value: &str| {
            if before != 0 {
                out.push(before);
            }
            before = b',';
            out.put(format!("\"{name}\":{value}").as_bytes());
        };
        if let Some(kind) = self.task_type {
            member("taskType", kind.as_written());
        }
        if let Some(title) = self.title {
            member("title", title.as_written());
        }
        if let Some(dimensions) = self.dimensions {
            member("outputDimensionality", &dimensions.to_string());
        }
        if let Some(truncate) = self.auto_truncate {
            member("autoTruncate", if truncate { "true" } else { "false" });
        }
    }

    fn write_nested(&self, out: &mut Vec<u8>) {
        out.put(br#","embedContentConfig":{"#);
        self.write(out, 0);
        out.mark(b'}');
    }

    /// The older form: kind and title with each text, the rest once.
    fn instances(&self, out: &mut Vec<u8>, texts: &[RawStr<'_>]) {
        out.put(br#"{"instances":["#);
        for (at, text) in texts.iter().enumerate() {
            out.put(if at > 0 { br#",{"content":"# } else { br#"{"content":"# });
            out.put(text.as_written().as_bytes());
            for (name, value) in [("task_type", self.task_type), ("title", self.title)] {
                if let Some(value) = value {
                    let member = format!(",\"{name}\":{}", value.as_written());
                    out.put(member.as_bytes());
                }
            }
            out.mark(b'}');
        }
        out.put(br#"],"parameters":{"#);
        let rest = Self { task_type: None, title: None, ..*self };
        rest.write(out, 0);
        out.put(b"}}");
    }
}

/// An answer of any of the methods.
struct Embedded<'a> {
    embeddings: Option<List<Content<'a>>>,
    embedding: Option<Content<'a>>,
    predictions: Option<List<Prediction<'a>>>,
    usage_metadata: Option<UsageMetadata<'a>>,
}

members!(Embedded<'a> { embeddings, embedding, predictions, usage_metadata "usageMetadata" });

struct Prediction<'a> {
    embeddings: Content<'a>,
}

members!(Prediction<'a> { embeddings (required) });

struct Content<'a> {
    values: &'a RawValue,
    statistics: Option<Statistics<'a>>,
}

members!(Content<'a> { values (required), statistics });

struct Statistics<'a> {
    token_count: Option<&'a RawValue>,
    older_count: Option<&'a RawValue>,
}

members!(Statistics<'a> { token_count, older_count "tokenCount" });

struct UsageMetadata<'a> {
    prompt_token_count: Option<&'a RawValue>,
}

members!(UsageMetadata<'a> { prompt_token_count "promptTokenCount" });

type List<T> = Bounded<T, MAX_INPUTS>;

/// Reads an answer with a status below 300, of whichever method. Older models do not say how many
/// tokens they counted.
///
/// # Errors
/// A body that is no answer, and an error that came with a good status.
pub fn answer(asked: &Embeddings<'_>, target: &Target<'_>, body: &[u8]) -> Result<Answer, Error> {
    let read: Embedded<'_> = super::read(body)?;
    let contents: Vec<Content<'_>> = match (read.embeddings, read.embedding, read.predictions) {
        (Some(list), ..) => list.0,
        (_, Some(one), _) => vec![one],
        (.., Some(list)) => list.0.into_iter().map(|one| one.embeddings).collect(),
        _ => return Err(super::unread(body)),
    };
    let counted = |content: &Content<'_>| {
        let told = content.statistics.as_ref()?;
        told.token_count.or(told.older_count).map(count)
    };
    let total = read.usage_metadata.and_then(|told| told.prompt_token_count).map(count);
    let vectors = Vectors {
        model: target.model.to_owned(),
        prompt_tokens: total.or_else(|| {
            let mut counts = contents.iter().map(counted);
            counts.try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))
        }),
        data: contents
            .iter()
            .map(|content| Vector::read(content.values))
            .collect::<Result<_, _>>()
            .map_err(no_answer)?,
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

    fn on_gemini(request: &str) -> Result<Value, Error> {
        with_target("gemini-embedding-001", |target| {
            let body = gemini(&asked(request), target, &mut Warnings::default())?;
            Ok(serde_json::from_slice(&body).unwrap())
        })
    }

    fn on_vertex(model: &str, request: &str) -> Result<(&'static str, Value), Error> {
        with_target(model, |target| {
            let (method, body) = vertex(&asked(request), target, &mut Warnings::default())?;
            Ok((method, serde_json::from_slice(&body).unwrap()))
        })
    }

    fn read(request: &str, body: &str) -> Result<(Value, Option<u64>), Error> {
        let answer = with_target("m", |target| answer(&asked(request), target, body.as_bytes()))?;
        let json = serde_json::from_slice(&answer.body.apply(body.as_bytes())).unwrap();
        Ok((json, answer.usage.map(|usage| usage.prompt())))
    }

    #[test]
    fn each_text_is_a_request_with_all_that_is_said() {
        assert_eq!(
            on_gemini(r#"{"input":["a","b\u00e9"],"dimensions":256,"task_type":"RETRIEVAL_QUERY","title":"t"}"#).unwrap(),
            json!({"requests": [
                {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]},
                    "taskType": "RETRIEVAL_QUERY", "title": "t", "outputDimensionality": 256},
                {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "bé"}]},
                    "taskType": "RETRIEVAL_QUERY", "title": "t", "outputDimensionality": 256},
            ]})
        );
        assert_eq!(
            on_gemini(r#"{"input":"a"}"#).unwrap(),
            json!({"requests": [{"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}}]})
        );
    }

    #[test]
    fn vertex_has_a_method_for_each_kind_of_model() {
        assert_eq!(
            on_vertex("gemini-embedding-2", r#"{"input":"a","dimensions":8}"#).unwrap(),
            (
                "embedContent",
                json!({"content": {"parts": [{"text": "a"}]},
                "embedContentConfig": {"outputDimensionality": 8, "autoTruncate": false}})
            )
        );
        let config = json!({"autoTruncate": true});
        assert_eq!(
            on_vertex("gemini-embedding-001", r#"{"input":["a","b"],"auto_truncate":true}"#)
                .unwrap(),
            (
                "batchEmbedContents",
                json!({"requests": [
                    {"content": {"parts": [{"text": "a"}]}, "embedContentConfig": config},
                    {"content": {"parts": [{"text": "b"}]}, "embedContentConfig": config},
                ]})
            )
        );
        assert_eq!(
            on_vertex(
                "text-embedding-005",
                r#"{"input":["a"],"task_type":"CLUSTERING","title":"t","dimensions":8}"#
            )
            .unwrap(),
            (
                "predict",
                json!({"instances": [{"content": "a", "task_type": "CLUSTERING", "title": "t"}],
                "parameters": {"outputDimensionality": 8, "autoTruncate": false}})
            )
        );
    }

    #[test]
    fn too_many_texts_and_tokens_are_the_clients_mistake() {
        let many = |count: usize| format!(r#"{{"input":[{}]}}"#, vec!["\"a\""; count].join(","));
        assert!(on_gemini(&many(MAX_BATCH)).is_ok());
        assert!(on_vertex("text-embedding-005", &many(MAX_INSTANCES)).is_ok());
        for error in [
            on_gemini(&many(MAX_BATCH + 1)).unwrap_err(),
            on_gemini(r#"{"input":[1,2]}"#).unwrap_err(),
            on_vertex("text-embedding-005", &many(MAX_INSTANCES + 1)).unwrap_err(),
            on_vertex("e5-large-maas", &many(2)).unwrap_err(),
        ] {
            assert_eq!((error.status, error.param.as_deref()), (400, Some("input")));
        }
        let error = on_gemini(r#"{"input":"a","task_type":7}"#).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("task_type"));
    }

    #[test]
    fn every_methods_answer_is_read() {
        let vectors = json!([{"object": "embedding", "index": 0, "embedding": [0.5]}]);
        for (body, tokens) in [
            (r#"{"embeddings":[{"values":[0.5]}]}"#, None),
            (
                r#"{"embeddings":[{"values":[0.5]}],"usageMetadata":{"promptTokenCount":3}}"#,
                Some(3),
            ),
            (
                r#"{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":3},"truncated":false}"#,
                Some(3),
            ),
            (
                r#"{"predictions":[{"embeddings":{"values":[0.5],"statistics":{"token_count":3.0,"truncated":false}}}]}"#,
                Some(3),
            ),
            (r#"{"predictions":[{"embeddings":{"values":[0.5]}}]}"#, None),
        ] {
            let (json, usage) = read(r#"{"input":"a"}"#, body).unwrap();
            assert_eq!((&json["data"], usage), (&vectors, tokens), "{body}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"embeddings":[]}"#,
            r#"{"embeddings":[{}]}"#,
            r#"{"predictions":[{"embeddings":{"values":[]}}]}"#,
        ] {
            assert_eq!(read(r#"{"input":"a"}"#, body).unwrap_err().status, 502, "{body}");
        }
        let error = r#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#;
        assert_eq!(read(r#"{"input":"a"}"#, error).unwrap_err().status, 429);
    }
}
