//! Whatever a request shows, who asks is somebody who is listed, or nobody; and no refusal repeats it.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "what is unwrapped is made here")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use waypost::config::{Config, Gateway};
use waypost::providers::Headers;
use waypost::tenancy::Proof;
use waypost::tenancy::identity::{CERTIFICATE, Header, Shown};
use waypost::tenancy::key::Hash;

const KEYS: [&str; 3] = ["wp-first-key-of-all", "wp-second-key", "wp-gone"];
const CLAIM: &str = "metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0jwt\0";

#[derive(Debug)]
struct Request {
    headers: Vec<(&'static str, Vec<u8>)>,
    properties: Vec<(String, Vec<u8>)>,
}

impl Shown for Request {
    fn header(&self, name: &str) -> Header<'_> {
        let pairs = self.headers.iter().map(|(name, value)| (name.as_bytes(), &**value));
        Header::of(&Headers::new(pairs.collect()), name)
    }

    fn property(&self, path: &str) -> Option<Vec<u8>> {
        let found = self.properties.iter().find(|(known, _)| known == path);
        found.map(|(_, value)| value.clone())
    }
}

fn gateway(identity: &Value, more: &Value) -> Option<Gateway> {
    let hash = |key: &str| json!(Hash::of(key, [3; 16]).to_string());
    let mut config = json!({
        "role": "gateway", "identity": identity,
        "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"m": {}}}},
        "tenants": {
            "first": {"keys": [{"hash": hash(KEYS[0])}], "certificates": ["spiffe://x/first/*"]},
            "second": {
                "keys": [{"hash": hash(KEYS[1])}, {"hash": hash(KEYS[2]), "revoked": true}],
                "certificates": ["spiffe://x/second"],
            },
        },
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    match Config::read(&config) {
        Ok(Config::Gateway(gateway)) => Some(*gateway),
        // What identity does not name, nobody looks at.
        _ => None,
    }
}

fn sources() -> impl Strategy<Value = Value> {
    let claims = json!({"claims": {"metadata": "jwt", "tenant": "t", "user": "u", "tier": "p"}});
    let headers = json!({"headers": {"tenant": "x-tenant", "user": "x-user"}});
    let order = vec![json!("key"), json!("certificate"), claims, headers];
    Just(order).prop_shuffle().prop_map(Value::Array)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "first",
        "second",
        "other",
        "spiffe://x/first/a",
        "spiffe://x/second",
        "spiffe://x/third",
        "Bearer wp-first-key-of-all",
        "bearer  wp-second-key ",
        "Bearer wp-gone",
        "Bearer wp-secret-of-nobody",
        "Bearer wp-",
        "Bearer sk-other",
        "Basic eDp5",
        "Bearer",
        " ",
        "",
    ];
    prop_oneof![
        4 => select(known.map(|text| text.as_bytes().to_vec()).to_vec()),
        1 => vec(any::<u8>(), 0..40),
        1 => "[ -~]{0,300}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20).prop_map(|tail| [b"Bearer wp-", &*tail].concat()),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let header = (select(vec!["authorization", "x-tenant", "x-user", "x-other"]), value());
    let paths: Vec<String> = ["t", "u", "p"].iter().map(|name| format!("{CLAIM}{name}")).collect();
    let paths = [paths, vec![CERTIFICATE.to_owned()]].concat();
    (vec(header, 0..4), vec((select(paths), value()), 0..4))
        .prop_map(|(headers, properties)| Request { headers, properties })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn who_asks_is_somebody_who_is_listed_or_nobody(
        identity in sources(), request in request(), others in any::<bool>(), anonymous in any::<bool>(), now in any::<u64>(),
    ) {
        let mut more = json!({});
        if others { more["others"] = json!("second"); }
        if anonymous { more["anonymous"] = json!("first"); }
        let gateway = gateway(&identity, &more).unwrap();
        let tenancy = &gateway.tenancy;
        match tenancy.identify(&request, now) {
            Ok(caller) => {
                let listed = tenancy.find(&caller.tenant);
                prop_assert!(caller.terms < tenancy.tenants.len());
                match listed {
                    Some(at) => prop_assert_eq!(caller.terms, at),
                    None => prop_assert!(others && caller.proof != Proof::Key && caller.proof != Proof::Anonymous),
                }
                for name in [Some(&caller.tenant), caller.user.as_ref(), caller.tier.as_ref()].into_iter().flatten() {
                    prop_assert!((1..=256).contains(&name.len()) && !name.chars().any(char::is_control));
                }
                // Nobody has a tenant by a key that was not shown.
                let shown: Vec<&[u8]> = request.headers.iter().filter(|(name, _)| *name == "authorization").map(|(_, value)| &**value).collect();
                if caller.proof == Proof::Key {
                    let [value] = shown[..] else { return Err(TestCaseError::fail("one header")) };
                    let value = std::str::from_utf8(value).unwrap();
                    let at = KEYS[..2].iter().position(|key| value.trim_end().ends_with(key)).unwrap();
                    prop_assert_eq!(&*caller.tenant, ["first", "second"][at]);
                }
                // One of ours that does not hold is never passed over.
                prop_assert!(!shown.iter().any(|value| value.starts_with(b"Bearer wp-gone") || value.starts_with(b"Bearer wp-secret")));
            }
            Err(error) => {
                prop_assert!([401, 403].contains(&error.status), "{:?}", error);
                prop_assert!(error.message.len() < 400);
                for (_, value) in &request.headers {
                    let text = String::from_utf8_lossy(value);
                    let secret = text.rsplit(' ').next().unwrap_or_default();
                    prop_assert!(secret.len() < 8 || !error.message.contains(secret), "{}", error.message);
                }
            }
        }
    }

    #[test]
    fn a_hash_is_read_from_no_text_that_is_not_one(text in "(wp1\\.)?[0-9a-f.]{0,120}|\\PC{0,200}") {
        if let Some(hash) = Hash::parse(&text) {
            prop_assert_eq!(hash.to_string(), text);
        }
    }
}
