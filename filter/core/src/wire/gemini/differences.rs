//! Where Gemini's own API and Vertex AI's differ in what they take, in one table, each rule with its source.
//!
//! * A content without a role is the user's for the one, and a 400 for the other:
//!   <https://github.com/BerriAI/litellm/issues/32731>.
//! * `countTokens` of the one may have a whole request in it, that of the other has the conversation only:
//!   <https://ai.google.dev/api/tokens>,
//!   <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens>.
//! * What only the one knows is in [`UNKNOWN`], as Google's SDK refuses it for the other. What only the other knows
//!   (`labels`, `audioTimestamp`, `modelArmorConfig`, ..) is no reason to refuse it here: it passes.

use crate::wire::rule::rules;

rules! {
    /// One thing that Gemini's own API takes and Vertex AI does not.
    NotAtVertex: "only the Gemini API has it, not Vertex AI",
        "https://github.com/googleapis/python-genai/blob/main/google/genai/models.py";
    NotCounted: "Vertex AI counts the conversation only",
        "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens";
    ForeignThought: "another model's thought",
        "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures";
}

/// Members, by where they stand.
pub(super) struct Unknown {
    pub(super) request: &'static [&'static str],
    pub(super) generation_config: &'static [&'static str],
    pub(super) tool_config: &'static [&'static str],
    pub(super) tool: &'static [&'static str],
    /// What a part is, so that all of it goes.
    pub(super) parts: &'static [&'static str],
    pub(super) part: &'static [&'static str],
    pub(super) response: &'static [&'static str],
    pub(super) response_part: &'static [&'static str],
    pub(super) replicated_voice: &'static [&'static str],
}

/// [`Rule::NotAtVertex`]
pub(super) static UNKNOWN: Unknown = Unknown {
    request: &["store"],
    generation_config: &["enableEnhancedCivicAnswers"],
    tool_config: &["includeServerSideToolInvocations"],
    tool: &["fileSearch", "mcpServers"],
    parts: &["toolCall", "toolResponse"],
    part: &["partMetadata"],
    response: &["willContinue"],
    response_part: &["mediaProcessing"],
    replicated_voice: &["consentAudio", "voiceConsentSignature"],
};

/// What `countTokens` of Vertex AI takes.
pub(super) const COUNTED: [&str; 4] = ["contents", "systemInstruction", "tools", "generationConfig"];
