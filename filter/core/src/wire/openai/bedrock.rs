//! Bedrock's endpoints that are compatible with OpenAI's:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html>.
//!
//! The host `bedrock-runtime.REGION.amazonaws.com` has them below `/openai/v1`, the host
//! `bedrock-mantle.REGION.api.aws` below `/v1` or `/openai/v1`, which depends on the model
//! (<https://docs.aws.amazon.com/bedrock/latest/userguide/inference-responses-api.html>).

use super::chat;
use crate::config::AuthKind;
use crate::endpoint::Endpoint;
use crate::wire::schema::{BackendCodec, Fits, Mend, Native, Schema, To, native};

/// OpenAI's API on Bedrock.
pub(crate) static SCHEMA: Bedrock = Bedrock;

#[derive(Debug)]
pub(crate) struct Bedrock;

impl Schema for Bedrock {
    fn provider(&self) -> &'static str {
        "aws.openai"
    }

    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] = &[
            Native::same(Endpoint::ChatCompletions, "chat/completions"),
            Native::same(Endpoint::Responses, "responses"),
            Native::same(Endpoint::ResponsesCompact, "responses/compact"),
            Native::same(Endpoint::StoredResponse, "responses/{response}"),
            Native::same(Endpoint::StoredResponseCancel, "responses/{response}/cancel"),
            Native::same(Endpoint::StoredResponseInput, "responses/{response}/input_items"),
        ];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&chat::CODEC)
    }

    fn path(&self, to: &To<'_>) -> String {
        to.path_below("openai/v1", native(self, to.endpoint).map_or("chat/completions", |native| native.path))
    }

    fn mend(&self, to: &To<'_>) -> Option<Mend> {
        super::mend(to)
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "AWSBedrockBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            // Bedrock also takes API keys as bearer tokens.
            auth: &[AuthKind::AwsSigv4, AuthKind::Bearer],
            unusual: &[],
            without_auth: Some("AWS will refuse its requests"),
            prefix: true,
            version: false,
            filtered: false,
            marked: false,
        }
    }
}
