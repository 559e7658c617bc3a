//! OpenAI's API: its endpoints, its conventions, and the schema of all servers that are compatible with it.
//!
//! <https://platform.openai.com/docs/api-reference>. The conversation APIs have folders of their own.

pub(crate) mod azure;
pub(crate) mod bedrock;
pub(in crate::wire) mod chat;
pub(in crate::wire) mod custom;
mod embeddings;
mod rerank;
pub(crate) mod responses;
pub(crate) mod sockets;

use serde_json::{Value, json};

use super::api::{Api, ModelsList};
use super::glance;
use super::job::{Asks, BackendJob};
use super::openai_chat;
use super::schema::{BackendCodec, Fits, Mend, Native, Schema, To, native};
use super::usage::{Counters, Shape, Tokens, Watch};
use crate::config::{AuthKind, Model};
use crate::endpoint::{Body, ClientApi, Endpoint, Operation, Path};
use crate::error::{Error, Kind};
use crate::job::rerank::Rerank;

/// What most of its endpoints have in common.
const POST: Operation = Operation {
    name: "",
    path: Path::Exact(""),
    api: ClientApi::OpenAi,
    body: Body::Json,
    glance: glance::json,
    watch: Watch::NOTHING,
    asks: None,
    refers: None,
};

const TOKENS: Watch = Watch { tokens: Tokens::InputAndOutput, ..Watch::NOTHING };

pub(crate) static CHAT_COMPLETIONS: Operation = Operation {
    name: "chat",
    path: Path::Exact("/v1/chat/completions"),
    watch: Watch { shape: Shape::Chat, ..TOKENS },
    asks: Some(Asks::Conversation(&openai_chat::CLIENT)),
    ..POST
};

pub(crate) static COMPLETIONS: Operation = Operation {
    name: "completion",
    path: Path::Exact("/v1/completions"),
    watch: Watch { shape: Shape::Completions, ..TOKENS },
    asks: Some(Asks::Conversation(&openai_chat::COMPLETIONS)),
    ..POST
};

pub(crate) static EMBEDDINGS: Operation = Operation {
    name: "embeddings",
    path: Path::Exact("/v1/embeddings"),
    watch: Watch { tokens: Tokens::Input, ..Watch::NOTHING },
    asks: Some(Asks::Embeddings(&embeddings::CLIENT)),
    ..POST
};

pub(crate) static RESPONSES: Operation = Operation {
    name: "responses",
    path: Path::Exact("/v1/responses"),
    watch: Watch { shape: Shape::Responses, ..TOKENS },
    asks: Some(Asks::Conversation(&responses::CLIENT)),
    refers: Some(responses::kept::of_body),
    ..POST
};

pub(crate) static RESPONSES_INPUT_TOKENS: Operation = Operation {
    name: "responses_input_tokens",
    path: Path::Exact("/v1/responses/input_tokens"),
    watch: Watch { counters: Counters::InputTokens, ..Watch::NOTHING },
    asks: Some(Asks::Conversation(&responses::COUNT)),
    refers: Some(responses::kept::of_body),
    ..POST
};

pub(crate) static RESPONSES_COMPACT: Operation = Operation {
    name: "responses_compact",
    path: Path::Exact("/v1/responses/compact"),
    watch: Watch { shape: Shape::Responses, ..TOKENS },
    refers: Some(responses::kept::of_body),
    ..POST
};

pub(crate) static STORED_RESPONSE: Operation =
    Operation { name: "response", body: Body::Stored(&["GET", "DELETE"]), ..STORED };

pub(crate) static STORED_RESPONSE_CANCEL: Operation = Operation {
    name: "response_cancel",
    path: Path::Named("/v1/responses", "/cancel"),
    body: Body::Stored(&["POST"]),
    ..STORED
};

pub(crate) static STORED_RESPONSE_INPUT: Operation =
    Operation { name: "response_input_items", path: Path::Named("/v1/responses", "/input_items"), ..STORED };

