//! How alerts leave the worker.

use std::time::Duration;

use super::alerts::{Fate, MAX_WHY_BYTES, Post, TIMEOUT, outbox, why};
use super::host::{self, Buffer, Level, Map};
use super::service::Service;
use crate::config::alerts::Webhook;
use crate::providers::Headers;
use crate::telemetry::metrics::accounts::WEBHOOK;
use crate::telemetry::metrics::meter;

struct Envoy<'a>(&'a Service);

impl Post for Envoy<'_> {
    fn log(&mut self, text: &str) {
        host::log(Level::Warn, text);
    }

    fn send(&mut self, to: &Webhook, body: &[u8]) -> Option<u32> {
        let headers = [
            (":method", "POST"),
            (":path", &*to.path),
            (":authority", &*to.authority),
            ("content-type", "application/json"),
            ("user-agent", concat!("waypost/", env!("CARGO_PKG_VERSION"))),
        ];
        host::call(&to.cluster, &headers, body, Duration::from_millis(TIMEOUT))
    }

    fn count(&mut self, fate: Fate) {
        meter::put(&WEBHOOK, &[fate.word()], 1, &*self.0.world);
    }
}

/// Tells what is due.
pub fn tick(service: &Service) {
    outbox(|outbox| outbox.tick(service.world.now(), &mut Envoy(service)));
}

/// A call of this worker has come to its end; `headers` is how many its answer has, none without one, and
/// `size` how long the body is.
pub fn answered(service: &Service, call: u32, headers: usize, size: usize) {
    let status = (headers > 0).then(|| host::headers(Map::CallResponse)).flatten();
    let status = status.and_then(|packed| {
        Headers::new(packed.pairs()).text(":status").and_then(|status| status.parse().ok())
    });
    let body = || host::buffer(Buffer::CallResponse, size.min(MAX_WHY_BYTES)).unwrap_or_default();
    let taken = match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(why(status, &body())),
        None => Err("no answer".to_owned()),
    };
    let taken = taken.as_ref().copied().map_err(|why| &**why);
    outbox(|outbox| outbox.answered(call, taken, service.world.now(), &mut Envoy(service)));
}
