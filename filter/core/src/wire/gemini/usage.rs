//! Gemini's counters. Thoughts are beside the candidates, and what tools brought beside the prompt; what the cache gave
//! is in it.

use serde::{Deserialize, Serialize};

use crate::usage::{Counter, Usage};
use crate::wire::usage::{Count, Lenient, Tally, anything, each, sum};

/// `usageMetadata`
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Counters {
    prompt_token_count: Count,
    cached_content_token_count: Count,
    tool_use_prompt_token_count: Count,
    candidates_token_count: Count,
    thoughts_token_count: Count,
    total_token_count: Count,
    #[serde(deserialize_with = "each")]
    prompt_tokens_details: ByModality,
    #[serde(deserialize_with = "each")]
    tool_use_prompt_tokens_details: ByModality,
    #[serde(deserialize_with = "each")]
    candidates_tokens_details: ByModality,
    traffic_type: Option<String>,
}

/// A list of `google.genai.types.ModalityTokenCount`.
#[derive(Debug, Default)]
struct ByModality {
    audio: Option<u64>,
    image: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ModalityTokens {
    #[serde(deserialize_with = "anything")]
    modality: Modality,
    token_count: Count,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Modality {
    Audio,
    Image,
    #[default]
    Other,
}

impl Lenient for Modality {
    fn of_text(modality: &str) -> Self {
        match modality {
            AUDIO => Modality::Audio,
            IMAGE => Modality::Image,
            _ => Modality::Other,
        }
    }
}

const AUDIO: &str = "AUDIO";
const IMAGE: &str = "IMAGE";

impl Tally for ByModality {
    type Item = ModalityTokens;

    fn add(&mut self, item: ModalityTokens) {
        let counter = match item.modality {
            Modality::Audio => &mut self.audio,
            Modality::Image => &mut self.image,
            Modality::Other => return,
        };
        *counter = sum([*counter, item.token_count.get()]);
    }
}

impl Counters {
    /// In the gateway's own meaning.
    pub(super) fn usage(&self) -> Usage {
        let [prompt, tools] = [&self.prompt_tokens_details, &self.tool_use_prompt_tokens_details];
        let candidates = &self.candidates_tokens_details;
        let from_tools = self.tool_use_prompt_token_count.get();
        let thoughts = self.thoughts_token_count.get();
        Usage::of([
            (Counter::Input, sum([self.prompt_token_count.get(), from_tools])),
            (Counter::CachedInput, self.cached_content_token_count.get()),
            (Counter::Output, sum([self.candidates_token_count.get(), thoughts])),
            (Counter::Reasoning, thoughts),
            (Counter::Total, self.total_token_count.get()),
            (Counter::ToolUseInput, from_tools),
            (Counter::AudioInput, sum([prompt.audio, tools.audio])),
            (Counter::ImageInput, sum([prompt.image, tools.image])),
            (Counter::AudioOutput, candidates.audio),
            (Counter::ImageOutput, candidates.image),
        ])
    }

    /// `google.genai.types.TrafficType` in OpenAI's words.
    pub(super) fn service_tier(&self) -> Option<&'static str> {
        let told = self.traffic_type.as_deref()?;
        TIERS.iter().find(|(traffic, _)| *traffic == told).map(|(_, tier)| *tier)
    }
}

const TIERS: &[(&str, &str)] =
    &[("ON_DEMAND", "default"), ("ON_DEMAND_PRIORITY", "priority"), ("ON_DEMAND_FLEX", "flex")];

/// `usageMetadata` for a client. What nobody told of input, output and total is 0.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageMetadata {
    prompt_token_count: u64,
    candidates_token_count: u64,
    total_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompt_tokens_details: Vec<ModalityTokenCount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates_tokens_details: Vec<ModalityTokenCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic_type: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModalityTokenCount {
    modality: &'static str,
    token_count: u64,
}

/// The modalities that are counted by themselves; the rest is nearly always text.
fn by_modality(counts: [(&'static str, Option<u64>); 2]) -> Vec<ModalityTokenCount> {
    let told = counts
        .into_iter()
        .filter_map(|(modality, count)| Some((modality, count.filter(|count| *count > 0)?)));
    told.map(|(modality, token_count)| ModalityTokenCount { modality, token_count }).collect()
}

impl UsageMetadata {
    /// `usage` and the tier it was served from, in OpenAI's words.
    pub(super) fn of(usage: &Usage, tier: Option<&str>) -> Self {
        let (output, reasoning) = (usage.output().unwrap_or(0), usage.get(Counter::Reasoning));
        let (input, tool_use) = (usage.input().unwrap_or(0), usage.get(Counter::ToolUseInput));
        Self {
            prompt_token_count: input.saturating_sub(tool_use.unwrap_or(0)),
            candidates_token_count: output.saturating_sub(reasoning.unwrap_or(0)),
            total_token_count: usage.total_or_sum().unwrap_or(0),
            cached_content_token_count: usage.get(Counter::CachedInput),
            thoughts_token_count: reasoning,
            tool_use_prompt_token_count: tool_use,
            prompt_tokens_details: by_modality([
                (AUDIO, usage.get(Counter::AudioInput)),
                (IMAGE, usage.get(Counter::ImageInput)),
            ]),
            candidates_tokens_details: by_modality([
                (AUDIO, usage.get(Counter::AudioOutput)),
                (IMAGE, usage.get(Counter::ImageOutput)),
            ]),
            traffic_type: TIERS.iter().find(|(_, known)| Some(*known) == tier).map(|(traffic, _)| *traffic),
        }
    }
}

/// `usageMetadata` as Gemini wrote it.
pub(in crate::wire) fn read(usage: &[u8]) -> Usage {
    serde_json::from_slice::<Counters>(usage).map(|counters| counters.usage()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_output_and_what_tools_brought_is_input() {
        let counters: Counters = serde_json::from_str(
            r#"{"promptTokenCount":10,"cachedContentTokenCount":4,"toolUsePromptTokenCount":5,
                "candidatesTokenCount":2,"thoughtsTokenCount":3,"totalTokenCount":20,"trafficType":"ON_DEMAND",
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":3},{"modality":"AUDIO","tokenCount":7}],
                "candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":1}]}"#,
        )
        .unwrap();
        let expected = Usage::of([
            (Counter::Input, Some(15)),
            (Counter::CachedInput, Some(4)),
            (Counter::Output, Some(5)),
            (Counter::Reasoning, Some(3)),
            (Counter::Total, Some(20)),
            (Counter::ToolUseInput, Some(5)),
            (Counter::AudioInput, Some(7)),
            (Counter::ImageOutput, Some(1)),
        ]);
        assert_eq!((counters.usage(), counters.service_tier()), (expected, Some("default")));
        assert!(Counters::default().usage().is_empty());
        let told = serde_json::to_vec(&UsageMetadata::of(&expected, Some("default"))).unwrap();
        let again: Counters = serde_json::from_slice(&told).unwrap();
        assert_eq!((again.usage(), again.service_tier()), (expected, Some("default")));
    }
}
