//! The shapes of completions, and a whole one.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Serialize;

use super::super::encode::lose_source;
use super::super::types::{CompletionUsage, finish_reason as of_chat, lose_extra, lose_tier};
use crate::chat::{self, Content, FinishReason, Losses, Part, Reply, TokenLogprob};
use crate::wire::{Asked, to_json};

/// `text_completion`, which is a whole answer or a piece of one.
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<CompletionUsage>,
}

impl<'a> Completion<'a> {
    pub(super) fn new(id: &'a str, model: &'a str, created: u64, choices: Vec<Choice<'a>>) -> Self {
        Self { id, object: "text_completion", created, model, choices, usage: None }
    }
}

#[derive(Serialize)]
pub(super) struct Choice<'a> {
    pub(super) index: usize,
    pub(super) text: &'a str,
    pub(super) logprobs: Option<Logprobs<'a>>,
    pub(super) finish_reason: Option<&'static str>,
}

/// The tokens, how probable they and others in their place are, and where they begin in the text, in characters.
#[derive(Serialize)]
pub(super) struct Logprobs<'a> {
    tokens: Vec<&'a str>,
    token_logprobs: Vec<f64>,
    top_logprobs: Option<Vec<BTreeMap<&'a str, f64>>>,
    text_offset: Vec<usize>,
}

impl<'a> Logprobs<'a> {
    /// Of tokens before which the text has `offset` characters, which becomes those behind them. `None` where there are
    /// none.
    pub(super) fn of(tokens: &'a [TokenLogprob], offset: &mut usize) -> Option<Self> {
        if tokens.is_empty() {
            return None;
        }
        let top = |token: &'a TokenLogprob| token.top.iter().map(|(text, logprob)| (text.as_str(), *logprob));
        let has_top = tokens.iter().any(|token| !token.top.is_empty());
        let text_offset = tokens.iter().map(|token| {
            let start = *offset;
            *offset = start.saturating_add(token.token.chars().count());
            start
        });
        Some(Self {
            text_offset: text_offset.collect(),
            tokens: tokens.iter().map(|token| token.token.as_str()).collect(),
            token_logprobs: tokens.iter().map(|token| token.logprob).collect(),
            top_logprobs: has_top.then(|| tokens.iter().map(|token| top(token).collect()).collect()),
        })
    }
}

/// Writes a whole answer. What `reply` leaves out comes from `asked`.
pub(super) fn encode(asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
    lose_extra("answer", reply.extra.as_deref(), losses);
    if let Some(tier) = &reply.service_tier {
        lose_tier(tier, losses);
    }
    let texts: Vec<String> = reply.choices.iter().map(|choice| text(choice, losses)).collect();
    let choices = reply.choices.iter().zip(&texts).enumerate().map(|(index, (choice, text))| Choice {
        index,
        text,
        logprobs: Logprobs::of(&choice.logprobs, &mut 0),
        finish_reason: Some(finish_reason(&choice.finish_reason, losses)),
    });
    let choices = choices.collect();
    let id = reply.id.as_deref().unwrap_or(&asked.id);
    let model = reply.model.as_deref().unwrap_or(&asked.model);
    let completion = Completion::new(id, model, asked.created, choices);
    to_json(&Completion { usage: Some(reply.usage.into()), ..completion })
}

fn text(choice: &chat::Choice, losses: &mut Losses) -> String {
    lose_extra("answer", choice.extra.as_deref(), losses);
    let mut all = String::new();
    for (position, Part { content, seal, .. }) in choice.content.iter().enumerate() {
        match content {
            Content::Text { text, annotations } => {
                all.push_str(text);
                if !annotations.is_empty() {
                    lose_source(position, losses);
                }
                if seal.is_some() {
                    lose_signature(position, losses);
                }
            }
            Content::Refusal(text) => all.push_str(text),
            Content::Thinking { text } if text.is_empty() && seal.is_none() => {}
            Content::Thinking { .. } | Content::RedactedThinking => lose_thought(position, losses),
            Content::ToolCall { .. } | Content::Media { .. } | Content::Foreign(_) => {
                lose_block(position, losses);
            }
            // No model answers with these.
            Content::ToolResult { .. } => {}
        }
    }
    all
}

/// Completions have three of the reasons that chats have.
pub(super) fn finish_reason(reason: &FinishReason, losses: &mut Losses) -> &'static str {
    match of_chat(reason, losses) {
        "tool_calls" => "stop",
        reason => reason,
    }
}

pub(super) fn lose_signature(position: impl Display, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{position}].signature"), "completions have texts only");
}

pub(super) fn lose_thought(position: impl Display, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{position}]"), "completions have no thoughts");
}

pub(super) fn lose_block(position: impl Display, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{position}]"), "completions have texts only");
}
