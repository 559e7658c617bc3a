//! The shapes of OpenAI's answers.
//!
//! Members that OpenAI's own SDKs require are always there, `null` where there is nothing to say; those of the
//! gateways' extensions only when there is.

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::decode::{CUSTOM, FUNCTION};
use crate::chat::{self, Annotation, Family, FinishReason, Losses, Seal};
use crate::usage::{Counter, Usage};

/// `chat.completion`
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<Choice<'a>>,
    pub(super) usage: CompletionUsage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Choice<'a> {
    pub(super) index: usize,
    pub(super) message: Message<'a>,
    pub(super) logprobs: Option<Logprobs<'a>>,
    pub(super) finish_reason: &'static str,
}

/// `logprobs`
#[derive(Serialize)]
pub(super) struct Logprobs<'a> {
    content: Vec<TokenLogprob<'a>>,
    refusal: (),
}

#[derive(Serialize)]
pub(in crate::wire) struct TokenLogprob<'a> {
    token: &'a str,
    logprob: f64,
    bytes: &'a [u8],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<Vec<TokenLogprob<'a>>>,
}

impl<'a> Logprobs<'a> {
    /// `None` where there are none.
    pub(super) fn of(tokens: &'a [chat::TokenLogprob]) -> Option<Self> {
        let content = TokenLogprob::list(tokens);
        (!content.is_empty()).then_some(Self { content, refusal: () })
    }
}

impl<'a> TokenLogprob<'a> {
    pub(in crate::wire) fn list(tokens: &'a [chat::TokenLogprob]) -> Vec<Self> {
        let token = |token: &'a str, logprob, top_logprobs| TokenLogprob {
            token,
            logprob,
            bytes: token.as_bytes(),
            top_logprobs,
        };
        let list = tokens.iter().map(|told| {
            let top = told.top.iter().map(|(text, logprob)| token(text, *logprob, None)).collect();
            token(&told.token, told.logprob, Some(top))
        });
        list.collect()
    }
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) thinking_blocks: Vec<ThinkingBlock<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) annotations: Vec<UrlCitation<'a>>,
    #[serde(flatten)]
    pub(super) own: OwnWords<'a>,
}

/// What Google's models say of an answer, in Google's own words below names like this API's: extensions, as Envoy AI
/// Gateway has them.
#[derive(Default, Serialize)]
pub(super) struct OwnWords<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_ratings: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grounding_metadata: Option<&'a RawValue>,
}

impl<'a> OwnWords<'a> {
    pub(super) fn says_something(&self) -> bool {
        self.safety_ratings.is_some() || self.grounding_metadata.is_some()
    }

    /// What else is in `extra` is a loss.
    pub(super) fn of(path: impl Display, extra: Option<&'a chat::Extra>, losses: &mut Losses) -> Self {
        let mut own = Self::default();
        let Some(extra) = extra else { return own };
        let is_google = extra.family == Family::Google;
        for (name, json) in &extra.members {
            let place = match name.as_str() {
                "safetyRatings" if is_google => &mut own.safety_ratings,
                "groundingMetadata" if is_google => &mut own.grounding_metadata,
                _ => {
                    lose(&path, name, losses);
                    continue;
                }
            };
            *place = serde_json::from_str(json).ok();
        }
        own
    }
}

/// Where a piece of the text comes from.
#[derive(Serialize)]
pub(super) struct UrlCitation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: Citation<'a>,
}

#[derive(Serialize)]
pub(in crate::wire) struct Citation<'a> {
    /// In characters of the text.
    start_index: usize,
    end_index: usize,
    url: &'a str,
    title: &'a str,
}

impl<'a> UrlCitation<'a> {
    /// Of the text that has `characters` characters and as many `before` it. `None` for a source without an address,
    /// which this API cannot tell.
    pub(super) fn of(annotation: &'a Annotation, before: usize, characters: usize) -> Option<Self> {
        let url_citation = Citation::of(annotation, before, characters)?;
        Some(Self { kind: "url_citation", url_citation })
    }
}

impl<'a> Citation<'a> {
    /// See [`UrlCitation::of`].
    pub(in crate::wire) fn of(annotation: &'a Annotation, before: usize, characters: usize) -> Option<Self> {
        let url = annotation.url.as_deref().filter(|url| !url.is_empty())?;
        let (start, end) = annotation.span.unwrap_or((0, characters));
        Some(Self {
            start_index: before.saturating_add(start),
            end_index: before.saturating_add(end),
            url,
            title: annotation.title.as_deref().unwrap_or(url),
        })
    }
}

/// An extension: a thought with its signature and its place, so that the client can send it back.
#[derive(Serialize)]
pub(super) struct ThinkingBlock<'a> {
    /// Which of the message's blocks it is, in chunks: SDKs put lists together by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    #[serde(flatten)]
    pub(super) thought: Thought<'a>,
    #[serde(flatten)]
    pub(super) place: Place,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thought<'a> {
    Thinking {
        thinking: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<Marked<'a>>,
    },
    RedactedThinking {
        data: Marked<'a>,
    },
}

/// A signature or ciphertext, with whose it is.
pub(super) struct Marked<'a>(pub(super) &'a Seal);

impl Serialize for Marked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.marked())
    }
}

/// Where a thought was, unless it was at the beginning: OpenAI's messages keep text, thoughts and calls apart.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Place {
    /// Bytes of the message's text before it.
    #[serde(skip_serializing_if = "is_zero_length")]
    pub(super) after_text: usize,
    /// Calls before it.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) after_calls: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero_length(length: &usize) -> bool {
    *length == 0
}

