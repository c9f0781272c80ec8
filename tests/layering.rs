//! Who may know whom: the table at the top of this file is the rule, and every breach is named with
//! its file and line.
#![cfg(not(target_arch = "wasm32"))]

#[path = "layering/source.rs"]
mod source;

use std::path::{Path, PathBuf};

use source::{Source, read};

/// A folder of `src` and those that it may name. What may name anything has no row.
const LAYERS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("openai", &["wire"]),
    ("providers", &["openai", "wire"]),
    ("pattern", &[]),
    ("guard", &[]),
    ("store", &[]),
    ("health", &["openai", "store"]),
    ("tenancy", &["openai", "pattern", "providers", "store"]),
    ("config", &["guard", "health", "openai", "pattern", "providers", "tenancy"]),
    ("routing", &["config", "health", "openai", "pattern", "providers", "store", "tenancy"]),
    ("telemetry", &["config", "health", "openai", "providers", "routing", "store", "tenancy"]),
];

/// Folders and files of `src` that decide nothing themselves: they bind the rest to Envoy or to a
/// terminal, and may name anything of this crate.
const SHELL: &[&str] = &["bin", "cli", "filter", "lib"];

/// Those of them that may use the clock, files and the environment.
const IMPURE: &[&str] = &["bin", "cli", "filter"];

/// The only folder that knows proxy-wasm, and the only file in it that declares imports.
const BINDING: &str = "filter";
const IMPORTS: &str = "filter/host.rs";

/// What pure code must get as an argument instead.
const WORLD: &[&[&str]] = &[
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["getrandom"],
    &["rand"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
];

/// Everything in one file that breaks a rule. `path` is relative to `src`.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let source = read(text);
    let top = path.split('/').next().unwrap_or(path).trim_end_matches(".rs");
    let mut found = Vec::new();
    let mut breach = |line: usize, what: String| found.push(format!("src/{path}:{line}: {what}"));
    if top != BINDING {
        for (line, _) in source.words.iter().filter(|(_, word)| word == "proxy_wasm") {
            breach(*line, format!("names proxy_wasm; only src/{BINDING}/ may"));
        }
    }
    if path != IMPORTS {
        for line in &source.extern_blocks {
            breach(*line, format!("declares imports; only src/{IMPORTS} may"));
        }
    }
    if !IMPURE.contains(&top) {
        for source::Path { line, names, .. } in &source.paths {
            let used = |world: &&&[&str]| names.windows(world.len()).any(|part| part == **world);
            if let Some(world) = WORLD.iter().find(used) {
                breach(*line, format!("names {}; it is an argument here", world.join("::")));
            }
        }
    }
    if !SHELL.contains(&top) {
        match LAYERS.iter().find(|(folder, _)| *folder == top) {
            None => breach(1, format!("src/{top} stands in no row of the table of layers")),
            Some((_, allowed)) => {
                for (line, folder) in crate_folders(path, &source) {
                    if folder != top && !allowed.contains(&folder.as_str()) {
                        breach(line, format!("{top} must not name {folder}"));
                    }
                }
            }
        }
    }
    found.dedup();
    found
}

