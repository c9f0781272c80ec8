//! What `waypost catalog` prints, word by word.
//!
//! `UPDATE_GOLDEN=1` writes the files in `tests/catalog` anew. Each line is a claim: read the
//! difference.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;
use std::process::Command;

use waypost::cli::catalog::{MAX_COLUMNS, Options, builtin, capability, configured};
use waypost::providers::catalogue::Capability;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/catalog").join(name);
    std::fs::read_to_string(path).unwrap_or_default()
}

fn golden(name: &str, printed: &[u8]) {
    let printed = String::from_utf8_lossy(printed);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/catalog").join(name);
        // What could not be written is told by the comparison.
        let _ = std::fs::write(path, &*printed);
    }
    assert_eq!(printed, read(name), "{name}");
}

fn options(family: Option<&str>, capabilities: &[Capability], json: bool) -> Options {
    Options {
        family: family.map(str::to_owned),
        capabilities: capabilities.iter().copied().collect(),
        json,
    }
}

#[test]
fn the_whole_catalogue_is_a_table() {
    golden("all.txt", &builtin(&Options::default()).unwrap());
}

#[test]
fn the_table_fits_its_width_and_holds_every_model() {
    let printed = String::from_utf8(builtin(&Options::default()).unwrap()).unwrap();
    for line in printed.lines() {
        assert!(line.chars().count() <= MAX_COLUMNS, "{line}");
    }
    assert!(printed.contains("\nAs of 2026-11-21. 111 models."), "{printed}");
}

#[test]
fn a_family_and_capabilities_choose_models() {
    let wanted = options(Some("openai"), &[Capability::Audio, Capability::Tools], false);
    golden("openai-audio.txt", &builtin(&wanted).unwrap());
}

#[test]
fn as_json_every_fact_has_the_configurations_words() {
    golden("anthropic.json", &builtin(&options(Some("anthropic"), &[], true)).unwrap());
}

#[test]
fn what_a_file_says_of_its_models_holds() {
    let text = read("envoy.yaml");
    for (name, json) in [("configured.txt", false), ("configured.json", true)] {
        golden(name, &configured("envoy.yaml", &text, &options(None, &[], json)).unwrap());
    }
    let seeing = options(None, &[Capability::Vision], false);
    golden("configured-vision.txt", &configured("envoy.yaml", &text, &seeing).unwrap());
}

#[test]
fn what_cannot_be_listed_is_told() {
    let told = |options| builtin(&options).unwrap_err().0;
    let said = told(options(Some("antropic"), &[], false));
    assert!(said.starts_with("--family: \"antropic\" is not one of anthropic, azure, bedrock"));
    assert!(said.ends_with("did you mean \"anthropic\"?"), "{said}");
    assert!(capability("visoin").unwrap_err().0.ends_with("did you mean \"vision\"?"));
    let said = configured("e.yaml", "static_resources: {}", &Options::default()).unwrap_err().0;
    assert_eq!(said, "e.yaml: no gateway in it can be understood; `waypost check e.yaml` says why");
    assert!(configured("e.yaml", "a: [", &Options::default()).is_err());
    let text = read("envoy.yaml");
    let said = configured("e.yaml", &text, &options(Some("gemini"), &[], false)).unwrap_err().0;
    assert_eq!(said, "--family: \"gemini\" is not one of anthropic, openai");
}

#[test]
fn the_program_prints_it() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_waypost"))
            .arg("catalog")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap()
    };
    let printed = run(&["--family", "openai", "--capability", "audio", "--capability", "tools"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), read("openai-audio.txt"));
    let printed = run(&["tests/catalog/envoy.yaml", "--json"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), read("configured.json"));
    for wrong in [&["--family", "nobody"][..], &["--capability", "x"], &["no-such-file"]] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
