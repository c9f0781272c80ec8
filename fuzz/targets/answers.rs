//! A whole answer with status 200, for every API: canonical, or an error with its class.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waypost::cli::translate::Provider;

static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(waypost_fuzz::providers);

fuzz_target!(|data: &[u8]| {
    for provider in PROVIDERS.iter() {
        waypost_fuzz::response(provider, 200, Vec::new(), data);
    }
});
