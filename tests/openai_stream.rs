//! A chunk that passes without being parsed comes out as if it had been: whatever the order of its
//! members, the white space and the words in its text.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "helpers of a test, which may fail like one")]

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use waypost::openai::Chat;
use waypost::providers::catalogue::Facts;
use waypost::providers::{Base, Call, Dialect as _, Headers, Policy, Settings, Target};
use waypost::providers::{Progress, failure, openai::OpenAi};

/// Texts that could be taken for members, as JSON strings.
const TEXTS: &[&str] = &[
    r#""""#,
    r#""usage""#,
    r#""error""#,
    r#""finish_reason""#,
    r#""\"usage\":null,""#,
    r#"",\"usage\":null""#,
    r#""\\\"usage\\\":{\"error\":1}\\""#,
    r#""{\"finish_reason\":\"stop\"}""#,
    r#""}],\"usage\":null""#,
    r#""é \ud83d\ude00 \u0022usage\u0022:null""#,
];

/// Members of an ordinary chunk, besides its choices.
const MEMBERS: &[(&str, &str)] = &[
    ("id", r#""chatcmpl-1""#),
    ("object", r#""chat.completion.chunk""#),
    ("created", "1"),
    ("model", r#""usage""#),
    ("usage", "null"),
    ("error", "null"),
    ("obfuscation", r#""}{,\"""#),
    ("x", r#"{"usage":null,"a":[{"usage":null}]}"#),
    ("y", r#"[{"error":null}]"#),
    ("z", r#"{"error":{"usage":{"finish_reason":"x"}}}"#),
    ("\\\"usage", "null"),
];

fn blanks() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\t ", "  "])
}

fn chunks() -> impl Strategy<Value = String> {
    let kept = prop::sample::subsequence(MEMBERS.to_vec(), 0..=MEMBERS.len());
    let choice = (prop::sample::select(TEXTS), any::<bool>(), any::<bool>());
    (kept, vec(choice, 1..3), vec(blanks(), 24)).prop_flat_map(|(kept, choices, blanks)| {
        let choices = choices.into_iter().enumerate().map(|(index, (text, logprobs, first))| {
            let finish = r#""finish_reason":null"#;
            let probable = format!(r#""logprobs":{{"content":[{{"token":{text}}}]}}"#);
            let logprobs = if logprobs { probable } else { r#""logprobs":null"#.to_owned() };
            let delta = format!(r#""delta":{{"content":{text}}}"#);
            match first {
                true => format!(r#"{{{finish},"index":{index},{delta},{logprobs}}}"#),
                false => format!(r#"{{"index":{index},{delta},{logprobs},{finish}}}"#),
            }
        });
        let choices = choices.collect::<Vec<_>>().join(",");
        let mut members: Vec<(String, String)> =
            kept.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        members.push(("choices".to_owned(), format!("[{choices}]")));
        (Just(members).prop_shuffle(), Just(blanks)).prop_map(|(members, blanks)| {
            let mut blanks = blanks.into_iter().cycle();
            let mut blank = move || blanks.next().unwrap_or_default();
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| {
                    format!("{}\"{name}\"{}:{}{value}{}", blank(), blank(), blank(), blank())
                })
                .collect();
            format!("{{{}}}", members.join(","))
        })
    })
}

fn with_stream<T>(request: &str, run: impl FnOnce(&Call<'_>) -> T) -> T {
    let facts = Facts::unknown();
    let base = Base::parse("https://h").unwrap();
    let settings = Settings::default();
    let chat = Chat::parse(request.as_bytes()).unwrap();
    let target = Target {
        base: &base,
        settings: &settings,
        model: "m",
        facts: &facts,
        policy: Policy::default(),
    };
    run(&Call { chat: &chat, target, id: "i", created: 1 })
}

const BEGIN: &[u8] =
    b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_unparsed_chunk_means_what_it_meant(chunk in chunks(), asks in any::<bool>()) {
        let request = format!(r#"{{"stream":true,"stream_options":{{"include_usage":{asks}}}}}"#);
        let outs = with_stream(&request, |call| {
            let event = format!("data: {chunk}\n\n");
            // Parsed while nothing has begun, and not parsed after that.
            [&b""[..], BEGIN].map(|before| {
                let mut stream = OpenAi.stream(call);
                let mut out = Vec::new();
                stream.push(before, &mut out).unwrap();
                out.clear();
                stream.push(event.as_bytes(), &mut out).unwrap();
                assert_ne!(stream.progress(), Progress::Ended);
                String::from_utf8(out).unwrap()
            })
        });
        prop_assert_eq!(&outs[0], &outs[1]);
        let data = outs[1].strip_prefix("data: ").and_then(|out| out.strip_suffix("\n\n")).unwrap();
        if asks {
            prop_assert_eq!(data, &chunk);
        }
        let mut expected: Value = serde_json::from_str(&chunk).unwrap();
        if !asks {
            expected.as_object_mut().unwrap().remove("usage");
        }
        let told: Value = serde_json::from_str(data)
            .map_err(|error| TestCaseError::fail(format!("{error}: {data}")))?;
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn no_bytes_make_a_stream_an_answer_or_a_refusal_panic(
        bytes in vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}\",:a-z\\\\0-9 ]{0,60}",
        status in 100..600_u16,
    ) {
        with_stream("{}", |call| {
            for bytes in [&bytes[..], json.as_bytes()] {
                let mut stream = OpenAi.stream(call);
                let mut out = Vec::new();
                let framed = [BEGIN, b"data: {", bytes, b"}\n\n"].concat();
                let _ = stream.push(&framed, &mut out).and_then(|()| stream.finish(&mut out));
                let _ = OpenAi.answer(call, &Headers::default(), bytes);
                let error = failure::read(status, &Headers::default(), bytes);
                assert!(!error.message.is_empty() && error.status >= 400);
                assert!(!failure::in_stream(bytes).message.is_empty());
            }
        });
    }
}
