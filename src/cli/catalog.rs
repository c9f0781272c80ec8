//! `waypost catalog`: what is known of models, as a table or as JSON.
//!
//! Without a file it is the built-in catalogue. With an Envoy file it is what its gateways serve:
//! the catalogue's facts, with what the configuration says instead.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::BadUsage;
#[cfg(not(target_arch = "wasm32"))]
use super::check;
use crate::config::model::Quality;
use crate::config::reader::unknown;
use crate::config::{Gateway, Model};
use crate::providers::catalogue::{Capabilities, Capability, Catalogue, Facts, Mode, Rate, Rates};

/// Widest line of the table.
pub const MAX_COLUMNS: usize = 120;

/// Longest name of a model in the table, in characters; a longer one is cut in the middle.
const MAX_NAME: usize = 42;

/// Which models are shown, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only those of this family.
    pub family: Option<String>,
    /// Only those that are known to have all of these.
    pub capabilities: Capabilities,
    /// As JSON.
    pub json: bool,
}

/// Models that stand together under a heading.
struct Group {
    heading: String,
    provider: Option<String>,
    family: String,
    models: Vec<Model>,
}

/// Reads `--capability`.
///
/// # Errors
/// A word that is none.
pub fn capability(word: &str) -> Result<Capability, BadUsage> {
    let known = Capability::ALL.map(Capability::name);
    let found = Capability::ALL.into_iter().find(|known| known.name() == word);
    found.ok_or_else(|| BadUsage(unknown(word, &known)))
}

/// What the built-in catalogue holds.
///
/// # Errors
/// An unknown family.
pub fn builtin(options: &Options) -> Result<Vec<u8>, BadUsage> {
    let catalogue = Catalogue::builtin();
    let families: Vec<&str> = catalogue.families().collect();
    check_family(options, &families)?;
    let groups = families.into_iter().map(|family| Group {
        heading: family.to_owned(),
        provider: None,
        family: family.to_owned(),
        models: catalogue
            .models(family)
            .map(|(name, facts)| Model::new(name, facts.clone(), Quality::default()))
            .collect(),
    });
    Ok(print(&catalogue, groups.collect(), options))
}

/// What the gateways of an Envoy file serve. `file` is its name, for messages.
///
/// # Errors
/// A file without a gateway that can be understood, or an unknown family.
#[cfg(not(target_arch = "wasm32"))]
pub fn configured(file: &str, text: &str, options: &Options) -> Result<Vec<u8>, BadUsage> {
    let gateways = check::gateways(file, text)?;
    if gateways.is_empty() {
        return Err(BadUsage(format!(
            "{file}: no gateway in it can be understood; `waypost check {file}` says why"
        )));
    }
    of_gateways(gateways.into_iter().map(|(_, gateway)| gateway).collect(), options)
}

/// What these gateways serve.
///
/// # Errors
/// An unknown family.
pub fn of_gateways(gateways: Vec<Gateway>, options: &Options) -> Result<Vec<u8>, BadUsage> {
    let catalogue = Catalogue::builtin();
    let groups: Vec<Group> = gateways
        .into_iter()
        .flat_map(|gateway| gateway.providers)
        .map(|provider| Group {
            heading: format!("{} ({})", provider.name, provider.api.name),
            provider: Some(provider.name),
            family: provider.api.family.to_owned(),
            models: provider.models,
        })
        .collect();
    let mut families: Vec<&str> = groups.iter().map(|group| &*group.family).collect();
    families.sort_unstable();
    families.dedup();
    check_family(options, &families)?;
    Ok(print(&catalogue, groups, options))
}

fn check_family(options: &Options, known: &[&str]) -> Result<(), BadUsage> {
    match &options.family {
        Some(family) if !known.contains(&&**family) => {
            Err(BadUsage(format!("--family: {}", unknown(family, known))))
        }
        _ => Ok(()),
    }
}

