//! One part of a content, from Gemini's words.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::answer::kind_of;
use super::super::part::DETAILS;
use super::super::types::Object;
use super::names::{fields, word};
use super::signatures::{bytes, of_client, standard};
use crate::chat::{Content, Extra, Family, Foreign, Losses, MediaKind, Part, Source};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;

/// Where Gemini's files are: <https://ai.google.dev/api/files>.
const FILES: &str = "https://generativelanguage.googleapis.com/";

/// A part, and the tool that it is the result of.
pub(super) struct Decoded {
    pub(super) part: Part,
    pub(super) answers: String,
}

/// Reads a part, by which of its members is there.
pub(super) fn decode_part(path: &Path<'_>, part: Json<'_>, losses: &mut Losses) -> Result<Decoded> {
    const FOREIGN: [&str; 4] = ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];
    let mut members = fields(path, part)?;
    let seal = members.string("thoughtSignature")?.and_then(of_client);
    let is_thought = members.bool("thought")?.unwrap_or(false);
    let detail = detail(&mut members, losses)?;
    let mut answers = String::new();
    let content = if let Some(text) = members.string("text")? {
        if is_thought { Content::Thinking { text } } else { Content::text(text) }
    } else if let Some(data) = members.take("inlineData") {
        inline(&Path::Key(path, "inlineData"), data, detail, losses)?
    } else if let Some(data) = members.take("fileData") {
        file(&Path::Key(path, "fileData"), data, detail, losses)?
    } else if let Some(call) = members.take("functionCall") {
        let place = Path::Key(path, "functionCall");
        let mut call = fields(&place, call)?;
        let content = Content::ToolCall {
            id: call.string("id")?.unwrap_or_default(),
            name: call.required_string("name")?,
            arguments: call.object_text("args")?.unwrap_or_default(),
        };
        call.finish(losses);
        content
    } else if let Some(response) = members.take("functionResponse") {
        let (content, tool) = result(&Path::Key(path, "functionResponse"), response, losses)?;
        answers = tool;
        content
    } else if let Some((kind, value)) = FOREIGN.iter().find_map(|kind| Some((*kind, members.take(kind)?))) {
        let json = format!("{{\"{kind}\":{value}}}");
        Content::Foreign(Foreign { family: Family::Google, kind: kind.to_owned(), json })
    } else if is_thought && seal.is_some() {
        Content::RedactedThinking
    } else {
        let content = members.extra(Family::Google).map(|extra| of_unknown_kind(&extra));
        // A signature may come alone.
        let content = content.unwrap_or_else(|| Content::text(""));
        return Ok(Decoded { part: Part { seal, ..Part::new(content) }, answers });
    };
    Ok(Decoded { part: Part { seal, extra: members.extra(Family::Google), ..Part::new(content) }, answers })
}

/// A part of a kind that this gateway does not know: of use at Google only.
fn of_unknown_kind(extra: &Extra) -> Content {
    let mut own = Object::default();
    for (name, json) in &extra.members {
        if let Ok(raw) = serde_json::from_str::<&RawValue>(json) {
            own.put_raw(name.as_str(), Cow::Borrowed(raw));
        }
    }
    let kind = extra.members.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let json = serde_json::to_string(&own).unwrap_or_default();
    Content::Foreign(Foreign { family: Family::Google, kind, json })
}

/// `mediaResolution`, in OpenAI's words.
fn detail(members: &mut Fields<'_>, losses: &mut Losses) -> Result<Option<String>> {
    let Some(resolution) = members.take("mediaResolution") else { return Ok(None) };
    let path = members.path("mediaResolution");
    let mut resolution = fields(&path, resolution)?;
    let level = word(&mut resolution, "level")?;
    resolution.finish(losses);
    let Some(level) = level.filter(|level| level != "MEDIA_RESOLUTION_UNSPECIFIED") else { return Ok(None) };
    let known = DETAILS.iter().find(|(_, known)| *known == level);
    if known.is_none() {
        losses.add(path, "only Gemini looks that closely");
    }
    Ok(known.map(|(detail, _)| (*detail).to_owned()))
}

