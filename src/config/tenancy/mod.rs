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

use self::terms::Own;
use super::reader::{Fields, Node, Problems, unknown};
use super::rule::{Rule, read_patterns};
use crate::pattern::Pattern;
use crate::tenancy::{Key, May, Shared, Source, Tenancy, Tenant, Terms};

/// Most tenants.
pub const MAX_TENANTS: usize = 10_000;

/// Most keys, and most certificates, of one tenant.
pub const MAX_CREDENTIALS: usize = 1_000;

/// Most teams, and most tiers.
pub const MAX_SHARED: usize = 1_000;

/// Longest name of a tenant, a team or a tier in a configuration, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A tier, and what its tenants get that do not say their own.
struct Tier {
    shared: Shared,
    each: Own,
}

/// What to do when nobody is known.
const NOBODY: &str = "nobody could ever be answered: write tenants, each with keys (waypost key new makes one), certificates, or named by the claims or headers of identity; or write anonymous: NAME, with tenants: { NAME: {} }, to answer whoever asks";

/// Takes the fields and reads them.
pub(super) fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> Tenancy {
    let before = problems.count();
    let identity = match fields.take("identity") {
        Some(node) => identity::read(&node, problems),
        None => vec![Source::Key],
    };
    let time_zone = fields.take("time_zone").and_then(|node| node.text(problems));
    let teams = fields.take("teams").map_or_else(Vec::new, |node| {
        read_shared(&node, false, problems).into_iter().map(|(shared, _)| shared).collect()
    });
    let tiers = fields.take("tiers").map_or_else(Vec::new, |node| read_tiers(&node, problems));
    let mut tenancy = Tenancy {
        identity,
        teams,
        time_zone: time_zone.unwrap_or("UTC").into(),
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
    index(&mut tenancy, &tiers);
    tenancy
}

/// Reports rules that a tenant may use and that there are not.
pub(super) fn check_rules(tenancy: &Tenancy, rules: &[Rule], problems: &mut Problems) {
    let mut known: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
    known.push(super::rule::NO_RULE);
    for tenant in &tenancy.tenants {
        for pattern in tenant.may.rules.iter().filter(|pattern| pattern.is_exact()) {
            if !known.contains(&pattern.as_str()) {
                let path = format!("tenants.{}.may.rules", tenant.name);
                problems.add(path, unknown(pattern.as_str(), &known));
            }
        }
    }
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
            problems.add(path, format!("nobody looks at them: identity does not name \"{word}\""));
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

/// Sorts what is looked up, and gives unlisted tenants of a tier the terms of that tier.
fn index(tenancy: &mut Tenancy, tiers: &[Tier]) {
    tenancy.keys.sort_by_key(|key| key.hash.handle());
    // The longest says most of the name.
    tenancy.certificates.sort_by_key(|(pattern, _)| {
        (!pattern.is_exact(), std::cmp::Reverse(pattern.as_str().len()))
    });
    tenancy.tiers = tiers.iter().map(|tier| tier.shared.clone()).collect();
    tenancy.listed = tenancy.tenants.len();
    let Some(others) = tenancy.others.and_then(|at| tenancy.tenants.get(at)).cloned() else {
        return;
    };
    for tier in tiers {
        let name = Rc::clone(&tier.shared.name);
        tenancy.others_of.push((Rc::clone(&name), tenancy.tenants.len()));
        tenancy.tenants.push(Tenant { tier: Some(name), ..tier.each.instead_of(&others) });
    }
}

fn read_tenants(node: &Node<'_>, tiers: &[Tier], tenancy: &mut Tenancy, problems: &mut Problems) {
    let entries = node.entries(problems);
    if entries.len() > MAX_TENANTS {
        problems.add(&node.path, format!("{} tenants; at most {MAX_TENANTS}", entries.len()));
    }
    // In a `Struct` entries come in any order.
    let mut entries: Vec<_> = entries.into_iter().take(MAX_TENANTS).collect();
    entries.sort_by_key(|(name, _)| *name);
    for (name, node) in entries {
        check_name(name, &node.path, problems);
        let at = tenancy.tenants.len();
        let mut fields = node.fields(problems);
        let team = fields.take("team").and_then(|node| {
            let known: Vec<&str> = tenancy.teams.iter().map(|team| &*team.name).collect();
            one_of(&node, &known, problems)
        });
        let tier = fields.take("tier").and_then(|node| {
            let known: Vec<&str> = tiers.iter().map(|tier| &*tier.shared.name).collect();
            one_of(&node, &known, problems)
        });
        if let Some(node) = fields.take("keys") {
            for (index, node) in credentials(&node, problems).iter().enumerate() {
                let read = key::read(node, at, problems);
                tenancy.keys.extend(read.inspect(|key| {
                    check_key(key, tenancy, name, index, node, problems);
                }));
            }
        }
        if let Some(node) = fields.take("certificates") {
            for node in credentials(&node, problems) {
                let Some(text) = node.text(problems) else { continue };
                let pattern = Pattern::new(text);
                let earlier = tenancy.certificates.iter().find(|(known, _)| *known == pattern);
                if let Some(owner) = earlier.and_then(|(_, at)| tenancy.tenants.get(*at)) {
                    let message = format!("\"{text}\" belongs to \"{}\" already", owner.name);
                    problems.add(&node.path, message);
                } else if !text.contains("://") {
                    problems.add(&node.path, format!("\"{text}\" is no URI, such as \"spiffe://cluster.local/ns/search/sa/*\""));
                }
                tenancy.certificates.push((pattern, at));
            }
        }
        let own = Own::take(&mut fields, problems);
        fields.finish(problems);
        let of = tier.and_then(|name| tiers.iter().find(|tier| *tier.shared.name == *name));
        let own = match of {
            Some(tier) => own.or(&tier.each),
            None => own,
        };
        let tenant = Tenant {
            name: name.into(),
            team: team.map(Rc::from),
            tier: tier.map(Rc::from),
            ..Tenant::default()
        };
        tenancy.tenants.push(own.instead_of(&tenant));
    }
}

/// Reports a key that another entry holds too.
fn check_key(
    key: &Key,
    tenancy: &Tenancy,
    tenant: &str,
    index: usize,
    node: &Node<'_>,
    problems: &mut Problems,
) {
    let Some(earlier) = tenancy.keys.iter().find(|known| known.hash.handle() == key.hash.handle())
    else {
        return;
    };
    let owner = tenancy.tenants.get(earlier.tenant).map_or(tenant, |owner| &owner.name);
    problems.add(&node.path, format!(
        "key {index} of \"{tenant}\" has the handle {} of a key of \"{owner}\": it is the same key; a key belongs to one entry, make another with waypost key new",
        key.hash.handle()
    ));
}

fn credentials<'a>(node: &Node<'a>, problems: &mut Problems) -> Vec<Node<'a>> {
    let mut nodes = node.list(problems);
    if nodes.len() > MAX_CREDENTIALS {
        problems.add(&node.path, format!("{} entries; at most {MAX_CREDENTIALS}", nodes.len()));
        nodes.truncate(MAX_CREDENTIALS);
    }
    nodes
}

