//! The items of an answer, and what is known of one that is not complete.

use std::borrow::Cow;

use serde::Serialize;

use super::ids::TRANSLATED_THOUGHT;
use super::seals;
use crate::chat::{Annotation, Seal, TokenLogprob};
use crate::wire::openai_chat::{self, Citation};

/// An item as a client gets it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message {
        id: &'a str,
        status: &'static str,
        role: &'static str,
        content: Vec<Part<'a>>,
    },
    Reasoning {
        id: &'a str,
        summary: Vec<Part<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<Cow<'a, str>>,
    },
    FunctionCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    CustomToolCall {
        id: &'a str,
        call_id: &'a str,
        name: &'a str,
        input: &'a str,
    },
}

/// A part of a message, or of the summary of a thought.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    OutputText {
        text: &'a str,
        annotations: Vec<UrlCitation<'a>>,
        logprobs: Vec<openai_chat::TokenLogprob<'a>>,
    },
    Refusal {
        refusal: &'a str,
    },
    SummaryText {
        text: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "url_citation")]
pub(super) struct UrlCitation<'a> {
    #[serde(flatten)]
    citation: Citation<'a>,
}

impl<'a> UrlCitation<'a> {
    /// `None` for a source without an address, which this API cannot tell. `characters` are those of the text.
    pub(super) fn of(annotation: &'a Annotation, characters: usize) -> Option<Self> {
        Citation::of(annotation, 0, characters).map(|citation| Self { citation })
    }
}

/// An item that is not complete.
#[derive(Debug)]
pub(super) struct Open {
    /// Where it is in the answer.
    pub(super) index: usize,
    pub(super) id: String,
    pub(super) content: Content,
    /// Nothing will be added to it.
    pub(super) is_stopped: bool,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Texts and refusals one after the other; the last one may be of the block `growing`.
    Message { parts: Vec<Text>, growing: Option<u32> },
    /// A thought, of which the client has heard if there is any of it.
    Reasoning { text: String, seal: Option<Seal>, is_redacted: bool },
    /// A call, with what the tool is given.
    Call { call_id: String, name: String, given: String, is_custom: bool },
}

impl Content {
    /// What the names of such items begin with: OpenAI takes no others back.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Content::Message { .. } => "msg",
            Content::Reasoning { .. } => TRANSLATED_THOUGHT,
            Content::Call { is_custom: false, .. } => "fc",
            Content::Call { is_custom: true, .. } => "ctc",
        }
    }
}

/// A part of a message.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) characters: usize,
    pub(super) annotations: Vec<Annotation>,
    pub(super) logprobs: Vec<TokenLogprob>,
    pub(super) is_refusal: bool,
}

impl Text {
    pub(super) fn part(&self) -> Part<'_> {
        if self.is_refusal {
            return Part::Refusal { refusal: &self.text };
        }
        let citation = |annotation| UrlCitation::of(annotation, self.characters);
        Part::OutputText {
            text: &self.text,
            annotations: self.annotations.iter().filter_map(citation).collect(),
            logprobs: openai_chat::TokenLogprob::list(&self.logprobs),
        }
    }
}

impl Open {
    /// All of it.
    pub(super) fn whole(&self, status: &'static str) -> Item<'_> {
        let id = &self.id;
        match &self.content {
            Content::Message { parts, .. } => Item::Message {
                id,
                status,
                role: "assistant",
                content: parts.iter().map(Text::part).collect(),
            },
            Content::Reasoning { text, seal, is_redacted } => Item::Reasoning {
                id,
                summary: if text.is_empty() { Vec::new() } else { vec![Part::SummaryText { text }] },
                encrypted_content: seal.as_ref().map(|seal| seals::to_client(seal, *is_redacted)),
            },
            Content::Call { call_id, name, given, is_custom: false } => {
                Item::FunctionCall { id, status, call_id, name, arguments: given }
            }
            Content::Call { call_id, name, given, is_custom: true } => {
                Item::CustomToolCall { id, call_id, name, input: given }
            }
        }
    }

    /// How it begins.
    pub(super) fn beginning(&self) -> Item<'_> {
        let (id, status) = (&self.id, "in_progress");
        match &self.content {
            Content::Message { .. } => Item::Message { id, status, role: "assistant", content: Vec::new() },
            Content::Reasoning { .. } => Item::Reasoning { id, summary: Vec::new(), encrypted_content: None },
            Content::Call { call_id, name, is_custom: false, .. } => {
                Item::FunctionCall { id, status, call_id, name, arguments: "" }
            }
            Content::Call { call_id, name, is_custom: true, .. } => {
                Item::CustomToolCall { id, call_id, name, input: "" }
            }
        }
    }
}
