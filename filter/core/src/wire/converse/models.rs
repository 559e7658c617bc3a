//! Which of Bedrock's models take what. A model refuses a request with a field that it does not know, so a field goes
//! only to those that are known to take it.

use std::borrow::Cow;

use crate::chat::Family;
use crate::wire::anthropic::Envelope;
use crate::wire::anthropic::models::ModelNames;
use crate::wire::anthropic::rules;
use crate::wire::names::find_word;

/// Who made a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Publisher {
    Anthropic,
    Amazon,
    DeepSeek,
    Meta,
    Mistral,
    Moonshot,
    OpenAi,
    /// Somebody else, of whose models nothing is known but what the API itself says.
    Other,
    /// The name does not say: an ARN of an inference profile, or of a model of one's own.
    Unknown,
}

/// How the publishers stand in names such as `us.amazon.nova-2-lite-v1:0`, and what the seals of their models begin
/// with. A seal that was made on Bedrock is of no use to the same publisher elsewhere, but for Claude's.
const PUBLISHERS: &[(&str, Publisher, &str)] = &[
    ("anthropic.", Publisher::Anthropic, ""),
    ("amazon.", Publisher::Amazon, "amazon:"),
    ("deepseek.", Publisher::DeepSeek, "deepseek:"),
    ("meta.", Publisher::Meta, "meta:"),
    ("mistral.", Publisher::Mistral, "mistral:"),
    ("moonshot.", Publisher::Moonshot, "moonshot:"),
    ("moonshotai.", Publisher::Moonshot, "moonshot:"),
    ("openai.", Publisher::OpenAi, "openai:"),
    ("ai21.", Publisher::Other, "ai21:"),
    ("cohere.", Publisher::Other, "cohere:"),
    ("google.", Publisher::Other, "google:"),
    ("minimax.", Publisher::Other, "minimax:"),
    ("nvidia.", Publisher::Other, "nvidia:"),
    ("qwen.", Publisher::Other, "qwen:"),
    ("writer.", Publisher::Other, "writer:"),
    ("xai.", Publisher::Other, "xai:"),
    ("zai.", Publisher::Other, "zai:"),
];

/// Models that take `outputConfig.textFormat` besides Claude's:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html#structured-output-supported-models>.
const JSON_SCHEMA: &[&str] = &[
    "deepseek.v3",
    "google.gemma-3",
    "minimax.minimax-m2",
    "mistral.magistral",
    "mistral.ministral-3",
    "mistral.mistral-large-3",
    "mistral.voxtral",
    "kimi-k2",
    "nvidia.nemotron",
    "openai.gpt-oss",
    "qwen.qwen3",
    "zai.glm-5",
];

/// Claude models of before the prompt cache: <https://github.com/posit-dev/positron/issues/12142>.
const NO_CACHE: &[&str] = &[
    "claude-v2",
    "claude-instant",
    "claude-3-haiku",
    "claude-3-sonnet",
    "claude-3-opus",
    "claude-3-5-sonnet-20240620",
];

/// Where a model takes marks for its prompt cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caches {
    Nothing,
    System,
    NoTools,
    Everything,
}

/// How a model is asked to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinks {
    /// `thinking` and `output_config.effort`, by the rules of Claude.
    AsClaude,
    /// `reasoningConfig`: <https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html>.
    AsNova,
    /// `reasoning_effort`, of low, medium and high:
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html>.
    ByEffort,
    /// `reasoning.effort`, of none to max: <https://github.com/anomalyco/opencode/pull/48195>.
    ByNestedEffort,
    /// There is no word for it.
    Unasked,
}

/// A model, as far as its name tells.
#[derive(Debug, Clone)]
pub(super) struct Model<'a> {
    name: &'a str,
    publisher: Publisher,
    seal_prefix: &'static str,
}

