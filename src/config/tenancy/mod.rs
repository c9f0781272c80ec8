//! `identity`, `anonymous`, `others`, `time_zone`, `tenants`, `teams` and `tiers`.
//!
//! | file | what it is |
//! |---|---|
//! | `identity` | how it is known who asks |
//! | `key` | an entry of `keys`, and dates |
//! | [`terms`] | limits and budgets |

mod identity;
mod key;
pub mod terms;

use std::rc::Rc;

use super::matching::read_patterns;
use super::reader::{Fields, Node, Problems, unknown};
use crate::pattern::Pattern;
use crate::tenancy::index::hash;
use crate::tenancy::{May, Shared, Source, Tenancy, Tenant, Terms, Zone};

/// Most tenants.
pub const MAX_TENANTS: usize = 10_000;

/// Most keys, and most certificates, of one tenant.
pub const MAX_CREDENTIALS: usize = 1_000;

/// Most patterns of certificates: each is looked at for a certificate that is not listed as it is.
pub const MAX_PATTERNS: usize = 1_000;

/// Most teams, and most tiers.
pub const MAX_SHARED: usize = 1_000;

/// Longest name of a tenant, a team or a tier in a configuration, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A tier, and what its tenants get that do not say their own.
type Tier<'a> = (Shared, Option<Node<'a>>);

/// What to do when nobody is known.
const NOBODY: &str = "nobody could ever be answered: write tenants, each with keys (waypost key new makes one), certificates, or named by the claims or headers of identity; or write anonymous: NAME, with tenants: { NAME: {} }, to answer whoever asks";

/// Takes the fields and reads them.
pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> Tenancy {
    let before = problems.count();
    let identity = match fields.take("identity") {
        Some(node) => identity::read(&node, problems),
        None => vec![Source::Key],
    };
    let time_zone =
        fields.take("time_zone").and_then(|node| {
            let text = node.text(problems)?;
            let zone = Zone::parse(text);
            if zone.is_none() {
                problems.say(&node.path, format_args!(
                    "must be a time zone such as \"Europe/Berlin\" or \"+05:30\", but is \"{text}\""
                ));
            }
            zone
        });
    let teams = fields.take("teams").map_or_else(Vec::new, |node| {
        read_shared(&node, false, problems).into_iter().map(|(shared, _)| shared).collect()
    });
    let tiers =
        fields.take("tiers").map_or_else(Vec::new, |node| read_shared(&node, true, problems));
    let mut tenancy = Tenancy {
        identity,
        teams,
        tiers: tiers.iter().map(|(tier, _)| tier.clone()).collect(),
        time_zone: time_zone.unwrap_or(Zone::UTC),
        ..Tenancy::default()
    };
    if let Some(node) = fields.take("tenants") {
        read_tenants(&node, &tiers, &mut tenancy, problems);
    }
    let mut named = |name| {
        let node = fields.take(name)?;
        let text = node.text(problems)?;
        let known: Vec<&str> = tenancy.tenants.iter().map(|tenant| &*tenant.name).collect();
        let at = known.binary_search(&text).ok();
        if at.is_none() {
            let message = match known.is_empty() {
                true => format!("names a tenant: write tenants: {{ \"{text}\": {{}} }}"),
                false => unknown(text, known.get(..8).unwrap_or(&known)),
            };
            problems.add(&node.path, message);
        }
        at
    };
    tenancy.anonymous = named("anonymous");
    tenancy.others = named("others");
    if problems.count() == before {
        check(&tenancy, problems);
    }
    add_others(&mut tenancy, &tiers);
    tenancy
}

/// Reports what can never be used.
fn check(tenancy: &Tenancy, problems: &mut Problems) {
    let knows = |wanted: &Source| tenancy.identity.contains(wanted);
    let named = tenancy.names_tenants();
    for (wanted, word, field, at) in [
        (Source::Key, "key", "keys", tenancy.keys.first().map(|key| key.tenant)),
        (
            Source::Certificate,
            "certificate",
            "certificates",
            tenancy.certificates.first().map(|(_, tenant)| *tenant),
        ),
    ] {
        if let Some(tenant) = at.and_then(|at| tenancy.tenants.get(at))
            && !knows(&wanted)
        {
            let path = format!("tenants.{}.{field}", tenant.name);
            problems.say(
                &path,
                format_args!("nobody looks at them: identity does not name \"{word}\""),
            );
        }
    }
    if tenancy.others.is_some() && !named && !knows(&Source::Certificate) {
        problems.add("others", "a key is always one of a tenant that is listed: this is for names from a certificate, claims or headers, and identity names none of them");
    }
    let usable = tenancy.anonymous.is_some()
        || tenancy.others.is_some()
        || tenancy.keys.iter().any(|key| !key.revoked)
        || !tenancy.certificates.is_empty()
        || (named && !tenancy.tenants.is_empty());
    if !usable {
        problems.add("tenants", NOBODY);
    }
}

