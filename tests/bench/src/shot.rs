//! One kind of request, and what must come back.

use crate::body::{self, Size};
use crate::wire::Api;

pub struct Shot {
    pub request: Vec<u8>,
    /// Marks the answer must hold, in order: one in JSON, one a chunk in a stream.
    pub marks: usize,
    /// What a stream must end with. Empty: no stream.
    pub end: &'static [u8],
    /// Hang up once so many marks have come.
    pub hang_up_after: Option<usize>,
}

impl Shot {
    /// A chat whose answer has `chunks` content deltas; 0: JSON. A gateway that translates is asked
    /// in OpenAI's way, by the name of the model. One that does not gets the same body for the
    /// provider's own host and path, and passes it on.
    pub fn chat(port: u16, api: &'static Api, size: Size, chunks: usize, translates: bool) -> Self {
        let stream = chunks > 0;
        let body = body::chat(size, api.model, stream);
        let request = if translates {
            body::request(&format!("127.0.0.1:{port}"), "/v1/chat/completions", &body)
        } else {
            body::request(api.host, if stream { api.stream_path } else { api.path }, &body)
        };
        let end = if translates { b"data: [DONE]" } else { api.end };
        Self {
            request,
            marks: chunks.max(1),
            end: if stream { end } else { b"" },
            hang_up_after: None,
        }
    }
}
