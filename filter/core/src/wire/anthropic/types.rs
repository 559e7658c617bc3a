//! The shapes of Anthropic's requests. They borrow from the conversation: an image is written once, not copied.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::schema::InputSchema;
use crate::wire::converse::Media;

/// The body of `POST /v1/messages` and of Bedrock's InvokeModel.
#[derive(Serialize)]
pub(in crate::wire) struct MessagesRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) anthropic_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) stream: Option<bool>,
    pub(in crate::wire) max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::wire) system: Vec<Block<'a>>,
    pub(in crate::wire) messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::wire) tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) thinking: Option<Thinking<'a>>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    pub(in crate::wire) output_config: OutputConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) top_k: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::wire) stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) metadata: Option<Metadata<'a>>,
}

#[derive(Serialize)]
pub(in crate::wire) struct Message<'a> {
    pub(in crate::wire) role: &'static str,
    pub(in crate::wire) content: Vec<Block<'a>>,
    /// Which of the request's messages it was.
    #[serde(skip)]
    pub(in crate::wire) origin: usize,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::wire) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    /// In Converse's words, which know more kinds; it goes there only.
    #[serde(skip_serializing)]
    Media {
        media: Media<'a>,
        cache_control: Option<CacheControl<'a>>,
    },
}

impl<'a> Block<'a> {
    pub(in crate::wire) fn is_thought(&self) -> bool {
        matches!(self, Self::Thinking { .. } | Self::RedactedThinking { .. })
    }

    pub(in crate::wire) fn is_result(&self) -> bool {
        matches!(self, Self::ToolResult { .. })
    }

    /// How many cache marks are on the block and in it.
    pub(in crate::wire) fn marks(&self) -> usize {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::Media { cache_control, .. }
            | Self::ToolUse { cache_control, .. } => usize::from(cache_control.is_some()),
            Self::ToolResult { content, cache_control, .. } => {
                content.iter().map(Block::marks).sum::<usize>() + usize::from(cache_control.is_some())
            }
            Self::Thinking { .. } | Self::RedactedThinking { .. } => 0,
        }
    }

    /// Takes away at most `count` of them, the first ones, and counts down.
    pub(in crate::wire) fn unmark(&mut self, count: &mut usize) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::Media { cache_control, .. }
            | Self::ToolUse { cache_control, .. } => unmark(cache_control, count),
            Self::ToolResult { content, cache_control, .. } => {
                content.iter_mut().for_each(|block| block.unmark(count));
                unmark(cache_control, count);
            }
            Self::Thinking { .. } | Self::RedactedThinking { .. } => {}
        }
    }
}

/// Takes the mark away and counts down, unless `count` is used up.
pub(in crate::wire) fn unmark(mark: &mut Option<CacheControl<'_>>, count: &mut usize) {
    if *count > 0 && mark.take().is_some() {
        *count = count.saturating_sub(1);
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::wire) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Text { media_type: &'static str, data: Cow<'a, str> },
    Url { url: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "ephemeral")]
pub(in crate::wire) struct CacheControl<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) ttl: Option<&'a str>,
}

#[derive(Serialize)]
pub(in crate::wire) struct Tool<'a> {
    pub(in crate::wire) name: Cow<'a, str>,
    pub(in crate::wire) description: &'a str,
    pub(in crate::wire) input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::wire) strict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) cache_control: Option<CacheControl<'a>>,
}

#[derive(Serialize)]
pub(in crate::wire) struct ToolChoice<'a> {
    #[serde(rename = "type")]
    pub(in crate::wire) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
pub(in crate::wire) struct Thinking<'a> {
    #[serde(rename = "type")]
    pub(in crate::wire) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) budget_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) display: Option<&'a str>,
}

impl Thinking<'_> {
    /// Whether the model thinks.
    pub(in crate::wire) fn is_on(&self) -> bool {
        matches!(self.kind, "enabled" | "adaptive")
    }
}

#[derive(Default, Serialize)]
pub(in crate::wire) struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) format: Option<OutputFormat<'a>>,
}

impl OutputConfig<'_> {
    fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
pub(in crate::wire) struct OutputFormat<'a> {
    pub(in crate::wire) schema: &'a RawValue,
}

#[derive(Serialize)]
pub(in crate::wire) struct Metadata<'a> {
    pub(in crate::wire) user_id: Cow<'a, str>,
}
