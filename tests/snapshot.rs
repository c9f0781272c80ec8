//! A snapshot of budgets that is made of a log is the one that the ledger would give which charged
//! the requests.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "what is unwrapped is made here")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use proptest::prelude::*;
use waypost::cli::usage::snapshot::{HOURS, LeftOut, MAX_USERS, gateway, of_logs};
use waypost::cli::usage::{Source, utc};
use waypost::config::Gateway;
use waypost::filter::accounts::Accounts;
use waypost::filter::record::writer::Writer;
use waypost::providers::catalogue::NanoUsd;
use waypost::store::memory::Memory;
use waypost::tenancy::snapshot::{Entry, read};
use waypost::tenancy::{Caller, Charge, Kind, LEASE, Ledger, Zone};

/// 2026-11-21 12:00 UTC, a Saturday; in Berlin it is 13:00.
const NOW: u64 = 1_795_262_400_000;
const HOUR: u64 = 3_600_000;

fn configured() -> Gateway {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/usage/envoy.yaml");
    gateway("envoy.yaml", &std::fs::read_to_string(path).unwrap(), None).unwrap()
}

fn source(log: &str) -> Vec<Source<'static>> {
    let bytes = io::Cursor::new(log.as_bytes().to_vec());
    vec![Source { name: "log".to_owned(), open: Box::new(move || Ok(Box::new(bytes))) }]
}

fn taken(log: &str) -> (Vec<Entry>, Option<LeftOut>) {
    let taken = of_logs(source(log), &configured(), NOW, false).unwrap();
    assert_eq!(taken.lines.wrong(), 0, "{}", taken.lines.told(&["log".to_owned()]));
    (read(&taken.json).unwrap(), taken.left_out)
}

/// A request as it was: the record says it, and the ledger was told.
#[derive(Clone, Debug)]
struct Asked {
    /// Milliseconds before now at which it ended.
    ago: u64,
    latency: u64,
    tenant: &'static str,
    user: Option<&'static str>,
    model: &'static str,
    /// Provider and nano-dollars; none for what has no price.
    attempts: Vec<(&'static str, Option<u64>)>,
}

impl Asked {
    /// The team and the tier that a tenant is known to be of.
    fn of(&self) -> (Option<&'static str>, Option<&'static str>) {
        match self.tenant {
            "search" => (Some("discovery"), Some("gold")),
            "stranger" | "other-stranger" => (None, Some("bronze")),
            _ => (None, None),
        }
    }

