//! Gemini's counters. Thoughts are beside the candidates, and what tools brought beside the prompt; what the cache gave
//! is in it.

use serde::{Deserialize, Serialize};

use crate::usage::{Counter, Usage};
use crate::wire::usage::Count;

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
    traffic_type: Option<String>,
}

impl Counters {
    /// In the gateway's own meaning.
    pub(super) fn usage(&self) -> Usage {
        let sum = |one: Count, other: Count| {
            [one.get(), other.get()].into_iter().flatten().reduce(u64::saturating_add)
        };
        Usage::of([
            (Counter::Input, sum(self.prompt_token_count, self.tool_use_prompt_token_count)),
            (Counter::CachedInput, self.cached_content_token_count.get()),
            (Counter::Output, sum(self.candidates_token_count, self.thoughts_token_count)),
            (Counter::Reasoning, self.thoughts_token_count.get()),
            (Counter::Total, self.total_token_count.get()),
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
    traffic_type: Option<&'static str>,
}

impl UsageMetadata {
    /// `usage` and the tier it was served from, in OpenAI's words.
    pub(super) fn of(usage: &Usage, tier: Option<&str>) -> Self {
        let (output, reasoning) = (usage.output().unwrap_or(0), usage.get(Counter::Reasoning));
        Self {
            prompt_token_count: usage.input().unwrap_or(0),
            candidates_token_count: output.saturating_sub(reasoning.unwrap_or(0)),
            total_token_count: usage.total_or_sum().unwrap_or(0),
            cached_content_token_count: usage.get(Counter::CachedInput),
            thoughts_token_count: reasoning,
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
                "candidatesTokenCount":2,"thoughtsTokenCount":3,"totalTokenCount":20,"trafficType":"ON_DEMAND"}"#,
        )
        .unwrap();
        let expected = Usage::of([
            (Counter::Input, Some(15)),
            (Counter::CachedInput, Some(4)),
            (Counter::Output, Some(5)),
            (Counter::Reasoning, Some(3)),
            (Counter::Total, Some(20)),
        ]);
        assert_eq!((counters.usage(), counters.service_tier()), (expected, Some("default")));
        assert!(Counters::default().usage().is_empty());
        let told = serde_json::to_vec(&UsageMetadata::of(&expected, Some("default"))).unwrap();
        let again: Counters = serde_json::from_slice(&told).unwrap();
        assert_eq!((again.usage(), again.service_tier()), (expected, Some("default")));
    }
}
