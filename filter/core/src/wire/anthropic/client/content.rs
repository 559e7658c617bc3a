//! The content of a message, from Anthropic's words.

use serde_json::json;

use super::super::citations::annotation;
use super::seals::of_client;
use crate::chat::{Content, Extra, Family, Foreign, Losses, MediaKind, Origin, Part, Seal, Source};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::openai_chat::cache_control;

/// Whose content it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `system`, which is no message: its blocks are elements of itself.
    System,
    /// A message's.
    Message,
    /// A tool's result, in which there are no calls and no results.
    Result,
}

impl Place {
    fn origin(self, index: Option<usize>) -> Origin {
        Origin { member: if self == Place::System { "" } else { "content" }, index }
    }
}

/// Reads `content`, a string or a list of blocks.
pub(super) fn decode_content(
    path: &Path<'_>,
    content: Json<'_>,
    place: Place,
    losses: &mut Losses,
) -> Result<Vec<Part>> {
    let list = match content {
        Json::String(text) if text.is_empty() => return Ok(Vec::new()),
        Json::String(text) => return Ok(vec![Part { origin: place.origin(None), ..Part::text(text) }]),
        Json::Array(list) => list,
        _ => return Err(path.malformed("expected a string or a list of content blocks")),
    };
    let mut parts = Vec::with_capacity(list.len());
    for (index, block) in list.into_iter().enumerate() {
        let part = decode_block(&Path::Index(path, index), block, place, losses)?;
        parts.push(Part { origin: place.origin(Some(index)), ..part });
    }
    Ok(parts)
}

/// What Anthropic alone understands, as it was written, but for the space between its tokens.
pub(super) fn foreign(kind: String, object: &Json<'_>) -> Foreign {
    Foreign { family: Family::Anthropic, kind, json: object.to_string() }
}

fn decode_block(path: &Path<'_>, block: Json<'_>, place: Place, losses: &mut Losses) -> Result<Part> {
    let Json::Object(_) = &block else { return Err(path.malformed("expected an object")) };
    let kind = match block.get("type") {
        Some(Json::String(kind)) => kind.clone(),
        Some(_) => return Err(Path::Key(path, "type").malformed("expected a string")),
        None => return Err(Path::Key(path, "type").malformed("field is required")),
    };
    let mut fields = match (&*kind, place) {
        ("text" | "image" | "document" | "search_result", _)
        | ("tool_use" | "tool_result" | "thinking" | "redacted_thinking", Place::Message) => {
            Fields::new(path, block)?
        }
        _ => return Ok(Part::new(Content::Foreign(foreign(kind.into_owned(), &block)))),
    };
    fields.take("type");
    let mut part = match &*kind {
        "text" => decode_text(&mut fields)?,
        "image" => decode_image(&mut fields, losses)?,
        "document" => decode_document(&mut fields, losses)?,
        "search_result" => decode_search_result(&mut fields)?,
        "tool_use" => {
            let id = fields.required_text("id")?;
            let (id, seal) = Seal::of_id(&id);
            let call = Content::ToolCall {
                id: id.to_owned(),
                name: fields.required_string("name")?,
                arguments: fields.object_text("input")?.unwrap_or_default(),
            };
            Part { seal, ..Part::new(call) }
        }
        "tool_result" => decode_result(&mut fields, losses)?,
        "thinking" => {
            let text = fields.string("thinking")?.unwrap_or_default();
            Part::thinking(text, of_client(fields.string("signature")?))
        }
        _ => {
            let seal = of_client(fields.string("data")?);
            Part { seal, ..Part::new(Content::RedactedThinking) }
        }
    };
    part.cache_control = cache_control(&mut fields, losses)?;
    let own = fields.extra(Family::Anthropic);
    part.extra = match (part.extra.take(), own) {
        (Some(mut extra), own) => {
            extra.members.extend(own.into_iter().flat_map(|own| own.members));
            Some(extra)
        }
        (None, own) => own,
    };
    Ok(part)
}

