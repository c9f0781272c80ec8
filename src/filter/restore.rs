//! What was spent before this Envoy was started, as `waypost usage --snapshot` tells it from a log.

use super::service::Service;
use crate::openai::{Class, Error};
use crate::tenancy::snapshot;

/// Longest snapshot, in bytes: one with as many users as there are slots for has less. Envoy itself
/// takes no more than `per_connection_buffer_limit_bytes` of the status listener, by default 1 MiB.
pub const MAX_SNAPSHOT_BYTES: usize = 4 << 20;

/// Takes a snapshot over. Gives how many accounts now stand as it says, and how many rows were of
/// nobody known here, of the past, or could not be written.
///
/// # Errors
/// It is none.
pub fn pushed(service: &Service, body: &[u8]) -> Result<Vec<u8>, Error> {
    let entries = snapshot::read(body)
        .map_err(|why| Error::new(Class::Client, why).with_code("invalid_snapshot"))?;
    let tenancy = &service.gateway.tenancy;
    let mut find = |kind, name: &str| service.accounts.find(tenancy, kind, name);
    let (store, now) = (service.store(), service.world.now());
    let snapshot::Restored { accounts, unknown, past, failed } =
        service.ledger.restore(&entries, &mut find, store, now);
    Ok(format!(r#"{{"accounts":{accounts},"unknown":{unknown},"past":{past},"failed":{failed}}}"#)
        .into_bytes())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::config::{Config, Gateway};
    use crate::filter::service::tests::alone;
    use crate::providers::catalogue::NanoUsd;
    use crate::tenancy::hourly::Usual;
    use crate::tenancy::snapshot::Entry;
    use crate::tenancy::{Kind, period};

    fn gateway() -> Rc<Gateway> {
        let budget = json!({"usd_per_day": 1});
        let config = Config::read(&json!({
            "role": "gateway",
            "teams": {"red": {"budget": budget}}, "tiers": {"gold": {"budget": budget}},
            "anonymous": "a",
            "tenants": {
                "a": {"budget": budget, "each_user": {"budget": budget}, "models": {"gpt-*": {"budget": budget}}},
                "free": {},
            },
            "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}, "budget": budget}},
        }));
        match config {
            Ok(Config::Gateway(gateway)) => Rc::from(gateway),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_account_stands_where_the_snapshot_says() {
        let service = alone(gateway());
        let now = service.world.now();
        let (day, month) = period::of(&crate::tenancy::Zone::UTC, now);
        let kinds = [
            (Kind::Tenant, "a"),
            (Kind::Team, "red"),
            (Kind::Tier, "gold"),
            (Kind::User, "a\0ann"),
            (Kind::Model, "a\0gpt-*"),
            (Kind::Provider, "openai"),
        ];
        let strangers = [
            (Kind::Tenant, "b"),
            (Kind::Tenant, "free"),
            (Kind::Team, "blue"),
            (Kind::User, "free\0ann"),
            (Kind::User, "ann"),
            (Kind::Model, "a\0o3"),
            (Kind::Provider, "claude"),
        ];
        let entry = |(kind, name): &(Kind, &str)| Entry {
            kind: *kind,
            name: (*name).to_owned(),
            day: (day.id, NanoUsd(7)),
            month: (month.id, NanoUsd(9)),
            usual: Usual::default(),
        };
        let all: Vec<Entry> = kinds.iter().chain(&strangers).map(entry).collect();
        let said = pushed(&service, &snapshot::write(&all)).unwrap();
        let expected = r#"{"accounts":6,"unknown":7,"past":0,"failed":0}"#;
        assert_eq!(String::from_utf8(said).unwrap(), expected);
        for (kind, name) in kinds {
            let subject = service.accounts.find(&service.gateway.tenancy, kind, name).unwrap();
            let account = service.ledger.account(&subject, service.store(), now);
            assert_eq!((account.day.money, account.month.money), (7, 9), "{name}");
        }
    }

    #[test]
    fn what_is_no_snapshot_changes_nothing_and_is_told() {
        let service = alone(gateway());
        let error = pushed(&service, b"{}").unwrap_err();
        assert_eq!((error.status, error.code.as_deref()), (400, Some("invalid_snapshot")));
        assert!(error.message.contains("version"), "{}", error.message);
    }
}
