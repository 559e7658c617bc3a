//! Pictures, documents, films and sound, in Converse's words.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cited;
use super::rules::Rule;
use super::types::{Document, Media, Medium, Source};
use crate::chat::{self, Content, Losses, MediaKind, Part};
use crate::error::Result;
use crate::wire::anthropic::message::{by_url, unknown_file};
use crate::wire::anthropic::{Envelope, picture};
use crate::wire::fields::Path;

/// Media types, endings of names, and what Converse calls them; a line for each of the `DocumentFormat`s,
/// `VideoFormat`s and `AudioFormat`s of botocore's service model.
const DOCUMENTS: &[(&str, &str, &str)] = &[
    ("application/pdf", "pdf", "pdf"),
    ("text/csv", "csv", "csv"),
    ("application/msword", "doc", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx", "docx"),
    ("application/vnd.ms-excel", "xls", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "xlsx"),
    ("text/html", "html", "html"),
    ("text/plain", "txt", "txt"),
    ("text/markdown", "md", "md"),
];
const VIDEOS: &[(&str, &str, &str)] = &[
    ("video/x-matroska", "mkv", "mkv"),
    ("video/quicktime", "mov", "mov"),
    ("video/mp4", "mp4", "mp4"),
    ("video/webm", "webm", "webm"),
    ("video/x-flv", "flv", "flv"),
    ("video/mpeg", "mpeg", "mpeg"),
    ("video/mpg", "mpg", "mpg"),
    ("video/x-ms-wmv", "wmv", "wmv"),
    ("video/3gpp", "3gp", "three_gp"),
];
const AUDIO: &[(&str, &str, &str)] = &[
    ("audio/mpeg", "mp3", "mp3"),
    ("audio/mp3", "mp3", "mp3"),
    ("audio/opus", "opus", "opus"),
    ("audio/wav", "wav", "wav"),
    ("audio/x-wav", "wav", "wav"),
    ("audio/aac", "aac", "aac"),
    ("audio/x-aac", "x-aac", "x-aac"),
    ("audio/flac", "flac", "flac"),
    ("audio/mp4", "mp4", "mp4"),
    ("audio/m4a", "m4a", "m4a"),
    ("audio/ogg", "ogg", "ogg"),
    ("audio/x-matroska", "mka", "mka"),
    ("audio/mpga", "mpga", "mpga"),
    ("audio/pcm", "pcm", "pcm"),
    ("audio/webm", "webm", "webm"),
];
const IMAGES: &[(&str, &str, &str)] = &[
    ("image/png", "png", "png"),
    ("image/jpeg", "jpeg", "jpeg"),
    ("image/jpg", "jpg", "jpeg"),
    ("image/gif", "gif", "gif"),
    ("image/webp", "webp", "webp"),
];

/// A part in Converse's words; `None` for one that is no medium.
///
/// # Errors
///
/// 422 for a format that Converse does not have, and for what Bedrock would have to fetch.
pub(in crate::wire) fn media<'a>(
    path: &Path<'_>,
    part: &'a Part,
    envelope: Envelope<'_>,
    losses: &mut Losses,
) -> Result<Option<Media<'a>>> {
    let Content::Media { kind, source, name, .. } = &part.content else { return Ok(None) };
    let name = name.as_deref();
    let (bytes, media_type): (Source<'a>, Option<&str>) = match source {
        chat::Source::Base64 { media_type, data } => {
            (Source::Bytes(Cow::Borrowed(data)), Some(media_type.as_str()))
        }
        chat::Source::Text(text) => (Source::Bytes(Cow::Owned(STANDARD.encode(text))), Some("text/plain")),
        chat::Source::Url { url, media_type } if url.starts_with("s3://") => {
            (Source::S3Location { uri: url }, media_type.as_deref())
        }
        chat::Source::Url { url, .. } => {
            by_url(path, url, envelope)?;
            return Err(path.unprocessable("Bedrock fetches nothing"));
        }
        chat::Source::File { .. } => return Err(unknown_file(path)),
    };
    let address = match &bytes {
        Source::S3Location { uri } => Some(*uri),
        Source::Bytes(_) | Source::Content(_) => None,
    };
    let by_type = |formats: &[(&str, &str, &'static str)]| {
        let said = formats.iter().find(|(known, ..)| Some(*known) == media_type).map(|(.., format)| *format);
        // A plain text may be one of the kinds that have a word of their own.
        let is_vague = said.is_none() || media_type == Some("text/plain");
        let ended = name.or(address).filter(|_| is_vague).and_then(|name| by_ending(formats, name));
        ended.or(said)
    };
    let unknown = |what: &str| {
        let kind = media_type.unwrap_or("unknown");
        path.unprocessable(format_args!("{what} of type {kind:?} are not supported by Bedrock"))
    };
    Ok(Some(match kind {
        MediaKind::Image => {
            let seen = match &bytes {
                Source::Bytes(data) => picture::media_type(media_type.unwrap_or_default(), data),
                Source::S3Location { .. } | Source::Content(_) => None,
            };
            let seen = seen.and_then(|seen| IMAGES.iter().find(|(known, ..)| *known == seen));
            let format = seen.map(|(.., format)| *format).or_else(|| by_type(IMAGES));
            Media::Image(Medium { format: format.ok_or_else(|| unknown("images"))?, source: bytes })
        }
        MediaKind::Document => {
            let format = by_type(DOCUMENTS).ok_or_else(|| unknown("files"))?;
            let name = document_name(path, name, losses);
            let document = Document { format, name, source: bytes, context: None, citations: None };
            let extra = part.extra.as_deref().filter(|_| envelope.is_of_claude());
            cited::document(path, document, extra, losses)
        }
        MediaKind::Video => {
            let format = by_type(VIDEOS).ok_or_else(|| unknown("films"))?;
            Media::Video(Medium { format, source: bytes })
        }
        MediaKind::Audio => {
            let format = by_type(AUDIO).ok_or_else(|| unknown("sounds"))?;
            Media::Audio(Medium { format, source: bytes })
        }
    }))
}

