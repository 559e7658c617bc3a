//! What is known of the servers that take chat completions, in one table: each line with its source.
//!
//! All that tells them apart is the schema and the model's name. A line says what a server refuses of what others
//! take, or takes beyond it; such a request would come back as a 400 that names something its client never sent.
//! What nothing is known of gets what OpenAI documents.

use std::borrow::Cow;

use crate::wire::names::{allowed, digest};
use crate::wire::{SchemaName, To};

/// A reason of a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule(&'static str);

impl From<Rule> for Cow<'static, str> {
    fn from(rule: Rule) -> Self {
        Cow::Borrowed(rule.0)
    }
}

/// <https://platform.openai.com/docs/guides/reasoning#limitations>, met in
/// <https://github.com/sourcebot-dev/sourcebot/issues/454>. With an effort of `none` some of them are taken:
/// <https://github.com/vercel/ai/issues/10932>.
pub(super) const NO_SAMPLING: Rule = Rule("models that reason take no sampling parameters");

pub(super) const NO_EFFORT: Rule = Rule("this model does not reason");
pub(super) const OTHER_EFFORT: Rule = Rule("this model has no such effort: the next one was chosen");

/// `stop` in the types of OpenAI's SDK; met for GPT-5 in <https://github.com/huggingface/smolagents/issues/1671>, for
/// 5.1 and 5.2 in <https://github.com/huggingface/smolagents/pull/1868> and
/// <https://github.com/huggingface/smolagents/issues/1893>. From 5.5 on they are taken:
/// <https://github.com/BerriAI/litellm/pull/28650>.
pub(super) const NO_STOP: Rule = Rule("models that reason take no stop sequences");

/// `stop` in the types of OpenAI's SDK: "Up to 4 sequences".
pub(super) const MAX_STOPS: usize = 4;
pub(super) const FEW_STOPS: Rule = Rule("OpenAI takes 4 stop sequences");

/// Not among the parameters of <https://platform.openai.com/docs/api-reference/chat/create>.
pub(super) const NO_TOP_K: Rule = Rule("OpenAI has no top_k");

/// `name` of a function in the types of OpenAI's SDK.
const MAX_TOOL_NAME: usize = 64;
pub(super) const TOOL_NAME: Rule = Rule(
    "OpenAI takes tool names of letters, digits, _ and - up to 64 characters: another one stands for it",
);

/// <https://github.com/microsoft/autogen/issues/6377>
const MAX_CALL_ID: usize = 40;

/// `safety_identifier` in the types of OpenAI's SDK; `user` is the same field under its older name.
const MAX_USER: usize = 64;
pub(super) const LONG_USER: Rule = Rule("OpenAI takes no more than 64 characters: its digest is sent");

/// <https://platform.openai.com/docs/guides/prompt-caching>
pub(super) const MARKS: Rule = Rule("chat completions are cached without marks");

/// What is known of the server that a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and most combinations exist")]
pub(super) struct Server {
    /// The model is one of OpenAI's own, which takes what its documentation has and nothing else.
    pub(super) is_openai: bool,
    /// It is one of those that reason.
    pub(super) reasons: bool,
    /// It takes stop sequences.
    pub(super) stops: bool,
    /// The efforts that it takes, where that is known.
    efforts: Option<&'static [&'static str]>,
    /// What is known of its model's family.
    pub(super) family: Family,
}

/// What a family of models that is not OpenAI's has of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and most combinations exist")]
pub(super) struct Family {
    /// A part of its models' names, in lower case.
    name: &'static str,
    /// Its earlier thoughts go back in `reasoning_content`.
    pub(super) reads_thoughts: bool,
    /// It takes `thinking: {type}`.
    pub(super) takes_thinking: bool,
    /// It takes `cache_control`.
    pub(super) takes_marks: bool,
    /// It knows the limit as `max_tokens` only.
    pub(super) old_limit: bool,
}

const UNKNOWN: Family =
    Family { name: "", reads_thoughts: false, takes_thinking: false, takes_marks: false, old_limit: false };

