//! A turn is one call of Envoy's into the module. The clocks stand still while it lasts: all that is
//! decided in it is decided at one time, and a clock is read once, if at all.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use super::host;

/// A context whose every callback is a turn, its end as well.
pub struct Turns<T>(pub T);

// What falls with a context settles accounts.
impl<T> Drop for Turns<T> {
    fn drop(&mut self) {
        host::begin_turn();
    }
}

impl<T: Context> Context for Turns<T> {
    fn on_http_call_response(&mut self, call: u32, headers: usize, body: usize, trailers: usize) {
        host::begin_turn();
        self.0.on_http_call_response(call, headers, body, trailers);
    }

    fn on_done(&mut self) -> bool {
        host::begin_turn();
        self.0.on_done()
    }
}

impl<T: RootContext> RootContext for Turns<T> {
    fn on_vm_start(&mut self, size: usize) -> bool {
        host::begin_turn();
        self.0.on_vm_start(size)
    }

    fn on_configure(&mut self, size: usize) -> bool {
        host::begin_turn();
        self.0.on_configure(size)
    }

    fn on_tick(&mut self) {
        host::begin_turn();
        self.0.on_tick();
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        host::begin_turn();
        self.0.create_http_context(id)
    }

    fn get_type(&self) -> Option<ContextType> {
        self.0.get_type()
    }
}

impl<T: HttpContext> HttpContext for Turns<T> {
    fn on_http_request_headers(&mut self, count: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_request_headers(count, end)
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_request_body(size, end)
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        host::begin_turn();
        self.0.on_http_request_trailers(count)
    }

    fn on_http_response_headers(&mut self, count: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_response_headers(count, end)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        host::begin_turn();
        self.0.on_http_response_body(size, end)
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        host::begin_turn();
        self.0.on_http_response_trailers(count)
    }

    fn on_log(&mut self) {
        host::begin_turn();
        self.0.on_log();
    }
}
