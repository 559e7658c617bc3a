//! A whole answer, from Anthropic's words.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::citations;
use super::usage::{Counters, Totals};
use crate::chat::{Annotation, Choice, Content, Extra, Family, FinishReason, Foreign, Part, Reply, Seal};
use crate::error::{Error, Result};
use crate::wire::error::event_error;
use crate::wire::raw::compact;

/// The answer's known members.
#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: Option<Counters>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    container: Option<&'a RawValue>,
    #[serde(borrow)]
    context_management: Option<&'a RawValue>,
    #[serde(borrow)]
    diagnostics: Option<&'a RawValue>,
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
    pub(super) citations: Option<Vec<&'a RawValue>>,
}

/// Reads a Messages answer, as Anthropic and Bedrock's InvokeModel send it.
///
/// # Errors
///
/// 502 for a body that is not one; the provider's own error if the body is one, whatever its status said.
pub fn decode_reply(body: &[u8]) -> Result<Reply> {
    if let Some(error) = event_error(body) {
        return Err(error);
    }
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(not_a_message)?;
    if answer.content.is_none() && answer.stop_reason.is_none() && answer.usage.is_none() {
        return Err(Error::bad_answer("the backend's answer is not an Anthropic message: it has no content"));
    }
    let own = [
        ("stop_details", answer.stop_details),
        ("container", answer.container),
        ("context_management", answer.context_management),
        ("diagnostics", answer.diagnostics),
    ];
    let content = answer.content.unwrap_or_default().into_iter().map(part).collect::<Result<Vec<_>>>()?;
    let finish_reason = finish_reason(answer.stop_reason, answer.stop_sequence);
    let counters = answer.usage.unwrap_or_default();
    Ok(Reply {
        id: answer.id.filter(|id| !id.is_empty()),
        model: answer.model.filter(|model| !model.is_empty()),
        choices: vec![Choice { content, finish_reason, logprobs: Vec::new(), extra: None }],
        usage: Totals::of_answer(&counters).usage(),
        service_tier: counters.service_tier.as_deref().and_then(openai_tier).map(str::to_owned),
        extra: own_extra(own),
    })
}

/// What an answer says that only Anthropic's clients know.
pub(super) fn own_extra<'a>(
    members: impl IntoIterator<Item = (&'static str, Option<&'a RawValue>)>,
) -> Option<Box<Extra>> {
    let said = members.into_iter().filter_map(|(name, json)| Some((name.to_owned(), compact(json?))));
    let members: Vec<_> = said.filter(|(_, json)| json != "null").collect();
    (!members.is_empty()).then(|| Box::new(Extra { family: Family::Anthropic, members }))
}

/// A block that only Anthropic's clients understand: most are about tools that Anthropic runs itself.
pub(super) fn foreign(kind: String, block: &RawValue) -> Foreign {
    Foreign { family: Family::Anthropic, kind, json: compact(block) }
}

fn part(raw: &RawValue) -> Result<Part> {
    let block: Block<'_> = serde_json::from_str(raw.get()).map_err(not_a_message)?;
    Ok(match block.kind.as_str() {
        "text" => {
            let annotations = block.citations.unwrap_or_default().into_iter().map(annotation).collect();
            Part::new(Content::Text { text: block.text.unwrap_or_default(), annotations })
        }
        "thinking" => {
            let signature = block.signature.filter(|signature| !signature.is_empty());
            Part::thinking(block.thinking.unwrap_or_default(), signature.map(seal))
        }
        "redacted_thinking" => {
            let seal = Some(seal(block.data.unwrap_or_default()));
            Part { seal, ..Part::new(Content::RedactedThinking) }
        }
        "tool_use" => Part::new(Content::ToolCall {
            id: block.id.unwrap_or_default(),
            name: block.name.unwrap_or_default(),
            arguments: block.input.map_or_else(|| "{}".to_owned(), compact),
        }),
        _ => Part::new(Content::Foreign(foreign(block.kind, raw))),
    })
}

fn not_a_message(error: serde_json::Error) -> Error {
    Error::bad_answer(format!("the backend's answer is not an Anthropic message: {error}"))
}

/// What a citation of a text says.
pub(super) fn annotation(citation: &RawValue) -> Annotation {
    citations::annotation(&compact(citation))
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
