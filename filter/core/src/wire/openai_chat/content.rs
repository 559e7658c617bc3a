//! The content of a message, from OpenAI's words.

use crate::chat::{CacheControl, Content, Family, Losses, MediaKind, Origin, Part, Seal, Source};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;

/// Which parts a message may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Texts: system, developer and tool messages.
    Text,
    /// Texts, images, sound and files.
    User,
    /// Texts, refusals and thoughts.
    Assistant,
}

/// Reads a message's `content`, a string or a list of parts.
pub(super) fn decode_content(
    path: &Path<'_>,
    content: Json<'_>,
    allowed: Allowed,
    losses: &mut Losses,
) -> Result<Vec<Part>> {
    match content {
        Json::String(text) => Ok(vec![Part { origin: CONTENT, ..Part::text(text) }]),
        Json::Array(parts) => parts
            .into_iter()
            .enumerate()
            .filter_map(|(index, part)| {
                let part = decode_part(&Path::Index(path, index), part, allowed, losses).transpose()?;
                Some(part.map(|part| Part { origin: Origin::new(CONTENT.member, index), ..part }))
            })
            .collect(),
        _ => Err(path.malformed("expected a string or a list of parts")),
    }
}

/// Where a message that is a text has it.
pub(super) const CONTENT: Origin = Origin { member: "content", index: None };

/// `None` for a part that is nothing to anybody.
fn decode_part(
    path: &Path<'_>,
    part: Json<'_>,
    allowed: Allowed,
    losses: &mut Losses,
) -> Result<Option<Part>> {
    let mut fields = Fields::new(path, part)?;
    let kind = fields.required_text("type")?;
    let mut part = match (&*kind, allowed) {
        ("text", _) => Part::text(fields.required_string("text")?),
        ("image_url", Allowed::User) => Part::new(decode_image(&mut fields, losses)?),
        ("input_audio", Allowed::User) => Part::new(decode_audio(&mut fields, losses)?),
        ("file", Allowed::User) => Part::new(decode_file(&mut fields, losses)?),
        ("refusal", Allowed::Assistant) => Part::new(Content::Refusal(fields.required_string("refusal")?)),
        ("thinking" | "redacted_thinking", Allowed::Assistant) => {
            let Some(part) = decode_thinking(&mut fields, &kind, losses)? else { return Ok(None) };
            part
        }
        _ => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("content of type {kind:?} is not supported here")));
        }
    };
    part.cache_control = cache_control(&mut fields, losses)?;
    part.extra = fields.extra(Family::OpenAi);
    Ok(Some(part))
}

/// A thought is `text` in a part and `thinking` in a block; both are taken in both.
fn decode_thinking(fields: &mut Fields<'_>, kind: &str, losses: &mut Losses) -> Result<Option<Part>> {
    if kind == "redacted_thinking" {
        let data = first_of(fields, ["data", "redactedContent"], losses)?;
        let data = data.ok_or_else(|| fields.missing("data"))?;
        return Ok(redacted(&fields.path("data"), data, losses));
    }
    let text = first_of(fields, ["thinking", "text"], losses)?.unwrap_or_default();
    let signature = fields.string("signature")?.unwrap_or_default();
    Ok(Some(thought(text, &fields.path("signature"), signature, losses)))
}

/// A thought with its signature, which is at `path`, if it is known whose it is.
pub(super) fn thought(text: String, path: &Path<'_>, signature: String, losses: &mut Losses) -> Part {
    Part::thinking(text, seal(path, signature, losses))
}

/// A thought that only its provider can read, with its ciphertext at `path`. One that is nobody's is nothing.
pub(super) fn redacted(path: &Path<'_>, data: String, losses: &mut Losses) -> Option<Part> {
    let seal = Some(seal(path, data, losses)?);
    Some(Part { seal, ..Part::new(Content::RedactedThinking) })
}

/// The signature or ciphertext that a client sends back, if it is known whose it is.
fn seal(path: &Path<'_>, marked: String, losses: &mut Losses) -> Option<Seal> {
    if marked.is_empty() {
        return None;
    }
    let seal = Seal::of_marked(marked);
    if seal.is_none() {
        losses.add(path, "it does not say whose it is, and may be of another provider's model");
    }
    seal
}

/// One of two members that are two words for one text: the first. Where the other says something else, that is a loss.
pub(in crate::wire) fn first_of(
    fields: &mut Fields<'_>,
    [first, other]: [&str; 2],
    losses: &mut Losses,
) -> Result<Option<String>> {
    let (said, also) = (fields.string(first)?, fields.string(other)?);
    Ok(prefer(said, also, first, &fields.path(other), losses))
}

/// The first of two values that are there for one, which `name` says where it is, or the other, at `path`. That the
/// other goes is a loss if it is not the same.
pub(super) fn prefer<T: PartialEq>(
    first: Option<T>,
    other: Option<T>,
    name: &str,
    path: &Path<'_>,
    losses: &mut Losses,
) -> Option<T> {
    if first.is_some() && other.is_some() && first != other {
        losses.add(path, format!("{name} says something else, which counts"));
    }
    first.or(other)
}

