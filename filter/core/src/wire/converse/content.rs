//! The blocks of a conversation, from Anthropic's words to Converse's.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::cited::citation;
use super::media::numbered;
use super::models::{Caches, Model};
use super::rules::Rule;
use super::types::{Block, CachePoint, CitedText, Media, Message, Piece, Reasoning, ToolResult, ToolUse};
use crate::chat::Losses;
use crate::wire::anthropic::calls::NO_RESULT;
use crate::wire::anthropic::turns::NOTHING_SAID;
use crate::wire::anthropic::types::{self, CacheControl};

/// Takes away the marks that the model does not take, and what it does not know of those that it takes.
pub(super) fn fit_marks<'a>(
    model: &Model<'_>,
    tools: &mut [types::Tool<'_>],
    system: &mut [types::Block<'a>],
    messages: &mut [types::Message<'a>],
    losses: &mut Losses,
) {
    let caches = model.caches();
    let on_tools = tools.iter().filter(|tool| tool.cache_control.is_some()).count();
    let on_system = system.iter().map(types::Block::marks).sum::<usize>();
    let in_messages = messages.iter().flat_map(|message| &message.content);
    let in_messages = in_messages.map(types::Block::marks).sum::<usize>();
    match caches {
        Caches::Everything => return,
        Caches::Nothing if on_tools.saturating_add(on_system).saturating_add(in_messages) > 0 => {
            losses.add("cache_control", Rule::NoCache);
        }
        Caches::Nothing => return,
        Caches::System | Caches::NoTools => {
            if on_tools > 0 {
                losses.add("tools", Rule::NoToolCache);
            }
            if caches == Caches::System && in_messages > 0 {
                losses.add("messages", Rule::NoMessageCache);
            }
        }
    }
    tools.iter_mut().for_each(|tool| tool.cache_control = None);
    if caches != Caches::NoTools {
        let mut all = in_messages;
        messages.iter_mut().flat_map(|message| &mut message.content).for_each(|block| block.unmark(&mut all));
    }
    if caches == Caches::Nothing {
        let mut all = on_system;
        system.iter_mut().for_each(|block| block.unmark(&mut all));
    }
}

/// The messages, in which speakers take turns.
pub(super) fn messages<'a>(
    model: &Model<'_>,
    messages: Vec<types::Message<'a>>,
    losses: &mut Losses,
) -> Vec<Message<'a>> {
    let mut out: Vec<Message<'a>> = Vec::with_capacity(messages.len());
    for message in messages {
        let mut content = Vec::with_capacity(message.content.len());
        for block in message.content {
            put(model, block, &mut content, losses);
        }
        match out.last_mut() {
            Some(last) if last.role == message.role => last.content.append(&mut content),
            _ => out.push(Message { role: message.role, content }),
        }
    }
    if model.keeps_calls_apart() {
        out = apart(out, losses);
    }
    let mut names = HashMap::new();
    for message in &mut out {
        name_documents(&mut message.content, &mut names);
        let is_document = |block: &Block<'_>| matches!(block, Block::Media(Media::Document(_)));
        let is_text = |block: &Block<'_>| matches!(block, Block::Text(_));
        if message.content.iter().any(is_document) && !message.content.iter().any(is_text) {
            losses.add("messages", Rule::DocumentAlone);
            message.content.push(Block::Text(Cow::Borrowed(NOTHING_SAID)));
        }
    }
    out
}

/// Puts a message of the other speaker between what is said and calls or their results. A result stays directly
/// behind its call.
fn apart<'a>(messages: Vec<Message<'a>>, losses: &mut Losses) -> Vec<Message<'a>> {
    let mut out = Vec::with_capacity(messages.len());
    for Message { role, content } in messages {
        let of_tools = |block: &Block<'_>| matches!(block, Block::ToolUse(_) | Block::ToolResult(_));
        let (tools, words): (Vec<_>, Vec<_>) = content.into_iter().partition(of_tools);
        if tools.is_empty() || words.is_empty() {
            let content = if tools.is_empty() { words } else { tools };
            out.push(Message { role, content });
            continue;
        }
        losses.add("messages", Rule::CallsApart);
        let is_user = role == "user";
        let (first, second) = if is_user { (tools, words) } else { (words, tools) };
        let other = if is_user { "assistant" } else { "user" };
        let between = vec![Block::Text(Cow::Borrowed(NOTHING_SAID))];
        out.push(Message { role, content: first });
        out.push(Message { role: other, content: between });
        out.push(Message { role, content: second });
    }
    out
}

