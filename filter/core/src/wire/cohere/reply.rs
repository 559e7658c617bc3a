//! A whole answer, from Cohere's words.

use serde_json::value::RawValue;

use super::answer::{Answer, Block, Call, Cited, Logprob, Message, citation, finish_reason};
use crate::chat::{Choice, Content, Family, Foreign, Losses, Part, Reply};
use crate::error::{Error, Result};
use crate::wire::Asked;
use crate::wire::error::event_error;
use crate::wire::openai::chat::call_id;
use crate::wire::raw::compact;
use crate::wire::usage::cohere_usage;

/// Reads an answer of `/v2/chat`.
///
/// # Errors
///
/// 502 for a body that is none; the provider's own error if the body is one, whatever its status said.
pub(super) fn decode(asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply> {
    if let Some(error) = event_error(body) {
        return Err(error);
    }
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(not_a_chat)?;
    let Some(message) = answer.message else {
        return Err(Error::bad_answer("the backend's answer is not one of Cohere's chat: it has no message"));
    };
    let content = content(asked, message, losses)?;
    let has_calls = content.iter().any(|part| matches!(part.content, Content::ToolCall { .. }));
    let finish_reason = finish_reason(answer.finish_reason, None, has_calls)?;
    let logprobs = answer.logprobs.unwrap_or_default().into_iter().filter_map(Logprob::token).collect();
    Ok(Reply {
        id: answer.id.filter(|id| !id.is_empty()),
        // It does not tell.
        model: None,
        choices: vec![Choice { content, finish_reason, logprobs, extra: None }],
        usage: answer.usage.map(|usage| cohere_usage(usage.get().as_bytes())).unwrap_or_default(),
        service_tier: None,
        extra: None,
    })
}

fn not_a_chat(error: serde_json::Error) -> Error {
    Error::bad_answer(format!("the backend's answer is not one of Cohere's chat: {error}"))
}

/// A message in the order in which models say it: thoughts, text, the plan to call tools, and the calls.
fn content(asked: &Asked, message: Message<'_>, losses: &mut Losses) -> Result<Vec<Part>> {
    let blocks = message.content.unwrap_or_default();
    let mut parts = blocks.into_iter().map(part).collect::<Result<Vec<_>>>()?;
    for (index, raw) in message.citations.unwrap_or_default().into_iter().enumerate() {
        cite(&mut parts, index, raw, losses);
    }
    parts.retain(|part| match &part.content {
        Content::Text { text, annotations } => !text.is_empty() || !annotations.is_empty(),
        Content::Thinking { text } => !text.is_empty(),
        _ => true,
    });
    let plan = message.tool_plan.filter(|plan| !plan.is_empty());
    parts.extend(plan.map(|plan| Part::thinking(plan, None)));
    for (index, call) in message.tool_calls.unwrap_or_default().into_iter().enumerate() {
        let Call { id, function } = call;
        let function = function.unwrap_or_default();
        let Some(name) = function.name.filter(|name| !name.is_empty()) else {
            losses.add(format_args!("answer.tool_calls[{index}]"), NAMELESS);
            continue;
        };
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| call_id(&asked.id, index));
        // Clients parse it, and nothing is not JSON.
        let arguments = function.arguments.filter(|arguments| !arguments.is_empty());
        let arguments = arguments.unwrap_or_else(|| "{}".to_owned());
        parts.push(Part::new(Content::ToolCall { id, name, arguments }));
    }
    Ok(parts)
}

fn part(raw: &RawValue) -> Result<Part> {
    let block: Block = serde_json::from_str(raw.get()).map_err(not_a_chat)?;
    let kind = block.kind.unwrap_or_default();
    Ok(match kind.as_str() {
        "text" => Part::text(block.text.unwrap_or_default()),
        "thinking" => Part::thinking(block.thinking.unwrap_or_default(), None),
        _ => Part::new(Content::Foreign(Foreign { family: Family::Cohere, kind, json: compact(raw) })),
    })
}

/// Puts a citation to its text: the one that it names, or the first.
fn cite(parts: &mut [Part], index: usize, raw: &RawValue, losses: &mut Losses) {
    let cited = match citation(raw) {
        Cited::Text(block, annotation) => {
            let mut texts =
                parts.iter_mut().enumerate().filter_map(|(position, part)| match &mut part.content {
                    Content::Text { annotations, .. } => Some((position, annotations)),
                    _ => None,
                });
            let text = texts.find(|(position, _)| block.is_none_or(|block| block == *position));
            text.map(|(_, annotations)| annotations.push(*annotation))
        }
        Cited::Other => None,
    };
    if cited.is_none() {
        losses.add(format_args!("answer.citations[{index}]"), NOT_OF_TEXT);
    }
}

/// Why a call is not told.
pub(super) const NAMELESS: &str = "it names no tool";

/// Why a citation is not told.
pub(super) const NOT_OF_TEXT: &str = "only texts have sources";
