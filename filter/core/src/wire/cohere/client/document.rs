//! Documents that an answer is to be found in (<https://docs.cohere.com/docs/rag-complete-example>): `documents` of a
//! request, and those of a tool's result.
//!
//! A document is members of any names, which the model sees with these. Others have one text and a title.

use crate::chat::{Content, Losses, MediaKind, Message, Origin, Part, Role, Source};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::raw::{Members, compact_text};

/// The documents of a request, as something that the user shows.
pub(super) fn documents(
    path: &Path<'_>,
    list: Vec<Json<'_>>,
    losses: &mut Losses,
) -> Result<Option<Message>> {
    if list.is_empty() {
        return Ok(None);
    }
    losses.add(path, "the model is shown them, and its answer does not say where in them it is from");
    let mut parts = Vec::with_capacity(list.len());
    for (index, document) in list.into_iter().enumerate() {
        let Document { title, text } = read(&Path::Index(path, index), document, losses)?;
        let content = Content::Media {
            kind: MediaKind::Document,
            source: Source::Text(text),
            detail: None,
            name: title,
        };
        parts.push(Part { origin: Origin { member: "", index: Some(index) }, ..Part::new(content) });
    }
    let origin = Origin { member: "documents", index: None };
    Ok(Some(Message { origin, ..Message::new(Role::User, parts) }))
}

/// A document of a tool's result, which others take as text only.
pub(super) fn text_of(path: &Path<'_>, document: Json<'_>, losses: &mut Losses) -> Result<String> {
    let Document { title, text } = read(path, document, losses)?;
    Ok(Source::titled(title.as_deref(), &text).into_owned())
}

struct Document {
    title: Option<String>,
    text: String,
}

/// A document is a text, or an object with its members in `data`. What they are called says something to the model
/// unless there is but one text.
fn read(path: &Path<'_>, document: Json<'_>, losses: &mut Losses) -> Result<Document> {
    if let Json::String(text) = document {
        return Ok(Document { title: None, text: text.into_owned() });
    }
    let mut fields = Fields::new(path, document)?;
    let data = fields.take("data").ok_or_else(|| fields.missing("data"))?;
    // Answers of Cohere's name documents by it.
    fields.take("id");
    let Json::Text(raw) = data else { return Err(fields.path("data").malformed("expected an object")) };
    fields.finish(losses);
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return Ok(Document { title: None, text });
    }
    let text = |raw: &serde_json::value::RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let members = Members::of(raw.get());
    let title = members.get("title").and_then(text);
    let rest = members.0.iter().filter(|(name, _)| title.is_none() || name != "title");
    let only = match rest.collect::<Vec<_>>().as_slice() {
        [(name, value)] if matches!(&**name, "text" | "snippet") => text(value),
        _ => None,
    };
    Ok(match only {
        Some(text) => Document { title, text },
        None => Document { title: None, text: compact_text(raw.get()) },
    })
}