/// The first name below the crate's root of each path that begins there.
fn crate_folders(path: &str, source: &Source) -> Vec<(usize, String)> {
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = module.split('/').count();
    let below_root = |names: &[String], inside: usize| match names.first().map(String::as_str) {
        Some("crate" | "waypost") => names.get(1).cloned(),
        Some("super") => {
            let up = names.iter().take_while(|name| *name == "super").count();
            if up >= depth + inside { names.get(up).cloned() } else { None }
        }
        _ => None,
    };
    let paths = source.paths.iter();
    paths.filter_map(|path| Some((path.line, below_root(&path.names, path.inside)?))).collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn no_file_breaks_a_rule() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files.sort();
    assert!(files.len() > 20, "only {} files were found", files.len());
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
            breaches(&path, &std::fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_table_has_no_circle() {
    for (at, (folder, allowed)) in LAYERS.iter().enumerate() {
        for other in *allowed {
            let place = LAYERS.iter().position(|(name, _)| name == other);
            assert!(
                place.is_some_and(|place| place < at),
                "{folder} may name {other}, which comes later"
            );
        }
    }
}

#[test]
fn each_kind_of_breach_is_found_with_its_line() {
    for (path, text, found) in [
        ("wire/a.rs", "\nuse proxy_wasm::types::Action;", "src/wire/a.rs:2: names proxy_wasm"),
        ("lib.rs", "fn f() { ::proxy_wasm::x() }", "src/lib.rs:1: names proxy_wasm"),
        ("filter/a.rs", "\n\nunsafe extern \"C\" {\n}", "src/filter/a.rs:3: declares imports"),
        ("wire/a.rs", "extern {}", "declares imports"),
        ("wire/a.rs", "fn f() { std::env::var(\"x\") }", "names std::env"),
        ("wire/a.rs", "use std::{fmt, fs::{self, File}};", "names std::fs"),
        (
            "openai/a.rs",
            "use std::time::Instant;\nfn f() { Instant::now() }",
            ":2: names Instant::now",
        ),
        ("openai/a.rs", "let x = std::time::SystemTime::now;", "names SystemTime::now"),
        ("providers/a.rs", "rand::random()", "names rand"),
        ("wire/a.rs", "use crate::openai::Error;", "wire must not name openai"),
        (
            "openai/a.rs",
            "use crate::{wire::sse, providers::{Call, Target}};",
            "openai must not name providers",
        ),
        ("openai/mod.rs", "use super::providers;", "openai must not name providers"),
        ("openai/a.rs", "fn f() -> super::super::config::X {}", "openai must not name config"),
        ("providers/a.rs", "crate::routing::x()", "providers must not name routing"),
        ("config/a.rs", "crate::routing::x()", "config must not name routing"),
        (
            "wire/a.rs",
            "fn f() {} mod t { fn g() {} }\nuse super::super::openai;",
            "a.rs:2: wire must not name openai",
        ),
        ("routing/a.rs", "crate::wire::x()", "routing must not name wire"),
        ("config/a.rs", "pub(crate) use crate :: filter :: x;", "config must not name filter"),
        ("routing/a.rs", "crate::telemetry::x()", "routing must not name telemetry"),
        ("utils.rs", "", "src/utils stands in no row"),
    ] {
        let breaches = breaches(path, text);
        assert_eq!(breaches.len(), 1, "{text}: {breaches:?}");
        assert!(breaches[0].contains(found), "{text}: {breaches:?}");
    }
}

#[test]
fn what_is_allowed_or_only_talked_about_is_no_breach() {
    for (path, text) in [
        ("wire/a.rs", "// crate::openai\n/* std::env /* proxy_wasm */ std::fs */ fn f() {}"),
        (
            "wire/a.rs",
            r##"const X: &str = "crate::openai"; const Y: &str = r#"std::fs " proxy_wasm"#;"##,
        ),
        ("wire/a.rs", "fn f<'a>(x: &'a str) -> char { '\"' } // std::env"),
        ("wire/a.rs", "pub extern \"C\" fn f() {}"),
        (
            "wire/a.rs",
            "use crate::wire::sse; use super::sse; use std::fmt; mod t { use super::super::x; }",
        ),
        ("openai/a/b.rs", "use super::super::message;"),
        ("providers/a.rs", "use crate::openai::{Chat, Error}; use super::openai; let operand = 1;"),
        ("routing/a.rs", "use crate::{openai, providers, config};"),
        ("filter/a.rs", "use proxy_wasm::traits; use crate::config; std::time::SystemTime::now()"),
        ("filter/host.rs", "unsafe extern \"C\" { fn proxy_log(); }"),
        ("cli/a.rs", "use std::fs; use crate::config;"),
        ("bin/waypost.rs", "use std::env; use waypost::cli;"),
    ] {
        assert_eq!(breaches(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
