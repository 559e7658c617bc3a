//! A whole answer, from Converse's words.

use std::borrow::Cow;
use std::fmt::Display;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cited::Citation;
use super::format::Format;
use super::models::Model;
use super::usage::Counters;
use crate::chat::{
    Choice, Content, Extra, Family, FinishReason, Foreign, Losses, MediaKind, Part, Reply, Seal, Source,
};
use crate::error::{Error, Result};
use crate::wire::error::event_error;
use crate::wire::raw::{Members, compact, with_rest};

with_rest! {
    /// The answer. `metrics` are how long it took.
    struct Answer<'a> {
        "output" => output: Output<'a>,
        "stopReason" => stop_reason: String,
        "usage" => usage: Counters,
        "serviceTier" => service_tier: Tier,
        "additionalModelResponseFields" => additional_model_response_fields: &'a RawValue,
    }
    &["metrics"]
}

#[derive(Deserialize)]
pub(super) struct Output<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    content: Option<Vec<Members<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Tier {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Tier {
    /// In OpenAI's words, of which there is none for reserved capacity.
    pub(super) fn openai(self, losses: &mut Losses) -> Option<String> {
        let kind = self.kind?;
        if matches!(kind.as_str(), "default" | "flex" | "priority") {
            return Some(kind);
        }
        losses.add(format_args!("answer.service_tier.{kind}"), "no client's API has a word for this tier");
        None
    }
}

/// Whether a member of an answer says what holds anyway.
pub(super) fn is_usual(name: &str, json: &RawValue) -> bool {
    name == "performanceConfig" && compact(json) == r#"{"latency":"standard"}"#
}

/// Reads an answer of Converse.
///
/// # Errors
///
/// 502 for a body that is not one; the provider's own error if the body is one, whatever its status said.
pub(super) fn decode_reply(
    model: &Model<'_>,
    format: &Format<'_>,
    body: &[u8],
    losses: &mut Losses,
) -> Result<Reply> {
    if let Some(error) = event_error(body) {
        return Err(error);
    }
    let not_one = |what: &dyn std::fmt::Display| {
        Error::bad_answer(format!("the backend's answer is not Converse's: {what}"))
    };
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| not_one(&error))?;
    let message = answer.output.and_then(|output| output.message);
    if message.is_none() && answer.stop_reason.is_none() {
        return Err(not_one(&"it has no output"));
    }
    let mut content = Vec::new();
    for (index, block) in
        message.and_then(|message| message.content).unwrap_or_default().into_iter().enumerate()
    {
        for (kind, json) in block.0 {
            match part(model, &kind, json) {
                Ok(Some(part)) => content.push(part),
                Ok(None) => lose_block(index, &kind, losses),
                Err(error) => return Err(not_one(&format_args!("content[{index}].{kind}: {error}"))),
            }
        }
    }
    let mut finish_reason = finish_reason(answer.stop_reason, answer.additional_model_response_fields);
    if let Some(tool) = format.tool() {
        take_answer(tool, &mut content, &mut finish_reason, losses);
    }
    let fields = answer.additional_model_response_fields.filter(|fields| !is_stop(fields));
    let fields = fields.map(|fields| ("additionalModelResponseFields".to_owned(), fields));
    let members =
        fields.into_iter().chain(answer.rest.into_iter().filter(|(name, json)| !is_usual(name, json)));
    let members: Vec<_> = members.map(|(name, json)| (name, json.get().to_owned())).collect();
    let extra = (!members.is_empty()).then(|| Box::new(Extra { family: Family::Amazon, members }));
    Ok(Reply {
        id: None,
        model: None,
        choices: vec![Choice { content, finish_reason, logprobs: Vec::new(), extra }],
        usage: answer.usage.unwrap_or_default().usage(),
        service_tier: answer.service_tier.and_then(|tier| tier.openai(losses)),
        extra: None,
    })
}

