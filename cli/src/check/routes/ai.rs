//! AIGatewayRoutes: models to backends.

use std::collections::HashSet;
use std::rc::Rc;

use chrono::DateTime;
use weir_core::cel::Expression;
use weir_core::config::{Cost, CostType, Model, Selector, Target};

use super::super::mutations;
use super::super::retries::check_timeouts;
use super::matches;
use super::{AiDraft, Compiler, Draft, exact_model};
use crate::plan::{HeaderMatch, Match, Member, ValueMatch};
use crate::resources::ai::{AiBackendRef, AiGatewayRouteSpec, AiRule, CostKind, LlmRequestCost};
use crate::resources::decode::MISSING;
use crate::resources::kinds::AI_GATEWAY;
use crate::resources::set::{Found, Resource};
use crate::resources::{Report, ResourceId};

/// `owned_by` of models whose rule does not say.
const OWNED_BY: &str = "weir";
/// `created` of models whose rule does not say, and whose route was not exported from a cluster: 2025-01-01, the
/// same on each start, since clients compare.
const CREATED: i64 = 1_735_689_600;

impl Compiler<'_, '_> {
    /// Compiles an AIGatewayRoute.
    pub(super) fn ai_route(&mut self, route: &Resource<AiGatewayRouteSpec>) {
        let Resource { id, spec, .. } = route;
        let costs = costs(id, &spec.llm_request_costs, self.report);
        let attached = self.attach(id, &spec.parent_refs, &spec.hostnames);
        if spec.rules.is_empty() && !self.report.has_error(id, "spec.rules") {
            self.report.error(id, "spec.rules", "is empty; add a rule with `backendRefs`");
        }
        let hostnames = listed_under(&attached);
        let names: Vec<_> = spec.rules.iter().map(|rule| rule.name.as_deref()).collect();
        self.check_rule_names(id, &names);
        for (index, rule) in spec.rules.iter().enumerate() {
            let field = format!("spec.rules[{index}]");
            let matches = ai_matches(id, &field, rule, self.report);
            if !attached.is_empty() {
                self.models(route, &field, rule, &matches, &hostnames);
            }
            check_timeouts(id, &format!("{field}.timeouts"), &rule.timeouts, self.report);
            let (members, targets) = match self.ai_backends(id, &field, rule) {
                Some((members, targets)) => (Some(members), targets),
                None => (None, Vec::new()),
            };
            let draft = Draft {
                route: id,
                index,
                name: rule.name.as_deref(),
                matches,
                members,
                timeouts: &rule.timeouts,
                idle_timeout: rule.stream_idle_timeout.and_then(|timeout| timeout.unless_zero()),
                ai: Some(AiDraft { targets, costs: &costs, pass_through: None }),
            };
            self.place(&draft, &attached);
        }
        self.passed(route, &costs, &attached);
    }

    fn models(
        &mut self,
        route: &Resource<AiGatewayRouteSpec>,
        field: &str,
        rule: &AiRule,
        matches: &[(String, Match)],
        hostnames: &[String],
    ) {
        let created = match &rule.models_created_at {
            None => route.created.as_deref().and_then(seconds).unwrap_or(CREATED),
            Some(text) => seconds(text).unwrap_or_else(|| {
                let message = "is not a time of RFC 3339; write it as `2024-05-21T10:00:00Z`";
                self.report.error(&route.id, format!("{field}.modelsCreatedAt"), message);
                CREATED
            }),
        };
        if rule.exclude_from_models_endpoint {
            return;
        }
        let owned_by = rule.models_owned_by.as_deref().unwrap_or(OWNED_BY);
        for (_, matches) in matches {
            let Some(id) = exact_model(matches) else { continue };
            self.filter.models.push(Model {
                id: id.to_owned(),
                owned_by: owned_by.to_owned(),
                created,
                hostnames: hostnames.to_vec(),
                headers: self.identities(matches),
            });
        }
    }