/// A whole call, or a chunk's part of one: then `index` tells which, and only the first part has `id` and `name`.
#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    #[serde(flatten)]
    pub(super) called: Called<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra_content: Option<ExtraContent<'a>>,
}

/// What is called, and with what: a member that is called as the tool's type.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Called<'a> {
    Function(Function<'a>),
    Custom(Custom<'a>),
}

impl<'a> Called<'a> {
    /// The type of the tool.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Called::Function(_) => FUNCTION,
            Called::Custom(_) => CUSTOM,
        }
    }

    /// A call, or a piece of it, without what the tool is given.
    pub(super) fn nothing(is_custom: bool, name: Option<&'a str>) -> Self {
        if is_custom {
            Called::Custom(Custom { name, input: Cow::Borrowed("") })
        } else {
            Called::Function(Function { name, arguments: "" })
        }
    }
}

/// The signature of a call where Google's own clients look for it.
#[derive(Serialize)]
pub(super) struct ExtraContent<'a> {
    google: GoogleContent<'a>,
}

#[derive(Serialize)]
struct GoogleContent<'a> {
    thought_signature: &'a str,
}

impl<'a> ExtraContent<'a> {
    /// `None` for the signature of another provider.
    pub(super) fn of(seal: &'a Seal) -> Option<Self> {
        let google = GoogleContent { thought_signature: &seal.data };
        (seal.by == Family::Google).then_some(Self { google })
    }
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

#[derive(Serialize)]
pub(super) struct Custom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) input: Cow<'a, str>,
}

/// What a `chat.completion.chunk` adds to a message.
#[derive(Default, Serialize)]
pub(super) struct ChunkDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking_blocks: Option<[ThinkingBlock<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<[ToolCall<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<[UrlCitation<'a>; 1]>,
}

/// `usage`
#[derive(Serialize)]
pub(super) struct CompletionUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptTokensDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionTokensDetails>,
}

#[derive(Serialize)]
struct PromptTokensDetails {
    cached_tokens: u64,
    /// An extension; OpenAI has no cache writes that cost extra.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

#[derive(Serialize)]
struct CompletionTokensDetails {
    reasoning_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

impl From<Usage> for CompletionUsage {
    fn from(usage: Usage) -> Self {
        let (read, written) = (usage.get(Counter::CachedInput), usage.get(Counter::CacheCreationInput));
        let (heard, spoken) = (usage.get(Counter::AudioInput), usage.get(Counter::AudioOutput));
        let reasoning = usage.get(Counter::Reasoning);
        let has_input_details = read.is_some() || written.is_some() || heard.is_some();
        let has_output_details = reasoning.is_some() || spoken.is_some();
        Self {
            prompt_tokens: usage.input().unwrap_or(0),
            completion_tokens: usage.output().unwrap_or(0),
            total_tokens: usage.total_or_sum().unwrap_or(0),
            prompt_tokens_details: has_input_details.then(|| PromptTokensDetails {
                cached_tokens: read.unwrap_or(0),
                cache_creation_input_tokens: written.filter(|tokens| *tokens > 0),
                audio_tokens: heard,
            }),
            completion_tokens_details: has_output_details.then(|| CompletionTokensDetails {
                reasoning_tokens: reasoning.unwrap_or(0),
                audio_tokens: spoken,
            }),
        }
    }
}

/// OpenAI has five reasons and its SDKs reject a sixth.
pub(super) fn finish_reason(reason: &FinishReason, losses: &mut Losses) -> &'static str {
    let lost = match reason {
        FinishReason::Stop | FinishReason::StopSequence(_) => return "stop",
        FinishReason::Length | FinishReason::ContextWindow => return "length",
        FinishReason::ToolCalls => return "tool_calls",
        FinishReason::ContentFilter => return "content_filter",
        FinishReason::Pause => "pause_turn",
        FinishReason::Malformed => "malformed",
        FinishReason::Other(reason) => reason,
    };
    losses.add(format_args!("answer.stop_reason.{lost}"), "the client is told that the answer is complete");
    "stop"
}

/// The capacity that an answer was served from, where its API does not tell. That it was the usual one is no loss.
pub(in crate::wire) fn lose_tier(tier: &str, losses: &mut Losses) {
    if !is_usual_tier(tier) {
        losses.add("answer.service_tier", "this API does not tell");
    }
}

/// Whether that is what everybody gets.
pub(in crate::wire) fn is_usual_tier(tier: &str) -> bool {
    matches!(tier, "auto" | "default")
}

/// What an answer has that this API has no place for.
pub(in crate::wire) fn lose_extra(path: impl Display, extra: Option<&chat::Extra>, losses: &mut Losses) {
    for (name, _) in extra.into_iter().flat_map(|extra| &extra.members) {
        lose(&path, name, losses);
    }
}

fn lose(path: impl Display, name: &str, losses: &mut Losses) {
    losses.add(format_args!("{path}.{name}"), "not known to this gateway");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sound_is_told_where_it_was_reported() {
        let told = |usage| serde_json::to_value(CompletionUsage::from(usage)).unwrap();
        let usage = Usage::of([(Counter::Input, Some(9)), (Counter::Output, Some(4))]);
        let mut expected = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
        assert_eq!(told(usage), expected);
        expected["prompt_tokens_details"] = json!({"cached_tokens": 0, "audio_tokens": 5});
        expected["completion_tokens_details"] = json!({"reasoning_tokens": 0, "audio_tokens": 3});
        let sound = [(Counter::AudioInput, Some(5)), (Counter::AudioOutput, Some(3))];
        assert_eq!(told(usage.with(sound)), expected);
    }
}
