//! A whole answer, from the words of chat completions.

use super::answer::{Answer, Call, Choice, Message, annotations, filtered, finish_reason, images, logprobs};
use super::calls::call_id;
use super::servers::tool_name;
use crate::chat::{self, Content, FinishReason, Losses, MediaKind, Part, Reply, Source};
use crate::error::{Error, Result};
use crate::wire::Asked;
use crate::wire::error::event_error;
use crate::wire::names::StandIns;
use crate::wire::openai::custom;
use crate::wire::usage::openai_usage;

/// Reads a `chat.completion`.
///
/// # Errors
///
/// 502 for a body that is none; the provider's own error if the body is one, whatever its status said.
pub(super) fn decode(asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply> {
    if let Some(error) = event_error(body) {
        return Err(error);
    }
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        Error::bad_answer(format!("the backend's answer is not a chat completion: {error}"))
    })?;
    let mut choices = answer.choices.unwrap_or_default();
    if choices.is_empty() {
        let message = "the backend's answer is not a chat completion: it has no choices";
        return Err(Error::bad_answer(message));
    }
    choices.sort_by_key(|choice| choice.index.get().unwrap_or(0));
    let mut reply = Reply {
        id: answer.id.said(),
        model: answer.model.said(),
        choices: Vec::with_capacity(choices.len()),
        usage: answer.usage.map(|usage| openai_usage(usage.get().as_bytes())).unwrap_or_default(),
        service_tier: answer.service_tier.said(),
        extra: None,
    };
    let mut calls = 0;
    for choice in choices {
        reply.choices.push(self::choice(asked, choice, &mut calls, losses));
    }
    StandIns::by(&asked.request.tools, tool_name).resolve_in(&mut reply);
    Ok(reply)
}

fn choice(asked: &Asked, choice: Choice<'_>, calls: &mut usize, losses: &mut Losses) -> chat::Choice {
    let mut content = Vec::new();
    if let Some(message) = choice.message {
        self::content(asked, message, calls, &mut content, losses);
    }
    let has_calls = content.iter().any(|part| matches!(part.content, Content::ToolCall { .. }));
    let usual = if has_calls { FinishReason::ToolCalls } else { FinishReason::Stop };
    chat::Choice {
        content,
        finish_reason: finish_reason(choice.finish_reason, choice.stop_reason, has_calls).unwrap_or(usual),
        logprobs: logprobs(choice.logprobs),
        extra: filtered(choice.content_filter_results).map(Box::new),
    }
}

/// A message in the order in which models say it: thoughts, text, calls.
fn content(
    asked: &Asked,
    mut message: Message<'_>,
    calls: &mut usize,
    out: &mut Vec<Part>,
    losses: &mut Losses,
) {
    let thoughts = message.thoughts();
    if !thoughts.is_empty() {
        out.push(Part::thinking(thoughts, None));
    }
    let mut text = message.content.text;
    if let Some(audio) = message.audio {
        text.push_str(audio.transcript.as_str());
        if audio.data.said().is_some() {
            losses.add("answer.audio", "the sound comes as its text");
        }
    }
    let annotations = annotations(message.annotations);
    if !text.is_empty() || !annotations.is_empty() {
        out.push(Part::new(Content::Text { text, annotations }));
    }
    if let Some(refusal) = message.refusal.said() {
        out.push(Part::new(Content::Refusal(refusal)));
    }
    for url in images(message.images) {
        let source = picture(&url);
        out.push(Part::new(Content::Media { kind: MediaKind::Image, source, detail: None, name: None }));
    }
    let older = message.function_call.map(|function| Call { function: Some(function), ..Call::default() });
    for call in message.tool_calls.unwrap_or_default().into_iter().chain(older) {
        let seal = call.seal();
        let (mut arguments, name) = match (call.function, call.custom) {
            (Some(function), _) => (function.arguments(), function.name),
            (None, Some(custom)) => (custom::arguments(custom.input.as_str()), custom.name),
            (None, None) => {
                losses.add(
                    format_args!("answer.tool_calls[{calls}]"),
                    "calls of this type are not known to this gateway",
                );
                continue;
            }
        };
        if arguments.is_empty() {
            // Clients parse it, and nothing is not JSON.
            arguments.push_str("{}");
        }
        let Some(name) = name.said() else {
            losses.add(format_args!("answer.tool_calls[{calls}]"), NAMELESS);
            continue;
        };
        let id = call.id.said().unwrap_or_else(|| call_id(&asked.id, *calls));
        *calls = calls.saturating_add(1);
        out.push(Part { seal, ..Part::new(Content::ToolCall { id, name, arguments }) });
    }
}

/// Why a call is not told.
pub(super) const NAMELESS: &str = "it names no tool";

/// A picture from its address, which usually has it in itself.
pub(super) fn picture(url: &str) -> Source {
    let inside = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match inside {
        Some((media_type, data)) => {
            Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
        }
        None => Source::url(url),
    }
}
