//! The shapes of an answer. Members that OpenAI's own SDKs require are always there.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::request::REPEATED;
use crate::chat::{FinishReason, Losses};
use crate::error::Error;
use crate::usage::{self, Counter};

/// A whole answer, or how far it is.
#[derive(Serialize)]
pub(super) struct Response<'a> {
    pub(super) id: String,
    pub(super) object: &'static str,
    pub(super) created_at: u64,
    pub(super) status: &'static str,
    pub(super) background: bool,
    pub(super) error: Option<ResponseError<'a>>,
    pub(super) incomplete_details: Option<IncompleteDetails>,
    pub(super) model: &'a str,
    pub(super) output: Vec<&'a RawValue>,
    pub(super) previous_response_id: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'a str>,
    pub(super) store: bool,
    pub(super) truncation: &'static str,
    pub(super) usage: Option<Usage>,
    #[serde(flatten)]
    pub(super) repeated: Repeated<'a>,
}

/// What the client asked, in its own words, or what holds where it said nothing.
pub(super) struct Repeated<'a>(pub(super) &'a [(&'static str, String)]);

impl Serialize for Repeated<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Repeated(said) = self;
        serializer.collect_map(REPEATED.iter().map(|(name, otherwise)| {
            let json = said.iter().find(|(member, _)| member == name).map_or(*otherwise, |(_, json)| json);
            (*name, serde_json::from_str(json).unwrap_or(RawValue::NULL))
        }))
    }
}

/// Why there is no whole answer.
#[derive(Serialize)]
pub(super) struct ResponseError<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> From<&'a Error> for ResponseError<'a> {
    /// OpenAI's SDKs know few codes, and reject a word that they do not know.
    fn from(error: &'a Error) -> Self {
        let code = match error.status() {
            429 => "rate_limit_exceeded",
            400..500 => "invalid_prompt",
            _ => "server_error",
        };
        Self { code, message: error.message() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct IncompleteDetails {
    reason: &'static str,
}

/// Why an answer is not complete; `None` for one that is. OpenAI has two reasons.
pub(super) fn incomplete_details(reason: &FinishReason, losses: &mut Losses) -> Option<IncompleteDetails> {
    let lost = match reason {
        FinishReason::Stop | FinishReason::StopSequence(_) | FinishReason::ToolCalls => return None,
        FinishReason::Length | FinishReason::ContextWindow => {
            return Some(IncompleteDetails { reason: "max_output_tokens" });
        }
        FinishReason::ContentFilter => return Some(IncompleteDetails { reason: "content_filter" }),
        FinishReason::Pause => "pause_turn",
        FinishReason::Malformed => "malformed",
        FinishReason::Other(reason) => reason,
    };
    losses.add(format_args!("answer.stop_reason.{lost}"), "the client is told that the answer is complete");
    None
}

/// `service_tier`, of which OpenAI's SDKs reject a word that they do not know.
pub(super) fn service_tier<'a>(tier: &'a str, losses: &mut Losses) -> Option<&'a str> {
    let is_known = matches!(tier, "auto" | "default" | "flex" | "scale" | "priority" | "fast");
    if !is_known {
        losses.add(format_args!("answer.service_tier.{tier}"), "OpenAI has no such tier");
    }
    is_known.then_some(tier)
}

#[derive(Serialize)]
pub(super) struct Usage {
    input_tokens: u64,
    input_tokens_details: InputTokensDetails,
    output_tokens: u64,
    output_tokens_details: OutputTokensDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputTokensDetails {
    cache_write_tokens: u64,
    cached_tokens: u64,
}

#[derive(Serialize)]
struct OutputTokensDetails {
    reasoning_tokens: u64,
}

impl From<usage::Usage> for Usage {
    fn from(usage: usage::Usage) -> Self {
        let count = |counter| usage.get(counter).unwrap_or(0);
        Self {
            input_tokens: count(Counter::Input),
            input_tokens_details: InputTokensDetails {
                cache_write_tokens: count(Counter::CacheCreationInput),
                cached_tokens: count(Counter::CachedInput),
            },
            output_tokens: count(Counter::Output),
            output_tokens_details: OutputTokensDetails { reasoning_tokens: count(Counter::Reasoning) },
            total_tokens: usage.total_or_sum().unwrap_or(0),
        }
    }
}
