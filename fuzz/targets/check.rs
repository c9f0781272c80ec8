//! An Envoy file. Data that begins with a zero byte is edits of the reference configuration; any
//! other data is the file itself.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waypost::cli::check::{self, Report, Severity};
use waypost_fuzz::edit::{self, Base};

static ENVOY: LazyLock<Base> = LazyLock::new(|| {
    let envoy = edit::envoy();
    assert_eq!(check::check("envoy.yaml", &envoy).findings, []);
    Base::new(envoy)
});

fn look(report: &Report) {
    let findings = &report.findings;
    assert!(findings.is_sorted_by_key(|finding| finding.severity), "{findings:?}");
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    assert_eq!(report.failed(), errors > 0);
    for (at, finding) in findings.iter().enumerate() {
        assert!(!finding.message.is_empty() && !findings[..at].contains(finding), "{finding:?}");
    }
    let last = if errors > 0 { " error" } else { "f: " };
    assert!(report.to_string().contains(last), "{report}");
}

fuzz_target!(|data: &[u8]| {
    if let [0, edits @ ..] = data {
        look(&check::check("f", &ENVOY.edited(edits)));
    } else if let Ok(text) = std::str::from_utf8(data)
        && let Ok(report) = check::check_text("f", text)
    {
        look(&report);
    }
});
