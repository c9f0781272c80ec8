//! The role in the internal listener: once per request of the gateway to itself.
//!
//! It does what the gateway role does, but for whose request it is, and keeps the answer back:
//! nobody reads it, and a callout would collect all of it in Envoy's memory.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::call::{self, CALL, Call, Purpose};
use super::gateway::GatewayStream;
use super::host::{self, Buffer, Map};
use super::{arrived, mirror, probe};
use crate::providers::Headers;

/// A request that came through the internal listener.
pub struct LoopbackStream {
    context: u32,
    /// Its number, its call and what goes on with it; nothing while it is not known.
    found: Option<(u64, Rc<Call>, GatewayStream)>,
}

impl LoopbackStream {
    /// A request of which nothing has arrived.
    pub const fn new(context: u32) -> Self {
        Self { context, found: None }
    }
}

impl Context for LoopbackStream {
    fn on_done(&mut self) -> bool {
        self.found.as_mut().is_none_or(|(_, _, stream)| stream.on_done())
    }
}

impl HttpContext for LoopbackStream {
    fn on_http_request_headers(&mut self, count: usize, end: bool) -> Action {
        let packed = host::headers(Map::Request).unwrap_or_default();
        let number = Headers::new(packed.pairs()).text(CALL).and_then(|text| text.parse().ok());
        let found =
            number.and_then(|number| Some((number, call::under_way(|all| all.take(number))?)));
        match found {
            Some((number, call)) if call.purpose == Purpose::Hello => {
                call::under_way(|all| all.end(number));
                host::reply(204, "waypost_hello", &[], b"");
                Action::Pause
            }
            Some((number, call)) => {
                let mut stream = GatewayStream::for_call(self.context, Rc::clone(&call));
                let action = stream.on_http_request_headers(count, end);
                self.found = Some((number, call, stream));
                action
            }
            None => {
                host::reply(403, "waypost_no_call", &[], b"");
                Action::Pause
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        let Some((_, _, stream)) = &mut self.found else { return Action::Pause };
        stream.on_http_request_body(size, end)
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        let Some((_, _, stream)) = &mut self.found else { return Action::Pause };
        stream.on_http_request_trailers(count)
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        host::remove_header(Map::Response, b"content-length");
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, _: bool) -> Action {
        host::replace(Buffer::Response, size, b"");
        Action::Continue
    }

    fn on_log(&mut self) {
        let Some((number, call, mut stream)) = self.found.take() else { return };
        let in_time = call::under_way(|all| all.end(number)).is_some();
        let exchange = stream.exchange();
        let exchange = exchange.as_ref().and_then(|exchange| exchange.try_borrow().ok());
        match &call.purpose {
            Purpose::Probe(every) => {
                let up = exchange.as_deref().and_then(arrived::is_up);
                probe::told(&call, *every, up);
            }
            Purpose::Mirror(_) => {
                if in_time && !exchange.as_deref().is_some_and(arrived::is_answered) {
                    mirror::failed(&call);
                }
            }
            Purpose::Hello => {}
        }
        drop(exchange);
        stream.on_log();
    }
}
