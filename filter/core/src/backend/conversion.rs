//! What becomes of a request at a backend: which endpoint reaches which schema, how, and under which path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::auth::query_without_credentials;
use crate::config::{Backend, Schema, SchemaName};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Result};
use crate::exchange::Exchange;
use crate::wire;

/// What a model name keeps as one path segment: RFC 3986 `pchar`, so that neither a slash nor a dot segment can lead
/// to another path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'=')
    .remove(b'&')
    .remove(b'+')
    .remove(b'$');

/// How a request reaches a backend's API and its answer the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    /// Client and backend speak the same API: the bytes pass, but for the model's name.
    PassThrough,
    /// The same language in another envelope: Anthropic's messages through Bedrock's InvokeModel.
    AnthropicOnBedrock,
    /// Through the neutral conversation.
    Translate,
}

impl Conversion {
    /// How `endpoint` reaches `schema`.
    ///
    /// # Errors
    /// 501 when there is no way yet.
    pub(super) fn of(endpoint: Endpoint, schema: SchemaName) -> Result<Conversion> {
        use Endpoint as E;
        use SchemaName as S;
        Ok(match (endpoint, schema) {
            (E::Messages | E::CountTokens, S::Anthropic) | (E::Rerank, S::Cohere) => Conversion::PassThrough,
            (E::Messages, S::AWSAnthropic) => Conversion::AnthropicOnBedrock,
            (E::ChatCompletions, S::Anthropic | S::AWSAnthropic) => Conversion::Translate,
            (E::Messages | E::CountTokens | E::AnthropicModels | E::Rerank, S::OpenAI)
            | (_, S::Anthropic | S::AWSAnthropic | S::Cohere) => {
                let message = format!(
                    "requests of the kind {} cannot be sent to a backend of schema {schema:?}",
                    endpoint.operation()
                );
                return Err(Error::new(Kind::Unsupported, message));
            }
            (_, S::OpenAI) => Conversion::PassThrough,
        })
    }
}

/// `anthropic_version` for the body of a request to Bedrock.
pub(super) fn bedrock_version(schema: &Schema) -> &str {
    schema.version.as_deref().unwrap_or(wire::anthropic::BEDROCK_VERSION)
}

/// The `:path` of a request for `model` at `backend`.
pub(super) fn path(exchange: &Exchange, endpoint: Endpoint, backend: &Backend, model: &str) -> String {
    let prefix = backend.schema.prefix.as_deref().unwrap_or("v1").trim_matches('/');
    let operation = match (backend.schema.name, endpoint) {
        (SchemaName::AWSAnthropic, _) => {
            let model = utf8_percent_encode(model, SEGMENT);
            let verb = if exchange.stream { "invoke-with-response-stream" } else { "invoke" };
            // What a client adds behind its own path means nothing to Bedrock.
            return format!("/model/{model}/{verb}");
        }
        (SchemaName::Anthropic, Endpoint::CountTokens) => "messages/count_tokens",
        (SchemaName::Anthropic, _) => "messages",
        (SchemaName::Cohere, _) => {
            return format!("/{}/rerank", backend.schema.version.as_deref().unwrap_or("v2"));
        }
        (SchemaName::OpenAI, Endpoint::Tokenize) => return "/tokenize".to_owned(),
        (SchemaName::OpenAI, Endpoint::Completions) => "completions",
        (SchemaName::OpenAI, Endpoint::Embeddings) => "embeddings",
        (SchemaName::OpenAI, Endpoint::Responses) => "responses",
        (SchemaName::OpenAI, Endpoint::ResponsesInputTokens) => "responses/input_tokens",
        (SchemaName::OpenAI, Endpoint::ImageGenerations) => "images/generations",
        (SchemaName::OpenAI, Endpoint::Speech) => "audio/speech",
        (SchemaName::OpenAI, Endpoint::Transcriptions) => "audio/transcriptions",
        (SchemaName::OpenAI, Endpoint::Translations) => "audio/translations",
        (SchemaName::OpenAI, _) => "chat/completions",
    };
    let mut path = if prefix.is_empty() { format!("/{operation}") } else { format!("/{prefix}/{operation}") };
    let same_api = Conversion::of(endpoint, backend.schema.name) == Ok(Conversion::PassThrough);
    if let (true, (_, Some(query))) = (same_api, exchange.headers.path_and_query()) {
        let query = query_without_credentials(query);
        if !query.is_empty() {
            path.push('?');
            path.push_str(&query);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Headers;

    fn backend(name: SchemaName, prefix: Option<&str>) -> Backend {
        Backend {
            schema: Schema { name, prefix: prefix.map(str::to_owned), version: None },
            hosts: vec!["h".to_owned()],
            address: None,
            auth: None,
        }
    }

    fn path_of(client_path: &str, stream: bool, backend: &Backend, model: &str) -> String {
        let mut exchange = Exchange::new(Headers::from([(":path", client_path)]), 0);
        exchange.stream = stream;
        path(&exchange, exchange.endpoint.unwrap(), backend, model)
    }

    #[test]
    fn the_prefix_is_normalised_and_the_query_passes() {
        let chat = "/v1/chat/completions?api-version=1";
        let openai = |prefix| backend(SchemaName::OpenAI, prefix);
        assert_eq!(path_of(chat, false, &openai(None), "m"), "/v1/chat/completions?api-version=1");
        let with_key = "/v1/chat/completions?api-key=k&api-version=1";
        assert_eq!(path_of(with_key, false, &openai(None), "m"), "/v1/chat/completions?api-version=1");
        assert_eq!(path_of("/v1/chat/completions?key=k", false, &openai(None), "m"), "/v1/chat/completions");
        assert_eq!(
            path_of(chat, false, &openai(Some("/api/v3/")), "m"),
            "/api/v3/chat/completions?api-version=1"
        );
        assert_eq!(path_of("/v1/embeddings", false, &openai(Some("")), "m"), "/embeddings");
        assert_eq!(path_of("/tokenize", false, &openai(Some("x")), "m"), "/tokenize");
        assert_eq!(path_of(chat, false, &backend(SchemaName::Anthropic, None), "m"), "/v1/messages");
    }

    #[test]
    fn a_model_is_one_path_segment_at_bedrock_whatever_it_holds() {
        let bedrock = backend(SchemaName::AWSAnthropic, None);
        let messages = "/anthropic/v1/messages";
        assert_eq!(
            path_of(messages, false, &bedrock, "anthropic.claude-3-haiku-20240307-v1:0"),
            "/model/anthropic.claude-3-haiku-20240307-v1:0/invoke"
        );
        assert_eq!(
            path_of(messages, true, &bedrock, "arn:aws:bedrock:us-east-1:1:inference-profile/x"),
            "/model/arn:aws:bedrock:us-east-1:1:inference-profile%2Fx/invoke-with-response-stream"
        );
        assert_eq!(path_of(messages, false, &bedrock, "../x?a#b %"), "/model/..%2Fx%3Fa%23b%20%25/invoke");
    }

    #[test]
    fn pairs_without_a_way_say_so() {
        let error = Conversion::of(Endpoint::Embeddings, SchemaName::AWSAnthropic).unwrap_err();
        assert_eq!(error.status(), 501);
        assert!(error.message().contains("embeddings") && error.message().contains("AWSAnthropic"));
        assert_eq!(Conversion::of(Endpoint::Rerank, SchemaName::OpenAI).unwrap_err().status(), 501);
    }
}
