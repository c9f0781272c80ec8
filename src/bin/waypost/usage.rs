//! `waypost usage`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use waypost::cli::BadUsage;
use waypost::cli::usage::{self, Date, Dimension, Options, Screen, Source, of_logs, snapshot};
use waypost::config::Gateway;
use waypost::tenancy::Zone;

use super::{Output, read_file};

/// Columns of a chart that goes into a file.
const FILE_COLUMNS: u16 = 80;

/// Exit code where `--strict` finds a line that is no record.
const NOT_STRICT: u8 = 1;

const EXAMPLES: &str = "\
Reads logs with the record of a request in each line, version 2, and access logs in JSON with the
record as a string in `record`. What is neither is counted and told at the end; with --strict it is
an error. Amounts are added up exactly. A request counts once, for whoever answered it; its tokens
and its cost count where they were used, attempt by attempt.

Exit codes: 0; 1 with --strict when a line is no record; 2 when a file cannot be read.

Examples:
  waypost usage audit.log
  waypost usage audit.log audit.log.1.gz --by team,model --top 20
  waypost usage --by day --chart --from 2026-11-01 --to 2026-11-30 audit.log
  waypost usage --by tenant,month --format csv audit-*.log.gz > november.csv
  kubectl logs deploy/envoy | waypost usage -

To an Envoy that was started anew, what was spent before:
  waypost usage --snapshot --config envoy.yaml audit.log |
    curl --data-binary @- -H \"Authorization: Bearer $KEY\" http://127.0.0.1:9902/waypost/budgets";

/// Who used what and what it cost, from logs.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Command {
    /// Logs, also packed by gzip; `-`, or none, is the input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What groups are made by.
    #[arg(
        long, value_name = "BY", value_delimiter = ',', default_value = "tenant",
        value_parser = PossibleValuesParser::new(Dimension::ALL.map(Dimension::name))
    )]
    by: Vec<String>,
    /// First day, as in 2026-11-01.
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<Date>,
    /// Last day.
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<Date>,
    /// Only what this tenant asked for; may be given several times.
    #[arg(long = "tenant", value_name = "NAME")]
    tenants: Vec<String>,
    /// Only the N groups that spent most; the others are one row.
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Draws the spend by day; by hour or month if groups are made by these.
    #[arg(long)]
    chart: bool,
    /// The zone of days and months, as in the configuration.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Envoy's configuration: its time zone holds, unless --time-zone says another.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Of several gateways in the configuration the one in the listener of this name.
    #[arg(long, value_name = "NAME", requires = "config")]
    gateway: Option<String>,
    /// Prints what the accounts of the configuration have spent today and this month, for
    /// POST /waypost/budgets.
    #[arg(
        long, requires = "config",
        conflicts_with_all = ["by", "from", "to", "tenants", "top", "format", "chart", "time_zone"]
    )]
    snapshot: bool,
    /// A line that is no record is an error.
    #[arg(long)]
    strict: bool,
}

/// A form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Table,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

pub fn date(text: &str) -> Result<Date, String> {
    Date::read(text.as_bytes()).ok_or_else(|| "not a date like 2026-11-21".to_owned())
}

impl Command {
    pub fn run(self) -> Result<Output, BadUsage> {
        if self.chart && self.format != Format::Table {
            return Err(BadUsage("--chart goes with --format table only".to_owned()));
        }
        let gateway = self.configured()?;
        let options = self.options(gateway.as_ref())?;
        let names: Vec<String> = match self.files.is_empty() {
            true => vec!["-".to_owned()],
            false => self.files.iter().map(|path| path.display().to_string()).collect(),
        };
        let (progress, logs) = open(&self.files, &names)?;
        let result = match gateway.filter(|_| self.snapshot) {
            Some(gateway) => snapshot::of_logs(logs, &gateway, super::now(), self.strict)
                .map(|taken| (taken.told(), taken))
                .map(|(missing, taken)| (taken.json, taken.lines, missing)),
            None => of_logs(logs, &options, screen())
                .map(|(bytes, lines)| (bytes, lines, String::new())),
        };
        progress.finish_and_clear();
        let (bytes, lines, missing) = result?;
        let mut told = lines.told(&names);
        told.push_str(&missing);
        if !told.is_empty() {
            // Nobody is left to be told when this fails.
            let _ = write!(io::stderr().lock(), "waypost: {told}");
        }
        match self.strict && lines.first.is_some() {
            true => Ok(Output { bytes: Vec::new(), exit: NOT_STRICT }),
            false => Ok(Output { bytes, exit: 0 }),
        }
    }

