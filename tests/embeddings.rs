//! What holds for any request for vectors and any answer to it, whoever the provider is.
#![cfg(not(target_arch = "wasm32"))]

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use waypost::cli::translate::embeddings::{self, Asked};
use waypost::cli::translate::{Provider, Received};
use waypost::openai::Embeddings;
use waypost::providers::catalogue::{Catalogue, Mode};
use waypost::providers::registry::APIS;

/// Each API with every model of its family that makes vectors, and one that nobody knows.
static TARGETS: LazyLock<Vec<(Provider, Vec<String>)>> = LazyLock::new(|| {
    let catalogue = Catalogue::builtin();
    let target = |api: &waypost::providers::registry::Api| {
        let known = catalogue.models(api.family).filter(|(_, facts)| facts.mode == Mode::Embedding);
        let mut models: Vec<String> = known.map(|(model, _)| model.to_owned()).collect();
        models.push("unknown-model".to_owned());
        Some((Provider::new(api.name, None).ok()?, models))
    };
    APIS.iter().filter_map(target).collect()
});

/// Words of the program and of its parser, which no client should read.
const INSIDE: &[&str] = &[
    "struct ",
    "variant",
    "RawValue",
    "`Option",
    "sequence",
    "map",
    "u64",
    "u32",
    "f64",
    "integer",
    "floating",
    " at line ",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z ]{1,12}",
        1 => select(vec![" ", "\n", "\"", "\\", "é", "😀", "\u{0}", "</s>", "{}", "null", "\u{2028}"])
            .prop_map(str::to_owned),
    ]
}

fn input() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        vec(text(), 1..120).prop_map(Value::from),
        vec(any::<u32>(), 1..9).prop_map(Value::from),
        vec(vec(any::<u32>(), 1..9), 1..9).prop_map(Value::from),
    ]
}