fn by_ending(formats: &[(&str, &str, &'static str)], name: &str) -> Option<&'static str> {
    let (_, ending) = name.rsplit_once('.')?;
    formats.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(ending)).map(|(.., format)| *format)
}

/// The longest name of a document, in characters: `DocumentBlockNameString` of botocore's service model.
const MAX_NAME: usize = 200;

/// A name that Bedrock takes: letters and digits of ASCII, single spaces, hyphens, parentheses and square brackets. The
/// ending of a file's name goes without a word: it is said as the format.
fn document_name<'a>(path: &Path<'_>, name: Option<&'a str>, losses: &mut Losses) -> Cow<'a, str> {
    let Some(name) = name.filter(|name| !name.trim().is_empty()) else { return Cow::Borrowed("document") };
    let stem = match name.rsplit_once('.') {
        Some((stem, _)) if by_ending(DOCUMENTS, name).is_some() && !stem.is_empty() => stem,
        _ => name,
    };
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '(' | ')' | '[' | ']');
    let mut kept = String::with_capacity(stem.len().min(MAX_NAME));
    for char in stem.chars() {
        if kept.len() >= MAX_NAME {
            break;
        }
        match char {
            char if is_allowed(char) => kept.push(char),
            char if char.is_whitespace() => {
                if !kept.ends_with(' ') {
                    kept.push(' ');
                }
            }
            _ => kept.push('-'),
        }
    }
    let kept = kept.trim();
    if kept == stem {
        return Cow::Borrowed(stem);
    }
    losses.add(Path::Key(path, "name"), Rule::DocumentName);
    Cow::Owned(if kept.is_empty() { "document".to_owned() } else { kept.to_owned() })
}

/// `name` with a number behind it, as Bedrock takes each name once.
pub(super) fn numbered(name: &str, number: usize) -> String {
    let suffix = format!(" ({number})");
    let end = name.floor_char_boundary(MAX_NAME.saturating_sub(suffix.len()).min(name.len()));
    format!("{}{suffix}", name.get(..end).unwrap_or_default().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: Option<&str>) -> (String, usize) {
        let mut losses = Losses::default();
        let name = document_name(&Path::Root, name, &mut losses).into_owned();
        (name, losses.count())
    }

    #[test]
    fn names_are_made_of_what_bedrock_takes() {
        for (name, expected, lost) in [
            (Some("report.pdf"), "report", 0),
            (Some("Q3 (final) [v2]-x.docx"), "Q3 (final) [v2]-x", 0),
            (Some("John's  report_1.2.pdf"), "John-s report-1-2", 1),
            (Some("résumé"), "r-sum-", 1),
            (Some("..."), "---", 1),
            (Some(" a\t\nb "), "a b", 1),
            (Some(""), "document", 0),
            (None, "document", 0),
        ] {
            assert_eq!(named(name), (expected.to_owned(), lost), "{name:?}");
        }
        assert_eq!(named(Some(&"x".repeat(500))).0.len(), MAX_NAME);
        assert_eq!(numbered(&"x".repeat(MAX_NAME), 12).len(), MAX_NAME);
        assert_eq!(numbered("document", 2), "document (2)");
    }

    fn format_of(kind: MediaKind, source: chat::Source, name: Option<&str>) -> Option<&'static str> {
        let envelope = Envelope::Converse { seals: chat::Family::Amazon, seal_prefix: "" };
        let name = name.map(str::to_owned);
        let part = Part::new(Content::Media { kind, source, detail: None, name });
        let media = media(&Path::Root, &part, envelope, &mut Losses::default());
        media.ok().flatten().map(|media| match media {
            Media::Image(medium) | Media::Video(medium) | Media::Audio(medium) => medium.format,
            Media::Document(document) => document.format,
            Media::SearchResult(_) => "",
        })
    }

    #[test]
    fn formats_are_told_from_type_bytes_and_name() {
        let base64 = |media_type: &str| chat::Source::Base64 {
            media_type: media_type.to_owned(),
            data: "AAAA".to_owned(),
        };
        for (kind, source, name, expected) in [
            (MediaKind::Document, base64("application/pdf"), None, Some("pdf")),
            (MediaKind::Document, base64("text/plain"), Some("a.CSV"), Some("csv")),
            (MediaKind::Document, base64("text/plain"), Some("a.rs"), Some("txt")),
            (MediaKind::Document, base64("application/zip"), Some("a.zip"), None),
            (MediaKind::Document, base64("application/octet-stream"), Some("a.xlsx"), Some("xlsx")),
            (MediaKind::Video, base64("video/3gpp"), None, Some("three_gp")),
            (MediaKind::Video, chat::Source::url("s3://bucket/film.mp4"), None, Some("mp4")),
            (MediaKind::Video, chat::Source::url("https://host/film.mp4"), None, None),
            (MediaKind::Audio, base64("audio/wav"), None, Some("wav")),
            (MediaKind::Image, base64("image/jpg"), None, Some("jpeg")),
            (MediaKind::Image, base64("image/bmp"), None, None),
            (MediaKind::Image, chat::Source::url("s3://bucket/a.webp"), None, Some("webp")),
        ] {
            assert_eq!(format_of(kind, source.clone(), name), expected, "{source:?} {name:?}");
        }
    }
}
