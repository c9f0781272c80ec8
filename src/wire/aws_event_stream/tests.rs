#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// A message of botocore's own form, its checksums from zlib.
const PUBLISHED: &[u8] = &[
    0, 0, 0, 0x1D, 0, 0, 0, 0, 0xFD, 0x52, 0x8C, 0x5A, b'{', b'\'', b'f', b'o', b'o', b'\'', b':',
    b'\'', b'b', b'a', b'r', b'\'', b'}', 0xC3, 0x65, 0x39, 0x36,
];

type Seen = Vec<(Option<String>, Vec<u8>)>;

/// What the pieces hold, and how it ended.
fn decode<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Seen, Result<(), Fault>) {
    let mut decoder = Decoder::new();
    let mut seen = Seen::new();
    let mut sink = |message: Message<'_>| {
        let kind = message.header(":event-type").map(str::to_owned);
        seen.push((kind, message.payload.to_vec()));
        Ok::<(), Fault>(())
    };
    for piece in pieces {
        if let Err(fault) = decoder.push(piece, &mut sink) {
            assert_eq!(decoder.push(b"x", &mut sink), Err(fault), "a fault stays");
            assert_eq!(decoder.finish(), Err(fault));
            assert_eq!(decoder.pending.capacity(), 0);
            return (seen, Err(fault));
        }
    }
    let end = decoder.finish();
    (seen, end)
}

fn two() -> Vec<u8> {
    let mut bytes = encode(&[(":event-type", "a"), (":message-type", "event")], b"{\"x\":1}");
    bytes.extend(encode(&[(":event-type", "b")], b""));
    bytes
}

#[test]
fn a_checksum_is_that_of_zlib() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn a_message_without_headers_is_read_and_written() {
    assert_eq!(decode([PUBLISHED]), (vec![(None, b"{'foo':'bar'}".to_vec())], Ok(())));
    assert_eq!(encode(&[], b"{'foo':'bar'}"), PUBLISHED);
}

#[test]
fn every_cut_gives_the_same_messages() {
    let bytes = two();
    let whole = decode([&*bytes]);
    let expected = vec![(Some("a".into()), b"{\"x\":1}".to_vec()), (Some("b".into()), Vec::new())];
    assert_eq!(whole, (expected, Ok(())));
    assert_eq!(decode(bytes.chunks(1)), whole);
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(decode(pieces), whole, "{first} {second}");
        }
    }
}

#[test]
fn no_corrupted_byte_goes_unseen() {
    let good = two();
    let first =
        decode([&*encode(&[(":event-type", "a"), (":message-type", "event")], b"{\"x\":1}")]).0;
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let (seen, end) = decode([&*bytes]);
            assert_eq!(end, Err(Fault::Checksum), "byte {at} bit {bit}");
            assert!(seen.is_empty() || seen == first, "byte {at} bit {bit}");
        }
    }
}

#[test]
fn an_end_within_a_message_is_a_cut() {
    let bytes = two();
    let whole = encode(&[(":event-type", "a"), (":message-type", "event")], b"{\"x\":1}").len();
    for end in 1..bytes.len() {
        let expected = if end == whole { Ok(()) } else { Err(Fault::Cut) };
        assert_eq!(decode([&bytes[..end]]).1, expected, "{end}");
    }
}

#[test]
fn every_type_of_header_is_passed_over() {
    let mut headers = Vec::new();
    for (kind, value) in [
        (0_u8, &[][..]),
        (1, &[]),
        (2, &[1]),
        (3, &[1; 2]),
        (4, &[1; 4]),
        (5, &[1; 8]),
        (6, &[0, 2, b'a', b'b']),
        (8, &[1; 8]),
        (9, &[1; 16]),
    ] {
        headers.extend_from_slice(&[1, b'h', kind]);
        headers.extend_from_slice(value);
    }
    let others = headers.clone();
    headers.extend_from_slice(b"\x0B:event-type\x07\x00\x01z");
    assert_eq!(
        decode([&*frame(&headers, b"p")]),
        (vec![(Some("z".into()), b"p".to_vec())], Ok(()))
    );
    for end in 1..others.len() {
        let end = decode([&*frame(&others[..end], b"")]).1;
        assert!(end.is_ok() || end == Err(Fault::Header));
    }
    for wrong in [&[1, b'h'][..], &[1, b'h', 10], &[9, b'h', 0], &[1, b'h', 7, 0, 9, 1], &[0]] {
        assert_eq!(decode([&*frame(wrong, b"p")]), (Vec::new(), Err(Fault::Header)), "{wrong:?}");
    }
}

