//! The rules of AIGatewayRoutes, with what Envoy Gateway must be told of each.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_core::headers::MODEL_HEADER;

use super::Renderer;
use crate::plan::{Cluster, Member, Origin, Rule};
use crate::render::kubernetes::direct_models;
use crate::resources::ResourceId;
use crate::resources::ai::{AiGatewayRouteSpec, AiMatch, AiRule};
use crate::resources::gateway::NameMatchType;
use crate::resources::set::Resource;

/// A rule that some listener has.
pub(super) struct RuleOf<'a> {
    /// The resource it is written in.
    pub(super) route: &'a Resource<AiGatewayRouteSpec>,
    /// Its place there.
    pub(super) index: usize,
    /// As it was written.
    pub(super) spec: &'a AiRule,
    /// What it comes to.
    pub(super) rule: &'a Rule,
    /// Its backends.
    pub(super) cluster: &'a Cluster,
    /// The models of it that go a direct way.
    pub(super) direct: Vec<&'a str>,
    /// The matches of it that do not.
    pub(super) other: Vec<&'a AiMatch>,
    /// Whether there is another way beside the direct one: a rule without matches has one, too.
    pub(super) has_other: bool,
}

impl<'a> RuleOf<'a> {
    /// Where it is, for messages.
    pub(super) fn id(&self) -> &'a ResourceId {
        &self.route.id
    }

    /// A field of it, for messages.
    pub(super) fn field(&self, field: &str) -> String {
        format!("spec.rules[{}].{field}", self.index)
    }

    /// The backends that take traffic, each with its place among the targets of the filter's configuration.
    pub(super) fn members(&self) -> impl Iterator<Item = (usize, &'a Member)> + use<'a> {
        self.cluster.members.iter().enumerate().filter(|(_, member)| member.weight > 0)
    }

    /// Whether a backend steps in for others. What takes no traffic counts for nothing: the lowest priority of the rest
    /// is the first.
    pub(super) fn is_fallback(&self, member: &Member) -> bool {
        self.members().any(|(_, other)| other.priority < member.priority)
    }
}

impl<'a> Renderer<'a> {
    /// All rules, in the order of the files.
    pub(super) fn rules(&mut self) -> Vec<RuleOf<'a>> {
        let input = self.input;
        let mut compiled: BTreeMap<(String, usize), Vec<&Rule>> = BTreeMap::new();
        let hosts = input.plan.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
        for rule in hosts.flat_map(|host| &host.rules).map(|matched| matched.rule.as_ref()) {
            let Origin { route, rule: index } = &rule.origin;
            let known = compiled.entry((route.clone(), *index)).or_default();
            if rule.ai && known.iter().all(|other| other.name != rule.name) {
                known.push(rule);
            }
        }
        let direct = direct_models(&input.plan);
        let mut rules = Vec::new();
        for route in input.set.ai_gateway_routes.iter() {
            for (index, spec) in route.spec.rules.iter().enumerate() {
                let found = compiled.remove(&(route.id.full_name(), index)).unwrap_or_default();
                let Some((rule, others)) = found.split_first() else { continue };
                self.check_policies(&route.id, index, rule, others);
                let Some(cluster) = rule.cluster.and_then(|index| input.plan.clusters.get(index)) else {
                    continue;
                };
                let may_be_direct = !found.iter().any(|rule| self.has_limit_by_path(rule));
                let (with, other): (Vec<_>, Vec<_>) = spec.matches.iter().partition(|m| {
                    only_model(m).is_some_and(|model| may_be_direct && direct.contains_key(model))
                });
                rules.push(RuleOf {
                    route,
                    index,
                    spec,
                    rule,
                    cluster,
                    direct: with.into_iter().filter_map(only_model).collect(),
                    has_other: spec.matches.is_empty() || !other.is_empty(),
                    other,
                });
            }
        }
        rules
    }

    /// Whether a limit looks at path or query, which Envoy Gateway does itself: on a direct way they are the backend's
    /// by then.
    fn has_limit_by_path(&self, rule: &Rule) -> bool {
        let policy = rule.policy.as_deref().and_then(|name| self.document("BackendTrafficPolicy", name));
        let list = |value: &'a Value, path: &str| {
            value.pointer(path).and_then(Value::as_array).into_iter().flatten()
        };
        let rules = ["/spec/rateLimit/global/rules", "/spec/rateLimit/local/rules"]
            .into_iter()
            .flat_map(|path| policy.into_iter().flat_map(move |policy| list(policy, path)));
        let mut selectors = rules.flat_map(|rule| list(rule, "/clientSelectors"));
        selectors.any(|selector| ["path", "queryParams"].iter().any(|field| selector.get(field).is_some()))
    }

    /// One HTTPRoute has one policy of its own, whichever listeners it is attached to.
    fn check_policies(&mut self, id: &ResourceId, index: usize, rule: &Rule, others: &[&Rule]) {
        let settings = |rule: &Rule| {
            (rule.retry.clone(), rule.request_timeout, rule.attempt_timeout, rule.attempt_idle_timeout)
        };
        if let Some(other) = others.iter().find(|other| settings(other) != settings(rule)) {
            let policy = |rule: &Rule| match &rule.policy {
                Some(policy) => format!("BackendTrafficPolicy {policy}"),
                None => "no BackendTrafficPolicy".to_owned(),
            };
            let message = format!(
                "stands under {} at one listener and under {} at another, and their retries and timeouts differ: Envoy Gateway \
                 takes one policy for a route; write two AIGatewayRoutes, or give this one a policy",
                policy(rule),
                policy(other)
            );
            self.report.error(id, format!("spec.rules[{index}]"), message);
        }
    }
}

/// The model of a match that has no other condition.
fn only_model(spec: &AiMatch) -> Option<&str> {
    match spec.headers.as_slice() {
        [only] if only.name.eq_ignore_ascii_case(MODEL_HEADER) && only.kind == NameMatchType::Exact => {
            Some(&only.value)
        }
        _ => None,
    }
}
