//! What `waypost check` says of broken configurations, word by word, and what the module says of
//! its own part of them.
//!
//! A table is text. A line that starts with
//!
//! | | |
//! |---|---|
//! | `short NAME = TEXT` | stands for TEXT, written `{NAME}`, in what follows |
//! | `==` | begins a case, and says what it shows |
//! | `set POINTER JSON` | puts a value there, in an object or in place of an entry of a list |
//! | `add POINTER JSON` | adds an entry to a list |
//! | `copy POINTER LIST` | adds a copy of a value to a list |
//! | `drop POINTER` | takes a value away |
//! | `swap POINTER POINTER` | exchanges two values |
//! | `text JSON` | is the whole file, as a JSON string |
//! | `>` | is a line of what is said; `> (nothing)` when there is nothing to say |
//!
//! `{APIS}` stands for the APIs of the registry, with a comma between.
//!
//! `UPDATE_GOLDEN=1` writes the lines with `>` anew. Each is a claim: read the difference.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;

use serde_json::Value;
use waypost::cli::check::{Severity, check, check_text};
use waypost::config::Config;
use waypost::providers::registry;

#[expect(clippy::panic, reason = "a test fails that way")]
fn fail(why: &str) -> ! {
    panic!("{why}")
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| fail(&format!("{name}: {error}")))
}

/// What is said of a whole file, without the last lines that count and sum up.
fn said_of_file(text: &str) -> Vec<String> {
    match check_text("envoy.yaml", text) {
        Ok(report) => report.findings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![format!("unreadable: {error}")],
    }
}