fn print(catalogue: &Catalogue, mut groups: Vec<Group>, options: &Options) -> Vec<u8> {
    groups.retain(|group| options.family.as_ref().is_none_or(|family| group.family == *family));
    for group in &mut groups {
        group.models.retain(|model| {
            let has = |capability| model.facts.capabilities.has(capability);
            let wanted = options.capabilities;
            wanted == Capabilities::default() || model.facts.known && wanted.iter().all(has)
        });
    }
    groups.retain(|group| !group.models.is_empty());
    if options.json { json(catalogue, &groups) } else { table(catalogue, &groups).into_bytes() }
}

/// The letters that stand for capabilities, in the order of [`Capability::ALL`].
const LETTERS: [char; 10] = ['T', 'P', 'V', 'D', 'A', 'J', 'R', 'C', 'W', 'E'];

const HEAD: [&str; 9] =
    ["", "context", "max out", "input", "cached", "write", "output", "can", "until"];

/// Which columns hold texts; the others hold numbers and stand to the right.
const TEXTS: [usize; 3] = [0, 7, 8];

fn table(catalogue: &Catalogue, groups: &[Group]) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for group in groups {
        lines.push(Line::Heading(group.heading.clone()));
        for model in &group.models {
            rows(model, &mut lines);
        }
    }
    let mut widths = HEAD.map(|head| head.chars().count());
    for line in &lines {
        if let Line::Row(cells) = line {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
    }
    let mut out = String::new();
    let head = HEAD.map(str::to_owned);
    write_row(&mut out, &head, &widths);
    for line in &lines {
        match line {
            Line::Heading(text) => {
                let _ = writeln!(out, "{text}");
            }
            Line::Row(cells) => write_row(&mut out, cells, &widths),
        }
    }
    let count: usize = groups.iter().map(|group| group.models.len()).sum();
    let _ = write!(
        out,
        "\nAs of {}. {count} model{}. Prices in USD per million tokens; a line \"above\" is for requests with more input.\ncan:",
        catalogue.as_of(),
        if count == 1 { "" } else { "s" },
    );
    for (at, (letter, capability)) in LETTERS.iter().zip(Capability::ALL).enumerate() {
        let before = if at == LETTERS.len() / 2 { "\n    " } else { "" };
        let _ = write!(out, "{before} {letter} {capability}");
    }
    out.push_str(
        "\nuntil: from that day the provider may refuse the model. --json has every fact.\n",
    );
    out
}

enum Line {
    Heading(String),
    Row([String; 9]),
}

fn rows(model: &Model, lines: &mut Vec<Line>) {
    let facts = &model.facts;
    let mut name = model.name.clone();
    if model.canonical() != model.name {
        name = format!("{name} = {}", model.canonical());
    }
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let [input, cached, write, output] = match &facts.price {
        Some(price) => prices(&price.base, facts.mode),
        None => ["unpriced".to_owned(), String::new(), String::new(), String::new()],
    };
    let can = match facts.known {
        true => letters(facts.capabilities),
        false => "unknown".to_owned(),
    };
    let until = facts.deprecated_on.unwrap_or_default().to_owned();
    let (context, most) = (number(facts.context_window), number(facts.max_output));
    let name = format!("  {}", shorten(&name));
    lines.push(Line::Row([name, context, most, input, cached, write, output, can, until]));
    for tier in facts.price.iter().flat_map(|price| &price.tiers) {
        let [input, cached, write, output] = prices(&tier.rates, facts.mode);
        let name = format!("    above {}", tier.above);
        let nothing = String::new;
        let cells =
            [name, nothing(), nothing(), input, cached, write, output, nothing(), nothing()];
        lines.push(Line::Row(cells));
    }
}

fn prices(rates: &Rates, mode: Mode) -> [String; 4] {
    let usd = |rate: Option<Rate>| rate.map(|rate| rate.usd_per_mtok().to_string());
    let output = Some(rates.output).filter(|_| mode == Mode::Chat);
    [Some(rates.input), rates.cached_input, rates.cache_write, output]
        .map(|rate| usd(rate).unwrap_or_default())
}

