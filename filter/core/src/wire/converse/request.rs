//! A request, in Converse's words.

use super::content::{fit_marks, messages, system};
use super::fields::{self, Decided, NovaThinking, Vendor};
use super::format::Format;
use super::models::{Model, Thinks};
use super::rules::Rule;
use super::tools::{told, tool_config};
use super::types::{
    Conversation, ConverseRequest, CountTokens, Counted, InferenceConfig, JsonSchema, OutputConfig,
    Structure, TextFormat,
};
use crate::chat::{Losses, Request};
use crate::error::Result;
use crate::wire::anthropic::encode::{max_tokens, record_unsaid, stop_sequences};
use crate::wire::anthropic::message::{encode_messages, limit_marks};
use crate::wire::anthropic::sampling::{Sampling, sampling};
use crate::wire::anthropic::thinking::thinking;
use crate::wire::anthropic::tools::must_call;
use crate::wire::anthropic::types::{Block, CacheControl, Message, Thinking};
use crate::wire::anthropic::{Params, calls, rules, turns};
use crate::wire::fields::lose_extra;
use crate::wire::schema::To;
use crate::wire::to_json;

/// Writes the body for the model that `to` names. What neither Converse nor the model can express is recorded in
/// `losses`.
///
/// # Errors
///
/// 422 for a value that Bedrock is known to reject.
pub(super) fn encode_request(to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    in_bedrocks_words(to, request, losses).map(|body| to_json(&body))
}

/// Writes the body for CountTokens: of the request what the count depends on.
///
/// # Errors
///
/// Those of [`encode_request`].
pub(super) fn encode_counted(to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    let ConverseRequest { messages, system, tool_config, .. } = in_bedrocks_words(to, request, losses)?;
    Ok(to_json(&CountTokens { input: Counted { converse: Conversation { messages, system, tool_config } } }))
}

fn in_bedrocks_words<'a>(
    to: &To<'_>,
    request: &'a Request,
    losses: &mut Losses,
) -> Result<ConverseRequest<'a>> {
    let mut own = Losses::default();
    let encoded = encode(to, request, &mut own);
    losses.append(own.map_reasons(bedrocks), |_| None);
    encoded.map_err(|error| error.map_words(bedrocks))
}

/// A reason of the rules of Claude, for which Bedrock stands here.
fn bedrocks(reason: &str) -> Option<String> {
    if reason == rules::Rule::ToolName.reason() {
        return Some(Rule::ToolName.reason().to_owned());
    }
    reason.contains("Anthropic").then(|| reason.replace("Anthropic", "Bedrock"))
}

fn encode<'a>(to: &To<'_>, request: &'a Request, losses: &mut Losses) -> Result<ConverseRequest<'a>> {
    let model = Model::of(to.model);
    lose_extra(request, &fields::taken(&model), losses);
    let (names, envelope) = (model.names(), model.envelope());
    let format = Format::of(&model, request, losses);
    let (mut system_prompt, mut conversation) = encode_messages(&request.messages, envelope, names, losses)?;
    conversation = calls::pair(conversation, &request.messages, envelope, losses)?;
    let mut tools = told(&model, request, &conversation, &format, losses)?;

    let params = Params { envelope, model: to.model, default_max_tokens: to.default_max_tokens };
    let limit = max_tokens(&params, request, names, losses);
    let must_call = must_call(request) || format.tool().is_some();
    let thinking = match model.thinks() {
        Thinks::AsClaude => thinking(request, names, &conversation, limit, must_call, losses),
        _ => None,
    };
    let thinks = thinking.as_ref().is_some_and(Thinking::is_on);
    turns::mend(
        &mut system_prompt,
        &mut conversation,
        names,
        request,
        thinks || !model.may_continue(),
        losses,
    )?;
    mark_end(request, &mut conversation);
    fit_marks(&model, &mut tools, &mut system_prompt, &mut conversation, losses);
    limit_marks(tools.iter_mut().collect(), &mut system_prompt, &mut conversation, losses);

    let nova = match model.thinks() {
        Thinks::AsNova => NovaThinking::of(request, losses),
        _ => None,
    };
    let mut sampling = sampling(request, names, thinks, losses)?;
    // The limit of a budget must be over it; else the model's own holds where the client says none.
    let has_budget = thinking.as_ref().is_some_and(|thinking| thinking.budget_tokens.is_some());
    let mut max_tokens = (request.max_tokens.is_some() || has_budget).then_some(limit);
    if nova.as_ref().is_some_and(NovaThinking::is_high) {
        let Sampling { temperature, top_p, top_k } = std::mem::take(&mut sampling);
        let left_out = [
            ("max_tokens", max_tokens.take().is_some()),
            ("temperature", temperature.is_some()),
            ("top_p", top_p.is_some()),
            ("top_k", top_k.is_some()),
        ];
        for (path, _) in left_out.iter().filter(|(_, is_said)| *is_said) {
            losses.add(path, Rule::HighEffortAlone);
        }
    }
    let Sampling { temperature, top_p, top_k } = sampling;
    let mut stop_sequences = stop_sequences(request, losses);
    if !stop_sequences.is_empty() && !model.takes_stop_sequences() {
        losses.add("stop", Rule::NoStop);
        stop_sequences.clear();
    }

    let mut tool_config = tool_config(&model, request, tools, &format, losses);
    let mut choice = tool_config.as_mut().map(|config| config.tool_choice.take());
    let decided = Decided { thinking, top_k, nova };
    let fields = fields::model_fields(&model, to, request, &decided, &mut choice, losses)?;
    if let (Some(config), Some(choice)) = (&mut tool_config, choice) {
        config.tool_choice = choice;
    }
    let vendor = Vendor::of(request);
    // Converse does not tell which one it came to, but passes what Claude tells:
    // <https://github.com/vercel/ai/pull/11410>.
    let tells_stop = model.is_claude() && !stop_sequences.is_empty() && !vendor.says_paths();
    let stop_path = if to.stream { "/delta/stop_sequence" } else { "/stop_sequence" };
    let body = ConverseRequest {
        messages: messages(&model, conversation, losses),
        system: system(&model, system_prompt, losses),
        inference_config: InferenceConfig { max_tokens, temperature, top_p, stop_sequences },
        tool_config,
        additional_model_request_fields: fields,
        additional_model_response_field_paths: tells_stop.then_some([stop_path]),
        output_config: output_config(&format),
        request_metadata: fields::metadata(request, losses),
        service_tier: fields::service_tier(request, losses),
        vendor: vendor.members(),
    };
    record_unsaid(request, &["service_tier", "metadata"], losses);
    Ok(body)
}

fn output_config<'a>(format: &Format<'a>) -> Option<OutputConfig<'a>> {
    let Format::Text { name, schema } = format else { return None };
    let json_schema = JsonSchema { schema, name: *name };
    Some(OutputConfig { text_format: TextFormat { structure: Structure { json_schema } } })
}

/// The mark that Anthropic's API sets by itself where it is asked to: at the end.
fn mark_end<'a>(request: &'a Request, messages: &mut [Message<'a>]) {
    let Some(mark) = &request.cache.automatic else { return };
    let last = messages.last_mut().and_then(|message| message.content.last_mut());
    if let Some(
        Block::Text { cache_control, .. }
        | Block::Media { cache_control, .. }
        | Block::ToolUse { cache_control, .. }
        | Block::ToolResult { cache_control, .. },
    ) = last
    {
        cache_control.get_or_insert(CacheControl { ttl: mark.ttl.as_deref() });
    }
}
