//! A whole answer, in OpenAI's words.

use super::types::{
    Choice, Completion, Function, Message, Place, ThinkingBlock, Thought, ToolCall, finish_reason,
};
use crate::chat::{self, Content, Part, Reply};
use crate::wire::{Asked, to_json};

/// Writes a `chat.completion`. What `reply` leaves out comes from `asked`: strict SDKs reject an answer with holes.
#[must_use]
pub fn encode_reply(asked: &Asked, reply: &Reply) -> Vec<u8> {
    to_json(&Completion {
        id: reply.id.as_deref().unwrap_or(&asked.id),
        object: "chat.completion",
        created: asked.created,
        model: reply.model.as_deref().unwrap_or(&asked.model),
        choices: reply.choices.iter().enumerate().map(choice).collect(),
        usage: reply.usage.into(),
        service_tier: reply.service_tier.as_deref(),
    })
}

fn choice((index, choice): (usize, &chat::Choice)) -> Choice<'_> {
    Choice {
        index,
        message: message(&choice.content),
        logprobs: (),
        finish_reason: finish_reason(&choice.finish_reason),
    }
}

fn message(parts: &[Part]) -> Message<'_> {
    let mut message = Message {
        role: "assistant",
        content: None,
        refusal: None,
        reasoning_content: None,
        thinking_blocks: Vec::new(),
        tool_calls: Vec::new(),
    };
    for part in parts {
        let place = Place {
            after_text: message.content.as_ref().map_or(0, String::len),
            after_calls: u32::try_from(message.tool_calls.len()).unwrap_or(u32::MAX),
        };
        match &part.content {
            Content::Text(text) => append(&mut message.content, text),
            Content::Refusal(text) => append(&mut message.refusal, text),
            Content::Thinking { text, signature } => {
                if !text.is_empty() {
                    append(&mut message.reasoning_content, text);
                }
                let thought = Thought::Thinking { thinking: text, signature: signature.as_deref() };
                message.thinking_blocks.push(ThinkingBlock { index: None, thought, place });
            }
            Content::RedactedThinking { data } => {
                let thought = Thought::RedactedThinking { data };
                message.thinking_blocks.push(ThinkingBlock { index: None, thought, place });
            }
            Content::ToolCall { id, name, arguments } => message.tool_calls.push(ToolCall {
                index: None,
                id: Some(id),
                kind: Some("function"),
                function: Function { name: Some(name), arguments },
            }),
            // No model answers with these, see `chat::Choice`.
            Content::Image { .. } | Content::Document { .. } | Content::ToolResult { .. } => {}
        }
    }
    // `null` says that the answer is in `tool_calls` or `refusal`.
    if message.content.is_none() && message.tool_calls.is_empty() && message.refusal.is_none() {
        message.content = Some(String::new());
    }
    message
}

fn append(to: &mut Option<String>, text: &str) {
    to.get_or_insert_default().push_str(text);
}
