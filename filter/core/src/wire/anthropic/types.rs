//! The shapes of Anthropic's requests. They borrow from the conversation: an image is written once, not copied.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::schema::InputSchema;
use crate::chat::{Extra, Family};
use crate::wire::converse::Media;
use crate::wire::raw::Members;

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
    pub(in crate::wire) tools: Vec<ToolOrOwn<'a>>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) cache_control: Option<CacheControl<'a>>,
    #[serde(flatten)]
    pub(in crate::wire) own: Own<'a>,
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
    /// In Converse's words, which know more kinds; it goes there only.
    #[serde(skip_serializing)]
    Media {
        media: Media<'a>,
        cache_control: Option<CacheControl<'a>>,
    },
    /// A block that only Anthropic understands, as the client wrote it.
    #[serde(untagged)]
    Own(&'a RawValue),
}

impl<'a> Block<'a> {
    /// A text of the gateway's.
    pub(in crate::wire) fn text(text: &'static str) -> Self {
        Self::Text {
            text: Cow::Borrowed(text),
            citations: Vec::new(),
            cache_control: None,
            own: Own::default(),
        }
    }

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
            | Self::SearchResult { cache_control, .. }
            | Self::Media { cache_control, .. }
            | Self::ToolUse { cache_control, .. } => usize::from(cache_control.is_some()),
            Self::ToolResult { content, cache_control, .. } => {
                content.iter().map(Block::marks).sum::<usize>() + usize::from(cache_control.is_some())
            }
            Self::Thinking { .. } | Self::RedactedThinking { .. } | Self::Own(_) => 0,
        }
    }

    /// Takes away at most `count` of them, the first ones, and counts down.
    pub(in crate::wire) fn unmark(&mut self, count: &mut usize) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::SearchResult { cache_control, .. }
            | Self::Media { cache_control, .. }
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
pub(in crate::wire) fn unmark(mark: &mut Option<CacheControl<'_>>, count: &mut usize) {
    if *count > 0 && mark.take().is_some() {
        *count = count.saturating_sub(1);
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::wire) enum Source<'a> {
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
pub(in crate::wire) struct Own<'a>(Vec<(&'a str, &'a RawValue)>);

impl<'a> Own<'a> {
    /// Those of `extra` that are not below another member.
    pub(in crate::wire) fn of(extra: Option<&'a Extra>) -> Self {
        Self::pick(extra, |name| (!name.contains('.')).then_some(name))
    }

    /// Those of `extra` that are below the member `name`.
    pub(in crate::wire) fn below(name: &str, extra: Option<&'a Extra>) -> Self {
        Self::pick(extra, |member| member.strip_prefix(name)?.strip_prefix('.'))
    }

    fn pick(extra: Option<&'a Extra>, pick: impl Fn(&'a str) -> Option<&'a str>) -> Self {
        let members = extra.filter(|extra| extra.family == Family::Anthropic).into_iter();
        let members = members.flat_map(|extra| &extra.members);
        let own = |(name, json): &'a (String, String)| Some((pick(name)?, serde_json::from_str(json).ok()?));
        Self(members.filter_map(own).collect())
    }

    /// The member `name`.
    pub(in crate::wire) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(member, _)| *member == name).map(|(_, json)| *json)
    }

    /// Without the member `name`.
    pub(in crate::wire) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(member, _)| *member != name);
        self
    }

    pub(in crate::wire) fn is_empty(&self) -> bool {
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
pub(in crate::wire) struct CacheControl<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) ttl: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::wire) enum ToolOrOwn<'a> {
    Tool(Tool<'a>),
    /// A tool that Anthropic defines, as the client wrote it.
    Own(&'a RawValue),
}

impl<'a> ToolOrOwn<'a> {
    /// A function of the client's.
    pub(in crate::wire) fn into_function(self) -> Option<Tool<'a>> {
        match self {
            Self::Tool(tool) => Some(tool),
            Self::Own(_) => None,
        }
    }

    /// The same, in its place.
    pub(super) fn function(&mut self) -> Option<&mut Tool<'a>> {
        match self {
            Self::Tool(tool) => Some(tool),
            Self::Own(_) => None,
        }
    }
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
    #[serde(flatten)]
    pub(in crate::wire) own: Own<'a>,
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
    #[serde(flatten)]
    pub(in crate::wire) own: Own<'a>,
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
    #[serde(flatten)]
    pub(in crate::wire) own: Own<'a>,
}

impl OutputConfig<'_> {
    pub(in crate::wire) fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none() && self.own.is_empty()
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
pub(in crate::wire) struct OutputFormat<'a> {
    pub(in crate::wire) schema: &'a RawValue,
}

#[derive(Serialize)]
pub(in crate::wire) struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) user_id: Option<Cow<'a, str>>,
    #[serde(flatten)]
    pub(in crate::wire) own: Own<'a>,
}
