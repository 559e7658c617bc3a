//! What Gemini is known to refuse of what other APIs allow, in one table, each rule with its source.
//!
//! What has to be changed or left out is a loss, for the reason of its rule.

use std::borrow::Cow;

use crate::wire::names::{digest, stand_in};
use crate::wire::rule::rules;

/// Google's own SDK, in which each field says what it may be.
const TYPES: &str = "https://github.com/googleapis/python-genai/blob/main/google/genai/types.py";
const THINKING: &str = "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking";
const LABELS: &str = "https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/add-labels-to-api-calls";
const PAIRS: &str = "https://github.com/google-gemini/gemini-cli/issues/16984";

rules! {
    /// One thing that Gemini refuses.
    NoMessage: "Gemini takes no system prompt alone: it is sent as the user's message",
        TYPES;
    InstructionsMoved: "Gemini takes instructions before the conversation only: they were moved there",
        TYPES;
    CallFirst: "Gemini wants a user's message before a call: one was put there",
        "https://github.com/google-gemini/gemini-cli/issues/11814";
    ResultMoved: "Gemini wants a tool's result directly behind its call: it was moved there",
        PAIRS;
    ResultMissing: "Gemini wants a result of each call: an error that says there is none was put behind it",
        PAIRS;
    ResultUnasked: "Gemini takes no tool result without a call that waits for it",
        PAIRS;
    Arguments: "Gemini takes arguments that are a JSON object only: they are text inside of one",
        TYPES;
    HalfCharacter: "an escaped half of a surrogate pair is no character: U+FFFD stands for it",
        TYPES;
    ToolName: "Gemini takes tool names of letters, digits, _, -, . and : up to 128 characters, the first a letter or _: another \
               one stands for it",
        TYPES;
    SameTool: "Gemini takes each tool once: this one was there already",
        TYPES;
    Strict: "Gemini does not hold arguments to the schema where the model decides whether to call",
        "https://docs.cloud.google.com/ruby/docs/reference/google-cloud-ai_platform-v1/latest/\
         Google-Cloud-AIPlatform-V1-FunctionCallingConfig-Mode";
    OneCall: "Gemini cannot be held to one call at a time",
        TYPES;
    ForeignSeal: "only its own provider reads this signature",
        "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures";
    Detail: "this model looks at all pictures alike",
        TYPES;
    Marks: "Gemini caches by itself and takes no marks",
        "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/context-cache/context-cache-overview";
    JsonAndTools: "this model takes no JSON format beside functions",
        "https://github.com/googleapis/python-genai/issues/867";
    Seed: "Gemini's seeds have 32 bits: the lower ones are sent",
        TYPES;
    NoThinking: "this model does not think",
        THINKING;
    AlwaysThinks: "this model always thinks: it was asked to think as little as it can",
        THINKING;
    Budget: "this model takes another budget: the nearest was chosen",
        THINKING;
    LevelNotBudget: "this model thinks by levels: the nearest was chosen",
        THINKING;
    Level: "this model has no such level: the nearest was chosen",
        THINKING;
    BudgetCounts: "thinking.budget_tokens says something else, which counts",
        THINKING;
    Label: "labels have lower-case letters, digits, _ and -, up to 63: another one stands for it",
        LABELS;
    LabelText: "labels are texts",
        LABELS;
    TooManyLabels: "Gemini takes 64 labels",
        LABELS;
    SchemaKeyword: "this model's schemas have no such keyword",
        TYPES;
}

/// What Vertex AI takes for the signature of a call that Gemini did not make, as it stands and not in Base64:
/// <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures#using-rest-or-manual-handling>,
/// <https://github.com/langchain-ai/langchain-google/issues/1570>.
pub(super) const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// A tool's name, in characters.
const MAX_TOOL_NAME: usize = 128;

/// A label's key or value, in characters, and how many there may be.
const MAX_LABEL: usize = 63;
pub(super) const MAX_LABELS: usize = 64;

/// A tool's name that Gemini takes ([`Rule::ToolName`]). The way back is among the tools of the request.
pub(super) fn tool_name(name: &str) -> Cow<'_, str> {
    let is_first = |char: char| char.is_ascii_alphabetic() || char == '_';
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.' | ':');
    if name.len() <= MAX_TOOL_NAME && name.starts_with(is_first) && name.chars().all(is_allowed) {
        return Cow::Borrowed(name);
    }
    let stand_in = stand_in(name, MAX_TOOL_NAME - 1, "_");
    Cow::Owned(if stand_in.starts_with(is_first) { stand_in } else { format!("_{stand_in}") })
}

/// A label's key; it begins with a letter.
pub(super) fn label_key(key: &str) -> Cow<'_, str> {
    if is_label(key) && key.starts_with(|char: char| char.is_ascii_lowercase()) {
        return Cow::Borrowed(key);
    }
    Cow::Owned(format!("label_{}", digest(key).get(..16).unwrap_or_default()))
}

/// A label's value. A digest stands for what none may be: it still tells values apart, and says nothing of a person.
pub(super) fn label_value(value: &str) -> Cow<'_, str> {
    if is_label(value) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(digest(value).get(..32).unwrap_or_default().to_owned())
}

/// Narrower than what Google says, which takes international characters as well.
fn is_label(text: &str) -> bool {
    let is_allowed =
        |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '_' | '-');
    text.len() <= MAX_LABEL && text.chars().all(is_allowed)
}
