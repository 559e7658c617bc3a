//! A whole answer, from Gemini's words.

use super::answer::{Answer, Candidate, MAX_CANDIDATES, Piece, finish_reason, piece};
use super::{format, sources};
use crate::chat::{Choice, Content, FinishReason, Part, Reply};
use crate::error::{Error, Result};
use crate::wire::Asked;
use crate::wire::error::event_error;

/// Reads a `GenerateContentResponse`.
///
/// # Errors
///
/// 502 for a body that is not one; the provider's own error if the body is one, whatever its status said.
pub(super) fn decode(asked: &Asked, body: &[u8]) -> Result<Reply> {
    if let Some(error) = event_error(body) {
        return Err(error);
    }
    let not_one = |why: String| {
        Error::bad_answer(format!("the backend's answer is not a GenerateContentResponse: {why}"))
    };
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| not_one(error.to_string()))?;
    if answer.is_nothing() {
        return Err(not_one("it has no candidates".to_owned()));
    }
    let block = answer.block();
    let extra = answer.extra().map(Box::new);
    let usage = answer.usage_metadata.unwrap_or_default();
    let mut choices: Vec<Choice> = Vec::new();
    let mut names = Names::new(asked, answer.response_id.as_deref());
    let mut candidates = answer.candidates.unwrap_or_default();
    candidates.truncate(usize::try_from(MAX_CANDIDATES).unwrap_or_default());
    // They may come in another order; one without an index stays where it is.
    candidates.sort_by_key(|candidate| candidate.index.unwrap_or_default());
    for candidate in candidates {
        choices.push(choice(candidate, &mut names, format::is_quoted(&asked.request)));
    }
    if let (true, Some(block)) = (choices.is_empty(), block) {
        choices.push(Choice {
            content: Vec::new(),
            finish_reason: FinishReason::ContentFilter,
            logprobs: Vec::new(),
            extra: Some(Box::new(block.extra)),
        });
    }
    Ok(Reply {
        id: answer.response_id.filter(|id| !id.is_empty()),
        model: answer.model_version.filter(|model| !model.is_empty()),
        choices,
        usage: usage.usage(),
        service_tier: usage.service_tier().map(str::to_owned),
        extra,
    })
}

fn choice(candidate: Candidate<'_>, names: &mut Names, is_quoted: bool) -> Choice {
    let extra = candidate.extra().map(Box::new);
    let mut content: Vec<Part> = Vec::new();
    // Where in the content each of the parts with text is.
    let mut texts = Vec::new();
    let mut has_calls = false;
    let parts = candidate.content.and_then(|turn| turn.parts).unwrap_or_default();
    for (index, raw) in parts.into_iter().enumerate() {
        let (piece, seal) = piece(raw);
        let said = match piece {
            Piece::Text(text) => {
                texts.push((index, content.len()));
                Content::text(if is_quoted { format::unquoted(text) } else { text })
            }
            Piece::Thought(text) => Content::Thinking { text },
            Piece::Call(call) => {
                has_calls = true;
                let arguments = call.arguments();
                let id = names.of_call(call.id, seal.as_ref());
                Content::ToolCall { id, name: call.name.unwrap_or_default(), arguments }
            }
            Piece::Other(content) => content,
            Piece::Nothing => continue,
        };
        content.push(Part { seal, ..Part::new(said) });
    }
    let found = {
        let text = |position: usize| match content.get(position).map(|part| &part.content) {
            Some(Content::Text { text, .. }) => text.as_str(),
            _ => "",
        };
        let texts: Vec<_> = texts.iter().map(|(index, position)| (*index, text(*position))).collect();
        sources::annotations(candidate.grounding_metadata, candidate.citation_metadata, &texts)
    };
    for (text, annotation) in found {
        let position = texts.get(text).map(|(_, position)| *position);
        let part = position.and_then(|position| content.get_mut(position));
        if let Some(Part { content: Content::Text { annotations, .. }, .. }) = part {
            annotations.push(annotation);
        }
    }
    Choice {
        content,
        finish_reason: finish_reason(candidate.finish_reason.as_deref(), has_calls),
        logprobs: candidate.logprobs_result.map(|result| result.tokens()).unwrap_or_default(),
        extra,
    }
}

/// Names for calls. Older models give none, and most client APIs have no place for a call's signature but its name.
#[derive(Debug)]
pub(super) struct Names {
    /// Unique among all answers of a conversation.
    answer: String,
    count: usize,
}

impl Names {
    pub(super) fn new(asked: &Asked, response: Option<&str>) -> Self {
        let answer = response.filter(|id| !id.is_empty()).unwrap_or(&asked.id);
        let is_allowed = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        Self { answer: answer.chars().filter(is_allowed).take(64).collect(), count: 0 }
    }

    pub(super) fn of_call(&mut self, own: Option<String>, seal: Option<&crate::chat::Seal>) -> String {
        let id = own.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            let id = format!("call_{}_{}", self.answer, self.count);
            self.count = self.count.saturating_add(1);
            id
        });
        seal.map_or_else(|| id.clone(), |seal| seal.in_id(&id))
    }
}
