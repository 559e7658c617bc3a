//! Routes: their rules compiled for each listener they attach to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use weir_core::config::{self, Config};
use weir_core::headers::MODEL_HEADER;

use super::backends::Backends;
use super::clusters::Clusters;
use super::listeners::{Entry, Listener, attach};
use super::retries;
use super::security::SecurityPolicies;
use super::traffic::{self, Policies, Traffic};
use crate::plan::{AwsContainer, Limit, Match, MatchedRule, Member, Origin, Rule, SecretValue, ValueMatch};
use crate::resources::gateway::Timeouts;
use crate::resources::{Report, ResourceId, Set};

pub mod ai;
pub mod matches;
mod passed;
pub mod plain;

/// Envoy's own default is 5 s; a model server in another region may need longer.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest weight of Gateway API.
const LARGEST_WEIGHT: u32 = 1_000_000;
/// The priorities that Envoy can tell apart.
const PRIORITIES: usize = 128;

/// What the routes are compiled from and into.
pub struct Compiler<'c, 'a> {
    /// All resources.
    pub set: &'a Set,
    /// What rules send to.
    pub backends: &'c Backends,
    /// What applies to rules.
    pub policies: &'c Policies<'a>,
    /// Who may reach rules.
    pub security: &'c SecurityPolicies,
    /// What routes attach to.
    pub listeners: Vec<Listener<'a>>,
    /// For the plan.
    pub clusters: Clusters,
    /// For the plan.
    pub filter: Config,
    /// For the plan.
    pub secrets: BTreeMap<String, SecretValue>,
    /// For the plan: paths.
    pub files: BTreeSet<String>,
    /// For the plan.
    pub aws_container: Option<AwsContainer>,
    /// Where mistakes go.
    pub report: &'c mut Report,
}

/// A rule before it is known which policy applies to it.
struct Draft<'r> {
    route: &'r ResourceId,
    index: usize,
    /// As policies may name it.
    name: Option<&'r str>,
    /// Each with the field it is written in.
    matches: Vec<(String, Match)>,
    /// `None` when something is wrong with them, which was reported.
    members: Option<Vec<Member>>,
    timeouts: &'r Timeouts,
    idle_timeout: Option<Duration>,
    /// For rules of an AIGatewayRoute.
    ai: Option<AiDraft<'r>>,
}

/// What a rule means to the filter.
struct AiDraft<'r> {
    targets: Vec<config::Target>,
    costs: &'r [config::Cost],
    /// It takes paths, and no models.
    pass_through: Option<config::PassThrough>,
}

/// The first model that is matched exactly.
fn model_of(matches: &[(String, Match)]) -> Option<&str> {
    matches.iter().find_map(|(_, matches)| exact_model(matches))
}

/// The model that a match names.
fn exact_model(matches: &Match) -> Option<&str> {
    matches.headers.iter().find_map(|header| match &header.value {
        ValueMatch::Exact(model) if header.name == MODEL_HEADER => Some(model.as_str()),
        _ => None,
    })
}

impl Compiler<'_, '_> {
    /// Compiles all routes, in the order of the files.
    pub fn routes(&mut self) {
        let set = self.set;
        for route in set.ai_gateway_routes.iter() {
            self.ai_route(route);
        }
        for route in set.http_routes.iter() {
            self.plain_route(route);
        }
    }

    fn attach(
        &mut self,
        route: &ResourceId,
        parents: &[crate::resources::gateway::ParentRef],
        hostnames: &[String],
    ) -> Vec<(usize, Rc<[String]>)> {
        let attached = attach(route, parents, hostnames, &self.listeners, self.set, self.report);
        attached.into_iter().map(|(position, domains)| (position, Rc::from(domains))).collect()
    }

