//! What a request has beside the conversation: the model's own fields, labels, the tier, and what a client says in
//! Converse's own words.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::cited;
use super::models::{Model, Thinks};
use super::rules::Rule;
use super::types::{Object, ServiceTier, ToolChoice};
use crate::chat::{Extra, Family, Losses, Request, ThinkingMode};
use crate::error::Result;
use crate::headers::BETA_HEADER;
use crate::wire::anthropic::clouds::Cloud;
use crate::wire::anthropic::thinking::effort;
use crate::wire::anthropic::types::{OutputConfig, Own};
use crate::wire::anthropic::{beta, types};
use crate::wire::fields::{Path, Taken, UNKNOWN};
use crate::wire::raw::Members;
use crate::wire::schema::To;

/// The members of a client's request that are Converse's own, and pass as they are:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_RequestSyntax>.
const OF_CONVERSE: &[&str] = &[
    MODEL_FIELDS,
    RESPONSE_PATHS,
    METADATA,
    "guardrailConfig",
    "performanceConfig",
    "projectIdentifier",
    "promptVariables",
];
const MODEL_FIELDS: &str = "additionalModelRequestFields";
const RESPONSE_PATHS: &str = "additionalModelResponseFieldPaths";
const METADATA: &str = "requestMetadata";

/// What of the client's own words is taken: those of Converse and, at Claude, those of Claude.
pub(super) fn taken(model: &Model<'_>) -> Taken {
    let is_of_claude = model.envelope().is_of_claude();
    Taken {
        request: OF_CONVERSE,
        request_of: is_of_claude.then_some(Family::Anthropic),
        part: if is_of_claude { cited::OF_PARTS } else { &[] },
        ..Taken::default()
    }
}

/// What the client says in Converse's own words.
pub(super) struct Vendor<'a> {
    extra: Option<&'a Extra>,
}

impl<'a> Vendor<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        Self { extra: request.extra.as_deref() }
    }

    pub(super) fn says(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn says_paths(&self) -> bool {
        self.says(RESPONSE_PATHS)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.extra.and_then(|extra| extra.get(name))
    }

    /// All but the model's fields, which are joined with those of the request.
    pub(super) fn members(&self) -> Object<'a> {
        let names = OF_CONVERSE.iter().filter(|name| **name != MODEL_FIELDS);
        let members = names.filter_map(|name| Some((Cow::Borrowed(*name), Cow::Borrowed(self.get(name)?))));
        Object(members.collect())
    }
}

/// What of the model's own fields is decided elsewhere.
pub(super) struct Decided<'a> {
    pub(super) thinking: Option<types::Thinking<'a>>,
    pub(super) top_k: Option<u64>,
    pub(super) nova: Option<NovaThinking>,
}

/// `additionalModelRequestFields`
///
/// # Errors
///
/// 422 for an effort that is none, 400 where the client's own are no object.
pub(super) fn model_fields<'a>(
    model: &Model<'_>,
    to: &To<'_>,
    request: &'a Request,
    decided: &Decided<'_>,
    tool_choice: &mut Option<Option<ToolChoice<'_>>>,
    losses: &mut Losses,
) -> Result<Object<'a>> {
    let mut fields = Fields::default();
    if let Some(thinking) = &decided.thinking {
        fields.set("thinking", thinking);
    }
    let betas = || to.headers.all(BETA_HEADER);
    if !model.envelope().is_of_claude() {
        for beta in beta::named(betas()) {
            losses.add(format_args!("anthropic-beta.{beta}"), Rule::NoBeta);
        }
    }
    match model.thinks() {
        Thinks::AsClaude => {
            let effort = effort(request, model.names(), losses)?;
            let own = Own::below("output_config", request.extra.as_deref());
            let config = OutputConfig { effort, format: None, own };
            if !config.is_empty() {
                fields.set("output_config", &config);
            }
            let asked = beta::for_bedrock(betas(), losses).into_iter().map(Cow::Borrowed);
            let mut betas = claudes_own(request, &mut fields, losses)?;
            let of_effort = effort.filter(|_| model.has_effort_as_beta()).map(|_| Cow::Borrowed(EFFORT_BETA));
            for beta in asked.chain(of_effort) {
                if !betas.contains(&beta) {
                    betas.push(beta);
                }
            }
            if !betas.is_empty() {
                fields.set("anthropic_beta", &betas);
            }
        }
        Thinks::AsNova => {
            if let Some(nova) = &decided.nova {
                fields.set("reasoningConfig", nova);
            }
        }
        Thinks::ByEffort => {
            lose_beside_effort(request, losses);
            if let Some(effort) = nearest_effort(request, &["low", "medium", "high"], losses) {
                fields.set("reasoning_effort", &effort);
            }
        }
        Thinks::ByNestedEffort => {
            lose_beside_effort(request, losses);
            let levels = &["none", "low", "medium", "high", "xhigh", "max"];
            if let Some(effort) = nearest_effort(request, levels, losses) {
                fields.set("reasoning", &json!({ "effort": effort }));
            }
        }
        Thinks::Unasked => lose_thinking(request, losses),
    }
    match decided.top_k {
        Some(top_k) if model.has_top_k_of_nova() => {
            fields.set("inferenceConfig", &json!({ "topK": top_k }));
        }
        Some(top_k) if model.has_top_k_of_claude() => fields.set("top_k", &top_k),
        Some(_) => losses.add("top_k", Rule::NoTopK),
        None => {}
    }
    if request.parallel_tool_calls == Some(false)
        && let Some(choice) = tool_choice
    {
        one_at_a_time(model, choice, &mut fields, losses);
    }
    fields.with(Vendor::of(request).get(MODEL_FIELDS), losses)
}

