//! A whole answer, in Gemini's words.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::answer::reason_of;
use super::super::part::media;
use super::super::types::{FunctionCall, KnownPart, Part};
use super::super::usage::UsageMetadata;
use super::signatures::to_client;
use super::types::{Beside, Candidate, Citation, Own, Response, Told};
use crate::chat::{self, Choice, Content, Family, Foreign, Losses, MediaKind, Reply, Seal, Source};
use crate::wire::fields::Path;
use crate::wire::{Asked, to_json};

/// Writes a `GenerateContentResponse`. What `reply` leaves out comes from `asked`.
pub(super) fn encode(asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
    let own = Own::of(reply.extra.as_deref(), losses);
    let (mut own, mut prompt_feedback) = own.split();
    let mut candidates = Vec::with_capacity(reply.choices.len());
    for (index, choice) in reply.choices.iter().enumerate() {
        let (own_of_choice, feedback) = Own::of(choice.extra.as_deref(), losses).split();
        let mut all = std::mem::take(&mut own);
        all.extend(own_of_choice);
        // Gemini answers a prompt that it blocks with nothing else.
        if feedback.is_some() && choice.content.is_empty() {
            prompt_feedback = feedback;
            continue;
        }
        candidates.push(candidate(index, choice, all, losses));
    }
    to_json(&Response {
        candidates,
        prompt_feedback,
        usage_metadata: Some(UsageMetadata::of(&reply.usage, reply.service_tier.as_deref())),
        model_version: reply.model.as_deref().unwrap_or(&asked.model),
        response_id: reply.id.as_deref().unwrap_or(&asked.id),
    })
}

fn candidate<'a>(index: usize, choice: &'a Choice, own: Own<'a>, losses: &mut Losses) -> Candidate<'a> {
    let mut parts = Vec::with_capacity(choice.content.len());
    let mut citations = Vec::new();
    // Gemini counts in all of the text.
    let mut before = 0_usize;
    let mut is_refused = false;
    for (position, part) in choice.content.iter().enumerate() {
        match &part.content {
            Content::Text { text, annotations } => {
                for annotation in annotations {
                    let span = annotation.span.and_then(|span| bytes(text, span, before));
                    citations.extend(citation(position, annotation, span, losses));
                }
                before = before.saturating_add(text.len());
                let known = KnownPart { text: Some(Cow::Borrowed(text)), ..KnownPart::default() };
                if !text.is_empty() || part.seal.is_some() {
                    parts.push(sealed(known, part.seal.as_ref()));
                }
            }
            Content::Refusal(text) => {
                is_refused = true;
                parts.extend((!text.is_empty()).then(|| Part::text(text.as_str())));
            }
            Content::Thinking { text } => {
                let known = thought(Some(text));
                if !text.is_empty() || part.seal.is_some() {
                    parts.push(sealed(known, part.seal.as_ref()));
                }
            }
            Content::RedactedThinking => {
                parts.extend(part.seal.as_ref().map(|seal| sealed(thought(None), Some(seal))));
            }
            Content::ToolCall { id, name, arguments } => {
                parts.push(call(position, id, name, arguments, part.seal.as_ref(), losses));
            }
            Content::Media { kind, source, name, .. } => {
                let known = medium(position, *kind, source, name.as_deref(), losses);
                parts.extend(known.map(|known| sealed(known, part.seal.as_ref())));
            }
            Content::Foreign(foreign) => parts.extend(own_part(position, foreign, losses)),
            // No model answers with these.
            Content::ToolResult { .. } => {}
        }
    }
    let finish = Some(reason_of(&choice.finish_reason, is_refused));
    Candidate::new(index, parts, Beside { finish, citations, logprobs: &choice.logprobs, own })
}

/// A thought; one that only its provider can read has no text.
pub(super) fn thought(text: Option<&str>) -> KnownPart<'_> {
    KnownPart { text: text.map(Cow::Borrowed), thought: Some(true), ..KnownPart::default() }
}

