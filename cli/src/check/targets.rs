//! What policies apply to.

use std::collections::HashMap;

use super::listeners::{conflict, gateway_exists, targets_reported};
use crate::resources::decode::MISSING;
use crate::resources::diagnostic::hint;
use crate::resources::envoy::Targets;
use crate::resources::gateway::TargetRef;
use crate::resources::kinds::{AI_GATEWAY, GATEWAY_API};
use crate::resources::set::Found;
use crate::resources::{Platform, Report, ResourceId, Set};

/// What a policy names, by `namespace/name`, and a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A Gateway, or one of its listeners.
    Gateway(String, Option<String>),
    /// A route, or one of its rules. HTTPRoutes and AIGatewayRoutes share their names, see [`super::routes`].
    Route(String, Option<String>),
}

/// The policies of a kind, by what they apply to.
#[derive(Debug, Default)]
pub struct Applied {
    /// In the order they were added.
    ids: Vec<ResourceId>,
    by_target: HashMap<Target, usize>,
}

impl Applied {
    /// Adds the next policy. Returns what it comes to apply to.
    pub fn add(
        &mut self,
        id: &ResourceId,
        targets: Targets<'_>,
        set: &Set,
        report: &mut Report,
    ) -> Vec<Target> {
        let position = self.ids.len();
        self.ids.push(id.clone());
        if targets.refs.is_empty() && !targets_reported(id, report) {
            report.error(id, "spec.targetRefs", "is empty; name the Gateway or route it is for");
        }
        let mut added = Vec::new();
        for (field, reference) in targets.refs {
            let Some(target) = find(id, &field, reference, set, report) else { continue };
            if let Some(first) = self.by_target.get(&target).and_then(|first| self.ids.get(*first)) {
                let name = format!("{} {}/{}", reference.kind, id.namespace, reference.name);
                let message = conflict(&name, reference.section_name.as_deref(), first);
                report.error(id, field, message);
                continue;
            }
            added.push(target.clone());
            self.by_target.insert(target, position);
        }
        added
    }

    /// The policy at a position.
    #[must_use]
    pub fn id(&self, position: usize) -> Option<&ResourceId> {
        self.ids.get(position)
    }

    /// The one policy for a rule at a listener: the narrowest. Nothing is merged.
    #[must_use]
    pub fn to_rule(
        &self,
        route: &ResourceId,
        rule: usize,
        rule_name: Option<&str>,
        gateway: &ResourceId,
        listener: &str,
    ) -> Option<usize> {
        of_rule(route, rule, rule_name, gateway, listener)
            .find_map(|target| self.by_target.get(&target))
            .copied()
    }

    /// The one policy for a listener.
    #[must_use]
    pub fn to_listener(&self, gateway: &ResourceId, listener: &str) -> Option<usize> {
        of_listener(gateway, listener).find_map(|target| self.by_target.get(&target)).copied()
    }
}

/// What a policy for a rule at a listener may name, the narrowest first.
fn of_rule(
    route: &ResourceId,
    rule: usize,
    rule_name: Option<&str>,
    gateway: &ResourceId,
    listener: &str,
) -> impl Iterator<Item = Target> {
    let route = route.full_name();
    let of_rule = [
        rule_name.map(|name| Target::Route(route.clone(), Some(name.to_owned()))),
        Some(Target::Route(route.clone(), Some(rule_alias(rule)))),
        Some(Target::Route(route, None)),
    ];
    of_rule.into_iter().flatten().chain(of_listener(gateway, listener))
}

/// What a policy for a listener may name, the narrower one first.
fn of_listener(gateway: &ResourceId, listener: &str) -> impl Iterator<Item = Target> + use<> {
    let gateway = gateway.full_name();
    [Target::Gateway(gateway.clone(), Some(listener.to_owned())), Target::Gateway(gateway, None)].into_iter()
}

/// What a rule without a name is called in `sectionName`.
fn rule_alias(rule: usize) -> String {
    format!("rule-{rule}")
}

/// What `field` of the policy `id` names. `None` when that is nothing, which was reported.
fn find(
    id: &ResourceId,
    field: &str,
    reference: &TargetRef,
    set: &Set,
    report: &mut Report,
) -> Option<Target> {
    let name = format!("{}/{}", id.namespace, reference.name);
    let section = reference.section_name.as_deref();
    match (reference.group.as_str(), reference.kind.as_str()) {
        (GATEWAY_API, "Gateway") => gateway_exists(id, field, &reference.name, section, set, report)
            .then(|| Target::Gateway(name, reference.section_name.clone())),
        (GATEWAY_API, "HTTPRoute") | (AI_GATEWAY, "AIGatewayRoute") => {
            let rules = route_rules(id, field, reference, set, report)?;
            if let Some(section) = section
                && !rules.iter().any(|rule| rule.iter().any(|known| known == section))
            {
                let names: Vec<&str> =
                    rules.iter().filter_map(|rule| rule.first().map(String::as_str)).collect();
                let message =
                    format!("{} {name} has no rule `{section}`, {}", reference.kind, hint(section, names));
                report.error(id, format!("{field}.sectionName"), message);
                return None;
            }
            Some(Target::Route(name, reference.section_name.clone()))
        }
        (GATEWAY_API, _) if set.platform == Platform::EnvoyGateway => None,
        (group, kind) => {
            if ![group, kind].contains(&MISSING) {
                let message = format!(
                    "{kind} of group `{group}` cannot be a target; it must be Gateway or HTTPRoute of \
                     `{GATEWAY_API}`, or AIGatewayRoute of `{AI_GATEWAY}`"
                );
                report.error(id, field, message);
            }
            None
        }
    }
}

/// The names of each rule of a route, the one that was given first. A policy for an AIGatewayRoute may name the
/// HTTPRoute that Envoy AI Gateway would make of it, which has the same name.
fn route_rules(
    id: &ResourceId,
    field: &str,
    reference: &TargetRef,
    set: &Set,
    report: &mut Report,
) -> Option<Vec<Vec<String>>> {
    let names = |rules: Vec<Option<&String>>| {
        let both =
            |(i, name): (usize, Option<&String>)| name.cloned().into_iter().chain([rule_alias(i)]).collect();
        rules.into_iter().enumerate().map(both).collect()
    };
    let ai = set.ai_gateway_routes.find(&id.namespace, &reference.name);
    let plain = set.http_routes.find(&id.namespace, &reference.name);
    match (ai, plain) {
        (Found::One(route), _) => {
            Some(names(route.spec.rules.iter().map(|rule| rule.name.as_ref()).collect()))
        }
        (_, Found::One(route)) if reference.kind == "HTTPRoute" => {
            Some(names(route.spec.rules.iter().map(|rule| rule.name.as_ref()).collect()))
        }
        (Found::Broken, _) | (_, Found::Broken) => None,
        (Found::Nothing(others), plain) => {
            let others = match plain {
                Found::Nothing(plain) if others == "there is none" => plain,
                _ => others,
            };
            let message =
                format!("{} {}/{} does not exist, {others}", reference.kind, id.namespace, reference.name);
            report.error(id, format!("{field}.name"), message);
            None
        }
    }
}
