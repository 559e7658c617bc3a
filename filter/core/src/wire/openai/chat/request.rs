//! A request, in the words of chat completions.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::message::messages;
use super::servers::{
    FEW_STOPS, MARKS, MAX_STOPS, NO_SAMPLING, NO_STOP, NO_TOP_K, NONE, Rule, Server, TOOL_NAME, tool_name,
};
use super::types::{
    AllowedTool, AllowedTools, Body, CacheControl, Extras, Function, JsonSchema, Name, NamedChoice,
    ResponseFormat, Sampling, StreamOptions, Thinking, Tool, ToolChoice,
};
use crate::chat::{self, Extra, Family, Losses, Request, ThinkingMode};
use crate::error::Result;
use crate::wire::fields::{Path, Taken, lose_extra};
use crate::wire::raw::Raw;
use crate::wire::{To, to_json};

/// Members of a request that the neutral form has no word for. The first are OpenAI's own; the others are vLLM's
/// and SGLang's (<https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>).
const MEMBERS: &[&str] = &[
    "audio",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_options",
    "store",
    "web_search_options",
    "add_generation_prompt",
    "chat_template",
    "chat_template_kwargs",
    "continue_final_message",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "ignore_eos",
    "include_reasoning",
    "length_penalty",
    "min_p",
    "min_tokens",
    "mm_processor_kwargs",
    "priority",
    "reasoning",
    "repetition_penalty",
    "skip_special_tokens",
    "stop_token_ids",
    "structured_outputs",
];
const OPENAIS: &[&str] = MEMBERS.split_at(7).0;

/// The same of a message: sound by the name of an earlier answer's, a call as it was written before there were
/// tools, and beginnings that the model is to continue.
pub(super) const MESSAGE_MEMBERS: &[&str] = &["audio", "function_call", "partial", "prefix"];

/// The same of a part.
pub(super) const PART_MEMBERS: &[&str] = &["prompt_cache_breakpoint"];

/// Writes the body of a request to the server that `to` names. What it cannot be told is recorded in `losses`.
///
/// # Errors
///
/// 422 for content that chat completions have no place for.
pub(super) fn encode(to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    let server = Server::of(to);
    let members = if server.is_openai { OPENAIS } else { MEMBERS };
    let taken = Taken {
        all_of: None,
        request_of: None,
        family: Some(Family::OpenAi),
        request: members,
        message: MESSAGE_MEMBERS,
        part: PART_MEMBERS,
        function: &[],
    };
    lose_extra(request, &taken, losses);
    let tools = tools(request, server, losses);
    let has_tools = !tools.is_empty();
    let stream = to.stream || request.stream;
    let limit = request.max_tokens;
    let (effort, thinking) = thinking(request, server, losses);
    let body = Body {
        model: to.model,
        messages: messages(&request.messages, server, losses)?,
        stream: stream.then_some(true),
        // It is what the books are kept by, whether the client wants to see it or not.
        stream_options: stream.then_some(StreamOptions { include_usage: true }),
        tool_choice: tool_choice(request, has_tools, server, losses),
        // Without tools it is a 400.
        parallel_tool_calls: request.parallel_tool_calls.filter(|_| has_tools),
        tools,
        max_completion_tokens: limit.filter(|_| !server.family.old_limit),
        max_tokens: limit.filter(|_| server.family.old_limit),
        sampling: sampling(request, server, losses),
        stop: stop(request, server, losses),
        response_format: response_format(request),
        reasoning_effort: effort,
        thinking,
        verbosity: request.verbosity.as_deref(),
        user: user(request, server, losses),
        metadata: &request.metadata,
        service_tier: request.service_tier.as_deref(),
        prompt_cache_key: request.cache.key.as_deref(),
        prompt_cache_retention: request.cache.retention.as_deref(),
        seed: request.seed,
        n: request.n,
        extra: extras(request.extra.as_deref(), members),
    };
    if request.cache.content.is_some() {
        losses.add("cached_content", "only its own provider has it");
    }
    Ok(to_json(&body))
}

/// Those of `members` that are in `extra`, if it is in the words of this API.
pub(super) fn extras<'a>(extra: Option<&'a Extra>, members: &[&str]) -> Extras<'a> {
    let own = extra.filter(|extra| extra.family == Family::OpenAi);
    let all = own.into_iter().flat_map(|extra| &extra.members);
    let taken = all.filter(|(name, _)| members.contains(&name.as_str()));
    Extras(taken.filter_map(|(name, json)| Some((name.as_str(), raw(json)?))).collect())
}

