//! The role in the status listener: what can be seen of the gateway, for people.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::host::{self, Map};
use super::shared::Envoy;
use crate::config::Gateway;
use crate::health::{Fleet, Traffic};
use crate::providers::Headers;
use crate::routing::plan::BY_MODEL;
use crate::telemetry::{Answer, status};

thread_local! {
    static GATEWAY: RefCell<Option<Rc<Gateway>>> = const { RefCell::new(None) };
}

/// Tells of the gateway that this VM runs.
pub fn configured(gateway: &Rc<Gateway>) {
    GATEWAY.replace(Some(Rc::clone(gateway)));
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
    let gateway = GATEWAY.with_borrow(Clone::clone)?;
    let now = host::unix_millis();
    let fleet = Fleet::new(gateway.fleet());
    let rules = gateway.rules.iter().map(|rule| &*rule.name).chain([BY_MODEL]);
    let traffic = Traffic::new(rules.map(str::to_owned).collect(), fleet.watched());
    let traffic = traffic.report(&Envoy, now);
    Some(status::write(&gateway, &fleet.report(&Envoy, now), &traffic, now))
}