/// What those of a stored response have in common. What it cost was charged when it was made.
const STORED: Operation = Operation {
    path: Path::Named("/v1/responses", ""),
    body: Body::Stored(&["GET"]),
    glance: glance::stored,
    watch: Watch { shape: Shape::Responses, counters: Counters::Nothing, ..Watch::NOTHING },
    refers: Some(responses::kept::of_path),
    ..POST
};

pub(crate) static IMAGE_GENERATIONS: Operation =
    Operation { name: "image_generation", path: Path::Exact("/v1/images/generations"), ..POST };

pub(crate) static IMAGE_EDITS: Operation = Operation {
    name: "image_edit",
    path: Path::Exact("/v1/images/edits"),
    body: Body::FormOrJson,
    glance: glance::image_form_or_json,
    ..POST
};

pub(crate) static IMAGE_VARIATIONS: Operation = Operation {
    name: "image_variation",
    path: Path::Exact("/v1/images/variations"),
    body: Body::Form,
    glance: glance::image_form,
    ..POST
};

pub(crate) static MODERATIONS: Operation = Operation {
    name: "moderation",
    path: Path::Exact("/v1/moderations"),
    glance: |_, body| glance::json_or(body, Some(MODERATION)),
    ..POST
};

/// The model of who names none: <https://platform.openai.com/docs/api-reference/moderations/create>.
const MODERATION: &str = "omni-moderation-latest";

pub(crate) static SPEECH: Operation = Operation {
    name: "speech",
    path: Path::Exact("/v1/audio/speech"),
    watch: Watch { is_opaque: true, always_streams: true, ..Watch::NOTHING },
    ..POST
};

pub(crate) static TRANSCRIPTIONS: Operation =
    Operation { name: "transcription", path: Path::Exact("/v1/audio/transcriptions"), ..FORM };

pub(crate) static TRANSLATIONS: Operation =
    Operation { name: "translation", path: Path::Exact("/v1/audio/translations"), ..FORM };

const FORM: Operation = Operation {
    body: Body::Form,
    glance: glance::form,
    watch: Watch { is_opaque: true, ..Watch::NOTHING },
    ..POST
};

pub(crate) static TOKENIZE: Operation = Operation {
    name: "tokenize",
    path: Path::Exact("/tokenize"),
    watch: Watch { counters: Counters::Count, ..Watch::NOTHING },
    asks: Some(Asks::Conversation(&openai_chat::TOKENIZE)),
    ..POST
};

pub(crate) static MODELS: Operation =
    Operation { name: "models", path: Path::List(MODELS_LIST.path), body: Body::None, ..POST };

/// <https://platform.openai.com/docs/api-reference/models>
static MODELS_LIST: ModelsList = ModelsList {
    path: "/v1/models",
    one: |Model { id, created, owned_by, .. }| json!({ "id": id, "object": "model", "created": created, "owned_by": owned_by }),
    all: |models| json!({ "object": "list", "data": models }),
};

/// What its clients expect.
pub(crate) static API: OpenAiApi = OpenAiApi;

#[derive(Debug)]
pub(crate) struct OpenAiApi;

impl Api for OpenAiApi {
    fn prefixes(&self) -> &'static [&'static str] {
        &[]
    }

    /// OpenAI's own members, plus the `type` and string `code` that users of Envoy AI Gateway know.
    fn error(&self, error: &Error) -> Value {
        json!({
            "type": "error",
            "error": {
                "message": error.message(),
                "type": own_type(error),
                "param": error.place(),
                "code": error_code(error),
            },
        })
    }

    /// Only responses count their events, and they have an event of their own for it.
    fn next_error_event(&self, error: &Error, number: Option<u64>) -> Vec<u8> {
        number.map_or_else(|| self.error_event(error), |number| responses::error_event(error, number))
    }

    /// <https://platform.openai.com/docs/guides/error-codes>. Anthropic's is another, though it has the same members.
    fn is_error(&self, body: &Value) -> bool {
        super::error::has_type_and_message(body) && body.get("type").is_none()
    }

    fn answer_id(&self, unique: &str) -> String {
        format!("chatcmpl-{unique}")
    }

    fn models(&self) -> Option<&'static ModelsList> {
        Some(&MODELS_LIST)
    }
}

