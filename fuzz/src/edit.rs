//! Edits of a value that is right: bytes alone hardly ever make a configuration that is nearly one.

use serde_json::{Map, Value, json};

/// Most edits of one value.
const MAX_EDITS: usize = 12;

/// The reference configuration.
///
/// # Panics
/// Never: it is a part of the repository.
#[must_use]
pub fn envoy() -> Value {
    serde_yaml_ng::from_str(include_str!("../../envoy/envoy.yaml")).expect("envoy.yaml is YAML")
}

/// A value to edit, and where its parts stand.
pub struct Base {
    value: Value,
    places: Vec<String>,
}

impl Base {
    /// Lists the places.
    #[must_use]
    pub fn new(value: Value) -> Self {
        let mut places = Vec::new();
        list(&value, &mut String::new(), &mut places);
        Self { value, places }
    }

    /// The value with the edits that `data` stands for, four bytes each: where, what to do, with
    /// what.
    #[must_use]
    pub fn edited(&self, data: &[u8]) -> Value {
        let mut value = self.value.clone();
        let place = |high: u8, low: u8| {
            &*self.places[usize::from(u16::from_be_bytes([high, low])) % self.places.len()]
        };
        for edit in data.chunks_exact(4).take(MAX_EDITS) {
            let [high, low, action, with] = [edit[0], edit[1], edit[2], edit[3]];
            let at = place(high, low);
            let other = || self.value.pointer(place(high, with)).cloned().unwrap_or_default();
            let word = WORDS[usize::from(with) % WORDS.len()];
            match action % 6 {
                0 => remove(&mut value, at),
                1 => set(&mut value, at, other()),
                2 => insert(&mut value, at, word, other()),
                3 => rename(&mut value, at, word),
                4 => set(&mut value, at, json!(word)),
                _ => set(&mut value, at, plain(with)),
            }
        }
        value
    }
}

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "*",
    "",
    "anthropic",
    "openai",
    "claude",
    "gateway",
    "provider",
    "waypost",
    "failover",
    "static",
    "30s",
    "0s",
    "10ms",
    "99999999999999999999s",
    "1GiB",
    "32 MiB",
    "openai/gpt-4o",
    "a/b/c",
    "/",
    "%REQ(AUTHORIZATION)%",
    "%REQ(X-API-KEY)%",
    "https://h/v1",
    "http://",
    "ROUND_ROBIN",
    "LOGICAL_DNS",
    "envoy.filters.http.wasm",
    "envoy.filters.http.router",
    "clusters",
    "routes",
    "weighted_clusters",
    "request_mirror_policies",
    "retry_policy",
    "dynamic_resources",
    "<<",
    "typed_config",
    "config",
    "value",
    "models",
    "endpoints",
    "credentials",
    "env",
    "parameters",
    "unsupported",
    "drop",
    "reject",
    "clamp",
    "timeouts",
    "total",
    "limits",
    "body",
    "when",
    "headers",
    "tenant",
    "tenants",
    "identity",
    "x-waypost-x",
    "stream",
    "price",
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "capabilities",
    "tools",
    "max_output_tokens",
    "context_window",
    "\u{0}é",
    "cost",
    "quality",
    "latency",
    "canary",
    "leave",
    "explore",
    "sticky",
    "weight",
    "mirror",
    "require",
    "region",
    "probe",
    "breaker",
    "balance",
    "loopback",
    "status",
    "5%",
    "0.05%",
    "100.01%",
    "99999999999999999999%",
    "header:x-user",
    "metadata:",
    "embeddings",
    "general",
    "target",
    "share",
    "cel",
    "input_tokens",
    "at_most",
];

fn plain(with: u8) -> Value {
    match with % 10 {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(false),
        3 => json!(0),
        4 => json!(-1),
        5 => json!(1.5),
        6 => json!(u64::MAX),
        7 => json!(1e300),
        8 => json!([]),
        _ => json!({}),
    }
}

fn list(value: &Value, at: &mut String, places: &mut Vec<String>) {
    places.push(at.clone());
    let mut below = |name: &str, value: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        list(value, at, places);
        at.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| below(&at.to_string(), value));
        }
        _ => {}
    }
}

/// What holds the value at `place`, and its name there.
fn parent<'v>(value: &'v mut Value, place: &str) -> Option<(&'v mut Value, String)> {
    let (parent, name) = place.rsplit_once('/')?;
    Some((value.pointer_mut(parent)?, name.replace("~1", "/").replace("~0", "~")))
}

fn set(value: &mut Value, place: &str, new: Value) {
    if let Some(old) = value.pointer_mut(place) {
        *old = new;
    }
}

fn remove(value: &mut Value, place: &str) {
    match parent(value, place) {
        Some((Value::Object(fields), name)) => drop(fields.remove(&name)),
        Some((Value::Array(items), name)) => {
            if let Some(at) = name.parse().ok().filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

fn insert(value: &mut Value, place: &str, word: &str, new: Value) {
    match value.pointer_mut(place) {
        Some(Value::Object(fields)) => drop(fields.insert(word.to_owned(), new)),
        Some(Value::Array(items)) => items.push(new),
        _ => {}
    }
}

fn rename(value: &mut Value, place: &str, word: &str) {
    if let Some((Value::Object(fields), name)) = parent(value, place)
        && let Some(old) = fields.remove(&name)
    {
        fields.insert(word.to_owned(), old);
    }
}

/// The wire form of `google.protobuf.Struct`, as Envoy hands it to the module.
#[must_use]
pub fn structure(fields: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        let mut entry = Vec::new();
        bytes(1, name.as_bytes(), &mut entry);
        bytes(2, &any(value), &mut entry);
        bytes(1, &entry, &mut out);
    }
    out
}

fn any(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => out.extend([1 << 3, 0]),
        Value::Number(number) => {
            out.push(2 << 3 | 1);
            out.extend(number.as_f64().unwrap_or_default().to_le_bytes());
        }
        Value::String(text) => bytes(3, text.as_bytes(), &mut out),
        Value::Bool(flag) => out.extend([4 << 3, u8::from(*flag)]),
        Value::Object(fields) => bytes(5, &structure(fields), &mut out),
        Value::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                bytes(1, &any(item), &mut list);
            }
            bytes(6, &list, &mut out);
        }
    }
    out
}

fn bytes(field: u8, inner: &[u8], out: &mut Vec<u8>) {
    out.push(field << 3 | 2);
    let mut length = inner.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(inner);
}
