//! `budgets`: who may tell the gateway what was spent before it was started.

use super::push;
use super::reader::{Node, Problems};
use crate::tenancy::key::Hash;

/// Reads `budgets`. Whoever shows the key may send a snapshot to the status listener.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Hash> {
    let mut fields = node.fields(problems);
    let key = fields.need("push", problems).and_then(|node| push::read(&node, problems));
    fields.finish(problems);
    key
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;

    fn read(budgets: &Value) -> Result<Option<Hash>, String> {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}}, "budgets": budgets,
            "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}}},
        }));
        match config {
            Ok(Config::Gateway(gateway)) => Ok(gateway.restore),
            Ok(_) => Err("another role".to_owned()),
            Err(problems) => {
                Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    #[test]
    fn a_snapshot_needs_a_key() {
        let hash = Hash::of("wp-restore", [7; 16]);
        assert_eq!(read(&json!({"push": {"key": hash.to_string()}})), Ok(Some(hash)));
        for (wrong, path) in [
            (json!({}), "budgets: needs the field \"push\""),
            (json!({"push": {}}), "budgets.push: needs the field \"key\""),
            (json!({"push": {"key": "wp-restore"}}), "budgets.push.key"),
            (json!({"push": {"key": "wp1.x", "cluster": "a"}}), "budgets.push.cluster"),
            (json!({"pull": {}}), "budgets.pull"),
            (json!(7), "budgets"),
        ] {
            let told = read(&wrong).unwrap_err();
            assert!(told.contains(path) && !told.contains("wp-restore"), "{wrong}: {told}");
        }
    }
}
