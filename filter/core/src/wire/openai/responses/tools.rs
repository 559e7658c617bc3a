//! The tools of a client's request, from Responses' words.

use super::content::{foreign, kind_of};
use crate::chat::{Family, Function, Losses, Tool, ToolChoice};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::openai::custom;
use crate::wire::openai_chat::{cache_control, googles_tool};

/// A function, a custom tool, or a tool that its provider runs.
pub(super) fn decode_tool(path: &Path<'_>, tool: Json<'_>, losses: &mut Losses) -> Result<Tool> {
    let kind = kind_of(path, &tool)?.ok_or_else(|| Path::Key(path, "type").malformed("field is required"))?;
    match &*kind {
        "function" => decode_function(Fields::new(path, tool)?, losses).map(Tool::Function),
        "custom" => decode_custom(Fields::new(path, tool)?, losses).map(Tool::Function),
        _ => {
            let hosted = foreign(&kind, &tool);
            let mut fields = Fields::new(path, tool)?;
            fields.take("type");
            match googles_tool(&kind, &mut fields)? {
                Some(tool) => {
                    fields.finish(losses);
                    Ok(tool)
                }
                None => Ok(Tool::Hosted(hosted)),
            }
        }
    }
}

fn decode_function(mut fields: Fields<'_>, losses: &mut Losses) -> Result<Function> {
    fields.take("type");
    let function = Function {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        parameters: fields.verbatim_object("parameters")?,
        strict: fields.bool("strict")?,
        // An extension, for Claude's cache.
        cache_control: cache_control(&mut fields, losses)?,
        ..Function::default()
    };
    Ok(Function { extra: fields.extra(Family::OpenAi), ..function })
}

fn decode_custom(mut fields: Fields<'_>, losses: &mut Losses) -> Result<Function> {
    fields.take("type");
    let function = custom::function(&mut fields, None, losses)?;
    Ok(Function { extra: fields.extra(Family::OpenAi), ..function })
}

/// `None` where only OpenAI has what is chosen.
pub(super) fn decode_tool_choice(
    path: &Path<'_>,
    choice: Json<'_>,
    losses: &mut Losses,
) -> Result<Option<ToolChoice>> {
    if let Json::String(choice) = &choice {
        return match &**choice {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            other => Err(path.unprocessable(format_args!("tool choice {other:?} is not supported"))),
        };
    }
    let mut fields = Fields::new(path, choice)?;
    let kind = fields.required_text("type")?;
    let choice = match &*kind {
        "function" | "custom" => Some(ToolChoice::Tool(fields.required_string("name")?)),
        "allowed_tools" => decode_allowed_tools(&mut fields, losses)?,
        _ => {
            losses.add(path, format!("only its own provider runs {kind}"));
            return Ok(None);
        }
    };
    fields.finish(losses);
    Ok(choice)
}

fn decode_allowed_tools(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Option<ToolChoice>> {
    let required = match &*fields.required_text("mode")? {
        "auto" => false,
        "required" => true,
        other => {
            let path = fields.path("mode");
            return Err(path.unprocessable(format_args!("mode {other:?} is not supported")));
        }
    };
    let tools = fields.required_list("tools")?;
    let list = fields.path("tools");
    let mut names = Vec::with_capacity(tools.len());
    for (index, tool) in tools.into_iter().enumerate() {
        let path = Path::Index(&list, index);
        let mut tool = Fields::new(&path, tool)?;
        let kind = tool.required_text("type")?;
        if !matches!(&*kind, "function" | "custom") {
            losses.add(path, format!("only its own provider runs {kind}"));
            continue;
        }
        names.push(tool.required_string("name")?);
        tool.finish(losses);
    }
    Ok((!names.is_empty()).then_some(ToolChoice::Among { names, required }))
}
