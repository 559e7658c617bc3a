//! The shapes of Anthropic's answers. Members that its own SDKs require are always there.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::chat::{self, Extra, Family, FinishReason, Losses};
use crate::usage::{self, Counter};

/// A whole answer, or what `message_start` has of one.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) role: &'static str,
    pub(super) model: &'a str,
    pub(super) content: Vec<Block<'a>>,
    pub(super) stop_reason: Option<&'static str>,
    pub(super) stop_sequence: Option<&'a str>,
    pub(super) usage: Usage,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

/// A content block, or what `content_block_start` has of one.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Cow<'a, RawValue>>,
    },
    Thinking {
        thinking: &'a str,
        signature: Cow<'a, str>,
    },
    RedactedThinking {
        data: Cow<'a, str>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: &'a RawValue,
    },
    /// As Anthropic itself wrote it.
    #[serde(untagged)]
    Own(&'a RawValue),
}

/// What a block grows by.
#[derive(Serialize)]
#[serde(tag = "type")]
pub(super) enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "citations_delta")]
    Citations { citation: Cow<'a, RawValue> },
}

/// An event of a stream; its name beside it is the same as its type.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    MessageStart {
        message: Message<'a>,
    },
    ContentBlockStart {
        index: u32,
        content_block: Block<'a>,
    },
    ContentBlockDelta {
        index: u32,
        delta: Delta<'a>,
    },
    ContentBlockStop {
        index: u32,
    },
    MessageDelta {
        delta: Stop<'a>,
        usage: Usage,
        #[serde(flatten)]
        own: Own<'a>,
    },
    MessageStop,
}

impl Event<'_> {
    fn name(&self) -> &'static str {
        match self {
            Event::MessageStart { .. } => "message_start",
            Event::ContentBlockStart { .. } => "content_block_start",
            Event::ContentBlockDelta { .. } => "content_block_delta",
            Event::ContentBlockStop { .. } => "content_block_stop",
            Event::MessageDelta { .. } => "message_delta",
            Event::MessageStop => "message_stop",
        }
    }

    /// Appends it as a server-sent event.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(self.name().as_bytes());
        out.extend_from_slice(b"\ndata: ");
        crate::wire::write_json(out, self);
        out.extend_from_slice(b"\n\n");
    }
}

/// How an answer ended.
#[derive(Serialize)]
pub(super) struct Stop<'a> {
    pub(super) stop_reason: &'static str,
    pub(super) stop_sequence: Option<&'a str>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

/// `usage`: what the cache gave and took stands beside the input, and is 0 where nobody said.
#[derive(Serialize)]
pub(super) struct Usage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    /// No event but the first has a place for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_creation: Option<CacheCreation>,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputTokensDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<ServerToolUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'static str>,
}

/// The writes by how long they are kept.
#[derive(Serialize)]
pub(super) struct CacheCreation {
    ephemeral_1h_input_tokens: u64,
    ephemeral_5m_input_tokens: u64,
}

#[derive(Serialize)]
struct OutputTokensDetails {
    thinking_tokens: u64,
}

#[derive(Serialize)]
struct ServerToolUse {
    web_fetch_requests: u64,
    web_search_requests: u64,
}

impl From<usage::Usage> for Usage {
    fn from(usage: usage::Usage) -> Self {
        let count = |counter| usage.get(counter).unwrap_or(0);
        let is_told = |counters: [Counter; 2]| counters.iter().any(|counter| usage.get(*counter).is_some());
        let (read, creation) = (count(Counter::CachedInput), count(Counter::CacheCreationInput));
        let kept = [Counter::CacheCreation1hInput, Counter::CacheCreation5mInput];
        let tools = [Counter::WebFetches, Counter::WebSearches];
        Self {
            input_tokens: count(Counter::Input).saturating_sub(read).saturating_sub(creation),
            cache_creation_input_tokens: creation,
            cache_read_input_tokens: read,
            cache_creation: is_told(kept).then(|| CacheCreation {
                ephemeral_1h_input_tokens: count(Counter::CacheCreation1hInput),
                ephemeral_5m_input_tokens: count(Counter::CacheCreation5mInput),
            }),
            output_tokens: count(Counter::Output),
            output_tokens_details: usage
                .get(Counter::Reasoning)
                .map(|thinking_tokens| OutputTokensDetails { thinking_tokens }),
            server_tool_use: is_told(tools).then(|| ServerToolUse {
                web_fetch_requests: count(Counter::WebFetches),
                web_search_requests: count(Counter::WebSearches),
            }),
            service_tier: None,
        }
    }
}