fn read_tiers(node: &Node<'_>, problems: &mut Problems) -> Vec<Tier> {
    let with = |(shared, each): (Shared, Option<Node<'_>>), problems: &mut Problems| {
        let each = each.map_or_else(Own::default, |node| {
            let mut fields = node.fields(problems);
            let own = Own::take(&mut fields, problems);
            fields.finish(problems);
            own
        });
        Tier { shared, each }
    };
    let all = read_shared(node, true, problems);
    all.into_iter().map(|one| with(one, problems)).collect()
}

/// Names with what all who have them share, and the `each_tenant` of tiers.
fn read_shared<'a>(
    node: &Node<'a>,
    tiers: bool,
    problems: &mut Problems,
) -> Vec<(Shared, Option<Node<'a>>)> {
    let mut entries = node.entries(problems);
    if entries.len() > MAX_SHARED {
        problems.add(&node.path, format!("{} entries; at most {MAX_SHARED}", entries.len()));
        entries.truncate(MAX_SHARED);
    }
    entries.sort_by_key(|(name, _)| *name);
    let mut all = Vec::new();
    for (name, node) in entries {
        check_name(name, &node.path, problems);
        let mut fields = node.fields(problems);
        let terms = terms::take(&mut fields, problems).unwrap_or_default();
        let each = if tiers { fields.take("each_tenant") } else { None };
        fields.finish(problems);
        all.push((Shared { name: name.into(), terms }, each));
    }
    all
}

/// A name that stands elsewhere; where nothing stands there, any name.
fn one_of<'a>(node: &Node<'a>, known: &[&str], problems: &mut Problems) -> Option<&'a str> {
    let text = node.text(problems)?;
    check_name(text, &node.path, problems);
    if !known.is_empty() && !known.contains(&text) {
        problems.add(&node.path, unknown(text, known));
    }
    Some(text)
}

fn check_name(name: &str, path: &str, problems: &mut Problems) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(plain) {
        problems.add(
            path,
            format!("a name here is 1 to {MAX_NAME_BYTES} letters, digits and . _ - / : @"),
        );
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
        let mut fields = node.fields(problems);
        let terms = terms::take(&mut fields, problems);
        fields.finish(problems);
        models.push((Pattern::new(name), terms.unwrap_or_default()));
    }
    models
}
