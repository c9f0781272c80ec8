//! Newer prices while the gateway runs: polled or pushed, checked, shared with all workers.
//!
//! ```text
//!  url ── polled by one worker ──┐                    ┌─ each worker, on its tick: has the number moved?
//!                                ├─ read_document ─► shared data: the document, and its number ─┤
//!  POST ── at any worker ────────┘   or refused, and  └─ each worker reads it for its own configuration
//!                                    the last one stays
//! ```
//!
//! An attempt costs what held when it began. Shared data outlives a configuration and a module that is
//! loaded anew, so the prices do too; with Envoy they are gone, and until the first document comes the
//! configuration's hold.

use std::time::Duration;

use super::service::Service;
use crate::config::pricelist::read_document;
use crate::config::prices::Url;
use crate::config::{Gateway, Problem};
use crate::openai::{Class, Error};
use crate::store::{ABSENT, Millis, ROUNDS, Store};
use crate::telemetry::metrics::prices as metrics;
use crate::telemetry::status::Prices as Standing;

/// How long an address has to answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How soon a failed poll is tried again, unless it is due sooner.
pub const AGAIN: Duration = Duration::from_secs(30);

const DOCUMENT: &str = "prices/document";
const NUMBER: &str = "prices/number";
const POLL: &str = "prices/poll";

/// What the refresher needs of the world beside shared data.
pub trait Outside {
    /// Asks for a document; nothing when Envoy does not take the request.
    fn ask(&mut self, url: &Url) -> Option<u32>;

    /// A line for the log; `bad` for somebody to look at.
    fn log(&mut self, bad: bool, text: &str);
}

/// Keeps the prices of a configuration new in one worker.
#[derive(Debug, Default)]
pub struct Refresher {
    /// The number of the document that was read last.
    seen: u64,
    /// The poll under way.
    call: Option<u32>,
    /// Whether the last poll of this worker failed.
    failing: bool,
}

impl Refresher {
    /// On each tick: reads a document that came, and polls when it is time.
    pub fn tick(&mut self, service: &Service, outside: &mut dyn Outside) {
        self.refresh(service, outside);
        let Some(url) = &service.gateway.prices.url else { return };
        if self.call.is_none() && due(service.store(), url.every, service.world.now()) {
            self.call = outside.ask(url);
            if self.call.is_none() {
                self.failed(service, url, "Envoy does not take the request", outside);
            }
        }
    }

    /// Reads the document that all workers share, if it is another than the last one.
    pub fn refresh(&mut self, service: &Service, outside: &mut dyn Outside) {
        if !is_on(&service.gateway) {
            return;
        }
        let Some(standing) = standing(service.store()) else { return };
        if standing.number == self.seen {
            return;
        }
        self.seen = standing.number;
        let Some((bytes, _)) = service.store().read(DOCUMENT) else { return };
        let document = bytes.get(HEAD..).unwrap_or_default();
        match read_document(document, &service.gateway) {
            Ok(document) => service.gateway.set_prices(document),
            // It was fine for another configuration.
            Err(problems) => {
                outside.log(true, &refused("does not fit this configuration", &problems))
            }
        }
    }

    /// A call has come to its end. Whether it was the poll: `body` is what came with a status of 200.
    pub fn answered(
        &mut self,
        service: &Service,
        call: u32,
        body: Result<&dyn Fn() -> Vec<u8>, &str>,
        outside: &mut dyn Outside,
    ) -> bool {
        if self.call != Some(call) {
            return false;
        }
        self.call = None;
        let Some(url) = &service.gateway.prices.url else { return true };
        match body.map(|body| take(service, &body())) {
            Ok(Ok(taken)) => {
                self.failing = false;
                taken.iter().for_each(|line| outside.log(false, line));
            }
            Ok(Err(problems)) => {
                again(service, url);
                outside.log(true, &refused("polled and refused", &problems));
            }
            Err(why) => self.failed(service, url, why, outside),
        }
        true
    }

