//! What requests and tenants are told by: patterns, and names of headers.

use super::reader::{Node, Problems};
use crate::pattern::Pattern;

/// Reports a name of a request header that no request can bring.
pub(super) fn check_header(name: &str, path: &str, problems: &mut Problems) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    if name.is_empty() || !name.bytes().all(plain) {
        problems.add(path, "a header's name is written in lower case");
    } else if name.starts_with("x-waypost-") || name.starts_with("x-envoy-") {
        problems.add(path, "headers of this name are taken off every request first");
    }
}

/// One or more patterns.
pub(super) fn read_patterns(node: &Node<'_>, problems: &mut Problems) -> Vec<Pattern> {
    let nodes = node.one_or_more(problems);
    if nodes.is_empty() {
        problems.add(&node.path, "the list is empty, so nothing could ever match");
    }
    nodes.iter().filter_map(|node| node.text(problems)).map(Pattern::new).collect()
}
