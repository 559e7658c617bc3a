//! What Claude is known to refuse of what other APIs allow, in one table: each rule with its source and, in the
//! tests, its case.
//!
//! Such a request would come back as a 400 that names something its client never sent. What has to be changed or left
//! out is a loss, for the reason of its rule.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::wire::names::{allowed, digest};
use crate::wire::raw::{self, Changed};
use crate::wire::rule::rules;

const MESSAGES: &str = "https://platform.claude.com/docs/en/api/messages";
const DEFINE_TOOLS: &str = "https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools";
const MIGRATION: &str = "https://platform.claude.com/docs/en/about-claude/models/migration-guide";
const THINKING: &str = "https://platform.claude.com/docs/en/build-with-claude/thinking";
const EXTENDED: &str = "https://platform.claude.com/docs/en/build-with-claude/extended-thinking";
const INSTRUCTIONS: &str =
    "https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages";
const REJECTED: &str = "https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting";

rules! {
    /// One thing that Claude refuses.
    BlankText: "Anthropic takes no text of white space only",
        "https://github.com/home-assistant/core/issues/175637";
    NoMessage: "Anthropic takes no system prompt alone: it is sent as the user's message",
        MESSAGES;
    InstructionsMoved: "not every model takes instructions within the conversation: they were moved before it",
        INSTRUCTIONS;
    InstructionsPlace: "Claude takes instructions only between a user's message and an answer: they were moved to the front",
        INSTRUCTIONS;
    AssistantFirst: "Anthropic wants a user's message first: one was put before it",
        "https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html";
    AssistantLast: "this model continues no assistant message: a user's message was put behind it",
        "https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-6#prefill-removal";
    EndsInSpace: "Anthropic takes no white space at the end of a last assistant message",
        "https://platform.claude.com/docs/en/build-with-claude/prompt-engineering/prefill-claudes-response";
    Arguments: "Anthropic takes arguments that are a JSON object only: they are text inside of one",
        MESSAGES;
    HalfCharacter: "an escaped half of a surrogate pair is no character: U+FFFD stands for it",
        "https://github.com/anthropics/claude-code/issues/3277";
    ResultMoved: "Anthropic wants a tool's result directly behind its call: it was moved there",
        "https://github.com/anthropics/claude-code/issues/7796";
    ResultMissing: "Anthropic wants a result of each call: an error that says there is none was put behind it",
        "https://github.com/OpenHands/OpenHands/issues/7512";
    ResultUnasked: "Anthropic takes no tool result without a call that waits for it",
        "https://github.com/anthropics/claude-code/issues/13850";
    ToolName: "Anthropic takes tool names of letters, digits, _ and - up to 128 characters: another one stands for it",
        DEFINE_TOOLS;
    SameTool: "Anthropic takes each tool once: this one was there already",
        "https://github.com/anthropics/claude-code/issues/10687";
    ForcedCall: "this model cannot be made to call a tool: it was asked to decide by itself",
        THINKING;
    Stop: "Anthropic takes no stop sequence of white space only",
        "https://github.com/BerriAI/litellm/issues/3286";
    UserIdentifies: "Anthropic takes no e-mail address or phone number: its digest is sent",
        MESSAGES;
    UserTooLong: "Anthropic takes no more than 256 characters: its digest is sent",
        MESSAGES;
    MaxTokens: "this model gives fewer tokens: its limit is sent",
        "https://platform.claude.com/docs/en/build-with-claude/thinking#output-limits";
    Budget: "Anthropic wants a budget from 1024 tokens to less than max_tokens: one was chosen that fits",
        EXTENDED;
    NoRoomToThink: "Claude thinks with 1024 tokens or more, and max_tokens leaves no room for that",
        EXTENDED;
    NoAdaptive: "this model thinks within a budget only: half of max_tokens was chosen",
        REJECTED;
    NoBudget: "this model takes no budget, it thinks as it sees fit",
        REJECTED;
    AlwaysThinks: "this model always thinks",
        REJECTED;
    HighEffortThinks: "this model thinks with an effort this high",
        REJECTED;
    ForcedCallAndBudget: "Claude does not think within a budget where it must call a tool",
        THINKING;
    TurnWithoutThought: "the calls that are being answered came without a signed thought",
        EXTENDED;
    Unsigned: "Anthropic takes no thought without its signature",
        MESSAGES;
    NoSampling: "this model takes no sampling parameters",
        MIGRATION;
    OneSampling: "this model takes temperature or top_p, not both",
        MIGRATION;
    SamplingAndThoughts: "Anthropic takes no such sampling while the model thinks",
        THINKING;
    SchemaUnion: "Anthropic takes no oneOf, anyOf or allOf at the top of a tool's schema: their properties were joined",
        "https://github.com/anthropics/claude-code/issues/5973";
    SchemaType: "Anthropic takes only schemas of objects for a tool",
        MESSAGES;
}

