//! The tools of a request, in Anthropic's words, and the names that an answer calls them by.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Envelope;
use super::message::{cache_control, own_json};
use super::models::ModelNames;
use super::rules::{self, Rule};
use super::schema::input_schema;
use super::types::{Own, Tool, ToolChoice, ToolOrOwn};
use crate::chat::{self, Family, Function, Losses, Request};
use crate::error::Result;
use crate::wire::fields::Path;
use crate::wire::names::{StandIns, is_same_function};
use crate::wire::raw::Raw;

/// The functions, each once.
///
/// # Errors
///
/// 422 for two tools of one name that are not the same, and for a property that Claude does not take: one of them costs
/// all tools.
pub(in crate::wire) fn tools<'a>(
    request: &'a Request,
    envelope: Envelope<'_>,
    losses: &mut Losses,
) -> Result<Vec<ToolOrOwn<'a>>> {
    let list = Path::Key(&Path::Root, "tools");
    let mut encoded = Vec::with_capacity(request.tools.len());
    let mut seen = HashMap::with_capacity(request.tools.len());
    for (index, tool) in request.tools.iter().enumerate() {
        let path = Path::Index(&list, index);
        let tool = match tool {
            chat::Tool::Function(function) => function,
            chat::Tool::Hosted(hosted) => {
                if let Some(tool) = own_json(hosted, envelope) {
                    encoded.push(ToolOrOwn::Own(tool));
                    continue;
                }
                losses.add(path, format!("only its own provider runs {}", hosted.kind));
                continue;
            }
        };
        let name = rules::tool_name(&tool.name, envelope.longest_tool_name());
        if let Some(first) = seen.insert(name.clone(), tool) {
            if !is_same_function(first, tool) {
                return Err(Path::Key(&path, "name")
                    .unprocessable(format_args!("there is another tool of the name {:?}", tool.name)));
            }
            losses.add(path, Rule::SameTool);
            continue;
        }
        if *name != *tool.name {
            losses.add(Path::Key(&path, "name"), Rule::ToolName);
        }
        let encoded_tool = self::tool(&path, name, tool, losses);
        if envelope.is_of_claude()
            && let Some(name) = encoded_tool.input_schema.odd_property()
        {
            let path = Path::Key(&path, "parameters");
            let path = Path::Key(&path, "properties");
            return Err(path.unprocessable(format_args!("{}, and not {name:?}", rules::PROPERTY_NAME)));
        }
        encoded.push(ToolOrOwn::Tool(encoded_tool));
    }
    Ok(encoded)
}

fn tool<'a>(path: &Path<'_>, name: Cow<'a, str>, tool: &'a Function, losses: &mut Losses) -> Tool<'a> {
    let path = Path::Key(path, "parameters");
    Tool {
        name,
        description: tool.description.as_deref().unwrap_or_default(),
        input_schema: input_schema(&path, tool.parameters.as_ref().map(Raw::from), losses),
        strict: tool.strict.unwrap_or(false),
        cache_control: cache_control(tool.cache_control.as_ref()),
        own: Own::of(tool.extra.as_deref()),
    }
}

/// Whether the request makes the model call a tool.
pub(in crate::wire) fn must_call(request: &Request) -> bool {
    is_forced(request) && has_tools(request)
}

pub(in crate::wire) fn is_forced(request: &Request) -> bool {
    request.tool_choice.as_ref().is_some_and(chat::ToolChoice::is_forced)
}

/// Whether there are tools that Claude can be told of.
fn has_tools(request: &Request) -> bool {
    request.tools.iter().any(|tool| match tool {
        chat::Tool::Function(_) => true,
        chat::Tool::Hosted(hosted) => hosted.family == Family::Anthropic,
    })
}

