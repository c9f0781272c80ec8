//! An embeddings request: parsed once, borrowing from the body.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::Error;
use super::fault::Fault;
use super::invalid;
use super::json::{RawStr, is_null};
use super::message::Bounded;
use super::outer::{Field, Fields, USAGE_FIELD};
use super::place::{List, Place, Slot, from_str};
use super::request::{read, read_include};
use super::validate::{check_model, missing};

/// Most inputs of a request: as many as OpenAI takes.
pub const MAX_INPUTS: usize = 2_048;

/// Most tokens of a request that sends tokens, all inputs together: as many as OpenAI takes.
pub const MAX_TOKENS: usize = 300_000;

/// Most numbers of one vector, asked for or answered.
pub const MAX_DIMENSIONS: u64 = 65_536;

/// An embeddings request. Every field also stands in [`Embeddings::fields`] as it was written.
#[derive(Debug, Default)]
pub struct Embeddings<'a> {
    /// The model asked for; empty when the field is absent.
    pub model: Cow<'a, str>,
    /// What to embed.
    pub input: Input<'a>,
    /// How many numbers a vector shall have; absent for as many as the model gives.
    pub dimensions: Option<u64>,
    /// How the vectors are written.
    pub encoding: Encoding,
    /// Whether the client wants to know what its request cost.
    pub include_cost: bool,
    /// All fields in order, with their text in the body.
    pub fields: Vec<Field<'a>>,
}

/// What to embed: one vector for each.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Input<'a> {
    /// Nothing is there.
    #[default]
    Absent,
    /// A text.
    Text(RawStr<'a>),
    /// Several.
    Texts(Vec<RawStr<'a>>),
    /// A text as this many tokens. Only who has the same tokenizer can read them, so they are
    /// passed on as they were written or not at all.
    Tokens(usize),
    /// Several, and how many tokens each has.
    TokenLists(Vec<usize>),
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As the base64 of 32-bit floats, the least significant byte first.
    Base64,
}

impl<'a> Embeddings<'a> {
    /// Parses a request. What is missing counts as absent: see [`Embeddings::validate`].
    ///
    /// # Errors
    /// A 400 that names line and column of broken JSON, or the field that has the wrong type.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let text = simdutf8::compat::from_utf8(body)
            .map_err(|error| invalid::not_utf8(body, error.valid_up_to()))?;
        let Fields(fields) =
            from_str(text).map_err(|error| invalid::explain(text, "input", &error))?;
        let mut asked = Self::default();
        for Field { name, value } in &fields {
            if is_null(value) {
                continue;
            }
            match &**name {
                "model" => asked.model = read::<RawStr<'a>>(name, value)?.decode(),
                "input" => asked.input = Input::read(value)?,
                "dimensions" => asked.dimensions = Some(read(name, value)?),
                "encoding_format" => asked.encoding = encoding(value)?,
                USAGE_FIELD => asked.include_cost = read_include(value)?,
                _ => {}
            }
        }
        asked.fields = fields;
        Ok(asked)
    }

    /// Checks what the parser does not.
    ///
    /// # Errors
    /// A 400 that names the field.
    pub fn validate(&self) -> Result<(), Error> {
        check_model(&self.model)?;
        self.input.validate()?;
        match self.dimensions {
            Some(dimensions) if dimensions == 0 || dimensions > MAX_DIMENSIONS => {
                let message = format!("'dimensions' must be between 1 and {MAX_DIMENSIONS}.");
                Err(Error::invalid("dimensions", message))
            }
            _ => Ok(()),
        }
    }

    /// The value of a field that is present and not null.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a RawValue> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        (!is_null(field.value)).then_some(field.value)
    }
}

