//! The filter's configuration where the platform has its own names for routes, and counts budgets itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::config::{self, Config};
use weir_core::headers::PREFIX_KEY_HEADER;

use crate::plan::Plan;
use crate::render::filter::without_budgets;

/// A route of the platform.
pub(in crate::render) struct Route<'a> {
    /// What the platform calls it: the key of [`Config::routes`].
    pub(in crate::render) name: String,
    /// The rule that it is of, as [`crate::plan::Rule::name`] has it.
    pub(in crate::render) rule: &'a str,
}

/// The filter's configuration for `routes`.
pub(in crate::render) fn configuration<'a>(
    plan: &Plan,
    routes: impl Iterator<Item = Route<'a>>,
    direct: BTreeMap<String, config::Direct>,
) -> Config {
    let mut config = plan.filter.clone();
    let of = |Route { name, rule }: Route<'_>| Some((name, Arc::clone(plan.filter.routes.get(rule)?)));
    config.routes = routes.filter_map(of).collect();
    config.direct = direct;
    config.prefix_key = plan.hashes(PREFIX_KEY_HEADER);
    without_budgets(&mut config);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ConsistentHash, HashOn, LoadBalancer};
    use crate::render::sample;

    #[test]
    fn the_key_of_a_prompt_is_made_where_a_load_balancer_hashes_it() {
        for (header, expected) in [(PREFIX_KEY_HEADER, true), ("x-other", false)] {
            let mut plan = sample::plan();
            let on = vec![HashOn::Header(header.to_owned())];
            plan.clusters[0].traffic.load_balancer =
                LoadBalancer::ConsistentHash(ConsistentHash { on, table_size: 65_537 });
            let config = configuration(&plan, std::iter::empty(), BTreeMap::new());
            assert_eq!(config.prefix_key, expected, "{header}");
        }
    }
}
