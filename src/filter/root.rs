//! The module's entry: one root context for each plugin configuration in this worker.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::exchange::Flow;
use super::gateway::{Desk, GatewayStream};
use super::host::{self, Buffer, Level, Map};
use super::loopback::LoopbackStream;
use super::prices::{self, Refresher};
use super::probe::Prober;
use super::provider::{Credentials, ProviderStream};
use super::service::Service;
use super::shared;
use super::status::{self, StatusStream};
use super::turn::Turns;
use super::webhook;
use crate::config::pricelist::MAX_DOCUMENT_BYTES;
use crate::config::prices::Url;
use crate::config::{Config, ProviderRole};
use crate::providers::Headers;

/// How often streams are looked at for silence, and workers tell each other how providers do, in
/// milliseconds.
const TICK_MILLIS: u32 = 500;

mod entry {
    proxy_wasm::main! {{ super::start(); }}
}

/// Called once per VM, before any configuration.
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        host::log(Level::Critical, &format!("waypost: {panic}"));
    }));
    proxy_wasm::set_root_context(|_| Box::new(Turns(Root::default())));
}

#[derive(Default)]
struct Root {
    role: Option<Role>,
    prober: Prober,
    refresher: Refresher,
}

enum Role {
    Gateway(Rc<Desk>),
    Provider(Rc<Credentials>),
    Loopback,
    Status,
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, headers: usize, size: usize, _: usize) {
        if let Some(Role::Gateway(desk)) = &self.role {
            if prices_polled(&mut self.refresher, &desk.service, call, headers, size) {
                return;
            }
            webhook::answered(&desk.service, call, headers, size);
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let json = host::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
        match Config::parse(&json) {
            Ok(Config::Gateway(gateway)) => {
                let desk = match Desk::new(*gateway, host::unix_time()) {
                    Ok(desk) => Rc::new(desk),
                    Err(problems) => return refused(problems),
                };
                host::tick_every(TICK_MILLIS);
                status::configured(&desk.service);
                self.refresher = Refresher::default();
                self.refresher.refresh(&desk.service, &mut Outside);
                desk.service.announce(desk.since);
                self.role = Some(Role::Gateway(desk));
                true
            }
            Ok(Config::Provider(role)) => {
                self.role = Some(Role::Provider(Rc::new(read_credentials(role))));
                true
            }
            Ok(Config::Loopback) => {
                self.role = Some(Role::Loopback);
                true
            }
            Ok(Config::Status) => {
                self.role = Some(Role::Status);
                true
            }
            Err(problems) => refused(problems),
        }
    }

    fn on_tick(&mut self) {
        let Some(Role::Gateway(desk)) = &self.role else { return };
        self.prober.tick(&desk.service);
        let now = host::monotonic();
        for (exchange, context) in shared::all() {
            let Ok(mut exchange) = exchange.try_borrow_mut() else { continue };
            exchange.renew();
            let limit = exchange.timeouts.idle;
            if silent(&mut exchange.flow, now, limit) {
                exchange.silent(now);
                // The log of the stream is written within this call.
                drop(exchange);
                host::close(context);
            }
        }
        desk.service.tick();
        webhook::tick(&desk.service);
        self.refresher.tick(&desk.service, &mut Outside);
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(match &self.role {
            Some(Role::Gateway(desk)) => Box::new(Turns(GatewayStream::new(id, Rc::clone(desk)))),
            Some(Role::Provider(credentials)) => {
                Box::new(Turns(ProviderStream::new(Rc::clone(credentials))))
            }
            Some(Role::Loopback) => Box::new(Turns(LoopbackStream::new(id))),
            Some(Role::Status) => Box::new(Turns(StatusStream::default())),
            // Envoy makes no streams for a configuration that was refused.
            None => Box::new(Unconfigured),
        })
    }
}

/// The way to who has newer prices, and the log.
struct Outside;

impl prices::Outside for Outside {
    fn ask(&mut self, url: &Url) -> Option<u32> {
        let headers = [
            (":method", "GET"),
            (":path", &*url.path),
            (":authority", &*url.authority),
            ("accept", "application/json"),
            ("user-agent", concat!("waypost/", env!("CARGO_PKG_VERSION"))),
        ];
        host::call(&url.cluster, &headers, b"", prices::TIMEOUT)
    }

    fn log(&mut self, bad: bool, text: &str) {
        host::log(if bad { Level::Warn } else { Level::Info }, text);
    }
}

/// A call came to its end with so many headers, none without an answer. Whether it was for prices.
fn prices_polled(
    refresher: &mut Refresher,
    service: &Service,
    call: u32,
    headers: usize,
    size: usize,
) -> bool {
    // Without an answer there are no headers, and nothing may ask for them.
    let packed = (headers > 0).then(|| host::headers(Map::CallResponse)).flatten();
    let packed = packed.unwrap_or_default();
    let answered = Headers::new(packed.pairs());
    let status = answered.text(":status");
    let why = status.map_or_else(|| "no answer".to_owned(), |status| ["status ", status].concat());
    let body = || {
        // A longer one is refused for its length, which one byte more shows too.
        host::buffer(Buffer::CallResponse, size.min(MAX_DOCUMENT_BYTES + 1)).unwrap_or_default()
    };
    let body: Result<&dyn Fn() -> Vec<u8>, &str> = match status {
        Some("200") => Ok(&body),
        _ => Err(&why),
    };
    refresher.answered(service, call, body, &mut Outside)
}

/// Says what is wrong with a configuration.
fn refused(problems: Vec<impl std::fmt::Display>) -> bool {
    for problem in problems {
        host::log(Level::Error, &format!("waypost configuration: {problem}"));
    }
    false
}

struct Unconfigured;
impl Context for Unconfigured {}
impl HttpContext for Unconfigured {}

/// Whether a stream must be ended: it was told an error, or has been silent for too long.
fn silent(flow: &mut Flow, now: u64, limit: std::time::Duration) -> bool {
    match *flow {
        Flow::None => false,
        Flow::Over => true,
        Flow::Moving => {
            *flow = Flow::QuietSince(now);
            false
        }
        Flow::QuietSince(since) => u128::from(now.saturating_sub(since)) >= limit.as_nanos(),
    }
}

/// Reads the role's credentials from the environment of the VM.
fn read_credentials(role: ProviderRole) -> Credentials {
    let (mut secrets, mut name) = (Vec::new(), None);
    for credential in &role.credentials {
        match std::env::var(&credential.env) {
            Ok(secret) if usable(&secret) => {
                secrets.push(secret);
                name.get_or_insert_with(|| credential.env.as_str().into());
            }
            Ok(_) => warn(
                &role.provider,
                &credential.env,
                "is empty or holds characters that no header can",
            ),
            Err(_) => warn(
                &role.provider,
                &credential.env,
                "is not set; list it in vm_config.environment_variables",
            ),
        }
    }
    let missing = secrets.is_empty() && !role.credentials.is_empty();
    Credentials { provider: role.provider, secrets, name, missing }
}

fn usable(secret: &str) -> bool {
    !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic())
}

fn warn(provider: &str, variable: &str, what: &str) {
    host::log(
        Level::Warn,
        &format!(
            "waypost: credential of \"{provider}\": the environment variable {variable} {what}"
        ),
    );
}
