//! The messages of a request, in Anthropic's words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::types::{Block, CacheControl, Message, Source};
use crate::chat::{self, Content, Losses, Part, Role};
use crate::error::Result;
use crate::wire::fields::Path;

/// The system prompt, which Anthropic keeps apart, and the rest of the conversation.
pub(super) fn encode_messages<'a>(
    messages: &'a [chat::Message],
    losses: &mut Losses,
) -> Result<(Vec<Block<'a>>, Vec<Message<'a>>)> {
    let mut system = Vec::new();
    let mut encoded: Vec<Message<'a>> = Vec::with_capacity(messages.len());
    let mut was_tool_results = false;
    let list = Path::Key(&Path::Root, "messages");
    for (index, message) in messages.iter().enumerate() {
        let path = Path::Index(&list, index);
        if message.name.is_some() {
            losses.add(Path::Key(&path, "name"), "speakers have no names at Anthropic");
        }
        let role = match message.role {
            Role::System | Role::Developer => {
                system.extend(system_block(message));
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let content = encode_parts(&path, &message.content, losses)?;
        if content.is_empty() {
            losses.add(path, "an empty message");
            continue;
        }
        // The results of parallel calls must come in one message.
        let is_tool_results = message.is_tool_results();
        match encoded.last_mut() {
            Some(previous) if was_tool_results && is_tool_results => previous.content.extend(content),
            _ => encoded.push(Message { role, content }),
        }
        was_tool_results = is_tool_results;
    }
    Ok((system, encoded))
}

/// One block per message; the last mark in it holds for the whole.
fn system_block(message: &chat::Message) -> Option<Block<'_>> {
    let mut texts = message.content.iter().filter_map(|part| match &part.content {
        Content::Text(text) if !text.is_empty() => Some(text.as_str()),
        _ => None,
    });
    let mut text = Cow::Borrowed(texts.next()?);
    for more in texts {
        text.to_mut().push_str(more);
    }
    let mark = message.content.iter().rev().find_map(|part| part.cache_control.as_ref());
    Some(Block::Text { text, cache_control: cache_control(mark) })
}

pub(super) fn cache_control(mark: Option<&chat::CacheControl>) -> Option<CacheControl<'_>> {
    mark.map(|mark| CacheControl { ttl: mark.ttl.as_deref() })
}

fn encode_parts<'a>(path: &Path<'_>, parts: &'a [Part], losses: &mut Losses) -> Result<Vec<Block<'a>>> {
    let path = Path::Key(path, "content");
    let mut blocks = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        blocks.extend(encode_part(&Path::Index(&path, index), part, losses)?);
    }
    Ok(blocks)
}

fn encode_part<'a>(path: &Path<'_>, part: &'a Part, losses: &mut Losses) -> Result<Option<Block<'a>>> {
    let cache_control = cache_control(part.cache_control.as_ref());
    Ok(Some(match &part.content {
        // Anthropic rejects empty texts.
        Content::Text(text) | Content::Refusal(text) if text.is_empty() => return Ok(None),
        Content::Text(text) | Content::Refusal(text) => {
            Block::Text { text: Cow::Borrowed(text), cache_control }
        }
        Content::Image { source, detail } => {
            if detail.as_deref().is_some_and(|detail| detail != "auto") {
                losses.add(Path::Key(path, "detail"), "Anthropic has no levels of detail");
            }
            Block::Image { source: image_source(path, source)?, cache_control }
        }
        Content::Document { source, name } => {
            Block::Document { source: document_source(path, source)?, title: name.as_deref(), cache_control }
        }
        Content::ToolCall { id, name, arguments } => {
            Block::ToolUse { id, name, input: input(path, arguments)?, cache_control }
        }
        Content::ToolResult { call_id, content, is_error } => Block::ToolResult {
            tool_use_id: call_id,
            is_error: is_error.unwrap_or_else(|| says_error(content)),
            content: encode_parts(path, content, losses)?,
            cache_control,
        },
        Content::Thinking { text, signature: Some(signature) } if !signature.is_empty() => {
            Block::Thinking { thinking: text, signature }
        }
        Content::Thinking { .. } => {
            losses.add(path, "Anthropic takes no thought without its signature");
            return Ok(None);
        }
        Content::RedactedThinking { data } => Block::RedactedThinking { data },
    }))
}

fn image_source<'a>(path: &Path<'_>, source: &'a chat::Source) -> Result<Source<'a>> {
    match source {
        chat::Source::Url(url) => Ok(Source::Url { url }),
        chat::Source::Base64 { media_type, data } => {
            match media_type.as_str() {
                "image/jpeg" | "image/png" | "image/gif" | "image/webp" => {
                    Ok(Source::Base64 { media_type, data })
                }
                "image/jpg" => Ok(Source::Base64 { media_type: "image/jpeg", data }),
                other => Err(path
                    .unprocessable(format_args!("images of type {other:?} are not supported by Anthropic"))),
            }
        }
    }
}

fn document_source<'a>(path: &Path<'_>, source: &'a chat::Source) -> Result<Source<'a>> {
    match source {
        chat::Source::Url(url) => Ok(Source::Url { url }),
        chat::Source::Base64 { media_type, data } => match media_type.as_str() {
            "application/pdf" => Ok(Source::Base64 { media_type, data }),
            "text/plain" => {
                let bytes =
                    STANDARD.decode(data).map_err(|_| path.unprocessable("the file is not valid base64"))?;
                let data =
                    String::from_utf8(bytes).map_err(|_| path.unprocessable("the text file is not UTF-8"))?;
                Ok(Source::Text { media_type: "text/plain", data })
            }
            other => {
                Err(path
                    .unprocessable(format_args!("files of type {other:?} are not supported by Anthropic")))
            }
        },
    }
}

/// Arguments as an object. Models leave them empty for tools that take none.
fn input<'a>(path: &Path<'_>, arguments: &'a str) -> Result<&'a RawValue> {
    let arguments = match arguments.trim() {
        "" => "{}",
        arguments => arguments,
    };
    serde_json::from_str::<&RawValue>(arguments)
        .ok()
        .filter(|json| json.get().starts_with('{'))
        .ok_or_else(|| path.unprocessable("the arguments of a tool call must be a JSON object"))
}

/// OpenAI's API cannot say that a tool failed. A result that is a JSON object with an `error` says so itself.
fn says_error(content: &[Part]) -> bool {
    let [Part { content: Content::Text(text), .. }] = content else { return false };
    text.trim_start().starts_with('{')
        && serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text)
            .is_ok_and(|object| object.contains_key("error"))
}