/// A part of the type `image_url`.
pub(in crate::wire) fn decode_image(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Content> {
    let image = fields.take("image_url").ok_or_else(|| fields.missing("image_url"))?;
    let path = fields.path("image_url");
    let mut image = Fields::new(&path, image)?;
    let url = image.required_string("url")?;
    let detail = image.string("detail")?;
    let content = picture_at(&image, url, "url", detail, losses)?;
    image.finish(losses);
    Ok(content)
}

/// The picture at an address, which is the member `name`. Some clients send documents as pictures.
pub(in crate::wire) fn picture_at(
    image: &Fields<'_>,
    url: String,
    name: &str,
    detail: Option<String>,
    losses: &mut Losses,
) -> Result<Content> {
    let source = decode_url(&image.path(name), url)?;
    let is_document = match &source {
        Source::Base64 { media_type, .. } => media_type == "application/pdf",
        Source::Url { url, .. } => is_pdf(url),
        Source::Text(_) | Source::File { .. } => false,
    };
    if !is_document {
        return Ok(Content::Media { kind: MediaKind::Image, source, detail, name: None });
    }
    if detail.is_some_and(|detail| detail != "auto") {
        losses.add(image.path("detail"), "documents have no levels of detail");
    }
    Ok(Content::Media { kind: MediaKind::Document, source, detail: None, name: None })
}

/// A part of the type `input_audio`.
pub(in crate::wire) fn decode_audio(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Content> {
    let audio = fields.take("input_audio").ok_or_else(|| fields.missing("input_audio"))?;
    let path = fields.path("input_audio");
    let mut audio = Fields::new(&path, audio)?;
    let data = audio.required_string("data")?;
    let media_type = match audio.required_string("format")?.as_str() {
        "mp3" => "audio/mpeg".to_owned(),
        format => format!("audio/{format}"),
    };
    audio.finish(losses);
    let source = Source::Base64 { media_type, data };
    Ok(Content::Media { kind: MediaKind::Audio, source, detail: None, name: None })
}

fn decode_file(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Content> {
    let file = fields.take("file").ok_or_else(|| fields.missing("file"))?;
    let path = fields.path("file");
    let mut file = Fields::new(&path, file)?;
    let name = file.string("filename")?;
    let data = file.string("file_data")?;
    if data.is_none()
        && let Some(id) = file.string("file_id")?
    {
        file.finish(losses);
        let source = Source::File { by: Family::OpenAi, id };
        return Ok(Content::Media { kind: MediaKind::Document, source, detail: None, name });
    }
    let data = data.ok_or_else(|| file.missing("file_data"))?;
    let content = file_of(&file, data, name, losses)?;
    file.finish(losses);
    Ok(content)
}

/// The file whose bytes are in `file_data`, and whose name is in `filename`.
pub(in crate::wire) fn file_of(
    file: &Fields<'_>,
    data: String,
    name: Option<String>,
    losses: &mut Losses,
) -> Result<Content> {
    let source = if data.starts_with("data:") {
        decode_url(&file.path("file_data"), data)?
    } else {
        let media_type = name.as_deref().map_or("application/pdf", media_type_of_name).to_owned();
        Source::Base64 { media_type, data }
    };
    Ok(match source {
        Source::Base64 { ref media_type, .. } if media_type.starts_with("image/") => {
            if name.is_some() {
                losses.add(file.path("filename"), "images have no names");
            }
            Content::Media { kind: MediaKind::Image, source, detail: None, name: None }
        }
        source => Content::Media { kind: MediaKind::Document, source, detail: None, name },
    })
}

/// A `data:` URL (RFC 2397) taken apart, any other as it is.
fn decode_url(path: &Path<'_>, mut url: String) -> Result<Source> {
    let Some(rest) = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and(url.get(5..))
    else {
        return Ok(Source::url(url));
    };
    let Some((head, data)) = rest.split_once(',') else {
        return Err(path.unprocessable("a data URL without a comma"));
    };
    let mut parameters = head.split(';');
    let media_type = parameters.next().unwrap_or_default().trim().to_ascii_lowercase();
    if !parameters.any(|parameter| parameter.trim().eq_ignore_ascii_case("base64")) {
        return Err(path.unprocessable("a data URL that is not base64"));
    }
    // The data may be megabytes: it stays where it is and only the head goes.
    let start = url.len().saturating_sub(data.len());
    url.drain(..start);
    Ok(Source::Base64 { media_type, data: url })
}

fn is_pdf(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.get(path.len().saturating_sub(4)..).is_some_and(|end| end.eq_ignore_ascii_case(".pdf"))
}

fn media_type_of_name(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("txt" | "md" | "csv") => "text/plain",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        _ => "application/pdf",
    }
}

/// Takes the object's `cache_control`. Only `ephemeral` marks exist.
pub(in crate::wire) fn cache_control(
    fields: &mut Fields<'_>,
    losses: &mut Losses,
) -> Result<Option<CacheControl>> {
    let Some(mark) = fields.take("cache_control") else { return Ok(None) };
    let path = fields.path("cache_control");
    let mut mark = Fields::new(&path, mark)?;
    let kind = mark.text("type")?;
    let ttl = mark.string("ttl")?;
    mark.finish(losses);
    if kind.as_deref() == Some("ephemeral") {
        return Ok(Some(CacheControl { ttl }));
    }
    losses.add(path, "only ephemeral cache marks exist");
    Ok(None)
}
