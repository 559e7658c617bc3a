//! What the edge must know of a request before it is routed.

use percent_encoding::percent_decode_str;

use crate::codec::json::{self, ScanError};
use crate::codec::multipart;
use crate::endpoint::Endpoint;
use crate::headers::Headers;

/// The longest model name that is taken, in bytes. ARNs of inference profiles are below 200.
const MAX_MODEL: usize = 512;

/// What the edge must know of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Glance {
    /// The model that the client names.
    pub model: String,
    /// It asks for a stream.
    pub stream: bool,
    /// It asks for that as one JSON array.
    pub is_array: bool,
    /// It asks for usage in its stream (`stream_options.include_usage`).
    pub usage_asked: bool,
    /// How many choices it asks for (`n`).
    pub choices: u32,
    /// It asks that nothing be kept of the answer (`store`).
    pub unstored: bool,
}

/// Of a body of JSON that has it all in members of the usual names.
pub(crate) fn json(_: &Headers, body: &[u8]) -> Result<Glance, String> {
    json_or(body, None)
}

/// The same where the API has a model for who names none.
pub(crate) fn json_or(body: &[u8], default: Option<&str>) -> Result<Glance, String> {
    let explain = |error: ScanError| error.to_string();
    let [model, stream, options, choices, store] =
        json::scan(body, ["model", "stream", "stream_options", "n", "store"]).map_err(explain)?.members;
    let model = match (model.filter(|model| default.is_none() || !model.is_null(body)), default) {
        (Some(model), _) => model.as_str(body).ok_or("the field model must be a string")?,
        (None, Some(default)) => default.into(),
        (None, None) => return Err("the field model is missing".to_owned()),
    };
    let usage_asked = match options.filter(|options| !options.is_null(body)) {
        None => false,
        Some(options) => {
            let raw = options.raw(body);
            let [include] = json::scan(raw, ["include_usage"])
                .map_err(|error| format!("the field stream_options: {error}"))?
                .members;
            include.and_then(|include| include.as_bool(raw)).unwrap_or(false)
        }
    };
    let stream = stream.and_then(|stream| stream.as_bool(body)).unwrap_or(false);
    let choices = choices.and_then(|choices| serde_json::from_slice(choices.raw(body)).ok());
    Ok(Glance {
        model: valid_model(FIELD, &model)?,
        stream,
        is_array: false,
        usage_asked,
        choices: choices.unwrap_or(1),
        unstored: store.and_then(|store| store.as_bool(body)) == Some(false),
    })
}

/// Of a request about something that a backend keeps, whose name says the model.
pub(crate) fn stored(headers: &Headers, _: &[u8]) -> Result<Glance, String> {
    let (_, query) = headers.path_and_query();
    let stream = query.is_some_and(|query| query.split('&').any(|parameter| parameter == "stream=true"));
    Ok(Glance {
        model: String::new(),
        stream,
        is_array: false,
        usage_asked: false,
        choices: 1,
        unstored: false,
    })
}

/// Of a multipart form with a file.
pub(crate) fn form(headers: &Headers, body: &[u8]) -> Result<Glance, String> {
    form_with(&["file"], headers, body)
}

/// Of one with a picture, or with several: OpenAI's SDKs send a list of them with brackets behind its name.
pub(crate) fn image_form(headers: &Headers, body: &[u8]) -> Result<Glance, String> {
    form_with(&["image", "image[]"], headers, body)
}

/// The same of one, or of JSON in its place.
pub(crate) fn image_form_or_json(headers: &Headers, body: &[u8]) -> Result<Glance, String> {
    if is_json(headers) { json(headers, body) } else { image_form(headers, body) }
}

/// Whether the content type is JSON's.
pub(crate) fn is_json(headers: &Headers) -> bool {
    let media_type = headers.get("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// Of a multipart form that must have a part of one of these names.
fn form_with(parts: &[&str], headers: &Headers, body: &[u8]) -> Result<Glance, String> {
    let mut content_types = headers.all("content-type");
    let content_type = content_types.next().unwrap_or_default();
    if content_types.next().is_some() {
        return Err("there are two content-type headers".to_owned());
    }
    let (_, query) = headers.path_and_query();
    // Go's `FormValue` finds it there first.
    if query.is_some_and(|query| names_parameter(query, "model")) {
        return Err("the query has the parameter model, which belongs in the form".to_owned());
    }
    let form = multipart::scan(content_type, body).map_err(|error| error.to_string())?;
    let text = |name: &str| form.text(name).map_err(|error| error.to_string());
    let model = text("model")?.ok_or("the form has no part named model")?;
    if parts.iter().all(|name| form.named(name).next().is_none()) {
        return Err(format!("the form has no part named {}", parts.join(" or ")));
    }
    let stream = text("stream")?.is_some_and(|value| value.trim() == "true");
    Ok(Glance {
        model: valid_model(FIELD, model)?,
        stream,
        is_array: false,
        usage_asked: false,
        choices: 1,
        unstored: false,
    })
}

/// Whether a query has the parameter `name`, however it is written.
fn names_parameter(query: &str, name: &str) -> bool {
    query.split(['&', ';']).any(|parameter| {
        let key = parameter.split('=').next().unwrap_or_default();
        let key = percent_decode_str(key).decode_utf8_lossy();
        key.split('[').next().unwrap_or_default().trim().eq_ignore_ascii_case(name)
    })
}

/// The model that a path of an endpoint names.
pub(crate) fn model_of_path(path: &str) -> Result<String, String> {
    let named = Endpoint::of_path(path).and_then(|endpoint| endpoint.name_in_path(path));
    let named = named.ok_or("the path names no model")?;
    let decoded = percent_decode_str(named).decode_utf8();
    let decoded = decoded.map_err(|_| "the model in the path is no UTF-8")?;
    valid_model("the model in the path", &decoded)
}

/// Where most requests have their model.
const FIELD: &str = "the field model";

/// The model becomes a header that routes match on: it must survive that unchanged. `place` is where it stands.
pub(super) fn valid_model(place: &str, model: &str) -> Result<String, String> {
    if model.is_empty() {
        return Err(format!("{place} is empty"));
    }
    if model.len() > MAX_MODEL {
        return Err(format!("{place} is longer than {MAX_MODEL} bytes"));
    }
    if model.trim() != model || model.chars().any(char::is_control) {
        return Err(format!("{place} has spaces around it or control characters in it"));
    }
    // As a path segment, which it is for some backends, these would lead to another path however they are escaped.
    if matches!(model, "." | "..") {
        return Err(format!("{place} cannot be {model:?}"));
    }
    Ok(model.to_owned())
}