pub(super) fn sealed<'a>(part: KnownPart<'a>, seal: Option<&'a Seal>) -> Part<'a> {
    KnownPart { thought_signature: seal.map(to_client), ..part }.into()
}

/// A call. Its id may have the seal in it, for which there is a place of its own here.
pub(super) fn call<'a>(
    position: usize,
    id: &'a str,
    name: &'a str,
    arguments: &'a str,
    seal: Option<&'a Seal>,
    losses: &mut Losses,
) -> Part<'a> {
    let (id, in_id) = Seal::of_id(id);
    let signature = seal.map(to_client).or_else(|| {
        let seal = in_id?;
        Some(Cow::Owned(to_client(&seal).into_owned()))
    });
    let function_call = FunctionCall {
        id: (!id.is_empty()).then_some(id),
        name: Cow::Borrowed(name),
        args: Cow::Borrowed(args(position, arguments, losses)),
    };
    let known = KnownPart { function_call: Some(function_call), ..KnownPart::default() };
    KnownPart { thought_signature: signature, ..known }.into()
}

/// The arguments as the object that Gemini's clients expect; what is none, such as one that was cut, is `{}`.
fn args<'a>(position: usize, arguments: &'a str, losses: &mut Losses) -> &'a RawValue {
    let arguments = match arguments.trim() {
        "" => "{}",
        arguments => arguments,
    };
    let object = serde_json::from_str(arguments).ok().filter(|_| arguments.starts_with('{'));
    object.unwrap_or_else(|| {
        let path = format_args!("answer.content[{position}].functionCall.args");
        losses.add(path, "the arguments are no JSON object");
        serde_json::from_str("{}").unwrap_or(RawValue::NULL)
    })
}

pub(super) fn medium<'a>(
    position: usize,
    kind: MediaKind,
    source: &'a Source,
    name: Option<&'a str>,
    losses: &mut Losses,
) -> Option<KnownPart<'a>> {
    let known = media(&Path::Root, kind, source, name).ok();
    if known.is_none() {
        losses.add(format_args!("answer.content[{position}]"), "a file of another provider's");
    }
    known
}

/// What Gemini itself wrote, or a loss of what others did.
pub(super) fn own_part<'a>(position: usize, foreign: &'a Foreign, losses: &mut Losses) -> Option<Part<'a>> {
    if foreign.family == Family::Google
        && let Ok(json) = serde_json::from_str(&foreign.json)
    {
        return Some(Part::Own(Cow::Borrowed(json)));
    }
    let path = format_args!("answer.content[{position}].{}", foreign.kind);
    losses.add(path, "parts of this type are not known to Gemini's clients");
    None
}

pub(super) fn citation<'a>(
    position: usize,
    annotation: &'a chat::Annotation,
    span: Option<(usize, usize)>,
    losses: &mut Losses,
) -> Option<Citation<'a>> {
    match Told::of(annotation, span) {
        Told::As(citation) => Some(citation),
        Told::Elsewhere => None,
        Told::Lost => {
            losses.add(
                format_args!("answer.content[{position}].citations"),
                "the text comes without this source",
            );
            None
        }
    }
}

/// Characters of a text that has `before` bytes before it, in bytes.
fn bytes(text: &str, (start, end): (usize, usize), before: usize) -> Option<(usize, usize)> {
    let mut offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]);
    let first = offsets.nth(start)?;
    let last = offsets.nth(end.checked_sub(start)?.checked_sub(1)?)?;
    Some((before.saturating_add(first), before.saturating_add(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_become_bytes() {
        for (span, expected) in [
            ((0, 1), Some((10, 12))),
            ((1, 4), Some((12, 15))),
            ((0, 4), Some((10, 15))),
            ((2, 2), None),
            ((3, 5), None),
            ((5, 6), None),
        ] {
            assert_eq!(bytes("éabc", span, 10), expected, "{span:?}");
        }
    }
}
