//! A client's request, from Gemini's words.

use super::config::decode_config;
use super::contents::{Turns, instructions};
use super::names::fields;
use super::tools::{decode_tool_config, decode_tools};
use crate::chat::{Extra, Family, Losses, Request};
use crate::error::Result;
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::json::{Json, Shape};

/// What a model or a backend reads and nobody here stays text.
static TEXTS: Shape = Shape::Members(&[
    ("contents", CONTENTS),
    ("tools", TOOLS),
    ("generationConfig", CONFIG),
    ("generation_config", CONFIG),
    ("generateContentRequest", REQUEST),
    ("generate_content_request", REQUEST),
]);
const REQUEST: Shape = Shape::Members(&[
    ("contents", CONTENTS),
    ("tools", TOOLS),
    ("generationConfig", CONFIG),
    ("generation_config", CONFIG),
]);
const CONTENTS: Shape = Shape::Elements(&Shape::Members(&[("parts", Shape::Elements(&PART))]));
const PART: Shape = Shape::Members(&[
    ("functionCall", CALL),
    ("function_call", CALL),
    ("functionResponse", RESPONSE),
    ("function_response", RESPONSE),
]);
const CALL: Shape = Shape::Members(&[("args", Shape::Text)]);
const RESPONSE: Shape = Shape::Members(&[("response", Shape::Text)]);
const TOOLS: Shape = Shape::Elements(&Shape::Members(&[
    ("functionDeclarations", FUNCTIONS),
    ("function_declarations", FUNCTIONS),
]));
const FUNCTIONS: Shape = Shape::Elements(&Shape::Members(&[
    ("parametersJsonSchema", Shape::Text),
    ("parameters_json_schema", Shape::Text),
]));
const CONFIG: Shape =
    Shape::Members(&[("responseJsonSchema", Shape::Text), ("response_json_schema", Shape::Text)]);

/// Reads the body of `generateContent`. What Gemini alone knows is kept, to be told apart from what was lost.
///
/// # Errors
///
/// 400 for what is not JSON or has a wrong type, 422 for a value that no backend this is translated to can serve;
/// both name the field. 413 for a body of more JSON values than any conversation has.
pub(super) fn decode(body: &[u8], streams: bool, losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let body = parse("generateContent", &TEXTS, &body)?;
    Ok(Request { stream: streams, ..conversation(&Path::Root, body, losses)? })
}

/// Reads the body of `countTokens`, which has the conversation itself or a request with it.
///
/// # Errors
///
/// Those of [`decode`].
pub(super) fn decode_counted(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let root = Path::Root;
    let mut body = fields(&root, parse("countTokens", &TEXTS, &body)?)?;
    let asked = body.take("generateContentRequest");
    let path = Path::Key(&root, "generateContentRequest");
    match asked {
        // Google then ignores what stands beside it: <https://ai.google.dev/api/tokens>.
        Some(asked) => conversation(&path, asked, losses),
        None => read(&root, body, losses),
    }
}

fn conversation(path: &Path<'_>, request: Json<'_>, losses: &mut Losses) -> Result<Request> {
    read(path, fields(path, request)?, losses)
}

fn read(path: &Path<'_>, mut members: Fields<'_>, losses: &mut Losses) -> Result<Request> {
    // Its streams always tell what was used.
    let mut request = Request { include_usage: true, ..Request::default() };
    // The path says which model it is.
    members.take("model");
    let mut own = Vec::new();
    if let Some(told) = members.take("systemInstruction") {
        let place = Path::Key(path, "systemInstruction");
        request.messages.extend(instructions(&place, told, losses)?);
    }
    let list = Path::Key(path, "contents");
    let mut turns = Turns::default();
    for (index, content) in members.required_list("contents")?.into_iter().enumerate() {
        turns.content(&Path::Index(&list, index), index, content, losses)?;
    }
    request.messages.extend(turns.finish());
    let tools = members.list("tools")?;
    request.tools = decode_tools(&Path::Key(path, "tools"), tools, losses)?;
    if let Some(config) = members.take("toolConfig") {
        let place = Path::Key(path, "toolConfig");
        request.tool_choice = decode_tool_config(&place, config, &mut own, losses)?;
    }
    if let Some(config) = members.take("generationConfig") {
        decode_config(&Path::Key(path, "generationConfig"), config, &mut request, &mut own, losses)?;
    }
    request.cache.content = members.string("cachedContent")?;
    request.metadata = members.map("labels")?.unwrap_or_default();
    request.service_tier = members.string("serviceTier")?.and_then(service_tier);
    own.extend(members.extra(Family::Google).into_iter().flat_map(|extra| extra.members));
    request.extra = (!own.is_empty()).then(|| Box::new(Extra { family: Family::Google, members: own }));
    Ok(request)
}

/// `google.genai.types.ServiceTier`, in OpenAI's words.
fn service_tier(tier: String) -> Option<String> {
    match tier.to_ascii_lowercase().as_str() {
        "unspecified" | "service_tier_unspecified" => None,
        "standard" => Some("default".to_owned()),
        other => Some(other.to_owned()),
    }
}

/// Keeps what was not taken of the member `name`, under names as `name.member`.
pub(super) fn keep(name: &str, fields: Fields<'_>, own: &mut Vec<(String, String)>) {
    let members = fields.extra(Family::Google).into_iter().flat_map(|extra| extra.members);
    own.extend(members.map(|(member, json)| (format!("{name}.{member}"), json)));
}
