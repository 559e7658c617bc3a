//! A whole answer, from Anthropic's words.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::{Counters, Totals};
use crate::chat::{Choice, Content, Family, FinishReason, Losses, Part, Reply, Seal};
use crate::error::{Error, Result};
use crate::wire::error::event_error;
use crate::wire::raw::compact;

/// The answer's known members.
#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: Option<Counters>,
}

/// A content block of any type: which members it has depends on `kind`.
#[derive(Deserialize)]
pub(super) struct Block<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
}

/// Reads a Messages answer, as Anthropic and Bedrock's InvokeModel send it.
///
/// # Errors
///
/// 502 for a body that is not one; the provider's own error if the body is one, whatever its status said.
pub fn decode_reply(body: &[u8], losses: &mut Losses) -> Result<Reply> {
    if let Some(error) = event_error(body) {
        return Err(error);
    }
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        Error::bad_answer(format!("the backend's answer is not an Anthropic message: {error}"))
    })?;
    if answer.content.is_none() && answer.stop_reason.is_none() && answer.usage.is_none() {
        return Err(Error::bad_answer("the backend's answer is not an Anthropic message: it has no content"));
    }
    let mut content = Vec::new();
    for (index, block) in answer.content.unwrap_or_default().into_iter().enumerate() {
        if block.citations.is_some_and(|citations| compact(citations) != "[]") {
            lose_citations(index, losses);
        }
        let kind = block.kind.clone();
        match part(block) {
            Some(part) => content.push(part),
            None => lose_block(index, &kind, losses),
        }
    }
    let finish_reason = finish_reason(answer.stop_reason, answer.stop_sequence);
    let counters = answer.usage.unwrap_or_default();
    Ok(Reply {
        id: answer.id.filter(|id| !id.is_empty()),
        model: answer.model.filter(|model| !model.is_empty()),
        choices: vec![Choice { content, finish_reason, logprobs: Vec::new(), extra: None }],
        usage: Totals::of_answer(&counters).usage(),
        service_tier: counters.service_tier.as_deref().and_then(openai_tier).map(str::to_owned),
        extra: None,
    })
}

/// A block of a type that the neutral form does not have.
pub(super) fn lose_block(index: impl Display, kind: &str, losses: &mut Losses) {
    losses.add(
        format_args!("answer.content[{index}].{kind}"),
        "blocks of this type are not known to this gateway",
    );
}

pub(super) fn lose_citations(index: impl Display, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{index}].citations"), "the text comes without its sources");
}

/// Blocks of other types are about tools that Anthropic runs itself; a request from here cannot have asked for them.
fn part(block: Block<'_>) -> Option<Part> {
    Some(match block.kind.as_str() {
        "text" => Part::text(block.text.unwrap_or_default()),
        "thinking" => {
            let signature = block.signature.filter(|signature| !signature.is_empty());
            Part::thinking(block.thinking.unwrap_or_default(), signature.map(seal))
        }
        "redacted_thinking" => {
            let seal = Some(seal(block.data.unwrap_or_default()));
            Part { seal, ..Part::new(Content::RedactedThinking) }
        }
        "tool_use" | "server_tool_use" => Part::new(Content::ToolCall {
            id: block.id.unwrap_or_default(),
            name: block.name.unwrap_or_default(),
            arguments: block.input.map_or_else(|| "{}".to_owned(), compact),
        }),
        _ => return None,
    })
}

/// What Claude signed or sealed.
pub(super) fn seal(data: String) -> Seal {
    Seal { by: Family::Anthropic, data }
}

/// <https://docs.anthropic.com/en/api/handling-stop-reasons>
pub(super) fn finish_reason(reason: Option<String>, sequence: Option<String>) -> FinishReason {
    match reason.as_deref() {
        None | Some("end_turn") => FinishReason::Stop,
        Some("stop_sequence") => FinishReason::StopSequence(sequence),
        Some("max_tokens") => FinishReason::Length,
        Some("model_context_window_exceeded") => FinishReason::ContextWindow,
        Some("tool_use") => FinishReason::ToolCalls,
        Some("refusal") => FinishReason::ContentFilter,
        Some("pause_turn") => FinishReason::Pause,
        Some(_) => FinishReason::Other(reason.unwrap_or_default()),
    }
}

pub(super) fn openai_tier(tier: &str) -> Option<&'static str> {
    match tier {
        "standard" => Some("default"),
        "priority" => Some("priority"),
        _ => None,
    }
}
