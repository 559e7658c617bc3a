//! The tools of a client's request, from Anthropic's words.

use super::content::foreign;
use crate::chat::{Family, Function, Losses, Tool, ToolChoice};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::openai_chat::cache_control;

/// A function of the client's, or a tool that Anthropic defines: of those only its own models know what they are for.
pub(super) fn decode_tool(path: &Path<'_>, tool: Json<'_>, losses: &mut Losses) -> Result<Tool> {
    let kind = tool.get("type").and_then(Json::as_str).filter(|kind| *kind != "custom");
    if let Some(kind) = kind.map(str::to_owned) {
        return Ok(Tool::Hosted(foreign(kind, &tool)));
    }
    let mut fields = Fields::new(path, tool)?;
    fields.take("type");
    let function = Function {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        parameters: fields.verbatim_object("input_schema")?,
        strict: fields.bool("strict")?,
        cache_control: cache_control(&mut fields, losses)?,
        ..Function::default()
    };
    Ok(Tool::Function(Function { extra: fields.extra(Family::Anthropic), ..function }))
}

/// The choice, and whether calls may be parallel.
pub(super) fn decode_tool_choice(
    path: &Path<'_>,
    choice: Json<'_>,
    losses: &mut Losses,
) -> Result<(ToolChoice, Option<bool>)> {
    let mut fields = Fields::new(path, choice)?;
    let choice = match &*fields.required_text("type")? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(fields.required_string("name")?),
        other => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("tool choice of type {other:?} is not supported")));
        }
    };
    let one_by_one = fields.bool("disable_parallel_tool_use")?;
    fields.finish(losses);
    Ok((choice, one_by_one.map(|one_by_one| !one_by_one)))
}
