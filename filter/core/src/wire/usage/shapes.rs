//! The shapes that counters come in.

use serde::Deserialize;

use super::{Count, object};
use crate::usage::{Counter, Usage};

/// OpenAI's two ways to say it: `prompt_tokens` (chat, completions, embeddings) and `input_tokens` (responses, images,
/// audio). Compatible servers use either anywhere, so both are read everywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OpenAiUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<Box<InputDetails>>,
    /// Transcriptions and the Realtime API leave out an `s`.
    #[serde(alias = "input_token_details")]
    input_tokens_details: Option<Box<InputDetails>>,
    completion_tokens_details: Option<Box<OutputDetails>>,
    #[serde(alias = "output_token_details")]
    output_tokens_details: Option<Box<OutputDetails>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    /// The three names that servers give to cache writes.
    cache_creation_input_tokens: Count,
    cache_creation_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

impl From<OpenAiUsage> for Usage {
    fn from(usage: OpenAiUsage) -> Self {
        let input = usage.prompt_tokens_details.or(usage.input_tokens_details).unwrap_or_default();
        let output = usage.completion_tokens_details.or(usage.output_tokens_details).unwrap_or_default();
        let cache_writes =
            [input.cache_creation_input_tokens, input.cache_creation_tokens, input.cache_write_tokens];
        Usage::of([
            (Counter::Input, usage.prompt_tokens.get().or(usage.input_tokens.get())),
            (Counter::CachedInput, input.cached_tokens.get()),
            (Counter::CacheCreationInput, cache_writes.into_iter().find_map(Count::get)),
            (Counter::Output, usage.completion_tokens.get().or(usage.output_tokens.get())),
            (Counter::Reasoning, output.reasoning_tokens.get()),
            (Counter::Total, usage.total_tokens.get()),
            (Counter::AudioInput, input.audio_tokens.get()),
            (Counter::ImageInput, input.image_tokens.get()),
            (Counter::AudioOutput, output.audio_tokens.get()),
            (Counter::ImageOutput, output.image_tokens.get()),
        ])
    }
}

/// `tool_usage` of a response, beside its `usage`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OpenAiTools {
    #[serde(deserialize_with = "object")]
    web_search: ToolRequests,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolRequests {
    num_requests: Count,
}

impl From<OpenAiTools> for Usage {
    fn from(tools: OpenAiTools) -> Self {
        Usage::of([(Counter::WebSearches, tools.web_search.num_requests.get())])
    }
}

/// `usage` of Cohere's chat and `meta` of its other answers: what was used, else what is charged for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CohereMeta {
    tokens: Option<CohereTokens>,
    #[serde(deserialize_with = "object")]
    billed_units: CohereUnits,
    /// Those of the input that its cache had.
    cached_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CohereTokens {
    input_tokens: Count,
    output_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CohereUnits {
    input_tokens: Count,
    output_tokens: Count,
    image_tokens: Count,
    images: Count,
    search_units: Count,
}

impl From<CohereMeta> for Usage {
    fn from(meta: CohereMeta) -> Self {
        let CohereUnits { input_tokens, output_tokens, image_tokens, images, search_units } =
            meta.billed_units;
        let tokens = meta.tokens.unwrap_or(CohereTokens { input_tokens, output_tokens });
        Usage::of([
            (Counter::Input, tokens.input_tokens.get()),
            (Counter::CachedInput, meta.cached_tokens.get()),
            (Counter::Output, tokens.output_tokens.get()),
            (Counter::ImageInput, image_tokens.get()),
            (Counter::Images, images.get()),
            (Counter::SearchUnits, search_units.get()),
        ])
        .with_total()
    }
}