fn said_of_config(text: &str) -> Vec<String> {
    let problems = Config::parse(text.as_bytes()).err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

/// Applies one line of a case.
fn change(value: &mut Value, line: &str) -> Option<()> {
    let (word, rest) = line.split_once(' ')?;
    let (pointer, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "set" => {
            let new = serde_json::from_str(argument).ok()?;
            if let Some(place) = value.pointer_mut(pointer) {
                *place = new;
                return Some(());
            }
            let (parent, key) = pointer.rsplit_once('/')?;
            value.pointer_mut(parent)?.as_object_mut()?.insert(key.replace("~1", "/"), new);
        }
        "add" => {
            let new = serde_json::from_str(argument).ok()?;
            value.pointer_mut(pointer)?.as_array_mut()?.push(new);
        }
        "copy" => {
            let new = value.pointer(pointer)?.clone();
            value.pointer_mut(argument)?.as_array_mut()?.push(new);
        }
        "drop" => {
            let (parent, key) = pointer.rsplit_once('/')?;
            match value.pointer_mut(parent)? {
                Value::Object(object) => {
                    object.remove(&key.replace("~1", "/"))?;
                }
                Value::Array(list) => {
                    let at: usize = key.parse().ok()?;
                    (at < list.len()).then(|| list.remove(at))?;
                }
                _ => return None,
            }
        }
        "swap" => {
            let other = value.pointer(argument)?.clone();
            let this = std::mem::replace(value.pointer_mut(pointer)?, other);
            *value.pointer_mut(argument)? = this;
        }
        _ => return None,
    }
    Some(())
}

struct Shorts(Vec<(String, String)>);

impl Shorts {
    fn long(&self, line: &str) -> String {
        self.0.iter().fold(line.to_owned(), |line, (short, long)| line.replace(short, long))
    }

    /// The longest first, so that a part does not hide the whole.
    fn short(&self, line: &str) -> String {
        let mut shorts: Vec<_> = self.0.iter().collect();
        shorts.sort_by_key(|(_, long)| std::cmp::Reverse(long.len()));
        shorts.iter().fold(line.to_owned(), |line, (short, long)| line.replace(long, short))
    }
}

/// Runs a table; the number of its cases.
fn run(name: &str, base: &Value, said: fn(&str) -> Vec<String>) -> usize {
    let table = read(name);
    let mut shorts = Shorts(vec![("{APIS}".to_owned(), registry::names().join(", "))]);
    let (mut out, mut wrong, mut cases) = (String::new(), String::new(), 0);
    let mut parts = table.split("\n== ");
    let head = parts.next().unwrap_or_default();
    for line in head.lines() {
        if let Some((short, long)) =
            line.strip_prefix("short ").and_then(|rest| rest.split_once(" = "))
        {
            let long = shorts.long(long);
            shorts.0.push((format!("{{{short}}}"), long));
        }
    }
    out.push_str(head);
    for part in parts {
        cases += 1;
        let mut value = base.clone();
        let mut raw = None;
        let (mut kept, mut expected) = (Vec::new(), Vec::new());
        for line in part.lines() {
            match line.strip_prefix("> ") {
                Some(line) => expected.push(line.to_owned()),
                None => kept.push(line),
            }
        }
        while kept.last().is_some_and(|line| line.is_empty()) {
            kept.pop();
        }
        for line in kept.iter().skip(1).filter(|line| !line.starts_with('#')) {
            let line = shorts.long(line);
            match line.strip_prefix("text ") {
                Some(text) => raw = serde_json::from_str::<String>(text).ok(),
                None => change(&mut value, &line).unwrap_or_else(|| {
                    fail(&format!("{name}: {}: this cannot be done: {line}", kept.concat()))
                }),
            }
        }
        let mut found = said(&raw.unwrap_or_else(|| value.to_string()));
        if found.is_empty() {
            found.push("(nothing)".to_owned());
        }
        let found: Vec<String> = found.iter().map(|line| shorts.short(line)).collect();
        if found != expected {
            wrong.push_str(&format!(
                "== {}\nis said:\n{}\n\nexpected:\n{}\n\n",
                kept.join("\n"),
                found.join("\n"),
                expected.join("\n")
            ));
        }
        out.push_str(&format!("\n== {}\n", kept.join("\n")));
        for line in &found {
            out.push_str(&format!("> {line}\n"));
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::write(path, out).unwrap_or_else(|error| fail(&format!("{name}: {error}")));
    } else {
        assert!(wrong.is_empty(), "{name}:\n{wrong}");
    }
    cases
}

#[test]
fn the_reference_configuration_is_fine() {
    let report = check_text("envoy.yaml", &read("envoy/envoy.yaml")).unwrap();
    assert_eq!(report.findings, []);
    let text = report.to_string();
    assert!(text.starts_with("envoy.yaml: fine\n"), "{text}");
    for line in ["listener  gateway", "provider  claude", "cluster   openai ", "rule      default"]
    {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn the_reference_configuration_with_its_traces_is_fine() {
    let text = read("envoy/envoy.yaml");
    let mut inside = false;
    let uncommented = text.lines().map(|line| {
        let comment = line.trim_start().strip_prefix("# ");
        inside = match comment {
            Some("tracing:" | "- name: otlp") => true,
            comment => inside && comment.is_some(),
        };
        let alone = comment.is_some_and(|comment| comment.starts_with("tracing: true "));
        if inside || alone { line.replacen("# ", "", 1) } else { line.to_owned() }
    });
    let uncommented = uncommented.collect::<Vec<_>>().join("\n");
    for switched_on in ["\n                tracing:\n", "\n    - name: otlp\n", " tracing: true "] {
        assert!(uncommented.contains(switched_on), "{switched_on}");
    }
    let report = check_text("envoy.yaml", &uncommented).unwrap();
    let text = report.to_string();
    assert!(text.starts_with("envoy.yaml: fine\n"), "{text}");
}

#[test]
fn the_configuration_that_is_measured_is_fine() {
    let report = check_text("envoy.yaml", &read("tests/bench/envoy.yaml")).unwrap();
    // Its models are nobody's, so they have no price, and its provider asks for no key.
    let told =
        |said: &str| report.findings.iter().filter(|it| it.message.starts_with(said)).count();
    let (unpriced, keyless) = (told("is unpriced"), told("has no credentials"));
    assert_eq!(unpriced + keyless, report.findings.len(), "{:?}", report.findings);
    assert!(report.findings.iter().all(|finding| finding.severity != Severity::Error));
}

#[test]
fn the_example_of_bedrock_is_fine() {
    let report = check_text("envoy.yaml", &read("examples/bedrock/envoy.yaml")).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn a_signature_for_another_service_or_region_is_told() {
    let example = read("examples/bedrock/envoy.yaml");
    let other = example
        .replace("service_name: bedrock ", "service_name: bedrock-runtime ")
        .replace("region: us-east-1                    #", "region: eu-west-1 #");
    let report = check_text("envoy.yaml", &other).unwrap();
    let said: Vec<String> = report.findings.iter().map(|finding| finding.to_string()).collect();
    for expected in [
        "service_name: is \"bedrock-runtime\": Bedrock takes signatures for \"bedrock\" only",
        "region: is \"eu-west-1\", but requests go to \"us-east-1\"",
    ] {
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:#?}");
    }
    assert_eq!(said.len(), 2, "{said:#?}");
}

#[test]
fn every_broken_file_is_told_what_is_wrong() {
    let yaml: Value = serde_yaml_ng::from_str(&read("envoy/envoy.yaml")).unwrap();
    assert!(run("tests/check/envoy.txt", &yaml, said_of_file) >= 45);
}

#[test]
fn every_broken_listener_that_is_not_for_clients_is_told() {
    // The reference configuration with a way back in and a status page before all else.
    let mut yaml: Value = serde_yaml_ng::from_str(&read("envoy/envoy.yaml")).unwrap();
    let inner: Value = serde_yaml_ng::from_str(&read("tests/check/inner.yaml")).unwrap();
    let hcm = "/filter_chains/0/filters/0/typed_config";
    let plugin = format!("{hcm}/http_filters/0/typed_config/config");
    let gateway = format!("/static_resources/listeners/0{plugin}");
    let vm = yaml.pointer(&format!("{gateway}/vm_config")).unwrap().clone();
    let routes = yaml.pointer(&format!("/static_resources/listeners/0{hcm}/route_config"));
    let routes = routes.unwrap().clone();
    yaml.pointer_mut(&format!("{gateway}/configuration/value")).unwrap()["loopback"] =
        "inner_loop".into();
    yaml["bootstrap_extensions"] = inner["bootstrap_extensions"].clone();
    for name in ["clusters", "listeners"] {
        let mut list = inner[name].as_array().unwrap().clone();
        for listener in list.iter_mut().filter(|_| name == "listeners") {
            listener.pointer_mut(&plugin).unwrap()["vm_config"] = vm.clone();
            if listener.get("internal_listener").is_some() {
                listener.pointer_mut(hcm).unwrap()["route_config"] = routes.clone();
            }
        }
        let there = yaml["static_resources"][name].as_array_mut().unwrap();
        list.append(there);
        *there = list;
    }
    assert_eq!(said_of_file(&yaml.to_string()), [""; 0]);
    let report = check("envoy.yaml", &yaml).to_string();
    for line in [
        "loopback  inner_loop               internal",
        "status    inner_status             127.0.0.1:9902",
    ] {
        assert!(report.contains(line), "{line} is not in {report}");
    }
    assert!(run("tests/check/inner.txt", &yaml, said_of_file) >= 20);
}

#[test]
fn every_broken_part_of_the_module_is_told_what_is_wrong() {
    let base: Value = serde_json::from_str(&read("tests/check/config.json")).unwrap();
    assert_eq!(said_of_config(&base.to_string()), [""; 0]);
    assert!(run("tests/check/config.txt", &base, said_of_config) >= 30);
}

#[test]
fn whatever_stands_in_the_wrong_place_nothing_panics() {
    let yaml: Value = serde_yaml_ng::from_str(&read("envoy/envoy.yaml")).unwrap();
    let mut pointers = Vec::new();
    collect(&yaml, String::new(), &mut pointers);
    assert!(pointers.len() > 400, "{}", pointers.len());
    for (pointer, new) in
        pointers.iter().zip(["null", "[]", "{}", "7", "\"x\"", "true", "[[]]"].iter().cycle())
    {
        let mut broken = yaml.clone();
        *broken.pointer_mut(pointer).unwrap() = serde_json::from_str(new).unwrap();
        let _ = check("envoy.yaml", &broken).to_string();
    }
}

#[test]
fn whatever_stands_in_the_wrong_place_of_a_gateway_is_told_or_taken() {
    let base: Value = serde_json::from_str(&read("tests/check/routing.json")).unwrap();
    assert_eq!(said_of_config(&base.to_string()), [""; 0]);
    let mut pointers = Vec::new();
    collect(&base, String::new(), &mut pointers);
    assert!(pointers.len() > 100, "{}", pointers.len());
    for pointer in &pointers {
        for new in ["null", "[]", "{}", "7", "-0.5", "1e300", "\"x\"", "\"5%\"", "true", "[[]]"] {
            let mut broken = base.clone();
            *broken.pointer_mut(pointer).unwrap() = serde_json::from_str(new).unwrap();
            if let Err(problems) = Config::read(&broken) {
                assert!(!problems.is_empty(), "{pointer} is {new}");
            }
        }
    }
}

/// The first block of YAML has the providers; each later one stands in place of what it names.
#[test]
fn every_example_of_the_pages_on_routing_and_tenants_is_right() {
    let first = read("docs/routing.md");
    let (head, _) = first.split_once("## ").unwrap();
    for page in [&first, &format!("{head}{}", read("docs/tenants.md"))] {
        examples_are_right(page);
    }
}

#[track_caller]
#[expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a page without examples must fail"
)]
fn examples_are_right(page: &str) {
    let mut blocks = page
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .map(|block| serde_yaml_ng::from_str::<Value>(block).unwrap());
    let mut base = blocks.next().unwrap();
    base["role"] = "gateway".into();
    assert_eq!(said_of_config(&base.to_string()), [""; 0]);
    let mut count = 0;
    for block in blocks {
        let mut whole = base.clone();
        for (key, value) in block.as_object().unwrap() {
            whole[key] = value.clone();
        }
        assert_eq!(said_of_config(&whole.to_string()), [""; 0], "{block}");
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, child) in object {
                collect(child, format!("{pointer}/{}", key.replace('/', "~1")), pointers);
            }
        }
        Value::Array(list) => {
            for (index, child) in list.iter().enumerate() {
                collect(child, format!("{pointer}/{index}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(pointer);
}

#[test]
fn exit_codes_tell_fine_from_broken_from_unreadable() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let reference = read("envoy/envoy.yaml");
    for (name, text, exit) in [
        ("fine.yaml", reference.clone(), 0),
        ("warned.yaml", reference.replace("retry_back_off", "#"), 0),
        ("broken.yaml", reference.replace("timeout: 0s", "timeout: 15s"), 1),
        ("unreadable.yaml", "a: [".to_owned(), 2),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let ran = std::process::Command::new(env!("CARGO_BIN_EXE_waypost"))
            .arg("check")
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(
            ran.status.code(),
            Some(exit),
            "{name}: {}",
            String::from_utf8_lossy(&ran.stdout)
        );
    }
}
