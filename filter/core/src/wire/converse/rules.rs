//! What Bedrock and the models behind Converse are known to refuse beyond what Claude does, in one table: each rule
//! with its source. Which model it is about is in [`super::models`].

use crate::wire::rule::rules;

const MODEL: &str = "https://github.com/boto/botocore/blob/develop/botocore/data/bedrock-runtime/2023-09-30/service-2.json.gz";
const TOOL_CHOICE: &str =
    "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html";
const RESULT: &str =
    "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultBlock.html";
const DOCUMENT: &str =
    "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html";
const CACHING: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html";
const STRUCTURED: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html";
const NOVA_THINKING: &str = "https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html";

rules! {
    /// One thing that Bedrock refuses.
    DocumentName: "Bedrock takes other names of documents only: it was changed",
        DOCUMENT;
    DocumentAlone: "Bedrock wants a text beside a document: one was put behind it",
        "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html";
    TextsAlone: "Bedrock takes only texts where there is something to be cited",
        MODEL;
    CitedResult: "Bedrock cites no documents in a tool's result",
        "https://github.com/boto/boto3/issues/4648";
    NoBeta: "only Claude has features by this name",
        "https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html";
    AudioResult: "Bedrock takes no sound in a tool's result",
        MODEL;
    CallsApart: "this model takes no words beside calls and results: a message was put between them",
        "https://github.com/strands-agents/harness-sdk/issues/1223";
    ErrorResult: "this model cannot be told that a tool failed",
        RESULT;
    ForcedCall: "this model cannot be made to call a tool: it was asked to decide by itself",
        "https://github.com/langchain-ai/langchain-aws/issues/620";
    OneForcedCall: "this model cannot be made to call one tool: it must call any",
        TOOL_CHOICE;
    NoTools: "there are no tools to choose from",
        MODEL;
    NoChoiceOfNone: "Bedrock wants tools beside a history of calls, and has no word that forbids them",
        "https://github.com/boto/boto3/issues/4687";
    ToolsOfHistory: "Bedrock wants tools that were called to be defined: they were, for any arguments",
        "https://github.com/langgenius/dify/issues/17545";
    Parallel: "this model has no word for calls one at a time",
        "https://github.com/BerriAI/litellm/pull/34347";
    Strict: "this model has no strict tools",
        STRUCTURED;
    ToolName: "Bedrock takes tool names of letters, digits, _ and - up to 64 characters: another one stands for it",
        MODEL;
    NoCache: "this model has no prompt cache that can be marked",
        "https://github.com/zeroclaw-labs/zeroclaw/pull/7315";
    NoToolCache: "this model caches no tools",
        CACHING;
    NoMessageCache: "this model takes no cache_control in messages",
        "https://github.com/zeroclaw-labs/zeroclaw/issues/8720";
    NoHour: "this model caches for five minutes only",
        CACHING;
    NoThinking: "this model has no word for thinking",
        "https://github.com/UKGovernmentBEIS/inspect_ai/issues/5301";
    NoDisplay: "this model has no word for how its thoughts are shown",
        NOVA_THINKING;
    NoBudget: "this model takes no budget: it thinks with an effort",
        NOVA_THINKING;
    HighEffortAlone: "this model takes no limit and no sampling beside a high effort",
        "https://github.com/UKGovernmentBEIS/inspect_ai/pull/3848";
    Effort: "this model has no such effort: the nearest one is sent",
        "https://github.com/anomalyco/opencode/pull/48195";
    NoTopK: "this model has no top_k",
        "https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html";
    NoStop: "this model takes no stop sequences",
        "https://github.com/langchain4j/langchain4j/issues/3650";
    NoFormat: "this model takes no JSON schema, and cannot be made to answer by a tool",
        STRUCTURED;
    FormatOfObjects: "this model takes JSON schemas of objects only",
        MODEL;
    NoJsonMode: "Bedrock has no JSON mode without a schema",
        MODEL;
    Metadata: "Bedrock takes metadata of plain texts: up to 16 of up to 256 letters, digits, spaces and some marks",
        MODEL;
    Tier: "Bedrock has no such tier",
        MODEL;
    Overridden: "additionalModelRequestFields says something else, which counts",
        MODEL;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_source() {
        for rule in Rule::ALL {
            assert!(rule.source().starts_with("https://") && !rule.reason().is_empty(), "{rule:?}");
        }
    }
}
