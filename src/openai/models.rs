//! `GET /v1/models` and `GET /v1/models/{id}`.

use std::io::Write as _;

use super::json::write_str;

/// A model as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What clients put into `model`.
    pub id: String,
    /// The provider that serves it, or `waypost` for a name that a rule gives.
    pub owned_by: String,
}

impl Listed {
    /// Appends the model's object. `created` is in seconds since 1970.
    pub fn write(&self, out: &mut Vec<u8>, created: u64) {
        out.extend_from_slice(b"{\"id\":");
        write_str(out, &self.id);
        let _ = write!(out, r#","object":"model","created":{created},"owned_by":"#);
        write_str(out, &self.owned_by);
        out.push(b'}');
    }
}

/// The body of the list.
#[must_use]
pub fn list(models: &[Listed], created: u64) -> Vec<u8> {
    let mut out = br#"{"object":"list","data":["#.to_vec();
    for (index, model) in models.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        model.write(&mut out, created);
    }
    out.extend_from_slice(b"]}");
    out
}
