//! BackendTrafficPolicies: which applies to which rule, and what they say.

use std::cell::RefCell;
use std::time::Duration;

use weir_core::config::{Budget, Selector};

use super::routes::matches::MODEL_HEADER;
use super::targets::{Applied, Target};
use crate::plan;
use crate::resources::set::Resource;
use crate::resources::traffic::{BackendTrafficPolicySpec, RetrySpec, Trigger};
use crate::resources::{Report, ResourceId, Set};

mod balance;
mod health;
mod limits;

/// A policy, ready to be applied to rules.
#[derive(Debug)]
pub struct Traffic<'a> {
    /// Which.
    pub id: &'a ResourceId,
    /// Indices of its budgets.
    pub budgets: Vec<usize>,
    /// What each proxy counts on its own.
    pub local_limits: Vec<plan::LocalLimit>,
    /// Balance, health and load.
    pub cluster: plan::Traffic,
    /// How failed attempts are repeated.
    pub retry: Option<&'a RetrySpec>,
    /// Of the whole request; zero for none.
    pub request_timeout: Option<Duration>,
    /// Until a connection is made.
    pub connect_timeout: Option<Duration>,
    /// The headers of its Distinct selectors, in their order.
    pub user_headers: Vec<String>,
    /// Requests without one of them are refused.
    pub requires_identity: bool,
    /// `namespace/name` of the routes that it names.
    routes: Vec<String>,
    /// Field and key of the costs it charges.
    charged: Vec<(String, String)>,
    /// The AI routes it came to apply to, and whether each has the key, key by key.
    applied: RefCell<Vec<(String, Vec<bool>)>>,
}

/// All policies, by what they apply to.
#[derive(Debug)]
pub struct Policies<'a> {
    all: Vec<Traffic<'a>>,
    applied: Applied,
    /// Of all policies.
    pub budgets: Vec<Budget>,
}

impl<'a> Policies<'a> {
    /// Reads all policies.
    pub fn new(set: &'a Set, report: &mut Report) -> Self {
        let mut policies = Policies { all: Vec::new(), applied: Applied::default(), budgets: Vec::new() };
        for policy in set.backend_traffic_policies.iter() {
            let traffic = traffic(policy, &mut policies.budgets, set, report);
            if traffic.requires_identity && traffic.user_headers.is_empty() {
                let message = "asks for nothing: no rule of `rateLimit.global` has a Distinct header";
                report.error(&policy.id, "metadata.annotations[weir.dev/require-identity]", message);
            }
            let named = policies.applied.add(&policy.id, policy.spec.targets(), set, report);
            let routes = named.into_iter().filter_map(|target| match target {
                Target::Route(route, _) => Some(route),
                Target::Gateway(..) => None,
            });
            policies.all.push(Traffic { routes: routes.collect(), ..traffic });
        }
        policies
    }

    /// The one policy for a rule at a listener: the narrowest. Nothing is merged.
    #[must_use]
    pub fn find(
        &self,
        route: &ResourceId,
        rule: usize,
        rule_name: Option<&str>,
        gateway: &ResourceId,
        listener: &str,
    ) -> Option<(usize, &Traffic<'a>)> {
        let position = self.applied.to_rule(route, rule, rule_name, gateway, listener)?;
        Some((position, self.all.get(position)?))
    }

    /// Reports budgets that no route can ever charge.
    pub fn check_costs(&self, report: &mut Report) {
        for traffic in &self.all {
            let applied = traffic.applied.borrow();
            for (i, (field, key)) in traffic.charged.iter().enumerate() {
                let without: Vec<&str> = applied
                    .iter()
                    .filter(|(_, has)| !has.get(i).copied().unwrap_or(false))
                    .map(|(route, _)| route.as_str())
                    .collect();
                if without.is_empty() {
                    continue;
                }
                let message = format!(
                    "`{key}` is not in `llmRequestCosts` of {}; add it there, or the budget is never charged",
                    without.join(", ")
                );
                if without.len() == applied.len() {
                    report.error(traffic.id, field, message);
                } else {
                    report.warning(traffic.id, field, message);
                }
            }
        }
    }
}

impl Traffic<'_> {
    /// Takes the Distinct headers for those that tell users apart.
    fn name_users(&mut self, selectors: &[Selector]) {
        // A count for each model tells models apart, not users.
        let distinct = |selector: &&Selector| selector.exact.is_none() && selector.header != MODEL_HEADER;
        for selector in selectors.iter().filter(distinct) {
            if !self.user_headers.contains(&selector.header) {
                self.user_headers.push(selector.header.clone());
            }
        }
    }

    /// Whether it names the route, rather than the route's Gateway.
    #[must_use]
    pub fn is_for_route(&self, route: &ResourceId) -> bool {
        self.routes.contains(&route.full_name())
    }

    /// Remembers that an AI route with these cost keys is under the policy.
    pub fn applies_to(&self, route: &ResourceId, keys: &[&str]) {
        let route = route.to_string();
        let mut applied = self.applied.borrow_mut();
        if !self.charged.is_empty() && !applied.iter().any(|(known, _)| *known == route) {
            let has = self.charged.iter().map(|(_, key)| keys.contains(&key.as_str())).collect();
            applied.push((route, has));
        }
    }
}

