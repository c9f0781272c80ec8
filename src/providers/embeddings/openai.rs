//! OpenAI's form, which is the canonical one: what can pass stays byte for byte as it was written.
//!
//! A provider that speaks like OpenAI may know only one of the two encodings, and ignore the other.
//! The vectors are written as the client asked whatever comes back.

use serde_json::value::RawValue;

use super::{check, usage};
use crate::openai::OWN_FIELDS;
use crate::openai::embeddings::{Embeddings, Encoding, MAX_INPUTS};
use crate::openai::json::count;
use crate::openai::json::{Append, RawStr, write_str};
use crate::openai::message::Bounded;
use crate::openai::order::ordered;
use crate::openai::outer::Field;
use crate::openai::place::{from_str, members};
use crate::openai::vectors::{Vector, Vectors};
use crate::providers::failure::{self, no_answer};
use crate::providers::openai::edit::{Splice, span, splice};
use crate::providers::openai::finish::is_truthy;
use crate::providers::{Answer, Error, Payload, Target, answering_model};

/// The request's body: the client's, with the model's name at the provider.
#[must_use]
pub fn body(asked: &Embeddings<'_>, body: &[u8], target: &Target<'_>) -> Payload {
    changed(asked, body, target.model, None)
}

/// The same for a provider that refuses `encoding_format: "base64"`: it is asked for numbers.
#[must_use]
pub fn body_in_floats(asked: &Embeddings<'_>, body: &[u8], target: &Target<'_>) -> Payload {
    let encoding = (asked.encoding == Encoding::Base64).then_some("\"float\"");
    changed(asked, body, target.model, encoding)
}

/// The body with this `model`, and perhaps another `encoding_format`.
fn changed(
    asked: &Embeddings<'_>,
    body: &[u8],
    model: &str,
    encoding: Option<&'static str>,
) -> Payload {
    let mut quoted = Vec::new();
    write_str(&mut quoted, model);
    let mut splices: Vec<Splice> = Vec::new();
    let own = |field: &Field<'_>| OWN_FIELDS.contains(&&*field.name);
    if asked.fields.iter().any(own) {
        let mut out = Vec::with_capacity(body.len() + quoted.len());
        for Field { name, value } in asked.fields.iter().filter(|field| !own(field)) {
            out.push(if out.is_empty() { b'{' } else { b',' });
            write_str(&mut out, name);
            out.mark(b':');
            out.put(match (&**name, encoding) {
                ("model", _) => &quoted,
                ("encoding_format", Some(encoding)) => encoding.as_bytes(),
                _ => value.get().as_bytes(),
            });
        }
        out.mark(b'}');
        return Payload::Whole(out);
    }
    for field in &asked.fields {
        let value = match (&*field.name, encoding) {
            ("model", _) if asked.model != model => {
                String::from_utf8_lossy(&quoted).into_owned().into()
            }
            ("encoding_format", Some(encoding)) => encoding.into(),
            _ => continue,
        };
        splices.extend(span(body, field.value.get()).map(|range| (range, value)));
    }
    let Some(drop) = splices.last().map(|(range, _)| range.end) else { return Payload::Same };
    let mut insert = Vec::with_capacity(drop + model.len() + 16);
    splice(&mut insert, body.get(..drop).unwrap_or_default(), &splices);
    Payload::Prefix { drop, insert }
}

struct List<'a> {
    error: Option<&'a RawValue>,
    object: Option<&'a RawValue>,
    data: Option<Bounded<Entry<'a>, MAX_INPUTS>>,
    model: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
}

members!(List<'a> { error, object, data, model, usage });

struct Entry<'a> {
    object: Option<&'a RawValue>,
    index: Option<&'a RawValue>,
    embedding: &'a RawValue,
}

members!(Entry<'a> { object, index, embedding (required) });

struct Counts<'a> {
    prompt_tokens: Option<&'a RawValue>,
    total_tokens: Option<&'a RawValue>,
}

