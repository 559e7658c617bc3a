//! The messages of a request, in Anthropic's words.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::client::SEARCH_RESULT;
use super::models::ModelNames;
use super::rules::{self, Rule};
use super::types::{Block, CacheControl, Message, Own, Source, Tool, unmark};
use super::{Envelope, citations, instructions, picture};
use crate::chat::{self, Content, Family, Foreign, Losses, MediaKind, Part, Role};
use crate::error::{Error, Result};
use crate::wire::converse;
use crate::wire::fields::Path;
use crate::wire::raw::Members;

/// The system prompt, which Anthropic keeps apart, and the rest of the conversation. Instructions within it stay there
/// where the model takes any, see [`instructions::place`].
pub(in crate::wire) fn encode_messages<'a>(
    messages: &'a [chat::Message],
    envelope: Envelope<'_>,
    names: ModelNames<'_>,
    losses: &mut Losses,
) -> Result<(Vec<Block<'a>>, Vec<Message<'a>>)> {
    let takes_instructions = names.takes_instructions_within(envelope);
    let mut system = Vec::new();
    let mut encoded: Vec<Message<'a>> = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let path = Path::At(&Path::Root, message.origin);
        if message.name.is_some() {
            losses.add(Path::Key(&path, "name"), "speakers have no names at Anthropic");
        }
        let role = match message.role {
            Role::System | Role::Developer if takes_instructions && !encoded.is_empty() => {
                let mut content = Vec::new();
                instructions::blocks(&path, message, &mut content, losses);
                let count = content.len();
                content.retain(|block| !matches!(block, Block::Text { text, .. } if rules::is_blank(text)));
                if content.len() < count {
                    losses.add(path, Rule::BlankText);
                }
                if !content.is_empty() {
                    encoded.push(Message { role: instructions::SYSTEM, content, origin: index });
                }
                continue;
            }
            Role::System | Role::Developer => {
                let before = system.len();
                instructions::blocks(&path, message, &mut system, losses);
                if !encoded.is_empty() && system.len() > before {
                    losses.add(path, Rule::InstructionsMoved);
                }
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let mut content = Vec::with_capacity(message.content.len());
        let mut thoughts = Vec::new();
        for part in &message.content {
            let block = encode_part(&Path::At(&path, part.origin), part, envelope, losses)?;
            if block.as_ref().is_some_and(Block::is_thought) {
                thoughts.push(part.origin);
            }
            content.extend(block);
        }
        // "The final block in an assistant message cannot be `thinking`": such an answer was cut before it said
        // anything.
        while content.pop_if(|block| block.is_thought()).is_some() {
            losses.add(Path::At(&path, thoughts.pop().unwrap_or_default()), "a thought that nothing follows");
        }
        if content.is_empty() {
            losses.add(path, "an empty message");
            continue;
        }
        encoded.push(Message { role, content, origin: index });
    }
    Ok((system, encoded))
}

/// A mark that its part cannot carry.
pub(super) fn mark_on_nothing(path: &Path<'_>, part: &Part, losses: &mut Losses) {
    if part.cache_control.is_some() {
        losses.add(Path::Key(path, "cache_control"), "Anthropic takes no mark on thoughts and empty texts");
    }
}

/// The most cache marks of a request:
/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>.
const MAX_MARKS: usize = 4;

/// Takes marks away until Claude takes the rest. The last one of the messages is the one that the next request needs,
/// and those of tools and system hold the longest; so those between go first, the earliest before all.
pub(in crate::wire) fn limit_marks(
    tools: Vec<&mut Tool<'_>>,
    system: &mut [Block<'_>],
    messages: &mut [Message<'_>],
    losses: &mut Losses,
) {
    let in_messages =
        || messages.iter().flat_map(|message| &message.content).map(Block::marks).sum::<usize>();
    let in_messages = in_messages();
    let of_tools = tools.iter().filter(|tool| tool.cache_control.is_some()).count();
    let count = of_tools + system.iter().map(Block::marks).sum::<usize>() + in_messages;
    let excess = count.saturating_sub(MAX_MARKS);
    if excess == 0 {
        return;
    }
    losses.add(
        "cache_control",
        format!("Anthropic takes {MAX_MARKS} marks: {excess} of {count} are left out, those of earlier messages first"),
    );
    let mut left = excess;
    let mut from_messages = left.min(in_messages.saturating_sub(1));
    left = left.saturating_sub(from_messages);
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        block.unmark(&mut from_messages);
    }
    for tool in tools {
        unmark(&mut tool.cache_control, &mut left);
    }
    for block in system {
        block.unmark(&mut left);
    }
}

pub(in crate::wire) fn cache_control(mark: Option<&chat::CacheControl>) -> Option<CacheControl<'_>> {
    mark.map(|mark| CacheControl { ttl: mark.ttl.as_deref() })
}

fn encode_parts<'a>(
    path: &Path<'_>,
    parts: &'a [Part],
    envelope: Envelope<'_>,
    losses: &mut Losses,
) -> Result<Vec<Block<'a>>> {
    let mut blocks = Vec::with_capacity(parts.len());
    for part in parts {
        blocks.extend(encode_part(&Path::At(path, part.origin), part, envelope, losses)?);
    }
    Ok(blocks)
}