/// JSON that was read as such.
pub(in crate::wire) fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// The mark of what is at `path`, where the server takes any.
pub(super) fn mark<'a>(
    path: &Path<'_>,
    mark: Option<&'a chat::CacheControl>,
    server: Server,
    losses: &mut Losses,
) -> Option<CacheControl<'a>> {
    let mark = mark?;
    if !server.family.takes_marks {
        losses.add(Path::Key(path, "cache_control"), MARKS);
        return None;
    }
    Some(CacheControl { ttl: mark.ttl.as_deref() })
}

fn tools<'a>(request: &'a Request, server: Server, losses: &mut Losses) -> Vec<Tool<'a>> {
    let list = Path::Key(&Path::Root, "tools");
    let mut encoded = Vec::with_capacity(request.tools.len());
    for (index, tool) in request.tools.iter().enumerate() {
        let path = Path::Index(&list, index);
        let function = match tool {
            chat::Tool::Function(function) => function,
            chat::Tool::Hosted(hosted) => {
                losses.add(path, format!("only its own provider runs {}", hosted.kind));
                continue;
            }
        };
        let name = server.tool_name(&function.name);
        if *name != *function.name {
            losses.add(Path::Key(&path, "name"), TOOL_NAME);
        }
        encoded.push(Tool {
            kind: "function",
            function: Function {
                name,
                description: function.description.as_deref(),
                parameters: function.parameters.as_ref().map(Raw::from),
                strict: function.strict,
            },
            cache_control: mark(&path, function.cache_control.as_ref(), server, losses),
        });
    }
    encoded
}

fn tool_choice<'a>(
    request: &'a Request,
    has_tools: bool,
    server: Server,
    losses: &mut Losses,
) -> Option<ToolChoice<'a>> {
    let choice = request.tool_choice.as_ref()?;
    if !has_tools {
        if choice.is_forced() {
            losses.add("tool_choice", "there are no tools to choose from");
        }
        return None;
    }
    let name = |name: &'a str| Name { name: server.tool_name(name) };
    Some(match choice {
        chat::ToolChoice::Auto => ToolChoice::Word("auto"),
        chat::ToolChoice::None => ToolChoice::Word("none"),
        chat::ToolChoice::Required => ToolChoice::Word("required"),
        chat::ToolChoice::Tool(tool) => ToolChoice::Object(NamedChoice::Function { function: name(tool) }),
        chat::ToolChoice::Among { names, required } => {
            let tools = names.iter().map(|tool| AllowedTool { function: name(tool) }).collect();
            let mode = if *required { "required" } else { "auto" };
            ToolChoice::Object(NamedChoice::AllowedTools { allowed_tools: AllowedTools { mode, tools } })
        }
    })
}

fn sampling<'a>(request: &'a Request, server: Server, losses: &mut Losses) -> Sampling<'a> {
    let rests = server.can_rest() && request.thinking.effort.as_deref() == Some("none");
    let is_fixed = server.reasons && !rests;
    let mut keep = |path: &str, is_usual: bool, rule: Rule, refused: bool| {
        // What holds anyway may be said.
        let is_kept = !refused || is_usual;
        if !is_kept {
            losses.add(path, rule);
        }
        is_kept
    };
    let is_one = |value: Option<f64>| value.is_none_or(|value| value == 1.0);
    let is_zero = |value: Option<f64>| value.is_none_or(|value| value == 0.0);
    Sampling {
        temperature: request
            .temperature
            .filter(|_| keep("temperature", is_one(request.temperature), NO_SAMPLING, is_fixed)),
        top_p: request.top_p.filter(|_| keep("top_p", is_one(request.top_p), NO_SAMPLING, is_fixed)),
        top_k: request.top_k.filter(|_| keep("top_k", false, NO_TOP_K, server.is_openai)),
        presence_penalty: request.presence_penalty.filter(|_| {
            keep("presence_penalty", is_zero(request.presence_penalty), NO_SAMPLING, server.reasons)
        }),
        frequency_penalty: request.frequency_penalty.filter(|_| {
            keep("frequency_penalty", is_zero(request.frequency_penalty), NO_SAMPLING, server.reasons)
        }),
        logit_bias: Some(&request.logit_bias)
            .filter(|bias| !bias.is_empty() && keep("logit_bias", false, NO_SAMPLING, server.reasons)),
        logprobs: request.logprobs && keep("logprobs", false, NO_SAMPLING, is_fixed),
        top_logprobs: request.top_logprobs.filter(|_| keep("top_logprobs", false, NO_SAMPLING, is_fixed)),
    }
}

