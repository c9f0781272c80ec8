//! Cohere's stream: cuts change nothing, and the client is never left without an end.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waypost::cli::translate::Provider;

static PROVIDER: LazyLock<Provider> =
    LazyLock::new(|| Provider::new("cohere", None).expect("the defaults are valid"));

fuzz_target!(|data: &[u8]| waypost_fuzz::stream(&PROVIDER, data));