impl<'a> Input<'a> {
    fn read(value: &'a RawValue) -> Result<Self, Error> {
        if let Some(text) = RawStr::from_raw(value) {
            return Ok(Self::Text(text));
        }
        let first = value.get().strip_prefix('[').and_then(|rest| rest.trim_start().bytes().next());
        // What the first entry is, the others must be too.
        match first {
            Some(b'"') => Ok(Self::Texts(read::<Inputs<RawStr<'a>>>("input", value)?.0)),
            Some(b'[') => {
                let lists = read::<Inputs<Tokens>>("input", value)?.0;
                Ok(Self::TokenLists(lists.into_iter().map(|tokens| tokens.count).collect()))
            }
            Some(b'-' | b'0'..=b'9') => Ok(Self::Tokens(read::<Tokens>("input", value)?.count)),
            Some(b']') => Ok(Self::Texts(Vec::new())),
            Some(_) => Err(wrong_input("input[0]", "a text or a list of tokens")),
            None => Err(wrong_input("input", "a text, a list of texts, or tokens")),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Absent => Err(missing("input")),
            Self::Text(text) if text.is_empty() => Err(empty("input")),
            Self::Text(_) => Ok(()),
            Self::Texts(texts) if texts.is_empty() => Err(empty("input")),
            Self::Texts(texts) => match texts.iter().position(|text| text.is_empty()) {
                Some(at) => Err(empty(format!("input[{at}]"))),
                None => Ok(()),
            },
            Self::Tokens(count) => few_enough(*count),
            Self::TokenLists(lists) => match lists.iter().position(|count| *count == 0) {
                Some(at) => Err(empty(format!("input[{at}]"))),
                None => few_enough(lists.iter().sum()),
            },
        }
    }

    /// How many vectors are asked for.
    #[must_use]
    pub const fn count(&self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(lists) => lists.len(),
        }
    }

    /// The texts; nothing when tokens are sent.
    #[must_use]
    pub fn texts(&self) -> Option<&[RawStr<'a>]> {
        match self {
            Self::Text(text) => Some(std::slice::from_ref(text)),
            Self::Texts(texts) => Some(texts),
            Self::Absent | Self::Tokens(_) | Self::TokenLists(_) => None,
        }
    }
}

type Inputs<T> = Bounded<T, MAX_INPUTS>;

/// A list of tokens, of which only the length is kept.
struct Tokens {
    count: usize,
    last: u32,
}

impl<'a> Place<'a> for Tokens {
    fn blank() -> Self {
        Self { count: 0, last: 0 }
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::List(self)
    }
}

impl<'a> List<'a> for Tokens {
    fn wanted(&self) -> &'static str {
        "a list of tokens"
    }

    fn next(&mut self) -> Option<Slot<'_, 'a>> {
        self.count += 1;
        Some(self.last.slot())
    }

    fn check(&mut self) -> Result<(), Fault> {
        if self.count > MAX_TOKENS {
            return Err(Fault::new(format!("more than {MAX_TOKENS} tokens")));
        }
        Ok(())
    }
}

fn encoding(value: &RawValue) -> Result<Encoding, Error> {
    match &*read::<RawStr<'_>>("encoding_format", value)?.decode() {
        "float" => Ok(Encoding::Float),
        "base64" => Ok(Encoding::Base64),
        _ => {
            let message = "'encoding_format' must be \"float\" or \"base64\".";
            Err(Error::invalid("encoding_format", message).with_code("invalid_value"))
        }
    }
}

fn wrong_input(path: &str, wanted: &str) -> Error {
    Error::invalid(path, format!("Invalid type for '{path}': expected {wanted}."))
        .with_code("invalid_type")
}

fn empty(path: impl Into<String>) -> Error {
    let path = path.into();
    let message = format!("'{path}' is empty: there is nothing to embed.");
    Error::invalid(path, message).with_code("invalid_value")
}

fn few_enough(tokens: usize) -> Result<(), Error> {
    if tokens > MAX_TOKENS {
        let message = format!("'input' has {tokens} tokens; at most {MAX_TOKENS} are taken.");
        return Err(Error::invalid("input", message).with_code("invalid_value"));
    }
    Ok(())
}

self_cell::self_cell!(
    /// A request together with the body that it borrows from.
    pub struct ParsedEmbeddings {
        owner: Vec<u8>,
        #[covariant]
        dependent: Embeddings,
    }
    impl { Debug }
);

impl ParsedEmbeddings {
    /// Parses and keeps the body.
    ///
    /// # Errors
    /// As [`Embeddings::parse`].
    pub fn parse(body: Vec<u8>) -> Result<Self, Error> {
        Self::try_new(body, |body| Embeddings::parse(body))
    }

    /// The client wants to know what its request cost, though its body does not say so.
    pub fn include_cost(&mut self) {
        self.with_dependent_mut(|_, asked| asked.include_cost = true);
    }

