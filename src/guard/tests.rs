#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const CASES: &str = include_str!("../../tests/guard/pii.txt");

fn all(text: &str) -> String {
    redact(text, &Finder::everything(), usize::MAX / 2).0
}

#[test]
fn what_is_found_is_replaced_and_what_only_looks_like_it_stays() {
    let (mut found, mut left) = (0, 0);
    let mut wrong = Vec::new();
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let line = line.replace("\\\\", "\u{1}").replace("\\n", "\n").replace('\u{1}', "\\");
        let (text, becomes) = line.split_once(" => ").unwrap_or((&line, &line));
        *(if text == becomes { &mut left } else { &mut found }) += 1;
        if all(text) != becomes {
            wrong.push(format!("{text}\n  is     {}\n  not    {becomes}", all(text)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found > 40 && left > 40, "{found} {left}");
}

#[test]
fn only_what_is_wanted_is_looked_for() {
    let text = "john@example.com 203.0.113.7 4111111111111111";
    let finder = Finder { kinds: vec![Kind::Ip], shapes: Vec::new() };
    assert_eq!(redact(text, &finder, 999).0, "john@example.com [ip] 4111111111111111");
    assert_eq!(redact(text, &Finder::default(), 999).0, text);
}

fn shaped(pattern: &str, text: &str) -> String {
    let shapes = vec![("it".to_owned(), Shape::parse(pattern).unwrap())];
    redact(text, &Finder { kinds: Vec::new(), shapes }, 999).0
}

#[test]
fn a_shape_stands_for_what_it_says_and_for_no_part_of_a_word() {
    for (pattern, text, becomes) in [
        ("EMP-######", "EMP-123456, EMP-000000.", "[it], [it]."),
        (
            "EMP-######",
            "TEMP-123456 EMP-1234567 EMP-12345 emp-123456",
            "TEMP-123456 EMP-1234567 EMP-12345 emp-123456",
        ),
        ("@@-????", "ab-1c2D a1-1234 (xy-0000)", "[it] a1-1234 ([it])"),
        ("acct_*", "acct_a-b_C9; acct_ acct", "[it]; acct_ acct"),
        ("<*>", "<name> <> < x>", "[it] <> < x>"),
        (r"\#\*#", "#*7 x#*8 #*77", "[it] x[it] #*77"),
        ("Ünï-##", "x Ünï-12 y", "x [it] y"),
    ] {
        assert_eq!(shaped(pattern, text), becomes, "{pattern}");
    }
}

#[test]
fn a_shape_that_means_nothing_is_refused() {
    for (pattern, why) in [
        ("", "3 to 64"),
        ("##", "3 to 64"),
        ("***", "any word"),
        ("ab\\", "ends with"),
        ("a*b", "none of them can follow"),
        ("a*#", "none of them can follow"),
        ("ab*-", "none of them can follow"),
        // What is longer than the margin could be kept in part where a text is cut.
        ("*.*.*.*.*.*.*.*", "more than 512"),
    ] {
        assert!(Shape::parse(pattern).unwrap_err().contains(why), "{pattern}");
    }
    assert!(Shape::parse("*.*.*.*.*.*.*.#").is_ok());
    assert!(Shape::parse(&"#".repeat(MAX)).is_ok() && Shape::parse(&"#".repeat(MAX + 1)).is_err());
}

const MAX: usize = shape::MAX_SHAPE;

#[test]
fn a_shape_comes_before_kinds() {
    let shapes = vec![("employee".to_owned(), Shape::parse("@*\\@corp.example").unwrap())];
    let finder = Finder { shapes, ..Finder::everything() };
    assert_eq!(redact("john@corp.example john@example.com", &finder, 99).0, "[employee] [email]");
}

#[test]
fn a_value_at_the_cut_is_not_kept_in_part() {
    let text = format!("{} john.doe@example.com and more", "x".repeat(50));
    for most in 0..text.len() {
        let (kept, whole) = redact(&text, &Finder::everything(), most);
        assert!(!whole || kept.len() <= most);
        assert!(kept.len() <= most, "{kept}");
        let tail = kept.trim_start_matches('x');
        assert!(" [email] and more".starts_with(tail), "{most}: {kept}");
    }
    let token = format!("a eyJ{}", "a".repeat(9 * redact::MARGIN));
    assert_eq!(redact(&token, &Finder::everything(), 20), ("a [key]".to_owned(), false));
    let long = "é".repeat(redact::MARGIN);
    assert_eq!(redact(&long, &Finder::everything(), 3), ("é".to_owned(), false));
}