/// Anthropic says whether calls may be parallel inside `tool_choice`, and takes that only beside `tools`.
pub(super) fn tool_choice<'a>(
    request: &'a Request,
    names: ModelNames<'_>,
    losses: &mut Losses,
) -> Option<ToolChoice<'a>> {
    if !has_tools(request) {
        if is_forced(request) {
            losses.add("tool_choice", "there are no tools to choose from");
        }
        return None;
    }
    let disable_parallel_tool_use = Some(request.parallel_tool_calls == Some(false));
    let mut choice = request.tool_choice.as_ref();
    if matches!(choice, Some(chat::ToolChoice::Among { .. })) {
        losses.add("tool_choice", "Anthropic has no choice among some of the tools");
    }
    if must_call(request) && !names.can_be_made_to_call() {
        losses.add("tool_choice", Rule::ForcedCall);
        choice = Some(&chat::ToolChoice::Auto);
    }
    Some(match choice {
        None if request.parallel_tool_calls != Some(false) => return None,
        None | Some(chat::ToolChoice::Auto) => {
            ToolChoice { kind: "auto", name: None, disable_parallel_tool_use }
        }
        Some(chat::ToolChoice::Required) => ToolChoice { kind: "any", name: None, disable_parallel_tool_use },
        Some(chat::ToolChoice::Tool(name)) => ToolChoice {
            kind: "tool",
            name: Some(rules::tool_name(name, Envelope::Native.longest_tool_name())),
            disable_parallel_tool_use,
        },
        Some(chat::ToolChoice::Among { required, .. }) => {
            let kind = if *required { "any" } else { "auto" };
            ToolChoice { kind, name: None, disable_parallel_tool_use }
        }
        Some(chat::ToolChoice::None) => {
            ToolChoice { kind: "none", name: None, disable_parallel_tool_use: None }
        }
    })
}

impl StandIns {
    /// Those of `tools` in this envelope.
    #[must_use]
    pub fn of(tools: &[chat::Tool], envelope: Envelope<'_>) -> Self {
        let longest = envelope.longest_tool_name();
        Self::by(tools, |name| rules::tool_name(name, longest))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{BlockStart, Content, Event};
    use crate::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, SCHEMA, encode_request};
    use crate::wire::openai_chat::decode_request;
    use crate::wire::{Asked, BackendCodec as _};

    fn request(tools: &[Value], more: Value) -> Request {
        let mut asked = json!({"model": "claude-sonnet-4-5", "tools": tools, "messages": [{"role": "user", "content": "Hi"}]});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        decode_request(asked.to_string().as_bytes(), &mut Losses::default()).unwrap()
    }

    fn sent(request: &Request) -> Result<(Value, Vec<String>)> {
        let mut losses = Losses::default();
        let params = Params {
            envelope: Envelope::Native,
            model: &request.model,
            default_max_tokens: DEFAULT_MAX_TOKENS,
        };
        let body = encode_request(&params, request, &mut losses)?;
        Ok((serde_json::from_slice(&body).unwrap(), losses.lines()))
    }

    fn named(name: &str) -> Value {
        json!({"type": "function", "function": {"name": name}})
    }

    /// One such name costs all tools: Claude answers the whole request with a 400.
    #[test]
    fn a_property_that_claude_does_not_take_is_named() {
        let tool = |parameters: Value| json!({"type": "function", "function": {"name": "f", "parameters": parameters}});
        let long = "p".repeat(65);
        for name in ["filter[id]", "$top", "a b", "größe", "", &long] {
            for parameters in [
                json!({"type": "object", "properties": {"fine": {}, name: {}}}),
                json!({"type": "object", "anyOf": [{"properties": {name: {}}}]}),
            ] {
                let asked = request(&[named("g"), tool(parameters)], json!({}));
                let error = sent(&asked).unwrap_err();
                assert_eq!(error.status(), 422);
                let message = error.message();
                assert!(
                    message.contains("tools[1].parameters.properties")
                        && message.contains(&format!("{name:?}")),
                    "{message}"
                );
            }
        }
        // What is below, and what is a name as well as a keyword.
        let fine = json!({"type": "object", "properties": {
            "a.b-c_D9": {"type": "object", "properties": {"filter[id]": {}}}, "properties": {}, "p".repeat(64): {}}});
        let (body, losses) = sent(&request(&[tool(fine.clone())], json!({}))).unwrap();
        assert_eq!((&body["tools"][0]["input_schema"], losses.len()), (&fine, 0));
    }

