use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Owned = (Vec<u8>, Vec<u8>);
/// A stream and its events, each a name and data.
type Case = (&'static [u8], &'static [(&'static str, &'static str)]);

#[derive(Debug, PartialEq)]
enum Failure {
    TooLarge,
    Sink,
}

impl From<TooLarge> for Failure {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

fn decode<'a>(pushes: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
    let mut events = Vec::new();
    let mut sink = |event: Event<'_>| {
        events.push((event.name.to_vec(), event.data.to_vec()));
        Ok::<(), Failure>(())
    };
    let mut decoder = Decoder::new();
    for bytes in pushes {
        decoder.push(bytes, &mut sink).unwrap();
    }
    decoder.finish(&mut sink).unwrap();
    events
}

fn events(list: &[(&str, &str)]) -> Vec<Owned> {
    list.iter().map(|(name, data)| (name.as_bytes().to_vec(), data.as_bytes().to_vec())).collect()
}

#[track_caller]
fn check(stream: &[u8], expected: &[(&str, &str)]) {
    assert_eq!(decode([stream]), events(expected), "{}", stream.escape_ascii());
}

/// Streams and the events that the HTML standard's rules give, plus a last event without its blank
/// line.
const CORPUS: &[Case] = &[
    (b"", &[]),
    (b"\n\r\n\r", &[]),
    (b"data: a\n\n", &[("", "a")]),
    (b"data: a\r\n\r\n", &[("", "a")]),
    (b"data: a\r\r", &[("", "a")]),
    (b"data: a\r\n\ndata: b\r\r\ndata: c\n\r", &[("", "a"), ("", "b"), ("", "c")]),
    (b"data: a\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
    (b"data:a\n\ndata:  b \n\n", &[("", "a"), ("", " b ")]),
    (b"data: a\ndata:b\ndata\ndata: c\n\n", &[("", "a\nb\n\nc")]),
    (b"data\n\ndata:\n\ndata: \n\n", &[("", ""), ("", ""), ("", "")]),
    (b"data\ndata\n\n", &[("", "\n")]),
    (b"event: x\ndata: a\n\ndata: b\n\n", &[("x", "a"), ("", "b")]),
    (b"data: a\nevent: x\n\n", &[("x", "a")]),
    (b"event: x\nevent: yy\ndata: a\nevent: z\n\n", &[("z", "a")]),
    (b"event: x\ndata: a\nevent\n\n", &[("", "a")]),
    (b"event: lost\n\ndata: a\n\n", &[("", "a")]),
    (b": ping\n\n:\n\ndata: a\n: between\ndata: b\n\n", &[("", "a\nb")]),
    (b": data: a\n\n", &[]),
    (b"id: 1\nretry: 5\nfoo: bar\nfoo\ndata: a\nid\n\n", &[("", "a")]),
    (b"datax: a\n\ndat: a\n\n data: a\n\nDATA: a\n\n", &[]),
    (b"data: a: b\n\ndata::\n\n", &[("", "a: b"), ("", ":")]),
    (b"\xEF\xBB\xBFdata: a\n\n", &[("", "a")]),
    (b"\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\n", &[]),
    (b"data: a\n\n\xEF\xBB\xBFdata: b\n\n", &[("", "a")]),
    (b"\xEF\xBBdata: a\n\ndata: b\n\n", &[("", "b")]),
    (b"\xEF\n\ndata: b\n\n", &[("", "b")]),
    (b"\xEF\xBB", &[]),
    (b"data: last", &[("", "last")]),
    (b"event: x\ndata: last\n", &[("x", "last")]),
    (b"event: x\r\ndata: last\r\ndata: l", &[("x", "last\nl")]),
    (b"data: a\n\nevent: x", &[("", "a")]),
    (
        b"data: {\"a\":1}\n\ndata: {\"b\":[\"\\n\"]}\n\ndata: [DONE]\n\n",
        &[("", "{\"a\":1}"), ("", "{\"b\":[\"\\n\"]}"), ("", "[DONE]")],
    ),
    ("event: délta\ndata: \u{1F600}é\n\n".as_bytes(), &[("délta", "\u{1F600}é")]),
];

#[test]
fn each_stream_of_the_corpus_gives_its_events() {
    for (stream, expected) in CORPUS {
        check(stream, expected);
    }
}

#[test]
fn every_cut_gives_the_same_events() {
    for (stream, expected) in CORPUS {
        let expected = events(expected);
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pushes = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(
                    decode(pushes),
                    expected,
                    "{} at {first}, {second}",
                    stream.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn one_byte_at_a_time_gives_the_same_events() {
    for (stream, expected) in CORPUS {
        assert_eq!(decode(stream.chunks(1)), events(expected), "{}", stream.escape_ascii());
    }
}

#[test]
fn bytes_that_are_not_utf8_pass_unchanged() {
    let stream = b"event: \xFF\ndata: \xC3\ndata: \x00\x80\n\n";
    assert_eq!(decode(stream.chunks(1)), [(b"\xFF".to_vec(), b"\xC3\n\x00\x80".to_vec())]);
}

#[test]
fn a_cr_dispatches_without_waiting_for_its_lf() {
    let mut count = 0;
    let mut sink = |_: Event<'_>| {
        count += 1;
        Ok::<(), Failure>(())
    };
    let mut decoder = Decoder::new();
    decoder.push(b"data: a\r\n\r", &mut sink).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_whole_event_is_borrowed_from_the_push() {
    let stream = b"event: x\ndata: first\n\ndata: second\n\n".as_slice();
    let inside = |part: &[u8]| stream.as_ptr_range().contains(&part.as_ptr());
    let mut seen = 0;
    let mut decoder = Decoder::new();
    let mut sink = |event: Event<'_>| {
        seen += 1;
        assert!(inside(event.data));
        assert!(event.name.is_empty() || inside(event.name));
        Ok::<(), Failure>(())
    };
    decoder.push(stream, &mut sink).unwrap();
    assert_eq!(seen, 2);
    assert_eq!(decoder.line.capacity() + decoder.event.name.capacity(), 0);
}

#[test]
fn an_error_of_the_sink_ends_the_stream() {
    let mut seen = Vec::new();
    let mut sink = |event: Event<'_>| {
        seen.push(event.data.to_vec());
        if event.data == b"b" { Err(Failure::Sink) } else { Ok(()) }
    };
    let mut decoder = Decoder::new();
    assert_eq!(
        decoder.push(b"data: a\n\ndata: b\n\ndata: c\n\ndata: d", &mut sink),
        Err(Failure::Sink)
    );
    assert_eq!(decoder.push(b"data: e\n\n", &mut sink), Ok(()));
    assert_eq!(decoder.finish(&mut sink), Ok(()));
    assert_eq!(seen, [b"a", b"b"]);
}

#[test]
fn bytes_after_the_end_are_dropped() {
    let mut seen = 0;
    let mut sink = |_: Event<'_>| {
        seen += 1;
        Ok::<(), Failure>(())
    };
    let mut decoder = Decoder::new();
    decoder.push(b"data: a", &mut sink).unwrap();
    decoder.finish(&mut sink).unwrap();
    decoder.finish(&mut sink).unwrap();
    decoder.push(b"data: b\n\n", &mut sink).unwrap();
    assert_eq!(seen, 1);
}

/// Feeds `pieces` and counts the events up to the end or the error.
fn count<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (usize, Result<(), Failure>) {
    let mut seen = 0;
    let mut decoder = Decoder::new();
    let mut sink = |_: Event<'_>| {
        seen += 1;
        Ok::<(), Failure>(())
    };
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut sink) {
            assert_eq!(decoder.push(b"data: more\n\n", &mut sink), Err(Failure::TooLarge));
            assert_eq!(decoder.finish(&mut sink), Err(Failure::TooLarge));
            assert_eq!(decoder.line.capacity() + decoder.event.len(), 0);
            return (seen, Err(error));
        }
    }
    let end = decoder.finish(&mut sink);
    (seen, end)
}