/// Gives tenants that are not listed the terms of their tiers.
fn add_others(tenancy: &mut Tenancy, tiers: &[Tier<'_>]) {
    let Some(others) = tenancy.others.and_then(|at| tenancy.tenants.get(at)).cloned() else {
        return;
    };
    for (tier, each) in tiers {
        let mut tenant = Tenant { tier: Some(Rc::clone(&tier.name)), ..others.clone() };
        if let Some(node) = each {
            terms::read_each(node, &mut tenant, &mut Problems::default());
        }
        tenancy.others_of.push((Rc::clone(&tier.name), tenancy.tenants.len()));
        tenancy.tenants.push(tenant);
    }
}

fn read_tenants(
    node: &Node<'_>,
    tiers: &[Tier<'_>],
    tenancy: &mut Tenancy,
    problems: &mut Problems,
) {
    let entries = node.entries(problems);
    if entries.len() > MAX_TENANTS {
        problems.say(&node.path, format_args!("{} tenants; at most {MAX_TENANTS}", entries.len()));
    }
    for (name, node) in entries.into_iter().take(MAX_TENANTS) {
        check_name(name, &node.path, problems);
        let mut tenant = Tenant { name: name.into(), ..Tenant::default() };
        let mut fields = node.fields(problems);
        if let Some(node) = fields.take("team") {
            let known: Vec<&str> = tenancy.teams.iter().map(|team| &*team.name).collect();
            tenant.team = one_of(&node, &known, problems);
        }
        if let Some(node) = fields.take("tier") {
            let known: Vec<&str> = tiers.iter().map(|(tier, _)| &*tier.name).collect();
            tenant.tier = one_of(&node, &known, problems);
            let of = tiers.iter().find(|(tier, _)| Some(&tier.name) == tenant.tier.as_ref());
            if let Some((_, Some(each))) = of {
                // What is wrong there has been said.
                terms::read_each(each, &mut tenant, &mut Problems::default());
            }
        }
        if let Some(node) = fields.take("keys") {
            for node in credentials(&node, problems) {
                add_key(&node, name, tenancy, problems);
            }
        }
        if let Some(node) = fields.take("certificates") {
            for node in credentials(&node, problems) {
                add_certificate(&node, name, tenancy, problems);
            }
        }
        terms::take_each(&mut fields, &mut tenant, problems);
        fields.finish(problems);
        tenancy.tenants.push(tenant);
    }
    tenancy.listed = tenancy.tenants.len();
}

/// Reads a key of the tenant that comes next.
fn add_key(node: &Node<'_>, tenant: &str, tenancy: &mut Tenancy, problems: &mut Problems) {
    let Some(key) = key::read(node, tenancy.tenants.len(), problems) else { return };
    let handle = key.hash.handle();
    let keys = &tenancy.keys;
    let known = |at: usize| keys.get(at).is_some_and(|known| known.hash.handle() == handle);
    if let Some(at) = tenancy.handles.find(handle.number(), known) {
        let owner = keys.get(at).and_then(|key| tenancy.tenants.get(key.tenant));
        let owner = owner.map_or(tenant, |owner| &owner.name);
        problems.say(&node.path, format_args!("is the same key ({handle}) as one of \"{owner}\"; a key stands in one place, make another with waypost key new"));
    }
    tenancy.handles.add(handle.number(), tenancy.keys.len());
    tenancy.keys.push(key);
}

/// Reads a certificate of the tenant that comes next.
fn add_certificate(node: &Node<'_>, tenant: &str, tenancy: &mut Tenancy, problems: &mut Problems) {
    let Some(text) = node.text(problems) else { return };
    if !text.contains("://") {
        problems.say(
            &node.path,
            format_args!("\"{text}\" is no URI, such as \"spiffe://cluster.local/ns/search/sa/*\""),
        );
    }
    let pattern = Pattern::new(text);
    let known = &tenancy.certificates;
    let same = |at: usize| known.get(at).is_some_and(|(known, _)| *known == pattern);
    let earlier = if pattern.is_exact() {
        tenancy.exact.find(hash(text), same)
    } else {
        let patterns = known.iter().filter(|(known, _)| !known.is_exact());
        if patterns.count() == MAX_PATTERNS {
            problems
                .say(&node.path, format_args!("at most {MAX_PATTERNS} certificates have a \"*\""));
        }
        (0..known.len()).find(|at| same(*at))
    };
    if let Some((_, at)) = earlier.and_then(|at| known.get(at)) {
        let owner = tenancy.tenants.get(*at).map_or(tenant, |owner| &owner.name);
        problems.say(&node.path, format_args!("\"{text}\" belongs to \"{owner}\" already"));
    }
    if pattern.is_exact() {
        tenancy.exact.add(hash(text), known.len());
    }
    tenancy.certificates.push((pattern, tenancy.tenants.len()));
}

fn credentials<'a>(node: &Node<'a>, problems: &mut Problems) -> Vec<Node<'a>> {
    let mut nodes = node.list(problems);
    if nodes.len() > MAX_CREDENTIALS {
        problems
            .say(&node.path, format_args!("{} entries; at most {MAX_CREDENTIALS}", nodes.len()));
        nodes.truncate(MAX_CREDENTIALS);
    }
    nodes
}

