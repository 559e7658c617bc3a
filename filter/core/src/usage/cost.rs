//! Costs: the numbers that limits charge, computed from usage.

use super::{Counter, Usage};
use crate::config::{Cost, CostType};

/// The value of `cost`; a counter that the provider did not report counts 0.
#[must_use]
pub fn value(cost: &Cost, usage: &Usage) -> u64 {
    match cost.kind {
        CostType::InputToken => usage.input(),
        CostType::CachedInputToken => usage.get(Counter::CachedInput),
        CostType::CacheCreationInputToken => usage.get(Counter::CacheCreationInput),
        CostType::OutputToken => usage.output(),
        CostType::ReasoningToken => usage.get(Counter::Reasoning),
        CostType::TotalToken => usage.total_or_sum(),
    }
    .unwrap_or(0)
}

/// The most that a limit outside of the filter can be charged at once: of a larger addend Envoy charges nothing. The
/// field `hits_addend` of <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto>.
const MAX_CHARGE: u64 = 1_000_000_000;

/// `value` as a limit outside of the filter can be charged with it.
#[must_use]
pub fn charge(value: u64) -> u64 {
    value.min(MAX_CHARGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_envoy_is_charged_as_the_most_there_is() {
        let charged = [0, 7, MAX_CHARGE, MAX_CHARGE + 1, 1 << 32, u64::MAX].map(charge);
        assert_eq!(charged, [0, 7, MAX_CHARGE, MAX_CHARGE, MAX_CHARGE, MAX_CHARGE]);
    }

    #[test]
    fn each_type_takes_its_counter() {
        let usage = Usage::of([
            (Counter::Input, Some(10)),
            (Counter::CachedInput, Some(4)),
            (Counter::CacheCreationInput, Some(3)),
            (Counter::Output, Some(20)),
            (Counter::Reasoning, Some(5)),
        ]);
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