    fn line(&self) -> String {
        let began = NOW - self.ago - self.latency;
        let time = utc(began / 1_000).replace('Z', &format!(".{:03}Z", began % 1_000));
        let quoted =
            |text: Option<&str>| text.map_or_else(|| "null".to_owned(), |text| format!("{text:?}"));
        let usd = |nanos: Option<u64>| {
            nanos.map_or_else(|| "null".to_owned(), |n| NanoUsd(n).to_string())
        };
        let all: Option<Vec<u64>> = self.attempts.iter().map(|(_, nanos)| *nanos).collect();
        let attempts: Vec<String> = self
            .attempts
            .iter()
            .map(|(provider, nanos)| {
                format!(
                    r#"{{"provider":"{provider}","outcome":"answered","input_tokens":1,"cost_usd":{}}}"#,
                    usd(*nanos)
                )
            })
            .collect();
        let (team, tier) = self.of();
        format!(
            r#"{{"v":2,"time":"{time}","tenant":"{}","team":{},"tier":{},"user":{},"requested_model":"{}","latency_ms":{},"input_tokens":{},"cost_usd":{},"attempts":[{}]}}"#,
            self.tenant,
            quoted(team),
            quoted(tier),
            quoted(self.user),
            self.model,
            self.latency,
            attempts.len(),
            usd(all.map(|all| all.iter().sum())),
            attempts.join(",")
        )
    }
}

/// What the ledger says after it charged these requests, if what is usual is shown by the last week.
fn charged(asked: &[Asked]) -> Vec<Entry> {
    let hour = NOW / HOUR;
    let shows = |asked: &Asked| hour - (NOW - asked.ago) / HOUR <= HOURS;
    let recent: Vec<Asked> = asked.iter().filter(|asked| shows(asked)).cloned().collect();
    let recent = of_ledger(&recent);
    let mut all = of_ledger(asked);
    for entry in &mut all {
        let same = |known: &&Entry| (known.kind, &known.name) == (entry.kind, &entry.name);
        entry.usual = recent.iter().find(same).map_or_else(Default::default, |known| known.usual);
    }
    all.retain(|entry| entry.month.1.0 > 0 || entry.usual.hours > 0);
    all
}

fn of_ledger(asked: &[Asked]) -> Vec<Entry> {
    let gateway = configured();
    let accounts = Accounts::new(&gateway);
    let ledger = Ledger::new(Zone::parse("Europe/Berlin").unwrap(), LEASE, None);
    let store = Memory::new();
    let mut subjects = BTreeMap::new();
    let mut in_order = asked.to_vec();
    in_order.sort_by_key(|asked| std::cmp::Reverse(asked.ago));
    for asked in &in_order {
        let now = NOW - asked.ago;
        let charge = |nanos: u64| Charge { requests: 1, tokens: 1, cost: NanoUsd(nanos) };
        for (provider, nanos) in &asked.attempts {
            let at = gateway.providers.iter().position(|known| known.name == *provider).unwrap();
            if let Some(cap) = accounts.cap(at) {
                ledger.spend(cap, charge(nanos.unwrap_or(0)), &store, now);
                subjects.insert((cap.kind, Rc::clone(&cap.name)), Rc::clone(cap));
            }
        }
        let (team, tier) = asked.of();
        let tenancy = &gateway.tenancy;
        let terms = tenancy.find(asked.tenant).or(tenancy.others).unwrap();
        let caller = Caller {
            team: team.map(Into::into),
            tier: tier.map(Into::into),
            user: asked.user.map(Into::into),
            ..Caller::anonymous(&asked.tenant.into(), terms)
        };
        let all = asked.attempts.iter().filter_map(|(_, nanos)| *nanos).sum();
        for subject in accounts.of(&caller, asked.model) {
            ledger.spend(&subject, charge(all), &store, now);
            subjects.insert((subject.kind, Rc::clone(&subject.name)), subject);
        }
    }
    let subjects: Vec<_> = subjects.into_values().collect();
    ledger.snapshot(&subjects, &store, NOW)
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    entries
}

fn asked() -> impl Strategy<Value = Asked> {
    let ago = prop_oneof![
        0..14 * HOUR,
        // Around the midnight that began the day in Berlin, and the one that began it in UTC.
        13 * HOUR - 3_000..13 * HOUR + 3_000,
        12 * HOUR - 3_000..12 * HOUR + 3_000,
        0..40 * 24 * HOUR,
    ];
    let attempt =
        (prop::sample::select(vec!["openai", "claude"]), prop::option::of(0..5_000_000_000_u64));
    (
        ago,
        0..5_000_u64,
        prop::sample::select(vec!["search", "free", "rest", "stranger", "other-stranger"]),
        prop::option::of(prop::sample::select(vec!["ann", "bob", "c\u{e9}\""])),
        prop::sample::select(vec![
            "gpt-4o",
            "gpt-4o-mini",
            "openai/gpt-4o-mini",
            "claude-sonnet-4-5",
        ]),
        prop::collection::vec(attempt, 0..4),
    )
        .prop_map(|(ago, latency, tenant, user, model, attempts)| Asked {
            ago,
            latency,
            tenant,
            user,
            model,
            attempts,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_gives_what_the_ledger_holds(all in prop::collection::vec(asked(), 0..40)) {
        let log: Vec<String> = all.iter().map(Asked::line).collect();
        let (entries, left_out) = taken(&log.join("\n"));
        prop_assert_eq!(left_out, None);
        prop_assert_eq!(sorted(entries), sorted(charged(&all)));
    }
}

/// Clients write any names in the body. Each has a budget of its own, and gets it back after a restart.
#[test]
fn whoever_has_a_long_name_finds_what_was_spent_again() {
    let gateway = configured();
    let (accounts, ledger) = (Accounts::new(&gateway), Ledger::new(Zone::UTC, LEASE, None));
    let (before, after) = (Memory::new(), Memory::new());
    let terms = gateway.tenancy.find("search").unwrap();
    let nobody = Rc::new(Caller::anonymous(&"search".into(), terms));
    let names = ["x", "\"", "\\", "\u{1}", "\u{85}", "\u{2028}", "é", "例", "😀"].map(|c| {
        [(1, ""), (60, ""), (128, ""), (256, ""), (256, "1"), (9_999, "1"), (9_999, "2")]
            .map(|(length, end)| [&c.repeat(length), end].concat())
    });
    let (mut log, mut users) = (String::new(), Vec::new());
    for (name, nanos) in names.iter().flatten().zip(1_000..) {
        let caller = Caller::with_user(&nobody, Some(name));
        let subjects = accounts.of(&caller, "claude-sonnet-4-5");
        let user = subjects.into_iter().find(|subject| subject.kind == Kind::User).unwrap();
        let charge = Charge { requests: 1, tokens: 1, cost: NanoUsd(nanos) };
        ledger.spend(&user, charge, &before, NOW - HOUR);
        let mut record = Writer::begin();
        record.number("v", 2);
        record.text("time", &utc((NOW - HOUR) / 1_000));
        record.text("tenant", &caller.tenant);
        record.maybe("user", caller.user.as_deref());
        record.money("cost_usd", Some(NanoUsd(nanos)));
        log.push_str(&record.end());
        log.push('\n');
        users.push((user, nanos));
    }
    let mut find = |kind, name: &str| accounts.find(&gateway.tenancy, kind, name);
    ledger.restore(&taken(&log).0, &mut find, &after, NOW);
    for (user, nanos) in users {
        for store in [&before, &after] {
            let spent = ledger.account(&user, store, NOW).month.money;
            assert_eq!(spent, nanos, "{:?}", user.name);
        }
    }
}

#[test]
fn users_who_spent_least_are_left_out_beyond_the_limit() {
    let mut log = String::new();
    for user in 0..MAX_USERS + 3 {
        let nanos = NanoUsd(1 + u64::try_from(user).unwrap());
        log.push_str(&format!(
            "{{\"v\":2,\"time\":\"2026-11-21T08:00:00.000Z\",\"tenant\":\"search\",\"user\":\"{user}\",\"requested_model\":\"x\",\"cost_usd\":{nanos}}}\n"
        ));
    }
    let (entries, left_out) = taken(&log);
    assert_eq!(left_out, Some(LeftOut::Known(3)));
    let users: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == Kind::User).collect();
    assert_eq!(users.len(), MAX_USERS);
    assert!(users.iter().all(|entry| entry.day.1.0 > 3));
    let tenant = entries.iter().find(|entry| entry.kind == Kind::Tenant).unwrap();
    let count = u64::try_from(MAX_USERS + 3).unwrap();
    assert_eq!(tenant.day.1, NanoUsd(count * (count + 1) / 2));
}

#[test]
fn more_different_callers_than_can_be_told_apart_are_an_error() {
    let mut log = String::new();
    for tenant in 0..=waypost::cli::usage::MAX_GROUPS {
        log.push_str(&format!(
            "{{\"v\":2,\"time\":\"2026-11-21T08:00:00Z\",\"tenant\":\"{tenant}\",\"cost_usd\":1}}\n"
        ));
    }
    let told = of_logs(source(&log), &configured(), NOW, false).unwrap_err().0;
    assert!(told.contains("no snapshot can be taken"), "{told}");
}

#[test]
fn callers_in_more_hours_than_can_be_told_apart_have_no_usual_hour() {
    let line = |tenant: usize, hour: usize| {
        format!(
            "{{\"v\":2,\"time\":\"2026-11-{:02}T{:02}:30:00Z\",\"tenant\":\"{tenant}\",\"cost_usd\":1}}\n",
            17 + hour / 24,
            hour % 24
        )
    };
    let search = line(0, 0).replace("\"0\"", "\"search\"");
    let usual = |log: &str| {
        let taken = of_logs(source(log), &configured(), NOW, false).unwrap();
        let entries = read(&taken.json).unwrap();
        let row = entries.iter().find(|entry| &*entry.name == "search").unwrap();
        (taken.blind, taken.told().contains("usual"), row.usual.hours, row.month.1.0)
    };
    assert_eq!(usual(&search), (false, false, 1, 1_000_000_000));
    let most = waypost::cli::usage::MAX_GROUPS;
    let all = (0..=most / 50).flat_map(|tenant| (0..50).map(move |hour| line(tenant, hour)));
    let log: String = std::iter::once(search).chain(all).collect();
    assert_eq!(usual(&log), (true, true, 0, 1_000_000_000));
}

#[test]
fn the_program_prints_it() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("snapshot.log");
    let now = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    let now = String::from_utf8(now.unwrap().stdout).unwrap();
    let now = now.trim_end();
    let line = format!(
        r#"{{"v":2,"time":"{now}","tenant":"search","team":"discovery","requested_model":"o3","cost_usd":1.25}}"#
    );
    std::fs::write(&path, line).unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_waypost"))
            .arg("usage")
            .args(arguments)
            .arg(&path)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/usage"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = run(&["--snapshot", "--config", "envoy.yaml"]);
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
    let entries = read(&output.stdout).unwrap();
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.kind, &*entry.name, entry.month.1.0)).collect();
    let spent = 1_250_000_000;
    assert_eq!(told, [(Kind::Tenant, "search", spent), (Kind::Team, "discovery", spent)]);
    for wrong in [
        &["--snapshot"][..],
        &["--snapshot", "--config", "no-such-file"],
        &["--snapshot", "--config", "envoy.yaml", "--by", "day"],
        &["--snapshot", "--config", "envoy.yaml", "--gateway", "other"],
        &["--gateway", "gateway"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
    // The zone of the configuration is that of the days.
    let output = run(&["--config", "envoy.yaml", "--chart"]);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("in USD, the configuration's time zone.")
    );
}
