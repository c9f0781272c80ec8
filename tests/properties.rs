//! What holds for any request, any answer and any stream, whoever the provider is.
#![cfg(not(target_arch = "wasm32"))]

#[path = "support/fixtures.rs"]
mod fixtures;
#[path = "support/rules.rs"]
mod rules;

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use waypost::cli::translate::{self, Asked, Provider, Received};
use waypost::openai::Chat;
use waypost::providers::catalogue::Catalogue;
use waypost::providers::registry::APIS;

use fixtures::{Files, files};

static FILES: LazyLock<Files> = LazyLock::new(files);

/// Each API with every model of its family and one that nobody knows.
static TARGETS: LazyLock<Vec<(Provider, Vec<String>)>> = LazyLock::new(|| {
    let catalogue = Catalogue::builtin();
    let entries = [
        json!({}),
        json!({"parameters": {"unsupported": "drop"}}),
        json!({"parameters": {"out_of_range": "reject"}}),
    ];
    let apis = APIS.iter().flat_map(|api| entries.iter().map(move |entry| (api, entry)));
    apis.filter_map(|(api, entry)| {
        let mut models: Vec<String> =
            catalogue.models(api.family).map(|(model, _)| model.to_owned()).collect();
        models.push("unknown-model".to_owned());
        Some((Provider::new(api.name, Some(entry)).ok()?, models))
    })
    .collect()
});

#[test]
fn every_api_is_asked_under_every_policy() {
    assert_eq!(TARGETS.len(), 3 * APIS.len());
}

/// Texts that are easily got wrong.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z ]{1,12}",
        1 => select(vec!["", " ", "\n", "\"", "\\", "é", "😀", "\u{0}", "</s>", "{}", "null", "\u{2028}"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,64}"
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any_text(), inner), 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// An object that holds a random choice of these fields.
fn some_of(
    fields: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> impl Strategy<Value = Map<String, Value>> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| {
            proptest::option::weighted(0.2, value)
                .prop_map(move |value| Some((name.to_owned(), value?)))
        })
        .collect();
    fields.prop_map(|fields| fields.into_iter().flatten().collect())
}

fn part() -> impl Strategy<Value = Value> {
    let urls = [
        "https://example.com/a.png",
        "https://example.com/a.pdf",
        "data:image/png;base64,iVBORw0KGgo=",
        "data:application/pdf;base64,JVBERi0=",
        "data:text/plain,hello",
        "data:,",
        "",
    ];
    prop_oneof![
        4 => any_text().prop_map(|text| json!({"type": "text", "text": text})),
        2 => select(urls.to_vec()).prop_map(|url| json!({"type": "image_url", "image_url": {"url": url, "detail": "low"}})),
        1 => Just(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
        1 => select(urls.to_vec()).prop_map(|data| json!({"type": "file", "file": {"file_data": data, "filename": "a.pdf"}})),
        1 => Just(json!({"type": "file", "file": {"file_id": "file-1"}})),
    ]
}

fn call() -> impl Strategy<Value = Value> {
    let arguments = prop_oneof![
        any_json().prop_map(|json| json.to_string()),
        select(vec!["", "{}", "{", "[1]", "{\"a\":1,\"a\":2}", "{\"n\":12345678901234567890.10}"])
            .prop_map(str::to_owned),
    ];
    ("[a-z_.:]{1,12}", name(), arguments).prop_map(|(id, name, arguments)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    })
}