    /// What a match asks for of who a request is from. Of a pattern no more than that there is something.
    fn identities(&self, matches: &Match) -> Vec<Selector> {
        let says_who =
            |header: &&HeaderMatch| self.security.identity_headers().any(|name| name == header.name);
        let selector = |header: &HeaderMatch| Selector {
            header: header.name.clone(),
            exact: match &header.value {
                ValueMatch::Exact(value) => Some(value.clone()),
                ValueMatch::Regex(_) => None,
            },
        };
        matches.headers.iter().filter(says_who).map(selector).collect()
    }

    /// The members of the cluster and the targets of the filter, in the same order.
    fn ai_backends(
        &mut self,
        id: &ResourceId,
        field: &str,
        rule: &AiRule,
    ) -> Option<(Vec<Member>, Vec<Target>)> {
        let field = format!("{field}.backendRefs");
        if rule.backend_refs.is_empty() {
            if !self.report.has_error(id, &field) {
                self.report.error(id, &field, "is empty; name an AIServiceBackend");
            }
            return None;
        }
        let balance: Vec<_> = rule.backend_refs.iter().map(|r| (r.priority, r.weight)).collect();
        self.check_balance(id, &field, &balance);
        let joined: Vec<Option<(Member, Target)>> = rule
            .backend_refs
            .iter()
            .enumerate()
            .map(|(i, reference)| self.ai_backend(id, &format!("{field}[{i}]"), reference))
            .collect();
        Some(joined.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip())
    }

    fn ai_backend(
        &mut self,
        id: &ResourceId,
        field: &str,
        reference: &AiBackendRef,
    ) -> Option<(Member, Target)> {
        let headers = mutations::headers(
            reference.header_mutation.as_ref(),
            &format!("{field}.headerMutation"),
            id,
            self.report,
        );
        let body = mutations::body(
            reference.body_mutation.as_ref(),
            &format!("{field}.bodyMutation"),
            id,
            self.report,
        );
        let model = reference.model_name_override.clone().filter(|model| !model.is_empty());
        let kind = reference.kind.as_deref().unwrap_or("AIServiceBackend");
        let group = reference.group.as_deref().unwrap_or(AI_GATEWAY);
        if kind != "AIServiceBackend" || group != AI_GATEWAY {
            if !self.report.has_error(id, field) {
                let message =
                    format!("must be `kind: AIServiceBackend` with `group: {AI_GATEWAY}`, or neither");
                self.report.error(id, field, message);
            }
            return None;
        }
        let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
        let (mut member, mut target) =
            self.ai_service_backend(id, &format!("{field}.name"), namespace, &reference.name)?;
        member.priority = reference.priority;
        member.weight = reference.weight;
        target.model = model;
        target.headers = mutations::merge_headers(&headers, &target.headers);
        target.body = mutations::merge_body(&body, &target.body);
        Some((member, target))
    }

    /// The AIServiceBackend that `field` of `id` names, as the only one of a rule.
    pub(super) fn ai_service_backend(
        &mut self,
        id: &ResourceId,
        field: &str,
        namespace: &str,
        name: &str,
    ) -> Option<(Member, Target)> {
        let backend = match self.set.ai_service_backends.find(namespace, name) {
            Found::Broken => return None,
            Found::Nothing(others) => {
                let message = format!("AIServiceBackend {namespace}/{name} does not exist, {others}");
                self.report.error(id, field, message);
                return None;
            }
            Found::One(backend) => backend,
        };
        let name = backend.id.full_name();
        let compiled = self.backends.ai.get(&name)?.as_ref()?;
        if compiled.addresses.fallback {
            let message =
                format!("`fallback` of its Backend has no effect on {id}, whose `priority` decides");
            self.report.warning(&backend.id, "spec.backendRef", message);
        }
        self.filter.backends.entry(name.clone()).or_insert_with(|| compiled.config.clone().into());
        if let Some(credential) = &compiled.credential {
            let policy = credential.policy.full_name();
            if let Some(source) = &credential.source {
                self.filter.credentials.entry(policy.clone()).or_insert_with(|| source.clone());
            }
            if let Some(secret) = &credential.secret {
                self.secrets.insert(policy, secret.clone());
            }
            self.files.extend(credential.file.clone());
            if credential.container.is_some() {
                self.aws_container.clone_from(&credential.container);
            }
        }
        let member = Member {
            backend: name.clone(),
            priority: 0,
            weight: 1,
            endpoints: compiled.addresses.endpoints.clone(),
            tls: compiled.addresses.tls.clone(),
        };
        let target = Target {
            backend: name,
            model: None,
            headers: compiled.headers.clone(),
            body: compiled.body.clone(),
        };
        Some((member, target))
    }
}

