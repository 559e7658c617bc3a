//! What providers call their errors.

use crate::error::{Error, Kind};

/// What OpenAI and what Anthropic call the same error, where they call it differently.
const SYNONYMS: &[(&str, &str)] = &[("server_error", "api_error"), ("insufficient_quota", "billing_error")];

/// Anthropic's word for an error type of OpenAI's.
pub(in crate::wire) fn anthropics_word(openais: &str) -> Option<&'static str> {
    SYNONYMS.iter().find(|(openai, _)| *openai == openais).map(|(_, anthropic)| *anthropic)
}

/// OpenAI's word for an error type of Anthropic's.
pub(in crate::wire) fn openais_word(anthropics: &str) -> Option<&'static str> {
    SYNONYMS.iter().find(|(_, anthropic)| *anthropic == anthropics).map(|(openai, _)| *openai)
}

/// How a prompt that is too long for its model is refused, with who met the words. Agents make their conversation
/// shorter where their own API's words come, and give up where others do.
const TOO_LONG: &[(&str, &str)] = &[
    ("prompt is too long", "https://github.com/aaif-goose/goose/pull/7504"),
    ("input is too long", "https://github.com/anthropics/claude-code/issues/8637"),
    (
        "exceeds the maximum number of tokens allowed",
        "https://github.com/google-gemini/gemini-cli/issues/6678",
    ),
    // OpenAI's older models and vLLM, then OpenAI's newer ones.
    ("maximum context length is", "https://github.com/vllm-project/vllm/issues/20409"),
    ("exceeds the context window", "https://github.com/anomalyco/opencode/issues/6071"),
    ("too many tokens: ", "https://github.com/cohere-ai/sandbox-topically/issues/4"),
    (NO_ROOM, "https://github.com/anthropics/claude-code/issues/476"),
];

/// How Claude refuses a prompt that leaves too little of its context for the answer, at Anthropic and on Bedrock.
pub(in crate::wire) const NO_ROOM: &str = "input length and `max_tokens` exceed context limit";

/// Whether the provider refused a prompt because it is too long for the model.
pub(in crate::wire) fn is_prompt_too_long(error: &Error) -> bool {
    let is_refusal = matches!(error.kind(), Kind::Provider(400 | 413 | 422));
    is_refusal && {
        let message = error.message().to_ascii_lowercase();
        TOO_LONG.iter().any(|(words, _)| message.contains(words))
    }
}

/// The status of an error that came without one, inside a 200.
pub(super) fn status_of_type(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" | "BadRequestError" | "validationException" | "ValidationException" => 400,
        "authentication_error" | "AuthenticationError" => 401,
        "permission_error" | "accessDeniedException" | "AccessDeniedException" => 403,
        "not_found_error" | "NotFoundError" | "resourceNotFoundException" | "ResourceNotFoundException" => {
            404
        }
        "modelTimeoutException" | "ModelTimeoutException" => 408,
        "modelErrorException"
        | "ModelErrorException"
        | "modelStreamErrorException"
        | "ModelStreamErrorException" => 424,
        "request_too_large" => 413,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "insufficient_quota"
        | "modelNotReadyException"
        | "ModelNotReadyException"
        | "throttlingException"
        | "ThrottlingException"
        | "serviceQuotaExceededException"
        | "ServiceQuotaExceededException" => 429,
        "service_unavailable_error" | "serviceUnavailableException" | "ServiceUnavailableException" => 503,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    }
}
