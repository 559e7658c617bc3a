//! What Anthropic's API refuses, so that a translation that gets it wrong is noticed here and not in production.

mod messages;
mod thinking;
mod tools;

use serde_json::Value;

use self::messages::{blocks, messages};
use self::thinking::{thinking, thoughts};
use self::tools::tools;
use super::Carrier;

/// What a request is measured by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// The model that is asked, which says what it takes. Bedrock has it in the path.
    pub(crate) model: &'a str,
    /// The API that carries it.
    pub(crate) carrier: Carrier,
    /// Whether it follows API version 2026-10-21, which took things away that 2023-06-01 has.
    pub(crate) latest: bool,
    /// Whether it only counts tokens, which needs no `max_tokens`.
    pub(crate) count: bool,
}

/// Fields of a request body, besides those that only one carrier has.
const FIELDS: [&str; 15] = [
    "max_tokens",
    "messages",
    "system",
    "metadata",
    "stop_sequences",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "context_management",
    "cache_control",
    "service_tier",
];
const NATIVE_FIELDS: [&str; 7] =
    ["model", "stream", "container", "mcp_servers", "inference_geo", "speed", "diagnostics"];
const BEDROCK_FIELDS: [&str; 2] = ["anthropic_version", "anthropic_beta"];
const VERTEX_FIELDS: [&str; 3] = ["anthropic_version", "stream", "speed"];

/// Checks a request the way the API documents it. `anthropic_version` in the body is the carrier's business.
///
/// # Errors
/// The message the API would answer with.
pub(crate) fn check(body: &Value, rules: Rules<'_>) -> Result<(), String> {
    let Some(fields) = body.as_object() else { return Err("Input should be an object".to_owned()) };
    let own: &[&str] = match rules.carrier {
        Carrier::Native => &NATIVE_FIELDS,
        Carrier::Bedrock => &BEDROCK_FIELDS,
        Carrier::Vertex => &VERTEX_FIELDS,
    };
    let has_model = rules.carrier == Carrier::Vertex && rules.count;
    if let Some(name) = fields
        .keys()
        .map(String::as_str)
        .find(|name| !(FIELDS.contains(name) || own.contains(name) || has_model && *name == "model"))
    {
        return Err(format!("{name}: Extra inputs are not permitted"));
    }
    if (rules.carrier == Carrier::Native || has_model)
        && fields.get("model").and_then(Value::as_str).is_none_or(str::is_empty)
    {
        return Err("model: Field required".to_owned());
    }
    if rules.latest
        && let Some(name) =
            ["temperature", "top_p", "top_k"].into_iter().find(|name| fields.contains_key(*name))
    {
        return Err(format!("{name}: Extra inputs are not permitted"));
    }
    if !rules.count && fields.get("max_tokens").and_then(Value::as_u64).is_none_or(|limit| limit == 0) {
        return Err("max_tokens: Field required, an integer of at least 1".to_owned());
    }
    if let Some(temperature) = fields.get("temperature")
        && temperature.as_f64().is_none_or(|value| !(0.0..=1.0).contains(&value))
    {
        return Err("temperature: range: 0..1".to_owned());
    }
    if let Some(limit) = output_limit(rules.model)
        && let Some(asked) = fields.get("max_tokens").and_then(Value::as_u64).filter(|asked| *asked > limit)
    {
        return Err(format!(
            "max_tokens: {asked} > {limit}, which is the maximum allowed number of output tokens for {}",
            rules.model
        ));
    }
    sampling(body, rules.model)?;
    tools(body, rules.model)?;
    thinking(body, rules.model)?;
    let texts = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    if texts(fields.get("stop_sequences")).iter().any(|stop| stop.trim().is_empty()) {
        return Err("stop_sequences: each stop sequence must contain non-whitespace".to_owned());
    }
    let user = body.pointer("/metadata/user_id").and_then(Value::as_str).unwrap_or_default();
    if user.chars().count() > 256 {
        return Err("metadata.user_id: String should have at most 256 characters".to_owned());
    }
    if user.contains('@') {
        return Err("metadata.user_id: user_id appears to contain an email address".to_owned());
    }
    if rules.carrier != Carrier::Native {
        unknown_to_clouds(body, rules.carrier)?;
    }
    if let Some(system) = fields.get("system") {
        blocks("system", system, &["text"])?;
    }
    marks(body)?;
    messages(fields.get("messages"), rules)?;
    thoughts(body)
}

/// At most four cache marks, wherever they are.
fn marks(body: &Value) -> Result<(), String> {
    fn count(value: &Value) -> usize {
        match value {
            Value::Array(list) => list.iter().map(count).sum(),
            Value::Object(map) => {
                let own = map.get("cache_control").is_some_and(|mark| !mark.is_null());
                usize::from(own) + map.get("content").map_or(0, count)
            }
            _ => 0,
        }
    }
    let found: usize =
        ["tools", "system", "messages"].iter().filter_map(|key| body.get(key)).map(count).sum();
    if found > 4 {
        return Err(format!("A maximum of 4 blocks with cache_control may be provided. Found {found}."));
    }
    Ok(())
}

/// Whether it is one of these models, by a part of its name.
fn is_one_of(model: &str, models: &[&str]) -> bool {
    models.iter().any(|name| model.contains(name))
}

/// <https://platform.claude.com/docs/en/build-with-claude/thinking#output-limits>
fn output_limit(model: &str) -> Option<u64> {
    let limits: [(u64, &[&str]); 4] = [
        (4096, &["claude-3-haiku"]),
        (32_000, &["opus-4-1"]),
        (64_000, &["-4-5"]),
        (128_000, &["-4-6", "-4-7", "-4-8", "opus-5", "sonnet-5", "haiku-5-5", "fable-5", "mythos-"]),
    ];
    limits.iter().find(|(_, models)| is_one_of(model, models)).map(|(limit, _)| *limit)
}

/// Only a model's name tells what it takes.
fn sampling(body: &Value, model: &str) -> Result<(), String> {
    let has = |name: &str| body.get(name).is_some();
    if is_one_of(model, &["opus-4-7", "opus-4-8", "sonnet-5"])
        && let Some(name) = ["temperature", "top_p", "top_k"].into_iter().find(|name| has(name))
    {
        return Err(format!("`{name}` is deprecated for this model."));
    }
    if is_one_of(model, &["opus-4-1", "-4-5", "-4-6"]) && has("temperature") && has("top_p") {
        return Err(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
                .to_owned(),
        );
    }
    Ok(())
}

/// The clouds take no member they do not know, and fetch nothing.
fn unknown_to_clouds(body: &Value, carrier: Carrier) -> Result<(), String> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for (index, tool) in list(body.get("tools")).iter().enumerate() {
        if carrier == Carrier::Bedrock && tool.get("eager_input_streaming").is_some() {
            return Err(format!(
                "tools.{index}.custom.eager_input_streaming: Extra inputs are not permitted"
            ));
        }
    }
    let contents = list(body.get("messages")).into_iter().flat_map(|message| list(message.get("content")));
    for block in contents.chain(list(body.get("system"))).chain(list(body.get("tools"))) {
        if block.pointer("/cache_control/scope").is_some() {
            return Err("cache_control.ephemeral.scope: Extra inputs are not permitted".to_owned());
        }
        if block.pointer("/source/type").and_then(Value::as_str) == Some("url") {
            return Err("URL sources are not supported".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