#[test]
fn an_event_at_the_cap_passes_and_one_byte_more_is_too_large() {
    for (extra, expected) in [(0, (2, Ok(()))), (1, (1, Err(Failure::TooLarge)))] {
        let mut stream = b"data: a\n\ndata:".to_vec();
        stream.resize(stream.len() - 5 + MAX_EVENT_BYTES + extra, b'x');
        stream.extend_from_slice(b"\n\n");
        assert_eq!(count([&stream[..]]), expected);
        assert_eq!(count(stream.chunks(1 << 20)), expected);
        assert_eq!(count([&stream[..20], &stream[20..]]), expected);
    }
}

#[test]
fn a_line_that_never_ends_is_too_large() {
    for start in [b"data: ".as_slice(), b": ", b"", b"x"] {
        let filler = vec![b'y'; 1 << 20];
        let endless = std::iter::once(start).chain((0..9).map(|_| &filler[..]));
        assert_eq!(count(endless), (0, Err(Failure::TooLarge)));
    }
}

#[test]
fn lines_that_never_end_an_event_are_too_large() {
    let mut line = b"data: ".to_vec();
    line.resize((1 << 20) - 1, b'x');
    line.push(b'\n');
    assert_eq!(count((0..9).map(|_| &line[..])), (0, Err(Failure::TooLarge)));
    let whole: Vec<u8> = (0..9).flat_map(|_| line.iter().copied()).collect();
    assert_eq!(count([&whole[..]]), (0, Err(Failure::TooLarge)));
}

#[test]
fn the_cap_counts_one_event_and_not_the_stream() {
    let mut event = b"event: x\ndata: ".to_vec();
    event.resize(3 << 20, b'x');
    event.extend_from_slice(b"\n\n");
    assert_eq!(count((0..6).map(|_| &event[..])), (6, Ok(())));
    assert_eq!(count((0..6).flat_map(|_| event.chunks(1_000_000))), (6, Ok(())));
}