fn encode_part<'a>(
    path: &Path<'_>,
    part: &'a Part,
    envelope: Envelope<'_>,
    losses: &mut Losses,
) -> Result<Option<Block<'a>>> {
    let cache_control = cache_control(part.cache_control.as_ref());
    let own = Own::of(part.extra.as_deref());
    Ok(Some(match &part.content {
        // Anthropic rejects empty texts.
        Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() => {
            mark_on_nothing(path, part, losses);
            return Ok(None);
        }
        Content::Text { text, .. } | Content::Refusal(text) if rules::is_blank(text) => {
            losses.add(path, Rule::BlankText);
            mark_on_nothing(path, part, losses);
            return Ok(None);
        }
        Content::Text { text, annotations } => {
            let own_citations = annotations.iter().filter_map(citations::own);
            let citations: Vec<_> = own_citations.filter(|own| envelope.takes_citation(own)).collect();
            if citations.len() < annotations.len() {
                losses.add(Path::Key(path, "citations"), "Anthropic takes no citations of others");
            }
            Block::Text { text: Cow::Borrowed(text), citations, cache_control, own }
        }
        Content::Refusal(text) => {
            Block::Text { text: Cow::Borrowed(text), citations: Vec::new(), cache_control, own }
        }
        Content::Media { detail, .. } if matches!(envelope, Envelope::Converse { .. }) => {
            lose_detail(path, detail.as_deref(), losses);
            let media = converse::media(path, part, envelope, losses)?;
            return Ok(media.map(|media| Block::Media { media, cache_control }));
        }
        Content::Media { kind: MediaKind::Image, source, detail, .. } => {
            lose_detail(path, detail.as_deref(), losses);
            Block::Image { source: image_source(path, source, envelope)?, cache_control, own }
        }
        Content::Media { kind: MediaKind::Document, source, detail, name } => {
            lose_detail(path, detail.as_deref(), losses);
            let source = match own.get("source") {
                Some(source) => Source::Own(source),
                None => document_source(path, source, envelope)?,
            };
            let title = name.as_deref();
            match own.get(SEARCH_RESULT) {
                Some(result) => Block::SearchResult {
                    result: Members::of(result.get()),
                    cache_control,
                    own: own.without(SEARCH_RESULT),
                },
                None => Block::Document { source, title, cache_control, own: own.without("source") },
            }
        }
        Content::Media { kind: MediaKind::Audio | MediaKind::Video, .. } => {
            return Err(path.unprocessable("Anthropic takes neither sound nor films"));
        }
        Content::Foreign(foreign) => {
            if let Some(block) = own_json(foreign, envelope) {
                return Ok(Some(Block::Own(block)));
            }
            losses.add(path, format!("only its own provider understands {}", foreign.kind));
            return Ok(None);
        }
        Content::ToolCall { id, name, arguments } => {
            if part.seal.is_some() && envelope.own_seal(part).is_none() {
                losses.add(Path::Key(path, "signature"), "only its own provider reads this signature");
            }
            let (input, rule) = rules::arguments(arguments);
            if let Some(rule) = rule {
                losses.add(Path::Key(path, "arguments"), rule);
            }
            Block::ToolUse {
                id: Cow::Borrowed(id),
                name: rules::tool_name(name, envelope.longest_tool_name()),
                input,
                cache_control,
                own,
            }
        }
        Content::ToolResult { call_id, content, is_error } => Block::ToolResult {
            tool_use_id: Cow::Borrowed(call_id),
            is_error: is_error.unwrap_or(false),
            content: encode_parts(path, content, envelope, losses)?,
            cache_control,
            own,
        },
        Content::Thinking { text } => {
            let Some(signature) = envelope.own_seal(part) else {
                losses.add(path, Rule::Unsigned);
                return Ok(None);
            };
            mark_on_nothing(path, part, losses);
            Block::Thinking { thinking: text, signature }
        }
        Content::RedactedThinking => {
            let Some(data) = envelope.own_seal(part) else {
                losses.add(path, "only its own provider can read this thought");
                return Ok(None);
            };
            mark_on_nothing(path, part, losses);
            Block::RedactedThinking { data }
        }
    }))
}