    /// What the rule is called in Envoy, in the filter and in the keys of budgets. A rule of an AIGatewayRoute is
    /// called after itself or its model and not after its place, since one that is put in front of it must not move its
    /// budgets, nor, while a reload is under way, give it another one's meaning.
    fn rule_name(&self, draft: &Draft<'_>) -> String {
        let base = format!("{}/rule/", draft.route.full_name());
        if draft.ai.is_none() {
            return format!("{base}{}", draft.index);
        }
        if let Some(AiDraft { pass_through: Some(passing), targets, .. }) = &draft.ai {
            let backend = targets.first().filter(|_| !passing.models.is_empty());
            let backend = backend.map(|target| format!("={}", target.backend)).unwrap_or_default();
            return format!("{base}pass-through{}{backend}", passing.prefix);
        }
        let label = draft.name.or_else(|| model_of(&draft.matches));
        let called = label.map(|label| format!("{base}{label}"));
        called
            .filter(|name| !self.filter.routes.contains_key(name))
            .unwrap_or_else(|| format!("{base}#{}", draft.index))
    }

    /// Puts a rule on its listeners. It is compiled once for each policy that comes to apply to it.
    fn place(&mut self, draft: &Draft<'_>, attached: &[(usize, Rc<[String]>)]) {
        let base = self.rule_name(draft);
        let mut compiled: HashMap<(Option<usize>, Option<usize>), Rc<Rule>> = HashMap::new();
        let policies = self.policies;
        for (position, domains) in attached {
            let Some(listener) = self.listeners.get(*position) else { continue };
            let found =
                policies.find(draft.route, draft.index, draft.name, listener.gateway, listener.section());
            let (gateway, section) = (listener.gateway, listener.section());
            let security = self.security.to_rule(draft.route, draft.index, draft.name, gateway, section);
            let key = (found.map(|(position, _)| position), security);
            let listener_name = listener.plan.name.clone();
            let rule = match compiled.get(&key) {
                Some(rule) => Rc::clone(rule),
                None => {
                    // Under another policy the same rule is another one, to Envoy and to the filter.
                    let name =
                        if compiled.is_empty() { base.clone() } else { format!("{base}@{listener_name}") };
                    let Some(rule) = self.compile(draft, name, found.map(|(_, traffic)| traffic)) else {
                        return;
                    };
                    let rule = Rc::new(Rule { security, ..rule });
                    compiled.insert(key, Rc::clone(&rule));
                    rule
                }
            };
            if let Some(listener) = self.listeners.get_mut(*position) {
                listener.entries.extend(draft.matches.iter().map(|(field, matches)| Entry {
                    route: draft.route.clone(),
                    field: field.clone(),
                    domains: Rc::clone(domains),
                    rule: MatchedRule { matches: matches.clone(), rule: Rc::clone(&rule) },
                }));
            }
        }
    }

