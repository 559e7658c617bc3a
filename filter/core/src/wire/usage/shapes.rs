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
    #[serde(deserialize_with = "object")]
    prompt_tokens_details: InputDetails,
    #[serde(deserialize_with = "object")]
    input_tokens_details: InputDetails,
    /// Transcriptions and the Realtime API leave out an `s`.
    #[serde(deserialize_with = "object")]
    input_token_details: InputDetails,
    #[serde(deserialize_with = "object")]
    completion_tokens_details: OutputDetails,
    #[serde(deserialize_with = "object")]
    output_tokens_details: OutputDetails,
    #[serde(deserialize_with = "object")]
    output_token_details: OutputDetails,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
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

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

impl From<OpenAiUsage> for Usage {
    fn from(usage: OpenAiUsage) -> Self {
        let inputs = [usage.prompt_tokens_details, usage.input_tokens_details, usage.input_token_details];
        let input = |count: fn(&InputDetails) -> Count| inputs.iter().map(count).find_map(Count::get);
        let outputs =
            [usage.completion_tokens_details, usage.output_tokens_details, usage.output_token_details];
        let output = |count: fn(&OutputDetails) -> Count| outputs.iter().map(count).find_map(Count::get);
        let cache_writes = input(|details| details.cache_creation_input_tokens)
            .or_else(|| input(|details| details.cache_creation_tokens))
            .or_else(|| input(|details| details.cache_write_tokens));
        Usage::of([
            (Counter::Input, usage.prompt_tokens.get().or(usage.input_tokens.get())),
            (Counter::CachedInput, input(|details| details.cached_tokens)),
            (Counter::CacheCreationInput, cache_writes),
            (Counter::Output, usage.completion_tokens.get().or(usage.output_tokens.get())),
            (Counter::Reasoning, output(|details| details.reasoning_tokens)),
            (Counter::Total, usage.total_tokens.get()),
            (Counter::AudioInput, input(|details| details.audio_tokens)),
            (Counter::ImageInput, input(|details| details.image_tokens)),
            (Counter::AudioOutput, output(|details| details.audio_tokens)),
            (Counter::ImageOutput, output(|details| details.image_tokens)),
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
        // Tokens of pictures are billed beside those of texts.
        let billed =
            [input_tokens, image_tokens].into_iter().filter_map(Count::get).reduce(u64::saturating_add);
        let (input, output) = match meta.tokens {
            Some(tokens) => (tokens.input_tokens.get(), tokens.output_tokens.get()),
            None => (billed, output_tokens.get()),
        };
        Usage::of([
            (Counter::Input, input),
            (Counter::CachedInput, meta.cached_tokens.get()),
            (Counter::Output, output),
            (Counter::ImageInput, image_tokens.get()),
            (Counter::Images, images.get()),
            (Counter::SearchUnits, search_units.get()),
        ])
        .with_total()
    }
}
