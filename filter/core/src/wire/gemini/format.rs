//! What the answer's text must look like, in the words of OpenAI's API or of vLLM's extensions to it.

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::RawValue;

use super::extras::Own;
use super::model::Model;
use super::schema;
use super::types::Object;
use crate::chat::{Losses, Request, ResponseFormat};
use crate::error::{Error, Result};
use crate::wire::fields::Path;
use crate::wire::raw::Members;

pub(super) enum Format<'a> {
    Json,
    /// JSON that follows this schema.
    Schema(&'a str),
    /// One of these, a list of texts.
    Choice(&'a RawValue),
    /// A text that this matches.
    Regex(&'a RawValue),
}

/// The format that is asked for.
///
/// # Errors
///
/// 422 where more than one is, and for a `guided_choice` or `guided_regex` that is no list of texts or no text.
pub(super) fn asked<'a>(
    request: &'a Request,
    own: &Own<'a>,
    losses: &mut Losses,
) -> Result<Option<Format<'a>>> {
    let mut found = Vec::new();
    match &request.response_format {
        Some(ResponseFormat::JsonObject) => found.push(("response_format", Format::Json)),
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            found.push(("response_format", Format::Schema(schema)))
        }
        None => {}
    }
    for (name, value) in &own.guided {
        match *name {
            "structured_outputs" => {
                for (member, value) in Members::of(value.get()).0 {
                    match guided(&member, value) {
                        Some(format) => found.push((name, format)),
                        None => losses.add(format_args!("{name}.{member}"), "not supported by Gemini"),
                    }
                }
            }
            name => {
                found.extend(guided(name.trim_start_matches("guided_"), value).map(|format| (name, format)))
            }
        }
    }
    if let [(first, _), (second, _), ..] = found.as_slice() {
        let message =
            format!("invalid request body: {second}: there is {first} already, and only one of them counts");
        return Err(Error::unprocessable(message));
    }
    let Some((name, format)) = found.pop() else { return Ok(None) };
    let is_whole = match &format {
        Format::Choice(choice) => serde_json::from_str::<Vec<Cow<'_, str>>>(choice.get()).is_ok(),
        Format::Regex(regex) => regex.get().starts_with('"'),
        Format::Json | Format::Schema(_) => true,
    };
    if !is_whole {
        return Err(Path::Key(&Path::Root, name).unprocessable("expected a list of texts, or one text"));
    }
    Ok(Some(format))
}

fn guided<'a>(kind: &str, value: &'a RawValue) -> Option<Format<'a>> {
    match kind {
        "choice" => Some(Format::Choice(value)),
        "regex" => Some(Format::Regex(value)),
        "json" if value.get().starts_with('{') => Some(Format::Schema(value.get())),
        "json_object" if value.get() == "true" => Some(Format::Json),
        _ => None,
    }
}

impl<'a> Format<'a> {
    pub(super) fn put(self, config: &mut Object<'a>, model: Model, losses: &mut Losses) -> Result<()> {
        let path = Path::Key(&Path::Root, "response_format");
        let media_type = if matches!(self, Format::Choice(_)) { "text/x.enum" } else { "application/json" };
        config.put("responseMimeType", media_type);
        match self {
            Format::Json => {}
            Format::Schema(text) if model.takes_json_schema() => {
                if let Ok(schema) = serde_json::from_str::<&RawValue>(text) {
                    config.put_raw("responseJsonSchema", Cow::Borrowed(schema));
                }
            }
            Format::Schema(text) => config.put("responseSchema", schema::for_older(&path, text, losses)?),
            Format::Choice(choice) => config.put("responseSchema", json!({"type": "STRING", "enum": choice})),
            Format::Regex(regex) => config.put("responseSchema", json!({"type": "STRING", "pattern": regex})),
        }
        Ok(())
    }
}

/// Whether the answer's text is a JSON string where the client wants what is in it.
pub(super) fn is_quoted(request: &Request) -> bool {
    let Some(extra) = request.extra.as_deref() else { return false };
    let nested = extra.get("structured_outputs").map(|raw| Members::of(raw.get()));
    extra.get("guided_regex").is_some() || nested.is_some_and(|members| members.get("regex").is_some())
}

/// What is in the JSON string `text`, if it is one.
pub(super) fn unquoted(text: String) -> String {
    serde_json::from_str(text.trim()).unwrap_or(text)
}
