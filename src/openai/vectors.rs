//! The answer to an embeddings request: vectors as a provider wrote them, and as the client wants
//! them written.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::value::RawValue;

use super::embeddings::{Encoding, MAX_DIMENSIONS};
use super::json::{RawStr, write_compact, write_str};

/// Padding is written, and not asked for.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes of one number in base64.
const NUMBER_BYTES: usize = size_of::<f32>();

/// Vectors, to be written as OpenAI's list.
#[derive(Debug)]
pub struct Vectors<'a> {
    /// The model that made them.
    pub model: String,
    /// One for each input, in the order of the inputs.
    pub data: Vec<Vector<'a>>,
    /// Tokens of all inputs together; nothing where the provider does not say. A client is told 0
    /// then, since OpenAI's form needs a number.
    pub prompt_tokens: Option<u64>,
}

/// A vector as a provider wrote it.
#[derive(Debug)]
pub enum Vector<'a> {
    /// A JSON list of numbers.
    Numbers(&'a str),
    /// The base64 of 32-bit floats, the least significant byte first.
    Base64(Cow<'a, str>),
}

impl<'a> Vector<'a> {
    /// Reads a list of numbers or a text in base64.
    ///
    /// # Errors
    /// What else it is.
    pub fn read(raw: &'a RawValue) -> Result<Self, &'static str> {
        if let Some(text) = RawStr::from_raw(raw) {
            return Ok(Self::Base64(text.decode()));
        }
        let Some(inner) = raw.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        else {
            return Err("a vector that is neither a list nor base64");
        };
        // It is valid JSON already, and nothing but numbers is made of these characters only.
        let number = |byte: u8| {
            matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E' | b',') || byte <= b' '
        };
        if !inner.bytes().all(number) {
            return Err("a vector with an entry that is not a number");
        }
        if inner.trim_ascii().is_empty() {
            return Err("a vector without numbers");
        }
        Ok(Self::Numbers(raw.get()))
    }

    /// How it is written.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::Numbers(_) => Encoding::Float,
            Self::Base64(_) => Encoding::Base64,
        }
    }

    /// How many numbers it has.
    ///
    /// # Errors
    /// A text of which no whole number of floats can be made, and what is too long.
    pub fn count(&self) -> Result<usize, &'static str> {
        let count = match self {
            Self::Numbers(list) => memchr::memchr_iter(b',', list.as_bytes()).count() + 1,
            Self::Base64(text) => {
                let digits = text.trim_end_matches('=').len();
                let bytes = digits / 4 * 3 + (digits % 4).saturating_sub(1);
                if bytes == 0 || bytes % NUMBER_BYTES != 0 || digits % 4 == 1 {
                    return Err(NO_FLOATS);
                }
                bytes / NUMBER_BYTES
            }
        };
        if count as u64 > MAX_DIMENSIONS {
            return Err("a vector with too many numbers");
        }
        Ok(count)
    }

    /// Whether it holds what it seems to. Of a list that is known already.
    ///
    /// # Errors
    /// Base64 that is none, or of something else than floats.
    pub fn check(&self) -> Result<(), &'static str> {
        self.floats().map(drop)
    }

    /// Appends it as `encoding` has it. What is written that way already keeps its digits.
    ///
    /// # Errors
    /// A number that no 32-bit float can hold, or base64 that is none.
    pub fn write(&self, out: &mut Vec<u8>, encoding: Encoding) -> Result<(), &'static str> {
        match (self, encoding) {
            (Self::Numbers(list), Encoding::Float) => write_compact(out, list),
            (Self::Numbers(list), Encoding::Base64) => {
                let mut bytes = Vec::with_capacity(list.len() / 2);
                for number in list.trim_matches(['[', ']']).split(',') {
                    let number: f32 = number.trim_ascii().parse().unwrap_or(f32::INFINITY);
                    if !number.is_finite() {
                        return Err("a number that is no 32-bit float");
                    }
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                out.push(b'"');
                out.extend_from_slice(BASE64.encode(bytes).as_bytes());
                out.push(b'"');
            }
            (Self::Base64(text), Encoding::Base64) => {
                self.floats()?;
                write_str(out, text);
            }
            (Self::Base64(_), Encoding::Float) => {
                for (at, number) in self.floats()?.into_iter().enumerate() {
                    out.push(if at == 0 { b'[' } else { b',' });
                    // The shortest digits that are this float. Writing to a Vec cannot fail.
                    let _ = serde_json::to_writer(&mut *out, &number);
                }
                out.push(b']');
            }
        }
        Ok(())
    }

    /// The numbers of a text in base64.
    fn floats(&self) -> Result<Vec<f32>, &'static str> {
        let Self::Base64(text) = self else { return Ok(Vec::new()) };
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| "a vector that is not base64")?;
        let (numbers, rest) = bytes.as_chunks::<NUMBER_BYTES>();
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let whole = !numbers.is_empty() && rest.is_empty();
        if whole && numbers.iter().all(|number| number.is_finite()) {
            Ok(numbers)
        } else {
            Err(NO_FLOATS)
        }
    }
}

const NO_FLOATS: &str = "base64 that holds no 32-bit floats";

