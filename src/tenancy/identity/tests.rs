use std::cell::RefCell;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::tenancy::{Caller, Tenant};

/// What a request shows, and what was asked of it.
#[derive(Default)]
struct Request {
    headers: Vec<(&'static str, &'static str)>,
    properties: Vec<(&'static str, &'static [u8])>,
    asked: RefCell<Vec<String>>,
}

impl Shown for Request {
    fn header(&self, name: &str) -> Header<'_> {
        self.asked.borrow_mut().push(name.to_owned());
        let pairs = self.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Header::of(&Headers::new(pairs.collect()), name)
    }

    fn property(&self, path: &str) -> Option<Vec<u8>> {
        self.asked.borrow_mut().push(path.to_owned());
        let found = self.properties.iter().find(|(known, _)| *known == path);
        found.map(|(_, value)| value.to_vec())
    }
}

const WITH_KEY: fn(&'static str) -> Request =
    |value| Request { headers: vec![("authorization", value)], ..Request::default() };

/// Tenants `a` and `b` with two keys of `a`, one of which holds from 1000 to 2000 and one that is
/// revoked, and one of `b`; `a` is of a team and of a tier.
fn tenancy(identity: Vec<Source>) -> Tenancy {
    let mut tenancy = Tenancy { identity, listed: 2, ..Tenancy::default() };
    tenancy.tenants = vec![
        Tenant {
            name: "a".into(),
            team: Some("team".into()),
            tier: Some("gold".into()),
            ..Tenant::default()
        },
        Tenant { name: "b".into(), ..Tenant::default() },
    ];
    for (key, tenant, not_before, expires, revoked) in [
        ("wp-of-a", 0, Some(1000), Some(2000), false),
        ("wp-old-of-a", 0, None, None, true),
        ("wp-of-b", 1, None, None, false),
    ] {
        let hash = Hash::of(key, [7; 16]);
        tenancy.handles.add(hash.handle().number(), tenancy.keys.len());
        let (id, user) = (hash.handle().to_string().into(), Some("robot".into()));
        let key = Key { hash, tenant, id, user, application: None, not_before, expires, revoked };
        tenancy.keys.push(key);
    }
    for (uri, tenant) in [("spiffe://x/ns/b/*", 1), ("spiffe://x/*", 0), ("spiffe://x/exact", 1)] {
        if !uri.contains('*') {
            tenancy.exact.add(hash(uri), tenancy.certificates.len());
        }
        tenancy.certificates.push((Pattern::new(uri), tenant));
    }
    tenancy
}

fn named() -> Named {
    Named {
        tenant: "x-tenant".into(),
        team: Some("x-team".into()),
        tier: Some("x-tier".into()),
        user: Some("x-user".into()),
        application: None,
    }
}

fn code(told: Result<Caller, Error>) -> (u16, String) {
    let error = told.unwrap_err();
    (error.status, error.code.unwrap_or_default().into_owned())
}

#[test]
fn a_key_tells_the_tenant_its_team_and_tier_and_whose_key_it_is() {
    let tenancy = tenancy(vec![Source::Key]);
    let caller = tenancy.identify(&WITH_KEY("Bearer wp-of-a"), 1000).unwrap();
    assert_eq!((&*caller.tenant, caller.terms, caller.proof), ("a", 0, Proof::Key));
    assert_eq!((caller.team.as_deref(), caller.tier.as_deref()), (Some("team"), Some("gold")));
    let id = Handle::of("wp-of-a").to_string();
    assert_eq!((caller.user.as_deref(), caller.key.as_deref()), (Some("robot"), Some(&*id)));
    for value in ["bearer wp-of-b", "BEARER  wp-of-b "] {
        assert_eq!(&*tenancy.identify(&WITH_KEY(value), 0).unwrap().tenant, "b", "{value}");
    }
}

#[test]
fn each_way_in_which_a_key_does_not_hold_has_its_code() {
    let tenancy = Tenancy { anonymous: Some(1), ..tenancy(vec![Source::Certificate, Source::Key]) };
    for (value, now, wanted) in [
        ("Bearer wp-of-a", 999, "api_key_not_yet_valid"),
        ("Bearer wp-of-a", 2000, "api_key_expired"),
        ("Bearer wp-old-of-a", 1500, "api_key_revoked"),
        ("Bearer wp-of-nobody", 1500, "invalid_api_key"),
        ("Bearer wp-", 1500, "invalid_api_key"),
        ("Bearer wp-of-a and more", 1500, "invalid_api_key"),
    ] {
        // Whatever else is there.
        let certificate: (&str, &[u8]) = (CERTIFICATE, b"spiffe://x/exact");
        let request = Request { properties: vec![certificate], ..WITH_KEY(value) };
        let refused = tenancy.identify(&request, now);
        let message = refused.as_ref().unwrap_err().message.clone();
        assert_eq!(code(refused), (401, wanted.to_owned()), "{value} at {now}");
        assert!(!message.contains("of-a") && !message.contains("nobody"), "{message}");
    }
}

#[test]
fn what_is_no_key_of_ours_leaves_it_to_the_next_source() {
    let tenancy = tenancy(vec![Source::Key, Source::Certificate]);
    let certificate: (&str, &[u8]) = (CERTIFICATE, b"spiffe://x/exact");
    for value in ["Bearer sk-other", "Basic d3A6", "wp-of-a", "", "Bearer"] {
        let request = Request { properties: vec![certificate], ..WITH_KEY(value) };
        assert_eq!(tenancy.identify(&request, 0).unwrap().proof, Proof::Certificate, "{value}");
        let refused = tenancy.identify(&WITH_KEY(value), 0);
        assert_eq!(code(refused), (401, MISSING.to_owned()), "{value}");
    }
}

#[test]
fn two_authorization_headers_are_refused() {
    let mut request = WITH_KEY("Bearer sk-other");
    request.headers.push(("authorization", "Bearer wp-of-b"));
    let refused = tenancy(vec![Source::Key]).identify(&request, 0);
    assert_eq!(code(refused), (401, "invalid_api_key".to_owned()));
    // Where keys are nothing, nobody looks at them.
    let named = Tenancy { anonymous: Some(1), ..tenancy(vec![Source::Headers(named())]) };
    assert_eq!(named.identify(&request, 0).unwrap().proof, Proof::Anonymous);
}

#[test]
fn the_first_source_that_is_there_decides() {
    let request = Request {
        headers: vec![("authorization", "Bearer wp-of-a"), ("x-tenant", "b")],
        properties: vec![(CERTIFICATE, b"spiffe://x/exact")],
        ..Request::default()
    };
    let headers = || Source::Headers(named());
    for (identity, proof) in [
        (vec![Source::Key, Source::Certificate, headers()], Proof::Key),
        (vec![Source::Certificate, Source::Key], Proof::Certificate),
        (vec![headers(), Source::Certificate], Proof::Headers),
    ] {
        assert_eq!(tenancy(identity).identify(&request, 1500).unwrap().proof, proof);
    }
}

#[test]
fn of_certificates_the_exact_one_counts_and_then_the_longest_pattern() {
    let tenancy = tenancy(vec![Source::Certificate]);
    let of = |uri: &'static [u8]| {
        let request = Request { properties: vec![(CERTIFICATE, uri)], ..Request::default() };
        tenancy.identify(&request, 0)
    };
    for (uri, tenant) in [
        (&b"spiffe://x/exact"[..], "b"),
        (b"spiffe://x/exact2", "a"),
        (b"spiffe://x/ns/b/sa/s", "b"),
    ] {
        assert_eq!(&*of(uri).unwrap().tenant, tenant);
    }
    let others = Tenancy { others: Some(1), ..tenancy.clone() };
    let request = Request { properties: vec![(CERTIFICATE, b"a")], ..Request::default() };
    assert_eq!(code(others.identify(&request, 0)), (403, "unknown_tenant".to_owned()));
    assert_eq!(code(of(b"spiffe://y/exact")), (403, "unknown_tenant".to_owned()));
    assert_eq!(code(of(b"")), (401, MISSING.to_owned()));
}