fn message() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => (select(vec!["system", "developer"]), any_text())
            .prop_map(|(role, content)| json!({"role": role, "content": content})),
        3 => any_text().prop_map(|content| json!({"role": "user", "content": content})),
        2 => vec(part(), 1..4).prop_map(|content| json!({"role": "user", "content": content})),
        2 => any_text().prop_map(|content| json!({"role": "assistant", "content": content})),
        2 => (proptest::option::of(any_text()), vec(call(), 1..3))
            .prop_map(|(content, calls)| json!({"role": "assistant", "content": content, "tool_calls": calls})),
        1 => any_text().prop_map(|thought| json!({"role": "assistant", "content": "x", "reasoning_content": thought,
            "thinking_blocks": [{"type": "thinking", "thinking": thought, "signature": "s"}]})),
        2 => ("[a-z_.:]{1,12}", any_text())
            .prop_map(|(id, content)| json!({"role": "tool", "tool_call_id": id, "content": content})),
    ]
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let tool = (name(), proptest::option::of(any_json())).prop_map(|(name, schema)| {
        let properties = schema.filter(Value::is_object).unwrap_or_else(|| json!({}));
        json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}})
    });
    let formats = vec![
        json!({"type": "text"}),
        json!({"type": "json_object"}),
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}}),
        json!({"type": "json_schema", "json_schema": {"name": "n"}}),
    ];
    let efforts = vec!["none", "minimal", "low", "medium", "high", "xhigh", "max", "much"];
    some_of(vec![
        ("tools", vec(prop_oneof![4 => tool.boxed(), 1 => Just(json!({"type": "custom", "custom": {"name": "c"}})).boxed()], 0..3).prop_map(Value::from).boxed()),
        ("tool_choice", select(vec![json!("auto"), json!("none"), json!("required"), Value::Null]).boxed()),
        ("parallel_tool_calls", any::<bool>().prop_map(Value::from).boxed()),
        ("temperature", (0.0..=2.0).prop_map(Value::from).boxed()),
        ("top_p", (0.0..=1.0).prop_map(Value::from).boxed()),
        ("presence_penalty", (-2.0..=2.0).prop_map(Value::from).boxed()),
        ("frequency_penalty", Just(json!(0)).boxed()),
        ("n", (1..4).prop_map(Value::from).boxed()),
        ("max_tokens", (1..200_000).prop_map(Value::from).boxed()),
        ("max_completion_tokens", (1_u64..=u64::MAX).prop_map(Value::from).boxed()),
        ("stop", prop_oneof![any_text().prop_map(Value::from), vec(any_text(), 0..5).prop_map(Value::from)].boxed()),
        ("response_format", select(formats).boxed()),
        ("reasoning_effort", select(efforts).prop_map(Value::from).boxed()),
        ("stream", any::<bool>().prop_map(Value::from).boxed()),
        ("logprobs", any::<bool>().prop_map(Value::from).boxed()),
        ("top_logprobs", (0..20).prop_map(Value::from).boxed()),
        ("user", any_text().prop_map(Value::from).boxed()),
        ("seed", any::<i64>().prop_map(Value::from).boxed()),
        ("metadata", any_json().boxed()),
        ("service_tier", any_text().prop_map(Value::from).boxed()),
        ("logit_bias", any_json().boxed()),
        ("modalities", select(vec![json!(["text"]), json!(["text", "audio"]), json!(7)]).boxed()),
        ("web_search_options", any_json().boxed()),
        ("verbosity", any_json().boxed()),
        ("store", any_json().boxed()),
        ("a_field_of_tomorrow", any_json().boxed()),
    ])
}

fn request() -> impl Strategy<Value = String> {
    (vec(message(), 1..6), fields()).prop_map(|(messages, mut body)| {
        // What would only be refused before any dialect has seen it.
        if body.contains_key("top_logprobs") {
            body.insert("logprobs".to_owned(), json!(true));
        }
        if body.get("tools").is_none_or(|tools| tools.as_array().is_none_or(Vec::is_empty)) {
            body.remove("tool_choice");
        }
        body.insert("model".to_owned(), json!("m"));
        body.insert("messages".to_owned(), json!(messages));
        Value::from(body).to_string()
    })
}

/// The fixtures whose name ends like this.
fn fixtures(end: &'static str) -> Vec<(&'static str, &'static [u8])> {
    let files = FILES.iter().filter(|(path, _)| path.ends_with(end));
    let found: Vec<_> = files.map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    assert!(!found.is_empty(), "no fixture *{end}");
    found
}

/// `bytes` with some of them changed, dropped or doubled.
fn damage(bytes: &[u8], hits: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for (place, kind, byte) in hits {
        if damaged.is_empty() {
            break;
        }
        let at = place.index(damaged.len());
        match kind % 4 {
            0 => damaged.truncate(at),
            1 => drop(damaged.remove(at)),
            2 => damaged.insert(at, *byte),
            _ => damaged.splice(at..=at, [*byte]).for_each(drop),
        }
    }
    damaged
}

fn hits() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    vec((any::<Index>(), any::<u8>(), any::<u8>()), 0..6)
}

/// `bytes` cut at these places.
fn cut<'b>(bytes: &'b [u8], places: &[Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places.into_iter().chain([bytes.len()]) {
        pieces.extend(bytes.get(from..place));
        from = place;
    }
    pieces
}

/// The stream in canonical form, whole and cut: both must be the same, and must have an end.
fn check_stream(
    provider: &Provider,
    asked: &[u8],
    stream: &[u8],
    places: &[Index],
) -> Result<Vec<u8>, TestCaseError> {
    let asked = Asked::parse(asked).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let whole = translate::stream(provider, &asked, [stream]).bytes;
    let pieces = translate::stream(provider, &asked, cut(stream, places)).bytes;
    prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&pieces));
    let events = rules::events(&whole).map_err(TestCaseError::fail)?;
    let last = events.last().copied().unwrap_or_default();
    prop_assert!(
        last == "[DONE]" || last.starts_with("{\"error\":{\"message\":"),
        "the end is {last}"
    );
    Ok(whole)
}

/// What `translate response` prints. The body stays as it is written: a lone surrogate is passed on,
/// and not every reader takes one.
#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    class: Option<&'a str>,
}

