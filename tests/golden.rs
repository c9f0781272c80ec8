//! Every dialect against its fixtures: what `waypost translate` prints for them, byte by byte and in
//! any pieces.
//!
//! | file under `tests/golden` | holds |
//! |---|---|
//! | `<api>/request/<case>.json` | `why`, `model`, `provider`, `request` or `request_text`, `expect` |
//! | `<api>/response/<case>.json`, `<api>/error/<case>.json` | `why`, `status`, `headers`, `request`, `body` or `body_text`, `expect` |
//! | `<api>/embeddings_request/<case>.json`, `<api>/embeddings_response/<case>.json` | the same for vectors |
//! | `<api>/stream/<case>.in.sse` | what the provider sends |
//! | `<api>/stream/<case>.in.jsonl` | the same in frames of Amazon's event stream, a line each: see `support::frames` |
//! | `<api>/stream/<case>.out.sse` | what the client gets for it |
//! | `<api>/stream/<case>.request.json` | what the client asked, as far as it matters |
//! | `<api>/stream/<case>.answer.json` | the same answer as the provider gives it in one piece |
//!
//! `UPDATE_GOLDEN=1` writes `expect` and `.out.sse` from what is printed. Each is a claim: read the
//! difference.

mod support;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
use waypost::cli::translate::{self, Asked, Printed, Provider, Received, embeddings};
use waypost::providers::registry::APIS;

use support::fixtures::{Files, files};
use support::{Random, fold, frames, rules};

const KINDS: [&str; 5] = ["request", "response", "error", "stream", "embeddings_request"];

/// What providers answer to a request for vectors: a dialect whose provider makes none has no fixture.
const VECTORS: &str = "embeddings_response";

/// How often each stream is cut at random places.
const RANDOM_CUTS: u64 = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case<'a> {
    #[serde(rename = "why")]
    _why: Option<String>,
    model: Option<String>,
    provider: Option<Value>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    request_text: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    body_text: Option<String>,
    #[serde(borrow)]
    expect: Option<&'a RawValue>,
}

#[test]
fn every_dialect_has_fixtures_of_every_kind_and_no_others() {
    let files = files();
    let mut folders: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in files.keys() {
        match path.split('/').collect::<Vec<_>>().as_slice() {
            [api, kind, file] if fits(kind, file) => *folders.entry((api, kind)).or_default() += 1,
            _ => wrong.push(format!("{path}: not a fixture")),
        }
        if let Some(case) = path.strip_suffix(".out.sse")
            && !["sse", "jsonl"].iter().any(|form| files.contains_key(&format!("{case}.in.{form}")))
        {
            wrong.push(format!("{path}: what comes out of nothing?"));
        }
    }
    for api in APIS {
        for kind in KINDS {
            if folders.remove(&(api.name, kind)).is_none() {
                wrong.push(format!("{}/{kind}: no fixture", api.name));
            }
        }
    }
    folders.retain(|(api, kind), _| {
        !(*kind == VECTORS && APIS.iter().any(|known| known.name == *api))
    });
    wrong.extend(folders.keys().map(|(api, kind)| format!("{api}/{kind}: no such api or kind")));
    none(&wrong);
}

#[test]
fn requests_become_the_providers() {
    run("request", |provider, case| {
        let body = text(case.request, case.request_text.as_deref()).ok_or("no request")?;
        Ok(translate::request(provider, case.model.as_deref(), body.as_bytes()))
    });
}

#[test]
fn answers_become_canonical() {
    run("response", respond);
}

#[test]
fn refusals_become_canonical_and_are_classified() {
    run("error", |provider, case| {
        let printed = respond(provider, case)?;
        let json: Value = serde_json::from_slice(&printed.bytes).map_err(|e| e.to_string())?;
        match ["class", "retryable", "failover"].iter().find(|name| json.get(**name).is_none()) {
            Some(name) => Err(format!("no error: {name:?} is missing in {json}")),
            None => Ok(printed),
        }
    });
}

#[test]
fn requests_for_vectors_become_the_providers() {
    run("embeddings_request", |provider, case| {
        let body = text(case.request, case.request_text.as_deref()).ok_or("no request")?;
        Ok(embeddings::request(provider, case.model.as_deref(), body.as_bytes()))
    });
}

#[test]
fn vectors_become_canonical() {
    run("embeddings_response", |provider, case| {
        let asked = text(case.request, case.request_text.as_deref()).unwrap_or("{}");
        let asked = embeddings::Asked::parse(asked.as_bytes()).map_err(|e| e.to_string())?;
        Ok(embeddings::response(provider, &asked, &received(case)?))
    });
}

