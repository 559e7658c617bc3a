//! The tools of a request, in Cohere's words.

use serde_json::value::RawValue;

use super::rules::{Model, Rule};
use super::types::{Function, Tool};
use crate::chat::{self, Losses, Request, Verbatim};
use crate::wire::fields::Path;
use crate::wire::raw::{Members, Raw};

/// What a request says of tools.
#[derive(Default)]
pub(super) struct Tools<'a> {
    pub(super) tools: Vec<Tool<'a>>,
    pub(super) choice: Option<&'static str>,
    pub(super) are_strict: bool,
}

/// The schema of what takes no arguments: Cohere wants one.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes the tools and which of them are to be called. A choice among them is a list of these only: Cohere itself
/// has no word for it.
pub(super) fn tools<'a>(request: &'a Request, model: Model, losses: &mut Losses) -> Tools<'a> {
    let functions = functions(request, losses);
    if request.parallel_tool_calls == Some(false) && !functions.is_empty() {
        losses.add("parallel_tool_calls", "Cohere's models decide by themselves how many tools they call");
    }
    let (names, mut choice) = match &request.tool_choice {
        None | Some(chat::ToolChoice::Auto) => (None, None),
        Some(chat::ToolChoice::None) => (None, Some("NONE")),
        Some(chat::ToolChoice::Required) => (None, Some("REQUIRED")),
        Some(chat::ToolChoice::Tool(name)) => (Some(std::slice::from_ref(name)), Some("REQUIRED")),
        Some(chat::ToolChoice::Among { names, required }) => {
            (Some(names.as_slice()), required.then_some("REQUIRED"))
        }
    };
    let is_chosen =
        |function: &&chat::Function| names.is_none_or(|names: &[String]| names.contains(&function.name));
    let chosen: Vec<&chat::Function> = functions.iter().copied().filter(is_chosen).collect();
    if chosen.is_empty() && choice.is_some() {
        if request.tool_choice.as_ref().is_some_and(chat::ToolChoice::is_forced) {
            losses.add("tool_choice", "there are no tools to choose from");
        }
        choice = None;
    }
    if choice.is_some() && !model.can_be_forced {
        losses.add("tool_choice", Rule::ToolChoice);
        choice = None;
    }
    let are_strict = are_strict(request, &chosen, losses);
    Tools { tools: chosen.into_iter().filter_map(tool).collect(), choice, are_strict }
}

fn functions<'a>(request: &'a Request, losses: &mut Losses) -> Vec<&'a chat::Function> {
    let list = Path::Key(&Path::Root, "tools");
    let mut functions = Vec::with_capacity(request.tools.len());
    for (index, tool) in request.tools.iter().enumerate() {
        let path = Path::Index(&list, index);
        match tool {
            chat::Tool::Function(function) => {
                if function.cache_control.is_some() {
                    losses.add(Path::Key(&path, "cache_control"), super::message::MARKS);
                }
                functions.push(function);
            }
            chat::Tool::Hosted(hosted) => {
                losses.add(path, format!("only its own provider runs {}", hosted.kind));
            }
        }
    }
    functions
}

fn tool(function: &chat::Function) -> Option<Tool<'_>> {
    Some(Tool {
        function: Function {
            name: &function.name,
            description: function.description.as_deref(),
            parameters: function.parameters.as_ref().map_or(Raw::new(NO_PARAMETERS), Raw::from),
        },
    })
}

/// Whether all tools are to be followed strictly, which is one switch for them all.
fn are_strict(request: &Request, chosen: &[&chat::Function], losses: &mut Losses) -> bool {
    let is_strict = |function: &chat::Function| function.strict == Some(true);
    let are_all = !chosen.is_empty() && chosen.iter().all(|function| is_strict(function));
    let all_optional = are_all && chosen.iter().any(|function| is_all_optional(function));
    if are_all && !all_optional {
        return true;
    }
    let list = Path::Key(&Path::Root, "tools");
    for (index, tool) in request.tools.iter().enumerate() {
        let path = Path::Index(&list, index);
        match tool {
            chat::Tool::Function(function) if is_strict(function) && all_optional => {
                losses.add(Path::Key(&path, "strict"), Rule::StrictTools);
            }
            chat::Tool::Function(function) if is_strict(function) => {
                losses.add(Path::Key(&path, "strict"), "Cohere is strict with all tools or with none");
            }
            chat::Tool::Function(_) | chat::Tool::Hosted(_) => {}
        }
    }
    false
}

/// Its schema has parameters and demands none of them.
fn is_all_optional(function: &chat::Function) -> bool {
    let schema = Members::of(function.parameters.as_ref().map_or(NO_PARAMETERS, Verbatim::get));
    let properties = schema.get("properties").map(|json| Members::of(json.get())).unwrap_or_default();
    let required = schema.get("required");
    let required: Vec<&RawValue> =
        required.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    !properties.0.is_empty() && required.is_empty()
}
