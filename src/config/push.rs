//! `push`: who may send the gateway something while it runs.

use super::reader::{Node, Problems};
use crate::tenancy::key::Hash;

/// Reads the hash of the key that whoever sends something must show.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Hash> {
    let mut fields = node.fields(problems);
    let key = fields.need("key", problems).and_then(|node| {
        let hash = node.value.as_str().and_then(Hash::parse);
        if hash.is_none() {
            // Who writes the key itself must not find it in a log.
            problems.add(
                &node.path,
                "must be the hash of a key, \"wp1.…\", as `waypost key hash` writes it",
            );
        }
        hash
    });
    fields.finish(problems);
    key
}
