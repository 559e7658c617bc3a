//! What a message has besides text, in the words of chat completions.

use super::servers::Server;
use super::types::{File, Kind, Link, Sound, Url};
use crate::chat::{Content, Family, Losses, MediaKind, Source};
use crate::error::{Error, Result};
use crate::wire::fields::Path;

/// The part that a medium becomes; `None` for what is none.
///
/// # Errors
///
/// 422 for what chat completions have no place for.
pub(super) fn medium<'a>(
    path: &Path<'_>,
    content: &'a Content,
    server: Server,
    losses: &mut Losses,
) -> Result<Option<Kind<'a>>> {
    let Content::Media { kind, source, detail, name } = content else { return Ok(None) };
    let detail = level(path, *kind, detail.as_deref(), losses);
    Ok(Some(match kind {
        MediaKind::Image => Kind::ImageUrl { image_url: Link { url: url(path, source)?, detail } },
        MediaKind::Document => document(path, source, name.as_deref())?,
        MediaKind::Audio => audio(path, source, server)?,
        MediaKind::Video => {
            Kind::VideoUrl { video_url: Link { url: at_others(path, source, server)?, detail } }
        }
    }))
}

/// How closely to look: `low`, `high` and `auto` are the levels of `ImageURL` in the types of OpenAI's SDK, and others
/// become the nearest. What is no picture has none.
fn level<'a>(
    path: &Path<'_>,
    kind: MediaKind,
    detail: Option<&'a str>,
    losses: &mut Losses,
) -> Option<&'a str> {
    let level = match (kind, detail?) {
        (MediaKind::Document | MediaKind::Audio, "auto") => return None,
        (MediaKind::Document | MediaKind::Audio, _) => None,
        (MediaKind::Image | MediaKind::Video, "low" | "high" | "auto") => return detail,
        (MediaKind::Image | MediaKind::Video, "original") => Some("high"),
        (MediaKind::Image | MediaKind::Video, _) => Some("auto"),
    };
    losses.add(Path::Key(path, "detail"), "chat completions take pictures with detail low, high or auto");
    level
}

fn url<'a>(path: &Path<'_>, source: &'a Source) -> Result<Url<'a>> {
    match source {
        Source::Url { url, .. } => Ok(Url::Plain(url)),
        Source::Base64 { media_type, data } => Ok(Url::Data { media_type, data }),
        Source::Text(_) => Err(path.unprocessable("a text is none of these")),
        Source::File { .. } => Err(by_name(path)),
    }
}

fn by_name(path: &Path<'_>) -> Error {
    path.unprocessable("the file is not known to this backend; send its bytes")
}

fn document<'a>(path: &Path<'_>, source: &'a Source, name: Option<&'a str>) -> Result<Kind<'a>> {
    let file = match source {
        // A text is a text, and its title the line above it.
        Source::Text(text) => return Ok(Kind::Text { text: Source::titled(name, text) }),
        Source::Base64 { media_type, data } => {
            // OpenAI takes no bytes without a name.
            let filename = Some(name.unwrap_or_else(|| file_name(media_type)));
            File { filename, file_data: Some(Url::Data { media_type, data }), file_id: None }
        }
        Source::File { by: Family::OpenAi, id } => {
            File { file_id: Some(id), filename: name, file_data: None }
        }
        Source::File { .. } => return Err(by_name(path)),
        Source::Url { .. } => {
            let what = "chat completions take no document by URL; send its bytes";
            return Err(path.unprocessable(what));
        }
    };
    Ok(Kind::File { file })
}

fn file_name(media_type: &str) -> &'static str {
    match media_type {
        "application/pdf" => "document.pdf",
        "text/plain" => "document.txt",
        "text/csv" => "document.csv",
        "text/html" => "document.html",
        "text/markdown" => "document.md",
        _ => "document",
    }
}

/// By `input_audio` in the types of OpenAI's SDK: bytes, as `wav` or `mp3`. Other servers take more.
fn audio<'a>(path: &Path<'_>, source: &'a Source, server: Server) -> Result<Kind<'a>> {
    let Source::Base64 { media_type, data } = source else {
        let url = at_others(path, source, server)?;
        return Ok(Kind::AudioUrl { audio_url: Link { url, detail: None } });
    };
    let format = match media_type.strip_prefix("audio/").unwrap_or(media_type) {
        "wav" | "x-wav" | "wave" | "vnd.wave" => "wav",
        "mpeg" | "mp3" => "mp3",
        other if !server.is_openai => other,
        _ => {
            let what =
                format_args!("sound of type {media_type:?} is not taken by OpenAI: it must be WAV or MP3");
            return Err(path.unprocessable(what));
        }
    };
    Ok(Kind::InputAudio { input_audio: Sound { data, format } })
}

/// Parts that vLLM added: <https://docs.vllm.ai/en/latest/features/multimodal_inputs.html>.
fn at_others<'a>(path: &Path<'_>, source: &'a Source, server: Server) -> Result<Url<'a>> {
    if server.is_openai {
        return Err(path.unprocessable("OpenAI takes no film, and no sound by URL"));
    }
    url(path, source)
}