/// Puts the members of the request that Claude alone knows to its fields, and returns the features that are named among
/// them.
///
/// # Errors
///
/// 400 where the features are no list.
fn claudes_own<'a>(
    request: &'a Request,
    fields: &mut Fields<'a>,
    losses: &mut Losses,
) -> Result<Vec<Cow<'a, str>>> {
    const BETAS: &str = "anthropic_beta";
    let extra = request.extra.as_deref().filter(|extra| extra.family == Family::Anthropic);
    let mut betas = Vec::new();
    for (name, json) in extra.into_iter().flat_map(|extra| &extra.members) {
        let Ok(json) = serde_json::from_str::<&RawValue>(json) else { continue };
        match name.as_str() {
            name if OF_CONVERSE.contains(&name) => {}
            BETAS => {
                betas = serde_json::from_str(json.get())
                    .map_err(|_| Path::Key(&Path::Root, BETAS).malformed("expected a list of strings"))?;
            }
            name if !Cloud::Bedrock.knows(name) => losses.add(name, Cloud::Bedrock.reason()),
            // Converse has labels instead, of which only texts are known.
            name if name.starts_with("metadata.") => losses.add(name, UNKNOWN),
            // What is below another member is in that.
            name if name.contains('.') => {}
            name => fields.0.push((Cow::Borrowed(name), Cow::Borrowed(json))),
        }
    }
    Ok(betas)
}

/// What Claude Opus 4.5 still wants beside an effort: <https://github.com/coder/coder/issues/25356>.
const EFFORT_BETA: &str = "effort-2025-11-24";

/// One call at a time. Converse has no word for it, but passes Claude's own; a type beside its `toolChoice` is a 400:
/// <https://github.com/BerriAI/litellm/issues/36536>.
fn one_at_a_time(
    model: &Model<'_>,
    choice: &mut Option<ToolChoice<'_>>,
    fields: &mut Fields<'_>,
    losses: &mut Losses,
) {
    if !model.calls_one_at_a_time() {
        losses.add("parallel_tool_calls", Rule::Parallel);
        return;
    }
    if matches!(choice, None | Some(ToolChoice::Auto {})) {
        *choice = None;
        fields.set("tool_choice", &json!({ "type": "auto", "disable_parallel_tool_use": true }));
    } else {
        fields.set("tool_choice", &json!({ "disable_parallel_tool_use": true }));
    }
}

/// `reasoningConfig`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NovaThinking {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_reasoning_effort: Option<&'static str>,
}

impl NovaThinking {
    pub(super) fn of(request: &Request, losses: &mut Losses) -> Option<Self> {
        let thinking = &request.thinking;
        let is_off =
            thinking.mode == Some(ThinkingMode::Disabled) || thinking.effort.as_deref() == Some("none");
        if is_off {
            return Some(Self { kind: "disabled", max_reasoning_effort: None });
        }
        lose_beside_effort(request, losses);
        let effort = nearest_effort(request, &["low", "medium", "high"], losses);
        let effort = effort.or_else(|| thinking.mode.map(|_| "medium"))?;
        Some(Self { kind: "enabled", max_reasoning_effort: Some(effort) })
    }

    /// Neither sampling nor a limit goes with it.
    pub(super) fn is_high(&self) -> bool {
        self.max_reasoning_effort == Some("high")
    }
}

/// What an effort does not say.
fn lose_beside_effort(request: &Request, losses: &mut Losses) {
    let thinking = &request.thinking;
    if thinking.budget_tokens.is_some() {
        losses.add("thinking.budget_tokens", Rule::NoBudget);
    }
    for (path, is_said) in [
        ("thinking.display", thinking.display.is_some()),
        ("thinking.include_thoughts", thinking.include_thoughts.is_some()),
    ] {
        if is_said {
            losses.add(path, Rule::NoDisplay);
        }
    }
}