fn letters(capabilities: Capabilities) -> String {
    let all = LETTERS.iter().zip(Capability::ALL);
    all.map(|(letter, capability)| if capabilities.has(capability) { *letter } else { '-' })
        .collect()
}

/// The beginning and the end of a long name: ARNs differ at their ends.
pub(super) fn shorten(name: &str) -> String {
    let length = name.chars().count();
    if length <= MAX_NAME {
        return name.to_owned();
    }
    let (start, end) = (MAX_NAME / 3, MAX_NAME - MAX_NAME / 3 - 1);
    let first = name.chars().take(start);
    first.chain(['…']).chain(name.chars().skip(length - end)).collect()
}

fn write_row(out: &mut String, cells: &[String; 9], widths: &[usize; 9]) {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if at > 0 {
            line.push_str("  ");
        }
        let _ = match TEXTS.contains(&at) {
            true => write!(line, "{cell:<width$}"),
            false => write!(line, "{cell:>width$}"),
        };
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

#[derive(Serialize)]
struct Listing<'a> {
    as_of: &'static str,
    models: Vec<Entry<'a>>,
}

/// A model in the words of the configuration.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    family: &'a str,
    name: &'a str,
    /// What it is in the catalogue; null for a model that is not there.
    model: Option<&'a str>,
    mode: &'static str,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    vector_size: Option<u32>,
    /// Null where nothing is known.
    capabilities: Option<Vec<&'static str>>,
    deprecated_on: Option<&'static str>,
    /// Null for a model without a price.
    price: Option<Value>,
}

fn json(catalogue: &Catalogue, groups: &[Group]) -> Vec<u8> {
    let entries = groups.iter().flat_map(|group| {
        group.models.iter().map(|model| entry(group.provider.as_deref(), &group.family, model))
    });
    let listing = Listing { as_of: catalogue.as_of(), models: entries.collect() };
    let mut bytes = serde_json::to_vec_pretty(&listing).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn entry<'a>(provider: Option<&'a str>, family: &'a str, model: &'a Model) -> Entry<'a> {
    let Facts { capabilities, known, .. } = model.facts;
    let price = model.facts.price.as_ref().map(|price| {
        let mut value = rates(&price.base);
        if !price.tiers.is_empty() {
            let tiers = price.tiers.iter().map(|tier| {
                let mut rates = rates(&tier.rates);
                rates.insert("above_input_tokens".to_owned(), tier.above.into());
                Value::Object(rates)
            });
            value.insert("tiers".to_owned(), tiers.collect());
        }
        Value::Object(value)
    });
    Entry {
        provider,
        family,
        name: &model.name,
        model: Some(model.facts.name).filter(|name| !name.is_empty()),
        mode: match model.facts.mode {
            Mode::Chat => "chat",
            Mode::Embedding => "embedding",
        },
        context_window: model.facts.context_window,
        max_output_tokens: model.facts.max_output,
        vector_size: model.facts.vector_size,
        capabilities: known.then(|| capabilities.iter().map(Capability::name).collect()),
        deprecated_on: model.facts.deprecated_on,
        price,
    }
}

fn rates(rates: &Rates) -> serde_json::Map<String, Value> {
    let all = [
        ("input_usd_per_mtok", Some(rates.input)),
        ("cached_input_usd_per_mtok", rates.cached_input),
        ("cache_write_usd_per_mtok", rates.cache_write),
        ("cache_write_1h_usd_per_mtok", rates.cache_write_1h),
        ("cache_write_12h_usd_per_mtok", rates.cache_write_12h),
        ("output_usd_per_mtok", Some(rates.output)),
        ("reasoning_usd_per_mtok", rates.reasoning),
        ("input_audio_usd_per_mtok", rates.input_audio),
        ("output_audio_usd_per_mtok", rates.output_audio),
    ];
    let said = all.into_iter().filter_map(|(name, rate)| Some((name, rate?)));
    said.map(|(name, rate)| (name.to_owned(), rate.usd_per_mtok().into())).collect()
}