/// A block of a type that the neutral form does not have.
pub(super) fn lose_block(index: impl Display, kind: &str, losses: &mut Losses) {
    losses.add(
        format_args!("answer.content[{index}].{kind}"),
        "blocks of this type are not known to this gateway",
    );
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    tool_use_id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning {
    reasoning_text: Option<ReasoningText>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ReasoningText {
    text: Option<String>,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Medium {
    format: Option<String>,
    source: Option<MediumSource>,
}

/// Where a medium is that the model made.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MediumSource {
    pub(super) bytes: Option<String>,
    s3_location: Option<S3Location>,
}

#[derive(Deserialize)]
struct S3Location {
    uri: String,
}

#[derive(Deserialize)]
struct Cited {
    content: Option<Vec<Piece>>,
    citations: Option<Vec<Citation>>,
}

#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
}

/// A block, which has one member; `None` for one that the neutral form does not have.
fn part(model: &Model<'_>, kind: &str, json: &RawValue) -> serde_json::Result<Option<Part>> {
    let json = json.get();
    Ok(Some(match kind {
        "text" => Part::text(serde_json::from_str::<String>(json)?),
        "toolUse" => {
            let call: ToolUse<'_> = serde_json::from_str(json)?;
            if call.kind.is_some() {
                // Bedrock has called its own tool: it means something there only.
                let family = Family::Amazon;
                let foreign = Foreign { family, kind: kind.to_owned(), json: json.to_owned() };
                return Ok(Some(Part::new(Content::Foreign(foreign))));
            }
            Part::new(Content::ToolCall {
                id: call.tool_use_id.unwrap_or_default(),
                name: call.name.unwrap_or_default(),
                arguments: call.input.map_or_else(|| "{}".to_owned(), compact),
            })
        }
        "reasoningContent" => match serde_json::from_str(json)? {
            Reasoning { reasoning_text: Some(thought), .. } => {
                let signature = thought.signature.filter(|signature| !signature.is_empty());
                Part::thinking(thought.text.unwrap_or_default(), signature.map(|data| seal(model, &data)))
            }
            Reasoning { redacted_content: Some(data), .. } => {
                Part { seal: Some(seal(model, &data)), ..Part::new(Content::RedactedThinking) }
            }
            Reasoning { .. } => return Ok(None),
        },
        "citationsContent" => {
            let cited: Cited = serde_json::from_str(json)?;
            let text = cited.content.into_iter().flatten().filter_map(|piece| piece.text).collect();
            let annotations = cited.citations.into_iter().flatten();
            let annotations = annotations.map(|citation| citation.annotation(model.family())).collect();
            Part::new(Content::Text { text, annotations })
        }
        "image" => return medium(MediaKind::Image, "image", json),
        "video" => return medium(MediaKind::Video, "video", json),
        "audio" => return medium(MediaKind::Audio, "audio", json),
        _ => return Ok(None),
    }))
}

fn medium(kind: MediaKind, types: &str, json: &str) -> serde_json::Result<Option<Part>> {
    let medium: Medium = serde_json::from_str(json)?;
    let media_type = format!("{types}/{}", medium.format.unwrap_or_default());
    let source = match medium.source {
        Some(MediumSource { bytes: Some(data), .. }) => Source::Base64 { media_type, data },
        Some(MediumSource { s3_location: Some(location), .. }) => {
            Source::Url { url: location.uri, media_type: Some(media_type) }
        }
        _ => return Ok(None),
    };
    Ok(Some(Part::new(Content::Media { kind, source, detail: None, name: None })))
}

/// What the model sealed, with whose it is.
pub(super) fn seal(model: &Model<'_>, data: &str) -> Seal {
    Seal { by: model.family(), data: format!("{}{data}", model.seal_prefix()) }
}

/// Puts the arguments of the tool that stands for the answer in the answer's place. What was said beside it would break
/// the JSON.
fn take_answer(tool: &str, content: &mut Vec<Part>, finish_reason: &mut FinishReason, losses: &mut Losses) {
    let is_answer = |part: &Part| matches!(&part.content, Content::ToolCall { name, .. } if name == tool);
    if !content.iter().any(is_answer) {
        return;
    }
    let mut is_answered = false;
    content.retain_mut(|part| match &mut part.content {
        Content::ToolCall { name, arguments, .. } if name == tool => {
            let is_first = !std::mem::replace(&mut is_answered, true);
            part.content = Content::text(std::mem::take(arguments));
            is_first
        }
        Content::Text { text, .. } => {
            if !text.trim().is_empty() {
                lose_beside(losses);
            }
            false
        }
        _ => true,
    });
    let has_calls = content.iter().any(|part| matches!(part.content, Content::ToolCall { .. }));
    if *finish_reason == FinishReason::ToolCalls && !has_calls {
        *finish_reason = FinishReason::Stop;
    }
}

/// What a model says beside an answer that must be JSON.
pub(super) fn lose_beside(losses: &mut Losses) {
    losses.add("answer.content.text", "the model spoke beside the JSON that it was asked for");
}

/// Claude's own word for the text that it stopped at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stopped {
    stop_sequence: Option<String>,
    delta: Option<Box<Stopped>>,
}

/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#bedrock-runtime_Converse-response-stopReason>
pub(super) fn finish_reason(reason: Option<String>, fields: Option<&RawValue>) -> FinishReason {
    match reason.as_deref() {
        None | Some("end_turn") => FinishReason::Stop,
        Some("tool_use") => FinishReason::ToolCalls,
        Some("max_tokens") => FinishReason::Length,
        Some("stop_sequence") => {
            let stopped: Stopped =
                fields.and_then(|fields| serde_json::from_str(fields.get()).ok()).unwrap_or_default();
            let inner = stopped.delta.and_then(|delta| delta.stop_sequence);
            FinishReason::StopSequence(stopped.stop_sequence.or(inner))
        }
        Some("guardrail_intervened" | "content_filtered" | "refusal") => FinishReason::ContentFilter,
        Some("malformed_model_output" | "malformed_tool_use") => FinishReason::Malformed,
        Some("model_context_window_exceeded") => FinishReason::ContextWindow,
        Some("pause_turn") => FinishReason::Pause,
        Some(_) => FinishReason::Other(reason.unwrap_or_default()),
    }
}

/// Whether the model's fields are nothing but what this gateway asked for.
pub(super) fn is_stop(fields: &RawValue) -> bool {
    let is_known = |name: &str| matches!(name, "stop_sequence" | "delta");
    Members::of(fields.get()).0.iter().all(|(name, _)| is_known(name))
}
