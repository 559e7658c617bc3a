//! One piece of a message, in Gemini's words. Calls and results are in `contents.rs`.

use std::borrow::Cow;

use super::model::Model;
use super::rules::Rule;
use super::types::{Blob, FileData, KnownPart, MediaResolution, Part};
use crate::chat::{self, Content, Family, Losses, MediaKind, Seal, Source};
use crate::error::Result;
use crate::wire::fields::Path;

/// `None` for what is nothing, or of another provider.
///
/// # Errors
///
/// 422 for a file that only another provider has.
pub(super) fn encode<'a>(
    path: &Path<'_>,
    part: &'a chat::Part,
    model: Model,
    losses: &mut Losses,
) -> Result<Option<Part<'a>>> {
    let thought_signature = own_seal(path, part, losses);
    let is_signed = thought_signature.is_some();
    let known = |known: KnownPart<'a>| {
        let thought_signature = thought_signature.map(Cow::Borrowed);
        Some(KnownPart { thought_signature, ..known }.into())
    };
    Ok(match &part.content {
        // The last part of a stream may have no text and the signature.
        Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() && !is_signed => None,
        Content::Text { text, annotations } => {
            if !annotations.is_empty() {
                losses.add(Path::Key(path, "citations"), "Gemini takes no sources of texts");
            }
            known(KnownPart { text: Some(Cow::Borrowed(text)), ..KnownPart::default() })
        }
        Content::Refusal(text) => {
            known(KnownPart { text: Some(Cow::Borrowed(text)), ..KnownPart::default() })
        }
        Content::Thinking { text } if text.is_empty() && !is_signed => None,
        // That of a text, which its client had no place for.
        Content::Thinking { text } if text.is_empty() => {
            known(KnownPart { text: Some(Cow::Borrowed("")), ..KnownPart::default() })
        }
        Content::Thinking { text } => {
            known(KnownPart { text: Some(Cow::Borrowed(text)), thought: Some(true), ..KnownPart::default() })
        }
        Content::Media { kind, source, detail, name } => {
            let resolution = resolution(path, detail.as_deref(), model, losses);
            let media = media(path, *kind, source, name.as_deref())?;
            known(KnownPart { media_resolution: resolution, ..media })
        }
        Content::Foreign(foreign) if foreign.family == Family::Google => {
            serde_json::from_str(&foreign.json).ok().map(|raw| Part::Own(Cow::Borrowed(raw)))
        }
        Content::Foreign(foreign) => {
            losses.add(path, format!("only its own provider understands {}", foreign.kind));
            None
        }
        Content::RedactedThinking => {
            losses.add(path, "only its own provider can read this thought");
            None
        }
        // Not among the others.
        Content::ToolCall { .. } | Content::ToolResult { .. } => None,
    })
}

/// What Gemini signed.
pub(super) fn own_seal<'a>(path: &Path<'_>, part: &'a chat::Part, losses: &mut Losses) -> Option<&'a str> {
    let Seal { by, data } = part.seal.as_ref()?;
    if *by == Family::Google {
        return Some(data.as_str()).filter(|data| !data.is_empty());
    }
    // Where the whole part goes that is the loss.
    if part.content != Content::RedactedThinking {
        losses.add(Path::Key(path, "signature"), Rule::ForeignSeal);
    }
    None
}

fn resolution(
    path: &Path<'_>,
    detail: Option<&str>,
    model: Model,
    losses: &mut Losses,
) -> Option<MediaResolution> {
    let detail = detail.filter(|detail| *detail != "auto")?;
    let Some((_, level)) = DETAILS.iter().find(|(known, _)| *known == detail) else {
        losses.add(Path::Key(path, "detail"), "not known to Gemini");
        return None;
    };
    if !model.is_newest() {
        losses.add(Path::Key(path, "detail"), Rule::Detail);
        return None;
    }
    Some(MediaResolution { level })
}

/// How closely to look, in OpenAI's words and in Gemini's.
pub(super) const DETAILS: &[(&str, &str)] = &[
    ("low", "MEDIA_RESOLUTION_LOW"),
    ("medium", "MEDIA_RESOLUTION_MEDIUM"),
    ("high", "MEDIA_RESOLUTION_HIGH"),
];

/// A medium as `inlineData` or `fileData`, or as text where it is one.
///
/// # Errors
///
/// 422 for a file that only another provider has.
pub(super) fn media<'a>(
    path: &Path<'_>,
    kind: MediaKind,
    source: &'a Source,
    name: Option<&'a str>,
) -> Result<KnownPart<'a>> {
    let file = |mime_type, file_uri| {
        let file_data = Some(FileData { mime_type, file_uri, display_name: name });
        KnownPart { file_data, ..KnownPart::default() }
    };
    Ok(match source {
        Source::Base64 { media_type, data } => {
            let mime_type = match media_type.as_str() {
                "" => Cow::Borrowed(usual(kind)),
                "image/jpg" => Cow::Borrowed("image/jpeg"),
                media_type => Cow::Borrowed(media_type),
            };
            let inline_data = Some(Blob { mime_type, data, display_name: name });
            KnownPart { inline_data, ..KnownPart::default() }
        }
        Source::Text(text) => KnownPart { text: Some(Source::titled(name, text)), ..KnownPart::default() },
        Source::Url { url, media_type } => {
            let known = media_type.as_deref().or_else(|| by_extension(url)).unwrap_or(usual(kind));
            file(Cow::Borrowed(known), url)
        }
        Source::File { by: Family::Google, id } => {
            file(Cow::Borrowed(by_extension(id).unwrap_or(usual(kind))), id)
        }
        Source::File { .. } => {
            return Err(path.unprocessable("the file is not known to this backend; send its bytes"));
        }
    })
}

/// Gemini must be told what a file is.
fn usual(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Document => "application/pdf",
        MediaKind::Audio => "audio/mpeg",
        MediaKind::Video => "video/mp4",
    }
}

/// The types that Gemini takes, by how their files are called:
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>.
fn by_extension(url: &str) -> Option<&'static str> {
    const EXTENSIONS: &[(&str, &str)] = &[
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("webp", "image/webp"),
        ("gif", "image/gif"),
        ("heic", "image/heic"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("flac", "audio/flac"),
        ("ogg", "audio/ogg"),
        ("mp4", "video/mp4"),
        ("mov", "video/mov"),
        ("webm", "video/webm"),
        ("mpeg", "video/mpeg"),
    ];
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    let known = EXTENSIONS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known));
    known.map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_what_it_is() {
        for (url, media_type) in [
            ("gs://bucket/a.b/c.PNG", Some("image/png")),
            ("https://x.example/c.pdf?a=b.png", Some("application/pdf")),
            ("https://x.example/v1.png/c", None),
            ("https://youtu.be/abc", None),
            ("", None),
        ] {
            assert_eq!(by_extension(url), media_type, "{url}");
        }
    }
}
