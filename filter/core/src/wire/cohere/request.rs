//! A request, in Cohere's words.

use super::message::{MARKS, messages};
use super::rules::{MAX_K, MAX_STOPS, Model, Rule};
use super::tools::{Tools, tools};
use super::types::{Body, ResponseFormat, Thinking};
use crate::chat::{self, Losses, Request, ThinkingMode};
use crate::error::Result;
use crate::wire::fields::{Taken, lose_extra};
use crate::wire::openai::chat::{Extras, LOW, MEDIUM, raw};
use crate::wire::openai_chat::is_usual_tier;
use crate::wire::raw::Raw;
use crate::wire::{To, to_json};

/// Members of Cohere's that the neutral form has no word for. Clients of any API may send them beside their own.
const MEMBERS: &[&str] = &["citation_options", DOCUMENTS, "priority", "safety_mode"];

const DOCUMENTS: &str = "documents";

/// Writes the body of a request. What Cohere cannot be told is recorded in `losses`.
///
/// # Errors
///
/// 422 for content that Cohere has no place for.
pub(super) fn encode(to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    lose_extra(request, &Taken { request: MEMBERS, ..Taken::default() }, losses);
    lose_what_has_no_word(request, losses);
    let model = Model::named(to.model);
    let is_off = is_off(&request.thinking);
    let messages = messages(&request.messages, model.may_think && !is_off, losses)?;
    let Tools { tools, choice, are_strict } = tools(request, model, losses);
    let extra = extras(request);
    let has_documents = extra.0.iter().any(|(name, _)| *name == DOCUMENTS);
    let penalties = penalties(request, losses);
    let body = Body {
        model: to.model,
        messages,
        stream: to.stream || request.stream,
        response_format: response_format(request, !tools.is_empty() || has_documents, losses),
        tools,
        strict_tools: are_strict,
        tool_choice: choice,
        thinking: thinking(&request.thinking, model, is_off, losses),
        max_tokens: request.max_tokens,
        stop_sequences: stop(request, losses),
        temperature: within(request.temperature, "temperature", Rule::Temperature, losses),
        p: request.top_p,
        k: request.top_k.map(|k| {
            if k > MAX_K {
                losses.add("top_k", Rule::TopK);
            }
            k.min(MAX_K)
        }),
        frequency_penalty: penalties.0,
        presence_penalty: penalties.1,
        seed: request.seed,
        logprobs: request.logprobs,
        extra,
    };
    Ok(to_json(&body))
}

fn lose_what_has_no_word(request: &Request, losses: &mut Losses) {
    let mut lose = |is_said: bool, path: &str, reason: &'static str| {
        if is_said {
            losses.add(path, reason);
        }
    };
    lose(request.n.is_some_and(|n| n != 1), "n", "Cohere gives one answer");
    lose(request.top_logprobs.is_some_and(|top| top > 0), "top_logprobs", "Cohere tells no alternatives");
    lose(!request.logit_bias.is_empty(), "logit_bias", "Cohere takes no bias");
    lose(request.verbosity.is_some(), "verbosity", "Cohere cannot be told how much to say");
    lose(request.user.as_deref().is_some_and(|user| !user.is_empty()), "user", "Cohere takes no user");
    lose(!request.metadata.is_empty(), "metadata", "Cohere takes no labels");
    lose(
        request.service_tier.as_deref().is_some_and(|tier| !is_usual_tier(tier)),
        "service_tier",
        "Cohere has no tiers",
    );
    lose(request.cache.key.is_some(), "prompt_cache_key", MARKS);
    lose(request.cache.retention.is_some(), "prompt_cache_retention", MARKS);
    lose(request.cache.automatic.is_some(), "cache_control", MARKS);
    lose(request.cache.content.is_some(), "cached_content", "only its own provider has it");
}

/// What the client said in Cohere's own words.
fn extras(request: &Request) -> Extras<'_> {
    let all = request.extra.iter().flat_map(|extra| &extra.members);
    let own = all.filter(|(name, _)| MEMBERS.contains(&name.as_str()));
    Extras(own.filter_map(|(name, json)| Some((name.as_str(), raw(json)?))).collect())
}