impl<'a> Model<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        let lower = name.to_ascii_lowercase();
        let found = PUBLISHERS.iter().find(|(mark, ..)| stands_in(mark, &lower));
        let (publisher, seal_prefix) = match found {
            _ if find_word(name, "claude").is_some() => (Publisher::Anthropic, ""),
            Some((_, publisher, prefix)) => (*publisher, *prefix),
            None => (Publisher::Unknown, ""),
        };
        Self { name, publisher, seal_prefix }
    }

    /// The name for the rules of Claude, which know nothing of other models.
    pub(super) fn names(&self) -> ModelNames<'a> {
        ModelNames([self.name, self.name])
    }

    pub(super) fn envelope(&self) -> Envelope<'static> {
        Envelope::Converse { seals: self.family(), seal_prefix: self.seal_prefix }
    }

    /// A tool's name that Converse takes.
    pub(super) fn tool_name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        rules::tool_name(name, self.envelope().longest_tool_name())
    }

    /// Whose seals it gives and takes: Claude's are good everywhere, those of others on Bedrock.
    pub(super) fn family(&self) -> Family {
        if self.may_be_claude() { Family::Anthropic } else { Family::Amazon }
    }

    /// What stands before the seals that it gives.
    pub(super) fn seal_prefix(&self) -> &'static str {
        self.seal_prefix
    }

    pub(super) fn is_claude(&self) -> bool {
        self.publisher == Publisher::Anthropic
    }

    /// A name that does not say is treated as Claude's: most who ask for what only some take have Claude in mind.
    fn may_be_claude(&self) -> bool {
        matches!(self.publisher, Publisher::Anthropic | Publisher::Unknown)
    }

    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html#prompt-caching-models>
    pub(super) fn caches(&self) -> Caches {
        match self.publisher {
            // Nova 2 refuses them in messages: <https://github.com/zeroclaw-labs/zeroclaw/issues/8720>.
            Publisher::Amazon if self.has("nova-2") => Caches::System,
            Publisher::Amazon if self.has("nova") => Caches::NoTools,
            Publisher::Anthropic | Publisher::Unknown if !self.is_one_of(NO_CACHE) => Caches::Everything,
            _ => Caches::Nothing,
        }
    }

    /// Whether it caches for an hour, too, which came with Claude 4.5.
    pub(super) fn caches_for_an_hour(&self) -> bool {
        self.publisher == Publisher::Unknown || self.is_claude() && self.names().is_from((4, 5))
    }

    /// Whether it can be made to call a tool. Llama decides by itself
    /// (<https://github.com/langchain-ai/langchain-aws/issues/620>), DeepSeek R1 calls none
    /// (<https://github.com/langchain-ai/langchain-aws/issues/447>), and Claude has its own rules.
    pub(super) fn can_be_made_to_call(&self) -> bool {
        match self.publisher {
            Publisher::Meta => false,
            Publisher::DeepSeek => !self.has("r1"),
            _ => self.names().can_be_made_to_call(),
        }
    }

    /// Whether it can be made to call one tool: "Only supported by Anthropic Claude 3 and Amazon Nova models",
    /// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html>; the later Claude models
    /// do as well.
    pub(super) fn can_be_made_to_call_one(&self) -> bool {
        self.may_be_claude() || self.publisher == Publisher::Amazon
    }

    /// Whether `toolChoice.auto`, which holds anyway, is known to be taken.
    pub(super) fn takes_auto(&self) -> bool {
        self.can_be_made_to_call_one()
    }

    /// Whether `toolResult.status` is taken: "only supported by Amazon Nova and Anthropic Claude 3 and 4 models",
    /// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultBlock.html>.
    pub(super) fn is_told_of_errors(&self) -> bool {
        self.may_be_claude() || self.publisher == Publisher::Amazon
    }

    /// Whether `toolSpec.strict` is taken.
    pub(super) fn takes_strict_tools(&self) -> bool {
        self.takes_json_schema()
    }

    /// Whether `outputConfig.textFormat` is taken.
    pub(super) fn takes_json_schema(&self) -> bool {
        if self.may_be_claude() {
            self.names().takes_json_schema(self.envelope())
        } else {
            self.is_one_of(JSON_SCHEMA)
        }
    }

    /// Whether it can be told to call one tool at a time, which is known from Claude 4.5 on:
    /// <https://github.com/BerriAI/litellm/pull/34347>.
    pub(super) fn calls_one_at_a_time(&self) -> bool {
        self.is_claude() && self.names().is_from((4, 5))
    }

    pub(super) fn thinks(&self) -> Thinks {
        match self.publisher {
            Publisher::Anthropic | Publisher::Unknown => Thinks::AsClaude,
            // <https://github.com/UKGovernmentBEIS/inspect_ai/issues/5301>
            Publisher::Amazon if self.has("nova-2") => Thinks::AsNova,
            Publisher::OpenAi if self.has("gpt-oss") => Thinks::ByEffort,
            Publisher::OpenAi => Thinks::ByNestedEffort,
            // <https://github.com/langchain-ai/docs/pull/5239>
            Publisher::Moonshot => Thinks::ByEffort,
            _ => Thinks::Unasked,
        }
    }

    /// Whether Nova's `inferenceConfig.topK` is its word for `top_k`:
    /// <https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html>.
    pub(super) fn has_top_k_of_nova(&self) -> bool {
        self.publisher == Publisher::Amazon && self.has("nova")
    }

    pub(super) fn has_top_k_of_claude(&self) -> bool {
        self.may_be_claude()
    }

    /// Qwen3 refuses them, too: <https://github.com/langgenius/dify-official-plugins/issues/1767>.
    pub(super) fn takes_stop_sequences(&self) -> bool {
        !self.has("gpt-oss") && !self.has("qwen3-235b")
    }

    /// Whether a last message of the assistant is continued, as far as that is not Claude's to say. Others want the
    /// user to have the last word: <https://github.com/i-am-bee/beeai-framework/issues/753>.
    pub(super) fn may_continue(&self) -> bool {
        self.may_be_claude() || self.publisher == Publisher::Amazon
    }

    /// Whether it takes no words beside calls and results of tools:
    /// <https://github.com/strands-agents/harness-sdk/issues/1223>.
    pub(super) fn keeps_calls_apart(&self) -> bool {
        self.publisher == Publisher::Meta
    }

    /// Whether its effort is still a beta feature: <https://github.com/coder/coder/issues/25356>.
    pub(super) fn has_effort_as_beta(&self) -> bool {
        self.has("opus-4-5")
    }

    fn has(&self, word: &str) -> bool {
        find_word(self.name, word).is_some()
    }

    fn is_one_of(&self, list: &[&str]) -> bool {
        list.iter().any(|model| self.has(model))
    }
}

