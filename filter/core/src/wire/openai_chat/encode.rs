//! A whole answer, in OpenAI's words.

use super::types::{
    Called, Choice, Completion, Custom, ExtraContent, Function, Logprobs, Marked, Message, OwnWords, Place,
    ThinkingBlock, Thought, ToolCall, UrlCitation, finish_reason, lose_extra,
};
use crate::chat::{self, Content, Losses, Part, Reply, Tool};
use crate::wire::openai::custom;
use crate::wire::{Asked, to_json};

/// Writes a `chat.completion`. What `reply` leaves out comes from `asked`: strict SDKs reject an answer with holes.
#[must_use]
pub fn encode_reply(asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
    lose_extra("answer", reply.extra.as_deref(), losses);
    to_json(&Completion {
        id: reply.id.as_deref().unwrap_or(&asked.id),
        object: "chat.completion",
        created: asked.created,
        model: reply.model.as_deref().unwrap_or(&asked.model),
        choices: reply
            .choices
            .iter()
            .enumerate()
            .map(|(index, choice)| self::choice(index, choice, &asked.request.tools, losses))
            .collect(),
        usage: reply.usage.into(),
        service_tier: reply.service_tier.as_deref(),
    })
}

fn choice<'a>(index: usize, choice: &'a chat::Choice, tools: &[Tool], losses: &mut Losses) -> Choice<'a> {
    let own = OwnWords::of("answer", choice.extra.as_deref(), losses);
    Choice {
        index,
        message: Message { own, ..message(&choice.content, tools, losses) },
        logprobs: Logprobs::of(&choice.logprobs),
        finish_reason: finish_reason(&choice.finish_reason, losses),
    }
}

fn message<'a>(parts: &'a [Part], tools: &[Tool], losses: &mut Losses) -> Message<'a> {
    let mut message = Message {
        role: "assistant",
        content: None,
        refusal: None,
        reasoning_content: None,
        thinking_blocks: Vec::new(),
        tool_calls: Vec::new(),
        annotations: Vec::new(),
        own: OwnWords::default(),
    };
    for (position, part) in parts.iter().enumerate() {
        let seal = part.seal.as_ref().map(Marked);
        let place = Place {
            after_text: message.content.as_ref().map_or(0, String::len),
            after_calls: u32::try_from(message.tool_calls.len()).unwrap_or(u32::MAX),
        };
        match &part.content {
            Content::Text { text, annotations } => {
                let before = message.content.as_ref().map_or(0, |text| text.chars().count());
                append(&mut message.content, text);
                let characters = text.chars().count();
                for annotation in annotations {
                    match UrlCitation::of(annotation, before, characters) {
                        Some(citation) => message.annotations.push(citation),
                        None => lose_source(position, losses),
                    }
                }
                // This API has no place for the signature of a text: it stands behind it as a thought that says
                // nothing.
                if seal.is_some() {
                    let place = Place { after_text: place.after_text.saturating_add(text.len()), ..place };
                    let thought = Thought::Thinking { thinking: "", signature: seal };
                    message.thinking_blocks.push(ThinkingBlock { index: None, thought, place });
                }
            }
            Content::Refusal(text) => append(&mut message.refusal, text),
            Content::Thinking { text } => {
                if !text.is_empty() {
                    append(&mut message.reasoning_content, text);
                }
                let thought = Thought::Thinking { thinking: text, signature: seal };
                message.thinking_blocks.push(ThinkingBlock { index: None, thought, place });
            }
            Content::RedactedThinking => {
                let thought = seal.map(|data| Thought::RedactedThinking { data });
                let block = thought.map(|thought| ThinkingBlock { index: None, thought, place });
                message.thinking_blocks.extend(block);
            }
            Content::ToolCall { id, name, arguments } => {
                let called = called(name, arguments, tools);
                message.tool_calls.push(ToolCall {
                    index: None,
                    id: Some(id),
                    kind: Some(called.kind()),
                    called,
                    extra_content: part.seal.as_ref().and_then(ExtraContent::of),
                });
            }
            Content::Media { .. } => {
                losses.add(format_args!("answer.content[{position}]"), "this API answers with text only");
            }
            Content::Foreign(foreign) => losses.add(
                format_args!("answer.content[{position}].{}", foreign.kind),
                "blocks of this type are not known to this gateway",
            ),
            // No model answers with these.
            Content::ToolResult { .. } => {}
        }
    }
    // `null` says that the answer is in `tool_calls` or `refusal`.
    if message.content.is_none() && message.tool_calls.is_empty() && message.refusal.is_none() {
        message.content = Some(String::new());
    }
    message
}

fn called<'a>(name: &'a str, arguments: &'a str, tools: &[Tool]) -> Called<'a> {
    let name = Some(name);
    if name.is_some_and(|name| custom::is_custom(tools, name)) {
        Called::Custom(Custom { name, input: custom::input(arguments) })
    } else {
        Called::Function(Function { name, arguments })
    }
}

/// A source that this API has no word for.
pub(super) fn lose_source(position: impl std::fmt::Display, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{position}].citations"), "the text comes without this source");
}

fn append(to: &mut Option<String>, text: &str) {
    to.get_or_insert_default().push_str(text);
}
