//! What Cohere is known to refuse of what other APIs allow, in one table: each rule with its source and, in the tests,
//! its case.
//!
//! Such a request would come back as an error that names something its client never sent. What has to be changed or
//! left out is a loss, for the reason of its rule. Members that it does not know are a 422 there
//! (<https://github.com/OpenRouterTeam/openrouter-examples/issues/71>), so none is sent that its reference has not.

use crate::wire::rule::rules;

const CHAT: &str = "https://docs.cohere.com/reference/chat";
const ERRORS: &str = "https://docs.cohere.com/reference/errors";
const REASONING: &str = "https://docs.cohere.com/docs/reasoning";
const TEXT_AND_CALLS: &str = "https://github.com/vercel/ai/issues/5794";

rules! {
    /// One thing that Cohere refuses.
    TextAndCalls: "Cohere takes no text beside calls of tools: it is sent as the plan to call them",
        TEXT_AND_CALLS;
    EmptyMessage: "Cohere takes no empty message",
        ERRORS;
    EmptyResult: "Cohere takes no empty message: an empty object stands for the result",
        ERRORS;
    ResultMissing: "Cohere wants a result of each call: an error that says there is none was put behind it",
        "https://github.com/oracle/langchain-oracle/issues/10";
    ResultMoved: "Cohere wants a tool's result directly behind its call: it was moved there",
        "https://github.com/oracle/langchain-oracle/issues/10";
    Thought: "Cohere takes thoughts only where the model thinks",
        TEXT_AND_CALLS;
    NoThinking: "this model does not think",
        REASONING;
    ToolChoice: "this model decides by itself whether to call a tool",
        CHAT;
    StrictTools: "Cohere is not strict with tools of which all parameters are optional",
        "https://docs.cohere.com/docs/structured-outputs";
    FormatAndTools: "Cohere takes no format of the answer beside tools or documents",
        CHAT;
    Detail: "Cohere takes pictures with detail low, high or auto",
        CHAT;
    Temperature: "Cohere takes a temperature from 0 to 1: the nearest one is sent",
        "https://github.com/cohere-ai/cohere-developer-experience/pull/523";
    TopK: "Cohere takes 500 at most: that is sent",
        CHAT;
    Penalty: "Cohere takes a penalty from 0 to 1: the nearest one is sent",
        CHAT;
    TwoPenalties: "Cohere takes one of the two penalties",
        ERRORS;
    Stops: "Cohere takes 5 stop sequences",
        CHAT;
}

/// [`Rule::Stops`]
pub(super) const MAX_STOPS: usize = 5;

/// [`Rule::Detail`]
pub(super) const LEVELS: &[&str] = &["auto", "low", "high"];

/// [`Rule::TopK`]
pub(super) const MAX_K: u64 = 500;

/// What is known of a model by its name. Others, and those to come, may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    /// It may be one that thinks before it answers.
    pub(super) may_think: bool,
    /// It takes `tool_choice`.
    pub(super) can_be_forced: bool,
}

/// The beginnings of the names of those that do not think: the first that does is `command-a-reasoning-08-2025`
/// (<https://docs.cohere.com/docs/command-a-reasoning>).
const DO_NOT_THINK: &[&str] = &[
    "command-r",
    "command-a-03-",
    "command-a-vision-07-",
    "command-a-translate-08-",
    "c4ai-aya-",
    "tiny-aya-",
];

/// The same of those that are older than `tool_choice` ([`Rule::ToolChoice`]).
const CANNOT_BE_FORCED: &[&str] = &["command-r-", "c4ai-aya-"];

impl Model {
    pub(super) fn named(name: &str) -> Model {
        let name = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let is_of = |list: &[&str]| list.iter().any(|beginning| name.starts_with(beginning));
        Model {
            may_think: !is_of(DO_NOT_THINK),
            can_be_forced: !is_of(CANNOT_BE_FORCED) && name != "command-r",
        }
    }
}

#[cfg(test)]
mod tests;
