//! What becomes of an attempt whose answer is whole, or that failed.

use std::borrow::Cow;

use proxy_wasm::types::Action;
use serde_json::from_slice;
use serde_json::value::RawValue;

use super::{ALL, MAX_BUFFERED_BYTES, Phase, ProviderStream, commit};
use crate::filter::collected::{Collected, MAX_ANSWER_BYTES, NO_ROOM, Overflow};
use crate::filter::exchange::{counted, for_client, without_secrets};
use crate::filter::host::{self, Buffer, Level, Map, borrow};
use crate::filter::property::CLUSTER;
use crate::filter::reply::Reply;
use crate::openai::{Class, Error};
use crate::providers::failure::message;
use crate::providers::stream::said::text_bytes;
use crate::providers::{Headers, Payload};

/// The response header that the route's `retriable_headers` name.
const FAILOVER: &str = "x-waypost-failover";

impl ProviderStream {
    pub(super) fn judge_refusal(&mut self, collected: &Collected) -> Action {
        let Some(attempt) = &self.attempt else { return Action::Continue };
        let (error, instead) = {
            let exchange = attempt.exchange.borrow();
            let headers = Headers::new(collected.headers.pairs());
            let status = attempt.status.unwrap_or(0);
            let error = match exchange.candidate(attempt.candidate) {
                Some(found) => found.provider.api.dialect.error(status, &headers, &collected.body),
                None => Error::new(Class::Server, "the candidate is gone"),
            };
            // A stream was asked for; a whole answer that came instead has its price.
            let instead = (200..300).contains(&status).then(|| {
                exchange.answer(attempt.candidate, &headers, &collected.body).map(|it| it.usage)
            });
            (error, instead)
        };
        match instead {
            Some(Ok(usage)) => attempt.exchange.borrow_mut().garbled(usage),
            Some(Err(_)) if !tells_error(&collected.body) => {
                attempt.exchange.borrow_mut().garbled(None);
            }
            Some(Err(_)) | None => {}
        }
        self.fail(&error)
    }

    pub(super) fn judge_answer(&mut self, collected: &Collected) -> Action {
        let Some(attempt) = &self.attempt else { return Action::Continue };
        let now = host::monotonic();
        let answer = if let Some(overflow) = collected.overflow {
            attempt.exchange.borrow_mut().unread();
            Err(overflow.error())
        } else {
            let exchange = attempt.exchange.borrow();
            let headers = Headers::new(collected.headers.pairs());
            exchange.answer(attempt.candidate, &headers, &collected.body)
        };
        match answer {
            Ok(answer) => {
                let body = answer.body.apply(&collected.body);
                let mut exchange = attempt.exchange.borrow_mut();
                let uncounted = counted(answer.usage).is_none();
                exchange.told(answer.usage, if uncounted { text_bytes(&body) } else { 0 });
                exchange.answered_by(&body);
                if body.len() > MAX_ANSWER_BYTES {
                    exchange.unread();
                    drop(exchange);
                    return self.fail(&Overflow::Body.error());
                }
                exchange.answered(attempt.at, now);
                exchange.journey.inside += host::since(now);
                if let Some(spoken) = &mut exchange.journey.spoken {
                    spoken.answer(&body);
                }
                let billed = exchange.bill().and_then(|bill| bill.in_answer(&body));
                let same = answer.body == Payload::Same && billed.is_none();
                let body = billed.map_or(body, Cow::Owned);
                if body.len() > MAX_BUFFERED_BYTES {
                    exchange.commit(200, body.len());
                    let reply = Reply::ok("waypost_answer", body.into_owned());
                    let mut headers = reply.headers();
                    headers.extend(exchange.signature(&attempt.warnings));
                    drop(exchange);
                    host::reply(reply.status, reply.details, &borrow(&headers), &reply.body);
                    return Action::Pause;
                }
                commit(
                    &mut exchange,
                    &attempt.warnings,
                    200,
                    "application/json",
                    Some(body.len()),
                    None,
                );
                if !(collected.left && same) {
                    host::replace(Buffer::Response, ALL, &body);
                }
                Action::Continue
            }
            Err(error) => {
                if !tells_error(&collected.body) {
                    attempt.exchange.borrow_mut().garbled(None);
                }
                self.fail(&error)
            }
        }
    }

    /// The attempt failed before anything went to the client: on to the next candidate, or tell
    /// the client.
    pub(super) fn fail(&mut self, error: &Error) -> Action {
        self.phase = Phase::Over { swallow: true };
        let Some(attempt) = &self.attempt else { return Action::Continue };
        let mut guard = attempt.exchange.borrow_mut();
        let exchange = &mut *guard;
        let error = &self.own(error);
        if error.code.as_deref() == Some(NO_ROOM) {
            exchange.given_up(attempt.at, attempt.status, error, host::monotonic());
        } else {
            exchange.failed(attempt.at, attempt.status, error, host::monotonic());
        }
        let next =
            exchange.move_on(attempt.candidate, error).map(|next| next.endpoint.cluster.clone());
        let seen = for_client(error, &self.credentials.provider);
        let body = seen.body();
        let placed = host::replace(Buffer::Response, ALL, &body);
        if let Some(cluster) = next {
            host::set_property(CLUSTER, &cluster);
            let status = seen.status.to_string();
            host::set_headers(Map::Response, &[(":status", &status), (FAILOVER, "1")]);
            return Action::Continue;
        }
        if placed {
            commit(
                exchange,
                &attempt.warnings,
                seen.status,
                "application/json",
                Some(body.len()),
                Some(&seen),
            );
            return Action::Continue;
        }
        // Only headers are here, so there is no body that could be replaced.
        exchange.commit(seen.status, body.len());
        let reply = Reply::error("waypost_failed", &seen);
        let mut headers = reply.headers();
        headers.extend(exchange.signature(&attempt.warnings));
        drop(guard);
        host::reply(reply.status, reply.details, &borrow(&headers), &reply.body);
        Action::Pause
    }

    /// An error, with the reason that only this side knows.
    fn own(&self, error: &Error) -> Error {
        if self.credentials.missing && error.class == Class::Auth {
            let message = format!("no credential for \"{}\" is set", self.credentials.provider);
            host::log(Level::Error, &format!("waypost: {message}"));
            return Error { message, ..error.clone() };
        }
        if error.class == Class::Auth {
            host::log(
                Level::Error,
                &format!(
                    "waypost: \"{}\" refused the credential it is configured with",
                    self.credentials.provider
                ),
            );
        }
        without_secrets(error, &self.credentials.secrets)
    }
}

/// Whether a body says what is wrong, in whatever form. Half an object says nothing, though it is read
/// as a text then.
fn tells_error(body: &[u8]) -> bool {
    let half =
        || body.trim_ascii_start().starts_with(b"{") && from_slice::<&RawValue>(body).is_err();
    message(body).is_some() && !half()
}
