//! Which Claude models take which of the newer fields. A model that does not know a field rejects the request, so a
//! field is sent only to models on its list.

use super::Envelope;
use crate::wire::names::find_word;

/// Models that take `output_config.format` everywhere.
const JSON_SCHEMA: &[&str] = &["opus-4-5", "sonnet-4-5", "haiku-4-5", "opus-4-6", "sonnet-4-6"];

/// Models that take it at Anthropic and on Vertex AI, but are refused it on Bedrock, through InvokeModel
/// (<https://github.com/vercel/ai/pull/15288>, <https://github.com/anthropics/anthropic-sdk-python/issues/1759>) and
/// through Converse (<https://github.com/langgenius/dify-official-plugins/pull/3511>).
const JSON_SCHEMA_NATIVE: &[&str] =
    &["opus-4-7", "opus-4-8", "sonnet-5", "fable-5", "mythos-5", "mythos-preview"];

/// Models that take `output_config.effort`, here and below by
/// <https://platform.claude.com/docs/en/build-with-claude/effort>.
const EFFORT: &[&str] = &[
    "opus-4-5",
    "opus-4-6",
    "opus-4-7",
    "opus-4-8",
    "opus-5",
    "sonnet-4-6",
    "sonnet-5",
    "haiku-5-5",
    "fable-5",
    "mythos-5",
    "mythos-preview",
];

/// Those of them that have no level `max`, and those that have no `xhigh`.
const NO_MAX: &[&str] = &["opus-4-5"];
const NO_XHIGH: &[&str] = &["opus-4-5", "opus-4-6", "sonnet-4-6", "mythos-preview"];

/// Models that reject `thinking` of type `enabled`, here and below by
/// <https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting>.
const NO_BUDGET: &[&str] = &["opus-4-7", "opus-4-8", "opus-5", "sonnet-5", "haiku-5", "fable-5", "mythos-5"];

/// Models that reject `disabled`; one of them has `between_tools` instead.
const ALWAYS_THINKING: &[&str] = &["opus-5-5", "fable-5", "mythos-5", "mythos-preview"];
const BETWEEN_TOOLS: &[&str] = &["sonnet-5-5"];

/// Models that do not turn thinking off beside an effort of `xhigh` or `max`.
const HIGH_EFFORT_THINKS: &[&str] = &["opus-5", "sonnet-5-5"];

/// Models that take instructions within the conversation, by
/// <https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages>; Sonnet 5 is none of them.
const INSTRUCTIONS_WITHIN: &[&str] = &["opus-4-8", "opus-5", "sonnet-5-5", "fable-5", "mythos-5"];

/// Models that reject `tool_choice` of type `any` and `tool`, by
/// <https://platform.claude.com/docs/en/build-with-claude/thinking#response-prefill-and-forced-tool-use>.
const NO_FORCED_CALL: &[&str] =
    &["opus-5-5", "sonnet-5-5", "fable-5-1", "fable-5-2", "mythos-5-1", "mythos-5-2"];

/// The most tokens of an answer, by
/// <https://platform.claude.com/docs/en/build-with-claude/thinking#output-limits> and, for the older ones,
/// <https://platform.claude.com/docs/en/about-claude/models/overview>. Sonnet 3.7 is not here: its limit is another
/// with a beta header.
const OUTPUT_LIMITS: &[(u64, &[&str])] = &[
    (4096, &["claude-3-haiku", "claude-3-opus", "claude-3-sonnet"]),
    (8192, &["claude-3-5"]),
    (32_000, &["opus-4-1", "opus-4-0", "opus-4-2025"]),
    (64_000, &["opus-4-5", "sonnet-4-5", "haiku-4-5", "sonnet-4-0", "sonnet-4-2025"]),
    (
        128_000,
        &[
            "opus-4-6",
            "opus-4-7",
            "opus-4-8",
            "opus-5",
            "sonnet-4-6",
            "sonnet-5",
            "haiku-5-5",
            "fable-5",
            "mythos-5",
            "mythos-preview",
        ],
    ),
];

/// The levels of `output_config.effort`.
pub(in crate::wire) const EFFORT_LEVELS: &[&str] = &["low", "medium", "high", "xhigh", "max"];

/// The model by the names it goes by: the client's, which may be an alias, and the backend's, which may be an ARN.
#[derive(Clone, Copy)]
pub(in crate::wire) struct ModelNames<'a>(pub(in crate::wire) [&'a str; 2]);

