//! The attempt under way, as far as its bill goes.

use std::sync::Arc;

use crate::openai::Usage;
use crate::providers::catalogue::Price;

/// What is known of the attempt under way.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// The price that held when it began. A newer one is for others.
    pub price: Option<Arc<Price>>,
    pub usage: Option<Usage>,
    pub text_bytes: u64,
    pub sent: bool,
    pub unread: bool,
    pub garbled: bool,
}

impl Running {
    /// An attempt begins that costs this much.
    pub(super) fn at(price: Option<Arc<Price>>) -> Self {
        Self { price, ..Self::default() }
    }
}
