//! What the targets share. Nothing here reads more than the bytes that the fuzzer gives.

pub mod edit;

use serde::Deserialize;
use serde_json::value::RawValue;
use waypost::cli::translate::{self, Asked, Provider, Received};
use waypost::providers::registry::APIS;

/// One provider for each API.
///
/// # Panics
/// Never: an API's defaults are valid.
#[must_use]
pub fn providers() -> Vec<Provider> {
    APIS.iter().map(|api| Provider::new(api.name, None).expect("the defaults are valid")).collect()
}

/// `data` in pieces whose lengths follow from its bytes, so that every byte can be part of a stream.
#[must_use]
pub fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut rest = data;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Mostly short: cuts within a line, a name or a character find most.
        let length = match state % 8 {
            0..5 => 1 + state / 8 % 7,
            5..7 => 1 + state / 8 % 90,
            _ => 1 + state / 8 % 5000,
        };
        let (piece, after) = rest.split_at(rest.len().min(length as usize));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Translates a provider's stream whole and in pieces.
///
/// # Panics
/// When the cuts change the result, or the client is left without an end.
pub fn stream(provider: &Provider, data: &[u8]) {
    for asked in [b"{}".as_slice(), br#"{"stream":true,"stream_options":{"include_usage":true}}"#] {
        let asked = Asked::parse(asked).expect("a request");
        let whole = translate::stream(provider, &asked, [data]).bytes;
        let cut = translate::stream(provider, &asked, pieces(data)).bytes;
        assert!(whole == cut, "whole:\n{}\ncut:\n{}", text(&whole), text(&cut));
        let last = whole.strip_suffix(b"\n\n").map(|all| {
            let at = all.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
            all.split_at(at).1
        });
        let ended = last.is_some_and(|last| {
            last == b"data: [DONE]" || last.starts_with(b"data: {\"error\":{\"message\":")
        });
        assert!(std::str::from_utf8(&whole).is_ok(), "not UTF-8:\n{}", text(&whole));
        assert!(ended, "neither [DONE] nor an error at the end:\n{}", text(&whole));
    }
}

/// What `translate response` prints. Bodies stay as they are written: a lone surrogate is passed on,
/// and not every reader takes one.
#[derive(Deserialize)]
struct Printed<'a> {
    status: u16,
    #[serde(borrow)]
    body: &'a RawValue,
    class: Option<&'a str>,
}

#[derive(Deserialize)]
struct Told {
    error: ToldError,
}

#[derive(Deserialize)]
struct ToldError {
    message: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Translates an answer.
///
/// # Panics
/// When the client would get what is no JSON, or an error that is none.
pub fn response(provider: &Provider, status: u16, headers: Vec<(String, String)>, data: &[u8]) {
    let received = Received { status, headers, body: data.to_vec() };
    let bytes = translate::response(provider, &Asked::nothing(), &received).bytes;
    let printed: Printed<'_> = serde_json::from_slice(&bytes).expect("JSON is printed");
    let body = printed.body.get();
    assert!(body.starts_with('{'), "a body that is no object: {}", text(&bytes));
    assert_eq!(printed.class.is_some(), printed.status >= 400, "{}", text(&bytes));
    if printed.class.is_some() {
        let told: Told = serde_json::from_str(body).expect("an error in OpenAI's form");
        assert!(!told.error.message.is_empty() && !told.error.kind.is_empty(), "{body}");
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
