//! Any text: what is found in it stands in order, within it and between characters; none of it is kept where
//! the text is cut; and what is left of it is one line of JSON that reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waypost::filter::record::writer::quote;
use waypost::guard::{Finder, Shape, redact};

fuzz_target!(|bytes: &[u8]| {
    let Some((most, text)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let shapes = vec![("it".to_owned(), Shape::parse("@*:#").expect("a pattern"))];
    let finder = Finder { shapes, ..Finder::everything() };
    let mut end = 0;
    for span in finder.find(&text) {
        assert!(end <= span.start && span.start < span.end);
        assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
        end = span.end;
    }
    let most = usize::from(*most) * 8;
    let (kept, whole) = redact(&text, &finder, most);
    assert!(kept.len() <= most);
    if whole {
        assert_eq!(kept, redact(&text, &finder, usize::MAX / 2).0);
    }
    let mut line = Vec::new();
    if quote(&mut line, &kept, usize::MAX / 2) {
        assert_eq!(serde_json::from_slice::<String>(&line).expect("JSON"), kept);
        assert!(!line.contains(&b'\n'));
    }
});
