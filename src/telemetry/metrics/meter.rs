//! Series and their ids: each is named once, and there is a bounded number of them.

use super::series::{Kind, MAX_LABELS, Metric, SERIES, SERIES_FOLDED, TENANT_INFO};
use super::words::{NONE, OTHER, Word, Words};
use crate::config::{Gateway, Metrics};
use crate::store::bytes::{Reader, Writer};
use crate::store::{ABSENT, ROUNDS, Store};
use crate::tenancy::Tenant;

/// Where numbers go.
pub trait Sink: Store {
    /// The id of a series; the same for the same name. Nothing when the host has none.
    fn define(&self, kind: Kind, name: &str) -> Option<u32>;

    /// Adds to a counter.
    fn increase(&self, id: u32, by: u64);

    /// Sets a gauge, or adds a value to a histogram.
    fn record(&self, id: u32, value: u64);
}

/// A metric, by where it stands, and the words of its labels.
type Key = (usize, [Word; MAX_LABELS]);

/// How many times as many ids as series are kept, before all are looked up anew: several may have been
/// folded into one.
const IDS_A_SERIES: usize = 4;

/// Names series, remembers their ids, and folds those that would be too many.
///
/// Envoy never forgets a name. So the number of series with a word of the configuration in a label is
/// counted in what all workers share, for as long as Envoy lives and whatever configurations come.
#[derive(Debug)]
pub struct Meter {
    /// What may stand in labels.
    pub words: Words,
    settings: Metrics,
    /// In the order of their keys.
    ids: Vec<(Key, Option<u32>)>,
}

impl Meter {
    /// Nothing is named yet.
    #[must_use]
    pub fn new(gateway: &Gateway, by_model: &str) -> Self {
        let words = Words::new(gateway, by_model);
        Self { words, settings: gateway.metrics, ids: Vec::new() }
    }

    /// Adds to a counter, or a value to a histogram. A counter takes no zero.
    pub fn note(
        &mut self,
        metric: &'static Metric,
        labels: &[Word],
        value: u64,
        gateway: &Gateway,
        sink: &dyn Sink,
    ) {
        if metric.kind == Kind::Counter && value == 0 {
            return;
        }
        let mut words = [NONE; MAX_LABELS];
        for (place, word) in words.iter_mut().zip(labels) {
            *place = *word;
        }
        if !self.settings.tenant && metric.labels.first() == Some(&"tenant") {
            words[0] = NONE;
        }
        let key = (std::ptr::from_ref(metric).addr(), words);
        let known = self.ids.binary_search_by(|(known, _)| known.cmp(&key));
        let known = known.map(|at| self.ids.get(at).and_then(|(_, id)| *id));
        let id = known.unwrap_or_else(|mut at| {
            let id = self.define(metric, words, gateway, sink);
            if self.ids.len() >= self.settings.max_series as usize * IDS_A_SERIES {
                self.ids.clear();
                at = 0;
            }
            self.ids.insert(at, (key, id));
            id
        });
        tell(metric.kind, id, value, sink);
    }

    /// The id of a series that was not asked for before.
    fn define(
        &self,
        metric: &'static Metric,
        mut words: [Word; MAX_LABELS],
        gateway: &Gateway,
        sink: &dyn Sink,
    ) -> Option<u32> {
        let mut name = metric.named(&words.map(|word| self.words.text(word)));
        if words.iter().any(|word| self.words.is_open(*word)) && !self.claim(&name, sink) {
            for word in words.iter_mut().filter(|word| self.words.is_open(**word)) {
                *word = OTHER;
            }
            name = metric.named(&words.map(|word| self.words.text(word)));
            put(&SERIES_FOLDED, &[metric.name], 1, sink);
        }
        if metric.labels.first() == Some(&"tenant")
            && let Some(tenant) = self.words.listed(words[0])
            && let Some(tenant) = gateway.tenancy.tenants.get(tenant)
        {
            let values = info(tenant);
            if self.claim(&TENANT_INFO.named(&values), sink) {
                put(&TENANT_INFO, &values, 1, sink);
            }
        }
        sink.define(metric.kind, &name)
    }