#[test]
fn streams_become_canonical_and_keep_the_rules() {
    let files = files();
    let mut wrong = Vec::new();
    for case in streams(&files) {
        let whole = match case.translate([&*case.sent]) {
            Ok(whole) => whole,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        if let Err(broken) = rules::check(&whole, case.include_usage()) {
            wrong.push(format!("{}: {broken}", case.name));
        }
        let out = format!("{}.out.sse", case.name);
        if files.get(&out).is_some_and(|out| *out == whole) {
            continue;
        }
        if update(&out, &whole) {
            continue;
        }
        wrong.push(match files.get(&out) {
            Some(expected) => format!("{out}: {}", difference(expected, &whole)),
            None => format!("{out}: missing; it should perhaps be:\n{}", lossy(&whole)),
        });
    }
    none(&wrong);
}

#[test]
fn how_a_stream_is_cut_changes_nothing() {
    let files = files();
    let mut wrong = Vec::new();
    for case in streams(&files) {
        if let Err(error) = case.any_cuts() {
            wrong.push(format!("{}: {error}", case.name));
        }
    }
    none(&wrong);
}

#[test]
fn a_stream_tells_the_same_as_the_whole_answer() {
    let files = files();
    let mut wrong = Vec::new();
    for case in streams(&files) {
        let Some(answer) = files.get(&format!("{}.answer.json", case.name)) else { continue };
        if let Err(error) = case.tells(answer) {
            wrong.push(format!("{}: {error}", case.name));
        }
    }
    none(&wrong);
}

/// Runs each case of a kind and compares what is printed, as JSON, with what is expected.
fn run(kind: &str, print: impl Fn(&Provider, &Case<'_>) -> Result<Printed, String>) {
    let files = files();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, bytes) in &files {
        let mut parts = path.split('/');
        let (Some(api), true) = (parts.next(), parts.next() == Some(kind)) else { continue };
        count += 1;
        if let Err(error) = compare(api, path, bytes, &print) {
            wrong.push(format!("{path}: {error}"));
        }
    }
    eprintln!("{kind}: {count} cases");
    if count == 0 {
        wrong.push(format!("no case of kind {kind}"));
    }
    none(&wrong);
}

fn compare(
    api: &str,
    path: &str,
    bytes: &[u8],
    print: &impl Fn(&Provider, &Case<'_>) -> Result<Printed, String>,
) -> Result<(), String> {
    let file = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let case: Case<'_> = serde_json::from_str(file).map_err(|error| error.to_string())?;
    let provider = Provider::new(api, case.provider.as_ref()).map_err(|error| error.to_string())?;
    let printed = print(&provider, &case)?;
    let json: Value = serde_json::from_slice(&printed.bytes)
        .map_err(|error| format!("printed what is no JSON: {error}: {}", lossy(&printed.bytes)))?;
    let refused = json.get("error").is_some();
    if (printed.exit == 1) != refused {
        return Err(format!("exit code {} with {json}", printed.exit));
    }
    let expected: Option<Value> = case.expect.and_then(|raw| serde_json::from_str(raw.get()).ok());
    if expected.as_ref() == Some(&json) || update_expect(path, file, case.expect, &printed.bytes) {
        return Ok(());
    }
    let mut places = Vec::new();
    differences("", expected.as_ref().unwrap_or(&Value::Null), &json, &mut places);
    Err(places.join("\n    "))
}

fn respond(provider: &Provider, case: &Case<'_>) -> Result<Printed, String> {
    let asked = text(case.request, case.request_text.as_deref()).unwrap_or("{}");
    let asked = Asked::parse(asked.as_bytes()).map_err(|error| error.to_string())?;
    Ok(translate::response(provider, &asked, &received(case)?))
}

fn received(case: &Case<'_>) -> Result<Received, String> {
    let body = text(case.body, case.body_text.as_deref()).ok_or("no body")?;
    let headers = case.headers.iter();
    Ok(Received {
        status: case.status.ok_or("no status")?,
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
        body: body.as_bytes().to_vec(),
    })
}

fn text<'a>(json: Option<&'a RawValue>, text: Option<&'a str>) -> Option<&'a str> {
    json.map(RawValue::get).or(text)
}

struct StreamCase<'a> {
    /// The path without `.in.sse`.
    name: &'a str,
    provider: Result<Provider, String>,
    asked: &'a [u8],
    sent: Cow<'a, [u8]>,
}

/// The stream cases; fails when there is none.
fn streams(files: &Files) -> Vec<StreamCase<'_>> {
    let cases: Vec<StreamCase<'_>> = files
        .iter()
        .filter_map(|(path, sent)| {
            let (name, sent) = match path.strip_suffix(".in.sse") {
                Some(name) => (name, Cow::Borrowed(&**sent)),
                None => (path.strip_suffix(".in.jsonl")?, Cow::Owned(frames::encode(path, sent))),
            };
            let api = name.split('/').next()?;
            let asked = files.get(&format!("{name}.request.json"));
            Some(StreamCase {
                name,
                provider: Provider::new(api, None).map_err(|error| error.to_string()),
                asked: asked.map_or(b"{}", Vec::as_slice),
                sent,
            })
        })
        .collect();
    assert!(!cases.is_empty(), "no case of kind stream");
    eprintln!("stream: {} cases", cases.len());
    cases
}