fn request() -> impl Strategy<Value = Value> {
    let optional = (
        proptest::option::of(1_u64..4096),
        proptest::option::of(select(vec!["float", "base64"])),
        proptest::option::of(text()),
        proptest::option::of(select(vec![
            ("input_type", json!("search_query")),
            ("task_type", json!("CLUSTERING")),
            ("title", json!("t")),
            ("truncate", json!("END")),
            ("auto_truncate", json!(true)),
            ("normalize", json!(false)),
            ("output_dtype", json!("float")),
            ("new", json!({"a": [1.0]})),
        ])),
    );
    (input(), optional).prop_map(|(input, (dimensions, encoding, user, own))| {
        let mut request =
            Map::from_iter([("model".to_owned(), json!("m")), ("input".to_owned(), input)]);
        request.extend(dimensions.map(|count| ("dimensions".to_owned(), json!(count))));
        request.extend(encoding.map(|word| ("encoding_format".to_owned(), json!(word))));
        request.extend(user.map(|user| ("user".to_owned(), json!(user))));
        request.extend(own.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(request)
    })
}

fn translated(provider: &Provider, model: &str, body: &str) -> (u8, Value) {
    let printed = embeddings::request(provider, Some(model), body.as_bytes());
    (printed.exit, serde_json::from_slice(&printed.bytes).unwrap_or_default())
}

/// What OpenAI would answer: a vector of `size` numbers for each input.
fn openai_answer(vectors: &[Vec<f32>], encoding: &str) -> String {
    let list: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding = match encoding {
                "base64" => json!(base64(vector)),
                _ => json!(vector),
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
    json!({"object": "list", "data": list, "model": "m", "usage": usage}).to_string()
}

/// Written here by hand, so that it does not agree with the program by being the program.
fn base64(vector: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * place) & 63) as usize);
            out.extend(
                letter.map(|letter| if place <= three.len() { char::from(*letter) } else { '=' }),
            );
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_request_is_translated_for_every_provider_or_refused_with_a_param(request in request()) {
        let body = request.to_string();
        for (provider, models) in TARGETS.iter() {
            for model in models {
                let (exit, json) = translated(provider, model, &body);
                if exit == 0 {
                    prop_assert!(json["body"].is_object(), "{json}");
                    prop_assert!(json["path"].as_str().is_some_and(|path| path.starts_with('/')));
                } else {
                    prop_assert_eq!(&json["status"], 400);
                    prop_assert!(json["error"]["param"].is_string(), "{}", json);
                }
            }
        }
    }

    #[test]
    fn what_is_asked_for_as_floats_or_base64_is_the_same_vector(
        (vectors, size) in (1_usize..20).prop_flat_map(|size| {
            (vec(vec(any::<f32>().prop_filter("finite", |n| n.is_finite()), size), 1..5), Just(size))
        }),
        sent in select(vec!["float", "base64"]),
        wanted in select(vec!["float", "base64"]),
    ) {
        let provider = Provider::new("openai", None).unwrap();
        let input = vec!["a"; vectors.len()];
        let request = json!({"model": "m", "input": input, "encoding_format": wanted, "dimensions": size});
        let request = request.to_string();
        let asked = Asked::parse(request.as_bytes()).unwrap();
        let body = openai_answer(&vectors, sent).into_bytes();
        let received = Received { status: 200, headers: Vec::new(), body };
        let printed = embeddings::response(&provider, &asked, &received);
        let json: Value = serde_json::from_slice(&printed.bytes).unwrap();
        for (index, vector) in vectors.iter().enumerate() {
            let got = &json["body"]["data"][index]["embedding"];
            if wanted == "base64" {
                prop_assert_eq!(got, &json!(base64(vector)), "{}", json);
            } else {
                let numbers: Vec<f32> = serde_json::from_value(got.clone()).unwrap();
                let bits = |numbers: &[f32]| numbers.iter().map(|n| n.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&numbers), bits(vector));
            }
        }
    }

    #[test]
    fn whatever_is_answered_is_canonical_or_an_error(
        body in "\\PC{0,80}",
        wrapped in select(vec![
            r#"{"data":X}"#, r#"{"data":[{"embedding":X}]}"#, r#"{"embeddings":X}"#,
            r#"{"embeddings":[{"values":X}]}"#, r#"{"embeddings":{"float":X}}"#,
            r#"{"predictions":[{"embeddings":{"values":X}}]}"#, r#"{"embedding":X}"#, "X",
        ]),
        inner in select(vec!["", "[]", "[1]", "[[1]]", "[null]", "{}", "null", "\"\"", "\"AACAPw==\"", "[1e999]", "7"]),
    ) {
        let inner = if inner.is_empty() { body } else { inner.to_owned() };
        let body = wrapped.replace('X', &inner);
        for (provider, models) in TARGETS.iter() {
            for model in models {
                let request = json!({"model": model, "input": "a", "encoding_format": "base64"}).to_string();
                let asked = Asked::parse(request.as_bytes()).unwrap();
                let received = Received { status: 200, headers: Vec::new(), body: body.clone().into_bytes() };
                let printed = embeddings::response(provider, &asked, &received);
                let json: Value = serde_json::from_slice(&printed.bytes).unwrap();
                if json.get("class").is_some() {
                    prop_assert!(json["body"]["error"]["message"].is_string(), "{}", json);
                } else {
                    prop_assert_eq!(&json["body"]["data"][0]["embedding"], "AACAPw==", "{}", body);
                }
            }
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_told_in_the_words_of_json() {
    let wrong = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!([]),
        json!([[]]),
        json!([{}]),
        json!({}),
        json!([["x"]]),
        json!([1, null]),
    ];
    let mut refused = 0;
    for name in [
        "model",
        "input",
        "dimensions",
        "encoding_format",
        "input_type",
        "truncate",
        "task_type",
        "title",
        "auto_truncate",
        "normalize",
        "output_dtype",
    ] {
        for value in &wrong {
            let mut request =
                json!({"model": "m", "input": "a", "dimensions": 1, "encoding_format": "float"});
            request[name] = value.clone();
            let body = request.to_string();
            for (provider, models) in TARGETS.iter() {
                for model in models {
                    let (exit, json) = translated(provider, model, &body);
                    let param = json["error"]["param"].as_str().unwrap_or_default();
                    if exit == 0 || param == "model" && name != "model" {
                        continue;
                    }
                    refused += 1;
                    assert!(
                        param.starts_with(name) || param == "dimensions",
                        "{name} {value}: {json}"
                    );
                    let message = json["error"]["message"].as_str().unwrap_or_default();
                    for word in INSIDE {
                        assert!(!message.contains(word), "{word:?} in {message}");
                    }
                }
            }
        }
    }
    assert!(refused > 100, "only {refused} were refused");
    assert!(Embeddings::parse(b"[]").is_err());
}