    /// The body as the client sent it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.borrow_owner()
    }

    /// What it says.
    #[must_use]
    pub fn asked(&self) -> &Embeddings<'_> {
        self.borrow_dependent()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn refused(body: &str) -> (Option<String>, Option<String>, String) {
        let checked = Embeddings::parse(body.as_bytes())
            .and_then(|asked| asked.validate().map(|()| format!("{asked:?}")));
        let error = checked.unwrap_err();
        assert_eq!((error.status, &*error.kind), (400, "invalid_request_error"), "{body}");
        (error.param, error.code.map(Cow::into_owned), error.message)
    }

    fn input(json: &str) -> Result<Input<'_>, Error> {
        Ok(Embeddings::parse(json.as_bytes())?.input)
    }

    #[test]
    fn input_is_a_text_texts_or_tokens() {
        let count = |json: &str| {
            let body = format!(r#"{{"input":{json}}}"#);
            let input = input(&body).unwrap();
            (input.count(), input.texts().map(<[RawStr<'_>]>::len))
        };
        assert_eq!(count(r#""hi""#), (1, Some(1)));
        assert_eq!(count(r#"[ "a","b" ]"#), (2, Some(2)));
        assert_eq!(count("[1, 2,3]"), (1, None));
        assert_eq!(count("[[1,2],\n[3]]"), (2, None));
        assert_eq!(input(r#"{"input":[[1,2],[3]]}"#).unwrap(), Input::TokenLists(vec![2, 1]));
    }

    #[test]
    fn every_field_is_kept_as_it_was_written() {
        let body = br#"{"model":"m\u0041","x":1.0,"input":"a\u0062","user":null,"dimensions":256,"encoding_format":"base64"}"#;
        let asked = Embeddings::parse(body).unwrap();
        assert_eq!((&*asked.model, asked.dimensions), ("mA", Some(256)));
        assert_eq!(asked.encoding, Encoding::Base64);
        assert_eq!(
            asked.input,
            Input::Text(RawStr::from_raw(asked.field("input").unwrap()).unwrap())
        );
        assert_eq!(asked.field("x").unwrap().get(), "1.0");
        assert!(asked.field("user").is_none());
        asked.validate().unwrap();
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, param, code) in [
            (r#"{"input":"a"}"#, "model", "missing_required_parameter"),
            (r#"{"model":"m"}"#, "input", "missing_required_parameter"),
            (r#"{"model":"m","input":null}"#, "input", "missing_required_parameter"),
            (r#"{"model":"m","input":""}"#, "input", "invalid_value"),
            (r#"{"model":"m","input":[]}"#, "input", "invalid_value"),
            (r#"{"model":"m","input":["a",""]}"#, "input[1]", "invalid_value"),
            (r#"{"model":"m","input":[[1],[]]}"#, "input[1]", "invalid_value"),
            (r#"{"model":"m","input":["a",1]}"#, "input[1]", "invalid_type"),
            (r#"{"model":"m","input":[1,"a"]}"#, "input[1]", "invalid_type"),
            (r#"{"model":"m","input":[1,1.5]}"#, "input[1]", "invalid_type"),
            (r#"{"model":"m","input":[-1]}"#, "input[0]", "invalid_value"),
            (r#"{"model":"m","input":[[1],2]}"#, "input[1]", "invalid_type"),
            (r#"{"model":"m","input":[[1],[2,"x"]]}"#, "input[1][1]", "invalid_type"),
            (r#"{"model":"m","input":[null]}"#, "input[0]", "invalid_type"),
            (r#"{"model":"m","input":{}}"#, "input", "invalid_type"),
            (r#"{"model":"m","input":7}"#, "input", "invalid_type"),
            (r#"{"model":7,"input":"a"}"#, "model", "invalid_type"),
            (r#"{"model":"m","input":"a","dimensions":"1"}"#, "dimensions", "invalid_type"),
            (
                r#"{"model":"m","input":"a","encoding_format":"int8"}"#,
                "encoding_format",
                "invalid_value",
            ),
            (r#"{"model":"m","input":"a","encoding_format":7}"#, "encoding_format", "invalid_type"),
        ] {
            let (blamed, said, _) = refused(body);
            assert_eq!((blamed.as_deref(), said.as_deref()), (Some(param), Some(code)), "{body}");
        }
        for dimensions in ["0", "65537"] {
            let body = format!(r#"{{"model":"m","input":"a","dimensions":{dimensions}}}"#);
            assert_eq!(refused(&body).0.as_deref(), Some("dimensions"));
        }
    }

    #[test]
    fn broken_json_is_told_with_its_place() {
        let (param, _, message) = refused("{\"model\":\"m\",\n\"input\":[}");
        assert_eq!(param, None);
        assert!(message.contains("line 2 column 10"), "{message}");
        let (_, _, message) = refused(" ");
        assert!(message.contains("`input`"), "{message}");
        let (param, _, _) = refused(r#"{"model":"m","model":"n","input":"a"}"#);
        assert_eq!(param.as_deref(), Some("model"));
    }

    #[test]
    fn inputs_and_tokens_have_a_bound() {
        let with = |list: String| format!(r#"{{"model":"m","input":[{list}]}}"#);
        let texts = |count| with(vec!["\"a\""; count].join(","));
        let tokens = |count| vec!["1"; count].join(",");
        let two = |count| with(format!("[{}],[{}]", tokens(count), tokens(MAX_TOKENS / 2)));
        for body in [texts(MAX_INPUTS), with(tokens(MAX_TOKENS)), two(MAX_TOKENS / 2)] {
            Embeddings::parse(body.as_bytes()).unwrap().validate().unwrap();
        }
        for body in [
            texts(MAX_INPUTS + 1),
            with(tokens(MAX_TOKENS + 1)),
            two(MAX_TOKENS / 2 + 1),
            with(vec!["[1]"; MAX_INPUTS + 1].join(",")),
        ] {
            let (param, code, message) = refused(&body);
            assert_eq!(
                (param.as_deref(), code.as_deref()),
                (Some("input"), Some("invalid_value")),
                "{message}"
            );
        }
    }
}
