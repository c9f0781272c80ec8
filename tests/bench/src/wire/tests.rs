use super::*;
use crate::http::{Kind, Reader};
use crate::marks::Marks;
use serde_json::Value;

fn body_of(wire: &[u8]) -> Vec<u8> {
    let (mut reader, mut body) = (Reader::new(Kind::Response), Vec::new());
    assert_eq!(reader.feed(wire, |part| body.extend_from_slice(part)).unwrap(), wire.len());
    assert!(reader.done());
    assert_eq!(reader.status(), 200);
    body
}

fn streamed(api: &'static Api, chunks: usize) -> Vec<u8> {
    let stream = Stream { api, chunks, usage: true };
    let (mut event, mut wire) = (Vec::new(), Vec::new());
    stream.head(&mut wire);
    let mut step = 0;
    while stream.step(step, &mut event, &mut wire) {
        step += 1;
    }
    body_of(&wire)
}

/// The payloads of a stream, without its framing.
fn payloads(api: &Api, body: &[u8]) -> Vec<Value> {
    if api.name == "bedrock" {
        let events = bedrock::decoded(body).into_iter();
        return events.map(|(_, payload)| serde_json::from_slice(&payload).unwrap()).collect();
    }
    let text = std::str::from_utf8(body).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// Where the text stands in an answer, and in a delta (the second place is that of thinking).
fn places(api: &Api) -> (&'static str, [&'static str; 2]) {
    match api.name {
        "anthropic" => ("/content/0/text", ["/delta/text", ""]),
        "gemini" | "vertex" => {
            let text = "/candidates/0/content/parts/0/text";
            (text, [text, ""])
        }
        "cohere" => ("/message/content/0/text", ["/delta/message/content/text", ""]),
        "bedrock" => ("/output/message/content/0/text", ["/delta/text", ""]),
        _ => (
            "/choices/0/message/content",
            ["/choices/0/delta/content", "/choices/0/delta/reasoning_content"],
        ),
    }
}

fn text_at<'a>(value: &'a Value, place: &str) -> &'a str {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn each_delta_of_a_stream_stands_where_the_provider_has_it() {
    for api in APIS {
        let body = streamed(api, 7);
        let (_, [said, thought]) = places(api);
        let text: String = payloads(api, &body)
            .iter()
            .map(|event| [text_at(event, said), text_at(event, thought)].concat())
            .collect();
        let expected: String = (0..7).map(|number| format!(" word~{number:04}")).collect();
        // An empty place is the whole event, which is no text.
        assert_eq!(text, expected, "{}", api.name);
    }
}

#[test]
fn every_mark_of_a_stream_is_seen_and_its_end_is_its_end_only() {
    for api in APIS {
        for chunks in [1, 20, 200] {
            let body = streamed(api, chunks);
            let mut marks = Marks::default();
            marks.feed(&body);
            assert_eq!((marks.seen, marks.disordered), (chunks, false), "{}", api.name);
            assert!(marks.ends_with(api.end), "{}", api.name);
            let last = memmem::rfind(&body, format!("~{:04}", chunks - 1).as_bytes()).unwrap();
            assert!(memmem::find(&body[..last], api.end).is_none(), "{}", api.name);
        }
    }
}

#[test]
fn an_answer_is_json_whose_text_ends_with_the_mark() {
    for api in APIS {
        let body = body_of(&api.answer());
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert!(text_at(&value, places(api).0).ends_with(".\n~0000"), "{}", api.name);
        let mut marks = Marks::default();
        marks.feed(&body);
        assert_eq!(marks.seen, 1, "{}", api.name);
    }
}

#[test]
fn answers_and_streams_count_the_same_prompt() {
    for api in APIS {
        let answer = body_of(&api.answer());
        for wire in [&answer, &streamed(api, 118)] {
            let text = String::from_utf8_lossy(wire).replace(": ", ":");
            let counted = ["prompt_tokens", "promptTokenCount", "input_tokens", "inputTokens"]
                .iter()
                .any(|name| text.contains(&format!("\"{name}\":231")));
            assert!(counted, "{}: {text}", api.name);
            assert!(text.contains(":118"), "{}", api.name);
        }
    }
}

#[test]
fn the_forms_tell_answers_from_what_openai_would_have_sent() {
    for api in APIS {
        let text = String::from_utf8(body_of(&api.answer())).unwrap();
        assert!(text.contains(api.forms[0]), "{}", api.name);
        let stream = String::from_utf8_lossy(&streamed(api, 7)).into_owned();
        assert!(stream.contains(api.forms[1]), "{}", api.name);
    }
}

#[test]
fn each_is_found_by_its_host_and_its_own_path_only() {
    for api in APIS {
        for path in [api.path, api.stream_path] {
            assert_eq!(asked(api.host, path).map(|(_, found)| found.name), Some(api.name));
        }
        assert!(asked(api.host, "/elsewhere").is_none());
        assert!(asked(api.host, &format!("/x{}", api.path)).is_none());
    }
    assert_eq!(asked("127.0.0.1:9101", "/base/v1/messages").unwrap().1.name, "anthropic");
    assert_eq!(asked("127.0.0.1:9101", "/openai/v1/chat/completions").unwrap().1.name, "azure");
    assert!(asked("127.0.0.1:9101", "/mock").is_none());
}

#[test]
fn a_stream_is_asked_for_in_the_body_or_by_the_path() {
    let [openai, gemini] = ["openai", "gemini"].map(|name| find(name).unwrap());
    assert!(openai.streams(openai.path, br#"{"stream": true}"#));
    assert!(!openai.streams(openai.path, br#"{"stream": false}"#));
    assert!(gemini.streams(gemini.stream_path, b"{}"));
    assert!(!gemini.streams(gemini.path, br#"{"stream":true}"#));
}

#[test]
fn stream_is_found_with_and_without_spaces() {
    assert!(asks_for(br#"{"stream": true}"#, "stream"));
    assert!(asks_for(br#"{"stream":true}"#, "stream"));
    assert!(!asks_for(br#"{"stream":false,"x":true}"#, "stream"));
}
