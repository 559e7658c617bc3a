//! A whole answer, in Cohere's words.

use super::super::answer::reason_of;
use super::super::types::{CalledFunction, ToolCall};
use super::types::{Answer, Block, Citation, Logprob, Message};
use crate::chat::{Content, FinishReason, Losses, Part, Reply, Seal};
use crate::wire::openai_chat::{lose_extra, lose_tier};
use crate::wire::{Asked, to_json};

/// Writes an answer of `/v2/chat`. What `reply` leaves out comes from `asked`.
pub(super) fn encode(asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
    lose_extra("answer", reply.extra.as_deref(), losses);
    if let Some(tier) = &reply.service_tier {
        lose_tier(tier, losses);
    }
    let mut choices = reply.choices.iter();
    let choice = choices.next();
    for (index, _) in choices.enumerate() {
        lose_choice(index.saturating_add(1), losses);
    }
    lose_extra("answer", choice.and_then(|choice| choice.extra.as_deref()), losses);
    let message = message(choice.map_or(&[], |choice| &choice.content), losses);
    let reason = choice.map_or(&FinishReason::Stop, |choice| &choice.finish_reason);
    let logprobs = choice.map_or(&[][..], |choice| &choice.logprobs);
    to_json(&Answer {
        id: reply.id.as_deref().unwrap_or(&asked.id),
        finish_reason: reason_of(reason, losses),
        message,
        usage: reply.usage.into(),
        logprobs: logprobs.iter().map(Logprob::of).collect(),
    })
}

/// Texts that follow each other are one, as Cohere's are, and so are thoughts: clients look at the first.
fn message<'a>(parts: &'a [Part], losses: &mut Losses) -> Message<'a> {
    let mut message =
        Message { role: "assistant", content: Vec::new(), tool_calls: Vec::new(), citations: Vec::new() };
    for (position, part) in parts.iter().enumerate() {
        let mut is_sealed = part.seal.is_none();
        match &part.content {
            Content::Text { text, annotations } => {
                if text.is_empty() && annotations.is_empty() {
                    continue;
                }
                let before = append_text(&mut message.content, text);
                let index = message.content.len().saturating_sub(1);
                let characters = text.chars().count();
                for annotation in annotations {
                    match Citation::of(annotation, Some(text), characters, before, index) {
                        Some(citation) => message.citations.push(citation),
                        None => lose_source(position, losses),
                    }
                }
            }
            Content::Refusal(text) => {
                if !text.is_empty() {
                    append_text(&mut message.content, text);
                }
            }
            Content::Thinking { text } if text.is_empty() => {}
            Content::Thinking { text } => match message.content.last_mut() {
                Some(Block::Thinking { thinking }) => thinking.push_str(text),
                _ => message.content.push(Block::Thinking { thinking: text.clone() }),
            },
            Content::RedactedThinking => {
                lose_redacted(position, losses);
                continue;
            }
            Content::ToolCall { id, name, arguments } => {
                let (id, is_in_it) = Seal::in_id_of_call(id, part.seal.as_ref());
                is_sealed = is_in_it;
                let arguments = if arguments.is_empty() { NO_ARGUMENTS } else { arguments };
                message.tool_calls.push(ToolCall { id, function: CalledFunction { name, arguments } });
            }
            Content::Media { .. } => lose_media(position, losses),
            Content::Foreign(foreign) => lose_foreign(position, &foreign.kind, losses),
            // No model answers with these.
            Content::ToolResult { .. } => {}
        }
        if !is_sealed {
            lose_signature(position, losses);
        }
    }
    // Clients take the text of the first block.
    if message.content.is_empty() && message.tool_calls.is_empty() {
        append_text(&mut message.content, "");
    }
    message
}

/// Adds a text, and says how many characters are before it in its block.
fn append_text(content: &mut Vec<Block>, text: &str) -> usize {
    if let Some(Block::Text { text: before }) = content.last_mut() {
        let characters = before.chars().count();
        before.push_str(text);
        return characters;
    }
    content.push(Block::Text { text: text.to_owned() });
    0
}

/// Clients parse them, and nothing is not JSON.
pub(super) const NO_ARGUMENTS: &str = "{}";

pub(super) fn lose_choice(index: impl std::fmt::Display, losses: &mut Losses) {
    losses.add(format_args!("answer.choices[{index}]"), "Cohere's clients get one answer");
}

pub(super) fn lose_source(position: impl std::fmt::Display, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{position}].citations"), "the text comes without this source");
}

pub(super) fn lose_signature(position: impl std::fmt::Display, losses: &mut Losses) {
    let path = format_args!("answer.content[{position}].signature");
    losses.add(path, "Cohere's blocks have no signatures");
}

pub(super) fn lose_redacted(position: impl std::fmt::Display, losses: &mut Losses) {
    let path = format_args!("answer.content[{position}]");
    losses.add(path, "Cohere has no thoughts that only their provider can read");
}

pub(super) fn lose_media(position: impl std::fmt::Display, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{position}]"), "Cohere's models answer with text only");
}

pub(super) fn lose_foreign(position: impl std::fmt::Display, kind: &str, losses: &mut Losses) {
    let path = format_args!("answer.content[{position}].{kind}");
    losses.add(path, "blocks of this type are not known to Cohere's clients");
}
