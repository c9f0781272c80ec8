//! Every error that a client can see, in OpenAI's shape: `{"error":{message,type,param,code}}`.

use std::borrow::Cow;

use serde::Serialize;

/// What kind of failure it is; decides status, words and what may be tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Our or the provider's credential was refused.
    Auth,
    /// The request itself is at fault; another provider would refuse it too.
    Client,
    /// A provider's content policy refused it.
    ContentFilter,
    /// The request does not fit into the model's window; a larger model may take it.
    ContextLength,
    /// No such model, deployment or path.
    NotFound,
    /// The provider has no capacity at the moment.
    Overloaded,
    /// The credential may not do this.
    Permission,
    /// No money or quota is left; waiting a minute does not help.
    Quota,
    /// Too many requests or tokens in a short time.
    RateLimit,
    /// The provider failed, or answered what is no answer.
    Server,
    /// No answer in time.
    Timeout,
}

impl Class {
    /// All classes, in the order of their words.
    pub const ALL: [Self; 11] = [
        Self::Auth,
        Self::Client,
        Self::ContentFilter,
        Self::ContextLength,
        Self::NotFound,
        Self::Overloaded,
        Self::Permission,
        Self::Quota,
        Self::RateLimit,
        Self::Server,
        Self::Timeout,
    ];

    /// The word for logs, metrics and the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Client => "client",
            Self::ContentFilter => "content_filter",
            Self::ContextLength => "context_length",
            Self::NotFound => "not_found",
            Self::Overloaded => "overloaded",
            Self::Permission => "permission",
            Self::Quota => "quota",
            Self::RateLimit => "rate_limit",
            Self::Server => "server",
            Self::Timeout => "timeout",
        }
    }

    /// Whether the same provider may answer when asked again.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::RateLimit | Self::Timeout | Self::Overloaded | Self::Server)
    }

    /// Whether another candidate may answer. A content filter's verdict is not shopped around.
    #[must_use]
    pub const fn failover(self) -> bool {
        !matches!(self, Self::Client | Self::ContentFilter)
    }

    /// The status when the provider gave none that could be kept.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Auth => 401,
            Self::Client | Self::ContentFilter | Self::ContextLength => 400,
            Self::NotFound => 404,
            Self::Overloaded => 503,
            Self::Permission => 403,
            Self::Quota | Self::RateLimit => 429,
            Self::Server => 502,
            Self::Timeout => 504,
        }
    }

    /// OpenAI's `type` for the class.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Auth => "authentication_error",
            Self::Client | Self::ContentFilter | Self::ContextLength | Self::NotFound => {
                "invalid_request_error"
            }
            Self::Overloaded => "service_unavailable_error",
            Self::Permission => "permission_error",
            Self::Quota => "insufficient_quota",
            Self::RateLimit => "rate_limit_error",
            Self::Server => "server_error",
            Self::Timeout => "timeout_error",
        }
    }

    /// OpenAI's `code` for the class, where it has one.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Auth => Some("invalid_api_key"),
            Self::ContentFilter => Some("content_filter"),
            Self::ContextLength => Some("context_length_exceeded"),
            Self::NotFound => Some("model_not_found"),
            Self::Overloaded => Some("overloaded"),
            Self::Quota => Some("insufficient_quota"),
            Self::RateLimit => Some("rate_limit_exceeded"),
            Self::Timeout => Some("timeout"),
            Self::Client | Self::Permission | Self::Server => None,
        }
    }
}

/// Longest message passed to a client, in bytes: a provider's page of HTML is not an explanation.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// Longest `param` passed to a client, in bytes: the names of fields are the client's own words.
pub const MAX_PARAM_BYTES: usize = 256;

/// An error as a client sees it, with what routing needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure it is.
    pub class: Class,
    /// HTTP status for the client.
    pub status: u16,
    /// OpenAI's `type`.
    pub kind: Cow<'static, str>,
    /// For a person: what is wrong and, where known, what to do.
    pub message: String,
    /// The field of the request that is to blame, such as `messages[0].role`.
    pub param: Option<String>,
    /// OpenAI's `code`.
    pub code: Option<Cow<'static, str>>,
    /// How long to wait before the next try, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// What the provider said of another try, by `x-should-retry`; it knows better than the class.
    pub should_retry: Option<bool>,
}

