#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::content::{MAX_THINKING_BYTES, Notes, Piece, finish_reason, made_id, usage};
use super::messages::IDS;
use crate::openai::chunk::FinishReason;
use crate::openai::json::RawStr;
use crate::providers::ids::Ids;

fn raw(json: &str) -> RawStr<'_> {
    crate::openai::place::from_str(json).unwrap()
}

#[test]
fn a_made_id_is_one_that_the_provider_takes_back() {
    let id = made_id("cmpl-1", 0, 0);
    assert!((IDS.fits)(&id), "{id}");
    assert_eq!(id, made_id("cmpl-1", 0, 0));
    assert_ne!(id, made_id("cmpl-1", 0, 1));
    assert_ne!(id, made_id("cmpl-1", 1, 0));
    assert_eq!(Ids::new(&IDS).fit(&id), id);
}

#[test]
fn finish_reasons_map_to_the_closed_list() {
    for (reason, calls, expected) in [
        ("stop", false, FinishReason::Stop),
        ("stop", true, FinishReason::ToolCalls),
        ("tool_calls", true, FinishReason::ToolCalls),
        ("tool_calls", false, FinishReason::Stop),
        ("length", true, FinishReason::Length),
        ("model_length", false, FinishReason::Length),
        ("content_filter", false, FinishReason::ContentFilter),
        ("", false, FinishReason::Stop),
        ("something_new", false, FinishReason::Stop),
    ] {
        assert_eq!(finish_reason(reason, calls).unwrap(), expected, "{reason}");
    }
    assert_eq!(finish_reason("error", false).unwrap_err().status, 502);
}

#[test]
fn cached_tokens_under_any_name_are_a_part_of_the_prompt() {
    for json in [
        r#"{"prompt_tokens":100,"completion_tokens":5,"num_cached_tokens":60}"#,
        r#"{"prompt_tokens":100,"completion_tokens":5,"prompt_token_details":{"cached_tokens":60}}"#,
        r#"{"prompt_tokens":100,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":60},"num_cached_tokens":60}"#,
    ] {
        let usage = usage(Some(&serde_json::from_str::<Box<_>>(json).unwrap())).unwrap();
        assert_eq!((usage.uncached_input, usage.cache_read, usage.output), (40, 60, 5), "{json}");
    }
    assert_eq!(usage(None), None);
}

#[test]
fn thinking_is_given_back_only_with_its_signature() {
    let mut notes = Notes::new();
    notes.take(Piece::Thought(raw(r#""a""#)));
    notes.take(Piece::Signature(raw(r#""s""#)));
    notes.take(Piece::Thought(raw(r#""b""#)));
    notes.take(Piece::Text(raw(r#""c""#)));
    assert_eq!(
        notes.thinking_blocks().unwrap(),
        r#"[{"type":"thinking","thinking":"a","signature":"mistral:s"}]"#
    );
}

#[test]
fn too_much_thinking_is_given_back_as_text_alone() {
    let piece = format!("\"{}\"", "a".repeat(MAX_THINKING_BYTES / 2));
    let mut notes = Notes::new();
    notes.take(Piece::Thought(raw(&piece)));
    notes.take(Piece::Thought(raw(&piece)));
    notes.take(Piece::Thought(raw(r#""a""#)));
    notes.take(Piece::Signature(raw(r#""s""#)));
    assert_eq!(notes.thinking_blocks(), None);

    let mut notes = Notes::new();
    notes.take(Piece::Thought(raw(&piece)));
    notes.take(Piece::Signature(raw(r#""s""#)));
    assert!(notes.thinking_blocks().is_some());
}

#[test]
fn too_many_calls_or_choices_end_the_stream() {
    use super::content::{MAX_CHOICES, MAX_CHUNKS};
    use crate::openai::Chat;
    use crate::providers::catalogue::Facts;
    use crate::providers::{Base, Call, Policy, Settings, Target};

    let (base, settings) = (Base::parse("https://x.test").unwrap(), Settings::default());
    let (chat, facts) = (Chat::default(), Facts::unknown());
    let target = Target {
        base: &base,
        settings: &settings,
        model: "m",
        facts: &facts,
        policy: Policy::default(),
    };
    let call = Call { chat: &chat, target, id: "i", created: 0 };
    let told = |events: &mut dyn Iterator<Item = String>| {
        let mut stream = super::stream::translator(&call);
        let mut out = Vec::new();
        for data in events {
            let choice = format!("data: {{\"choices\":[{{{data}}}]}}\n\n");
            stream.push(choice.as_bytes(), &mut out)?;
        }
        Ok::<(), crate::openai::Error>(())
    };
    let one_call = |_| r#""index":0,"delta":{"tool_calls":[{"function":{"name":"f"}}]}"#.to_owned();
    told(&mut (0..MAX_CHUNKS).map(one_call)).unwrap();
    let error = told(&mut (0..=MAX_CHUNKS).map(one_call)).unwrap_err();
    assert!(error.message.contains("too many tool calls"), "{}", error.message);
    let one_choice = |index| format!(r#""index":{index},"delta":{{"content":"x"}}"#);
    told(&mut (0..MAX_CHOICES).map(one_choice)).unwrap();
    let error = told(&mut (0..=MAX_CHOICES).map(one_choice)).unwrap_err();
    assert!(error.message.contains("too many choices"), "{}", error.message);
}
