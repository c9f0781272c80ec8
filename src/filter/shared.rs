//! Exchanges of this worker, found by their id: how the two roles meet. And what all workers share.
//!
//! All roles run in one VM per worker, so a `thread_local` is theirs together.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::exchange::Exchange;
use super::host;
use super::world::World;
use crate::store::{Millis, Store};
use crate::telemetry::metrics::{Kind, Sink};

/// An exchange as the roles hold it.
pub type Handle = Rc<RefCell<Exchange>>;

/// An open exchange.
struct Open {
    exchange: Handle,
    /// The gateway role's context, by which its stream can be ended.
    context: u32,
    /// What it counts for in `HELD`.
    bytes: u64,
}

/// Envoy's shared data, clock, and metrics.
pub struct Envoy;

impl Store for Envoy {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        host::shared(key).filter(|(value, _)| !value.is_empty())
    }

    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        /// The host's number for any version.
        const ANY: u32 = 0;
        host::share(key, value, version.unwrap_or(ANY))
    }

    fn connection(&self) -> Option<u64> {
        let id = host::property("connection\0id")?;
        id.first_chunk().map(|id| u64::from_le_bytes(*id))
    }
}

impl Sink for Envoy {
    /// Asked for once, as each answer of the host is another one and is kept by it for ever. Names
    /// come of configurations, so a VM that lives through many knows those of all.
    fn define(&self, kind: Kind, name: &str) -> Option<u32> {
        METRICS.with_borrow_mut(|known| {
            if let Some(id) = known.get(name) {
                return Some(*id);
            }
            let id = host::define_metric(kind, name)?;
            known.insert(name.to_owned(), id);
            Some(id)
        })
    }

    fn increase(&self, id: u32, by: u64) {
        host::count(id, by);
    }

    fn record(&self, id: u32, value: u64) {
        host::record(id, value);
    }
}

impl World for Envoy {
    fn now(&self) -> Millis {
        host::unix_millis()
    }

    fn random(&self) -> u64 {
        host::random()
    }

    fn add(&self, metric: &str, by: u64) {
        if let Some(id) = self.define(Kind::Counter, metric) {
            host::count(id, by);
        }
    }

    fn observe(&self, metric: &str, value: u64) {
        if let Some(id) = self.define(Kind::Histogram, metric) {
            host::record(id, value);
        }
    }

    fn gauge(&self, metric: &str, value: u64) {
        if let Some(id) = self.define(Kind::Gauge, metric) {
            host::record(id, value);
        }
    }
}

thread_local! {
    static METRICS: RefCell<HashMap<String, u32>> = RefCell::new(HashMap::new());
    static OPEN: RefCell<HashMap<u64, Open>> = RefCell::new(HashMap::new());
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
    static HELD: Cell<u64> = const { Cell::new(0) };
    static ANSWERS: Cell<usize> = const { Cell::new(0) };
}

/// Keeps an exchange and gives it an id.
pub fn open(exchange: Exchange, context: u32, bytes: u64) -> u64 {
    let id = NEXT_ID.get();
    NEXT_ID.set(id + 1);
    let exchange = Rc::new(RefCell::new(exchange));
    OPEN.with_borrow_mut(|open| open.insert(id, Open { exchange, context, bytes }));
    id
}

/// The exchange of that id.
pub fn find(id: u64) -> Option<Handle> {
    OPEN.with_borrow(|open| open.get(&id).map(|open| Rc::clone(&open.exchange)))
}

/// Lets go of an exchange.
pub fn close(id: u64) -> Option<Handle> {
    let closed = OPEN.with_borrow_mut(|open| open.remove(&id))?;
    release(closed.bytes);
    Some(closed.exchange)
}

/// All open exchanges with the context of their gateway role.
pub fn all() -> Vec<(Handle, u32)> {
    OPEN.with_borrow(|open| {
        open.values().map(|open| (Rc::clone(&open.exchange), open.context)).collect()
    })
}

/// Counts `bytes` as held if that stays within `limit`.
pub fn hold(bytes: u64, limit: u64) -> bool {
    let held = HELD.get().saturating_add(bytes);
    let fits = held <= limit;
    if fits {
        HELD.set(held);
    }
    fits
}

/// What is held.
pub fn held() -> u64 {
    HELD.get()
}

/// Counts `bytes` as no longer held.
pub fn release(bytes: u64) {
    HELD.set(HELD.get().saturating_sub(bytes));
}

/// What an answer that is being read takes of the worker's memory; given back when dropped.
#[derive(Default)]
pub struct Share(usize);

impl Share {
    /// Takes `bytes` more. False, and nothing is taken, when all shares would exceed `limit`.
    pub fn grow(&mut self, bytes: usize, limit: usize) -> bool {
        let all = ANSWERS.get().saturating_add(bytes);
        let fits = all <= limit;
        if fits {
            ANSWERS.set(all);
            self.0 += bytes;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        ANSWERS.set(ANSWERS.get().saturating_sub(self.0));
    }
}
