//! A refusal, for every API: any status, any body, any time to wait. The first line of the data is
//! the status, then the values of the headers that are read.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waypost::cli::translate::Provider;

static PROVIDERS: LazyLock<Vec<Provider>> = LazyLock::new(waypost_fuzz::providers);

const HEADERS: [&str; 4] = ["content-type", "retry-after", "retry-after-ms", "x-should-retry"];

fuzz_target!(|data: &[u8]| {
    let (head, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let head = String::from_utf8_lossy(head);
    let mut words = head.split('|');
    let status = words.next().and_then(|word| word.trim().parse().ok()).unwrap_or(500_u16);
    let status = if (200..300).contains(&status) { 500 } else { status.clamp(100, 599) };
    let headers: Vec<(String, String)> = HEADERS
        .iter()
        .zip(words)
        .map(|(name, value)| ((*name).into(), value.trim().into()))
        .collect();
    for provider in PROVIDERS.iter() {
        waypost_fuzz::response(provider, status, headers.clone(), body);
    }
});