    fn compile(&mut self, draft: &Draft<'_>, name: String, policy: Option<&Traffic<'_>>) -> Option<Rule> {
        if let (Some(policy), Some(ai)) = (policy, &draft.ai) {
            let keys: Vec<&str> = ai.costs.iter().map(|cost| cost.key.as_str()).collect();
            policy.applies_to(draft.route, &keys);
        }
        let members = draft.members.clone()?;
        let is_ai = draft.ai.is_some();
        let connect_timeout = policy.and_then(|policy| policy.connect_timeout).unwrap_or(CONNECT_TIMEOUT);
        let limits = retries::timeouts(draft.timeouts, policy, &members, is_ai);
        let retry = retries::retry(policy, &members, is_ai);
        if let Some(policy) = policy {
            traffic::check_members(policy, &members, self.report);
        }
        let traffic = policy.map(|policy| policy.cluster.clone()).unwrap_or_default();
        let cluster = (!members.is_empty())
            .then(|| self.clusters.index(members, is_ai, connect_timeout, traffic, &name));
        let budgets = policy.map(|policy| policy.budgets.clone()).unwrap_or_default();
        let origin = Origin { route: draft.route.full_name(), rule: draft.index };
        let mut rule = Rule {
            name: name.clone(),
            origin,
            ai: is_ai,
            cluster,
            request_timeout: limits.request,
            attempt_timeout: limits.attempt,
            attempt_idle_timeout: draft.idle_timeout,
            retry,
            limits: Vec::new(),
            limits_fail_closed: false,
            local_limits: policy.map(|policy| policy.local_limits.clone()).unwrap_or_default(),
            policy: policy.map(|policy| policy.id.full_name()),
            security: None,
        };
        match &draft.ai {
            Some(ai) => {
                rule.limits = budgets.iter().map(|budget| Limit { budget: *budget }).collect();
                let user_headers = policy.map(|policy| policy.user_headers.clone()).unwrap_or_default();
                let route = config::Route {
                    targets: ai.targets.iter().cloned().map(Into::into).collect(),
                    costs: ai.costs.to_vec(),
                    budgets,
                    user_headers,
                    strict: self.set.settings.strict.contains(&draft.route.full_name()),
                    repeat_until_content: ai.pass_through.is_none()
                        && self.set.settings.repeat_until_content.contains(&draft.route.full_name()),
                    requires_identity: policy.is_some_and(|policy| policy.requires_identity),
                    pass_through: ai.pass_through.clone(),
                    // For a renderer that leaves the counting to the proxy.
                    limit_headers: Vec::new(),
                    counted_ahead: false,
                    attempts: Some(retries::answers(rule.retry.as_ref())),
                    spare_attempts: rule.retry.as_ref().map_or(0, |retry| retry.spare),
                    attempt_ms: rule.attempt_timeout.map(milliseconds),
                    silence_ms: rule.attempt_idle_timeout.map(milliseconds),
                    request_ms: rule.request_timeout.map(milliseconds),
                    answer_timeout_ms: None,
                };
                self.filter.routes.insert(name, Arc::new(route));
            }
            None => {
                self.filter.plain_routes = true;
                let is_limited = !budgets.is_empty() && !self.set.platform.does_limits();
                if let (Some(policy), true) = (policy, is_limited) {
                    let message =
                        format!("does not limit {}: only AIGatewayRoutes have limits so far", draft.route);
                    // On a whole Gateway it is for the other routes; on this very route it asks for what is not done.
                    if policy.is_for_route(draft.route) {
                        self.report.error(policy.id, "spec.rateLimit", message);
                    } else {
                        self.report.warning(policy.id, "spec.rateLimit", message);
                    }
                }
            }
        }
        Some(rule)
    }

    /// Checks the weights and priorities of a rule's backends.
    fn check_balance(&mut self, id: &ResourceId, field: &str, balance: &[(u32, u32)]) {
        if !balance.is_empty() && balance.iter().all(|(_, weight)| *weight == 0) {
            self.report.error(id, field, "all weights are 0, so that no backend gets a request; raise one");
        }
        for (i, (_, weight)) in balance.iter().enumerate() {
            if *weight > LARGEST_WEIGHT {
                let message = format!("{weight} is more than {LARGEST_WEIGHT}");
                self.report.error(id, format!("{field}[{i}].weight"), message);
            }
        }
        let mut priorities: Vec<u32> = balance.iter().map(|(priority, _)| *priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        if priorities.len() > PRIORITIES {
            let message = format!("has {} priorities; Envoy knows {PRIORITIES}", priorities.len());
            self.report.error(id, field, message);
        }
    }

    /// Two rules of one name could not be told apart by a policy.
    fn check_rule_names(&mut self, id: &ResourceId, names: &[Option<&str>]) {
        for (i, name) in names.iter().enumerate() {
            if let Some(name) = name
                && names.iter().take(i).any(|other| *other == Some(*name))
            {
                let message = format!("another rule is called `{name}`; give this one its own name");
                self.report.error(id, format!("spec.rules[{i}].name"), message);
            }
        }
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