/// The host names under which a route's models are listed; none for all.
fn listed_under(attached: &[(usize, Rc<[String]>)]) -> Vec<String> {
    let mut names: Vec<String> = attached.iter().flat_map(|(_, domains)| domains.iter().cloned()).collect();
    if names.iter().any(|name| name == "*") {
        return Vec::new();
    }
    names.sort();
    names.dedup();
    names
}

fn ai_matches(id: &ResourceId, field: &str, rule: &AiRule, report: &mut Report) -> Vec<(String, Match)> {
    if rule.matches.is_empty() {
        return vec![(field.to_owned(), Match::default())];
    }
    let one = |(i, spec): (usize, &crate::resources::ai::AiMatch)| {
        let place = format!("{field}.matches[{i}]");
        let headers = matches::headers(id, &format!("{place}.headers"), &spec.headers, report);
        (place, Match { headers, ..Match::default() })
    };
    rule.matches.iter().enumerate().map(one).collect()
}

fn costs(id: &ResourceId, specs: &[LlmRequestCost], report: &mut Report) -> Vec<Cost> {
    let mut costs = Vec::new();
    let mut seen = HashSet::new();
    for (i, spec) in specs.iter().enumerate() {
        let field = format!("spec.llmRequestCosts[{i}].metadataKey");
        let key = &spec.metadata_key;
        if key == MISSING {
            continue;
        }
        // The key becomes part of the name of an Envoy filter state, which stands in a format string.
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            let message = format!("`{key}` cannot be a key; use letters, digits, `_`, `-` and `.`");
            report.error(id, &field, message);
        }
        if !seen.insert(key) {
            report.error(id, &field, format!("`{key}` is there already; give each cost its own key"));
        }
        let kind = match spec.kind {
            CostKind::InputToken => CostType::InputToken,
            CostKind::CachedInputToken => CostType::CachedInputToken,
            CostKind::CacheCreationInputToken => CostType::CacheCreationInputToken,
            CostKind::OutputToken => CostType::OutputToken,
            CostKind::ReasoningToken => CostType::ReasoningToken,
            CostKind::TotalToken => CostType::TotalToken,
            // Where it is wrong, the key is kept, so that it is not reported as unknown.
            CostKind::Cel => expression(id, i, spec, report).map_or(CostType::TotalToken, CostType::Cel),
        };
        if spec.cel.is_some() && spec.kind != CostKind::Cel {
            let field = format!("spec.llmRequestCosts[{i}].cel");
            report.error(id, &field, "is for `type: CEL`".to_owned());
        }
        costs.push(Cost { key: key.clone(), kind });
    }
    costs
}

/// The expression of a cost. One that has no value where nothing was used is refused, as Envoy AI Gateway does it.
fn expression(
    id: &ResourceId,
    index: usize,
    spec: &LlmRequestCost,
    report: &mut Report,
) -> Option<Expression> {
    let field = format!("spec.llmRequestCosts[{index}].cel");
    let Some(text) = &spec.cel else {
        report.error(id, &field, "is missing; `type: CEL` needs an expression".to_owned());
        return None;
    };
    let expression = Expression::new(text).map_err(|mistake| mistake.to_string());
    let tried = expression.and_then(|expression| match expression.try_out() {
        Ok(()) => Ok(expression),
        Err(fault) => Err(format!("comes to {fault} where all counters are 0")),
    });
    tried.map_err(|problem| report.error(id, &field, problem)).ok()
}

/// A time of RFC 3339 in seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp())
}

/// Lists each model once for each set of host names and of who may use it.
pub fn without_repetition(models: Vec<Model>) -> Vec<Model> {
    let mut seen = HashSet::new();
    let key = |model: &Model| (model.id.clone(), model.hostnames.clone(), model.headers.clone());
    models.into_iter().filter(|model| seen.insert(key(model))).collect()
}
