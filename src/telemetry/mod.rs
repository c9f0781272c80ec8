//! What can be seen of a gateway while it runs.
//!
//! | file | what it is |
//! |---|---|
//! | [`convention`] | OpenTelemetry's words |
//! | [`metrics`] | names and labels of metrics |
//! | [`answer`] | what the status listener answers |
//! | [`status`] | who does how, and which rule went where, as JSON |
//! | [`page`] | a page that draws it: `page.html` |

pub mod answer;
pub mod convention;
pub mod metrics;
pub mod page;
pub mod status;

pub use answer::Answer;
