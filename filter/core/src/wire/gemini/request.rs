//! A request, in Gemini's words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::extras::{self, Own};
use super::format::{self, Format};
use super::model::Model;
use super::rules::{self, MAX_LABELS, Rule};
use super::thinking::thinking;
use super::tools::{tool_config, tools};
use super::types::{CountTokens, GenerateContent, Object};
use super::{contents, types};
use crate::chat::{Content, Losses, Request, Tool};
use crate::error::Result;
use crate::wire::fields::{Taken, lose_extra};
use crate::wire::schema::To;
use crate::wire::to_json;

/// Writes the body for `model`. What Gemini's API cannot express is recorded in `losses`.
///
/// # Errors
///
/// 422 for a value that Gemini is known to reject: two tools of one name, a call at the end, an effort that is none.
pub(super) fn encode(model_name: &str, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    lose_extra(request, &Taken { request: extras::TAKEN, ..Taken::default() }, losses);
    let model = Model::named(model_name);
    let own = Own::of(request, losses);
    let (system_instruction, contents) = contents::encode(&request.messages, model, losses)?;
    let tools = tools(request, model, losses)?;
    let format = format::asked(request, &own, losses)?;
    let generation_config = generation_config(request, &own, model, &tools, format, losses)?;
    let body = GenerateContent {
        contents,
        system_instruction,
        tool_config: tool_config(request, losses),
        tools,
        generation_config,
        labels: labels(request, &own, losses),
        cached_content: request
            .cache
            .content
            .as_deref()
            .map(Cow::Borrowed)
            .or(own.cached_content.map(Cow::Owned)),
        service_tier: service_tier(request, losses),
        own: own.request,
    };
    record_unsaid(request, losses);
    Ok(to_json(&body))
}

/// Writes the body of `countTokens`: of the request what the count depends on.
///
/// # Errors
///
/// Those of [`encode`].
pub(super) fn encode_counted(to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    let model = Model::named(to.model);
    let (system_instruction, contents) = contents::encode(&request.messages, model, losses)?;
    let tools = tools(request, model, losses)?;
    Ok(to_json(&CountTokens { contents, system_instruction, tools }))
}

fn generation_config<'a>(
    request: &'a Request,
    own: &Own<'a>,
    model: Model,
    tools: &[types::Tool<'_>],
    format: Option<Format<'a>>,
    losses: &mut Losses,
) -> Result<Object<'a>> {
    let mut config = Object::default();
    config.put_if("temperature", request.temperature);
    config.put_if("topP", request.top_p);
    config.put_if("topK", request.top_k);
    config.put_if("candidateCount", request.n.filter(|n| *n != 1));
    config.put_if("maxOutputTokens", request.max_tokens);
    config.put_if("stopSequences", (!request.stop.is_empty()).then_some(&request.stop));
    config.put_if("presencePenalty", request.presence_penalty);
    config.put_if("frequencyPenalty", request.frequency_penalty);
    config.put_if("seed", request.seed.map(|seed| self::seed(seed, losses)));
    config.put_if("responseLogprobs", request.logprobs.then_some(true));
    config.put_if("logprobs", request.top_logprobs.filter(|_| request.logprobs));
    if request.top_logprobs.is_some() && !request.logprobs {
        losses.add("top_logprobs", "there are none without logprobs");
    }
    let has_functions = tools.iter().any(|tool| matches!(tool, types::Tool::Functions { .. }));
    match format {
        Some(_) if has_functions && !model.is_newest() => losses.add("response_format", Rule::JsonAndTools),
        Some(format) => format.put(&mut config, model, losses)?,
        None => {}
    }
    let include_thoughts = own.include_thoughts();
    config.put_if("thinkingConfig", thinking(request, model, include_thoughts, losses)?);
    for (name, path, value) in &own.generation {
        if !config.has(name) {
            config.put_raw(name.clone(), Cow::Borrowed(*value));
        } else if name != "thinkingConfig" || include_thoughts.is_none() {
            losses.add(path, "it is said in the API's own words as well, which count");
        }
    }
    Ok(config)
}

fn seed(seed: i64, losses: &mut Losses) -> i32 {
    i32::try_from(seed).unwrap_or_else(|_| {
        losses.add("seed", Rule::Seed);
        let [a, b, c, d, ..] = seed.to_le_bytes();
        i32::from_le_bytes([a, b, c, d])
    })
}

/// What shows on the invoice: who it is for, and the client's own labels.
fn labels<'a>(
    request: &'a Request,
    own: &Own<'a>,
    losses: &mut Losses,
) -> BTreeMap<Cow<'a, str>, Cow<'a, str>> {
    let mut labels = BTreeMap::new();
    let user = request.user.as_deref().filter(|user| !user.is_empty()).map(|user| ("user", user));
    if let Some((key, user)) = user {
        let value = rules::label_value(user);
        if matches!(value, Cow::Owned(_)) {
            losses.add("user", Rule::Label);
        }
        labels.insert(Cow::Borrowed(key), value);
    }
    for (key, value) in &request.metadata {
        let Value::String(value) = value else {
            losses.add(format_args!("metadata.{key}"), Rule::LabelText);
            continue;
        };
        let (label, value) = (rules::label_key(key), rules::label_value(value));
        if matches!(label, Cow::Owned(_)) || matches!(value, Cow::Owned(_)) {
            losses.add(format_args!("metadata.{key}"), Rule::Label);
        }
        if labels.len() < MAX_LABELS || labels.contains_key(&label) {
            labels.insert(label, value);
        } else {
            losses.add(format_args!("metadata.{key}"), Rule::TooManyLabels);
        }
    }
    for (key, value) in &own.labels {
        labels.insert(Cow::Owned(key.clone()), Cow::Owned(value.clone()));
    }
    labels
}

/// `google.genai.types.ServiceTier`
fn service_tier(request: &Request, losses: &mut Losses) -> Option<&'static str> {
    match request.service_tier.as_deref()? {
        "auto" => None,
        "default" => Some("standard"),
        "flex" => Some("flex"),
        "priority" => Some("priority"),
        _ => {
            losses.add("service_tier", "Gemini has standard, flex and priority");
            None
        }
    }
}

/// What a client may ask for and Gemini has no word for.
fn record_unsaid(request: &Request, losses: &mut Losses) {
    let unsaid = [
        ("logit_bias", !request.logit_bias.is_empty()),
        ("verbosity", request.verbosity.is_some()),
        ("prompt_cache_key", request.cache.key.is_some()),
        ("prompt_cache_retention", request.cache.retention.is_some()),
    ];
    for (path, is_said) in unsaid {
        if is_said {
            losses.add(path, "not supported by Gemini");
        }
    }
    let parts = request.messages.iter().flat_map(|message| &message.content);
    let is_marked = |part: &crate::chat::Part| {
        let inside = match &part.content {
            Content::ToolResult { content, .. } => content.iter().any(|part| part.cache_control.is_some()),
            _ => false,
        };
        part.cache_control.is_some() || inside
    };
    let of_tools = request.tools.iter().any(|tool| match tool {
        Tool::Function(function) => function.cache_control.is_some(),
        Tool::Hosted(_) => false,
    });
    if request.cache.automatic.is_some() || of_tools || parts.into_iter().any(is_marked) {
        losses.add("cache_control", Rule::Marks);
    }
}
