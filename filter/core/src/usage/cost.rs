//! Costs: the numbers that limits charge, computed from usage.

use super::Usage;
use crate::config::{Cost, CostType};

/// The value of `cost`; a counter that the provider did not report counts 0.
#[must_use]
pub fn value(cost: &Cost, usage: &Usage) -> u64 {
    match cost.kind {
        CostType::InputToken => usage.input,
        CostType::CachedInputToken => usage.cached_input,
        CostType::CacheCreationInputToken => usage.cache_creation_input,
        CostType::OutputToken => usage.output,
        CostType::ReasoningToken => usage.reasoning,
        CostType::TotalToken => usage.total_or_sum(),
    }
    .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_takes_its_counter() {
        let usage = Usage {
            input: Some(10),
            cached_input: Some(4),
            cache_creation_input: Some(3),
            output: Some(20),
            reasoning: Some(5),
            total: None,
        };
        let cost = |kind| value(&Cost { key: "k".to_owned(), kind }, &usage);
        assert_eq!(cost(CostType::InputToken), 10);
        assert_eq!(cost(CostType::CachedInputToken), 4);
        assert_eq!(cost(CostType::CacheCreationInputToken), 3);
        assert_eq!(cost(CostType::OutputToken), 20);
        assert_eq!(cost(CostType::ReasoningToken), 5);
        assert_eq!(cost(CostType::TotalToken), 30);
        assert_eq!(value(&Cost { key: "k".to_owned(), kind: CostType::TotalToken }, &Usage::default()), 0);
    }
}
