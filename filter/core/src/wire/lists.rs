//! The lists of what the gateway speaks. A new schema or client API is a folder beside this file and a line here.

use serde::{Deserialize, Serialize};

use super::api::Api;
use super::schema::Schema;
use super::{anthropic, cohere, converse, gemini, openai};

/// The schemas by the names that configurations have for them.
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident: $schema:expr,)*) => {
        /// The schemas that the filter can talk to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum SchemaName {
            $($(#[$doc])* $name,)*
        }

        impl SchemaName {
            /// All of them.
            pub const ALL: &[SchemaName] = &[$(SchemaName::$name,)*];

            /// What the name stands for.
            #[must_use]
            pub fn schema(self) -> &'static dyn Schema {
                match self {
                    $(SchemaName::$name => &$schema,)*
                }
            }
        }
    };
}

/// The client APIs. The first one is that of paths which say nothing else, and of what Envoy says by itself.
macro_rules! apis {
    ($(#[$first_doc:meta])* $first:ident: $first_api:expr, $($(#[$doc:meta])* $name:ident: $api:expr,)*) => {
        /// The API whose shapes a client expects, also in errors.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum ClientApi {
            $(#[$first_doc])*
            #[default]
            $first,
            $($(#[$doc])* $name,)*
        }

        impl ClientApi {
            /// All of them.
            pub const ALL: &[ClientApi] = &[ClientApi::$first, $(ClientApi::$name,)*];

            /// What the name stands for.
            #[must_use]
            pub fn api(self) -> &'static dyn Api {
                match self {
                    ClientApi::$first => &$first_api,
                    $(ClientApi::$name => &$api,)*
                }
            }
        }
    };
}

schemas! {
    /// OpenAI's API and everything compatible with it.
    OpenAI: openai::SCHEMA,
    /// The same without Responses, as many servers have it that are compatible with the rest.
    OpenAIChat: openai::CHAT_ONLY,
    /// OpenAI's API as Azure serves it.
    AzureOpenAI: openai::azure::SCHEMA,
    /// OpenAI's API as Bedrock serves it.
    AWSOpenAI: openai::bedrock::SCHEMA,
    /// Anthropic's Messages API.
    Anthropic: anthropic::SCHEMA,
    /// Anthropic's models through Bedrock's InvokeModel.
    AWSAnthropic: anthropic::INVOKE_MODEL,
    /// Every model on Bedrock, through its Converse.
    AWSBedrock: converse::SCHEMA,
    /// Cohere's API v2.
    Cohere: cohere::SCHEMA,
    /// Anthropic's models on Vertex AI.
    GCPAnthropic: anthropic::VERTEX,
    /// Gemini on Vertex AI.
    GCPVertexAI: gemini::SCHEMA,
}

apis! {
    /// `{"error": {...}}`, `data: [DONE]`.
    OpenAi: openai::API,
    /// `{"type": "error", "error": {...}}`, named SSE events.
    Anthropic: anthropic::API,
    /// `{"message": "..."}`.
    Cohere: cohere::API,
    /// `{"error": {"code": 400, "status": "...", ...}}`.
    Gemini: gemini::API,
}

impl ClientApi {
    /// The API of a path that is no endpoint, so that even a 404 comes in the shape its sender can read.
    #[must_use]
    pub fn of_path(path: &str) -> ClientApi {
        let path = path.trim_start_matches('/');
        let begins = |prefix: &&str| path.starts_with(prefix.trim_start_matches('/'));
        let has = |mark: &&str| path.contains(mark);
        let is_it = |api: &&ClientApi| {
            let api = api.api();
            api.prefixes().iter().any(&begins) || api.marks().iter().any(&has)
        };
        ClientApi::ALL.iter().find(is_it).copied().unwrap_or_default()
    }
}