fn response_format<'a>(
    request: &'a Request,
    has_tools_or_documents: bool,
    losses: &mut Losses,
) -> Option<ResponseFormat<'a>> {
    let format = request.response_format.as_ref()?;
    if has_tools_or_documents {
        losses.add("response_format", Rule::FormatAndTools);
        return None;
    }
    let json_schema = match format {
        chat::ResponseFormat::JsonObject => None,
        // It is always followed exactly, and has no name.
        chat::ResponseFormat::JsonSchema { schema, .. } => Some(Raw::new(schema)),
    };
    Some(ResponseFormat { json_schema })
}

/// The client wants no thoughts.
fn is_off(thinking: &chat::Thinking) -> bool {
    match thinking.mode {
        Some(ThinkingMode::Disabled) => true,
        Some(ThinkingMode::Enabled | ThinkingMode::Adaptive) => false,
        None => thinking.effort.as_deref() == Some("none") || thinking.budget_tokens == Some(0),
    }
}

/// <https://docs.cohere.com/docs/reasoning>: models that think do so unless they are told not to, with as many tokens
/// as they like unless there is a budget.
fn thinking(asked: &chat::Thinking, model: Model, is_off: bool, losses: &mut Losses) -> Option<Thinking> {
    let chat::Thinking { effort, mode, between_tools: _, budget_tokens, display, include_thoughts } = asked;
    if is_off {
        if effort.as_deref().is_some_and(|effort| effort != "none") {
            losses.add("reasoning_effort", "there is no effort where the model is not to think");
        }
        return model.may_think.then_some(Thinking { kind: "disabled", token_budget: None });
    }
    if display.as_deref() == Some("omitted") || *include_thoughts == Some(false) {
        let path = if display.is_some() { "thinking.display" } else { "thinking.include_thoughts" };
        losses.add(path, "Cohere shows all thoughts");
    }
    if !model.may_think {
        if mode.is_some() || budget_tokens.is_some() {
            losses.add("thinking", Rule::NoThinking);
        }
        if effort.is_some() {
            losses.add("reasoning_effort", Rule::NoThinking);
        }
        return None;
    }
    let budget = budget_tokens.filter(|budget| *budget > 0);
    let token_budget = budget.or_else(|| budget_of(effort.as_deref()?));
    if effort.is_some() {
        let reason = match token_budget {
            Some(_) => "Cohere takes no effort: a budget of tokens stands for it",
            None => "Cohere takes no effort: the model thinks with as many tokens as it likes",
        };
        losses.add("reasoning_effort", reason);
    }
    let is_said = *mode == Some(ThinkingMode::Enabled) || token_budget.is_some();
    is_said.then_some(Thinking { kind: "enabled", token_budget })
}

/// The budget that comes closest to an effort. The higher ones have none.
fn budget_of(effort: &str) -> Option<u64> {
    match effort {
        "minimal" | "low" => Some(LOW),
        "medium" => Some(MEDIUM),
        _ => None,
    }
}

fn stop<'a>(request: &'a Request, losses: &mut Losses) -> &'a [String] {
    let stop = request.stop.as_slice();
    if stop.len() > MAX_STOPS {
        losses.add(format_args!("stop[{MAX_STOPS}]"), Rule::Stops);
    }
    stop.get(..MAX_STOPS).unwrap_or(stop)
}

/// The penalties for what was said often, and at all.
fn penalties(request: &Request, losses: &mut Losses) -> (Option<f64>, Option<f64>) {
    let mut said = |penalty, path| {
        // What holds anyway need not be said.
        within(penalty, path, Rule::Penalty, losses).filter(|penalty| *penalty != 0.0)
    };
    let frequency = said(request.frequency_penalty, "frequency_penalty");
    let presence = said(request.presence_penalty, "presence_penalty");
    if frequency.is_some() && presence.is_some() {
        losses.add("presence_penalty", Rule::TwoPenalties);
        return (frequency, None);
    }
    (frequency, presence)
}

/// The value, or the nearest one from 0 to 1.
fn within(value: Option<f64>, path: &str, rule: Rule, losses: &mut Losses) -> Option<f64> {
    let value = value?;
    let nearest = value.clamp(0.0, 1.0);
    if nearest != value {
        losses.add(path, rule);
    }
    Some(nearest)
}