#[test]
fn a_header_of_another_type_or_no_text_is_nothing() {
    for value in [&b"\x06\x00\x01z"[..], b"\x07\x00\x01\xFF", b"\x00"] {
        let headers = [b"\x0B:event-type", value].concat();
        assert_eq!(decode([&*frame(&headers, b"")]).0, [(None, Vec::new())]);
    }
}

/// The twelve bytes before a message with these lengths.
fn prelude(total: usize, headers: usize) -> Vec<u8> {
    let mut out = (total as u32).to_be_bytes().to_vec();
    out.extend((headers as u32).to_be_bytes());
    let checksum = crc32(&out);
    out.extend(checksum.to_be_bytes());
    out
}

#[test]
fn impossible_lengths_are_refused_with_the_prelude() {
    for (total, headers) in [(0, 0), (15, 0), (16, 1), (100, 85), (4, u32::MAX as usize >> 20)] {
        let bytes = prelude(total, headers);
        assert_eq!(decode([&*bytes]), (Vec::new(), Err(Fault::Length)), "{total} {headers}");
        assert_eq!(decode(bytes.chunks(1)).1, Err(Fault::Length));
    }
}

#[test]
fn headers_have_a_cap() {
    let block = |length: usize| {
        let mut block = Vec::new();
        while block.len() < length {
            let value = (length - block.len() - 5).min(60_000);
            block.extend_from_slice(b"\x01h\x06");
            block.extend_from_slice(&(value as u16).to_be_bytes());
            block.extend(std::iter::repeat_n(b'v', value));
        }
        assert_eq!(block.len(), length);
        block
    };
    let at_the_cap = frame(&block(MAX_HEADER_BYTES), b"p");
    assert_eq!(decode([&*at_the_cap]), (vec![(None, b"p".to_vec())], Ok(())));
    let over = prelude(FRAME_BYTES + MAX_HEADER_BYTES + 1, MAX_HEADER_BYTES + 1);
    assert_eq!(decode([&*over]), (Vec::new(), Err(Fault::TooLarge)));
    assert_eq!(decode(over.chunks(5)).1, Err(Fault::TooLarge));
}

#[test]
fn a_payload_has_a_cap() {
    let payload = vec![b'x'; MAX_PAYLOAD_BYTES];
    let at_the_cap = frame(b"", &payload);
    let (seen, end) = decode(at_the_cap.chunks(1 << 20));
    assert_eq!((seen.len(), seen[0].1.len(), end), (1, MAX_PAYLOAD_BYTES, Ok(())));
    for total in [FRAME_BYTES + MAX_PAYLOAD_BYTES + 1, u32::MAX as usize] {
        let over = prelude(total, 0);
        assert_eq!(decode([&*over]), (Vec::new(), Err(Fault::TooLarge)));
        let mut decoder = Decoder::new();
        let mut sink = |_: Message<'_>| Ok::<(), Fault>(());
        assert_eq!(decoder.push(&over[..11], &mut sink), Ok(()));
        assert_eq!(decoder.push(&over[11..], &mut sink), Err(Fault::TooLarge));
        assert_eq!(decoder.pending.capacity(), 0);
    }
}

#[test]
fn no_room_is_made_for_what_is_only_announced() {
    let mut decoder = Decoder::new();
    let mut sink = |_: Message<'_>| Ok::<(), Fault>(());
    decoder.push(&prelude(FRAME_BYTES + MAX_PAYLOAD_BYTES, 0), &mut sink).unwrap();
    decoder.push(b"xy", &mut sink).unwrap();
    assert!(decoder.pending.capacity() < 100, "{}", decoder.pending.capacity());
}

#[test]
fn an_error_of_the_sink_closes_the_stream() {
    #[derive(Debug, PartialEq)]
    enum Why {
        Sink,
        Fault,
    }
    impl From<Fault> for Why {
        fn from(_: Fault) -> Self {
            Self::Fault
        }
    }
    let mut decoder = Decoder::new();
    let mut count = 0;
    let bytes = two();
    let mut sink = |_: Message<'_>| {
        count += 1;
        Err(Why::Sink)
    };
    assert_eq!(decoder.push(&bytes, &mut sink), Err(Why::Sink));
    assert_eq!(decoder.push(&bytes, &mut sink), Ok(()));
    assert_eq!(decoder.finish(), Ok(()));
    assert_eq!(count, 1);
}