fn stop<'a>(request: &'a Request, server: Server, losses: &mut Losses) -> &'a [String] {
    let stop = request.stop.as_slice();
    if !server.stops {
        if !stop.is_empty() {
            losses.add("stop", NO_STOP);
        }
        return &[];
    }
    if server.is_openai && stop.len() > MAX_STOPS {
        losses.add(format_args!("stop[{MAX_STOPS}]"), FEW_STOPS);
        return stop.get(..MAX_STOPS).unwrap_or(stop);
    }
    stop
}

fn response_format(request: &Request) -> Option<ResponseFormat<'_>> {
    Some(match request.response_format.as_ref()? {
        chat::ResponseFormat::JsonObject => ResponseFormat::JsonObject,
        chat::ResponseFormat::JsonSchema { name, schema, strict } => {
            // It must have a name, of the kind that tools have.
            let name = name.as_deref().map_or(Cow::Borrowed("response"), tool_name);
            ResponseFormat::JsonSchema {
                json_schema: JsonSchema { name, schema: Raw::new(schema), strict: *strict },
            }
        }
    })
}

/// Up to so many tokens a budget is a low effort, or a medium one.
pub(in crate::wire) const LOW: u64 = 2048;
pub(in crate::wire) const MEDIUM: u64 = 8192;

/// `reasoning_effort` and `thinking`.
fn thinking<'a>(
    request: &'a Request,
    server: Server,
    losses: &mut Losses,
) -> (Option<&'a str>, Option<Thinking<'a>>) {
    let chat::Thinking { effort, mode, between_tools: _, budget_tokens, display, include_thoughts } =
        &request.thinking;
    let display = display.as_deref();
    let effort = effort.as_deref().and_then(|effort| told(effort, server, losses));
    // Claude's own words, where a gateway stands before it.
    let (budget, display) = if server.family.is_claude() {
        (*budget_tokens, display)
    } else {
        if display == Some("omitted") || *include_thoughts == Some(false) {
            let path = if display.is_some() { "thinking.display" } else { "thinking.include_thoughts" };
            losses.add(path, "the server decides whether it shows thoughts");
        }
        (None, None)
    };
    let Some(mode) = mode else {
        return (effort.or_else(|| effort_of(*budget_tokens, server, losses)), None);
    };
    if server.family.takes_thinking {
        if budget.is_none() && budget_tokens.is_some() {
            losses.add("thinking.budget_tokens", "this server takes no budget");
        }
        let kind = match mode {
            ThinkingMode::Enabled => "enabled",
            ThinkingMode::Disabled => "disabled",
            // What holds anyway, elsewhere.
            ThinkingMode::Adaptive if !server.family.is_claude() => return (effort, None),
            ThinkingMode::Adaptive => "adaptive",
        };
        return (effort, Some(Thinking { kind, budget_tokens: budget, display }));
    }
    match mode {
        ThinkingMode::Adaptive => (effort, None),
        ThinkingMode::Enabled if effort.is_some() => {
            if budget_tokens.is_some() {
                losses.add("thinking.budget_tokens", "the effort stands for it");
            }
            (effort, None)
        }
        ThinkingMode::Enabled if server.reasons => (effort_of(*budget_tokens, server, losses), None),
        ThinkingMode::Disabled if server.reasons => (told(NONE, server, losses), None),
        ThinkingMode::Disabled if server.is_openai && !server.reasons => (None, None),
        ThinkingMode::Enabled | ThinkingMode::Disabled => {
            losses.add("thinking", "this model cannot be told whether to think");
            (effort, None)
        }
    }
}

/// The effort as the server takes it.
fn told<'a>(effort: &'a str, server: Server, losses: &mut Losses) -> Option<&'a str> {
    let (effort, rule) = server.effort(effort);
    if let Some(rule) = rule {
        losses.add("reasoning_effort", rule);
    }
    effort
}

/// The effort that comes closest to a budget, where the model takes one.
fn effort_of(budget: Option<u64>, server: Server, losses: &mut Losses) -> Option<&'static str> {
    let budget = budget?;
    if !server.reasons {
        losses.add("thinking.budget_tokens", "this server takes no budget");
        return None;
    }
    losses.add("thinking.budget_tokens", "OpenAI takes no budget: the effort that comes closest was chosen");
    let effort = match budget {
        0 => NONE,
        budget if budget <= LOW => "low",
        budget if budget <= MEDIUM => "medium",
        _ => "high",
    };
    server.effort(effort).0
}

fn user<'a>(request: &'a Request, server: Server, losses: &mut Losses) -> Option<Cow<'a, str>> {
    let user = request.user.as_deref().filter(|user| !user.is_empty())?;
    let (user, rule) = server.user(user);
    if let Some(rule) = rule {
        losses.add("user", rule);
    }
    Some(user)
}