const FAMILIES: &[Family] = &[
    // <https://api-docs.deepseek.com/guides/thinking_mode>: without its thoughts a turn with calls is a 400.
    Family { name: "deepseek", reads_thoughts: true, takes_thinking: true, old_limit: true, ..UNKNOWN },
    // <https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model>
    Family { name: "kimi", reads_thoughts: true, takes_thinking: true, ..UNKNOWN },
    // <https://docs.z.ai/guides/capabilities/thinking-mode>
    Family { name: "glm", reads_thoughts: true, takes_thinking: true, ..UNKNOWN },
    // Their chat templates, by <https://docs.vllm.ai/en/v0.11.2/features/reasoning_outputs/>.
    Family { name: "qwen", reads_thoughts: true, ..UNKNOWN },
    Family { name: "minimax", reads_thoughts: true, ..UNKNOWN },
    // Through gateways: <https://openrouter.ai/docs/features/prompt-caching>,
    // <https://docs.litellm.ai/docs/reasoning_content>.
    Family { name: "claude", takes_thinking: true, takes_marks: true, ..UNKNOWN },
    // <https://github.com/editor-code-assistant/eca/issues/231>: 422, "Extra inputs are not permitted".
    Family { name: "mistral", old_limit: true, ..UNKNOWN },
    Family { name: "ministral", old_limit: true, ..UNKNOWN },
    Family { name: "magistral", old_limit: true, ..UNKNOWN },
    Family { name: "codestral", old_limit: true, ..UNKNOWN },
    Family { name: "devstral", old_limit: true, ..UNKNOWN },
    Family { name: "pixtral", old_limit: true, ..UNKNOWN },
    Family { name: "gpt-oss", ..UNKNOWN },
    Family { name: "llama", ..UNKNOWN },
    Family { name: "gemini", ..UNKNOWN },
    Family { name: "grok", ..UNKNOWN },
    Family { name: "phi-", ..UNKNOWN },
];

impl Family {
    /// Its servers are gateways.
    pub(super) fn is_claude(self) -> bool {
        self.name == "claude"
    }

    /// Its servers are Google's own, or pass on what those say.
    pub(super) fn is_google(self) -> bool {
        self.name == "gemini"
    }
}

impl Server {
    /// The one of a request.
    pub(super) fn of(to: &To<'_>) -> Server {
        Self::named(to.schema.name, to.model)
    }

    /// Its `is_openai` alone, which is asked for each chat that passes.
    pub(super) fn is_openai(to: &To<'_>) -> bool {
        let model = lower_case(to.model);
        may_be_openai(to.schema.name, name_of(&model)) && family_of(&model).is_none()
    }

    fn named(schema: SchemaName, model: &str) -> Server {
        let model = lower_case(model);
        let family = family_of(&model);
        let name = name_of(&model);
        let is_openai = family.is_none() && may_be_openai(schema, name);
        let generation = generation(name).filter(|_| is_openai && !name.contains("-chat"));
        Server {
            is_openai,
            reasons: generation.is_some_and(|generation| generation >= (5, 0)),
            stops: generation
                .is_none_or(|generation| !((5, 0)..(5, 5)).contains(&generation) && generation != O_SERIES),
            efforts: generation.and_then(|generation| efforts(generation, name)),
            family: family.unwrap_or(UNKNOWN),
        }
    }

    /// It can be told not to reason.
    pub(super) fn can_rest(self) -> bool {
        self.efforts.is_some_and(|efforts| efforts.contains(&NONE))
    }

    /// The effort there, and whether it is another than what the client said: the next higher one that there is, or the
    /// highest. A word that is none of OpenAI's is left for the server to judge.
    pub(super) fn effort(self, effort: &str) -> (Option<&str>, Option<Rule>) {
        let (Some(efforts), Some(wanted)) = (self.efforts, level(effort)) else {
            return (Some(effort), None);
        };
        if efforts.contains(&effort) {
            return (Some(effort), None);
        }
        let higher = efforts.iter().find(|known| level(known) > Some(wanted));
        let chosen = higher.or(efforts.last()).copied();
        // What does not reason anyway need not be told.
        let rule = if chosen.is_none() { NO_EFFORT } else { OTHER_EFFORT };
        (chosen, (chosen.is_some() || effort != NONE).then_some(rule))
    }

    /// The name of a tool there.
    pub(super) fn tool_name(self, name: &str) -> Cow<'_, str> {
        if self.is_openai { tool_name(name) } else { Cow::Borrowed(name) }
    }

    /// The id of a call there. There is no way back, and none is needed: answers carry the server's own.
    pub(super) fn call_id(self, id: &str) -> Cow<'_, str> {
        if self.is_openai && id.len() > MAX_CALL_ID {
            return allowed(id, MAX_CALL_ID, "");
        }
        Cow::Borrowed(id)
    }

    /// The user there, and whether it is another than what the client said.
    pub(super) fn user(self, user: &str) -> (Cow<'_, str>, Option<Rule>) {
        if self.is_openai && user.chars().nth(MAX_USER).is_some() {
            return (Cow::Owned(digest(user)), Some(LONG_USER));
        }
        (Cow::Borrowed(user), None)
    }
}