    /// The gateway of the configuration that was named.
    fn configured(&self) -> Result<Option<Gateway>, BadUsage> {
        let Some(path) = &self.config else { return Ok(None) };
        let name = path.display().to_string();
        let text = String::from_utf8(read_file(path)?)
            .map_err(|_| BadUsage(format!("{name}: is not UTF-8")))?;
        snapshot::gateway(&name, &text, self.gateway.as_deref()).map(Some)
    }

    fn options(&self, gateway: Option<&Gateway>) -> Result<Options, BadUsage> {
        let named = |name: &String| Dimension::ALL.into_iter().find(|known| known.name() == name);
        let (known, zone) = match (self.time_zone.as_deref(), gateway) {
            (Some(name), _) => {
                let message =
                    || BadUsage(format!("--time-zone: \"{name}\" is no zone like Europe/Berlin"));
                (Zone::parse(name).ok_or_else(message)?, name)
            }
            (None, Some(gateway)) => (gateway.tenancy.time_zone, "the configuration's time zone"),
            (None, None) => (Zone::default(), "UTC"),
        };
        Ok(Options {
            by: self.by.iter().filter_map(named).collect(),
            from: self.from,
            to: self.to,
            tenants: self.tenants.clone(),
            top: self.top,
            zone: known,
            zone_name: zone.to_owned(),
            chart: self.chart,
            format: match self.format {
                Format::Table => usage::Format::Table,
                Format::Csv => usage::Format::Csv,
                Format::Json => usage::Format::Json,
            },
            strict: self.strict,
        })
    }
}

/// The logs, and how much of them has been read. The progress is shown on a terminal only.
fn open<'a>(
    files: &[PathBuf],
    names: &[String],
) -> Result<(ProgressBar, Vec<Source<'a>>), BadUsage> {
    let is_input = |path: &Path| path.as_os_str() == "-";
    let mut total = Some(0);
    for path in files {
        let known = match is_input(path) {
            true => None,
            false => {
                let about = std::fs::metadata(path)
                    .map_err(|error| BadUsage(format!("{}: {error}", path.display())))?;
                about.is_file().then_some(about.len())
            }
        };
        total = total.zip(known).map(|(total, length)| total + length);
    }
    let total = total.filter(|_| !files.is_empty());
    let progress = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => {
            "{wide_bar} {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left"
        }
        None => "{spinner} {bytes}  {bytes_per_sec}  {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        progress.set_style(style);
    }
    let source = |name: &String, path: Option<PathBuf>| {
        let progress = progress.clone();
        let open = move || -> io::Result<Box<dyn Read>> {
            Ok(match path {
                Some(path) => Box::new(progress.wrap_read(File::open(path)?)),
                None => Box::new(progress.wrap_read(io::stdin())),
            })
        };
        Source { name: name.clone(), open: Box::new(open) }
    };
    let paths = files.iter().map(|path| Some(path.clone()).filter(|path| !is_input(path)));
    let sources = match files.is_empty() {
        true => names.iter().map(|name| source(name, None)).collect(),
        false => names.iter().zip(paths).map(|(name, path)| source(name, path)).collect(),
    };
    Ok((progress, sources))
}

fn screen() -> Screen {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let (_, columns) = Term::stdout().size_checked().unwrap_or((0, FILE_COLUMNS));
    Screen {
        width: usize::from(columns),
        color: io::stdout().is_terminal() && !is_set("NO_COLOR") && !dumb,
    }
}
