//! How alerts leave the worker.

use std::time::Duration;

use super::alerts::{Fate, Post, TIMEOUT, outbox};
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
    let taken = taken.as_ref().map(|()| ()).map_err(|why| &**why);
    outbox(|outbox| outbox.answered(call, taken, service.world.now(), &mut Envoy(service)));
}

/// Longest text of Envoy's in a line, in bytes: enough for what TLS did not like.
const MAX_WHY_BYTES: usize = 256;

/// Why an alert was not taken. Envoy answers in the place of a host that it could not reach, and says why
/// in the body; what a webhook writes there is not for the log.
fn why(status: u16, body: &[u8]) -> String {
    let envoys =
        [&b"upstream connect error"[..], b"no healthy upstream", b"upstream request timeout"];
    let mut why = format!("status {status}");
    if envoys.iter().any(|begin| body.starts_with(begin)) {
        why.push_str(", as Envoy says: ");
        let plain = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { ' ' };
        why.extend(body.iter().take(MAX_WHY_BYTES).map(plain));
    }
    why
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn why_an_alert_was_not_taken_is_in_envoys_words_and_never_in_the_webhooks() {
        assert_eq!(why(500, b"your token abc"), "status 500");
        let tls = b"upstream connect error or disconnect/reset before headers. reason: \nTLS";
        let told = "upstream connect error or disconnect/reset before headers. reason:  TLS";
        assert_eq!(why(503, tls), format!("status 503, as Envoy says: {told}"));
        let long = [&tls[..], &[b'x'; 2 * MAX_WHY_BYTES]].concat();
        let before = "status 503, as Envoy says: ".len();
        assert_eq!(why(503, &long).len(), before + MAX_WHY_BYTES);
    }
}
