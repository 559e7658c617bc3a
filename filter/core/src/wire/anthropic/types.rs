//! The shapes of Anthropic's requests. They borrow from the conversation: an image is written once, not copied.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::schema::InputSchema;
use crate::chat::{Extra, Family};
use crate::wire::raw::Members;

/// The body of `POST /v1/messages` and of Bedrock's InvokeModel.
#[derive(Serialize)]
pub(super) struct MessagesRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) anthropic_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<bool>,
    pub(super) max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) system: Vec<Block<'a>>,
    pub(super) messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<ToolOrOwn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<Thinking<'a>>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    pub(super) output_config: OutputConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_k: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl<'a>>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: Vec<Block<'a>>,
    /// Which of the request's messages it was.
    #[serde(skip)]
    pub(super) origin: usize,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
        #[serde(flatten)]
        own: Own<'a>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
        #[serde(flatten)]
        own: Own<'a>,
    },
    SearchResult {
        #[serde(flatten)]
        result: Members<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
        #[serde(flatten)]
        own: Own<'a>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
        #[serde(flatten)]
        own: Own<'a>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
        #[serde(flatten)]
        own: Own<'a>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
        #[serde(flatten)]
        own: Own<'a>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    /// A block that only Anthropic understands, as the client wrote it.
    #[serde(untagged)]
    Own(&'a RawValue),
}

impl<'a> Block<'a> {
    /// A text of the gateway's.
    pub(super) fn text(text: &'static str) -> Self {
        Self::Text {
            text: Cow::Borrowed(text),
            citations: Vec::new(),
            cache_control: None,
            own: Own::default(),
        }
    }

    pub(super) fn is_thought(&self) -> bool {
        matches!(self, Self::Thinking { .. } | Self::RedactedThinking { .. })
    }

    pub(super) fn is_result(&self) -> bool {
        matches!(self, Self::ToolResult { .. })
    }

    /// How many cache marks are on the block and in it.
    pub(super) fn marks(&self) -> usize {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::SearchResult { cache_control, .. }
            | Self::ToolUse { cache_control, .. } => usize::from(cache_control.is_some()),
            Self::ToolResult { content, cache_control, .. } => {
                content.iter().map(Block::marks).sum::<usize>() + usize::from(cache_control.is_some())
            }
            Self::Thinking { .. } | Self::RedactedThinking { .. } | Self::Own(_) => 0,
        }
    }

    /// Takes away at most `count` of them, the first ones, and counts down.
    pub(super) fn unmark(&mut self, count: &mut usize) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::SearchResult { cache_control, .. }
            | Self::ToolUse { cache_control, .. } => unmark(cache_control, count),
            Self::ToolResult { content, cache_control, .. } => {
                content.iter_mut().for_each(|block| block.unmark(count));
                unmark(cache_control, count);
            }
            Self::Thinking { .. } | Self::RedactedThinking { .. } | Self::Own(_) => {}
        }
    }
}

/// Takes the mark away and counts down, unless `count` is used up.
pub(super) fn unmark(mark: &mut Option<CacheControl<'_>>, count: &mut usize) {
    if *count > 0 && mark.take().is_some() {
        *count = count.saturating_sub(1);
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 {
        media_type: &'a str,
        data: &'a str,
    },
    Text {
        media_type: &'static str,
        data: Cow<'a, str>,
    },
    Url {
        url: &'a str,
    },
    File {
        file_id: &'a str,
    },
    /// What only Anthropic understands, as the client wrote it.
    #[serde(untagged)]
    Own(&'a RawValue),
}

/// Members that only Anthropic knows, from a client that knows them.
#[derive(Default)]
pub(super) struct Own<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'a> Own<'a> {
    /// Those of `extra` that are not below another member.
    pub(super) fn of(extra: Option<&'a Extra>) -> Self {
        Self::pick(extra, |name| (!name.contains('.')).then_some(name))
    }

    /// Those of `extra` that are below the member `name`.
    pub(super) fn below(name: &str, extra: Option<&'a Extra>) -> Self {
        Self::pick(extra, |member| member.strip_prefix(name)?.strip_prefix('.'))
    }

    fn pick(extra: Option<&'a Extra>, pick: impl Fn(&'a str) -> Option<&'a str>) -> Self {
        let members = extra.filter(|extra| extra.family == Family::Anthropic).into_iter();
        let members = members.flat_map(|extra| &extra.members);
        let own = |(name, json): &'a (String, String)| Some((pick(name)?, serde_json::from_str(json).ok()?));
        Self(members.filter_map(own).collect())
    }

    /// The member `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(member, _)| *member == name).map(|(_, json)| *json)
    }

    /// Without the member `name`.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(member, _)| *member != name);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Own<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "ephemeral")]
pub(super) struct CacheControl<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ToolOrOwn<'a> {
    Tool(Tool<'a>),
    /// A tool that Anthropic defines, as the client wrote it.
    Own(&'a RawValue),
}

#[derive(Serialize)]
pub(super) struct Tool<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) description: &'a str,
    pub(super) input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) strict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl<'a>>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

#[derive(Serialize)]
pub(super) struct ToolChoice<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct Thinking<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) budget_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display: Option<&'a str>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

impl Thinking<'_> {
    /// Whether the model thinks.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.kind, "enabled" | "adaptive")
    }
}

#[derive(Default, Serialize)]
pub(super) struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<OutputFormat<'a>>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}

impl OutputConfig<'_> {
    fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none() && self.own.is_empty()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
pub(super) struct OutputFormat<'a> {
    pub(super) schema: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<Cow<'a, str>>,
    #[serde(flatten)]
    pub(super) own: Own<'a>,
}