impl ModelNames<'_> {
    pub(in crate::wire) fn takes_json_schema(self, envelope: Envelope<'_>) -> bool {
        let is_on_bedrock = match envelope {
            Envelope::Bedrock { .. } | Envelope::Converse { .. } => true,
            Envelope::Native | Envelope::Vertex { .. } => false,
        };
        self.is_one_of(JSON_SCHEMA) || !is_on_bedrock && self.is_one_of(JSON_SCHEMA_NATIVE)
    }

    pub(in crate::wire) fn takes_effort(self) -> bool {
        self.is_one_of(EFFORT)
    }

    /// Whether it has one of the higher levels, `xhigh` or `max`.
    pub(in crate::wire) fn takes_level(self, level: &str) -> bool {
        !self.is_one_of(if level == "max" { NO_MAX } else { NO_XHIGH })
    }

    pub(in crate::wire) fn thinks_within_budget(self) -> bool {
        !self.is_one_of(NO_BUDGET)
    }

    /// Whether it takes `thinking` of type `adaptive`, which came with 4.6.
    pub(in crate::wire) fn thinks_as_it_sees_fit(self) -> bool {
        !self.is_one_of(&["claude-3-7", "claude-3.7"]) && !self.is_until((4, 5))
    }

    /// Whether it thinks with an effort of `xhigh` or `max`, whatever else is asked for.
    pub(in crate::wire) fn thinks_with_high_effort(self) -> bool {
        self.is_one_of(HIGH_EFFORT_THINKS)
    }

    pub(in crate::wire) fn can_be_made_to_call(self) -> bool {
        !self.is_one_of(NO_FORCED_CALL)
    }

    /// Whether it takes messages of the role `system`. Converse takes instructions before the conversation only:
    /// <https://platform.claude.com/docs/en/build-with-claude/claude-on-amazon-bedrock-legacy>.
    pub(in crate::wire) fn takes_instructions_within(self, envelope: Envelope<'_>) -> bool {
        let is_taken = match envelope {
            Envelope::Native | Envelope::Bedrock { .. } | Envelope::Vertex { .. } => true,
            Envelope::Converse { .. } => false,
        };
        is_taken && self.is_one_of(INSTRUCTIONS_WITHIN)
    }

    /// The most tokens of an answer, where that is known to be less than `wanted`.
    pub(in crate::wire) fn output_limit(self, wanted: u64) -> Option<u64> {
        let mut lower = OUTPUT_LIMITS.iter().filter(|(limit, _)| *limit < wanted);
        lower.find(|(_, models)| self.is_one_of(models)).map(|(limit, _)| *limit)
    }

    pub(in crate::wire) fn always_thinks(self) -> bool {
        self.is_one_of(ALWAYS_THINKING)
    }

    pub(in crate::wire) fn thinks_between_tools(self) -> bool {
        self.is_one_of(BETWEEN_TOOLS)
    }

    /// Whether a last message of the assistant is continued:
    /// <https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-6#prefill-removal>.
    pub(in crate::wire) fn continues_assistant(self) -> bool {
        !self.is_from((4, 6))
    }

    /// Whether `temperature`, `top_p` and `top_k` are taken at all, which ended with Opus 4.7:
    /// <https://platform.claude.com/docs/en/about-claude/models/migration-guide>.
    pub(in crate::wire) fn takes_sampling(self) -> bool {
        !self.is_from((4, 7))
    }

    /// Whether `temperature` and `top_p` are taken together, which ended with Opus 4.1, and with 4.5 for the others:
    /// <https://platform.claude.com/docs/en/about-claude/models/migration-guide>.
    pub(in crate::wire) fn takes_both_temperature_and_top_p(self) -> bool {
        !self.is_from((4, 5)) && !self.is_one_of(&["opus-4-1", "opus-4.1"])
    }

    /// Whether either name says that the model is of this version or a later one. A name that says nothing, an alias,
    /// is of none: what its model refuses is for the backend to say.
    pub(in crate::wire) fn is_from(self, version: (u32, u32)) -> bool {
        self.versions().any(|found| found >= version)
    }

    /// Whether either name says that the model is of this version or an earlier one.
    fn is_until(self, version: (u32, u32)) -> bool {
        self.versions().any(|found| found <= version)
    }

    fn versions(self) -> impl Iterator<Item = (u32, u32)> {
        self.0.into_iter().filter_map(version)
    }

    fn is_one_of(self, list: &[&str]) -> bool {
        let is_one_of = |name| list.iter().any(|model| find_word(name, model).is_some());
        let [asked, sent] = self.0;
        is_one_of(sent) || asked != sent && is_one_of(asked)
    }
}

/// Families whose names lead to a version; of the last only the preview had none.
const FAMILIES: &[&str] = &["opus-", "sonnet-", "haiku-", "fable-", "mythos-"];

/// The version in a model's name, as in `claude-opus-4-7` or `claude-opus-4.7`; the minor one is 0 where a date
/// follows. Before 4 it stood in front of the family, and none of those has a rule here.
fn version(name: &str) -> Option<(u32, u32)> {
    let behind = |family: &&str| name.get(find_word(name, family)?.saturating_add(family.len())..);
    let rest = FAMILIES.iter().find_map(behind)?;
    if find_word(rest, "preview") == Some(0) {
        return Some((5, 0));
    }
    let mut numbers = rest.split(|char: char| !char.is_ascii_digit());
    let major = numbers.next().filter(|digits| digits.len() <= 2)?.parse().ok()?;
    let minor = numbers.next().filter(|digits| digits.len() <= 2).and_then(|digits| digits.parse().ok());
    Some((major, minor.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_either_way_to_write_it() {
        let cases = [
            ("claude-opus-4-7", Some((4, 7))),
            ("anthropic/claude-opus-4.8", Some((4, 8))),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-sonnet-5", Some((5, 0))),
            ("claude-mythos-preview", Some((5, 0))),
            ("global.anthropic.claude-opus-4-6-v1", Some((4, 6))),
            ("claude-3-5-sonnet-20241022", None),
            ("claude-3-haiku-20240307", None),
            ("fast", None),
        ];
        for (name, expected) in cases {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    #[test]
    fn either_name_tells_the_model_in_any_case() {
        let alias = ModelNames(["fast", "us.anthropic.Claude-Sonnet-4-5-20250929-v1:0"]);
        assert!(alias.takes_json_schema(Envelope::Bedrock { version: "v" }));
        assert!(!alias.takes_effort());
        let arn = ModelNames(["claude-opus-4-7", "arn:aws:bedrock:us-east-1:1:inference-profile/x"]);
        assert!(arn.takes_effort() && arn.takes_json_schema(Envelope::Native));
        assert!(!arn.takes_json_schema(Envelope::Bedrock { version: "v" }));
    }
}
