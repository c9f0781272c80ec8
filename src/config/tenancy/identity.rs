//! `identity`: how it is known who asks.

use crate::config::matching::check_header;
use crate::config::reader::{Fields, Node, Problems, unknown};
use crate::tenancy::{Named, Source};

/// Where `jwt_authn` puts its claims.
const JWT: &str = "envoy.filters.http.jwt_authn";

/// The names of the kinds of identity.
const WORDS: [&str; 4] = ["key", "certificate", "claims", "headers"];

/// Deepest place of claims in the metadata.
const MAX_STEPS: usize = 8;

/// Reads `identity`.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Vec<Source> {
    let nodes = node.list(problems);
    if node.value.is_array() && nodes.is_empty() {
        problems.add(
            &node.path,
            "the list is empty, so nobody could be known; leave it out for keys alone",
        );
    }
    let mut sources: Vec<Source> = Vec::new();
    for node in nodes {
        let Some(source) = read_source(&node, problems) else { continue };
        if sources.contains(&source) {
            problems.add(&node.path, "stands above already");
        }
        sources.push(source);
    }
    sources
}

fn read_source(node: &Node<'_>, problems: &mut Problems) -> Option<Source> {
    match node.value.as_str() {
        Some("key") => return Some(Source::Key),
        Some("certificate") => return Some(Source::Certificate),
        Some(word @ ("claims" | "headers")) => {
            problems.say(
                &node.path,
                format_args!(
                    "\"{word}\" needs to be told where: write {{ {word}: {{ tenant: … }} }}"
                ),
            );
            return None;
        }
        Some(word) => {
            problems.add(&node.path, unknown(word, &WORDS));
            return None;
        }
        None => {}
    }
    let mut fields = node.fields(problems);
    let claims = fields.take("claims");
    let headers = fields.take("headers");
    if fields.is_object() && claims.is_some() == headers.is_some() {
        problems.add(&node.path, "needs either claims or headers");
    }
    fields.finish(problems);
    if let Some(node) = claims {
        return read_claims(&node, problems).map(Source::Claims);
    }
    let node = headers?;
    let mut fields = node.fields(problems);
    let named = read_named(&mut fields, problems, &|node, text, problems| {
        check_header(text, &node.path, problems);
        if text == "authorization" {
            problems.add(&node.path, "is what clients themselves send: it proves nothing");
        }
        text.to_owned()
    });
    fields.finish(problems);
    named.map(Source::Headers)
}

fn read_claims(node: &Node<'_>, problems: &mut Problems) -> Option<Named> {
    let mut fields = node.fields(problems);
    let filter = fields.take("filter").and_then(|node| node.text(problems)).unwrap_or(JWT);
    let mut place = format!("metadata\0filter_metadata\0{filter}");
    let steps = fields.take("metadata");
    let steps = steps.map_or_else(Vec::new, |node| node.one_or_more(problems));
    if steps.len() > MAX_STEPS {
        problems.say(&node.path, format_args!("metadata is a path of at most {MAX_STEPS} names"));
    }
    for step in steps.iter().take(MAX_STEPS).filter_map(|node| node.text(problems)) {
        place.push('\0');
        place.push_str(step);
    }
    let named = read_named(&mut fields, problems, &|_, text, _| format!("{place}\0{text}"));
    fields.finish(problems);
    named
}

type Name<'n> = &'n dyn Fn(&Node<'_>, &str, &mut Problems) -> String;

/// Reads who is named by what. `name` makes of a text what will be asked for.
fn read_named(fields: &mut Fields<'_>, problems: &mut Problems, name: Name<'_>) -> Option<Named> {
    let tenant = fields.need("tenant", problems);
    let [team, tier, user, application] =
        ["team", "tier", "user", "application"].map(|word| fields.take(word));
    let mut read = |node: Option<Node<'_>>| {
        let node = node?;
        let text = node.text(problems)?;
        Some(name(&node, text, problems))
    };
    let (team, tier, user, application) = (read(team), read(tier), read(user), read(application));
    Some(Named { tenant: read(tenant)?, team, tier, user, application })
}
