//! Which kind of failure it is: by what the provider calls it, then by what it says, then by the
//! status.

use super::Said;
use crate::openai::Class;

/// The class of a failure. `status` below 400 means that the status says nothing.
#[must_use]
pub fn classify(status: u16, said: &Said) -> Class {
    let message = said.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    let words = [&said.reason, &said.code, &said.kind];
    let words = words.into_iter().flatten().map(String::as_str);
    // A refusal for its length is one of the request, whatever else it is called, unless it blames
    // one field.
    let one_field = words.clone().any(|word| plain(word) == TOO_LONG_FIELD);
    if matches!(status, ..400 | 400 | 413 | 422 | 500) && !one_field && is_context(&message) {
        return Class::ContextLength;
    }
    let named = words.clone().find_map(|word| by_word(status, word));
    match (named, by_message(status, &message)) {
        // Payment is required, whatever else the provider calls it.
        _ if said.exhausted || status == 402 => Class::Quota,
        // "No money" is told as a rate limit or as a bad request by some.
        (Some(Class::RateLimit) | None, Some(told)) => told,
        (Some(named), _) => named,
        (None, None) => by_status(status, words),
    }
}

/// The last part of an exception's name: `ThrottlingException` of
/// `com.amazonaws.bedrock#ThrottlingException:http://internal.amazon.com/`.
#[must_use]
pub fn bare(kind: &str) -> &str {
    let kind = kind.split_once(':').map_or(kind, |(kind, _)| kind);
    kind.rsplit_once('#').map_or(kind, |(_, kind)| kind)
}

/// Words that mean one class, whatever the status. Compared without case, `_`, `-`, `.` and blanks.
const WORDS: &[(&str, Class)] = &[
    ("contextlengthexceeded", Class::ContextLength),
    ("modelcontextwindowexceeded", Class::ContextLength),
    ("contentfilter", Class::ContentFilter),
    ("contentpolicyviolation", Class::ContentFilter),
    ("responsibleaipolicyviolation", Class::ContentFilter),
    ("datainspectionfailed", Class::ContentFilter),
    ("cyberpolicy", Class::ContentFilter),
    ("moderationblocked", Class::ContentFilter),
    ("invalidprompt", Class::ContentFilter),
    ("insufficientquota", Class::Quota),
    ("insufficientbalance", Class::Quota),
    ("creditbalanceexhausted", Class::Quota),
    ("organizationusagelimitexceeded", Class::Quota),
    ("billingerror", Class::Quota),
    ("billingnotactive", Class::Quota),
    ("billinghardlimitreached", Class::Quota),
    ("arrearage", Class::Quota),
    ("servicequotaexceededexception", Class::Quota),
    ("invalidapikey", Class::Auth),
    ("apikeyinvalid", Class::Auth),
    ("authenticationerror", Class::Auth),
    ("unauthenticated", Class::Auth),
    ("unauthorized", Class::Auth),
    ("expiredtoken", Class::Auth),
    ("expiredtokenexception", Class::Auth),
    ("unrecognizedclientexception", Class::Auth),
    ("invalidsignatureexception", Class::Auth),
    ("incompletesignature", Class::Auth),
    ("incompletesignatureexception", Class::Auth),
    ("signaturedoesnotmatch", Class::Auth),
    ("invalidclienttokenid", Class::Auth),
    ("missingauthenticationtoken", Class::Auth),
    ("missingauthenticationtokenexception", Class::Auth),
    ("permissionerror", Class::Permission),
    ("permissiondenied", Class::Permission),
    // Gemini's word for a country or an account that it does not serve.
    ("failedprecondition", Class::Permission),
    ("accessdenied", Class::Permission),
    ("accessdeniedexception", Class::Permission),
    ("modelnotfound", Class::NotFound),
    ("modeldecommissioned", Class::NotFound),
    ("invalidmodel", Class::NotFound),
    ("deploymentnotfound", Class::NotFound),
    ("notfounderror", Class::NotFound),
    ("notfound", Class::NotFound),
    ("resourcenotfoundexception", Class::NotFound),
    ("ratelimitexceeded", Class::RateLimit),
    ("ratelimiterror", Class::RateLimit),
    ("ratelimited", Class::RateLimit),
    ("ramplimitexceeded", Class::RateLimit),
    ("resourceexhausted", Class::RateLimit),
    ("slowdown", Class::RateLimit),
    ("toomanyrequests", Class::RateLimit),
    ("toomanyrequestsexception", Class::RateLimit),
    ("timeout", Class::Timeout),
    ("timeouterror", Class::Timeout),
    ("requesttimeout", Class::Timeout),
    ("deadlineexceeded", Class::Timeout),
    ("modeltimeoutexception", Class::Timeout),
    ("overloaded", Class::Overloaded),
    ("overloadederror", Class::Overloaded),
    ("serverisoverloaded", Class::Overloaded),
    ("engineoverloadederror", Class::Overloaded),
    ("serviceunavailable", Class::Overloaded),
    ("serviceunavailableerror", Class::Overloaded),
    ("serviceunavailableexception", Class::Overloaded),
    ("unavailable", Class::Overloaded),
    ("modelnotreadyexception", Class::Overloaded),
    ("capacityexceeded", Class::Overloaded),
    // Groq's model wrote no call or no JSON; the next time it may.
    ("toolusefailed", Class::Server),
    ("jsonvalidatefailed", Class::Server),
];