    #[test]
    fn a_name_that_claude_does_not_take_goes_out_as_another_and_comes_back() {
        let long = "mcp__".repeat(40);
        for name in ["actions/download-logs", "files.read", "files:read", "wetter für heute", "🚀", "", &long]
        {
            let call = json!({"id": "c", "function": {"name": name, "arguments": "{}"}});
            let asked = request(
                &[named("files_read"), named(name)],
                json!({"tool_choice": {"type": "function", "function": {"name": name}}, "messages": [
                    {"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c", "content": "r"}]}),
            );
            let (body, losses) = sent(&asked).unwrap();
            let stand_in = body["tools"][1]["name"].as_str().unwrap();
            let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
            assert!((1..=128).contains(&stand_in.len()) && stand_in.chars().all(is_allowed), "{stand_in}");
            assert_ne!(stand_in, "files_read");
            assert_eq!(body["tool_choice"]["name"], stand_in);
            assert_eq!(body["messages"][1]["content"][0]["name"], stand_in);
            assert_eq!(losses, [format!("tools[1].name: {}", Rule::ToolName.reason())]);

            let asked = Asked {
                request: Asked::remembered(asked),
                id: String::new(),
                model: String::new(),
                created: 0,
            };
            let answer = json!({"content": [{"type": "tool_use", "id": "t", "name": stand_in, "input": {}},
                {"type": "tool_use", "id": "u", "name": "files_read", "input": {}}]});
            let reply = SCHEMA.reply(&asked, answer.to_string().as_bytes(), &mut Losses::default()).unwrap();
            let called = reply.choices[0].content.iter().map(|part| match &part.content {
                Content::ToolCall { name, .. } => name.as_str(),
                _ => "",
            });
            assert_eq!(called.collect::<Vec<_>>(), [name, "files_read"]);

            let mut reader = SCHEMA.events(&asked);
            let mut events = Vec::new();
            let start = json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "tool_use", "id": "t", "name": stand_in, "input": {}}});
            reader.event(None, start.to_string().as_bytes(), &mut Losses::default(), &mut events);
            let is_named = |event: &Event| matches!(event, Event::BlockStart { block: BlockStart::ToolCall { name: called, .. }, .. } if called == name);
            assert!(events.iter().any(is_named), "{events:?}");
        }
    }

    #[test]
    fn names_that_claude_takes_stay() {
        let tools = [named("a"), named("A-1_b"), named(&"x".repeat(128))];
        let (body, losses) = sent(&request(&tools, json!({}))).unwrap();
        let names: Vec<&Value> = body["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["a", "A-1_b", &"x".repeat(128)]);
        assert!(losses.is_empty());
    }

    #[test]
    fn two_tools_of_one_name_are_one_or_an_error() {
        let (body, losses) = sent(&request(&[named("f"), named("g"), named("f")], json!({}))).unwrap();
        assert_eq!(body["tools"].as_array().unwrap().len(), 2);
        assert_eq!(losses, [format!("tools[2]: {}", Rule::SameTool.reason())]);
        let mut other = named("f");
        other["function"]["description"] = json!("Another one.");
        let error = sent(&request(&[named("f"), other], json!({}))).unwrap_err();
        assert_eq!(error.status(), 422);
        assert!(error.message().contains("tools[1].name"), "{}", error.message());
    }

    #[test]
    fn models_that_cannot_be_made_to_call_a_tool_decide_by_themselves() {
        for (model, kind) in [
            ("claude-opus-5-5", "auto"),
            ("us.anthropic.claude-sonnet-5-5", "auto"),
            ("claude-fable-5-1", "auto"),
            ("claude-mythos-5-2", "auto"),
            ("claude-opus-5", "any"),
            ("claude-fable-5", "any"),
            ("claude-haiku-5-5", "any"),
            ("claude-sonnet-4-6", "any"),
        ] {
            let mut asked = request(&[named("f")], json!({"tool_choice": "required"}));
            model.clone_into(&mut asked.model);
            let (body, losses) = sent(&asked).unwrap();
            assert_eq!(body["tool_choice"]["type"], kind, "{model}");
            assert_eq!(losses.len(), usize::from(kind == "auto"), "{model}: {losses:?}");
        }
    }
}