/// The effort that is asked for, or the nearest one of `levels`, which are in their order. Not to think is an effort as
/// well.
fn nearest_effort(
    request: &Request,
    levels: &'static [&'static str],
    losses: &mut Losses,
) -> Option<&'static str> {
    const ALL: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    let (path, asked) = match (request.thinking.effort.as_deref(), request.thinking.mode) {
        (Some(effort), _) => ("reasoning_effort", effort),
        (None, Some(ThinkingMode::Disabled)) => ("thinking", "none"),
        (None, _) => return None,
    };
    if let Some(level) = levels.iter().find(|level| **level == asked) {
        return Some(level);
    }
    losses.add(path, Rule::Effort);
    let rank = |level: &str| ALL.iter().position(|known| *known == level);
    let asked = rank(asked)?;
    levels.iter().copied().find(|level| rank(level) > Some(asked)).or(levels.last().copied())
}

fn lose_thinking(request: &Request, losses: &mut Losses) {
    let thinking = &request.thinking;
    if thinking.effort.as_deref().is_some_and(|effort| effort != "none") {
        losses.add("reasoning_effort", Rule::NoThinking);
    }
    if thinking.mode.is_some_and(|mode| mode != ThinkingMode::Disabled) {
        losses.add("thinking", Rule::NoThinking);
    }
}

/// Members that are put together.
#[derive(Default)]
struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'a> Fields<'a> {
    fn set(&mut self, name: &'static str, value: &impl Serialize) {
        // It cannot fail: there are no maps but of text.
        if let Ok(json) = to_raw_value(value) {
            self.0.push((Cow::Borrowed(name), Cow::Owned(json)));
        }
    }

    /// The members with the client's own, which count where there are two.
    fn with(mut self, own: Option<&'a RawValue>, losses: &mut Losses) -> Result<Object<'a>> {
        let Some(own) = own else { return Ok(Object(self.0)) };
        if !own.get().starts_with('{') {
            let path = Path::Key(&Path::Root, MODEL_FIELDS);
            return Err(path.malformed("expected an object"));
        }
        for (name, value) in Members::of(own.get()).0 {
            let before = self.0.len();
            self.0.retain(|(known, json)| *known != name || json.get() == value.get());
            if self.0.len() < before {
                losses.add(&name, Rule::Overridden);
            }
            if !self.0.iter().any(|(known, _)| *known == name) {
                self.0.push((name, Cow::Borrowed(value)));
            }
        }
        Ok(Object(self.0))
    }
}

/// The most labels, and the longest name or value of one, in characters; here and below by `RequestMetadata` of
/// botocore's service model.
const MAX_LABELS: usize = 16;
const MAX_LABEL: usize = 256;

/// `requestMetadata`, from the client's labels and its user: Bedrock writes it into its log of invocations.
pub(super) fn metadata<'a>(request: &'a Request, losses: &mut Losses) -> Object<'a> {
    if Vendor::of(request).says(METADATA) {
        for (path, is_said) in [("metadata", !request.metadata.is_empty()), ("user", request.user.is_some())]
        {
            if is_said {
                losses.add(path, "requestMetadata says something else, which counts");
            }
        }
        return Object::default();
    }
    let mut labels = Fields::default();
    let user = request.user.as_deref().filter(|user| !user.is_empty());
    if let Some(user) = user.filter(|_| !request.metadata.contains_key("user")) {
        if is_label(user) {
            labels.set("user", &user);
        } else {
            losses.add("user", Rule::Metadata);
        }
    }
    for (name, value) in &request.metadata {
        let text = match value {
            Value::String(text) if is_label(text) => Some(text),
            _ => None,
        };
        match text.and_then(|text| to_raw_value(text).ok()) {
            Some(json) if is_label(name) && !name.is_empty() && labels.0.len() < MAX_LABELS => {
                labels.0.push((Cow::Borrowed(name.as_str()), Cow::Owned(json)));
            }
            _ => losses.add(Path::Key(&Path::Key(&Path::Root, "metadata"), name), Rule::Metadata),
        }
    }
    Object(labels.0)
}

/// `[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}`
fn is_label(text: &str) -> bool {
    let is_allowed = |char: char| {
        char.is_ascii_alphanumeric() || char.is_ascii_whitespace() || ":_@$#=/+,-.".contains(char)
    };
    text.chars().all(is_allowed) && text.len() <= MAX_LABEL
}

/// `serviceTier`, of which OpenAI's words are Bedrock's as well.
pub(super) fn service_tier<'a>(request: &'a Request, losses: &mut Losses) -> Option<ServiceTier<'a>> {
    match request.service_tier.as_deref()? {
        kind @ ("default" | "flex" | "priority" | "reserved") => Some(ServiceTier { kind }),
        "auto" => None,
        _ => {
            losses.add("service_tier", Rule::Tier);
            None
        }
    }
}