impl Error {
    /// An error with the status, type and code of its class. The message is cut to
    /// [`MAX_MESSAGE_BYTES`].
    #[must_use]
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            message.truncate(start(&message, MAX_MESSAGE_BYTES).len());
            message.push('…');
        }
        Self {
            class,
            status: class.status(),
            kind: Cow::Borrowed(class.kind()),
            message,
            param: None,
            code: class.code().map(Cow::Borrowed),
            retry_after_ms: None,
            should_retry: None,
        }
    }

    /// A 400 that blames the field `param` of the client's request.
    #[must_use]
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(Class::Client, message) }
    }

    /// A 400 `unsupported_parameter`: a field that the chosen provider cannot honour.
    #[must_use]
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(param, message).with_code("unsupported_parameter")
    }

    /// The same with another `code`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with the field that is to blame.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Whether the same provider may answer when asked again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.should_retry.unwrap_or_else(|| self.class.retryable())
    }

    /// Whether another candidate may answer. What passes at its own provider may pass at another.
    #[must_use]
    pub fn failover(&self) -> bool {
        self.class.failover() || self.should_retry == Some(true)
    }

    /// The headers that tell a client when to ask again: `retry-after` in whole seconds, rounded up,
    /// `retry-after-ms`, and `x-should-retry` where the provider said so. OpenAI's clients know all
    /// three.
    pub fn advice(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let wait = self.retry_after_ms;
        let seconds = wait.map(|ms| ("retry-after", ms.div_ceil(1_000).to_string()));
        let millis = wait.map(|ms| ("retry-after-ms", ms.to_string()));
        let again = self.should_retry.map(|again| ("x-should-retry", again.to_string()));
        [seconds, millis, again].into_iter().flatten()
    }

    /// The body for the client.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&Envelope { error: self.into() }).unwrap_or_default()
    }

    /// The body as an SSE event, for a stream that has begun.
    #[must_use]
    pub fn event(&self) -> Vec<u8> {
        [b"data: ".as_slice(), &self.body(), b"\n\n"].concat()
    }
}

impl From<crate::wire::sse::TooLarge> for Error {
    fn from(_: crate::wire::sse::TooLarge) -> Self {
        Self::new(
            Class::Server,
            format!(
                "the provider sent a stream event of more than {} MiB",
                crate::wire::sse::MAX_EVENT_BYTES >> 20
            ),
        )
    }
}

impl From<crate::wire::aws_event_stream::Fault> for Error {
    fn from(fault: crate::wire::aws_event_stream::Fault) -> Self {
        Self::new(Class::Server, format!("the provider's stream is broken: {fault}"))
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Shape<'a>,
}

#[derive(Serialize)]
struct Shape<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl<'a> From<&'a Error> for Shape<'a> {
    fn from(error: &'a Error) -> Self {
        Self {
            message: &error.message,
            kind: &error.kind,
            param: error.param.as_deref().map(|param| start(param, MAX_PARAM_BYTES)),
            code: error.code.as_deref(),
        }
    }
}

/// As many whole characters as fit into so many bytes.
pub(crate) fn start(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_body_has_all_four_fields() {
        let body = Error::invalid("model", "no \"model\"").body();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"error":{"message":"no \"model\"","type":"invalid_request_error","param":"model","code":null}}"#
        );
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let error = Error::new(Class::Server, "é".repeat(MAX_MESSAGE_BYTES));
        assert!(error.message.len() <= MAX_MESSAGE_BYTES + '…'.len_utf8());
        assert!(error.message.ends_with("é…"));
    }

    #[test]
    fn a_long_param_is_cut_at_a_character() {
        let error = Error::invalid(format!("x{}", "é".repeat(MAX_PARAM_BYTES)), "m");
        let body: serde_json::Value = serde_json::from_slice(&error.body()).unwrap();
        let param = body["error"]["param"].as_str().unwrap();
        assert!((MAX_PARAM_BYTES - 1..=MAX_PARAM_BYTES).contains(&param.len()), "{}", param.len());
        assert!(param.ends_with('é'));
    }

    #[test]
    fn what_the_provider_says_of_another_try_holds() {
        let said = |class, should_retry| Error { should_retry, ..Error::new(class, "") };
        assert!(said(Class::Client, Some(true)).retryable());
        assert!(said(Class::Client, Some(true)).failover());
        assert!(!said(Class::Server, Some(false)).retryable());
        assert!(said(Class::Server, Some(false)).failover());
        assert!(said(Class::Server, None).retryable() && !said(Class::Client, None).failover());
    }

    #[test]
    fn advice_is_for_clients_of_either_kind() {
        let error = Error { retry_after_ms: Some(1_001), ..Error::new(Class::RateLimit, "") };
        let wait = [("retry-after", "2".to_owned()), ("retry-after-ms", "1001".to_owned())];
        assert_eq!(error.advice().collect::<Vec<_>>(), wait);
        let error = Error { should_retry: Some(false), ..Error::new(Class::Server, "") };
        assert_eq!(error.advice().collect::<Vec<_>>(), [("x-should-retry", "false".to_owned())]);
    }

    #[test]
    fn the_clients_own_fault_never_moves_on() {
        assert!(!Class::Client.failover());
        assert!(Class::ALL.iter().filter(|class| !class.failover()).count() == 2);
    }
}
