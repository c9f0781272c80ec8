//! The only file that calls Envoy.
//!
//! The SDK's own wrappers panic on every status they do not list, and a panic cuts every stream
//! of the worker. So the calls are declared here with plain numbers as results: a call in a wrong
//! phase is a `false` or nothing, never a trap. The SDK still drives the callbacks.

#![expect(unsafe_code, reason = "the host's interface is pointers and lengths")]

use std::cell::RefCell;
use std::ptr::{null, null_mut};

use super::clock::Time;
use crate::telemetry::metrics::Kind;

/// Status of a call that worked; every other number is a refusal.
const OK: u32 = 0;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        argument: *const u8,
        argument_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_close_stream(kind: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        length: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        length: usize,
        data: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        version: u32,
    ) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
}

/// A header map of the current stream.
#[derive(Clone, Copy, Debug)]
pub enum Map {
    /// Request headers.
    Request = 0,
    /// Request trailers.
    RequestTrailers = 1,
    /// Response headers.
    Response = 2,
    /// Response trailers.
    ResponseTrailers = 3,
    /// Headers of the answer to a call of ours, while it is told.
    CallResponse = 6,
}

/// A buffer of the current context.
#[derive(Clone, Copy, Debug)]
pub enum Buffer {
    /// The request's body, as far as it is here.
    Request = 0,
    /// The answer's body, as far as it is here.
    Response = 1,
    /// The body of the answer to a call of ours, while it is told.
    CallResponse = 4,
    /// The plugin's configuration.
    PluginConfiguration = 7,
}

/// How loud a line is.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    /// That something was done.
    Info = 2,
    /// Something that whoever runs this should look at.
    Warn = 3,
    /// Something that does not work.
    Error = 4,
    /// The module is about to trap.
    Critical = 5,
}

/// Writes a line to Envoy's log.
pub fn log(level: Level, text: &str) {
    // SAFETY: pointer and length are those of `text`, which the host only reads.
    unsafe { proxy_log(level as u32, text.as_ptr(), text.len()) };
}

/// Bytes that the host wrote into memory that it took from our allocator.
fn taken(status: u32, data: *mut u8, size: usize) -> Option<Vec<u8>> {
    if status != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the host asked `proxy_on_memory_allocate` for `size` bytes, which is a Vec's
    // allocation of that capacity given away, and filled all of it.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// The bytes of a buffer; nothing when there is none in this phase.
pub fn buffer(buffer: Buffer, length: usize) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both results are written before the call returns.
    let status =
        unsafe { proxy_get_buffer_bytes(buffer as u32, 0, length, &raw mut data, &raw mut size) };
    taken(status, data, size)
}

/// Replaces the first `length` bytes of a buffer. False when this phase has none.
pub fn replace(buffer: Buffer, length: usize, data: &[u8]) -> bool {
    // SAFETY: pointer and length are those of `data`, which the host only reads.
    let status =
        unsafe { proxy_set_buffer_bytes(buffer as u32, 0, length, data.as_ptr(), data.len()) };
    status == OK
}

/// The headers of a map as the host packs them; nothing when there is none in this phase.
pub fn headers(map: Map) -> Option<Packed> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both results are written before the call returns.
    let status = unsafe { proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size) };
    taken(status, data, size).map(Packed)
}

/// Headers as [`set_headers`] and [`reply`] take them.
pub fn borrow<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, &**value)).collect()
}

/// Puts these headers in the place of all that are there. False when this phase has none.
pub fn set_headers(map: Map, headers: &[(&str, &str)]) -> bool {
    let packed = pack(headers);
    // SAFETY: pointer and length are those of `packed`, which the host only reads.
    let status = unsafe { proxy_set_header_map_pairs(map as u32, packed.as_ptr(), packed.len()) };
    status == OK
}

/// Sets one header. False when this phase has none.
pub fn set_header(map: Map, name: &str, value: &str) -> bool {
    // SAFETY: the pointers and lengths are those of the texts, which the host only reads.
    let status = unsafe {
        proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
    status == OK
}

/// Removes every header of that name.
pub fn remove_header(map: Map, name: &[u8]) {
    // SAFETY: pointer and length are those of `name`, which the host only reads.
    unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
}

/// A value that one of our roles left with the stream, or that Envoy knows of it: the parts of a
/// path stand behind each other with a zero byte between them.
pub fn property(name: &str) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both results are written before the call returns; the name is only read.
    let status =
        unsafe { proxy_get_property(name.as_ptr(), name.len(), &raw mut data, &raw mut size) };
    taken(status, data, size)
}

