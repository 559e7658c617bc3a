//! HTTPRoutes: plain proxying beside the models.

use super::super::plain;
use super::super::retries::check_timeouts;
use super::{Compiler, Draft, matches};
use crate::plan::{Endpoint, Match, Member};
use crate::resources::gateway::{HttpBackendRef, HttpMatch, HttpRouteSpec, HttpRule};
use crate::resources::set::{Found, Resource};
use crate::resources::{Platform, ResourceId};

impl Compiler<'_, '_> {
    /// Compiles an HTTPRoute.
    pub(super) fn plain_route(&mut self, route: &Resource<HttpRouteSpec>) {
        let Resource { id, spec, .. } = route;
        if let Found::One(ai) = self.set.ai_gateway_routes.find(&id.namespace, &id.name) {
            let message =
                format!("{} has the same name, and policies name both by it; rename one of the two", ai.id);
            self.report.error(id, "metadata.name", message);
        }
        let attached = self.attach(id, &spec.parent_refs, &spec.hostnames);
        if spec.rules.is_empty() && !self.report.has_error(id, "spec.rules") {
            self.report.error(id, "spec.rules", "is empty; add a rule with `backendRefs`");
        }
        let names: Vec<_> = spec.rules.iter().map(|rule| rule.name.as_deref()).collect();
        self.check_rule_names(id, &names);
        for (index, rule) in spec.rules.iter().enumerate() {
            let field = format!("spec.rules[{index}]");
            check_timeouts(id, &format!("{field}.timeouts"), &rule.timeouts, self.report);
            let draft = Draft {
                route: id,
                index,
                name: rule.name.as_deref(),
                matches: self.plain_matches(id, &field, rule),
                members: self.plain_backends(id, &field, rule),
                timeouts: &rule.timeouts,
                idle_timeout: None,
                ai: None,
            };
            self.place(&draft, &attached);
        }
    }

    fn plain_matches(&mut self, id: &ResourceId, field: &str, rule: &HttpRule) -> Vec<(String, Match)> {
        let everything = [HttpMatch::default()];
        let specs = if rule.matches.is_empty() { &everything[..] } else { &rule.matches };
        let one = |(i, spec): (usize, &HttpMatch)| {
            let place =
                if rule.matches.is_empty() { field.to_owned() } else { format!("{field}.matches[{i}]") };
            let matches = Match {
                path: Some(matches::path(id, &format!("{place}.path"), &spec.path, self.report)),
                method: spec.method.map(|method| method.name().to_owned()),
                headers: matches::headers(id, &format!("{place}.headers"), &spec.headers, self.report),
                query: matches::query(id, &format!("{place}.queryParams"), &spec.query_params, self.report),
            };
            (place, matches)
        };
        specs.iter().enumerate().map(one).collect()
    }

    fn plain_backends(&mut self, id: &ResourceId, field: &str, rule: &HttpRule) -> Option<Vec<Member>> {
        let field = format!("{field}.backendRefs");
        if rule.backend_refs.is_empty() && !self.report.has_error(id, &field) {
            self.report.warning(id, &field, "is empty: its requests get a 500");
        }
        let balance: Vec<_> = rule.backend_refs.iter().map(|r| (0, r.weight)).collect();
        self.check_balance(id, &field, &balance);
        let members: Vec<Option<Member>> = rule
            .backend_refs
            .iter()
            .enumerate()
            .map(|(i, reference)| self.plain_backend(id, &format!("{field}[{i}]"), reference))
            .collect();
        members.into_iter().collect()
    }

    fn plain_backend(&mut self, id: &ResourceId, field: &str, reference: &HttpBackendRef) -> Option<Member> {
        // What it is passed on to knows more kinds.
        if self.set.platform == Platform::EnvoyGateway && !plain::is_known(reference) {
            let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
            return Some(self.elsewhere(namespace, reference));
        }
        plain::backend(self.set, self.backends, id, field, reference, self.report)
    }

    /// A backend of which no more is known than its name.
    fn elsewhere(&self, namespace: &str, reference: &HttpBackendRef) -> Member {
        let host = reference.name.clone();
        Member {
            backend: format!("{namespace}/{}", reference.name),
            priority: 0,
            weight: reference.weight,
            endpoints: vec![Endpoint { host, port: reference.port.unwrap_or_default() }],
            tls: None,
        }
    }
}