    fn failed(&mut self, service: &Service, url: &Url, why: &str, outside: &mut dyn Outside) {
        again(service, url);
        service.world.count(&metrics::outcome("failed"));
        if !std::mem::replace(&mut self.failing, true) {
            // What stands behind it may be a signature.
            let path = url.path.split('?').next().unwrap_or_default();
            let line =
                format!("waypost: prices: {}{path}: {why}; the last ones hold", url.authority);
            outside.log(true, &line);
        }
    }
}

/// Whether a configuration takes newer prices at all.
#[must_use]
pub const fn is_on(gateway: &Gateway) -> bool {
    gateway.prices.url.is_some() || gateway.prices.push.is_some()
}

/// Checks a document and shares it. Gives a line for the log, if it says something new.
///
/// # Errors
/// What is wrong with it. The last one stays.
pub fn take(service: &Service, document: &[u8]) -> Result<Option<String>, Vec<Problem>> {
    let world = &*service.world;
    let read = read_document(document, &service.gateway).inspect_err(|_| {
        world.count(&metrics::outcome("refused"));
    })?;
    let Some((number, new)) = share(service.store(), document, world.now()) else {
        let message = "other workers take prices at this moment; try again".to_owned();
        return Err(vec![Problem { path: String::new(), message }]);
    };
    if !new {
        world.count(&metrics::outcome("unchanged"));
        return Ok(None);
    }
    world.count(&metrics::outcome("taken"));
    let (taken, ignored) = (read.prices.len(), read.ignored);
    Ok(Some(format!(
        "waypost: prices: document {number} is taken: {taken} models, and {ignored} that are not configured"
    )))
}

