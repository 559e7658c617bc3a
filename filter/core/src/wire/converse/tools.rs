//! Tools and whether they must be called, in Converse's words.

use std::borrow::Cow;

use super::content::cache_point;
use super::format::Format;
use super::models::Model;
use super::rules::Rule;
use super::types::{Schema, Tool, ToolChoice, ToolConfig, ToolSpec};
use crate::chat::{self, Losses, Request};
use crate::error::Result;
use crate::wire::anthropic::schema::input_schema;
use crate::wire::anthropic::tools::{is_forced, tools};
use crate::wire::anthropic::types::{self, Own, ToolOrOwn};
use crate::wire::fields::Path;
use crate::wire::raw::Raw;

/// Says what the tool is for that stands for the answer.
const ANSWER: &str = "Gives the answer to the user. Its arguments are all that the user gets.";

/// The tools that the model is told of, still in Anthropic's words: those that may be called and, as Converse takes
/// no calls and results without tools, those of the history.
///
/// # Errors
///
/// 422 for two tools of one name that are not the same.
pub(super) fn told<'a>(
    model: &Model<'_>,
    request: &'a Request,
    messages: &[types::Message<'a>],
    format: &Format<'_>,
    losses: &mut Losses,
) -> Result<Vec<types::Tool<'a>>> {
    // Of the tools that Anthropic defines, none is told of in this envelope.
    let told = tools(request, model.envelope(), losses)?;
    let mut told: Vec<_> = told.into_iter().filter_map(ToolOrOwn::into_function).collect();
    let called = || messages.iter().flat_map(|message| &message.content);
    let has_calls = called().any(|block| matches!(block, types::Block::ToolUse { .. }));
    match &request.tool_choice {
        // What is not to be called is not told of.
        Some(chat::ToolChoice::Among { names, .. }) => {
            let names: Vec<_> = names.iter().map(|name| model.tool_name(name)).collect();
            told.retain(|tool| names.contains(&tool.name));
        }
        Some(chat::ToolChoice::None) if !has_calls || format.tool().is_some() => told.clear(),
        Some(chat::ToolChoice::None) => losses.add("tool_choice", Rule::NoChoiceOfNone),
        _ => {}
    }
    if told.is_empty() && has_calls && format.tool().is_none() {
        losses.add("tools", Rule::ToolsOfHistory);
        for block in called() {
            let types::Block::ToolUse { name, .. } = block else { continue };
            if !told.iter().any(|tool| tool.name == *name) {
                let schema = input_schema(&Path::Root, Some(Raw::new("{}")), losses);
                told.push(types::Tool {
                    name: name.clone(),
                    description: "",
                    input_schema: schema,
                    strict: false,
                    cache_control: None,
                    own: Own::default(),
                });
            }
        }
    }
    if told.iter().any(|tool| tool.strict) && !model.takes_strict_tools() {
        losses.add("tools.strict", Rule::Strict);
        told.iter_mut().for_each(|tool| tool.strict = false);
    }
    Ok(told)
}

/// `toolConfig`; `None` where there are no tools.
pub(super) fn tool_config<'a>(
    model: &Model<'_>,
    request: &'a Request,
    told: Vec<types::Tool<'a>>,
    format: &Format<'a>,
    losses: &mut Losses,
) -> Option<ToolConfig<'a>> {
    let tool_choice = tool_choice(model, request, &told, format, losses);
    let mut tools = Vec::with_capacity(told.len().saturating_add(1));
    for tool in told {
        let input_schema = Schema { json: tool.input_schema };
        let (name, description, strict) = (tool.name, tool.description, tool.strict);
        tools.push(Tool::ToolSpec(ToolSpec { name, description, input_schema, strict }));
        if let Some(mark) = tool.cache_control {
            tools.push(Tool::CachePoint(cache_point(model, mark, losses)));
        }
    }
    if let Format::Tool { name, schema } = format {
        let path = Path::Key(&Path::Root, "response_format");
        tools.push(Tool::ToolSpec(ToolSpec {
            name: Cow::Owned(name.clone()),
            description: ANSWER,
            input_schema: Schema { json: input_schema(&path, Some(Raw::new(schema)), losses) },
            strict: false,
        }));
    }
    (!tools.is_empty()).then_some(ToolConfig { tools, tool_choice })
}

fn tool_choice<'a>(
    model: &Model<'_>,
    request: &'a Request,
    told: &[types::Tool<'_>],
    format: &Format<'_>,
    losses: &mut Losses,
) -> Option<ToolChoice<'a>> {
    if let Format::Tool { name, .. } = format {
        let is_alone = told.is_empty() && model.can_be_made_to_call_one();
        return Some(if is_alone {
            ToolChoice::Tool { name: Cow::Owned(name.clone()) }
        } else {
            ToolChoice::Any {}
        });
    }
    if told.is_empty() {
        if is_forced(request) {
            losses.add("tool_choice", Rule::NoTools);
        }
        return None;
    }
    if is_forced(request) && !model.can_be_made_to_call() {
        losses.add("tool_choice", Rule::ForcedCall);
        return None;
    }
    match request.tool_choice.as_ref()? {
        chat::ToolChoice::Auto => model.takes_auto().then_some(ToolChoice::Auto {}),
        chat::ToolChoice::Required | chat::ToolChoice::Among { required: true, .. } => {
            Some(ToolChoice::Any {})
        }
        chat::ToolChoice::Tool(_) if !model.can_be_made_to_call_one() => {
            if told.len() > 1 {
                losses.add("tool_choice", Rule::OneForcedCall);
            }
            Some(ToolChoice::Any {})
        }
        chat::ToolChoice::Tool(name) => Some(ToolChoice::Tool { name: model.tool_name(name) }),
        chat::ToolChoice::None | chat::ToolChoice::Among { .. } => None,
    }
}