members!(Counts<'a> { prompt_tokens (written), total_tokens (written) });

/// Reads the body of an answer with a status below 300. One that is canonical already is passed on
/// as it came; of any other only what is canonical is.
///
/// # Errors
/// A body that is no answer, and an error that came with a good status.
pub fn answer(asked: &Embeddings<'_>, target: &Target<'_>, body: &[u8]) -> Result<Answer, Error> {
    let text = std::str::from_utf8(body).map_err(|_| no_answer("text that is not UTF-8"))?;
    let list: List<'_> = from_str(text).map_err(|_| super::unread(body))?;
    if list.error.is_some_and(is_truthy) {
        return Err(failure::in_stream(body));
    }
    let Some(Bounded(entries)) = &list.data else { return Err(super::unread(body)) };
    let places = places(entries)?;
    let mut data: Vec<(usize, Vector<'_>)> = Vec::with_capacity(entries.len());
    for (entry, place) in entries.iter().zip(places) {
        data.push((place, Vector::read(entry.embedding).map_err(no_answer)?));
    }
    let in_order = data.is_sorted_by_key(|(place, _)| *place);
    let data = ordered(data, |(place, _)| *place);
    let counts = list.usage.and_then(|usage| from_str::<Counts<'_>>(usage.get()).ok());
    let tokens = |counts: &Counts<'_>| counts.prompt_tokens.or(counts.total_tokens).map(count);
    let vectors = Vectors {
        model: answering_model(list.model.and_then(RawStr::from_raw), target.model),
        data: data.into_iter().map(|(_, vector)| vector).collect(),
        prompt_tokens: counts.as_ref().and_then(tokens),
    };
    let told = counts.is_some_and(|c| c.prompt_tokens.is_some() && c.total_tokens.is_some());
    if in_order && told && is_canonical(&list, entries, &vectors, asked.encoding) {
        check(asked, &vectors)?;
        vectors.data.iter().try_for_each(Vector::check).map_err(no_answer)?;
        return Ok(Answer { body: Payload::Same, usage: usage(vectors.prompt_tokens) });
    }
    super::answer(asked, &vectors)
}

/// The input that each entry is for.
fn places(entries: &[Entry<'_>]) -> Result<Vec<usize>, Error> {
    let mut seen = vec![false; entries.len()];
    let mut places = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let place = match entry.index {
            Some(index) => index.get().parse().ok(),
            None => Some(at),
        };
        match place.and_then(|place: usize| Some((place, seen.get_mut(place)?))) {
            Some((place, seen)) if !*seen => {
                *seen = true;
                places.push(place);
            }
            _ => return Err(no_answer("vectors whose indexes are not 0, 1, 2 and so on")),
        }
    }
    Ok(places)
}

fn is_canonical(
    list: &List<'_>,
    entries: &[Entry<'_>],
    vectors: &Vectors<'_>,
    encoding: Encoding,
) -> bool {
    let is = |raw: Option<&RawValue>, word: &str| raw.is_some_and(|raw| raw.get() == word);
    is(list.object, "\"list\"")
        && list.model.and_then(RawStr::from_raw).is_some_and(|model| !model.is_empty())
        && entries.iter().all(|entry| is(entry.object, "\"embedding\"") && entry.index.is_some())
        && vectors.data.iter().all(|vector| vector.encoding() == encoding)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;
    use crate::openai::{Class, Usage};
    use crate::providers::embeddings::tests::with_target;

    fn sent(json: &str, model: &str, floats: bool) -> (Payload, String) {
        let asked = Embeddings::parse(json.as_bytes()).unwrap();
        let write = if floats { body_in_floats } else { body };
        let payload = with_target(model, |target| write(&asked, json.as_bytes(), target));
        let text = String::from_utf8(payload.apply(json.as_bytes()).into_owned()).unwrap();
        (payload, text)
    }

    fn read(asked: &str, answer_body: &str) -> Result<(Payload, Value, Option<Usage>), Error> {
        let asked = Embeddings::parse(asked.as_bytes()).unwrap();
        let answer = with_target("m", |target| answer(&asked, target, answer_body.as_bytes()))?;
        let json = serde_json::from_slice(&answer.body.apply(answer_body.as_bytes())).unwrap();
        Ok((answer.body, json, answer.usage))
    }

    const ONE: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,1]}],"model":"m-1","usage":{"prompt_tokens":3,"total_tokens":3}}"#;

    #[test]
    fn only_the_models_name_is_changed() {
        let asked = r#"{"input":"x" , "model":"a","dimensions":3, "new":1.0}"#;
        assert_eq!(sent(asked, "a", false).0, Payload::Same);
        let (payload, text) = sent(asked, "b", false);
        assert_eq!(text, r#"{"input":"x" , "model":"b","dimensions":3, "new":1.0}"#);
        assert!(matches!(payload, Payload::Prefix { .. }));
    }

    #[test]
    fn what_is_asked_of_the_gateway_is_not_sent() {
        for (asked, expected) in [
            (r#"{"models":["c"],"input":"x","model":"a"}"#, r#"{"input":"x","model":"b"}"#),
            (
                r#"{"input":"x","usage":{"include":true},"model":"a"}"#,
                r#"{"input":"x","model":"b"}"#,
            ),
            (r#"{"model":"a","input":"x","models":null}"#, r#"{"model":"b","input":"x"}"#),
        ] {
            assert_eq!(sent(asked, "b", false).1, expected);
        }
        let asked = r#"{"encoding_format":"base64","models":[],"model":"a","input":"x"}"#;
        assert_eq!(
            sent(asked, "a", true).1,
            r#"{"encoding_format":"float","model":"a","input":"x"}"#
        );
    }

    #[test]
    fn a_provider_without_base64_is_asked_for_numbers() {
        let asked = r#"{"encoding_format":"base64","model":"a","input":"x"}"#;
        assert_eq!(
            sent(asked, "b", true).1,
            r#"{"encoding_format":"float","model":"b","input":"x"}"#
        );
        assert_eq!(
            sent(asked, "a", true).1,
            r#"{"encoding_format":"float","model":"a","input":"x"}"#
        );
        assert_eq!(sent(r#"{"model":"a","input":"x"}"#, "a", true).0, Payload::Same);
    }

    #[test]
    fn a_canonical_answer_is_passed_on_as_it_came() {
        let (payload, _, usage) = read(r#"{"input":"x"}"#, ONE).unwrap();
        assert_eq!(payload, Payload::Same);
        assert_eq!(usage.unwrap().prompt(), 3);
    }

    #[test]
    fn numbers_become_base64_where_that_was_asked_for_and_the_reverse() {
        let (_, json, _) = read(r#"{"input":"x","encoding_format":"base64"}"#, ONE).unwrap();
        assert_eq!(json["data"][0]["embedding"], "zczMPQAAgD8=");
        let base64 = ONE.replace("[0.10,1]", "\"zczMPQAAgD8=\"");
        let (_, json, _) = read(r#"{"input":"x"}"#, &base64).unwrap();
        assert_eq!(json["data"][0]["embedding"], json!([0.1, 1.0]));
        let (payload, json, _) =
            read(r#"{"input":"x","encoding_format":"base64"}"#, &base64).unwrap();
        assert_eq!(json["data"][0]["embedding"], "zczMPQAAgD8=");
        assert_eq!(payload, Payload::Same);
    }

    #[test]
    fn what_is_missing_is_filled_in_and_the_order_is_that_of_the_inputs() {
        let (_, json, usage) = read(
            r#"{"input":["x","y"]}"#,
            r#"{"data":[{"index":1,"embedding":[2.0]},{"index":0,"embedding":[1.0]}],"model":""}"#,
        )
        .unwrap();
        assert_eq!(
            json,
            json!({"object":"list","data":[
                {"object":"embedding","index":0,"embedding":[1.0]},
                {"object":"embedding","index":1,"embedding":[2.0]}],
                "model":"m","usage":{"prompt_tokens":0,"total_tokens":0}})
        );
        assert_eq!(usage, None);
    }

    #[test]
    fn what_is_no_answer_is_the_providers_fault() {
        for (asked, body) in [
            (r#"{"input":"x"}"#, ""),
            (r#"{"input":"x"}"#, "<html>"),
            (r#"{"input":"x"}"#, "{}"),
            (r#"{"input":"x"}"#, r#"{"data":[]}"#),
            (r#"{"input":"x"}"#, r#"{"data":[{"embedding":null}]}"#),
            (r#"{"input":"x"}"#, r#"{"data":[{"embedding":[1]},{"embedding":[1]}]}"#),
            (
                r#"{"input":["x","y"]}"#,
                r#"{"data":[{"index":1,"embedding":[1]},{"index":1,"embedding":[1]}]}"#,
            ),
            (r#"{"input":["x","y"]}"#, r#"{"data":[{"embedding":[1]},{"embedding":[1,2]}]}"#),
            (r#"{"input":"x","dimensions":2}"#, r#"{"data":[{"embedding":[1]}]}"#),
            (
                r#"{"input":"x","encoding_format":"base64"}"#,
                r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"!!!"}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
            ),
        ] {
            let error = read(asked, body).unwrap_err();
            assert_eq!((error.class, error.status), (Class::Server, 502), "{body}");
        }
    }

    #[test]
    fn an_error_with_a_good_status_is_an_error() {
        let body = r#"{"error":{"message":"slow down","code":429}}"#;
        assert_eq!(read(r#"{"input":"x"}"#, body).unwrap_err().class, Class::RateLimit);
    }
}