#[test]
fn a_header_names_the_tenant_and_what_is_known_beside_it() {
    let tenancy = tenancy(vec![Source::Headers(named())]);
    let headers = vec![("x-tenant", "b"), ("x-tier", "silver"), ("x-user", "u"), ("x-team", "t")];
    let caller = tenancy.identify(&Request { headers, ..Request::default() }, 0).unwrap();
    assert_eq!((&*caller.tenant, caller.tier.as_deref()), ("b", Some("silver")));
    assert_eq!((caller.user.as_deref(), caller.team.as_deref()), (Some("u"), Some("t")));
    // The tier of the configuration stays.
    let headers = vec![("x-tenant", "a"), ("x-tier", "silver")];
    let caller = tenancy.identify(&Request { headers, ..Request::default() }, 0).unwrap();
    assert_eq!((caller.tier.as_deref(), caller.team.as_deref()), (Some("gold"), Some("team")));
}

#[test]
fn tenants_that_are_not_listed_ask_on_the_terms_of_others_and_of_their_tier() {
    let mut tenancy = tenancy(vec![Source::Headers(named())]);
    let ask = |tenancy: &Tenancy, tier: &'static str| {
        let headers = vec![("x-tenant", "new"), ("x-tier", tier)];
        tenancy.identify(&Request { headers, ..Request::default() }, 0)
    };
    assert_eq!(code(ask(&tenancy, "gold")), (403, "unknown_tenant".to_owned()));
    tenancy.others = Some(1);
    tenancy.tenants.push(Tenant { name: "b".into(), ..Tenant::default() });
    tenancy.others_of.push(("gold".into(), 2));
    for (tier, terms) in [("gold", 2), ("silver", 1)] {
        let caller = ask(&tenancy, tier).unwrap();
        assert_eq!((&*caller.tenant, caller.terms), ("new", terms));
        assert_eq!(caller.tier.as_deref(), Some(tier));
    }
    // Names of the terms of a tier are no tenants.
    assert_eq!(tenancy.find("b"), Some(1));
}

