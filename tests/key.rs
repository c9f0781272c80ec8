//! What `waypost key` prints and where, and what it refuses.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "helpers of a test, which may fail like one")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use waypost::tenancy::key::{Hash, is_key};

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_waypost"))
        .arg("key")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn said(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The hash in an entry as `waypost key new` tells it.
fn told_hash(entry: &str) -> Hash {
    let (_, after) = entry.split_once("- hash: \"").unwrap();
    Hash::parse(after.split_once('"').unwrap().0).unwrap()
}

#[test]
fn a_new_key_is_alone_on_the_output_and_its_entry_beside_it() {
    let mut keys = BTreeSet::new();
    for _ in 0..5 {
        let arguments =
            ["new", "--tenant", "search", "--name", "search-2999", "--expires", "2999-12-31"];
        let output = run(&arguments, b"");
        assert_eq!(output.status.code(), Some(0));
        let key = said(&output.stdout).strip_suffix('\n').unwrap();
        assert!(is_key(key) && key.len() == 43, "{key}");
        let told = said(&output.stderr);
        assert!(told_hash(told).is_of(key));
        assert!(!told.contains(key), "the key is on the error output");
        let (_, entry) = told.split_once("\n\n").unwrap();
        let expected = format!(
            "tenants:\n  \"search\":\n    keys:\n      - hash: \"{}\"\n        name: \"search-2999\"\n        expires: \"2999-12-31\"\n\n",
            told_hash(told)
        );
        assert_eq!(entry, expected);
        keys.insert(key.to_owned());
    }
    assert_eq!(keys.len(), 5);
}

#[test]
fn a_hash_is_of_the_key_that_was_piped_in() {
    let made = run(&["new"], b"");
    let key = said(&made.stdout);
    let output = run(&["hash"], key.as_bytes());
    assert_eq!((output.status.code(), said(&output.stderr)), (Some(0), ""));
    let hash = Hash::parse(said(&output.stdout).trim_end()).unwrap();
    assert!(hash.is_of(key.trim_end()));
    // Another salt each time.
    assert_ne!(run(&["hash"], key.as_bytes()).stdout, output.stdout);
    assert_eq!(hash.handle(), told_hash(said(&made.stderr)).handle());
}

#[test]
fn weak_keys_need_a_word_more() {
    let output = run(&["hash"], b"wp-demo\n");
    assert_eq!(output.status.code(), Some(2));
    let told = said(&output.stderr);
    assert!(
        told.contains("can be guessed: it has 4 characters") && told.contains("--weak"),
        "{told}"
    );
    let output = run(&["hash", "--weak"], b"wp-demo\n");
    assert!(Hash::parse(said(&output.stdout).trim_end()).unwrap().is_of("wp-demo"));
}

#[test]
fn a_key_is_never_an_argument_and_never_repeated() {
    let key = "wp-Fx9TqP0rW2bLkD7aZc3VnM5s";
    for arguments in [
        &["hash", key][..],
        &["hash", "--weak", key],
        &["check", "envoy.yaml", key],
        &["check", key],
    ] {
        let output = run(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = said(&output.stderr);
        assert!(told.contains("a key is no argument") && !told.contains(key), "{told}");
        assert!(output.stdout.is_empty());
    }
    for input in [&b"wp-no key"[..], b"sk-other", b"", b"wp-\xff\xff\xff\xff", &[b'w'; 100_000]] {
        let output = run(&["hash"], input);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            said(&output.stderr),
            "waypost: the input is no key: one begins with wp- and has 7 to 128 visible ASCII characters\n"
        );
    }
}

#[test]
fn a_name_that_no_configuration_takes_makes_no_key() {
    let long = "x".repeat(129);
    for tenant in ["", "Sales EU", "t\u{e9}l\u{e9}", "a\n", &*long] {
        let output = run(&["new", "--tenant", tenant], b"");
        assert_eq!(output.status.code(), Some(2), "{tenant}");
        let told = said(&output.stderr);
        assert!(told.starts_with("waypost: --tenant: a name here is 1 to 128 letters"), "{told}");
        assert!(output.stdout.is_empty());
    }
    let output = run(&["new", "--name", ""], b"");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(said(&output.stderr), "waypost: --name: must not be empty\n");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_date_that_is_over_is_no_end() {
    for (date, why) in [("2020-01-31", "2020-01-31 is over"), ("soon", "not a date")] {
        let output = run(&["new", "--expires", date], b"");
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output.stderr).contains(why), "{}", said(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn whose_a_key_is_and_whether_it_holds_is_told() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/key/envoy.yaml");
    let mut text = std::fs::read_to_string(source).unwrap();
    let names = ["CURRENT", "DATED", "OLD", "EARLY", "REVOKED", "ROBOT"];
    let key = |name: &str| format!("wp-{name}-Fx9TqP0rW2bLkD7aZc3V");
    for name in names {
        let hash = Hash::of(&key(name), *b"0123456789abcdef");
        text = text.replace(&format!("HASH-OF-{name}"), &hash.to_string());
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("key-envoy.yaml");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let check = |key: &str| {
        let output = run(&["check", &path], format!("{key}\n").as_bytes());
        let told = said(&output.stdout).replace(&path, "FILE");
        (output.status.code().unwrap(), told.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let nobodys = "FILE, machines: no tenant has this key";
    for (name, code, told) in [
        (
            "CURRENT",
            0,
            "the key search-now of tenant search (handle HANDLE) holds, and never expires",
        ),
        (
            "DATED",
            0,
            "the key search-dated of tenant search (handle HANDLE) holds until 3000-01-01T00:00:00Z",
        ),
        (
            "OLD",
            1,
            "the key search-old of tenant search (handle HANDLE) does not hold. Its requests get 401: The API key has expired.",
        ),
        (
            "EARLY",
            1,
            "the key HANDLE of tenant search does not hold. Its requests get 401: The API key is not valid yet.",
        ),
        (
            "REVOKED",
            1,
            "the key demo-gone of tenant demo (handle HANDLE) does not hold. Its requests get 401: The API key has been revoked.",
        ),
    ] {
        let handle = Hash::of(&key(name), [0; 16]).handle().to_string();
        let told = format!("FILE, people: {}", told.replace("HANDLE", &handle));
        assert_eq!(check(&key(name)), (code, vec![told, nobodys.to_owned()]), "{name}");
    }
    let (code, told) = check(&key("ROBOT"));
    assert_eq!(code, 0);
    assert!(told[0].ends_with("people: no tenant has this key"), "{told:?}");
    assert!(told[1].contains("machines: the key ") && told[1].contains("of tenant robots holds"));
    assert_eq!(check("wp-nobodys-key").0, 1);
    let output = run(&["check", "no-such-file.yaml"], b"wp-nobodys-key");
    assert_eq!(output.status.code(), Some(2));
}