    /// Adds to a counter or sets a gauge now and then, by the values of its labels. Where there are too
    /// many series, a counter's first label is `other`, and a gauge is left out.
    pub fn put(&self, metric: &Metric, values: &[&str], value: u64, sink: &dyn Sink) {
        let named = metric.labels.first() == Some(&"tenant") && !self.settings.tenant;
        let mut values = values.to_vec();
        if let Some(first) = values.first_mut().filter(|_| named) {
            *first = "";
        }
        if !self.claim(&metric.named(&values), sink) {
            put(&SERIES_FOLDED, &[metric.name], 1, sink);
            let Some(first) = values.first_mut().filter(|_| metric.kind == Kind::Counter) else {
                return;
            };
            *first = "other";
        }
        put(metric, &values, value, sink);
    }

    /// The series that tell of which team and tier the tenants of a configuration are.
    #[must_use]
    pub fn tenants(gateway: &Gateway) -> Vec<String> {
        gateway.tenancy.tenants.iter().map(|tenant| TENANT_INFO.named(&info(tenant))).collect()
    }

    /// Sets a gauge to nothing that no configuration shows any more: Envoy would keep its last value.
    pub fn retire(name: &str, sink: &dyn Sink) {
        // Else it was never shown, and is not to become a series by this.
        if sink.read(&claimed(name)).is_some() {
            tell(Kind::Gauge, sink.define(Kind::Gauge, name), 0, sink);
        }
    }

    /// Whether there may be a series of that name. Workers that ask at the same time may make a few
    /// more than there may be: each at most one.
    fn claim(&self, name: &str, sink: &dyn Sink) -> bool {
        const COUNT: &str = "series";
        let key = claimed(name);
        if sink.read(&key).is_some() {
            return true;
        }
        for _ in 0..ROUNDS {
            let count = sink.read(COUNT);
            let (count, version) = count.map_or((0, ABSENT), |(count, version)| {
                (Reader(&count).u32().unwrap_or(0), version)
            });
            if count >= self.settings.max_series {
                return false;
            }
            let mut next = Writer::default();
            next.u32(count.saturating_add(1));
            // Who comes second finds the key, and does not count it again.
            if sink.read(&key).is_some() {
                return true;
            }
            if sink.write(COUNT, &next.0, Some(version)) {
                sink.write(&key, b"1", None);
                put(&SERIES, &[], u64::from(count) + 1, sink);
                return true;
            }
        }
        false
    }
}

/// The key that says that there is a series of that name.
fn claimed(name: &str) -> String {
    ["series/", name].concat()
}

/// The labels of [`TENANT_INFO`].
fn info(tenant: &Tenant) -> [&str; 3] {
    let values = [Some(&tenant.name), tenant.team.as_ref(), tenant.tier.as_ref()];
    values.map(|value| value.map_or("", |value| value))
}

/// Adds to a counter or sets a gauge now and then.
pub fn put(metric: &Metric, values: &[&str], value: u64, sink: &dyn Sink) {
    tell(metric.kind, sink.define(metric.kind, &metric.named(values)), value, sink);
}

