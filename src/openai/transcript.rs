//! What was said, as plain text: for records, and for whoever looks for something in it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::embeddings::Input;
use super::json::{RawStr, string};
use super::message::{Content, FunctionCall, Items, Message, ToolCall, parts};
use super::place::{from_slice, from_str, members};

/// Most answers to one request that are kept apart.
pub const MAX_ANSWERS: usize = 16;

/// A text that is gathered up to a length.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// What was said.
    pub text: String,
    /// Whether that is all of it.
    pub whole: bool,
    most: usize,
}

impl Transcript {
    /// Nothing yet, of at most `most` bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { text: String::new(), whole: true, most }
    }

    /// What a message says: its texts, a word for each picture, sound and file, and the calls it makes,
    /// each in lines of its own.
    #[must_use]
    pub fn of_message(message: &Message<'_>, most: usize) -> Self {
        let mut transcript = Self::new(most);
        match message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => transcript.say(text),
            Content::Parts(list) => {
                for part in parts(list) {
                    transcript.line();
                    match (&*part.kind, part.text.or(part.refusal)) {
                        (_, Some(text)) => transcript.say(text),
                        ("image_url", _) => transcript.put("[image]"),
                        ("input_audio", _) => transcript.put("[audio]"),
                        ("file", _) => transcript.put("[file]"),
                        _ => transcript.put("[other]"),
                    }
                }
            }
        }
        if let Some(refusal) = message.refusal {
            transcript.line();
            transcript.say(refusal);
        }
        let calls = message.tool_calls.map(|calls| from_str::<Items<ToolCall<'_>>>(calls.get()));
        for call in calls.and_then(Result::ok).map(|list| list.0).unwrap_or_default() {
            if let Some(function) = &call.function {
                transcript.call(Some(function.name), function.arguments);
            }
            let custom = call.custom.and_then(|raw| from_str::<Custom<'_>>(raw.get()).ok());
            if let Some(Custom { name, input }) = custom {
                transcript.call(name, input);
            }
        }
        let older = message.function_call.map(|raw| from_str::<FunctionCall<'_>>(raw.get()));
        if let Some(Ok(function)) = older {
            transcript.call(Some(function.name), function.arguments);
        }
        transcript
    }

    /// What vectors are asked for of, each text in a line of its own. Nobody here can read tokens.
    #[must_use]
    pub fn of_input(input: &Input<'_>, most: usize) -> Self {
        let mut transcript = Self::new(most);
        match input {
            Input::Text(text) => transcript.say(*text),
            Input::Texts(texts) => {
                for text in texts {
                    transcript.line();
                    transcript.say(*text);
                    if !transcript.whole {
                        break;
                    }
                }
            }
            Input::Tokens(_) | Input::TokenLists(_) => transcript.put("[tokens]"),
            Input::Absent => {}
        }
        transcript
    }

    fn call(&mut self, name: Option<RawStr<'_>>, arguments: Option<RawStr<'_>>) {
        if let Some(name) = name {
            self.line();
            self.say(name);
            self.put(" ");
        }
        if let Some(arguments) = arguments {
            self.say(arguments);
        }
    }

    /// Begins a line, unless nothing was said yet.
    fn line(&mut self) {
        if !self.text.is_empty() {
            self.put("\n");
        }
    }

    fn say(&mut self, text: RawStr<'_>) {
        let (start, whole) = text.decode_start(self.most.saturating_sub(self.text.len()));
        self.put(&start);
        self.whole &= whole;
    }

    fn put(&mut self, text: &str) {
        let fits = text.floor_char_boundary(self.most.saturating_sub(self.text.len()));
        self.text.push_str(text.get(..fits).unwrap_or_default());
        self.whole &= fits == text.len();
    }
}

struct Custom<'a> {
    name: Option<RawStr<'a>>,
    input: Option<RawStr<'a>>,
}

members!(Custom<'a> { name, input });

struct Told<'a> {
    choices: Option<Items<Choice<'a>>>,
}

members!(Told<'a> { choices });

struct Choice<'a> {
    index: u64,
    message: Option<Said<'a>>,
    delta: Option<Said<'a>>,
}

members!(Choice<'a> { index (count), message, delta });

struct Said<'a> {
    content: Option<&'a RawValue>,
    refusal: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
}

members!(Said<'a> { content, refusal, tool_calls });

/// A call, or a piece of one.
struct Piece<'a> {
    function: Option<Function<'a>>,
}

members!(Piece<'a> { function });

struct Function<'a> {
    name: Option<RawStr<'a>>,
    arguments: Option<RawStr<'a>>,
}

members!(Function<'a> { name, arguments });

/// What is answered: a text for each choice, gathered from a whole answer or event by event.
#[derive(Clone, Debug)]
pub struct Answers {
    /// By the number of the choice.
    pub choices: Vec<Transcript>,
    most: usize,
}

impl Answers {
    /// Nothing yet, of at most `most` bytes each.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { choices: Vec::new(), most }
    }

    /// Whether no more fits into any of them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| !choice.whole)
    }

    /// Takes a canonical answer, or one event of it. What is neither is passed over.
    pub fn add(&mut self, json: &[u8]) {
        let told: Option<Told<'_>> = from_slice(json).ok();
        for choice in told.and_then(|told| told.choices).map(|list| list.0).unwrap_or_default() {
            let index = usize::try_from(choice.index).unwrap_or(usize::MAX);
            if index >= MAX_ANSWERS {
                continue;
            }
            while self.choices.len() <= index {
                self.choices.push(Transcript::new(self.most));
            }
            if let Some(into) = self.choices.get_mut(index)
                && let Some(said) = choice.message.or(choice.delta)
            {
                said.put(into);
            }
        }
    }
}

