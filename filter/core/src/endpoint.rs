//! Client-facing paths: which endpoint a request is for, and which API's conventions its client expects.

use serde::Serialize;

/// The API whose shapes a client expects, also in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientApi {
    /// `{"error": {...}}`, `data: [DONE]`.
    OpenAi,
    /// `{"type": "error", "error": {...}}`, named SSE events.
    Anthropic,
    /// `{"message": "..."}`.
    Cohere,
}

/// One client-facing operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/responses/input_tokens`
    ResponsesInputTokens,
    /// `POST /v1/images/generations`
    ImageGenerations,
    /// `POST /v1/audio/speech`
    Speech,
    /// `POST /v1/audio/transcriptions`, a multipart form
    Transcriptions,
    /// `POST /v1/audio/translations`, a multipart form
    Translations,
    /// `POST /tokenize`, in the shape of vLLM
    Tokenize,
    /// `GET /v1/models` and `GET /v1/models/{id}`, answered by the gateway
    Models,
    /// `POST /anthropic/v1/messages`
    Messages,
    /// `POST /anthropic/v1/messages/count_tokens`
    CountTokens,
    /// `GET /anthropic/v1/models` and `GET /anthropic/v1/models/{id}`, answered by the gateway
    AnthropicModels,
    /// `POST /cohere/v2/rerank`
    Rerank,
}

/// Below these the rest of the path is a model's name, slashes included.
const MODELS: &str = "/v1/models/";
const ANTHROPIC_MODELS: &str = "/anthropic/v1/models/";

impl Endpoint {
    /// The endpoint of a `:path`; the query string does not count. `None` for any other path.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Endpoint> {
        let path = path.split_once(['?', '#']).map_or(path, |(path, _)| path);
        Some(match path {
            "/v1/chat/completions" => Endpoint::ChatCompletions,
            "/v1/completions" => Endpoint::Completions,
            "/v1/embeddings" => Endpoint::Embeddings,
            "/v1/responses" => Endpoint::Responses,
            "/v1/responses/input_tokens" => Endpoint::ResponsesInputTokens,
            "/v1/images/generations" => Endpoint::ImageGenerations,
            "/v1/audio/speech" => Endpoint::Speech,
            "/v1/audio/transcriptions" => Endpoint::Transcriptions,
            "/v1/audio/translations" => Endpoint::Translations,
            "/tokenize" => Endpoint::Tokenize,
            "/v1/models" => Endpoint::Models,
            "/anthropic/v1/messages" => Endpoint::Messages,
            "/anthropic/v1/messages/count_tokens" => Endpoint::CountTokens,
            "/anthropic/v1/models" => Endpoint::AnthropicModels,
            "/cohere/v2/rerank" => Endpoint::Rerank,
            _ if Self::model_of_path(path).is_some() => match path.starts_with(MODELS) {
                true => Endpoint::Models,
                false => Endpoint::AnthropicModels,
            },
            _ => return None,
        })
    }

    /// The name of the model that a path, without its query, asks about, as it stands there: it may be percent-encoded.
    #[must_use]
    pub fn model_of_path(path: &str) -> Option<&str> {
        let model = path.strip_prefix(MODELS).or_else(|| path.strip_prefix(ANTHROPIC_MODELS))?;
        (!model.is_empty()).then_some(model)
    }

    /// The API whose shapes this endpoint's clients expect.
    #[must_use]
    pub fn client_api(self) -> ClientApi {
        match self {
            Endpoint::Messages | Endpoint::CountTokens | Endpoint::AnthropicModels => ClientApi::Anthropic,
            Endpoint::Rerank => ClientApi::Cohere,
            _ => ClientApi::OpenAi,
        }
    }

    /// The API of a path that is no endpoint, so that even a 404 comes in the shape its sender can read.
    #[must_use]
    pub fn client_api_of_path(path: &str) -> ClientApi {
        match path.trim_start_matches('/').split('/').next() {
            Some("anthropic") => ClientApi::Anthropic,
            Some("cohere") => ClientApi::Cohere,
            _ => ClientApi::OpenAi,
        }
    }

    /// The method the endpoint takes.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Endpoint::Models | Endpoint::AnthropicModels => "GET",
            _ => "POST",
        }
    }

    /// True when the request body is `multipart/form-data`, not JSON.
    #[must_use]
    pub fn takes_multipart(self) -> bool {
        matches!(self, Endpoint::Transcriptions | Endpoint::Translations)
    }

    /// True when its answers cost tokens that a provider reports, so that a missing report is worth estimating.
    #[must_use]
    pub fn uses_tokens(self) -> bool {
        matches!(
            self,
            Endpoint::ChatCompletions
                | Endpoint::Completions
                | Endpoint::Embeddings
                | Endpoint::Responses
                | Endpoint::Messages
        )
    }

    /// The name in logs, metrics and the ledger: OpenTelemetry's operation name where it has one.
    #[must_use]
    pub fn operation(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "chat",
            Endpoint::Completions => "completion",
            Endpoint::Embeddings => "embeddings",
            Endpoint::Responses => "responses",
            Endpoint::ResponsesInputTokens => "responses_input_tokens",
            Endpoint::ImageGenerations => "image_generation",
            Endpoint::Speech => "speech",
            Endpoint::Transcriptions => "transcription",
            Endpoint::Translations => "translation",
            Endpoint::Tokenize => "tokenize",
            Endpoint::Models | Endpoint::AnthropicModels => "models",
            Endpoint::Messages => "messages",
            Endpoint::CountTokens => "count_tokens",
            Endpoint::Rerank => "rerank",
        }
    }
}
