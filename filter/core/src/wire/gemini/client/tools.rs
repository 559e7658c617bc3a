//! The tools of a client's request, from Gemini's words, and whether they must be called.

use super::names::{fields, word};
use super::request::keep;
use super::schema::to_json_schema;
use crate::chat::{Family, Function, Losses, Tool, ToolChoice, Verbatim};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;

/// The functions of all tools. What Google runs itself is of use nowhere else.
pub(super) fn decode_tools(path: &Path<'_>, tools: Vec<Json<'_>>, losses: &mut Losses) -> Result<Vec<Tool>> {
    let mut functions = Vec::new();
    for (index, tool) in tools.into_iter().enumerate() {
        let path = Path::Index(path, index);
        let mut tool = fields(&path, tool)?;
        for (index, function) in tool.list("functionDeclarations")?.into_iter().enumerate() {
            let list = tool.path("functionDeclarations");
            functions.push(Tool::Function(decode_function(&Path::Index(&list, index), function)?));
        }
        for (kind, _) in tool.extra(Family::Google).into_iter().flat_map(|extra| extra.members) {
            losses.add(Path::Key(&path, &kind), format!("only its own provider runs {kind}"));
        }
    }
    Ok(functions)
}

fn decode_function(path: &Path<'_>, function: Json<'_>) -> Result<Function> {
    let mut function = fields(path, function)?;
    let name = function.required_string("name")?;
    let description = function.string("description")?;
    let parameters = parameters(&mut function)?;
    // What its answers look like, and whether they are waited for, is for Gemini to know.
    let extra = function.extra(Family::Google);
    Ok(Function { name, description, parameters, extra, ..Function::default() })
}

fn parameters(function: &mut Fields<'_>) -> Result<Option<Verbatim>> {
    if let Some(schema) = function.verbatim_object("parametersJsonSchema")? {
        return Ok(Some(schema));
    }
    let Some(schema) = function.take("parameters") else { return Ok(None) };
    let schema = to_json_schema(&function.path("parameters"), schema)?;
    Ok(Some(Verbatim::new(schema)))
}

/// `google.genai.types.FunctionCallingConfigMode`
pub(super) fn decode_tool_config(
    path: &Path<'_>,
    config: Json<'_>,
    own: &mut Vec<(String, String)>,
    losses: &mut Losses,
) -> Result<Option<ToolChoice>> {
    let mut config = fields(path, config)?;
    let calling = config.take("functionCallingConfig");
    keep("toolConfig", config, own);
    let Some(calling) = calling else { return Ok(None) };
    let path = Path::Key(path, "functionCallingConfig");
    let mut calling = fields(&path, calling)?;
    let mode = word(&mut calling, "mode")?;
    let mut names = Vec::new();
    for (index, name) in calling.list("allowedFunctionNames")?.into_iter().enumerate() {
        names.push(Path::Index(&calling.path("allowedFunctionNames"), index).string(name)?);
    }
    keep("toolConfig.functionCallingConfig", calling, own);
    let at = Path::Key(&path, "mode");
    Ok(match (mode.as_deref(), names.as_mut_slice()) {
        (None | Some("MODE_UNSPECIFIED"), []) => None,
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("ANY"), []) => Some(ToolChoice::Required),
        (Some("ANY"), [name]) => Some(ToolChoice::Tool(std::mem::take(name))),
        (Some("ANY"), _) => Some(ToolChoice::Among { names, required: true }),
        (Some("AUTO" | "VALIDATED") | None | Some("MODE_UNSPECIFIED"), given) => {
            if mode.as_deref() == Some("VALIDATED") {
                losses.add(at, "only Gemini holds calls to their schemas where none must be made");
            }
            Some(if given.is_empty() {
                ToolChoice::Auto
            } else {
                ToolChoice::Among { names, required: false }
            })
        }
        (Some(other), _) => {
            return Err(at.unprocessable(format_args!("mode {other:?} is not supported")));
        }
    })
}