/// "Messages can't contain duplicate document names": <https://github.com/maximhq/bifrost/issues/7003>.
/// `names` says how often each was given, so that no number is tried twice.
fn name_documents(blocks: &mut [Block<'_>], names: &mut HashMap<String, usize>) {
    for block in blocks {
        match block {
            Block::Media(Media::Document(document)) => {
                let name = document.name.clone().into_owned();
                let mut count = names.get(&name).copied().unwrap_or(0).saturating_add(1);
                if count > 1 {
                    while names.contains_key(&numbered(&name, count)) {
                        count = count.saturating_add(1);
                    }
                    let other = numbered(&name, count);
                    names.insert(other.clone(), 1);
                    document.name = Cow::Owned(other);
                }
                names.insert(name, count);
            }
            Block::ToolResult(result) => name_documents(&mut result.content, names),
            _ => {}
        }
    }
}

/// The blocks of the system prompt.
pub(super) fn system<'a>(
    model: &Model<'_>,
    blocks: Vec<types::Block<'a>>,
    losses: &mut Losses,
) -> Vec<Block<'a>> {
    let mut out = Vec::with_capacity(blocks.len());
    for block in blocks {
        put(model, block, &mut out, losses);
    }
    out
}

/// A mark as a block of its own.
pub(super) fn cache_point<'a>(
    model: &Model<'_>,
    mark: CacheControl<'a>,
    losses: &mut Losses,
) -> CachePoint<'a> {
    // Five minutes hold anyway.
    let ttl = mark.ttl.filter(|ttl| *ttl != "5m");
    if ttl.is_some() && !model.caches_for_an_hour() {
        losses.add("cache_control.ttl", Rule::NoHour);
        return CachePoint { ttl: None };
    }
    CachePoint { ttl }
}

fn put<'a>(model: &Model<'_>, block: types::Block<'a>, out: &mut Vec<Block<'a>>, losses: &mut Losses) {
    let (block, mark) = match block {
        types::Block::Text { text, citations, cache_control, .. } => (said(text, &citations), cache_control),
        types::Block::Media { media, cache_control } => (Block::Media(media), cache_control),
        types::Block::ToolUse { id, name, input, cache_control, .. } => {
            (Block::ToolUse(ToolUse { tool_use_id: id, name, input }), cache_control)
        }
        types::Block::ToolResult { tool_use_id, content, is_error, cache_control, .. } => {
            let (result, inside) = tool_result(model, tool_use_id, content, is_error, losses);
            (Block::ToolResult(result), cache_control.or(inside))
        }
        types::Block::Thinking { thinking, signature } => {
            let thought = Reasoning::ReasoningText { text: thinking, signature };
            (Block::ReasoningContent(thought), None)
        }
        types::Block::RedactedThinking { data } => {
            (Block::ReasoningContent(Reasoning::RedactedContent(data)), None)
        }
        // Of other envelopes.
        types::Block::Image { .. }
        | types::Block::Document { .. }
        | types::Block::SearchResult { .. }
        | types::Block::Own(_) => return,
    };
    out.push(block);
    if let Some(mark) = mark {
        out.push(Block::CachePoint(cache_point(model, mark, losses)));
    }
}

/// A text, with what it rests on where there is something.
fn said<'a>(text: Cow<'a, str>, citations: &[&RawValue]) -> Block<'a> {
    let citations: Vec<_> = citations.iter().filter_map(|own| citation(own)).collect();
    if citations.is_empty() {
        return Block::Text(text);
    }
    Block::CitationsContent(CitedText { content: [Piece { text }], citations })
}

/// A result, and the last mark in it: Converse takes none there, but behind the result.
fn tool_result<'a>(
    model: &Model<'_>,
    tool_use_id: Cow<'a, str>,
    content: Vec<types::Block<'a>>,
    is_error: bool,
    losses: &mut Losses,
) -> (ToolResult<'a>, Option<CacheControl<'a>>) {
    let mut mark = None;
    let mut blocks = Vec::with_capacity(content.len().max(1));
    for block in content {
        let (block, own) = match block {
            types::Block::Text { text, cache_control, .. } => (Block::Text(text), cache_control),
            types::Block::Media { media: Media::Audio(_), .. } => {
                losses.add("messages", Rule::AudioResult);
                continue;
            }
            types::Block::Media { mut media, cache_control } => {
                if let Media::Document(document) = &mut media
                    && document.citations.take().is_some()
                {
                    losses.add("messages", Rule::CitedResult);
                }
                (Block::Media(media), cache_control)
            }
            // Nothing else is in a result.
            _ => continue,
        };
        blocks.push(block);
        mark = own.or(mark);
    }
    if blocks.is_empty() {
        blocks.push(Block::Text(Cow::Borrowed(NO_RESULT)));
    }
    let status = match is_error {
        true if model.is_told_of_errors() => Some("error"),
        true => {
            losses.add("messages", Rule::ErrorResult);
            None
        }
        false => None,
    };
    (ToolResult { tool_use_id, content: blocks, status }, mark)
}
