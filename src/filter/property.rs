//! What both roles tell each other and Envoy through properties, and read of it there.

use super::host;

/// The property, and so the filter state `wasm.waypost_cluster`, that the route's matcher reads.
pub const CLUSTER: &str = "waypost_cluster";

/// The property by which the provider role finds the exchange.
pub const EXCHANGE: &str = "waypost_exchange";

/// Tells Envoy's spans.
pub fn tell(words: Vec<(&'static str, String)>) {
    for (name, value) in words {
        host::set_property(name, &value);
    }
}

/// Whether the attempt had a connection.
pub fn is_connected() -> bool {
    host::property("upstream\0local_address").is_some_and(|address| !address.is_empty())
}
