//! AWS Bedrock Converse: its streams are binary frames with two checksums each.

use super::{Api, PROMPT_TOKENS, Part, Stream, word};
use std::io::Write;

pub const BEDROCK: Api = Api {
    name: "bedrock",
    label: "Bedrock",
    translated: true,
    central: false,
    model: "bench-bedrock",
    host: "bedrock-runtime.us-east-1.amazonaws.com",
    path: "/model/mock-model-1/converse",
    stream_path: "/model/mock-model-1/converse-stream",
    headers: "x-amzn-requestid: 01234567-89ab-4cde-8f01-23456789abcd\r\n",
    stream_type: "application/vnd.amazon.eventstream",
    forms: ["\"stopReason\"", "contentBlockDelta"],
    end: b"\"latencyMs\"",
    answer,
    events,
};

/// What payloads are padded with, so that their length does not tell the text's.
const PADDING: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

fn answer(text: &str) -> String {
    format!(
        r#"{{"metrics":{{"latencyMs":412}},"output":{{"message":{{"content":[{{"text":"{text}"}}],"role":"assistant"}}}},"stopReason":"end_turn","usage":{{"cacheReadInputTokens":0,"cacheWriteInputTokens":0,"inputTokens":231,"outputTokens":118,"totalTokens":349}}}}"#
    )
}

fn events(stream: &Stream, step: usize, out: &mut Vec<u8>) {
    match stream.part(step) {
        Part::Opening => frame("messageStart", step, out, |out| {
            out.extend_from_slice(br#"{"role":"assistant""#);
        }),
        Part::Delta(number) => frame("contentBlockDelta", step, out, |out| {
            out.extend_from_slice(br#"{"contentBlockIndex":0,"delta":{"text":""#);
            word(number, out);
            out.extend_from_slice(b"\"}");
        }),
        Part::Closing => {
            frame("contentBlockStop", step, out, |out| {
                out.extend_from_slice(br#"{"contentBlockIndex":0"#);
            });
            frame("messageStop", step, out, |out| {
                out.extend_from_slice(br#"{"stopReason":"end_turn""#);
            });
            frame("metadata", step, out, |out| {
                let (output, total) = (stream.chunks, PROMPT_TOKENS + stream.chunks);
                // Writing to a vector cannot fail.
                let _ = write!(
                    out,
                    r#"{{"metrics":{{"latencyMs":412}},"usage":{{"cacheReadInputTokens":0,"cacheWriteInputTokens":0,"inputTokens":{PROMPT_TOKENS},"outputTokens":{output},"totalTokens":{total}}}"#
                );
            });
        }
    }
}

/// Appends one frame: its length, that of its headers, the checksum of both; the headers, the
/// payload, and the checksum of all before it. `payload` writes an object that is still open: the
/// padding comes last.
fn frame(kind: &str, step: usize, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 12]);
    for (name, value) in
        [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")]
    {
        /// The type of a header whose value is a text.
        const TEXT: u8 = 7;
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.push(TEXT);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let headers = (out.len() - start - 12) as u32;
    payload(out);
    out.extend_from_slice(b",\"p\":\"");
    out.extend_from_slice(&PADDING[..5 + step * 17 % 50]);
    out.extend_from_slice(b"\"}");
    let total = (out.len() - start + 4) as u32;
    out[start..start + 4].copy_from_slice(&total.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&headers.to_be_bytes());
    let prelude = crc32(&out[start..start + 8]);
    out[start + 8..start + 12].copy_from_slice(&prelude.to_be_bytes());
    let whole = crc32(&out[start..]);
    out.extend_from_slice(&whole.to_be_bytes());
}

/// CRC-32 as in IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut value, mut bit) = (index as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

/// The events of a stream, each with its kind and payload; checks every length and checksum.
#[cfg(test)]
pub fn decoded(mut rest: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    // Bit by bit, unlike what is tested.
    let slow = |bytes: &[u8]| {
        let mut crc = u32::MAX;
        for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1))) {
            crc = (crc >> 1) ^ if (crc ^ bit) & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
        !crc
    };
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (frame, after) = rest.split_at(number(&rest[..4]) as usize);
        rest = after;
        assert_eq!(number(&frame[8..12]), slow(&frame[..8]));
        let (checked, checksum) = frame.split_at(frame.len() - 4);
        assert_eq!(number(checksum), slow(checked));
        let (mut headers, payload) = checked[12..].split_at(number(&frame[4..8]) as usize);
        let mut kind = String::new();
        while let Some((length, left)) = headers.split_first() {
            let (name, left) = left.split_at(usize::from(*length));
            assert_eq!(left[0], 7);
            let (value, left) =
                left[3..].split_at(usize::from(u16::from_be_bytes([left[1], left[2]])));
            if name == b":event-type" {
                kind = String::from_utf8(value.to_vec()).unwrap();
            }
            headers = left;
        }
        events.push((kind, payload.to_vec()));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_means() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn frames_are_told_apart_by_their_kind_and_end_with_the_usage() {
        let stream = Stream { api: crate::wire::find("bedrock").unwrap(), chunks: 2, usage: false };
        let mut wire = Vec::new();
        for step in 0..=3 {
            events(&stream, step, &mut wire);
        }
        let kinds: Vec<_> = decoded(&wire).into_iter().map(|(kind, _)| kind).collect();
        let expected = [
            "messageStart",
            "contentBlockDelta",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop",
            "metadata",
        ];
        assert_eq!(kinds, expected);
    }
}
