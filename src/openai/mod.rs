//! The canonical API: what clients send and get, and the form in which the roles of the module
//! speak with each other. A dialect in [`crate::providers`] translates from and to it.
//!
//! | file | what it is |
//! |---|---|
//! | [`request`] | a chat request, parsed once, borrowing from the body |
//! | [`json`] | pieces of JSON text that are passed on as they were written |
//! | [`place`] | JSON read into its places: one reader for all types |
//! | [`object`] | an object of which any member may matter |
//! | [`fault`] | why a value was not taken |
//! | [`order`] | lists put in order, in little code |
//! | [`outer`] | its outermost object |
//! | [`message`] | its messages, parts, tools |
//! | `blame` | which field of a JSON text an error is about |
//! | [`invalid`] | the cold path: why a body is not a request, and which field is to blame |
//! | [`answer`] | a whole answer, as a provider's is read and as ours is written |
//! | [`chunk`] | a streamed answer, event by event |
//! | [`transcript`] | what was said, as plain text |
//! | [`usage`] | tokens, one canonical split |
//! | [`bill`] | what a request cost, told to its client |
//! | [`validate`] | what the canonical API allows |
//! | [`value`] | JSON of any form |
//! | [`embeddings`] | an embeddings request, parsed once, borrowing from the body |
//! | [`vectors`] | its answer, in either encoding |
//! | [`error`] | every error a client can see |
//! | [`models`] | `GET /v1/models` |

pub mod answer;
pub mod bill;
mod blame;
pub mod chunk;
pub mod embeddings;
pub mod error;
pub mod fault;
pub mod invalid;
pub mod json;
pub mod message;
pub mod models;
pub mod object;
pub mod order;
pub mod outer;
pub mod place;
pub mod request;
pub mod transcript;
pub mod usage;
pub mod validate;
pub mod value;
pub mod vectors;

pub use embeddings::Embeddings;
pub use error::{Class, Error};
pub use outer::{MODELS_FIELD, OWN_FIELDS};
pub use request::Chat;
pub use usage::Usage;
