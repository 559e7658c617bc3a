//! Gemini's API as a client API: requests are decoded, answers encoded.
//!
//! <https://ai.google.dev/api/generate-content>. Which model is asked, and whether for a stream, is in the path. Fields
//! are those of Google's own SDKs (`google.genai.types`).

mod config;
mod contents;
#[cfg(test)]
pub(super) mod grammar;
mod names;
mod part;
mod reply;
mod request;
mod schema;
pub(super) mod signatures;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod types;

use serde_json::json;

use crate::chat::{Losses, Reply, Request};
use crate::error::Result;
use crate::wire::prompt::Prompt;
use crate::wire::{Asked, ClientCodec, EventWriter, to_json};

/// The client's side of a translation of `generateContent`.
pub(super) static WHOLE: Client = Client { asks: Asks::Answer };

/// The same of `streamGenerateContent`.
pub(super) static STREAMED: Client = Client { asks: Asks::Stream };

/// The same of `countTokens`.
pub(super) static COUNT: Client = Client { asks: Asks::Count };

#[derive(Debug)]
pub(super) struct Client {
    asks: Asks,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Answer,
    Stream,
    /// How many tokens there are.
    Count,
}

impl ClientCodec for Client {
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        match self.asks {
            Asks::Answer | Asks::Stream => request::decode(body, self.asks == Asks::Stream, losses),
            Asks::Count => request::decode_counted(body, losses),
        }
    }

    fn words(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("messages", "contents"),
            ("tools[]", "tools[0].functionDeclarations[]"),
            ("tool_choice", "toolConfig.functionCallingConfig"),
            ("parallel_tool_calls", "toolConfig.functionCallingConfig"),
            ("max_tokens", "generationConfig.maxOutputTokens"),
            ("temperature", "generationConfig.temperature"),
            ("top_p", "generationConfig.topP"),
            ("top_k", "generationConfig.topK"),
            ("stop", "generationConfig.stopSequences"),
            ("n", "generationConfig.candidateCount"),
            ("seed", "generationConfig.seed"),
            ("presence_penalty", "generationConfig.presencePenalty"),
            ("frequency_penalty", "generationConfig.frequencyPenalty"),
            ("logprobs", "generationConfig.responseLogprobs"),
            ("top_logprobs", "generationConfig.logprobs"),
            ("response_format", "generationConfig.responseSchema"),
            ("reasoning_effort", "generationConfig.thinkingConfig.thinkingLevel"),
            ("thinking.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget"),
            ("thinking.include_thoughts", "generationConfig.thinkingConfig.includeThoughts"),
            ("thinking.display", "generationConfig.thinkingConfig.includeThoughts"),
            ("thinking", "generationConfig.thinkingConfig"),
            ("metadata", "labels"),
            ("service_tier", "serviceTier"),
            ("cached_content", "cachedContent"),
            (".arguments", ".functionCall.args"),
            (".call_id", ".functionResponse.id"),
            (".signature", ".thoughtSignature"),
            (".detail", ".mediaResolution"),
        ]
    }

    fn prompt(&self) -> Option<Prompt> {
        Some(Prompt { constant: &["systemInstruction", "system_instruction", "tools"], turns: "contents" })
    }

    fn reply(&self, asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
        match self.asks {
            Asks::Answer | Asks::Stream => reply::encode(asked, reply, losses),
            Asks::Count => to_json(&json!({ "totalTokens": reply.usage.input().unwrap_or(0) })),
        }
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(stream::Writer::new(asked))
    }

    fn counts(&self) -> bool {
        self.asks == Asks::Count
    }
}
