//! Accounts of the shared store, snapshots and time zones: whatever bytes they are, what is read is
//! written as it was, and accounts over them go on and come to rest.
#![no_main]

use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use waypost::providers::catalogue::NanoUsd;
use waypost::store::Store;
use waypost::store::memory::Memory;
use waypost::tenancy::account::{Account, BYTES};
use waypost::tenancy::settings::{Budget, Exhausted, Limits, Rates, Terms};
use waypost::tenancy::{Anomaly, Charge, Kind, LEASE, Ledger, Subject, Zone, period, snapshot};

const NOW: u64 = 1_795_262_400_000;

fn terms() -> Rc<Terms> {
    let rates = Rates { second: Some(5), minute: Some(7), day: Some(100_000_000_000) };
    let limits = Limits { requests: rates, tokens: rates, concurrent: Some(3) };
    let budget = Budget {
        day: Some(NanoUsd(1_000)),
        month: Some(NanoUsd(u64::MAX)),
        on_exhausted: Exhausted::Downgrade { stop_at: u16::MAX },
        ..Budget::default()
    };
    Rc::new(Terms { limits, budget: Some(budget) })
}

fn zone(text: &str) {
    let Some(zone) = Zone::parse(text) else { return };
    for now in [0, NOW, NOW * 2, 4_294_967_295_000] {
        let (day, month) = period::of(&zone, now);
        assert!(day.begins <= now && now < day.ends, "{text} {now} {day:?}");
        assert!(month.begins <= day.begins && day.ends <= month.ends, "{text} {now} {month:?}");
        assert_eq!(period::of(&zone, day.ends).0.begins, day.ends, "{text} {now}");
    }
}

fn restored(json: &[u8]) {
    let Ok(entries) = snapshot::read(json) else { return };
    assert_eq!(snapshot::read(&snapshot::write(&entries)).as_ref(), Ok(&entries));
    let (store, ledger) = (Memory::new(), Ledger::new(Zone::UTC, LEASE, None));
    let mut find = |kind, name: &str| Subject::new(kind, name, &terms());
    for _ in 0..2 {
        let told = ledger.restore(&entries, &mut find, &store, NOW);
        assert_eq!((told.unknown, told.failed), (0, 0));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 6 {
        4 => return restored(bytes),
        5 => return std::str::from_utf8(bytes).map_or((), zone),
        _ => {}
    }
    if let Some((account, name)) = Account::decode(bytes) {
        assert_eq!(account.encode(name), bytes);
        assert_eq!(bytes.len(), BYTES + name.len());
    }
    let store = Memory::new();
    let subjects = [
        Subject::new(Kind::Tenant, "a", &terms()).unwrap(),
        Subject::within(Kind::User, "a", "u", &terms()).unwrap(),
    ];
    let anomaly = Anomaly { percent: 300, at_least: NanoUsd(1) };
    let ledger = Ledger::new(Zone::UTC, LEASE, Some(anomaly));
    // The user's slot is found by writing it once.
    let charge = Charge { requests: 1, tokens: 2, cost: NanoUsd(3) };
    ledger.spend(&subjects[1], charge, &store, NOW);
    store.write("account/tenant/a", bytes, None);
    for set in 0..u16::from(kind / 6 % 2) * 0x1000 {
        let key = format!("account/user/{set:03x}0");
        if store.read(&key).is_some() {
            store.write(&key, bytes, None);
        }
    }
    let mut held = Vec::new();
    for now in [NOW, NOW + 1, NOW - 86_400_000, NOW + 3_600_000, 0, NOW] {
        held.extend(ledger.reserve(&subjects, charge, &store, now).ok());
        held.extend(ledger.reserve_downgraded(&subjects, charge, &store, now).ok());
        held.iter_mut().for_each(|hold| ledger.renew(hold, &store, now));
        if held.len() > 2 {
            ledger.settle(held.remove(0), charge, &store, now);
        }
    }
    for hold in held {
        ledger.settle(hold, charge, &store, NOW);
    }
    let later = NOW + LEASE * 3 / 2;
    for subject in &subjects {
        let account = ledger.account(subject, &store, later);
        assert_eq!((account.in_flight(), account.reserved()), (0, 0));
    }
    let _ = ledger.snapshot(&subjects[..1], &Memory::new(), NOW);
});