/// Names with what all who have them share, and the `each_tenant` of tiers.
fn read_shared<'a>(node: &Node<'a>, tiers: bool, problems: &mut Problems) -> Vec<Tier<'a>> {
    let mut entries = node.entries(problems);
    if entries.len() > MAX_SHARED {
        problems.say(&node.path, format_args!("{} entries; at most {MAX_SHARED}", entries.len()));
        entries.truncate(MAX_SHARED);
    }
    let mut all = Vec::new();
    for (name, node) in entries {
        check_name(name, &node.path, problems);
        let mut fields = node.fields(problems);
        let terms = terms::take(&mut fields, problems);
        let each = if tiers { fields.take("each_tenant") } else { None };
        if let Some(node) = &each {
            terms::read_each(node, &mut Tenant::default(), problems);
        }
        fields.finish(problems);
        all.push((Shared { name: name.into(), terms }, each));
    }
    all
}

/// A name that stands elsewhere; where nothing stands there, any name.
fn one_of(node: &Node<'_>, known: &[&str], problems: &mut Problems) -> Option<Rc<str>> {
    let text = node.text(problems)?;
    check_name(text, &node.path, problems);
    if !known.is_empty() && !known.contains(&text) {
        problems.add(&node.path, unknown(text, known));
    }
    Some(text.into())
}

/// What is wrong with a name of a tenant, a team or a tier.
///
/// # Errors
/// It has other characters than those allowed, none, or too many.
pub fn check_plain(name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(format!("a name here is 1 to {MAX_NAME_BYTES} letters, digits and . _ - / : @"))
}

fn check_name(name: &str, path: &str, problems: &mut Problems) {
    if let Err(message) = check_plain(name) {
        problems.add(path, message);
    }
}

/// Reads `may`.
fn read_may(node: &Node<'_>, problems: &mut Problems) -> May {
    let mut may = May::default();
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("models") {
        may.models = read_patterns(&node, problems);
    }
    if let Some(node) = fields.take("rules") {
        may.rules = read_patterns(&node, problems);
    }
    if let Some(node) = fields.take("operations") {
        let nodes = node.one_or_more(problems);
        if nodes.is_empty() {
            problems.add(&node.path, "the list is empty, so nothing could be asked for");
        }
        let words = [("chat", "chat"), ("embeddings", "embeddings")];
        may.operations =
            nodes.iter().filter_map(|node| node.word(&words, problems)).map(Rc::from).collect();
    }
    if let Some(node) = fields.take("max_tokens") {
        may.max_tokens = node.whole(1, 1 << 32, problems);
    }
    if let Some(node) = fields.take("pin") {
        may.pin = node.flag(problems);
    }
    fields.finish(problems);
    may
}

/// Reads `models` of a tenant: terms by patterns.
fn read_models(node: &Node<'_>, problems: &mut Problems) -> Vec<(Pattern, Terms)> {
    let mut models = Vec::new();
    for (name, node) in node.entries(problems).into_iter().take(MAX_SHARED) {
        models.push((Pattern::new(name), terms::read(&node, problems)));
    }
    models
}