/// Whether a publisher's mark is a whole segment of the name.
fn stands_in(mark: &str, name: &str) -> bool {
    name.match_indices(mark).any(|(at, _)| {
        let before = name.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|char| matches!(char, '.' | '/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publisher_stands_in_the_name() {
        for (name, publisher) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Publisher::Anthropic),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", Publisher::Amazon),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.meta.llama3-3-70b-instruct-v1:0",
                Publisher::Meta,
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefgh",
                Publisher::Unknown,
            ),
            ("openai.gpt-oss-120b-1:0", Publisher::OpenAi),
            ("Claude-Sonnet", Publisher::Anthropic),
            ("metameta.x", Publisher::Unknown),
            ("", Publisher::Unknown),
        ] {
            assert_eq!(Model::of(name).publisher, publisher, "{name}");
        }
    }

    #[test]
    fn a_model_takes_what_its_documents_say() {
        let of = Model::of;
        assert_eq!(of("amazon.nova-lite-v1:0").caches(), Caches::NoTools);
        assert_eq!(of("anthropic.claude-3-haiku-20240307-v1:0").caches(), Caches::Nothing);
        assert_eq!(of("anthropic.claude-3-7-sonnet-20250219-v1:0").caches(), Caches::Everything);
        assert_eq!(of("deepseek.r1-v1:0").caches(), Caches::Nothing);
        assert!(of("anthropic.claude-haiku-4-5-20251001-v1:0").caches_for_an_hour());
        assert!(!of("anthropic.claude-sonnet-4-20250514-v1:0").caches_for_an_hour());
        assert_eq!(of("amazon.nova-pro-v1:0").thinks(), Thinks::Unasked);
        assert_eq!(of("us.amazon.nova-2-lite-v1:0").thinks(), Thinks::AsNova);
        assert_eq!(of("openai.gpt-oss-20b-1:0").thinks(), Thinks::ByEffort);
        assert_eq!(of("us.openai.gpt-6-sol").thinks(), Thinks::ByNestedEffort);
        assert!(!of("meta.llama4-scout-17b-instruct-v1:0").can_be_made_to_call());
        assert!(!of("us.anthropic.claude-opus-5-5").can_be_made_to_call());
        assert!(
            of("qwen.qwen3-32b-v1:0").takes_json_schema() && !of("amazon.nova-pro-v1:0").takes_json_schema()
        );
    }
}