fn tell(kind: Kind, id: Option<u32>, value: u64, sink: &dyn Sink) {
    match (id, kind) {
        (Some(id), Kind::Counter) => sink.increase(id, value),
        (Some(id), _) => sink.record(id, value),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use serde_json::json;

    use super::super::series::{ALL, OVERHEAD, REQUESTS, SPEND, TOKENS};
    use super::super::words::{ANSWERED, CHAT, INPUT, SUCCESS};
    use super::*;
    use crate::config::Config;
    use crate::store::memory::Memory;
    use crate::tenancy::{Caller, Proof};

    /// What a worker tells its Envoy.
    struct Worker {
        memory: Rc<Memory>,
        names: RefCell<Vec<String>>,
        told: RefCell<BTreeMap<String, u64>>,
        defined: Cell<usize>,
    }

    impl Worker {
        fn new(memory: &Rc<Memory>) -> Self {
            Self {
                memory: Rc::clone(memory),
                names: RefCell::default(),
                told: RefCell::default(),
                defined: Cell::new(0),
            }
        }

        fn told(&self, name: &str) -> Option<u64> {
            self.told.borrow().get(name).copied()
        }
    }

    impl Store for Worker {
        fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
            self.memory.read(key)
        }

        fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
            self.memory.write(key, value, version)
        }
    }

    impl Sink for Worker {
        fn define(&self, _: Kind, name: &str) -> Option<u32> {
            self.defined.set(self.defined.get() + 1);
            self.names.borrow_mut().push(name.to_owned());
            Some(self.names.borrow().len() as u32 - 1)
        }

        fn increase(&self, id: u32, by: u64) {
            let name = self.names.borrow()[id as usize].clone();
            *self.told.borrow_mut().entry(name).or_default() += by;
        }

        fn record(&self, id: u32, value: u64) {
            let name = self.names.borrow()[id as usize].clone();
            self.told.borrow_mut().insert(name, value);
        }
    }

    const BY_MODEL: &str = "model";

    fn gateway(tenants: usize, settings: Metrics) -> Gateway {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "azure", "endpoint": "https://x.openai.azure.com", "api_version": "v1",
                    "endpoints": [{"cluster": "a1"}, {"cluster": "a2"}], "models": {"gpt-4o": {}, "o3": {}}},
                "b": {"api": "openai", "endpoints": [{"cluster": "b"}], "models": {"gpt-4o": {}}},
            },
            "rules": [
                {"name": "quick", "when": {"model": ["fast", "slow*"]}, "targets": ["a/gpt-4o", "b/gpt-4o"]},
                {"name": "rest", "targets": ["b/gpt-4o"]},
            ],
        }));
        let Ok(Config::Gateway(mut gateway)) = config else { panic!("{config:?}") };
        gateway.tenancy.tenants = (0..tenants)
            .map(|at| Tenant {
                name: format!("t{at}").into(),
                team: Some("all".into()),
                ..Tenant::default()
            })
            .collect();
        gateway.metrics = settings;
        *gateway
    }

    fn caller(tenant: &str, terms: usize) -> Caller {
        Caller { proof: Proof::Key, ..Caller::anonymous(&tenant.into(), terms) }
    }

    #[test]
    fn labels_are_words_of_the_configuration_or_other() {
        let gateway = gateway(2, Metrics::default());
        let words = Words::new(&gateway, BY_MODEL);
        let text = |word| words.text(word);
        assert_eq!(text(words.tenant(&caller("t1", 1), &gateway)), "t1");
        assert_eq!(text(words.tenant(&caller("unlisted", 1), &gateway)), "other");
        assert_eq!(text(words.tenant(&caller("unlisted", 9), &gateway)), "other");
        assert_eq!(text(words.tenant(&caller("", 9), &gateway)), "");
        let own = Caller { proof: Proof::Own, ..caller("t1", 1) };
        assert_eq!(text(words.tenant(&own, &gateway)), "gateway");
        assert_eq!(text(words.rule(Some(1), &gateway)), "rest");
        assert_eq!(text(words.rule(None, &gateway)), "model");
        for (asked, word) in [
            ("gpt-4o", "gpt-4o"),
            ("a/gpt-4o", "gpt-4o"),
            ("x/o3", "o3"),
            ("fast", "fast"),
            ("slow*", "other"),
            ("slower", "other"),
            ("", "other"),
            ("/", "other"),
        ] {
            assert_eq!(text(words.asked(asked)), word, "{asked}");
        }
        let candidate = crate::routing::Candidate { provider: 0, model: 1, endpoint: 1 };
        let whom = words.whom(candidate, &candidate.resolve(&gateway).unwrap());
        let texts = [whom.convention, whom.provider, whom.model, whom.cluster].map(text);
        assert_eq!(texts, ["azure.ai.openai", "a", "o3", "a2"]);
    }

    #[test]
    fn a_series_is_named_once_and_a_label_without_a_value_is_left_out() {
        let gateway = gateway(1, Metrics::default());
        let mut meter = Meter::new(&gateway, BY_MODEL);
        let worker = Worker::new(&Rc::default());
        let tenant = meter.words.tenant(&caller("t0", 0), &gateway);
        for _ in 0..3 {
            meter.note(
                &REQUESTS,
                &[tenant, NONE, CHAT, ANSWERED, SUCCESS, NONE],
                2,
                &gateway,
                &worker,
            );
        }
        let name = "waypost_requests;tenant=t0;operation=chat;outcome=answered;status=2xx";
        assert_eq!(worker.told(name), Some(6));
        assert_eq!(worker.told("waypost_tenant_info;tenant=t0;team=all"), Some(1));
        let defined = worker.defined.get();
        meter.note(&REQUESTS, &[tenant, NONE, CHAT, ANSWERED, SUCCESS, NONE], 1, &gateway, &worker);
        assert_eq!(worker.defined.get(), defined);
        // The host refuses to add nothing, and a histogram takes a zero.
        meter.note(&SPEND, &[tenant], 0, &gateway, &worker);
        meter.note(&OVERHEAD, &[CHAT], 0, &gateway, &worker);
        assert_eq!(worker.told("waypost_spend_nano_usd;tenant=t0"), None);
        assert_eq!(worker.told("waypost_overhead_microseconds;operation=chat"), Some(0));
    }

    #[test]
    fn beyond_so_many_series_all_goes_to_other_in_every_worker() {
        const MOST: u32 = 100;
        let gateway = gateway(300, Metrics { max_series: MOST, ..Metrics::default() });
        let memory = Rc::default();
        let workers = [Worker::new(&memory), Worker::new(&memory)];
        let mut meters = [Meter::new(&gateway, BY_MODEL), Meter::new(&gateway, BY_MODEL)];
        for round in 1..=3_u64 {
            for (worker, meter) in workers.iter().zip(&mut meters) {
                for at in 0..300 {
                    let tenant = meter.words.tenant(&caller(&format!("t{at}"), at), &gateway);
                    meter.note(&TOKENS, &[tenant, NONE, NONE, INPUT], 1, &gateway, worker);
                }
                let told = worker.told.borrow();
                let tokens = told.iter().filter(|(name, _)| name.starts_with("waypost_tokens;"));
                assert_eq!(tokens.map(|(_, count)| count).sum::<u64>(), 300 * round);
                let open = told.keys().filter(|name| name.contains("tenant=t")).count();
                assert_eq!(open, MOST as usize);
            }
        }
        // 50 tenants have a series and say of which team they are.
        for worker in &workers {
            assert_eq!(worker.told("waypost_tokens;tenant=other;type=input"), Some(250 * 3));
            assert_eq!(worker.told("waypost_series_folded;metric=waypost_tokens"), Some(250));
        }
        assert_eq!(workers[0].told("waypost_series"), Some(u64::from(MOST)));
        // Another configuration does not begin anew: Envoy has forgotten nothing.
        let mut later = Meter::new(&gateway, BY_MODEL);
        later.note(&SPEND, &[later.words.rule(None, &gateway)], 7, &gateway, &workers[0]);
        assert_eq!(workers[0].told("waypost_spend_nano_usd;tenant=other"), Some(7));
        assert!(meters[0].ids.len() <= MOST as usize * IDS_A_SERIES);
    }

    #[test]
    fn ids_are_looked_up_anew_rather_than_kept_without_end() {
        let gateway = gateway(1000, Metrics { max_series: 100, ..Metrics::default() });
        let (mut meter, worker) = (Meter::new(&gateway, BY_MODEL), Worker::new(&Rc::default()));
        for at in 0..1000 {
            let tenant = meter.words.tenant(&caller(&format!("t{at}"), at), &gateway);
            meter.note(&SPEND, &[tenant], 1, &gateway, &worker);
            assert!(meter.ids.len() <= 100 * IDS_A_SERIES);
        }
        let sum: u64 = worker
            .told
            .borrow()
            .iter()
            .filter(|(name, _)| name.starts_with("waypost_spend"))
            .map(|(_, n)| n)
            .sum();
        assert_eq!(sum, 1000);
    }

    #[test]
    fn without_tenants_none_is_named() {
        let gateway = gateway(2, Metrics { tenant: false, ..Metrics::default() });
        let (mut meter, worker) = (Meter::new(&gateway, BY_MODEL), Worker::new(&Rc::default()));
        for (name, at) in [("t0", 0), ("t1", 1), ("unlisted", 0)] {
            let tenant = meter.words.tenant(&caller(name, at), &gateway);
            meter.note(&SPEND, &[tenant], 1, &gateway, &worker);
        }
        assert_eq!(worker.told("waypost_spend_nano_usd"), Some(3));
        assert_eq!(worker.names.borrow().iter().filter(|name| name.contains("tenant")).count(), 0);
    }

    #[test]
    fn every_metric_of_the_table_has_room_for_its_labels() {
        for metric in ALL {
            assert!(metric.labels.len() <= MAX_LABELS, "{}", metric.name);
            assert!(metric.name.starts_with("waypost_") || metric.name.starts_with("gen_ai_"));
        }
    }
}
