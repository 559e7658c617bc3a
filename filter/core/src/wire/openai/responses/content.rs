//! The content of a message and of a tool's output, from Responses' words.

use std::borrow::Cow;

use crate::chat::{Annotation, Content, Family, Foreign, Losses, MediaKind, Origin, Part, Source};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::openai_chat::{cache_control, decode_audio, file_of, picture_at};

/// Reads `content` or `output`, which the member is called: a string or a list of parts.
pub(super) fn decode_content(
    path: &Path<'_>,
    content: Json<'_>,
    member: &'static str,
    losses: &mut Losses,
) -> Result<Vec<Part>> {
    let list = match content {
        Json::String(text) => {
            return Ok(vec![Part { origin: Origin { member, index: None }, ..Part::text(text) }]);
        }
        Json::Array(list) => list,
        _ => return Err(path.malformed("expected a string or a list of parts")),
    };
    let mut parts = Vec::with_capacity(list.len());
    for (index, part) in list.into_iter().enumerate() {
        let part = decode_part(&Path::Index(path, index), part, losses)?;
        parts.push(Part { origin: Origin::new(member, index), ..part });
    }
    Ok(parts)
}

/// The `type` of an object, if it has one.
pub(super) fn kind_of<'j>(path: &Path<'_>, object: &Json<'j>) -> Result<Option<Cow<'j, str>>> {
    let Json::Object(_) = object else { return Err(path.malformed("expected an object")) };
    match object.get("type") {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(kind)) => Ok(Some(kind.clone())),
        Some(_) => Err(Path::Key(path, "type").malformed("expected a string")),
    }
}

/// What OpenAI alone understands, as it was written, but for the space between its tokens.
pub(super) fn foreign(kind: &str, object: &Json<'_>) -> Foreign {
    Foreign { family: Family::OpenAi, kind: kind.to_owned(), json: object.to_string() }
}

fn decode_part(path: &Path<'_>, part: Json<'_>, losses: &mut Losses) -> Result<Part> {
    let kind = kind_of(path, &part)?.ok_or_else(|| Path::Key(path, "type").malformed("field is required"))?;
    let decode = match &*kind {
        "input_text" | "output_text" | "text" => decode_text,
        "refusal" => decode_refusal,
        "input_image" => decode_image,
        "input_file" => decode_file,
        "input_audio" => decode_audio,
        _ => return Ok(Part::new(Content::Foreign(foreign(&kind, &part)))),
    };
    let mut fields = Fields::new(path, part)?;
    fields.take("type");
    let content = decode(&mut fields, losses)?;
    // An extension, for Claude's cache.
    let cache_control = cache_control(&mut fields, losses)?;
    Ok(Part { cache_control, extra: fields.extra(Family::OpenAi), ..Part::new(content) })
}

fn decode_text(fields: &mut Fields<'_>, _: &mut Losses) -> Result<Content> {
    let text = fields.required_string("text")?;
    let annotations = fields.list("annotations")?.iter().map(annotation).collect();
    // They tell of an answer, and nothing to a model.
    fields.take("logprobs");
    Ok(Content::Text { text, annotations })
}

fn annotation(annotation: &Json<'_>) -> Annotation {
    let text = |member| annotation.get(member).and_then(Json::as_str).map(str::to_owned);
    let index = |member| {
        let index = annotation.get(member)?.as_number()?.as_u64()?;
        usize::try_from(index).ok()
    };
    let kind = text("type").unwrap_or_default();
    let raw = (kind != "url_citation").then(|| foreign(&kind, annotation));
    Annotation {
        span: index("start_index").zip(index("end_index")),
        url: text("url"),
        title: text("title"),
        cited_text: None,
        raw,
    }
}

fn decode_refusal(fields: &mut Fields<'_>, _: &mut Losses) -> Result<Content> {
    fields.required_string("refusal").map(Content::Refusal)
}

fn decode_image(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Content> {
    let detail = fields.string("detail")?;
    let url = fields.string("image_url")?;
    if let Some(url) = url {
        return picture_at(fields, url, "image_url", detail, losses);
    }
    let id = fields.string("file_id")?.ok_or_else(|| fields.missing("image_url"))?;
    let source = Source::File { by: Family::OpenAi, id };
    Ok(Content::Media { kind: MediaKind::Image, source, detail, name: None })
}

fn decode_file(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Content> {
    let name = fields.string("filename")?;
    if let Some(data) = fields.string("file_data")? {
        return file_of(fields, data, name, losses);
    }
    let source = match (fields.string("file_url")?, fields.string("file_id")?) {
        (Some(url), _) => Source::url(url),
        (None, Some(id)) => Source::File { by: Family::OpenAi, id },
        (None, None) => return Err(fields.missing("file_data")),
    };
    Ok(Content::Media { kind: MediaKind::Document, source, detail: None, name })
}