impl StreamCase<'_> {
    fn translate<'p>(&self, pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Vec<u8>, String> {
        let asked = Asked::parse(self.asked).map_err(|error| error.to_string())?;
        let provider = self.provider.as_ref().map_err(String::clone)?;
        Ok(translate::stream(provider, &asked, pieces).bytes)
    }

    fn include_usage(&self) -> bool {
        let asked: Value = serde_json::from_slice(self.asked).unwrap_or_default();
        asked.pointer("/stream_options/include_usage") == Some(&Value::Bool(true))
    }

    fn any_cuts(&self) -> Result<(), String> {
        let sent = &*self.sent;
        let whole = self.translate([sent])?;
        let same = |pieces: Vec<&[u8]>, how: &dyn Fn() -> String| {
            let cut = self.translate(pieces)?;
            if cut == whole {
                Ok(())
            } else {
                Err(format!("{}: {}", how(), difference(&whole, &cut)))
            }
        };
        same(sent.chunks(1).collect(), &|| "byte by byte".into())?;
        for at in 0..=sent.len() {
            let (head, tail) = sent.split_at(at);
            same(vec![head, tail], &|| format!("cut at {at}"))?;
        }
        for seed in 1..=RANDOM_CUTS {
            let mut random = Random(seed);
            let longest = 1 + random.below(sent.len().max(1));
            let mut pieces = Vec::new();
            let mut rest = sent;
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((1 + random.below(longest)).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            same(pieces, &|| format!("random cuts {seed}"))?;
        }
        Ok(())
    }

    fn tells(&self, answer: &[u8]) -> Result<(), String> {
        let mut streamed = fold::fold(&self.translate([&*self.sent])?)?;
        let asked = Asked::parse(self.asked).map_err(|error| error.to_string())?;
        let received = Received { status: 200, headers: Vec::new(), body: answer.to_vec() };
        let provider = self.provider.as_ref().map_err(String::clone)?;
        let printed = translate::response(provider, &asked, &received);
        let printed: Value =
            serde_json::from_slice(&printed.bytes).map_err(|error| error.to_string())?;
        let mut whole = fold::whole(printed.get("body").unwrap_or(&Value::Null));
        if !self.include_usage() {
            for answer in [&mut streamed, &mut whole] {
                answer.as_object_mut().and_then(|answer| answer.remove("usage"));
            }
        }
        let mut places = Vec::new();
        differences("", &whole, &streamed, &mut places);
        if places.is_empty() { Ok(()) } else { Err(places.join("\n    ")) }
    }
}

fn fits(kind: &str, file: &str) -> bool {
    match kind {
        "stream" => [".in.sse", ".in.jsonl", ".out.sse", ".request.json", ".answer.json"]
            .iter()
            .any(|end| file.ends_with(end)),
        _ => file.ends_with(".json"),
    }
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first event in which two streams differ.
fn difference(expected: &[u8], got: &[u8]) -> String {
    let (expected, got) = (lossy(expected), lossy(got));
    let mut events = (expected.split("\n\n"), got.split("\n\n"));
    for at in 0.. {
        let (one, other) = (events.0.next(), events.1.next());
        if one != other || one.is_none() {
            let show = |event: Option<&str>| event.unwrap_or("(the end)").to_owned();
            return format!("event {at}\n  expected {}\n  got      {}", show(one), show(other));
        }
    }
    String::new()
}

/// Each place in which two values differ.
fn differences(path: &str, expected: &Value, got: &Value, places: &mut Vec<String>) {
    match (expected, got) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                let path = format!("{path}.{name}");
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => differences(&path, one, other, places),
                    (Some(one), None) => places.push(format!("{path}: {one} is missing")),
                    (None, other) => {
                        places.push(format!(
                            "{path}: nothing expected, got {}",
                            other.unwrap_or(&Value::Null)
                        ));
                    }
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}[{index}]"), one, other, places);
            }
        }
        _ if expected == got => {}
        _ => places.push(format!("{path}: expected {expected}, got {got}")),
    }
}

#[cfg(target_arch = "wasm32")]
fn update(_: &str, _: &[u8]) -> bool {
    false
}

/// Writes a fixture anew if that was asked for.
#[cfg(not(target_arch = "wasm32"))]
fn update(path: &str, bytes: &[u8]) -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
        && std::fs::write(format!("{}/tests/golden/{path}", env!("CARGO_MANIFEST_DIR")), bytes)
            .is_ok()
}

/// Puts what was printed in place of `expect`, and leaves the rest of the file as it is.
fn update_expect(path: &str, file: &str, expect: Option<&RawValue>, printed: &[u8]) -> bool {
    let Some(new) =
        std::str::from_utf8(printed).ok().and_then(|text| support::pretty::pretty(text, 2))
    else {
        return false;
    };
    let file = match expect {
        Some(old) => {
            let at = old.get().as_ptr() as usize - file.as_ptr() as usize;
            let (before, rest) = file.split_at(at);
            let (_, after) = rest.split_at(old.get().len());
            format!("{before}{new}{after}")
        }
        None => match file.trim_end().strip_suffix('}') {
            Some(before) => format!("{},\n  \"expect\": {new}\n}}\n", before.trim_end()),
            None => return false,
        },
    };
    update(path, file.as_bytes())
}
