//! The role in the status listener: what can be seen of the gateway, for people, and what may be sent
//! to it: see [`super::post`].

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::host::{self, Buffer, Map, borrow};
use super::post::Post;
use super::prices;
use super::reply::{self, Reply};
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
#[derive(Default)]
pub struct StatusStream {
    /// Who takes its body, until that is whole.
    post: Option<&'static Post>,
    /// How much of it is here, in bytes.
    received: usize,
}

impl StatusStream {
    /// The whole body is here, or more than may come.
    fn answer(&mut self) -> Action {
        if let Some(post) = self.post.take() {
            let reply = match newest() {
                _ if self.received > post.most => post.too_large(),
                Some(service) => {
                    let body = host::buffer(Buffer::Request, self.received).unwrap_or_default();
                    post.answer(&service, &body)
                }
                // It was there when the headers came.
                None => Reply::error("waypost_status", &reply::local_error(503)),
            };
            say(&reply);
        }
        Action::Pause
    }
}

fn say(reply: &Reply) {
    host::reply(reply.status, reply.details, &borrow(&reply.headers()), &reply.body);
}

/// The gateway that was configured last and still is.
fn newest() -> Option<Rc<Service>> {
    SERVICES.with_borrow(|all| all.iter().rev().find_map(Weak::upgrade))
}

impl Context for StatusStream {}

impl HttpContext for StatusStream {
    fn on_http_request_headers(&mut self, _: usize, end: bool) -> Action {
        let packed = host::headers(Map::Request).unwrap_or_default();
        let headers = Headers::new(packed.pairs());
        let header = |name| headers.text(name).unwrap_or_default();
        if header(":method") == "POST" {
            let service = newest();
            let gateway = service.as_ref().map(|service| &*service.gateway);
            match Post::admit(gateway, header(":path"), header("authorization")) {
                Some(Ok(post)) => {
                    self.post = Some(post);
                    return if end { self.answer() } else { Action::Pause };
                }
                Some(Err(reply)) => {
                    say(&reply);
                    return Action::Pause;
                }
                None => {}
            }
        }
        let answer = Answer::to(header(":method"), header(":path"), status_now);
        host::reply(answer.status, "waypost_status", &answer.headers, &answer.body);
        Action::Pause
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.received = size;
        let long = self.post.is_some_and(|post| size > post.most);
        if end || long { self.answer() } else { Action::Pause }
    }

    // With trailers no body callback says that it was the last.
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.answer()
    }
}

/// The status as all workers know it: everything is read from what they share, so one that has
/// served nothing tells the same as the others.
fn status_now() -> Option<Vec<u8>> {
    let service = newest()?;
    let (gateway, store) = (&*service.gateway, service.store());
    let prices = prices::is_on(gateway).then(|| prices::standing(store)).flatten();
    Some(service.seen(|fleet, traffic, now| {
        let (fleet, traffic) = (fleet.report(store, now), traffic.report(store, now));
        status::write(gateway, &fleet, &traffic, prices, now)
    }))
}