/// The value of `key` that all workers can see, and its version. Nothing when there is none; a key
/// that was removed has an empty one.
pub fn shared(key: &str) -> Option<(Vec<u8>, u32)> {
    let (mut data, mut size, mut version) = (null_mut(), 0, 0);
    // SAFETY: all results are written before the call returns; the key is only read.
    let status = unsafe {
        proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &raw mut data,
            &raw mut size,
            &raw mut version,
        )
    };
    taken(status, data, size).map(|value| (value, version))
}

/// Writes a value that all workers can see, if it is still of that version; the host takes 0 for
/// any. It also takes any for a key that is not there. False when another worker was quicker.
pub fn share(key: &str, value: &[u8], version: u32) -> bool {
    // SAFETY: the pointers and lengths are those of the slices, which the host only reads.
    let status = unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version)
    };
    status == OK
}

/// A new id for a metric. The host gives another one at each call and forgets none: ask once.
pub fn define_metric(kind: Kind, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the result is written before the call returns; the name is only read.
    let status =
        unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Adds to a counter. The host refuses 0.
pub fn count(id: u32, by: u64) {
    // SAFETY: takes numbers only.
    unsafe { proxy_increment_metric(id, i64::try_from(by).unwrap_or(i64::MAX)) };
}

/// Sets a gauge, or adds a value to a histogram.
pub fn record(id: u32, value: u64) {
    // SAFETY: takes numbers only.
    unsafe { proxy_record_metric(id, value) };
}

/// Calls a function of Envoy's own; nothing when it is not there or refuses.
pub fn foreign(name: &str, argument: &[u8]) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both results are written before the call returns; name and argument are only read.
    let status = unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            argument.as_ptr(),
            argument.len(),
            &raw mut data,
            &raw mut size,
        )
    };
    taken(status, data, size)
}

/// Leaves a value with the stream: Envoy's filter state `wasm.` + name, which the other role, the
/// route's matcher and the access log can read, and nobody outside. False without a stream.
pub fn set_property(name: &str, value: &str) -> bool {
    // SAFETY: the pointers and lengths are those of the texts, which the host only reads.
    let status =
        unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
    status == OK
}

/// Answers the request from here. `details` show in the access log and keep Envoy's
/// `local_reply_config` from rewriting the body.
pub fn reply(status: u16, details: &str, headers: &[(&str, &str)], body: &[u8]) {
    let packed = pack(headers);
    // SAFETY: the pointers and lengths are those of the slices, which the host only reads.
    unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            if body.is_empty() { null() } else { body.as_ptr() },
            body.len(),
            packed.as_ptr(),
            packed.len(),
            -1,
        )
    };
}

/// Ends the client's stream of another context without a last word. False when it is gone.
pub fn close(context: u32) -> bool {
    /// The host's number for a response stream.
    const RESPONSE: u32 = 1;
    // SAFETY: both take numbers only; a context that is gone is refused by the first.
    unsafe { proxy_set_effective_context(context) == OK && proxy_close_stream(RESPONSE) == OK }
}

/// Sends a request of our own to `cluster`, and gives its number; nothing when Envoy does not take it.
/// Of a request to ourselves nobody reads the answer: the loopback's filter sees all that is to be known.
///
/// This is the SDK's call and not one of ours, because its dispatcher must know the number that
/// Envoy gives: an answer with another number is a trap. That has rules:
///
/// - The SDK traps on any refusal but `BadArgument` (no such cluster, a header missing, a negative
///   timeout) and `InternalFailure` (no host, overflow). Envoy 1.40 gives no other, as long as the
///   pointers are right.
/// - `cluster` must not have a filter of ours: it would run inside this call. The cluster of the internal
///   listener will do, behind which the filter runs on a later turn of the event loop, and those of
///   strangers.
/// - Never while a context is created: the SDK would give the answer to another one.
/// - The answer arrives at the context that is active now; when that has gone, the SDK drops it.
///   When Envoy gave up it has no headers, and reading one of an absent map is a trap in the SDK:
///   who ever reads it must look at their number first.
/// - A timeout of zero would be none.
pub fn call(
    cluster: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    timeout: std::time::Duration,
) -> Option<u32> {
    /// Envoy reads it as a signed number.
    const LONGEST: std::time::Duration = std::time::Duration::from_millis(i32::MAX as u64);
    let timeout = timeout.clamp(std::time::Duration::from_millis(1), LONGEST);
    let body = (!body.is_empty()).then_some(body);
    let sent = proxy_wasm::hostcalls::dispatch_http_call(
        cluster,
        headers.to_vec(),
        body,
        Vec::new(),
        timeout,
    );
    sent.ok()
}