/// Words that say whose fault it is, where no status does.
const WHOSE: &[(&str, Class)] = &[
    ("invalidrequesterror", Class::Client),
    ("invalidargument", Class::Client),
    ("validationexception", Class::Client),
    ("badrequest", Class::Client),
    ("requesttoolarge", Class::Client),
    ("unsupportedvalue", Class::Client),
    ("unsupportedparameter", Class::Client),
];

/// It blames one field that is too long, such as `user`, and not the conversation.
const TOO_LONG_FIELD: &str = "stringabovemaxlength";

fn by_word(status: u16, word: &str) -> Option<Class> {
    let word = plain(word);
    if word == TOO_LONG_FIELD {
        return Some(Class::Client);
    }
    if word.starts_with("throttling") {
        return Some(Class::RateLimit);
    }
    if ["spendlimitexceeded", "spendlimitreached"].iter().any(|end| word.ends_with(end)) {
        return Some(Class::Quota);
    }
    let (_, class) = WORDS.iter().find(|(known, _)| *known == word)?;
    // Beside a 400, `not_found` speaks of a file or an id in the request.
    match class {
        Class::NotFound if status == 400 && word.starts_with("notfound") => None,
        // What is missing is money.
        Class::Permission if status == 402 => None,
        _ => Some(*class),
    }
}

fn by_message(status: u16, message: &str) -> Option<Class> {
    let says = |patterns: &[&str]| patterns.iter().any(|pattern| message.contains(pattern));
    if !matches!(status, ..500) {
        return None;
    }
    const FILTERED: [&str; 5] = [
        "content filtering policy",
        "content management policy",
        "your input was flagged",
        // xAI, as a 403.
        "content violates usage guidelines",
        "flagged as potentially violating",
    ];
    if says(&FILTERED) {
        return Some(Class::ContentFilter);
    }
    if says(&[
        "credit balance is too low",
        "insufficient balance",
        "insufficient credits",
        "have any credits",
    ]) {
        return Some(Class::Quota);
    }
    // Gemini tells of a limit that leaves nothing at all as of one that a minute lifts.
    if status == 429 && (says(&["limit: 0,", "limit: 0 "]) || message.ends_with("limit: 0")) {
        return Some(Class::Quota);
    }
    // Cohere's trial keys have a limit by the minute and one by the month.
    if status == 429 && says(&["calls / month", "per month", "monthly"]) {
        return Some(Class::Quota);
    }
    match status {
        ..=400
            if says(&[
                "api key not valid",
                "api key expired",
                "invalid api key",
                "incorrect api key",
            ]) =>
        {
            Some(Class::Auth)
        }
        // Bedrock's last one speaks of a model that must be asked for by another name.
        ..=400
            if says(&[
                "model identifier is invalid",
                "invalid model id",
                "with on-demand throughput isn",
            ]) =>
        {
            Some(Class::NotFound)
        }
        // Bedrock refuses its keys as it refuses what they may not do.
        403 if says(&["make sure your api key is valid"]) => Some(Class::Auth),
        // Groq's flex tier is out of capacity; Cohere's token is invalid.
        498 if says(&["capacity"]) => Some(Class::Overloaded),
        _ => None,
    }
}

fn by_status<'a>(status: u16, mut words: impl Iterator<Item = &'a str>) -> Class {
    match status {
        ..400 => words
            .find_map(|word| {
                let word = plain(word);
                WHOSE.iter().find(|(known, _)| *known == word).map(|(_, class)| *class)
            })
            .unwrap_or(Class::Server),
        401 | 498 => Class::Auth,
        402 => Class::Quota,
        403 => Class::Permission,
        404 | 410 => Class::NotFound,
        408 | 499 | 504 | 522 | 524 => Class::Timeout,
        424 => Class::Server,
        429 => Class::RateLimit,
        400..500 => Class::Client,
        503 | 529 => Class::Overloaded,
        _ => Class::Server,
    }
}

/// Phrases of a request that does not fit, in lower case.
const CONTEXT: &[&str] = &[
    "maximum context length",
    "context_length_exceeded",
    "prompt is too long",
    "prompt: length",
    "exceed context limit",
    "input is too long",
    "too many input tokens",
    // Vertex: "the input token count is N but model only supports up to M".
    "input token count",
    "exceeds the maximum number of tokens",
    "input tokens exceed the configured limit",
    "exceeds the available context size",
    "longer than the model's context length",
    "maximum prompt length",
    "expected maxlength",
    "range of input length should be",
    "tokens + `max_new_tokens` must be",
];

/// `message` is in lower case.
fn is_context(message: &str) -> bool {
    let both = |first: &str, second: &str| {
        message.split_once(first).is_some_and(|(_, after)| after.contains(second))
    };
    CONTEXT.iter().any(|phrase| message.contains(phrase))
        || both("current length is", "while limit is")
        || both("input too long:", "input tokens, limit is")
        || (message.contains("too many tokens") && !is_throttle(message))
}

/// Bedrock says "Too many tokens, please wait before trying again" of its limit per minute.
fn is_throttle(message: &str) -> bool {
    ["please wait", "per minute", "per day", "tpm", "rate limit", "try again"]
        .iter()
        .any(|phrase| message.contains(phrase))
}

fn plain(word: &str) -> String {
    let kept = word.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' '));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}