fn lower_case(model: &str) -> Cow<'_, str> {
    if model.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(model.to_ascii_lowercase());
    }
    Cow::Borrowed(model)
}

fn family_of(model: &str) -> Option<Family> {
    FAMILIES.iter().find(|family| model.contains(family.name)).copied()
}

/// Of `openai/gpt-5` and `us.openai.gpt-5.6-sol` what OpenAI calls it.
fn name_of(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or_default();
    // Most have no dot, and a search in a text is prepared before it begins.
    if !name.contains('.') {
        return name;
    }
    name.rsplit_once("openai.").map_or(name, |(_, name)| name)
}

fn may_be_openai(schema: SchemaName, name: &str) -> bool {
    // Azure's deployments have any name.
    schema == SchemaName::AzureOpenAI
        || generation(name).is_some()
        || name.starts_with("chatgpt-")
        || name.starts_with("codex-")
}

/// A tool's name that OpenAI takes.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    allowed(name, MAX_TOOL_NAME, "_")
}

/// `reasoning_effort` in the types of OpenAI's SDK, from the lowest.
const EFFORTS: &[&str] = &[NONE, "minimal", "low", "medium", "high", "xhigh", "max"];
pub(super) const NONE: &str = "none";

fn level(effort: &str) -> Option<usize> {
    EFFORTS.iter().position(|known| *known == effort)
}

/// Those of models that differ from the rest of their generation: the first two by
/// <https://github.com/anomalyco/opencode/pull/26268> and
/// <https://github.com/eyaltoledano/claude-task-master/pull/1508>, the Codex models by
/// <https://platform.openai.com/docs/models>.
const EFFORTS_OF: &[(&str, &[&str])] = &[
    ("gpt-5-pro", &["high"]),
    ("gpt-5.2-pro", &["medium", "high", "xhigh"]),
    ("gpt-5.1-codex-max", &["low", "medium", "high", "xhigh"]),
    ("gpt-5.1-codex-mini", &["medium", "high"]),
];

/// "Not all reasoning models support every value" (the SDK), and other models none. Those of the o series and of GPT-5
/// were tried one by one in <https://github.com/enricoros/big-AGI/issues/1159>; 5.1:
/// <https://github.com/anomalyco/opencode/issues/4451>; 5.2, and that Codex always reasons:
/// <https://github.com/numman-ali/opencode-openai-codex-auth/pull/62>. What came later takes more than is known here.
fn efforts(generation: (u32, u32), name: &str) -> Option<&'static [&'static str]> {
    if let Some((_, efforts)) = EFFORTS_OF.iter().find(|(known, _)| name.starts_with(known)) {
        return Some(efforts);
    }
    const GPT_5_1: &[&str] = &[NONE, "low", "medium", "high"];
    const GPT_5_2: &[&str] = &[NONE, "low", "medium", "high", "xhigh"];
    let always_reasons = name.contains("codex") || name.contains("-pro");
    let reasoning = |efforts: &'static [&'static str]| {
        if always_reasons { efforts.get(1..) } else { Some(efforts) }
    };
    match generation {
        (..5, _) => Some(&[]),
        (5, 0) => Some(&["minimal", "low", "medium", "high"]),
        (5, 1) => reasoning(GPT_5_1),
        (5, 2) => reasoning(GPT_5_2),
        O_SERIES => Some(&["low", "medium", "high"]),
        _ => None,
    }
}

/// After every GPT there is.
const O_SERIES: (u32, u32) = (1000, 0);