/// Asks for a tick every so many milliseconds.
pub fn tick_every(millis: u32) {
    // SAFETY: takes a number only.
    unsafe { proxy_set_tick_period_milliseconds(millis) };
}

thread_local! {
    static TIME: RefCell<Time> = const { RefCell::new(Time::new()) };
}

/// Envoy has called: what the clocks said before is over.
pub fn begin_turn() {
    TIME.with_borrow_mut(Time::begin);
}

/// Nanoseconds of a clock that never goes back, the same for a whole [turn](super::turn).
pub fn monotonic() -> u64 {
    TIME.with_borrow_mut(|time| time.steady(steady))
}

/// How long ago `monotonic` was, in nanoseconds: how long a turn has taken so far.
pub fn since(monotonic: u64) -> u64 {
    steady().saturating_sub(monotonic)
}

/// Milliseconds since 1970, the same for a whole [turn](super::turn).
pub fn unix_millis() -> u64 {
    const MILLI: u64 = 1_000_000;
    TIME.with_borrow_mut(|time| time.unix(steady, || (steady(), calendar()))) / MILLI
}

/// Seconds since 1970, the same for a whole [turn](super::turn).
pub fn unix_time() -> u64 {
    unix_millis() / 1000
}

/// Nanoseconds of a clock that never goes back, now.
#[expect(clippy::disallowed_methods, reason = "one of the two places where time comes from")]
fn steady() -> u64 {
    thread_local! {
        static START: std::time::Instant = std::time::Instant::now();
    }
    START.with(|start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Nanoseconds since 1970, now.
#[expect(clippy::disallowed_methods, reason = "one of the two places where time comes from")]
fn calendar() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Any number. Good for taking turns and drawing lots, not for secrets: splitmix64 from a seed that
/// each VM gets from the host once.
pub fn random() -> u64 {
    thread_local! {
        static STATE: std::cell::Cell<u64> = std::cell::Cell::new(seed());
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The keys of a new map are random: std asks the host for them.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

/// Headers as the host packs them: a count, then the lengths of each name and value, then names
/// and values, each with a zero byte behind it. All numbers are 32 bits, little end first.
#[derive(Debug, Default)]
pub struct Packed(Vec<u8>);

impl Packed {
    /// The pairs. Stops where the bytes do not hold what the lengths say.
    pub fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        let Some((count, lengths)) = self.0.split_first_chunk::<4>() else { return Vec::new() };
        let count = u32::from_le_bytes(*count) as usize;
        let Some((lengths, mut texts)) = lengths.split_at_checked(count.saturating_mul(8)) else {
            return Vec::new();
        };
        let mut pairs = Vec::with_capacity(count);
        for length in lengths.chunks_exact(8) {
            let Some((name, value)) = length.split_first_chunk::<4>() else { break };
            let Some((value, _)) = value.split_first_chunk::<4>() else { break };
            let name = u32::from_le_bytes(*name) as usize;
            let value = u32::from_le_bytes(*value) as usize;
            let Some((name, rest)) = texts.split_at_checked(name) else { break };
            let Some((value, rest)) = rest.get(1..).and_then(|rest| rest.split_at_checked(value))
            else {
                break;
            };
            pairs.push((name, value));
            texts = rest.get(1..).unwrap_or_default();
        }
        pairs
    }
}

fn pack(headers: &[(&str, &str)]) -> Vec<u8> {
    let texts: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut packed = Vec::with_capacity(4 + headers.len() * 8 + texts);
    // A count or length beyond 32 bits cannot be: the memory has 32 bits.
    packed.extend_from_slice(&(headers.len() as u32).to_le_bytes());
    for (name, value) in headers {
        packed.extend_from_slice(&(name.len() as u32).to_le_bytes());
        packed.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        packed.extend_from_slice(text.as_bytes());
        packed.push(0);
    }
    packed
}