/// What only Anthropic understands, as the client wrote it.
pub(super) fn own_json<'a>(foreign: &'a Foreign, envelope: Envelope<'_>) -> Option<&'a RawValue> {
    match envelope {
        Envelope::Native | Envelope::Bedrock { .. } | Envelope::Vertex { .. }
            if foreign.family == Family::Anthropic =>
        {
            serde_json::from_str(&foreign.json).ok()
        }
        Envelope::Native | Envelope::Bedrock { .. } | Envelope::Vertex { .. } | Envelope::Converse { .. } => {
            None
        }
    }
}

fn lose_detail(path: &Path<'_>, detail: Option<&str>, losses: &mut Losses) {
    if detail.is_some_and(|detail| detail != "auto") {
        losses.add(Path::Key(path, "detail"), "Anthropic has no levels of detail");
    }
}

fn image_source<'a>(path: &Path<'_>, source: &'a chat::Source, envelope: Envelope<'_>) -> Result<Source<'a>> {
    match source {
        chat::Source::Url { url, .. } => by_url(path, url, envelope),
        chat::Source::Text(_) => Err(path.unprocessable("a picture cannot be a text")),
        chat::Source::File { by, id } => by_name(path, *by, id, envelope),
        chat::Source::Base64 { media_type, data } => match picture::media_type(media_type, data) {
            Some(media_type) => Ok(Source::Base64 { media_type, data }),
            None => Err(path
                .unprocessable(format_args!("images of type {media_type:?} are not supported by Anthropic"))),
        },
    }
}

/// The clouds fetch nothing, and neither does this gateway:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>,
/// <https://github.com/anthropics/anthropic-sdk-typescript/issues/1038>.
pub(in crate::wire) fn by_url<'a>(
    path: &Path<'_>,
    url: &'a str,
    envelope: Envelope<'_>,
) -> Result<Source<'a>> {
    match envelope {
        Envelope::Native => Ok(Source::Url { url }),
        Envelope::Bedrock { .. } | Envelope::Converse { .. } => {
            Err(path.unprocessable("Bedrock takes no image or document by URL; send its bytes as a data URL"))
        }
        Envelope::Vertex { .. } => Err(path.unprocessable(
            "Vertex AI takes no image or document of Claude's by URL; send its bytes as a data URL",
        )),
    }
}

/// Files that were given to Anthropic are at Anthropic only.
fn by_name<'a>(path: &Path<'_>, by: Family, id: &'a str, envelope: Envelope<'_>) -> Result<Source<'a>> {
    match envelope {
        Envelope::Native if by == Family::Anthropic => Ok(Source::File { file_id: id }),
        Envelope::Native | Envelope::Bedrock { .. } | Envelope::Vertex { .. } | Envelope::Converse { .. } => {
            Err(unknown_file(path))
        }
    }
}

pub(in crate::wire) fn unknown_file(path: &Path<'_>) -> Error {
    path.unprocessable("the file is not known to this backend; send its bytes")
}

fn document_source<'a>(
    path: &Path<'_>,
    source: &'a chat::Source,
    envelope: Envelope<'_>,
) -> Result<Source<'a>> {
    match source {
        chat::Source::Url { url, .. } => by_url(path, url, envelope),
        chat::Source::Text(text) => {
            Ok(Source::Text { media_type: "text/plain", data: Cow::Borrowed(text.as_str()) })
        }
        chat::Source::File { by, id } => by_name(path, *by, id, envelope),
        chat::Source::Base64 { media_type, data } => match media_type.as_str() {
            "application/pdf" => Ok(Source::Base64 { media_type, data }),
            "text/plain" => {
                let bytes =
                    STANDARD.decode(data).map_err(|_| path.unprocessable("the file is not valid base64"))?;
                let data =
                    String::from_utf8(bytes).map_err(|_| path.unprocessable("the text file is not UTF-8"))?;
                Ok(Source::Text { media_type: "text/plain", data: Cow::Owned(data) })
            }
            other => {
                Err(path
                    .unprocessable(format_args!("files of type {other:?} are not supported by Anthropic")))
            }
        },
    }
}
