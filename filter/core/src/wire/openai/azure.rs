//! Azure's OpenAI: <https://learn.microsoft.com/azure/foundry/openai/reference>.

use percent_encoding::utf8_percent_encode;

use super::chat;
use super::sockets::DEPLOYMENT;
use crate::config::AuthKind;
use crate::endpoint::Endpoint;
use crate::wire::schema::{BackendCodec, Fits, Mend, Native, Schema, To, VALUE, native};

/// Azure OpenAI.
pub(crate) static SCHEMA: Azure = Azure;

#[derive(Debug)]
pub(crate) struct Azure;

const CHAT: &str = "chat/completions";
const RESPONSES: &str = "responses";
const REALTIME: &str = "realtime";

impl Schema for Azure {
    fn provider(&self) -> &'static str {
        "azure.openai"
    }

    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] = &[
            Native::same(Endpoint::ChatCompletions, CHAT),
            Native::same(Endpoint::Completions, "completions"),
            Native::same(Endpoint::Embeddings, "embeddings"),
            Native::same(Endpoint::Responses, RESPONSES),
            Native::same(Endpoint::ResponsesInputTokens, "responses/input_tokens"),
            Native::same(Endpoint::ResponsesCompact, "responses/compact"),
            Native::same(Endpoint::StoredResponse, "responses/{response}"),
            Native::same(Endpoint::StoredResponseCancel, "responses/{response}/cancel"),
            Native::same(Endpoint::StoredResponseInput, "responses/{response}/input_items"),
            Native::same(Endpoint::Realtime, REALTIME),
            Native::same(Endpoint::ImageGenerations, "images/generations"),
            Native::same(Endpoint::ImageEdits, "images/edits"),
            Native::same(Endpoint::Speech, "audio/speech"),
            Native::same(Endpoint::Transcriptions, "audio/transcriptions"),
            Native::same(Endpoint::Translations, "audio/translations"),
        ];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&chat::CODEC)
    }

    /// A dated version has the deployment, which is the model, in the path; but for Responses, as OpenAI's SDK has it
    /// (`_deployments_endpoints` in `lib/azure.py`). Without one there is the API that is OpenAI's own:
    /// <https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle>.
    fn path(&self, to: &To<'_>) -> String {
        let operation = native(self, to.endpoint).map_or(CHAT, |native| native.path);
        let Some(version) = to.schema.version.as_deref() else { return format!("/openai/v1/{operation}") };
        let query = utf8_percent_encode(version, VALUE);
        if !version.starts_with(|first: char| first.is_ascii_digit()) {
            return format!("/openai/v1/{operation}?api-version={query}");
        }
        if operation.starts_with(RESPONSES) {
            return format!("/openai/{operation}?api-version={query}");
        }
        if operation == REALTIME {
            // https://learn.microsoft.com/azure/foundry/openai/how-to/realtime-audio-websockets
            let deployment = utf8_percent_encode(to.model, VALUE);
            return format!("/openai/{operation}?api-version={query}&{DEPLOYMENT}={deployment}");
        }
        format!("/openai/deployments/{}/{operation}?api-version={query}", to.model_segment())
    }

    fn mend(&self, to: &To<'_>) -> Option<Mend> {
        super::mend(to)
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "AzureOpenAIBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            // A bearer token is one of Entra ID, or the key.
            auth: &[AuthKind::AzureKey, AuthKind::Bearer],
            unusual: &[],
            without_auth: Some("Azure will refuse its requests"),
            prefix: false,
            version: true,
            filtered: false,
            marked: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::headers::Headers;
    use crate::wire::SchemaName;

    fn path(version: Option<&str>, endpoint: Endpoint, model: &str) -> String {
        let version = version.map(str::to_owned);
        let schema = config::Schema { name: SchemaName::AzureOpenAI, prefix: None, version };
        let headers = Headers::default();
        SCHEMA.path(&To {
            endpoint,
            schema: &schema,
            model,
            stream: false,
            default_max_tokens: 1,
            headers: &headers,
            auth: None,
            cache_marks: false,
        })
    }

    #[test]
    fn the_version_says_which_of_azures_apis_it_is() {
        let dated = Some("2024-10-21");
        for (version, endpoint, expected) in [
            (
                dated,
                Endpoint::ChatCompletions,
                "/openai/deployments/gpt%2F4o/chat/completions?api-version=2024-10-21",
            ),
            // Of a translation.
            (
                dated,
                Endpoint::Messages,
                "/openai/deployments/gpt%2F4o/chat/completions?api-version=2024-10-21",
            ),
            (dated, Endpoint::Embeddings, "/openai/deployments/gpt%2F4o/embeddings?api-version=2024-10-21"),
            (
                dated,
                Endpoint::Transcriptions,
                "/openai/deployments/gpt%2F4o/audio/transcriptions?api-version=2024-10-21",
            ),
            (dated, Endpoint::Responses, "/openai/responses?api-version=2024-10-21"),
            (dated, Endpoint::ResponsesInputTokens, "/openai/responses/input_tokens?api-version=2024-10-21"),
            (
                dated,
                Endpoint::StoredResponseCancel,
                "/openai/responses/{response}/cancel?api-version=2024-10-21",
            ),
            (dated, Endpoint::Realtime, "/openai/realtime?api-version=2024-10-21&deployment=gpt%2F4o"),
            (None, Endpoint::Realtime, "/openai/v1/realtime"),
            (None, Endpoint::StoredResponse, "/openai/v1/responses/{response}"),
            (None, Endpoint::ChatCompletions, "/openai/v1/chat/completions"),
            (None, Endpoint::Responses, "/openai/v1/responses"),
            (Some("preview"), Endpoint::Responses, "/openai/v1/responses?api-version=preview"),
        ] {
            assert_eq!(path(version, endpoint, "gpt/4o"), expected);
        }
    }

    #[test]
    fn neither_a_model_nor_a_version_leads_elsewhere() {
        let path = path(Some("2024-10-21&x=/../#"), Endpoint::Completions, "../x?a#b");
        assert_eq!(
            path,
            "/openai/deployments/..%2Fx%3Fa%23b/completions?api-version=2024-10-21%26x%3D%2F..%2F%23"
        );
    }
}
