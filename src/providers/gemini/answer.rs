//! A whole answer.

use super::grounding::Grounds;
use super::logprobs;
use super::names::Originals;
use super::wire::{Candidate, End, Piece, Response, failed};
use super::{Answer, Call};
use crate::openai::Error;
use crate::openai::answer::{self, Choice, Completion};
use crate::openai::chunk::FinishReason;
use crate::openai::json::string;
use crate::openai::order::ordered;
use crate::openai::place::from_str;
use crate::providers::failure::no_answer;
use crate::providers::{Payload, answering_model, completion_id, failure};

/// Reads an answer and writes it in canonical form.
///
/// # Errors
/// What is no answer, or an error inside a 200.
pub(super) fn read(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    let text = std::str::from_utf8(body).map_err(|_| no_answer("it is not UTF-8"))?;
    let response: Response<'_> = from_str(text).map_err(|error| {
        if !error.is_data() {
            return no_answer("it is not JSON");
        }
        // Errors come in a list too.
        match failure::message(body) {
            Some(_) if text.trim_start().starts_with('[') => failure::in_stream(body),
            _ => no_answer("it has another form"),
        }
    })?;
    if response.error.is_some() {
        return Err(failure::in_stream(body));
    }
    let candidates = response.candidates.as_ref().map_or(&[][..], |list| list.0.as_slice());
    let choices = match (candidates, response.blocked()) {
        ([], Some(why)) => vec![Choice {
            refusal: Some(why.into_owned()),
            finish: Some(FinishReason::ContentFilter),
            ..Choice::default()
        }],
        ([], None) => return Err(no_answer("it has no candidates")),
        (candidates, _) => read_candidates(candidates, call)?,
    };
    let usage = response.usage();
    let completion = Completion {
        id: completion_id(string(response.response_id), call.id),
        created: call.created,
        model: answering_model(string(response.model_version), call.target.model),
        choices,
        usage: usage.unwrap_or_default(),
    };
    let mut out = Vec::with_capacity(body.len() + 512);
    completion.write(&mut out);
    Ok(Answer { body: Payload::Whole(out), usage })
}

fn read_candidates(candidates: &[Candidate<'_>], call: &Call<'_>) -> Result<Vec<Choice>, Error> {
    let originals = Originals::of(call.chat);
    let mut choices = Vec::with_capacity(candidates.len());
    let mut why = None;
    let mut told = false;
    let candidates = ordered(candidates.iter().collect(), |it: &&Candidate<'_>| it.index());
    for (index, candidate) in (0..).zip(candidates) {
        let mut choice = choice(candidate, index, &originals, call)?;
        let (reason, end) = candidate.end().unwrap_or_else(|| ("STOP".into(), End::Stop));
        choice.finish = Some(end.finish_reason(!choice.tool_calls.is_empty()));
        if end == End::Filtered {
            choice.refusal = candidate.explanation().map(str::to_owned);
        }
        // Thoughts alone are no answer.
        let says =
            choice.content.is_some() || choice.images.is_some() || !choice.tool_calls.is_empty();
        told |= says || end != End::Failed;
        if end == End::Failed {
            why.get_or_insert(reason);
        }
        if !says && choice.reasoning.is_none() && choice.refusal.is_none() {
            choice.content = Some(String::new());
        }
        choices.push(choice);
    }
    match why {
        Some(reason) if !told => Err(failed(&reason)),
        _ => Ok(choices),
    }
}

fn choice(
    candidate: &Candidate<'_>,
    index: u32,
    originals: &Originals,
    call: &Call<'_>,
) -> Result<Choice, Error> {
    let mut choice = Choice::default();
    let mut grounds = Grounds::default();
    let mut images = String::new();
    for part in candidate.parts() {
        match part.piece()? {
            Piece::Text(text) if text.is_empty() => {}
            Piece::Text(text) => {
                choice.content.get_or_insert_default().push_str(text.inner());
                grounds.text(text);
            }
            Piece::Thought(text) if text.is_empty() => {}
            Piece::Thought(text) => {
                choice.reasoning.get_or_insert_default().push_str(text.inner());
            }
            Piece::Call(called) => {
                let extra_content = called.extra_content();
                choice.tool_calls.push(answer::Call {
                    id: called.id(call.id, index, choice.tool_calls.len()),
                    name: originals.original(called.name),
                    arguments: called.arguments,
                    extra_content,
                });
            }
            Piece::Image(image) => {
                images.push(if images.is_empty() { '[' } else { ',' });
                images.push_str(&image);
            }
            Piece::Other => {}
        }
    }
    if !images.is_empty() {
        choice.images = Some(images + "]");
    }
    grounds.sources(candidate.grounding_metadata, candidate.citation_metadata);
    choice.annotations = grounds.annotations();
    let entries = logprobs::entries(candidate.logprobs_result);
    choice.logprobs = entries.map(|entries| logprobs::object(&entries));
    Ok(choice)
}