fn decode_text(fields: &mut Fields<'_>) -> Result<Part> {
    let text = fields.required_string("text")?;
    let citations = fields.list("citations")?;
    let annotations = citations.iter().map(|citation| annotation(&citation.to_string())).collect();
    Ok(Part::new(Content::Text { text, annotations }))
}

fn decode_image(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Part> {
    let source = fields.take("source").ok_or_else(|| fields.missing("source"))?;
    let source = decode_source(&fields.path("source"), source, MediaKind::Image, losses)?;
    Ok(Part::new(Content::Media { kind: MediaKind::Image, source, detail: None, name: None }))
}

fn decode_document(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Part> {
    let source = fields.take("source").ok_or_else(|| fields.missing("source"))?;
    let path = fields.path("source");
    let (source, own) = match source.get("type").and_then(Json::as_str) {
        // Its blocks are what can be cited, and may be pictures. Others get their texts.
        Some("content") => {
            let own = source.to_string();
            let content = source.get("content").map(texts).unwrap_or_default();
            (Source::Text(content), Some(("source".to_owned(), own)))
        }
        _ => (decode_source(&path, source, MediaKind::Document, losses)?, None),
    };
    let name = fields.string("title")?;
    take_no_citations(fields);
    let part = Part::new(Content::Media { kind: MediaKind::Document, source, detail: None, name });
    Ok(Part { extra: own.map(|own| members(vec![own])), ..part })
}

/// A document to others: what was found, under its title. Where it was found is Anthropic's to cite.
fn decode_search_result(fields: &mut Fields<'_>) -> Result<Part> {
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    let title = fields.string("title")?;
    let source = fields.string("source")?;
    let own = json!({"source": source, "title": title, "content": content});
    let source = Source::Text(texts(&content));
    take_no_citations(fields);
    let part = Part::new(Content::Media { kind: MediaKind::Document, source, detail: None, name: title });
    Ok(Part { extra: Some(members(vec![(SEARCH_RESULT.to_owned(), own.to_string())])), ..part })
}

/// The member of a document's extra that is the search result it was.
pub(in crate::wire) const SEARCH_RESULT: &str = "search_result";

fn members(members: Vec<(String, String)>) -> Box<Extra> {
    Box::new(Extra { family: Family::Anthropic, members })
}

/// That nothing is to be cited holds anyway.
fn take_no_citations(fields: &mut Fields<'_>) {
    fields.take_if("citations", |citations| *citations == json!({"enabled": false}));
}

/// The texts of a string or of a list of blocks.
fn texts(content: &Json<'_>) -> String {
    match content {
        Json::String(text) => text.clone().into_owned(),
        Json::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Json::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn decode_source(path: &Path<'_>, source: Json<'_>, kind: MediaKind, losses: &mut Losses) -> Result<Source> {
    let mut fields = Fields::new(path, source)?;
    let name = fields.required_text("type")?;
    let source = match (&*name, kind) {
        ("base64", _) => Source::Base64 {
            media_type: fields.required_string("media_type")?,
            data: fields.required_string("data")?,
        },
        ("url", _) => Source::Url {
            url: fields.required_string("url")?,
            // Anthropic takes no other documents by address.
            media_type: (kind == MediaKind::Document).then(|| "application/pdf".to_owned()),
        },
        ("file", _) => Source::File { by: Family::Anthropic, id: fields.required_string("file_id")? },
        ("text", MediaKind::Document) => {
            fields.take_if("media_type", |media_type| *media_type == json!("text/plain"));
            Source::Text(fields.required_string("data")?)
        }
        (other, _) => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("a source of type {other:?} is not supported here")));
        }
    };
    fields.finish(losses);
    Ok(source)
}

fn decode_result(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Part> {
    let call_id = fields.required_text("tool_use_id")?;
    let call_id = Seal::of_id(&call_id).0.to_owned();
    let content = match fields.take("content") {
        Some(content) => decode_content(&fields.path("content"), content, Place::Result, losses)?,
        None => Vec::new(),
    };
    let is_error = Some(fields.bool("is_error")?.unwrap_or(false));
    Ok(Part::new(Content::ToolResult { call_id, content, is_error }))
}
