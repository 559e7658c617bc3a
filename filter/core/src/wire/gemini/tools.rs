//! The tools of a request, in Gemini's words, and whether they must be called.

use std::borrow::Cow;
use std::collections::HashMap;

use super::model::Model;
use super::rules::{self, Rule};
use super::schema;
use super::types::{FunctionCallingConfig, FunctionDeclaration, Tool, ToolConfig};
use crate::chat::{self, Family, Function, Losses, Request, ToolChoice};
use crate::error::Result;
use crate::wire::fields::Path;
use crate::wire::names::{functions, is_same_function};
use crate::wire::raw::Raw;

/// The tools, each function once, in one list.
///
/// # Errors
///
/// 422 for two functions of one name that are not the same, and for a schema that an older model cannot be told.
pub(super) fn tools<'a>(request: &'a Request, model: Model, losses: &mut Losses) -> Result<Vec<Tool<'a>>> {
    let list = Path::Key(&Path::Root, "tools");
    let mut declarations = Vec::with_capacity(request.tools.len());
    let mut own = Vec::new();
    let mut seen: HashMap<Cow<'a, str>, &Function> = HashMap::with_capacity(request.tools.len());
    for (index, tool) in request.tools.iter().enumerate() {
        let path = Path::Index(&list, index);
        let function = match tool {
            chat::Tool::Function(function) => function,
            chat::Tool::Hosted(hosted) if hosted.family == Family::Google => {
                own.extend(serde_json::from_str(&hosted.json).map(|raw| Tool::Own(Cow::Borrowed(raw))));
                continue;
            }
            chat::Tool::Hosted(hosted) => {
                losses.add(path, format!("only its own provider runs {}", hosted.kind));
                continue;
            }
        };
        if !is_allowed(request, &function.name) {
            continue;
        }
        let name = rules::tool_name(&function.name);
        if let Some(first) = seen.insert(name.clone(), function) {
            if !is_same_function(first, function) {
                return Err(Path::Key(&path, "name")
                    .unprocessable(format_args!("there is another tool of the name {:?}", function.name)));
            }
            losses.add(path, Rule::SameTool);
            continue;
        }
        if *name != *function.name {
            losses.add(Path::Key(&path, "name"), Rule::ToolName);
        }
        let is_forced = request.tool_choice.as_ref().is_some_and(ToolChoice::is_forced);
        if function.strict == Some(true) && !is_forced {
            losses.add(Path::Key(&path, "strict"), Rule::Strict);
        }
        declarations.push(declaration(&path, name, function, model, losses)?);
    }
    // Functions come last, as Google has them.
    if !declarations.is_empty() {
        own.push(Tool::Functions { function_declarations: declarations });
    }
    Ok(own)
}

/// A choice among some that need not call any leaves the others out: Gemini has a list of names only where it must
/// call.
fn is_allowed(request: &Request, name: &str) -> bool {
    match &request.tool_choice {
        Some(ToolChoice::Among { names, required: false }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    }
}

fn declaration<'a>(
    path: &Path<'_>,
    name: Cow<'a, str>,
    function: &'a Function,
    model: Model,
    losses: &mut Losses,
) -> Result<FunctionDeclaration<'a>> {
    let path = Path::Key(path, "parameters");
    let description = function.description.as_deref().filter(|text| !text.is_empty());
    let given = function.parameters.as_ref().map(Raw::from);
    let mut declaration =
        FunctionDeclaration { name, description, parameters_json_schema: None, parameters: None };
    match given {
        Some(schema) if model.takes_json_schema() => declaration.parameters_json_schema = Some(schema),
        Some(schema) => declaration.parameters = Some(schema::for_older(&path, schema.get(), losses)?),
        None => {}
    }
    Ok(declaration)
}

/// Which functions may and must be called. Google's own tools are not chosen.
pub(super) fn tool_config<'a>(request: &'a Request, losses: &mut Losses) -> Option<ToolConfig<'a>> {
    if functions(&request.tools).next().is_none() {
        if request.tool_choice.as_ref().is_some_and(ToolChoice::is_forced) {
            losses.add("tool_choice", "there are no tools to choose from");
        }
        return None;
    }
    if request.parallel_tool_calls == Some(false) && request.tool_choice != Some(ToolChoice::None) {
        losses.add("parallel_tool_calls", Rule::OneCall);
    }
    let (mode, names): (_, &'a [String]) = match request.tool_choice.as_ref()? {
        ToolChoice::Auto => ("AUTO", &[]),
        ToolChoice::None => ("NONE", &[]),
        ToolChoice::Required => ("ANY", &[]),
        ToolChoice::Tool(name) => ("ANY", std::slice::from_ref(name)),
        ToolChoice::Among { names, required: true } => ("ANY", names),
        ToolChoice::Among { required: false, .. } => ("AUTO", &[]),
    };
    let allowed_function_names = names.iter().map(|name| rules::tool_name(name)).collect();
    Some(ToolConfig { function_calling_config: FunctionCallingConfig { mode, allowed_function_names } })
}