fn traffic<'a>(
    policy: &'a Resource<BackendTrafficPolicySpec>,
    budgets: &mut Vec<Budget>,
    set: &Set,
    report: &mut Report,
) -> Traffic<'a> {
    let platform = set.platform;
    let Resource { id, spec, .. } = policy;
    let mut traffic = Traffic {
        id,
        budgets: Vec::new(),
        local_limits: Vec::new(),
        cluster: plan::Traffic::default(),
        retry: spec.retry.as_ref(),
        request_timeout: spec.timeout.http.request_timeout.map(|timeout| timeout.0),
        connect_timeout: spec.timeout.tcp.connect_timeout.and_then(|timeout| timeout.unless_zero()),
        user_headers: Vec::new(),
        requires_identity: set.settings.require_identity.contains(&id.full_name()),
        routes: Vec::new(),
        charged: Vec::new(),
        applied: RefCell::default(),
    };
    if let Some(retry) = &spec.retry {
        check_retry(id, retry, report);
    }
    if let Some(balancer) = &spec.load_balancer {
        traffic.cluster.load_balancer = balance::load_balancer(id, balancer, report);
    }
    if let Some(breaker) = &spec.circuit_breaker {
        traffic.cluster.circuit_breaker = Some(balance::circuit_breaker(id, breaker, report));
    }
    if let Some(check) = &spec.health_check {
        health::health_check(id, check, &mut traffic.cluster, report);
    }
    if let Some(limit) = &spec.rate_limit {
        limits::check_kind(id, limit, report);
        if let Some(local) = &limit.local {
            traffic.local_limits = limits::local(id, local, platform, report);
        }
        for (i, rule) in limit.global.iter().flat_map(|global| &global.rules).enumerate() {
            let field = format!("spec.rateLimit.global.rules[{i}]");
            let budget =
                limits::budget(id, format!("{}/rule/{i}", id.full_name()), &field, rule, platform, report);
            if let Some(key) = &budget.response_cost {
                traffic.charged.push((format!("{field}.cost.response.metadata.key"), key.clone()));
            }
            traffic.name_users(&budget.selectors);
            traffic.budgets.push(budgets.len());
            budgets.push(budget);
        }
    }
    let local: Vec<Selector> =
        traffic.local_limits.iter().flat_map(|limit| &limit.selectors).cloned().collect();
    traffic.name_users(&local);
    traffic
}

fn check_retry(id: &ResourceId, retry: &RetrySpec, report: &mut Report) {
    let Some(on) = &retry.retry_on else { return };
    let by_status = on.triggers.contains(&Trigger::RetriableStatusCodes);
    if !on.http_status_codes.is_empty() && !by_status {
        let message = "has no effect without the trigger `retriable-status-codes`";
        report.warning(id, "spec.retry.retryOn.httpStatusCodes", message);
    }
    if by_status && on.http_status_codes.is_empty() {
        let message = "`retriable-status-codes` has no effect without `httpStatusCodes`";
        report.warning(id, "spec.retry.retryOn.triggers", message);
    }
    for (i, status) in on.http_status_codes.iter().enumerate() {
        if !(100..600).contains(status)
            && !report.has_error(id, &format!("spec.retry.retryOn.httpStatusCodes[{i}]"))
        {
            let message = format!("{status} is not an HTTP status; it must be from 100 to 599");
            report.error(id, format!("spec.retry.retryOn.httpStatusCodes[{i}]"), message);
        }
    }
}

/// Reports what a policy cannot do for the backends of a rule.
pub fn check_members(policy: &Traffic<'_>, members: &[plan::Member], report: &mut Report) {
    let plan::Traffic { load_balancer, active_check, passive_check, .. } = &policy.cluster;
    let taking = || members.iter().filter(|member| member.weight > 0);
    let mut priorities = taking().map(|member| member.priority);
    let first = priorities.next();
    // Of the balancers only those without a hash listen to who was asked before.
    if matches!(load_balancer, plan::LoadBalancer::ConsistentHash(_))
        && priorities.any(|priority| Some(priority) != first)
        && active_check.is_none()
        && passive_check.is_none()
    {
        let message = "ConsistentHash repeats a failed attempt within the same `priority` only, so that the next \
                       one is never asked; add a `healthCheck`, or give the backends `weight` instead";
        report.error(policy.id, "spec.loadBalancer.type", message);
    }
    let endpoints = || taking().flat_map(|member| &member.endpoints);
    if let Some(passive) = passive_check
        && !passive.always_eject_one
        && endpoints().all(|endpoint| endpoint.host.parse::<std::net::IpAddr>().is_ok())
    {
        let count = endpoints().count();
        if u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(passive.max_ejection_percent) < 100 {
            let message = format!(
                "never takes an endpoint out: {} % of {count} is less than one; raise `maxEjectionPercent`, or set \
                 `alwaysEjectOneEndpoint`",
                passive.max_ejection_percent
            );
            report.warning(policy.id, "spec.healthCheck.passive", message);
        }
    }
}
