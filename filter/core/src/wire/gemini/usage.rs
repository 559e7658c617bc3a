//! Gemini's counters. Thoughts are beside the candidates, and what tools brought beside the prompt; what the cache gave
//! is in it.

use serde::Deserialize;

use crate::usage::Usage;
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
        Usage {
            input: sum(self.prompt_token_count, self.tool_use_prompt_token_count),
            cached_input: self.cached_content_token_count.get(),
            cache_creation_input: None,
            output: sum(self.candidates_token_count, self.thoughts_token_count),
            reasoning: self.thoughts_token_count.get(),
            total: self.total_token_count.get(),
        }
    }

    /// `google.genai.types.TrafficType` in OpenAI's words.
    pub(super) fn service_tier(&self) -> Option<&'static str> {
        match self.traffic_type.as_deref()? {
            "ON_DEMAND" => Some("default"),
            "ON_DEMAND_PRIORITY" => Some("priority"),
            "ON_DEMAND_FLEX" => Some("flex"),
            _ => None,
        }
    }
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
        let expected = Usage {
            input: Some(15),
            cached_input: Some(4),
            cache_creation_input: None,
            output: Some(5),
            reasoning: Some(3),
            total: Some(20),
        };
        assert_eq!((counters.usage(), counters.service_tier()), (expected, Some("default")));
        assert!(Counters::default().usage().is_empty());
    }
}
