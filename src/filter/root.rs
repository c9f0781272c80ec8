//! The module's entry: one root context for each plugin configuration in this worker.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::exchange::Flow;
use super::gateway::GatewayStream;
use super::host::{self, Buffer, Level};
use super::looped::LoopbackStream;
use super::probe::Prober;
use super::provider::{Credentials, ProviderStream};
use super::shared;
use super::status::{self, StatusStream};
use crate::config::{Config, Gateway, ProviderRole};

/// How often streams are looked at for silence, in milliseconds.
const TICK_MILLIS: u32 = 500;

mod entry {
    proxy_wasm::main! {{ super::start(); }}
}

/// Called once per VM, before any configuration.
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        host::log(Level::Critical, &format!("waypost: {panic}"));
    }));
    proxy_wasm::set_root_context(|_| Box::new(Root { role: None, prober: Prober::default() }));
}

struct Root {
    role: Option<Role>,
    prober: Prober,
}

enum Role {
    Gateway { gateway: Rc<Gateway>, since: u64 },
    Provider(Rc<Credentials>),
    Loopback,
    Status,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let json = host::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
        match Config::parse(&json) {
            Ok(Config::Gateway(gateway)) => {
                host::tick_every(TICK_MILLIS);
                let since = host::unix_time();
                let gateway = Rc::from(gateway);
                status::configured(&gateway);
                self.role = Some(Role::Gateway { gateway, since });
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
            Err(problems) => {
                for problem in problems {
                    host::log(Level::Error, &format!("waypost configuration: {problem}"));
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(Role::Gateway { gateway, .. }) = &self.role else { return };
        self.prober.tick(gateway);
        let now = host::monotonic();
        for (exchange, context) in shared::all() {
            let Ok(mut exchange) = exchange.try_borrow_mut() else { continue };
            let limit = exchange.timeouts.idle;
            if silent(&mut exchange.flow, now, limit) {
                host::close(context);
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(match &self.role {
            Some(Role::Gateway { gateway, since }) => {
                Box::new(GatewayStream::new(id, Rc::clone(gateway), *since))
            }
            Some(Role::Provider(credentials)) => {
                Box::new(ProviderStream::new(Rc::clone(credentials)))
            }
            Some(Role::Loopback) => Box::new(LoopbackStream::new(id)),
            Some(Role::Status) => Box::new(StatusStream),
            // Envoy makes no streams for a configuration that was refused.
            None => Box::new(Unconfigured),
        })
    }
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
    let mut secrets = Vec::new();
    for credential in &role.credentials {
        match std::env::var(&credential.env) {
            Ok(secret) if usable(&secret) => secrets.push(secret),
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
    Credentials { provider: role.provider, secrets, missing }
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
