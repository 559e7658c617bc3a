//! Costs: the numbers that limits charge, computed from usage.

use super::{Counter, Usage};
use crate::cel::{Fault, Variables};
use crate::config::{Cost, CostType};

/// What is charged for.
#[derive(Debug, Clone, Copy)]
pub struct Spent<'a> {
    /// The model that the backend was asked for.
    pub model: &'a str,
    /// `namespace/name` of the backend.
    pub backend: &'a str,
    /// The name of the route's rule: `namespace/name/rule/...`.
    pub rule: &'a str,
    /// What it used.
    pub usage: &'a Usage,
}

/// The value of `cost`; a counter that the provider did not report counts 0.
///
/// # Errors
///
/// Where an expression has no value for this.
pub fn value(cost: &Cost, spent: &Spent<'_>) -> Result<u64, Fault> {
    let usage = spent.usage;
    let counter = match &cost.kind {
        CostType::InputToken => usage.input(),
        CostType::CachedInputToken => usage.get(Counter::CachedInput),
        CostType::CacheCreationInputToken => usage.get(Counter::CacheCreationInput),
        CostType::OutputToken => usage.output(),
        CostType::ReasoningToken => usage.get(Counter::Reasoning),
        CostType::TotalToken => usage.total_or_sum(),
        CostType::Cel(expression) => {
            let (namespace, name) = spent.backend.split_once('/').unwrap_or(("", spent.backend));
            let backend = &format!("{name}.{namespace}");
            let route_name = spent.rule.split_once("/rule/").map_or(spent.rule, |(route, _)| route);
            return expression.value(&Variables { model: spent.model, backend, route_name, usage });
        }
    };
    Ok(counter.unwrap_or(0))
}

/// What is charged where an expression has no value: all tokens, so that nobody asks for nothing.
#[must_use]
pub fn instead(usage: &Usage) -> u64 {
    usage.total_or_sum().unwrap_or(0)
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
    use crate::cel::Expression;

    #[test]
    fn what_is_too_much_for_envoy_is_charged_as_the_most_there_is() {
        let charged = [0, 7, MAX_CHARGE, MAX_CHARGE + 1, 1 << 32, u64::MAX].map(charge);
        assert_eq!(charged, [0, 7, MAX_CHARGE, MAX_CHARGE, MAX_CHARGE, MAX_CHARGE]);
    }

    #[test]
    fn each_type_takes_its_counter() {
        fn of(kind: CostType, usage: &Usage) -> Result<u64, Fault> {
            let spent = Spent { model: "gpt", backend: "default/azure", rule: "default/ai/rule/0", usage };
            value(&Cost { key: "k".to_owned(), kind }, &spent)
        }
        let usage = Usage::of([
            (Counter::Input, Some(10)),
            (Counter::CachedInput, Some(4)),
            (Counter::CacheCreationInput, Some(3)),
            (Counter::Output, Some(20)),
            (Counter::Reasoning, Some(5)),
        ]);
        let cost = |kind| of(kind, &usage).unwrap();
        assert_eq!(cost(CostType::InputToken), 10);
        assert_eq!(cost(CostType::CachedInputToken), 4);
        assert_eq!(cost(CostType::CacheCreationInputToken), 3);
        assert_eq!(cost(CostType::OutputToken), 20);
        assert_eq!(cost(CostType::ReasoningToken), 5);
        assert_eq!(cost(CostType::TotalToken), 30);
        assert_eq!(of(CostType::TotalToken, &Usage::default()), Ok(0));
        let cel = |text: &str| CostType::Cel(Expression::new(text).unwrap());
        let is_it = "model == 'gpt' && backend == 'azure.default' && route_name == 'default/ai'";
        assert_eq!(cost(cel(&format!("{is_it} ? input_tokens + output_tokens * 4u : 0u"))), 90);
        assert_eq!(of(cel("output_tokens - input_tokens"), &Usage::default()), Ok(0));
        assert_eq!(of(cel("input_tokens - output_tokens"), &usage), Err(Fault::Overflow));
        assert_eq!(instead(&usage), 30);
    }
}