impl Said<'_> {
    fn put(&self, into: &mut Transcript) {
        for text in [self.content, self.refusal] {
            if let Some(text) = string(text) {
                into.say(text);
            }
        }
        let calls = self.tool_calls.and_then(|raw| from_str::<Items<Piece<'_>>>(raw.get()).ok());
        for piece in calls.map(|list| list.0).unwrap_or_default() {
            if let Some(Function { name, arguments }) = piece.function {
                into.call(name, arguments);
            }
        }
    }
}

/// `text` with `\u0040` and the like, which JSON within a text is full of, as the characters that they
/// stand for, as far as those are printable ASCII.
#[must_use]
pub fn unescape(text: &str) -> Cow<'_, str> {
    const MARK: &str = "\\u00";
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let mut pieces = text.split(MARK);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code.filter(|code| (b' '..0x7f).contains(code) && !matches!(code, b'"' | b'\\')) {
            Some(code) => {
                // JSON within JSON within a text has more of them.
                plain.truncate(plain.trim_end_matches('\\').len());
                plain.push(char::from(code));
                plain.push_str(piece.get(2..).unwrap_or_default());
            }
            None => {
                plain.push_str(MARK);
                plain.push_str(piece);
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::openai::Embeddings;
    use crate::openai::request::Chat;

    fn said(message: &str, most: usize) -> (String, bool) {
        let body = format!(r#"{{"model":"m","messages":[{message}]}}"#);
        let chat = Chat::parse(body.as_bytes()).unwrap();
        let transcript = Transcript::of_message(&chat.messages[0], most);
        (transcript.text, transcript.whole)
    }

    #[test]
    fn a_message_becomes_its_texts_and_a_word_for_all_else() {
        let parts = r#"{"role":"user","content":[{"type":"text","text":"a\u0062\n"},{"type":"image_url","image_url":{"url":"data:x"}},
            {"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},{"type":"file","file":{"file_id":"f"}},{"type":"new"}]}"#;
        assert_eq!(said(parts, 99), ("ab\n\n[image]\n[audio]\n[file]\n[other]".to_owned(), true));
        let calls = r#"{"role":"assistant","content":null,"refusal":"no","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
            {"id":"2","type":"custom","custom":{"name":"g","input":"x"}}],"function_call":{"name":"h","arguments":"{}"}}"#;
        assert_eq!(said(calls, 99), ("no\nf {\"a\":1}\ng x\nh {}".to_owned(), true));
    }

    #[test]
    fn a_long_message_is_cut_between_characters_and_escapes() {
        let message = r#"{"role":"user","content":"aé\n\ud83d\ude00z"}"#;
        for (most, text) in [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (4, "aé\n"), (7, "aé\n")] {
            let (start, whole) = said(message, most);
            assert!(!whole && text.starts_with(&*start.replace('\u{fffd}', "")), "{most}: {start}");
        }
        assert_eq!(said(message, 9), ("aé\n😀z".to_owned(), true));
        let long = format!(r#"{{"role":"user","content":"{}"}}"#, "\\u0041".repeat(100));
        assert_eq!(said(&long, 7), ("A".repeat(7), false));
    }

    #[test]
    fn inputs_stand_in_lines() {
        let of = |body: &[u8], most| {
            let asked = Embeddings::parse(body).unwrap();
            let transcript = Transcript::of_input(&asked.input, most);
            (transcript.text, transcript.whole)
        };
        let body = br#"{"model":"m","input":["ab","cd","ef"]}"#;
        assert_eq!(of(body, 99), ("ab\ncd\nef".to_owned(), true));
        assert_eq!(of(body, 4), ("ab\nc".to_owned(), false));
        assert_eq!(of(br#"{"model":"m","input":[1,2]}"#, 9), ("[tokens]".to_owned(), true));
    }

    #[test]
    fn an_answer_is_the_same_whole_and_in_events() {
        let mut whole = Answers::new(99);
        whole.add(br#"{"choices":[{"index":0,"message":{"role":"assistant","content":"john@","refusal":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}},{"index":1,"message":{"content":"b"}}]}"#);
        let mut events = Answers::new(99);
        for event in [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"jo"}},{"index":1,"delta":{"content":"b"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"hn@"}}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[]}"#,
            "[DONE]",
            r#"{"choices":[{"index":99,"delta":{"content":"x"}}]}"#,
        ] {
            events.add(event.as_bytes());
        }
        for answers in [whole, events] {
            let texts: Vec<&str> = answers.choices.iter().map(|choice| &*choice.text).collect();
            assert_eq!(texts, ["john@\nf {\"a\":1}", "b"]);
        }
    }

    #[test]
    fn an_answer_is_gathered_up_to_its_length() {
        let mut answers = Answers::new(3);
        for _ in 0..2 {
            assert!(!answers.is_full());
            answers.add(br#"{"choices":[{"index":0,"delta":{"content":"ab"}}]}"#);
        }
        assert!(answers.is_full());
        assert_eq!(answers.choices[0].text, "aba");
    }

    #[test]
    fn escapes_of_json_in_a_text_become_what_they_stand_for() {
        assert_eq!(
            unescape(r"john\u0040x.de \u00e9 \u0022 \u005c \u00 \u004"),
            r"john@x.de \u00e9 \u0022 \u005c \u00 \u004"
        );
        // JSON in JSON in a text.
        assert_eq!(unescape(r"john\\u0040x.de"), unescape(r"john\u0040x.de"));
        assert_eq!(unescape(r"\\\u0040 \n\u0041"), r"@ \nA");
        assert!(matches!(unescape("plain"), Cow::Borrowed("plain")));
    }
}
