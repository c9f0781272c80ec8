//! What a provider's users call a model, and what the catalogue calls it.
//!
//! A name is looked up as it is written. Then, without what these documented forms put around it:
//!
//! | family | form | looked up as |
//! |---|---|---|
//! | `gemini`, `vertex` | `google/NAME`, `models/NAME`, `publishers/google/models/NAME`, with or without `projects/P/locations/L/` before it | `NAME` |
//! | `vertex` | `publishers/anthropic/models/NAME`, `anthropic/NAME`, `NAME@20250929`, `NAME@default` | `NAME` |
//! | `bedrock` | `arn:aws:bedrock:REGION::foundation-model/NAME`, `arn:…:inference-profile/us.NAME` | `NAME` |
//! | `bedrock` | `us.NAME`, `us-gov.NAME`, `eu.NAME`, `apac.NAME`, `au.NAME`, `ca.NAME`, `jp.NAME`, `global.NAME` | `NAME` |
//! | `bedrock` | `NAME-v1:0` | `NAME` |
//! | all | `NAME-2024-08-06`, `NAME-20240806`, `NAME-latest` | `NAME` |
//!
//! A model that only its publisher's family has is looked up there too where Azure serves OpenAI's,
//! Bedrock Anthropic's (`anthropic.NAME`), or Vertex Anthropic's and Google's: what it takes and can
//! do is the same, its price need not be.
//!
//! Nothing else is guessed. The ARN of an application's inference profile, of provisioned
//! throughput or of an imported model does not say which model it is: the configuration does.

/// Where Bedrock's inference profiles route: the first part of a profile's name.
const BEDROCK_REGIONS: [&str; 8] = ["us", "us-gov", "eu", "apac", "au", "ca", "jp", "global"];

/// The names under which a model may stand in the catalogue, the one that was written first.
pub(super) fn forms<'a>(family: &str, written: &'a str) -> impl Iterator<Item = &'a str> {
    let bare = match family {
        "gemini" | "vertex" => google(written),
        "bedrock" => bedrock(written),
        _ => written,
    };
    let version = match family {
        "vertex" => bare.split_once('@').filter(|(_, version)| is_version(version)),
        "bedrock" => bare.rsplit_once("-v").filter(|(_, version)| is_bedrock_version(version)),
        _ => None,
    };
    let unversioned = version.map_or(bare, |(name, _)| name);
    let undated = without_date(unversioned);
    [Some(written), Some(bare), Some(unversioned), undated].into_iter().flatten()
}

/// Without the publisher and the path of the resource.
fn google(name: &str) -> &str {
    let publishers = ["google/", "anthropic/"];
    let bare = publishers.iter().find_map(|publisher| name.strip_prefix(publisher));
    let name = bare.unwrap_or(name);
    let resource = ["models/", "publishers/", "projects/"];
    match name.rsplit_once("models/") {
        Some((_, bare)) if resource.iter().any(|start| name.starts_with(start)) => bare,
        _ => name,
    }
}

/// Without the ARN and the region of an inference profile.
fn bedrock(name: &str) -> &str {
    let name = match name.split_once('/') {
        Some((arn, resource)) if is_named_by(arn) => resource,
        _ => name,
    };
    match name.split_once('.') {
        Some((region, bare)) if BEDROCK_REGIONS.contains(&region) => bare,
        _ => name,
    }
}

/// Whether what follows this start of an ARN is a model's name.
fn is_named_by(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("bedrock")
        && parts.nth(2).is_some_and(|kind| matches!(kind, "foundation-model" | "inference-profile"))
}

fn is_version(text: &str) -> bool {
    text == "default" || is_date(text.as_bytes(), b"YYYYMMDD")
}

/// `1:0`, of which the second number may be missing.
fn is_bedrock_version(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (major, minor) = text.split_once(':').unwrap_or((text, "0"));
    is_number(major) && is_number(minor)
}

fn without_date(model: &str) -> Option<&str> {
    if let Some(undated) = model.strip_suffix("-latest") {
        return Some(undated);
    }
    [b"-YYYY-MM-DD".as_slice(), b"-YYYYMMDD"].into_iter().find_map(|form| {
        let (undated, suffix) = model.split_at_checked(model.len().checked_sub(form.len())?)?;
        is_date(suffix.as_bytes(), form).then_some(undated)
    })
}

/// Whether `text` is a date of this form. The month and day are checked too: eight digits alone
/// can be a build or a size.
pub(super) fn is_date(text: &[u8], form: &[u8]) -> bool {
    let (mut month, mut day) = (0, 0);
    for (byte, place) in text.iter().zip(form) {
        let digit = || byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
        let fits = match place {
            b'-' => (*byte == b'-').then_some(()),
            b'M' => digit().map(|digit| month = month * 10 + digit),
            b'D' => digit().map(|digit| day = day * 10 + digit),
            _ => digit().map(drop),
        };
        if fits.is_none() {
            return false;
        }
    }
    text.len() == form.len() && (1..=12).contains(&month) && (1..=31).contains(&day)
}
