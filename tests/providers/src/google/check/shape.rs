//! Which fields a request has, and of which type.

use serde_json::Value;

use crate::google::Refusal;

/// What a field may be.
pub(in crate::google) enum Kind {
    Any,
    Text,
    Number,
    Bool,
    Texts,
    /// An object of this shape.
    Of(Shape),
    /// A list of such objects.
    ListOf(Shape),
    /// An object of texts.
    Labels,
    /// One of these words.
    Word(&'static [&'static str]),
}

pub(in crate::google) type Shape = &'static [(&'static str, Kind)];

pub(super) const REQUEST: Shape = &[
    ("contents", Kind::ListOf(CONTENT)),
    ("systemInstruction", Kind::Of(CONTENT)),
    ("tools", Kind::ListOf(TOOL)),
    ("toolConfig", Kind::Of(&[("functionCallingConfig", Kind::Of(CALLING)), ("retrievalConfig", Kind::Any)])),
    ("generationConfig", Kind::Of(GENERATION)),
    ("safetySettings", Kind::ListOf(SAFETY)),
    ("labels", Kind::Labels),
    ("cachedContent", Kind::Text),
    ("modelArmorConfig", Kind::Any),
    ("serviceTier", Kind::Word(&["standard", "flex", "priority"])),
];
const CONTENT: Shape = &[("role", Kind::Word(&["user", "model"])), ("parts", Kind::ListOf(PART))];
const PART: Shape = &[
    ("text", Kind::Text),
    ("thought", Kind::Bool),
    ("thoughtSignature", Kind::Text),
    ("inlineData", Kind::Of(BLOB)),
    ("fileData", Kind::Of(FILE)),
    ("functionCall", Kind::Of(CALL)),
    ("functionResponse", Kind::Of(RESPONSE)),
    ("executableCode", Kind::Any),
    ("codeExecutionResult", Kind::Any),
    ("videoMetadata", Kind::Any),
    ("mediaResolution", Kind::Of(&[("level", Kind::Word(RESOLUTIONS))])),
];
const BLOB: Shape = &[("mimeType", Kind::Text), ("data", Kind::Text), ("displayName", Kind::Text)];
const FILE: Shape = &[("mimeType", Kind::Text), ("fileUri", Kind::Text), ("displayName", Kind::Text)];
const CALL: Shape = &[("id", Kind::Text), ("name", Kind::Text), ("args", Kind::Any)];
const RESPONSE: Shape = &[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("response", Kind::Any),
    ("parts", Kind::ListOf(&[("inlineData", Kind::Of(BLOB)), ("fileData", Kind::Of(FILE))])),
];
const TOOL: Shape = &[
    ("functionDeclarations", Kind::ListOf(FUNCTION)),
    ("googleSearch", Kind::Any),
    ("googleSearchRetrieval", Kind::Any),
    ("googleMaps", Kind::Any),
    ("enterpriseWebSearch", Kind::Any),
    ("codeExecution", Kind::Any),
    ("urlContext", Kind::Any),
    ("retrieval", Kind::Any),
];
const FUNCTION: Shape = &[
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("parameters", Kind::Any),
    ("parametersJsonSchema", Kind::Any),
    ("response", Kind::Any),
    ("responseJsonSchema", Kind::Any),
];
const CALLING: Shape =
    &[("mode", Kind::Word(&["AUTO", "ANY", "NONE"])), ("allowedFunctionNames", Kind::Texts)];
const GENERATION: Shape = &[
    ("temperature", Kind::Number),
    ("topP", Kind::Number),
    ("topK", Kind::Number),
    ("candidateCount", Kind::Number),
    ("maxOutputTokens", Kind::Number),
    ("stopSequences", Kind::Texts),
    ("responseLogprobs", Kind::Bool),
    ("logprobs", Kind::Number),
    ("presencePenalty", Kind::Number),
    ("frequencyPenalty", Kind::Number),
    ("seed", Kind::Number),
    ("responseMimeType", Kind::Text),
    ("responseSchema", Kind::Any),
    ("responseJsonSchema", Kind::Any),
    ("responseModalities", Kind::Texts),
    ("speechConfig", Kind::Any),
    ("audioTimestamp", Kind::Bool),
    ("imageConfig", Kind::Any),
    ("routingConfig", Kind::Any),
    ("mediaResolution", Kind::Word(RESOLUTIONS)),
    (
        "thinkingConfig",
        Kind::Of(&[
            ("includeThoughts", Kind::Bool),
            ("thinkingBudget", Kind::Number),
            ("thinkingLevel", Kind::Word(&["MINIMAL", "LOW", "MEDIUM", "HIGH"])),
        ]),
    ),
];
const SAFETY: Shape = &[("category", Kind::Text), ("threshold", Kind::Text), ("method", Kind::Text)];
const RESOLUTIONS: &[&str] = &["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"];

/// What `countTokens` takes of it.
pub(super) const COUNTED: Shape = &[
    ("contents", Kind::ListOf(CONTENT)),
    ("systemInstruction", Kind::Of(CONTENT)),
    ("tools", Kind::ListOf(TOOL)),
    ("generationConfig", Kind::Of(GENERATION)),
];

pub(in crate::google) fn shape(path: &str, value: &Value, shape: Shape) -> Result<(), Refusal> {
    let Value::Object(members) = value else {
        return Err(Refusal::invalid(format!("Invalid value at '{path}' (type.googleapis.com), {value}")));
    };
    for (name, value) in members {
        let Some((_, kind)) = shape.iter().find(|(known, _)| known == name) else {
            let message = format!(
                "Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."
            );
            return Err(Refusal::invalid(message));
        };
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        check_kind(&path, value, kind)?;
    }
    Ok(())
}

fn check_kind(path: &str, value: &Value, kind: &Kind) -> Result<(), Refusal> {
    let is_right = match kind {
        Kind::Any => true,
        Kind::Text => value.is_string(),
        Kind::Number => value.is_number(),
        Kind::Bool => value.is_boolean(),
        Kind::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        Kind::Labels => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::Of(inner) => return shape(path, value, inner),
        Kind::ListOf(inner) => {
            let Some(list) = value.as_array() else {
                return Err(Refusal::invalid(format!("Invalid value at '{path}', {value}")));
            };
            for (index, element) in list.iter().enumerate() {
                shape(&format!("{path}[{index}]"), element, inner)?;
            }
            return Ok(());
        }
    };
    if is_right { Ok(()) } else { Err(Refusal::invalid(format!("Invalid value at '{path}', {value}"))) }
}
