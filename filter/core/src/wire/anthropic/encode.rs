//! A request, in Anthropic's words.

use super::message::{cache_control, encode_messages, limit_marks};
use super::models::ModelNames;
use super::rules::{self, Rule};
use super::sampling::{Sampling, sampling};
use super::thinking::{effort, thinking};
use super::tools::{must_call, tool_choice, tools};
use super::types::{MessagesRequest, Metadata, OutputConfig, OutputFormat, Own, Thinking, ToolOrOwn};
use super::{Envelope, Params, calls, instructions, turns};
use crate::chat::{Family, Losses, Request, ResponseFormat, ThinkingMode};
use crate::error::Result;
use crate::wire::fields::{Taken, lose_extra};
use crate::wire::to_json;

/// Writes the body for the place `params` names. What Anthropic's API cannot express is recorded in `losses`.
///
/// # Errors
///
/// 422 for a value Claude is known to reject: a temperature over 1, a picture in a format it cannot see, two tools of
/// one name, a call at the end.
pub fn encode_request(params: &Params<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    lose_extra(request, &Taken { all_of: Some(Family::Anthropic), ..Taken::default() }, losses);
    let names = ModelNames([request.model.as_str(), params.model]);
    let (mut system, mut messages) = encode_messages(&request.messages, params.envelope, names, losses)?;
    messages = calls::pair(messages, &request.messages, params.envelope, losses)?;
    messages = instructions::place(&mut system, messages, &request.messages, losses);
    let mut tools = tools(request, params.envelope, losses)?;
    let max_tokens = max_tokens(params, request, names, losses);
    let thinking = thinking(request, names, &messages, max_tokens, must_call(request), losses);
    let thinks = thinking.as_ref().is_some_and(Thinking::is_on);
    turns::mend(&mut system, &mut messages, names, request, thinks, losses)?;
    let functions = tools.iter_mut().filter_map(ToolOrOwn::function).collect();
    limit_marks(functions, &mut system, &mut messages, losses);
    let Sampling { temperature, top_p, top_k } = sampling(request, names, thinks, losses)?;
    let (anthropic_version, model, stream) = match params.envelope {
        Envelope::Native => (None, Some(params.model), request.stream.then_some(true)),
        Envelope::Bedrock { version } => (Some(version), None, None),
        Envelope::Converse { .. } => (None, None, None),
        Envelope::Vertex { version } => (Some(version), None, request.stream.then_some(true)),
    };
    let service_tier = service_tier(request, params.envelope);
    let extra = request.extra.as_deref();
    let body = MessagesRequest {
        anthropic_version,
        model,
        stream,
        max_tokens,
        system,
        messages,
        tools,
        tool_choice: tool_choice(request, names, losses),
        thinking,
        output_config: OutputConfig {
            effort: effort(request, names, losses)?,
            format: output_format(request, names, params.envelope, losses),
            own: Own::below("output_config", extra),
        },
        temperature,
        top_p,
        top_k,
        stop_sequences: stop_sequences(request, losses),
        metadata: metadata(request, losses),
        service_tier,
        cache_control: cache_control(request.cache.automatic.as_ref()),
        own: Own::of(extra),
    };
    let said: &[_] = if service_tier.is_some() { &["service_tier"] } else { &[] };
    record_unsaid(request, said, losses);
    Ok(to_json(&body))
}

/// `max_tokens` has no default at Anthropic and must be over the thinking budget, so ours makes room for both. No model
/// takes more than it can give.
pub(in crate::wire) fn max_tokens(
    params: &Params<'_>,
    request: &Request,
    names: ModelNames<'_>,
    losses: &mut Losses,
) -> u64 {
    let wanted = request.max_tokens.unwrap_or_else(|| {
        let thinking =
            Some(&request.thinking).filter(|thinking| thinking.mode == Some(ThinkingMode::Enabled));
        let budget = thinking
            .and_then(|thinking| thinking.budget_tokens)
            .filter(|budget| *budget >= params.default_max_tokens);
        params.default_max_tokens.saturating_add(budget.unwrap_or(0))
    });
    match names.output_limit(wanted) {
        Some(limit) => {
            if request.max_tokens.is_some() {
                losses.add("max_tokens", Rule::MaxTokens);
            }
            limit
        }
        None => wanted,
    }
}

pub(in crate::wire) fn stop_sequences<'a>(request: &'a Request, losses: &mut Losses) -> Vec<&'a str> {
    let mut sequences = Vec::with_capacity(request.stop.len());
    for (index, stop) in request.stop.iter().enumerate() {
        if rules::is_blank(stop) {
            losses.add(format_args!("stop[{index}]"), Rule::Stop);
        } else {
            sequences.push(stop.as_str());
        }
    }
    sequences
}

fn metadata<'a>(request: &'a Request, losses: &mut Losses) -> Option<Metadata<'a>> {
    let own = Own::below("metadata", request.extra.as_deref());
    let user = request.user.as_deref().filter(|user| !user.is_empty()).map(rules::user);
    if let Some((_, Some(rule))) = &user {
        losses.add("user", *rule);
    }
    let user_id = user.map(|(user_id, _)| user_id);
    (user_id.is_some() || !own.is_empty()).then_some(Metadata { user_id, own })
}

/// Anthropic serves from what was bought ahead, or not: <https://platform.claude.com/docs/en/api/service-tiers>.
/// Bedrock has tiers of its own.
fn service_tier(request: &Request, envelope: Envelope<'_>) -> Option<&'static str> {
    let is_default = request.service_tier.as_deref() == Some("default");
    (is_default && envelope == Envelope::Native).then_some("standard_only")
}

fn output_format<'a>(
    request: &'a Request,
    names: ModelNames<'_>,
    envelope: Envelope<'_>,
    losses: &mut Losses,
) -> Option<OutputFormat<'a>> {
    match request.response_format.as_ref()? {
        ResponseFormat::JsonSchema { schema, .. } if names.takes_json_schema(envelope) => {
            serde_json::from_str(schema).ok().map(|schema| OutputFormat { schema })
        }
        ResponseFormat::JsonSchema { .. } => {
            losses.add("response_format", "this model takes no JSON schema");
            None
        }
        ResponseFormat::JsonObject => {
            losses.add("response_format", "Anthropic has no JSON mode without a schema");
            None
        }
    }
}

/// What a client may ask for and Anthropic has no word for. `said` are those for which the place has one.
pub(in crate::wire) fn record_unsaid(request: &Request, said: &[&str], losses: &mut Losses) {
    let unsaid = [
        ("n", request.n.is_some_and(|n| n != 1)),
        ("seed", request.seed.is_some()),
        ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("logit_bias", !request.logit_bias.is_empty()),
        ("logprobs", request.logprobs),
        ("top_logprobs", request.top_logprobs.is_some()),
        ("service_tier", request.service_tier.as_deref().is_some_and(|tier| tier != "auto")),
        ("metadata", !request.metadata.is_empty()),
        ("verbosity", request.verbosity.is_some()),
        ("prompt_cache_key", request.cache.key.is_some()),
        ("prompt_cache_retention", request.cache.retention.is_some()),
        ("cached_content", request.cache.content.is_some()),
    ];
    for (path, is_asked) in unsaid {
        if is_asked && !said.contains(&path) {
            losses.add(path, "not supported by Anthropic");
        }
    }
}