fn check_response(provider: &Provider, status: u16, body: Vec<u8>) -> Result<(), TestCaseError> {
    let headers = vec![("retry-after".to_owned(), "1".to_owned())];
    let received = Received { status, headers, body };
    let printed = translate::response(provider, &Asked::nothing(), &received);
    let printed: Response<'_> =
        serde_json::from_slice(&printed.bytes).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert!(printed.body.get().starts_with('{'), "{}", printed.body);
    prop_assert!((200..300).contains(&status) || printed.class.is_some(), "{}", printed.body);
    Ok(())
}

proptest! {
    // The input that fails is printed; make a fixture or a unit test of it.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_request_is_translated_or_a_field_is_blamed(body in request(), model in any::<Index>()) {
        let valid = Chat::parse(body.as_bytes()).and_then(|chat| chat.validate());
        for (provider, models) in TARGETS.iter() {
            let model = model.get(models);
            let printed = translate::request(provider, Some(model), body.as_bytes());
            let json: Value = serde_json::from_slice(&printed.bytes).unwrap_or_default();
            if printed.exit == 0 {
                prop_assert!(valid.is_ok());
                prop_assert!(json["body"].is_object(), "{json}");
                prop_assert!(json["path"].as_str().is_some_and(|path| path.starts_with('/')));
                for name in json["headers"].as_object().into_iter().flat_map(Map::keys) {
                    prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
                    prop_assert!(name != "content-length" && name != "host" && name != "authorization");
                }
            } else {
                prop_assert_eq!(&json["status"], 400, "{}", json);
                prop_assert!(json["error"]["param"].is_string(), "{model}: {json}");
            }
        }
    }

    #[test]
    fn a_stream_may_be_cut_anywhere(fixture in any::<Index>(), places in vec(any::<Index>(), 0..20)) {
        let fixtures = fixtures(".in.sse");
        let (path, stream) = fixture.get(&fixtures);
        let api = path.split('/').next().unwrap_or_default();
        let provider = Provider::new(api, None).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let out = check_stream(&provider, b"{}", stream, &places)?;
        rules::check(&out, false).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_damaged_stream_still_has_an_end(
        fixture in any::<Index>(), hits in hits(), places in vec(any::<Index>(), 0..8), usage in any::<bool>()
    ) {
        let fixtures = fixtures(".in.sse");
        let stream = damage(fixture.get(&fixtures).1, &hits);
        let asked = json!({"stream": true, "stream_options": {"include_usage": usage}}).to_string();
        for (provider, _) in TARGETS.iter() {
            check_stream(provider, asked.as_bytes(), &stream, &places)?;
        }
        // A dialect that writes every chunk itself keeps the rules whatever it is sent.
        let provider = Provider::new("anthropic", None).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let out = check_stream(&provider, asked.as_bytes(), &stream, &places)?;
        rules::check(&out, usage).map_err(|e| TestCaseError::fail(format!("{e}\n{}", String::from_utf8_lossy(&out))))?;
    }

    #[test]
    fn any_bytes_make_a_stream_with_an_end(stream in vec(any::<u8>(), 0..400), places in vec(any::<Index>(), 0..8)) {
        for (provider, _) in TARGETS.iter() {
            check_stream(provider, b"{}", &stream, &places)?;
        }
    }

    #[test]
    fn any_bytes_make_a_request_or_a_refusal(body in vec(any::<u8>(), 0..400)) {
        for (provider, _) in TARGETS.iter() {
            let printed = translate::request(provider, None, &body);
            prop_assert_eq!(printed.exit, 1);
        }
    }

    #[test]
    fn any_bytes_make_an_answer_or_an_error(body in vec(any::<u8>(), 0..400), status in 100_u16..600) {
        for (provider, _) in TARGETS.iter() {
            check_response(provider, status, body.clone())?;
        }
    }

    #[test]
    fn any_json_makes_an_answer_or_an_error(body in any_json(), status in 100_u16..600) {
        for (provider, _) in TARGETS.iter() {
            check_response(provider, status, body.to_string().into_bytes())?;
        }
    }

    #[test]
    fn a_damaged_answer_makes_an_answer_or_an_error(fixture in any::<Index>(), hits in hits()) {
        let mut bodies: Vec<Vec<u8>> = fixtures(".answer.json").iter().map(|(_, body)| body.to_vec()).collect();
        for (path, file) in fixtures(".json") {
            let case: Value = serde_json::from_slice(file).unwrap_or_default();
            if path.contains("/response/") || path.contains("/error/") {
                bodies.push(case["body"].to_string().into_bytes());
            }
        }
        let body: &Vec<u8> = fixture.get(&bodies);
        let body = damage(body, &hits);
        for (provider, _) in TARGETS.iter() {
            check_response(provider, 200, body.clone())?;
            check_response(provider, 400, body.clone())?;
        }
    }
}