/// Takes a document that was sent to the status listener.
///
/// # Errors
/// What is wrong with it.
pub fn pushed(service: &Service, document: &[u8]) -> Result<Vec<u8>, Error> {
    match take(service, document) {
        Ok(_) => {
            let number = standing(service.store()).map_or(0, |standing| standing.number);
            Ok(format!(r#"{{"number":{number}}}"#).into_bytes())
        }
        Err(problems) => {
            let lines: Vec<String> =
                problems.iter().take(MAX_TOLD).map(ToString::to_string).collect();
            Err(Error::new(Class::Client, lines.join("; ")).with_code("invalid_prices"))
        }
    }
}

/// Most problems that are told of one document.
const MAX_TOLD: usize = 10;

fn refused(what: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    format!("waypost: prices: a document {what}: {}; the last ones hold", lines.join("; "))
}

/// Which document holds, and since when; nothing before the first.
#[must_use]
pub fn standing(store: &dyn Store) -> Option<Standing> {
    let (value, _) = store.read(NUMBER)?;
    let (number, checked) = value.split_first_chunk::<8>()?;
    Some(Standing {
        number: u64::from_le_bytes(*number),
        checked: u64::from_le_bytes(checked.try_into().ok()?),
    })
}

/// Bytes before a document: its number.
const HEAD: usize = 8;

/// Shares a document with all workers. Its number, and whether it is another than the last one; nothing
/// when other workers were quicker all the time. The document is written first: whoever sees the number
/// move finds it, or a newer one.
fn share(store: &dyn Store, document: &[u8], now: Millis) -> Option<(u64, bool)> {
    for _ in 0..ROUNDS {
        let found = store.read(DOCUMENT);
        let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
        let known = found.as_ref().and_then(|(value, _)| value.split_first_chunk::<HEAD>());
        let last = known.map_or(0, |(number, _)| u64::from_le_bytes(*number));
        let new = known.is_none_or(|(_, known)| known != document);
        let number = last + u64::from(new);
        if new {
            let value = [&number.to_le_bytes()[..], document].concat();
            if !store.write(DOCUMENT, &value, Some(version)) {
                continue;
            }
        }
        store.write(NUMBER, &[number.to_le_bytes(), now.to_le_bytes()].concat(), None);
        return Some((number, new));
    }
    None
}

/// Whether it is time to poll: one worker of all is told so.
fn due(store: &dyn Store, every: Duration, now: Millis) -> bool {
    let every = every.as_millis() as u64;
    let found = store.read(POLL);
    let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
    let next = found.and_then(|(value, _)| Some(u64::from_le_bytes(value.try_into().ok()?)));
    // A time further away than any wait is of a clock that was set back, or of another configuration.
    if next.is_some_and(|next| now < next && next - now <= every) {
        return false;
    }
    store.write(POLL, &now.saturating_add(every).to_le_bytes(), Some(version))
}

/// The next poll comes soon, as the last one brought nothing.
fn again(service: &Service, url: &Url) {
    let wait = url.every.min(AGAIN).as_millis() as u64;
    let next = service.world.now().saturating_add(wait);
    service.store().write(POLL, &next.to_le_bytes(), None);
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::cell::Cell;
    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::filter::service::tests::{Simulated, Told};
    use crate::store::memory::Memory;

    #[derive(Default)]
    struct Log {
        asked: u32,
        deaf: bool,
        lines: Vec<String>,
    }

    impl Outside for Log {
        fn ask(&mut self, url: &Url) -> Option<u32> {
            assert_eq!((&*url.cluster, &*url.path), ("prices", "/p?sig=secret"));
            self.asked += 1;
            (!self.deaf).then_some(self.asked)
        }

        fn log(&mut self, bad: bool, text: &str) {
            self.lines.push(format!("{}{text}", if bad { "! " } else { "" }));
        }
    }

    struct Worker {
        service: Service,
        refresher: Refresher,
        log: Log,
        told: Told,
    }

    /// Workers that share memory and a clock.
    struct World {
        memory: Rc<Memory>,
        now: Rc<Cell<Millis>>,
    }

    impl World {
        fn new() -> Self {
            Self { memory: Rc::default(), now: Rc::new(Cell::new(1_000_000)) }
        }

        fn worker(&self) -> Worker {
            let config = Config::read(&json!({
                "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
                "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}}},
                "prices": {"url": {"cluster": "prices", "authority": "p.example", "path": "/p?sig=secret", "every": "1m"}},
            }));
            let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
            let told = Told::default();
            let simulated = Simulated {
                memory: Rc::clone(&self.memory),
                now: Rc::clone(&self.now),
                metrics: Rc::clone(&told),
                ..Simulated::default()
            };
            let service = Service::new(Rc::from(gateway), Box::new(simulated));
            Worker { service, refresher: Refresher::default(), log: Log::default(), told }
        }

        fn later(&self, millis: Millis) {
            self.now.set(self.now.get() + millis);
        }
    }

    impl Worker {
        fn tick(&mut self) {
            self.refresher.tick(&self.service, &mut self.log);
        }

        fn answered(&mut self, body: Result<&str, &str>) -> bool {
            let call = self.log.asked;
            match body {
                Ok(text) => {
                    let body = || text.as_bytes().to_vec();
                    self.refresher.answered(&self.service, call, Ok(&body), &mut self.log)
                }
                Err(why) => self.refresher.answered(&self.service, call, Err(why), &mut self.log),
            }
        }

        fn input(&self) -> f64 {
            self.service.gateway.providers[0].models[0].price().unwrap().base.input.usd_per_mtok()
        }

        fn counted(&self) -> Vec<String> {
            self.told.borrow().iter().map(|(name, _)| name.clone()).collect()
        }
    }

    fn document(usd: u32) -> String {
        format!(
            r#"{{"version":1,"prices":{{"openai/gpt-4o":{{"input_usd_per_mtok":{usd},"output_usd_per_mtok":9}},"x/y":{{"input_usd_per_mtok":1}}}}}}"#
        )
    }

    #[test]
    fn one_worker_polls_and_all_have_the_prices() {
        let world = World::new();
        let (mut one, mut two) = (world.worker(), world.worker());
        one.tick();
        two.tick();
        assert_eq!((one.log.asked, two.log.asked), (1, 0));
        assert!(one.answered(Ok(&document(7))));
        assert_eq!((one.input(), two.input()), (2.5, 2.5));
        one.tick();
        two.tick();
        assert_eq!((one.input(), two.input()), (7.0, 7.0));
        assert_eq!(
            one.log.lines,
            ["waypost: prices: document 1 is taken: 1 models, and 1 that are not configured"]
        );
        assert_eq!(one.counted(), ["waypost_prices;outcome=taken"]);
        let standing = standing(two.service.store()).unwrap();
        assert_eq!((standing.number, standing.checked), (1, 1_000_000));
        // One that comes later has them at once, before it has polled.
        let mut late = world.worker();
        late.refresher.refresh(&late.service, &mut late.log);
        assert_eq!((late.input(), late.log.asked), (7.0, 0));
    }

    #[test]
    fn it_is_polled_again_in_time_and_the_same_document_is_no_news() {
        let world = World::new();
        let mut worker = world.worker();
        worker.tick();
        worker.answered(Ok(&document(7)));
        world.later(59_999);
        worker.tick();
        assert_eq!(worker.log.asked, 1);
        world.later(1);
        worker.tick();
        assert_eq!(worker.log.asked, 2);
        // It does not poll while it waits for an answer.
        world.later(60_000);
        worker.tick();
        assert_eq!(worker.log.asked, 2);
        worker.answered(Ok(&document(7)));
        assert_eq!((worker.log.lines.len(), worker.counted().len()), (1, 2));
        let standing = standing(worker.service.store()).unwrap();
        assert_eq!((standing.number, standing.checked), (1, 1_120_000));
    }

    #[test]
    fn a_clock_that_was_set_back_stops_no_poll() {
        let world = World::new();
        let mut worker = world.worker();
        worker.tick();
        worker.answered(Ok(&document(7)));
        world.now.set(5);
        worker.tick();
        assert_eq!(worker.log.asked, 2);
    }

    #[test]
    fn what_is_refused_or_does_not_come_leaves_the_last_prices_and_is_tried_again_soon() {
        let world = World::new();
        let mut worker = world.worker();
        worker.tick();
        worker.answered(Ok(&document(7)));
        worker.tick();
        world.later(60_000);
        worker.tick();
        worker
            .answered(Ok(r#"{"version":1,"prices":{"openai/gpt-4o":{"input_usd_per_mtok":-1}}}"#));
        worker.tick();
        assert_eq!(worker.input(), 7.0);
        assert_eq!(
            worker.log.lines[1],
            "! waypost: prices: a document polled and refused: prices[\"openai/gpt-4o\"].input_usd_per_mtok: must be a number from 0 to 100000, but is -1; the last ones hold"
        );
        for asked in [3, 4] {
            world.later(29_999);
            worker.tick();
            assert_eq!(worker.log.asked, asked - 1);
            world.later(1);
            worker.tick();
            assert_eq!(worker.log.asked, asked);
            worker.answered(Err("status 503"));
        }
        worker.log.deaf = true;
        world.later(30_000);
        worker.tick();
        // A failure is told once, until something came.
        assert_eq!(
            worker.log.lines[2..],
            ["! waypost: prices: p.example/p: status 503; the last ones hold"]
        );
        let counts = worker.counted();
        assert_eq!(counts.iter().filter(|name| name.ends_with("=failed")).count(), 3);
        assert_eq!(counts[1], "waypost_prices;outcome=refused");
        assert_eq!(worker.input(), 7.0);
    }

    #[test]
    fn the_answer_to_another_call_is_left_to_others() {
        let world = World::new();
        let mut worker = world.worker();
        assert!(!worker.answered(Ok(&document(7))));
        worker.tick();
        worker.log.asked = 9;
        assert!(!worker.answered(Ok(&document(7))));
        assert!(standing(worker.service.store()).is_none());
    }

    #[test]
    fn what_is_pushed_is_taken_or_told_what_is_wrong() {
        let world = World::new();
        let mut worker = world.worker();
        let said = pushed(&worker.service, document(3).as_bytes()).unwrap();
        assert_eq!(said, br#"{"number":1}"#);
        worker.tick();
        assert_eq!(worker.input(), 3.0);
        let error = pushed(&worker.service, b"{}").unwrap_err();
        assert_eq!((error.status, error.code.as_deref()), (400, Some("invalid_prices")));
        assert_eq!(error.message, "needs the field \"version\"; needs the field \"prices\"");
        assert_eq!(pushed(&worker.service, document(4).as_bytes()).unwrap(), br#"{"number":2}"#);
        worker.tick();
        assert_eq!(worker.input(), 4.0);
    }
}