/// The generation of one of OpenAI's models, by its name.
fn generation(name: &str) -> Option<(u32, u32)> {
    if let Some(rest) = name.strip_prefix("gpt-") {
        let version = rest.split('-').next().unwrap_or_default();
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        let major = major.trim_end_matches(|char: char| !char.is_ascii_digit());
        return Some((major.parse().ok()?, minor.parse().unwrap_or(0)));
    }
    let number = name.strip_prefix('o')?.split('-').next()?;
    (number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(O_SERIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_name() {
        for (schema, model, is_openai, reasons, can_rest) in [
            (SchemaName::OpenAI, "gpt-4o-mini", true, false, false),
            (SchemaName::OpenAI, "gpt-4.1", true, false, false),
            (SchemaName::OpenAI, "gpt-3.5-turbo", true, false, false),
            (SchemaName::OpenAI, "openai/gpt-5-mini", true, true, false),
            (SchemaName::OpenAI, "gpt-5.1", true, true, true),
            (SchemaName::OpenAI, "gpt-5-chat-latest", true, false, false),
            (SchemaName::OpenAI, "o3-mini", true, true, false),
            (SchemaName::OpenAI, "o4", true, true, false),
            (SchemaName::OpenAI, "openai/gpt-oss-20b", false, false, false),
            (SchemaName::OpenAI, "Qwen/Qwen3-1.7B", false, false, false),
            (SchemaName::OpenAI, "olmo-2", false, false, false),
            (SchemaName::AzureOpenAI, "our-deployment", true, false, false),
            (SchemaName::AzureOpenAI, "DeepSeek-V3.2", false, false, false),
            (SchemaName::OpenAI, "gpt-5.2-codex", true, true, false),
            (SchemaName::AWSOpenAI, "us.openai.gpt-5.6-sol", true, true, false),
            (SchemaName::AWSOpenAI, "openai.gpt-oss-20b-1:0", false, false, false),
        ] {
            let server = Server::named(schema, model);
            assert_eq!(
                (server.is_openai, server.reasons, server.can_rest()),
                (is_openai, reasons, can_rest),
                "{model}"
            );
        }
        let stops = |model| Server::named(SchemaName::OpenAI, model).stops;
        assert!(["gpt-4o", "gpt-5.5", "gpt-6-astra", "qwen3", "claude"].into_iter().all(stops));
        assert!(!["o3", "gpt-5", "gpt-5.1", "gpt-5.4-mini"].into_iter().any(stops));
        let thinks = |model| Server::named(SchemaName::OpenAI, model).family.reads_thoughts;
        assert!(thinks("deepseek-chat") && thinks("zai-org/GLM-4.6") && !thinks("gpt-5"));
    }

    #[test]
    fn an_effort_is_one_that_the_model_has() {
        for (model, asked, effort, is_lost) in [
            ("gpt-5", "none", Some("minimal"), true),
            ("gpt-5", "high", Some("high"), false),
            ("gpt-5.1", "minimal", Some("low"), true),
            ("gpt-5.1", "max", Some("high"), true),
            ("gpt-5.2", "max", Some("xhigh"), true),
            ("gpt-5.1-codex", "none", Some("low"), true),
            ("gpt-5-pro", "low", Some("high"), true),
            ("gpt-5.2-pro-2025-12-11", "low", Some("medium"), true),
            ("gpt-5.1-codex-max", "xhigh", Some("xhigh"), false),
            ("gpt-5.1-codex-mini", "none", Some("medium"), true),
            ("gpt-5.6-sol", "max", Some("max"), false),
            ("o3", "none", Some("low"), true),
            ("gpt-5", "unheard-of", Some("unheard-of"), false),
            ("gpt-4o", "high", None, true),
            ("gpt-4o", "none", None, false),
            ("deepseek-chat", "max", Some("max"), false),
        ] {
            let (chosen, rule) = Server::named(SchemaName::OpenAI, model).effort(asked);
            assert_eq!((chosen, rule.is_some()), (effort, is_lost), "{model} {asked}");
        }
    }

    #[test]
    fn ids_and_users_are_as_long_as_openai_takes_them() {
        let openai = Server::named(SchemaName::OpenAI, "gpt-5");
        let other = Server::named(SchemaName::OpenAI, "llama");
        let long = "x".repeat(65);
        assert_eq!(openai.call_id(&long).len(), MAX_CALL_ID);
        assert_eq!(openai.call_id("call.1:0"), "call.1:0");
        assert_eq!(other.call_id(&long), long);
        assert_eq!(openai.user(&long).0.len(), MAX_USER);
        assert_eq!(openai.user("ann").0, "ann");
        assert_eq!(openai.tool_name(&long).len(), MAX_TOOL_NAME);
        assert_eq!(openai.tool_name("a.b").split('_').next(), Some("a"));
        assert_ne!(openai.call_id(&long), openai.call_id(&"x".repeat(66)));
    }
}
