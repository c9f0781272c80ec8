//! The role in the status listener: what can be seen of the gateway, for people.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::host::{self, Map};
use super::service::Service;
use crate::providers::Headers;
use crate::telemetry::{Answer, status};

thread_local! {
    static SERVICE: RefCell<Option<Rc<Service>>> = const { RefCell::new(None) };
}

/// Tells of the gateway that was configured last in this VM.
pub fn configured(service: &Rc<Service>) {
    SERVICE.set(Some(Rc::clone(service)));
}

/// A request to the status listener.
pub struct StatusStream;

impl Context for StatusStream {}

impl HttpContext for StatusStream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let packed = host::headers(Map::Request).unwrap_or_default();
        let headers = Headers::new(packed.pairs());
        let header = |name| headers.text(name).unwrap_or_default();
        let answer = Answer::to(header(":method"), header(":path"), status_now);
        host::reply(answer.status, "waypost_status", &answer.headers, &answer.body);
        Action::Pause
    }
}

/// The status as all workers know it: everything is read from what they share, so one that has
/// served nothing tells the same as the others.
fn status_now() -> Option<Vec<u8>> {
    let service = SERVICE.with_borrow(Clone::clone)?;
    let store = service.store();
    Some(service.seen(|fleet, traffic, now| {
        status::write(&service.gateway, &fleet.report(store, now), &traffic.report(store, now), now)
    }))
}
