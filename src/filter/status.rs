//! The role in the status listener: what can be seen of the gateway, for people.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::host::{self, Map};
use super::service::Service;
use crate::providers::Headers;
use crate::telemetry::{Answer, status};

thread_local! {
    static SERVICES: RefCell<Vec<Weak<Service>>> = const { RefCell::new(Vec::new()) };
}

/// Tells of this gateway until a later one is configured in this VM, and again when all later ones
/// are gone: Envoy may refuse a configuration that was fine here for another part of it, and does not
/// configure anew what it takes up again while requests still use it.
pub fn configured(service: &Rc<Service>) {
    SERVICES.with_borrow_mut(|all| {
        all.retain(|known| known.strong_count() > 0);
        all.push(Rc::downgrade(service));
    });
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
    let service = SERVICES.with_borrow(|all| all.iter().rev().find_map(Weak::upgrade))?;
    let store = service.store();
    Some(service.seen(|fleet, traffic, now| {
        status::write(&service.gateway, &fleet.report(store, now), &traffic.report(store, now), now)
    }))
}
