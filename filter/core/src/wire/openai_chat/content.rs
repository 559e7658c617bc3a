//! The content of a message, from OpenAI's words.

use serde_json::Value;

use super::thoughts::{NOT_CLAUDES, signature as signature_of, unmarked};
use crate::chat::{CacheControl, Content, Losses, Part, Source};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};

/// Which parts a message may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Texts: system, developer and tool messages.
    Text,
    /// Texts, images and files.
    User,
    /// Texts, refusals and thoughts.
    Assistant,
}

/// Reads a message's `content`, a string or a list of parts.
pub(super) fn decode_content(
    path: &Path<'_>,
    content: Value,
    allowed: Allowed,
    losses: &mut Losses,
) -> Result<Vec<Part>> {
    match content {
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(parts) => parts
            .into_iter()
            .enumerate()
            .filter_map(|(index, part)| {
                decode_part(&Path::Index(path, index), part, allowed, losses).transpose()
            })
            .collect(),
        _ => Err(path.malformed("expected a string or a list of parts")),
    }
}

/// `None` for a part that is nothing to anybody.
fn decode_part(path: &Path<'_>, part: Value, allowed: Allowed, losses: &mut Losses) -> Result<Option<Part>> {
    let mut fields = Fields::new(path, part)?;
    let kind = fields.required_string("type")?;
    let content = match (kind.as_str(), allowed) {
        ("text", _) => Content::Text(fields.required_string("text")?),
        ("image_url", Allowed::User) => decode_image(&mut fields, losses)?,
        ("file", Allowed::User) => decode_file(&mut fields, losses)?,
        ("refusal", Allowed::Assistant) => Content::Refusal(fields.required_string("refusal")?),
        ("thinking" | "redacted_thinking", Allowed::Assistant) => {
            let Some(content) = decode_thinking(&mut fields, &kind, losses)? else { return Ok(None) };
            content
        }
        _ => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("content of type {kind:?} is not supported here")));
        }
    };
    let cache_control = cache_control(&mut fields, losses)?;
    fields.finish(losses);
    Ok(Some(Part { content, cache_control }))
}

/// A thought is `text` in a part and `thinking` in a block; both are taken in both. A ciphertext of whom nobody knows is
/// `None`.
fn decode_thinking(fields: &mut Fields<'_>, kind: &str, losses: &mut Losses) -> Result<Option<Content>> {
    if kind == "redacted_thinking" {
        let data = first_of(fields, ["data", "redactedContent"], losses)?;
        let data = unmarked(data.ok_or_else(|| fields.missing("data"))?);
        if data.is_none() {
            losses.add(fields.path("data"), NOT_CLAUDES);
        }
        return Ok(data.map(|data| Content::RedactedThinking { data }));
    }
    let text = first_of(fields, ["thinking", "text"], losses)?.unwrap_or_default();
    let signature = fields.string("signature")?.unwrap_or_default();
    let signature = signature_of(&fields.path("signature"), signature, losses);
    Ok(Some(Content::Thinking { text, signature }))
}

/// One of two members that are two words for one text: the first. Where the other says something else, that is a loss.
pub(super) fn first_of(
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

fn decode_image(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Content> {
    let image = fields.take("image_url").ok_or_else(|| fields.missing("image_url"))?;
    let path = fields.path("image_url");
    let mut image = Fields::new(&path, image)?;
    let url = image.required_string("url")?;
    let detail = image.string("detail")?;
    let source = decode_url(&image.path("url"), url)?;
    image.finish(losses);
    let is_document = match &source {
        Source::Base64 { media_type, .. } => media_type == "application/pdf",
        Source::Url(url) => is_pdf(url),
    };
    if !is_document {
        return Ok(Content::Image { source, detail });
    }
    if detail.is_some_and(|detail| detail != "auto") {
        losses.add(Path::Key(&path, "detail"), "documents have no levels of detail");
    }
    Ok(Content::Document { source, name: None })
}

fn decode_file(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Content> {
    let file = fields.take("file").ok_or_else(|| fields.missing("file"))?;
    let path = fields.path("file");
    let mut file = Fields::new(&path, file)?;
    let name = file.string("filename")?;
    let data = file.string("file_data")?;
    if data.is_none() && file.take("file_id").is_some() {
        let path = file.path("file_id");
        return Err(path.unprocessable("the file is not known to this backend; send its bytes as file_data"));
    }
    let data = data.ok_or_else(|| file.missing("file_data"))?;
    let source = if data.starts_with("data:") {
        decode_url(&file.path("file_data"), data)?
    } else {
        let media_type = name.as_deref().map_or("application/pdf", media_type_of_name).to_owned();
        Source::Base64 { media_type, data }
    };
    file.finish(losses);
    Ok(match source {
        Source::Base64 { ref media_type, .. } if media_type.starts_with("image/") => {
            if name.is_some() {
                losses.add(Path::Key(&path, "filename"), "images have no names");
            }
            Content::Image { source, detail: None }
        }
        source => Content::Document { source, name },
    })
}

/// A `data:` URL (RFC 2397) taken apart, any other as it is.
fn decode_url(path: &Path<'_>, mut url: String) -> Result<Source> {
    let Some(rest) = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and(url.get(5..))
    else {
        return Ok(Source::Url(url));
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
pub(super) fn cache_control(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Option<CacheControl>> {
    let Some(mark) = fields.take("cache_control") else { return Ok(None) };
    let path = fields.path("cache_control");
    let mut mark = Fields::new(&path, mark)?;
    let kind = mark.string("type")?;
    let ttl = mark.string("ttl")?;
    mark.finish(losses);
    if kind.as_deref() == Some("ephemeral") {
        return Ok(Some(CacheControl { ttl }));
    }
    losses.add(path, "only ephemeral cache marks exist");
    Ok(None)
}
