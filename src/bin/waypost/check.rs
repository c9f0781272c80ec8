//! `waypost check`.

use std::path::PathBuf;

use clap::Args;
use waypost::cli::BadUsage;
use waypost::cli::check::check_text;

use super::{Output, read_file};

/// Exit codes: 0 when it is fine or there are only warnings, 1 when there are errors, 2 when the
/// file cannot be read.
#[derive(Debug, Args)]
pub struct Command {
    /// Envoy's configuration, YAML or JSON.
    file: PathBuf,
}

impl Command {
    pub fn run(self) -> Result<Output, BadUsage> {
        let name = self.file.display().to_string();
        let text = String::from_utf8(read_file(&self.file)?)
            .map_err(|_| BadUsage(format!("{name}: is not UTF-8")))?;
        let report = check_text(&name, &text)?;
        Ok(Output { bytes: report.to_string().into_bytes(), exit: u8::from(report.failed()) })
    }
}
