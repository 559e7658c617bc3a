//! Models that go a direct way: see [`crate::render::direct`] for what that is.
//!
//! On a platform the direct way is the only one of such a model, and the one that needs least of the platform: no
//! filter in a cluster, and so nothing but plain resources. Requests of all APIs go it.

use std::collections::BTreeMap;

use crate::plan::{MatchedRule, Plan, Rule};
use crate::render::direct::{limits_see_the_client, local_limits_see_the_client};
use crate::render::routes::{self, by_model};

/// The models with one place to go to, whatever else a request says, and the rule of each.
pub(in crate::render) fn models(plan: &Plan) -> BTreeMap<&str, &Rule> {
    let hosts = || plan.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
    // The backend's `:authority` is set before the route is chosen.
    if !hosts().all(|host| host.domains == ["*"]) {
        return BTreeMap::new();
    }
    let maps: Vec<_> = hosts().map(|host| (by_model(&host.rules), &host.rules)).collect();
    let all = maps.iter().flat_map(|(map, _)| map.iter());
    all.filter_map(|(model, rules)| {
        let [only] = rules.as_slice() else { return None };
        // Where the model has no rule, none for any model may take what was made for its backend.
        let is_same = |(map, all): &(BTreeMap<&str, Vec<_>>, &Vec<MatchedRule>)| match map.get(model) {
            Some(other) => other == rules,
            None => all.iter().all(|rule| routes::model(&rule.matches).is_some()),
        };
        let is_direct = only.takes_all() && has_one_place(plan, &only.rule) && maps.iter().all(is_same);
        is_direct.then_some((*model, only.rule.as_ref()))
    })
    .collect()
}

fn has_one_place(plan: &Plan, rule: &Rule) -> bool {
    let cluster = rule.cluster.and_then(|index| plan.clusters.get(index));
    let one_endpoint = cluster.is_some_and(|cluster| {
        let [member] = cluster.members.as_slice() else { return false };
        member.weight > 0 && member.endpoints.len() == 1
    });
    rule.ai && one_endpoint && limits_see_the_client(plan, rule) && local_limits_see_the_client(plan, rule)
}