#[test]
fn a_name_that_cannot_be_told_is_refused() {
    let claims = Named {
        tenant: "metadata\0filter_metadata\0jwt\0tenant".into(),
        user: Some("metadata\0filter_metadata\0jwt\0sub".into()),
        team: None,
        tier: None,
        application: None,
    };
    let tenancy =
        Tenancy { anonymous: Some(1), others: Some(1), ..tenancy(vec![Source::Claims(claims)]) };
    let ask = |tenant: &'static [u8], user: &'static [u8]| {
        let properties = vec![
            ("metadata\0filter_metadata\0jwt\0tenant", tenant),
            ("metadata\0filter_metadata\0jwt\0sub", user),
        ];
        tenancy.identify(&Request { properties, ..Request::default() }, 0)
    };
    assert_eq!(ask(b"a", b"u").unwrap().user.as_deref(), Some("u"));
    let one: &[u8] = &1.0_f64.to_le_bytes();
    let invalid = (401, "invalid_identity".to_owned());
    for bad in [&b"a\nb"[..], b"\xff", b"\x01", b"", &[b'x'; MAX_NAME_BYTES + 1], one] {
        let bad: &'static [u8] = bad.to_vec().leak();
        assert_eq!(code(ask(bad, b"u")), invalid, "{bad:?}");
        assert_eq!(code(ask(b"a", bad)), invalid, "{bad:?}");
    }
    let twice =
        Request { headers: vec![("x-tenant", "a"), ("x-tenant", "b")], ..Request::default() };
    let headers = super::Tenancy { identity: vec![Source::Headers(named())], ..tenancy };
    assert_eq!(code(headers.identify(&twice, 0)), invalid);
}

#[test]
fn only_what_identity_names_is_asked_for() {
    let request = WITH_KEY("Bearer wp-of-b");
    tenancy(vec![Source::Key]).identify(&request, 0).unwrap();
    assert_eq!(*request.asked.borrow(), ["authorization"]);
    let request = Request::default();
    tenancy(vec![Source::Certificate]).identify(&request, 0).unwrap_err();
    assert_eq!(*request.asked.borrow(), [CERTIFICATE]);
}

#[test]
fn a_refusal_says_what_would_be_taken() {
    let message = |identity| {
        let refused = tenancy(identity).identify(&Request::default(), 0);
        refused.unwrap_err().message
    };
    assert!(message(vec![Source::Key]).ends_with("takes a key (Authorization: Bearer wp-…)."));
    let both = message(vec![Source::Key, Source::Certificate]);
    assert!(both.ends_with("wp-…), or a client's certificate."), "{both}");
}

#[test]
fn the_user_of_the_body_counts_where_the_credential_names_none() {
    let known =
        Rc::new(tenancy(vec![Source::Key]).identify(&WITH_KEY("Bearer wp-of-b"), 0).unwrap());
    assert_eq!(Caller::with_user(&known, Some("other")).user.as_deref(), Some("robot"));
    let nobody = Rc::new(Caller::anonymous(&"a".into(), 0));
    assert_eq!(Caller::with_user(&nobody, Some("u")).user.as_deref(), Some("u"));
    assert_eq!(Caller::with_user(&nobody, Some("")).user, None);
    let long = "é".repeat(MAX_NAME_BYTES);
    let user = |name: &str| Caller::with_user(&nobody, Some(name)).user.clone().unwrap();
    assert_eq!(user(&long), kept(&long));
    assert!(user(&long).len() <= MAX_NAME_BYTES);
    // Not two users with one budget, and not one user with the budget of another.
    assert_ne!(user(&long), user(&format!("{long}é")));
}

/// Whoever reads a record finds the account, and whoever is listed is found by the whole name.
#[test]
fn names_that_are_too_long_for_a_record_are_cut_where_they_come_in() {
    let quotes: &'static str = "\"".repeat(MAX_NAME_BYTES).leak();
    let tenancy = Tenancy {
        others: Some(1),
        others_of: Vec::new(),
        ..tenancy(vec![Source::Headers(named()), Source::Certificate])
    };
    let headers = vec![("x-tenant", quotes), ("x-user", quotes)];
    let caller = tenancy.identify(&Request { headers, ..Request::default() }, 0).unwrap();
    assert_eq!((caller.tenant.clone(), caller.user), (kept(quotes), Some(kept(quotes))));
    assert!(caller.tenant.len() < quotes.len());
    let properties = vec![(CERTIFICATE, quotes.as_bytes())];
    let caller = tenancy.identify(&Request { properties, ..Request::default() }, 0).unwrap();
    assert_eq!(caller.tenant, kept(quotes));
}