/// The provider's own type: users of Envoy AI Gateway know those of AWS and Google. What OpenAI has a word for is
/// called that.
pub(in crate::wire) fn own_type(error: &Error) -> &str {
    match error.provider_type() {
        Some(own) => super::error::openais_word(own).unwrap_or(own),
        None => error_type(error.status()),
    }
}

/// <https://platform.openai.com/docs/guides/error-codes>
fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 => "service_unavailable_error",
        504 => "timeout_error",
        _ => "server_error",
    }
}

pub(in crate::wire) fn error_code(error: &Error) -> String {
    match error.kind() {
        Kind::Provider(_) if super::error::is_prompt_too_long(error) => "context_length_exceeded".to_owned(),
        Kind::UnknownModel => "model_not_found".to_owned(),
        Kind::RateLimited => "rate_limit_exceeded".to_owned(),
        _ => error.status().to_string(),
    }
}

/// OpenAI, and what is compatible with it.
pub(crate) static SCHEMA: OpenAi = OpenAi { natives: NATIVES };

/// What is compatible with OpenAI but for Responses, whose clients it is translated for.
pub(crate) static CHAT_ONLY: OpenAi = OpenAi { natives: NATIVES.split_at(RESPONSES_OF_THEM).1 };

const NATIVES: &[Native] = &[
    Native::same(Endpoint::Responses, "responses"),
    Native::same(Endpoint::ResponsesInputTokens, "responses/input_tokens"),
    Native::same(Endpoint::ResponsesCompact, "responses/compact"),
    Native::same(Endpoint::StoredResponse, "responses/{response}"),
    Native::same(Endpoint::StoredResponseCancel, "responses/{response}/cancel"),
    Native::same(Endpoint::StoredResponseInput, "responses/{response}/input_items"),
    Native::same(Endpoint::ResponsesSocket, "responses"),
    Native::same(Endpoint::Realtime, "realtime"),
    Native::same(Endpoint::ChatCompletions, "chat/completions"),
    Native::same(Endpoint::Completions, "completions"),
    Native::same(Endpoint::Embeddings, "embeddings"),
    Native::same(Endpoint::ImageGenerations, "images/generations"),
    Native::same(Endpoint::ImageEdits, "images/edits"),
    Native::same(Endpoint::ImageVariations, "images/variations"),
    Native::same(Endpoint::Moderations, "moderations"),
    Native::same(Endpoint::Speech, "audio/speech"),
    Native::same(Endpoint::Transcriptions, "audio/transcriptions"),
    Native::same(Endpoint::Translations, "audio/translations"),
    // vLLM's own, and not below the prefix.
    Native::same(Endpoint::Tokenize, TOKENIZE_PATH),
];

/// How many of them are about Responses: the first.
const RESPONSES_OF_THEM: usize = 7;

#[derive(Debug)]
pub(crate) struct OpenAi {
    natives: &'static [Native],
}

impl Schema for OpenAi {
    fn provider(&self) -> &'static str {
        "openai"
    }

    fn natives(&self) -> &'static [Native] {
        self.natives
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&chat::CODEC)
    }

    fn reranker(&self) -> Option<&'static dyn BackendJob<Rerank>> {
        Some(&rerank::BACKEND)
    }

    fn path(&self, to: &To<'_>) -> String {
        match native(self, to.endpoint).map_or("chat/completions", |native| native.path) {
            TOKENIZE_PATH => TOKENIZE_PATH.to_owned(),
            operation => to.path_below("v1", operation),
        }
    }

    fn mend(&self, to: &To<'_>) -> Option<Mend> {
        mend(to)
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "OpenAIBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            auth: &[AuthKind::Bearer],
            // Azure's API without a version is reached like this, too.
            unusual: &[(AuthKind::AzureKey, "OpenAI itself wants")],
            without_auth: None,
            prefix: true,
            version: false,
            filtered: false,
            // Gateways before Claude are compatible, too.
            marked: true,
        }
    }
}

/// What is to be done to a conversation that other models took part in, for OpenAI's own.
fn mend(to: &To<'_>) -> Option<Mend> {
    chat::mend(to).or_else(|| responses::mend(to))
}

const TOKENIZE_PATH: &str = "/tokenize";
