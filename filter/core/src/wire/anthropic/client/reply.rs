//! A whole answer, in Anthropic's words.

use serde_json::value::RawValue;

use super::super::citations::citation;
use super::seals::{id_of_call, to_client};
use super::types::{Block, Message, Own, Said, Usage, is_own, own_block, service_tier, stop_reason};
use crate::chat::{Content, FinishReason, Losses, Part, Reply};
use crate::wire::{Asked, to_json};

/// Writes a `message`. What `reply` leaves out comes from `asked`: strict SDKs reject an answer with holes.
#[must_use]
pub fn encode_reply(asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
    let mut choices = reply.choices.iter();
    let choice = choices.next();
    for (index, _) in choices.enumerate() {
        let path = format_args!("answer.choices[{}]", index.saturating_add(1));
        losses.add(path, "Anthropic's clients get one answer");
    }
    let mut said = Said::default();
    let mut content = Vec::new();
    for (index, part) in choice.into_iter().flat_map(|choice| &choice.content).enumerate() {
        write_part(index, part, asked, &mut content, &mut said, losses);
    }
    if choice.is_some_and(|choice| !choice.logprobs.is_empty()) {
        losses.add("answer.logprobs", "Anthropic tells no log probabilities");
    }
    let reason = choice.map_or(&FinishReason::Stop, |choice| &choice.finish_reason);
    let (stop_reason, stop_sequence) = stop_reason(reason, said, losses);
    let extras = reply.extra.as_deref().into_iter().chain(choice.and_then(|choice| choice.extra.as_deref()));
    let own: Vec<_> = extras.filter(|extra| is_own(extra, losses)).collect();
    let mut usage = Usage::from(reply.usage);
    usage.service_tier = reply.service_tier.as_deref().and_then(|tier| service_tier(tier, losses));
    to_json(&Message {
        id: reply.id.as_deref().unwrap_or(&asked.id),
        kind: "message",
        role: "assistant",
        model: reply.model.as_deref().unwrap_or(&asked.model),
        content,
        stop_reason: Some(stop_reason),
        stop_sequence,
        usage,
        own: Own::of(own, |_| true),
    })
}

fn write_part<'a>(
    index: usize,
    part: &'a Part,
    asked: &Asked,
    content: &mut Vec<Block<'a>>,
    said: &mut Said,
    losses: &mut Losses,
) {
    match &part.content {
        Content::Text { text, annotations } => {
            let citations: Vec<_> = annotations.iter().filter_map(citation).collect();
            let has_span = annotations.iter().any(|annotation| annotation.span.is_some());
            if has_span || citations.len() < annotations.len() {
                lose_citations(index, losses);
            }
            // Anthropic takes no empty text back.
            if !text.is_empty() {
                content.push(Block::Text { text, citations });
            }
            if part.seal.is_some() {
                lose_signature(index, losses);
            }
        }
        Content::Refusal(text) => {
            said.refused = true;
            if !text.is_empty() {
                content.push(Block::Text { text, citations: Vec::new() });
            }
        }
        Content::Thinking { text } => {
            let signature = part.seal.as_ref().map(to_client).unwrap_or_default();
            if !text.is_empty() || !signature.is_empty() {
                content.push(Block::Thinking { thinking: text, signature });
            }
        }
        Content::RedactedThinking => {
            let data = part.seal.as_ref().map(to_client);
            content.extend(data.map(|data| Block::RedactedThinking { data }));
        }
        Content::ToolCall { id, name, arguments } => {
            said.called = true;
            let (id, is_sealed) = id_of_call(id, part.seal.as_ref(), asked, index);
            if !is_sealed {
                lose_signature(index, losses);
            }
            content.push(Block::ToolUse { id, name, input: input(index, arguments, losses) });
        }
        Content::Media { .. } => {
            losses.add(format_args!("answer.content[{index}]"), "Anthropic's models answer with text only");
        }
        Content::Foreign(foreign) => content.extend(own_block(index, foreign, losses).map(Block::Own)),
        // No model answers with these.
        Content::ToolResult { .. } => {}
    }
}

pub(super) fn lose_citations(index: usize, losses: &mut Losses) {
    losses.add(
        format_args!("answer.content[{index}].citations"),
        "Anthropic's citations have an address, and are of a whole text",
    );
}

pub(super) fn lose_signature(index: usize, losses: &mut Losses) {
    let path = format_args!("answer.content[{index}].signature");
    losses.add(path, "of Anthropic's blocks only thoughts have signatures");
}

/// The arguments as the object that Anthropic's clients expect; what is none, such as one that was cut, is `{}`.
fn input<'a>(index: usize, arguments: &'a str, losses: &mut Losses) -> &'a RawValue {
    let arguments = match arguments.trim() {
        "" => "{}",
        arguments => arguments,
    };
    let object = serde_json::from_str(arguments).ok().filter(|_| arguments.starts_with('{'));
    object.unwrap_or_else(|| {
        lose_input(index, losses);
        serde_json::from_str("{}").unwrap_or(RawValue::NULL)
    })
}

pub(super) fn lose_input(index: usize, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{index}].input"), "the arguments are no JSON object");
}
