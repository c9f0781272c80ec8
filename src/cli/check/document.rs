//! Values of the file and their paths.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Findings;

/// Reports `<<`, which other readers of YAML know and Envoy does not.
pub fn merge_keys(at: &At<'_>, findings: &mut Findings) {
    if at.get("<<").is_some() {
        findings.error(
            &at.path,
            "Envoy does not know the merge key \"<<\"; use an alias for a whole value instead",
        );
    }
    for child in at.children() {
        merge_keys(&child, findings);
    }
}

/// A value of the file and its path.
#[derive(Clone, Debug)]
pub struct At<'a> {
    /// Where. Entries of lists bear their name: `clusters[1](anthropic)`.
    pub path: String,
    /// What.
    pub value: &'a Value,
}

impl<'a> At<'a> {
    /// The whole file.
    pub const fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// A field, in `snake_case` or, as Envoy takes it too, in `camelCase`.
    pub fn get(&self, name: &str) -> Option<Self> {
        let object = self.value.as_object()?;
        let camel;
        let key = if object.contains_key(name) {
            name
        } else {
            camel = camel_case(name);
            &camel
        };
        let value = object.get(key).filter(|value| !value.is_null())?;
        Some(Self { path: join(&self.path, key), value })
    }

    /// A field of a field and so on.
    pub fn dig(&self, names: &[&str]) -> Option<Self> {
        names.iter().try_fold(self.clone(), |at, name| at.get(name))
    }

    /// The path of a field, whether it is there or not.
    pub fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// The entries of a list field; none when there is no such list.
    pub fn list(&self, name: &str) -> Vec<Self> {
        self.get(name).map_or_else(Vec::new, |at| at.children())
    }

    /// The entries of a list, or the fields of an object.
    pub fn children(&self) -> Vec<Self> {
        match self.value {
            Value::Array(list) => list
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    let name = value.get("name").and_then(Value::as_str);
                    let name = name.map(|name| format!("({name})")).unwrap_or_default();
                    Self { path: format!("{}[{index}]{name}", self.path), value }
                })
                .collect(),
            Value::Object(object) => object
                .iter()
                .map(|(key, value)| Self { path: join(&self.path, key), value })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The keys of an object.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// A text field.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.value.as_str()
    }

    /// A field that is true or false; false when it is missing.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|at| at.value.as_bool() == Some(true))
    }

    /// A number field. Envoy takes numbers in quotes too.
    pub fn number(&self, name: &str) -> Option<f64> {
        let value = self.get(name)?.value;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }

    /// A time field such as `0.5s`.
    pub fn time(&self, name: &str) -> Option<Duration> {
        let seconds: f64 = self.text(name)?.strip_suffix('s')?.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Whether it is of a type, by the end of its `@type`.
    pub fn is_a(&self, message: &str) -> bool {
        self.text("@type").is_some_and(|known| {
            known.strip_suffix(message).is_some_and(|rest| rest.ends_with(['.', '/']))
        })
    }

    /// The same value under a shorter path.
    pub fn called(self, path: String) -> Self {
        Self { path, ..self }
    }
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn join(path: &str, name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-@".contains(&b);
    match (path.is_empty(), name.bytes().all(plain)) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[\"{name}\"]"),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_in_both_spellings() {
        let value = json!({"staticResources": {"connect_timeout": "0.25s", "n": "7"}});
        let at = At::root(&value).get("static_resources").unwrap();
        assert_eq!(at.path, "staticResources");
        assert_eq!(at.time("connect_timeout"), Some(Duration::from_millis(250)));
        assert_eq!(at.number("n"), Some(7.0));
    }

    #[test]
    fn entries_bear_their_names() {
        let value = json!({"clusters": [{"name": "a.b"}, {"x.y": 1}]});
        let clusters = At::root(&value).list("clusters");
        assert_eq!(clusters[0].path, "clusters[0](a.b)");
        assert_eq!(clusters[1].get("x.y").unwrap().path, "clusters[1][\"x.y\"]");
    }

    #[test]
    fn a_type_is_told_by_its_last_words() {
        let value =
            json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"});
        let at = At::root(&value);
        assert!(at.is_a("http.wasm.v3.Wasm") && !at.is_a("asm") && !at.is_a("Router"));
    }
}