/// The words for what an answer was served from: the reverse of `reply::openai_tier`.
pub(super) fn service_tier(tier: &str, losses: &mut Losses) -> Option<&'static str> {
    match tier {
        "default" => Some("standard"),
        "priority" => Some("priority"),
        _ => {
            losses.add(format_args!("answer.service_tier.{tier}"), "Anthropic has no such tier");
            None
        }
    }
}

/// What the words of a reason depend on besides it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said {
    /// There is a call.
    pub(super) called: bool,
    /// The model declined in words.
    pub(super) refused: bool,
}

/// `stop_reason` and `stop_sequence`. Anthropic's SDKs reject reasons that they do not know, and agents look for calls
/// where it says so.
pub(super) fn stop_reason<'a>(
    reason: &'a FinishReason,
    said: Said,
    losses: &mut Losses,
) -> (&'static str, Option<&'a str>) {
    let lost = match reason {
        FinishReason::Stop | FinishReason::ToolCalls if said.called => return ("tool_use", None),
        FinishReason::Stop if said.refused => return ("refusal", None),
        FinishReason::Stop | FinishReason::ToolCalls => return ("end_turn", None),
        FinishReason::StopSequence(sequence) => return ("stop_sequence", sequence.as_deref()),
        FinishReason::Length => return ("max_tokens", None),
        FinishReason::ContextWindow => return ("model_context_window_exceeded", None),
        FinishReason::ContentFilter => return ("refusal", None),
        FinishReason::Pause => return ("pause_turn", None),
        FinishReason::Malformed => "malformed",
        FinishReason::Other(reason) => reason,
    };
    losses.add(format_args!("answer.stop_reason.{lost}"), "the client is told that the answer is complete");
    ("end_turn", None)
}

/// Members that only Anthropic has, and its clients know.
#[derive(Default)]
pub(super) struct Own<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'a> Own<'a> {
    /// Those of `extra` whose name `is_one`. What others have is lost.
    pub(super) fn of(extras: impl IntoIterator<Item = &'a Extra>, is_one: impl Fn(&str) -> bool) -> Self {
        let members = extras.into_iter().flat_map(|extra| &extra.members);
        let own = members.filter(|(name, _)| is_one(name));
        Self(own.filter_map(|(name, json)| Some((name.as_str(), serde_json::from_str(json).ok()?))).collect())
    }
}

impl Serialize for Own<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// Whether the members of `extra` are Anthropic's own; a loss of each if they are not.
pub(super) fn is_own(extra: &Extra, losses: &mut Losses) -> bool {
    if extra.family == Family::Anthropic {
        return true;
    }
    for (name, _) in &extra.members {
        losses.add(format_args!("answer.{name}"), "not known to this gateway");
    }
    false
}

/// What Anthropic itself wrote, or a loss of what others did.
pub(super) fn own_block<'a>(
    index: usize,
    foreign: &'a chat::Foreign,
    losses: &mut Losses,
) -> Option<&'a RawValue> {
    if foreign.family == Family::Anthropic
        && let Ok(json) = serde_json::from_str(&foreign.json)
    {
        return Some(json);
    }
    losses.add(
        format_args!("answer.content[{index}].{}", foreign.kind),
        "blocks of this type are not known to Anthropic's clients",
    );
    None
}
