//! The shapes of Cohere's answers, whole or in events.

use std::borrow::Cow;

use serde::Serialize;

use super::super::types::ToolCall;
use crate::chat::{Annotation, TokenLogprob};
use crate::usage::{self, Counter};

/// `V2ChatResponse`
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    pub(super) id: &'a str,
    pub(super) finish_reason: &'static str,
    pub(super) message: Message<'a>,
    pub(super) usage: Usage,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) logprobs: Vec<Logprob<'a>>,
}

/// Members that say nothing are not there.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) content: Vec<Block>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) citations: Vec<Citation<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text { text: String },
    Thinking { thinking: String },
}

/// Where a piece of a text comes from: what [`super::super::answer::citation`] reads.
#[derive(Serialize)]
pub(super) struct Citation<'a> {
    /// In characters of the block.
    start: usize,
    end: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    sources: [Source<'a>; 1],
    /// The block.
    content_index: usize,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "document")]
struct Source<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    document: Document<'a>,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<'a> Citation<'a> {
    /// Of a text of so many `characters`, before which the block `content_index` has others. `None` for a source of
    /// which nothing is said.
    pub(super) fn of(
        annotation: &'a Annotation,
        text: Option<&'a str>,
        characters: usize,
        before: usize,
        content_index: usize,
    ) -> Option<Self> {
        let Annotation { span, url, title, cited_text, raw: _ } = annotation;
        let document = Document { url: url.as_deref(), title: title.as_deref(), text: cited_text.as_deref() };
        let id = document.url.or(document.title);
        id.or(document.text)?;
        let (start, end) = span.unwrap_or((0, characters));
        let piece = |text: &str| text.chars().skip(start).take(end.saturating_sub(start)).collect::<String>();
        Some(Self {
            start: before.saturating_add(start),
            end: before.saturating_add(end),
            text: text.map(|text| if span.is_some() { Cow::Owned(piece(text)) } else { Cow::Borrowed(text) }),
            sources: [Source { id, document }],
            content_index,
            kind: "TEXT_CONTENT",
        })
    }
}

/// A piece of the text, and how probable each of its tokens was. Which tokens they are in the model's own list, others
/// do not tell.
#[derive(Serialize)]
pub(super) struct Logprob<'a> {
    text: Cow<'a, str>,
    token_ids: [u32; 0],
    logprobs: Vec<f64>,
}

impl<'a> Logprob<'a> {
    /// A piece of one token.
    pub(super) fn of(token: &'a TokenLogprob) -> Self {
        Self { text: Cow::Borrowed(&token.token), token_ids: [], logprobs: vec![token.logprob] }
    }

    /// A piece of several. `None` where there are none.
    pub(super) fn of_all(tokens: &[TokenLogprob]) -> Option<Self> {
        (!tokens.is_empty()).then(|| Self {
            text: tokens.iter().map(|token| token.token.as_str()).collect(),
            token_ids: [],
            logprobs: tokens.iter().map(|token| token.logprob).collect(),
        })
    }
}

/// `usage`. What is charged for, others tell no otherwise than what was used.
#[derive(Serialize)]
pub(super) struct Usage {
    billed_units: Tokens,
    tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
}

#[derive(Clone, Copy, Serialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
}

impl From<usage::Usage> for Usage {
    fn from(usage: usage::Usage) -> Self {
        let tokens =
            Tokens { input_tokens: usage.input().unwrap_or(0), output_tokens: usage.output().unwrap_or(0) };
        Self { billed_units: tokens, tokens, cached_tokens: usage.get(Counter::CachedInput) }
    }
}

/// An event of a stream: <https://docs.cohere.com/docs/streaming>.
#[derive(Default, Serialize)]
pub(super) struct Event<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<Logprob<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Delta<'a> {
    Message { message: MessageDelta<'a> },
    End { finish_reason: &'static str, usage: Usage },
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum MessageDelta<'a> {
    Start(Start),
    Begun { content: Block },
    Content { content: Piece<'a> },
    CallBegun { tool_calls: ToolCall<'a> },
    Call { tool_calls: CallPiece<'a> },
    Citation { citations: Citation<'a> },
}

/// What `message-start` has in Cohere's own streams.
#[derive(Serialize)]
pub(super) struct Start {
    role: &'static str,
    content: [(); 0],
    tool_plan: &'static str,
    tool_calls: [(); 0],
    citations: [(); 0],
}

impl Start {
    pub(super) const NOTHING_YET: Start =
        Start { role: "assistant", content: [], tool_plan: "", tool_calls: [], citations: [] };
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Thinking(&'a str),
}

#[derive(Serialize)]
pub(super) struct CallPiece<'a> {
    pub(super) function: Arguments<'a>,
}

#[derive(Serialize)]
pub(super) struct Arguments<'a> {
    pub(super) arguments: &'a str,
}