/// Bytes; of a text, the text: others take it as such only.
fn inline(path: &Path<'_>, data: Json<'_>, detail: Option<String>, losses: &mut Losses) -> Result<Content> {
    let mut blob = fields(path, data)?;
    let media_type = blob.string("mimeType")?.unwrap_or_default();
    let data = blob.required_string("data")?;
    let name = blob.string("displayName")?;
    blob.finish(losses);
    let kind = kind_of(&media_type);
    let text = || String::from_utf8(bytes(&data)?).ok();
    if let Some(text) = media_type.starts_with("text/").then(text).flatten() {
        return Ok(Content::Media { kind: MediaKind::Document, source: Source::Text(text), detail, name });
    }
    let source = Source::Base64 { media_type, data: standard(&data).into_owned() };
    Ok(Content::Media { kind, source, detail, name })
}

fn file(path: &Path<'_>, data: Json<'_>, detail: Option<String>, losses: &mut Losses) -> Result<Content> {
    let mut file = fields(path, data)?;
    let media_type = file.string("mimeType")?.filter(|media_type| !media_type.is_empty());
    let url = file.required_string("fileUri")?;
    let name = file.string("displayName")?;
    file.finish(losses);
    let kind = kind_of(media_type.as_deref().unwrap_or_default());
    let source = if url.starts_with(FILES) {
        Source::File { by: Family::Google, id: url }
    } else {
        Source::Url { url, media_type }
    };
    Ok(Content::Media { kind, source, detail, name })
}

/// A tool's result, and the tool.
fn result(path: &Path<'_>, response: Json<'_>, losses: &mut Losses) -> Result<(Content, String)> {
    let mut members = fields(path, response)?;
    let call_id = members.string("id")?.unwrap_or_default();
    let tool = members.string("name")?.unwrap_or_default();
    let (text, is_error) = members.object_text("response")?.map(outcome).unwrap_or_default();
    let mut content = Vec::new();
    if !text.is_empty() {
        content.push(Part::text(text));
    }
    let list = Path::Key(path, "parts");
    for (index, part) in members.list("parts")?.into_iter().enumerate() {
        let path = Path::Index(&list, index);
        let mut part = fields(&path, part)?;
        let media = if let Some(data) = part.take("inlineData") {
            Some(inline(&Path::Key(&path, "inlineData"), data, None, losses)?)
        } else if let Some(data) = part.take("fileData") {
            Some(file(&Path::Key(&path, "fileData"), data, None, losses)?)
        } else {
            None
        };
        part.finish(losses);
        let origin = crate::chat::Origin::new("functionResponse.parts", index);
        content.extend(media.map(|media| Part { origin, ..Part::new(media) }));
    }
    members.finish(losses);
    Ok((Content::ToolResult { call_id, content, is_error: Some(is_error) }, tool))
}

/// What a function answered, and whether that it failed. `output` and `error` are Google's words, `result` is what its
/// SDKs write (<https://ai.google.dev/api/caching#FunctionResponse>); what has others is the answer as it is.
fn outcome(response: String) -> (String, bool) {
    let members = crate::wire::raw::Members::of(&response);
    let told = match members.0.as_slice() {
        [(name, value)] if matches!(&**name, "output" | "result" | "error") => {
            let text = serde_json::from_str::<String>(value.get());
            Some((text.unwrap_or_else(|_| value.get().to_owned()), name == "error"))
        }
        _ => None,
    };
    told.unwrap_or((response, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_answered() {
        for (response, text, is_error) in [
            (r#"{"output":"sunny"}"#, "sunny", false),
            (r#"{"result": {"degrees": 20}}"#, r#"{"degrees": 20}"#, false),
            (r#"{"error":"no such city"}"#, "no such city", true),
            (r#"{"degrees":20,"error":null}"#, r#"{"degrees":20,"error":null}"#, false),
            (r#"{"degrees":20}"#, r#"{"degrees":20}"#, false),
            ("{}", "{}", false),
        ] {
            assert_eq!(outcome(response.to_owned()), (text.to_owned(), is_error), "{response}");
        }
    }
}
