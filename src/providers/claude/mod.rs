//! What Claude's models want wherever they are served: at Anthropic's own API, at Vertex AI and in
//! Bedrock's form.
//!
//! | file | what it is |
//! |---|---|
//! | `assistant` | what the assistant said: thoughts, then text |
//! | `citations` | where an answer was found |
//! | `json_answer` | JSON from a model that has no means of its own to give it |
//! | `marks` | marks for the prompt cache, as clients send them |
//! | `sampling` | temperature and the like |

pub(crate) mod assistant;
pub(crate) mod citations;
pub(crate) mod json_answer;
pub(crate) mod marks;
pub(crate) mod sampling;