impl Vectors<'_> {
    /// The numbers that each vector has: all must have as many, and `wanted` if that is said.
    ///
    /// # Errors
    /// No vector, vectors of different lengths, or of another than was asked for.
    pub fn dimensions(&self, wanted: Option<u64>) -> Result<usize, String> {
        let mut all = self.data.iter().map(Vector::count);
        let first = all.next().ok_or("no vector")??;
        for length in all {
            if length? != first {
                return Err("vectors of different lengths".to_owned());
            }
        }
        match wanted {
            Some(wanted) if wanted != first as u64 => {
                Err(format!("vectors of {first} numbers where {wanted} were asked for"))
            }
            _ => Ok(first),
        }
    }

    /// The answer's body.
    ///
    /// # Errors
    /// As [`Vector::write`].
    pub fn write(&self, encoding: Encoding) -> Result<Vec<u8>, &'static str> {
        const ENTRY: usize = r#"{"object":"embedding","index":0000,"embedding":},"#.len();
        let length = self.data.iter().map(|vector| vector.text().len() + ENTRY).sum::<usize>();
        let mut out = Vec::with_capacity(length + 128 + self.model.len());
        out.extend_from_slice(br#"{"object":"list","data":["#);
        for (index, vector) in self.data.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let head = format!(r#"{{"object":"embedding","index":{index},"embedding":"#);
            out.extend_from_slice(head.as_bytes());
            vector.write(&mut out, encoding)?;
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"model\":");
        write_str(&mut out, &self.model);
        let tokens = self.prompt_tokens.unwrap_or(0);
        let usage = format!(r#","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#);
        out.extend_from_slice(usage.as_bytes());
        Ok(out)
    }
}

impl Vector<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Numbers(text) => text,
            Self::Base64(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    fn written(json: &str, encoding: Encoding) -> Result<String, &'static str> {
        let mut out = Vec::new();
        Vector::read(raw(json))?.write(&mut out, encoding)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_asked_for_as_numbers_keep_their_digits() {
        assert_eq!(
            written("[ 1.0, -0.10000000149011612,\n2E-3 ]", Encoding::Float).unwrap(),
            "[1.0,-0.10000000149011612,2E-3]"
        );
    }

    #[test]
    fn base64_is_of_32_bit_floats_with_the_lowest_byte_first() {
        // 1.0 is 00 00 80 3f, -2.5 is 00 00 20 c0.
        assert_eq!(written("[1, -2.5]", Encoding::Base64).unwrap(), r#""AACAPwAAIMA=""#);
        assert_eq!(written(r#""AACAPwAAIMA=""#, Encoding::Float).unwrap(), "[1.0,-2.5]");
        assert_eq!(written(r#""AACAPwAAIMA""#, Encoding::Float).unwrap(), "[1.0,-2.5]");
        assert_eq!(written(r#""AACAPwAAIMA=""#, Encoding::Base64).unwrap(), r#""AACAPwAAIMA=""#);
    }

    #[test]
    fn a_float_survives_the_way_through_base64() {
        for number in ["0.1", "-0.0", "1e-40", "3.4028235e38", "0.016732607"] {
            let base64 = written(&format!("[{number}]"), Encoding::Base64).unwrap();
            let back = written(&base64, Encoding::Float).unwrap();
            let back: Vec<f32> = serde_json::from_str(&back).unwrap();
            assert_eq!(back[0].to_bits(), number.parse::<f32>().unwrap().to_bits(), "{number}");
        }
    }

    #[test]
    fn what_is_no_vector_is_an_error() {
        for json in [
            "null",
            "{}",
            "7",
            "[]",
            "[ ]",
            "[null]",
            "[true]",
            "[\"1\"]",
            "[[1]]",
            "[1,{}]",
            "[false]",
            r#""""#,
            r#""!!!!""#,
            r#""AAAA""#,
            r#""AACAPwA""#,
            // A NaN and an infinity.
            r#""AADAfw==""#,
            r#""AACAfw==""#,
        ] {
            for encoding in [Encoding::Float, Encoding::Base64] {
                assert!(written(json, encoding).is_err(), "{json} as {encoding:?}");
            }
        }
        assert!(written("[1e39]", Encoding::Base64).is_err());
    }

    #[test]
    fn the_length_is_told_without_decoding() {
        for (json, length) in [("[1]", 1), ("[1,2, 3]", 3), (r#""AACAPwAAIMA=""#, 2)] {
            assert_eq!(Vector::read(raw(json)).unwrap().count(), Ok(length), "{json}");
        }
        let long = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        let most = MAX_DIMENSIONS as usize;
        assert_eq!(Vector::read(raw(&long(most))).unwrap().count(), Ok(most));
        assert!(Vector::read(raw(&long(most + 1))).unwrap().count().is_err());
    }

    #[test]
    fn all_vectors_have_as_many_numbers_as_were_asked_for() {
        let of = |lists: &[&'static str]| Vectors {
            model: "m".into(),
            data: lists.iter().map(|list| Vector::Numbers(list)).collect(),
            prompt_tokens: None,
        };
        assert_eq!(of(&["[1,2]", "[3,4]"]).dimensions(Some(2)), Ok(2));
        assert_eq!(of(&["[1,2]"]).dimensions(None), Ok(2));
        assert!(of(&["[1,2]"]).dimensions(Some(3)).is_err());
        assert!(of(&["[1,2]", "[3]"]).dimensions(None).is_err());
        assert!(of(&[]).dimensions(None).is_err());
    }

    #[test]
    fn the_answer_has_openais_form() {
        let vectors = Vectors {
            model: "m\"".into(),
            data: vec![Vector::Numbers("[1.0]"), Vector::Base64("AACAPw==".into())],
            prompt_tokens: Some(3),
        };
        let body = String::from_utf8(vectors.write(Encoding::Float).unwrap()).unwrap();
        assert_eq!(
            body,
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0]},{"object":"embedding","index":1,"embedding":[1.0]}],"model":"m\"","usage":{"prompt_tokens":3,"total_tokens":3}}"#
        );
    }
}
