//! What the gateway role does with a request before it leaves: find the operation, parse,
//! validate, route. Pure: headers and bytes in, a decision out.

use std::rc::Rc;

use super::asked::Asked;
use super::exchange::{Exchange, Origin};
use super::limited;
use super::refusal::Refusal;
use super::reply::Reply;
use super::service::Service;
use super::tab::Tab;
use crate::config::Gateway;
use crate::config::rule::{Expression, Operation};
use crate::openai::embeddings::ParsedEmbeddings;
use crate::openai::json;
use crate::openai::outer::Tags;
use crate::openai::request::{ParsedChat, read};
use crate::openai::{Class, Error, models};
use crate::providers::Headers;
use crate::routing::estimate::Output;
use crate::routing::wishes::{MODELS_FIELD, RULE_HEADER, TARGET_HEADER};
use crate::routing::{self, Needs, Plan, Question, Wishes, estimate};
use crate::tenancy::{Caller, May};

/// What a request asks for, by method and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking<'a> {
    /// What a provider answers.
    Passed(Operation),
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`.
    Model(&'a str),
}

impl<'a> Asking<'a> {
    /// The operation of a request.
    ///
    /// # Errors
    /// A 404 that says what there is.
    pub fn find(headers: &Headers<'a>) -> Result<Self, Error> {
        let method = headers.text(":method").unwrap_or_default();
        let path = headers.text(":path").unwrap_or_default();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        match (method, path) {
            ("POST", "/v1/chat/completions") => Ok(Self::Passed(Operation::Chat)),
            ("POST", "/v1/embeddings") => Ok(Self::Passed(Operation::Embeddings)),
            ("GET", "/v1/models") => Ok(Self::Models),
            ("GET", path) => match path.strip_prefix("/v1/models/") {
                Some(id) if !id.is_empty() => Ok(Self::Model(id)),
                _ => Err(unknown_path(method, path)),
            },
            _ => Err(unknown_path(method, path)),
        }
    }
}

fn unknown_path(method: &str, path: &str) -> Error {
    let method: String = method.chars().take(16).collect();
    let path: String = path.chars().take(120).collect();
    Error::new(
        Class::NotFound,
        format!(
            "Unknown request: {method} {path}. There are: POST /v1/chat/completions, POST /v1/embeddings, GET /v1/models, GET /v1/models/{{id}}."
        ),
    )
    .with_code("unknown_url")
}

/// Whether a request header is ours or Envoy's to set, and must not come from a client: it would
/// choose a cluster, a timeout or a number of retries.
#[must_use]
pub fn is_control_header(name: &[u8]) -> bool {
    // Envoy sets these two itself, from the connection.
    const KEPT: [&[u8]; 2] = [b"x-envoy-external-address", b"x-envoy-internal"];
    (name.starts_with(b"x-envoy-") && !KEPT.contains(&name)) || name.starts_with(b"x-waypost-")
}

/// The error for a body that is too long.
#[must_use]
pub fn too_large(limit: u64) -> Error {
    Error::new(
        Class::Client,
        format!("The request body is larger than {limit} bytes, the limit of this gateway (limits.body)."),
    )
    .with_status(413)
    .with_code("request_too_large")
}

/// The error while too many bodies are held.
#[must_use]
pub fn too_busy(limit: u64) -> Error {
    let error = Error::new(
        Class::Overloaded,
        format!("This gateway holds {limit} bytes of requests at the moment (limits.held); try again shortly."),
    )
    .with_code("gateway_overloaded");
    Error { retry_after_ms: Some(1_000), ..error }
}

fn may<'g>(gateway: &'g Gateway, caller: Option<&Caller>) -> Option<&'g May> {
    Some(&gateway.tenancy.tenants.get(caller?.terms)?.may)
}

/// Whether the caller may ask for something of this kind.
///
/// # Errors
/// 403 with what it may ask for.
pub fn check_operation(
    gateway: &Gateway,
    caller: &Caller,
    operation: Operation,
) -> Result<(), Error> {
    may(gateway, Some(caller)).map_or(Ok(()), |may| may.check_operation(operation.word()))
}

/// The answer to `GET /v1/models`: what the caller may ask for. `since` is when the configuration came, in seconds since 1970.
#[must_use]
pub fn list_models(gateway: &Gateway, caller: Option<&Caller>, since: u64) -> Reply {
    let listed = routing::models(gateway, may(gateway, caller));
    Reply::ok("waypost_models", models::list(&listed, since))
}

/// The answer to `GET /v1/models/{id}`.
#[must_use]
pub fn show_model(gateway: &Gateway, caller: Option<&Caller>, id: &str, since: u64) -> Reply {
    let id = percent_decode(id);
    let may = may(gateway, caller);
    match routing::models(gateway, may).into_iter().find(|listed| listed.id == id) {
        Some(listed) => {
            let mut body = Vec::new();
            listed.write(&mut body, since);
            Reply::ok("waypost_models", body)
        }
        None => Reply::error(
            "waypost_model_not_found",
            &routing::plan::no_such_model(gateway, may, &id),
        ),
    }
}

/// Decodes `%2F` and the like; what is no such code stays.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| after.split_at_checked(2)).flatten().and_then(
            |(code, after)| {
                let code = std::str::from_utf8(code).ok()?;
                Some((u8::from_str_radix(code, 16).ok()?, after))
            },
        );
        let (byte, after) = code.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A request whose body has come.
pub struct Incoming<'a> {
    /// What it asks for.
    pub operation: Operation,
    /// Its headers, those included that no provider sees.
    pub headers: &'a Headers<'a>,
    /// Its body.
    pub body: Vec<u8>,
    /// Where it comes from.
    pub origin: Origin,
    /// What Envoy says of an expression.
    pub cel: &'a dyn Fn(&Expression) -> bool,
}

/// Parses, validates and routes a request.
///
/// # Errors
/// What the client is told instead.
pub fn open(service: &Rc<Service>, incoming: Incoming<'_>) -> Result<Exchange, Refusal> {
    let Incoming { operation, headers, body, mut origin, cel } = incoming;
    let mut caller = Rc::clone(&origin.caller);
    let route = |question: &Question<'_>, keep: Keep<'_>| {
        if let Some(known) = question.caller {
            caller = Rc::clone(known);
        }
        let mut plan = route(service, question, keep)?;
        let tab = Tab::open(service, &mut plan, question, &caller)?;
        Ok((plan, tab))
    };
    let asking = Some(&origin.caller);
    let (parsed, (plan, tab)) =
        ask(&service.gateway, asking, operation, headers, body, cel, route)?;
    origin.caller = caller;
    match Exchange::open(Rc::clone(service), parsed, plan, origin) {
        Ok(mut exchange) => {
            exchange.charge_to(tab);
            Ok(exchange)
        }
        // The tab is dropped, and nobody is charged.
        Err(refusal) => {
            let limits = tab.map(|tab| limited::headers(&tab.remaining())).unwrap_or_default();
            Err(Refusal { limits, ..refusal })
        }
    }
}

/// Leaves out the candidates of a plan that cannot serve the request.
pub type Keep<'k> = &'k dyn Fn(&mut Plan) -> Result<(), Error>;

/// Parses and validates a request, and goes on with what rules see of it. Every [`Question`] of a
/// client's request is made here, whoever wants to know the answer.
///
/// # Errors
/// What the client is told instead.
pub fn ask<T>(
    gateway: &Gateway,
    caller: Option<&Rc<Caller>>,
    operation: Operation,
    headers: &Headers<'_>,
    body: Vec<u8>,
    cel: &dyn Fn(&Expression) -> bool,
    then: impl FnOnce(&Question<'_>, Keep<'_>) -> Result<T, Refusal>,
) -> Result<(Asked, T), Refusal> {
    let header = |name: &str| headers.text(name);
    let may = may(gateway, caller.map(|caller| &**caller));
    may.map_or(Ok(()), |may| may.check_operation(operation.word()))?;
    match operation {
        Operation::Chat => {
            let mut parsed = ParsedChat::parse(body)?;
            if wants_cost(headers) {
                parsed.include_cost();
            }
            if let Some(may) = may {
                parsed = bound_output(parsed, may)?;
            }
            let chat = parsed.chat();
            let media = chat.validate()?;
            let needs = Needs::of(chat, media, parsed.body().len());
            let metadata = Tags::of(chat.field("metadata"));
            let user = json::string(chat.field("user")).map(|user| user.decode());
            let caller = caller.map(|caller| Caller::with_user(caller, user.as_deref()));
            let question = Question {
                caller: caller.as_ref(),
                metadata: &|name| metadata.text(name),
                user: user.as_deref(),
                input: &|| estimate::chat(chat),
                output: Output::of(chat),
                capabilities: needs.capabilities(),
                cel,
                wishes: wishes(gateway, may, headers, || chat.field(MODELS_FIELD))?,
                ..Question::new(operation, &chat.model, chat.stream, &header)
            };
            let then = then(&question, &|plan| plan.keep_able(&needs, gateway));
            let then = then.map_err(|refusal| refusal.of_model(&chat.model))?;
            Ok((Asked::Chat(parsed), then))
        }
        Operation::Embeddings => {
            let mut parsed = ParsedEmbeddings::parse(body)?;
            if wants_cost(headers) {
                parsed.include_cost();
            }
            let asked = parsed.asked();
            asked.validate()?;
            let metadata = Tags::of(asked.field("metadata"));
            let user = json::string(asked.field("user")).map(|user| user.decode());
            let caller = caller.map(|caller| Caller::with_user(caller, user.as_deref()));
            let question = Question {
                caller: caller.as_ref(),
                metadata: &|name| metadata.text(name),
                user: user.as_deref(),
                input: &|| estimate::embeddings(&asked.input),
                cel,
                wishes: wishes(gateway, may, headers, || asked.field(MODELS_FIELD))?,
                ..Question::new(operation, &asked.model, false, &header)
            };
            let comparable = |plan: &mut Plan| routing::comparable(gateway, plan, asked.dimensions);
            let then = then(&question, &comparable);
            let then = then.map_err(|refusal| refusal.of_model(&asked.model))?;
            Ok((Asked::Embeddings(parsed), then))
        }
    }
}

/// Rules to candidates, those that can serve the request, and their order now.
fn route(service: &Service, question: &Question<'_>, keep: Keep<'_>) -> Result<Plan, Refusal> {
    let mut plan = routing::plan(&service.gateway, question)?;
    match keep(&mut plan).and_then(|()| service.order(&mut plan, question)) {
        Ok(()) => Ok(plan),
        Err(error) => {
            plan.skipped.iter().for_each(|skipped| service.passed_over(skipped));
            Err(Refusal::of(error, plan))
        }
    }
}

/// Refuses more tokens of output than the tenant may ask for, all choices together; a request that asks
/// for none in particular gets as many as it may.
fn bound_output(parsed: ParsedChat, may: &May) -> Result<ParsedChat, Error> {
    let choices = parsed.chat().n.unwrap_or(1);
    let Some(each) = may.output_of_each(choices)? else { return Ok(parsed) };
    for param in ["max_completion_tokens", "max_tokens"] {
        let tokens = parsed.chat().field(param).map(|value| read(param, value)).transpose()?;
        may.check_output(param, tokens.unwrap_or(0), choices)?;
    }
    if parsed.chat().max_tokens.is_none() { parsed.with_max_tokens(each) } else { Ok(parsed) }
}

/// Whether a header asks what the request costs, for clients that cannot put it into the body.
fn wants_cost(headers: &Headers<'_>) -> bool {
    headers.text("x-waypost-cost") == Some("include")
}

/// What the client asks for beside a model. A list of models that it may not send is not read: it
/// may be of any form.
fn wishes<'a>(
    gateway: &Gateway,
    may: Option<&May>,
    headers: &Headers<'a>,
    models: impl FnOnce() -> Option<&'a serde_json::value::RawValue>,
) -> Result<Wishes<'a>, Error> {
    let field = models();
    let models = match Wishes::read_models(field) {
        Err(error) if gateway.clients_may.models && may.is_none_or(May::pins) => return Err(error),
        models => models.unwrap_or_default(),
    };
    Ok(Wishes { rule: headers.text(RULE_HEADER), target: headers.text(TARGET_HEADER), models })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn operation<'a>(method: &'a str, path: &'a str) -> Result<Asking<'a>, Error> {
        Asking::find(&[(":method", method), (":path", path)].into_iter().collect())
    }

    #[test]
    fn the_operation_is_found_by_method_and_path() {
        assert_eq!(
            operation("POST", "/v1/chat/completions?x=1"),
            Ok(Asking::Passed(Operation::Chat))
        );
        assert_eq!(operation("POST", "/v1/embeddings"), Ok(Asking::Passed(Operation::Embeddings)));
        assert_eq!(operation("GET", "/v1/models"), Ok(Asking::Models));
        assert_eq!(operation("GET", "/v1/models/a%2Fb"), Ok(Asking::Model("a%2Fb")));
    }

    #[test]
    fn anything_else_is_a_404_that_says_what_there_is() {
        for (method, path) in [
            ("GET", "/v1/chat/completions"),
            ("GET", "/v1/embeddings"),
            ("POST", "/v1/models"),
            ("POST", "/v1/completions"),
            ("GET", "/v1/models/"),
            ("GET", "/"),
            ("DELETE", "/v1/models/x"),
            ("POST", "/v1/chat/completions/"),
        ] {
            let error = operation(method, path).unwrap_err();
            assert_eq!((error.status, &*error.kind), (404, "invalid_request_error"));
            assert!(error.message.contains(path) && error.message.contains("POST /v1/chat"));
        }
    }

    /// What a request of a tenant that may have 100 tokens says of its output when it leaves.
    fn bounded(fields: &str) -> Result<Option<u64>, Error> {
        let may = May { max_tokens: Some(100), ..May::default() };
        let body = format!(r#"{{"model":"m","messages":[]{fields}}}"#);
        let parsed = bound_output(ParsedChat::parse(body.into_bytes())?, &may)?;
        Ok(parsed.chat().max_tokens)
    }

    #[test]
    fn a_tenants_tokens_of_output_are_those_of_all_choices() {
        assert_eq!(bounded(""), Ok(Some(100)));
        assert_eq!(bounded(r#","n":4"#), Ok(Some(25)));
        assert_eq!(bounded(r#","n":3,"max_completion_tokens":null"#), Ok(Some(33)));
        assert_eq!(bounded(r#","n":4,"max_tokens":25"#), Ok(Some(25)));
        for (fields, param) in [
            (r#","n":4,"max_tokens":26"#, "n"),
            (r#","n":4,"max_tokens":26,"max_completion_tokens":1"#, "n"),
            (r#","n":128"#, "n"),
            (r#","max_completion_tokens":101"#, "max_completion_tokens"),
        ] {
            let error = bounded(fields).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{fields}");
        }
    }

    #[test]
    fn control_headers_never_come_from_a_client() {
        for name in [
            "x-waypost-rule",
            "x-waypost-",
            "x-envoy-max-retries",
            "x-envoy-upstream-rq-timeout-ms",
        ] {
            assert!(is_control_header(name.as_bytes()), "{name}");
        }
        for name in ["x-envoy-external-address", "x-request-id", "x-waypos", "authorization"] {
            assert!(!is_control_header(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn percent_codes_in_a_models_name_are_decoded() {
        assert_eq!(percent_decode("a%2Fb%zz%4"), "a/b%zz%4");
    }
}
