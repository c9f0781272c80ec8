//! What a request shows of who asks, as Envoy tells it.

use super::host;
use crate::providers::Headers;
use crate::tenancy::identity::{Header, Shown};

/// A request of which the headers are here.
pub struct Asker<'h>(pub &'h Headers<'h>);

impl Shown for Asker<'_> {
    fn header(&self, name: &str) -> Header<'_> {
        Header::of(self.0, name)
    }

    // A microsecond in Envoy 1.40.
    fn property(&self, path: &str) -> Option<Vec<u8>> {
        host::property(path)
    }
}