/// `metadata.user_id`, in characters.
const MAX_USER: usize = 256;

/// True for a text that counts as none.
pub(in crate::wire) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A call id that Claude takes, `^[a-zA-Z0-9_-]+$` (<https://platform.claude.com/docs/en/api/messages>); that each is
/// there once is seen to where all are known ([`super::calls`]).
///
/// There is no way back, and none is needed: answers carry Claude's own ids, and ids of other providers come in
/// a conversation's past only.
pub(in crate::wire) fn call_id(id: &str, longest: usize) -> Cow<'_, str> {
    allowed(id, longest, "")
}

/// A tool's name that Claude takes ([`Rule::ToolName`]). The way back is among the tools of the request.
pub(in crate::wire) fn tool_name(name: &str, longest: usize) -> Cow<'_, str> {
    allowed(name, longest, "_")
}

/// Said where [`takes_property`] is false. It is no loss but a 422: another name would have to be translated back in
/// the arguments of each call, piece by piece where they are streamed.
pub(super) const PROPERTY_NAME: &str =
    "Anthropic takes properties whose names are letters, digits, _, . and - up to 64 characters";

/// Whether Claude takes a property of this name at the top of a tool's schema, `^[a-zA-Z0-9_.-]{1,64}$`
/// (<https://github.com/anthropics/claude-code/issues/79418>); it looks at no other
/// (<https://github.com/decocms/studio/pull/6874>).
pub(super) fn takes_property(name: &str) -> bool {
    const LONGEST: usize = 64;
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_allowed)
}

/// Arguments as an object, with the rule for which they are not what was there.
pub(super) fn arguments(text: &str) -> (Cow<'_, RawValue>, Option<Rule>) {
    let (object, changed) = raw::arguments(text);
    let rule = changed.map(|changed| match changed {
        Changed::NoObject => Rule::Arguments,
        Changed::HalfCharacter => Rule::HalfCharacter,
    });
    (object, rule)
}

/// What `metadata.user_id` may be for this user, with the rule if it is not the user itself. A digest still tells users
/// apart, which is what the provider's abuse detection needs.
pub(super) fn user(user: &str) -> (Cow<'_, str>, Option<Rule>) {
    let rule = if user.chars().nth(MAX_USER).is_some() {
        Rule::UserTooLong
    } else if user.split(|char: char| char.is_whitespace() || "<>(),;:\"".contains(char)).any(is_email)
        || is_phone(user)
    {
        Rule::UserIdentifies
    } else {
        return (Cow::Borrowed(user), None);
    };
    (Cow::Owned(digest(user)), Some(rule))
}

fn is_email(word: &str) -> bool {
    word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// Digits as people write them to be called. A bare number is more likely the key of a database.
fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_written = |char: char| char.is_ascii_digit() || matches!(char, '+' | '-' | '.' | ' ' | '(' | ')');
    (7..=15).contains(&digits)
        && text.chars().all(is_written)
        && (text.trim_start().starts_with('+') || text.contains([' ', '(', '-', '.']))
}

#[cfg(test)]
mod tests;
