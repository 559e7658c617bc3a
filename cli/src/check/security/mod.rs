//! SecurityPolicies: which applies to what, and what they say.

mod authorization;
mod cors;
mod ext_auth;
mod hosts;
mod jwt;
mod keys;

use weir_core::headers::is_name;

use super::backends::Backends;
use super::targets::Applied;
use crate::plan::{Authentication, Member, Security};
use crate::resources::decode::MISSING;
use crate::resources::gateway::HttpBackendRef;
use crate::resources::security::SecurityPolicySpec;
use crate::resources::set::Resource;
use crate::resources::{Report, ResourceId, Set};

/// All policies, by what they apply to.
#[derive(Debug, Default)]
pub struct SecurityPolicies {
    /// By the index that [`SecurityPolicies::to_rule`] gives.
    pub all: Vec<Security>,
    applied: Applied,
}

impl SecurityPolicies {
    /// Reads all policies.
    pub fn new(set: &Set, backends: &Backends, report: &mut Report) -> Self {
        let mut policies = SecurityPolicies::default();
        for policy in set.security_policies.iter() {
            let security = Reader { id: &policy.id, set, backends, report }.policy(policy);
            policies.all.push(security);
            policies.applied.add(&policy.id, policy.spec.targets(), set, report);
        }
        policies
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
        self.applied.to_rule(route, rule, rule_name, gateway, listener)
    }

    /// The headers by which any of them says who a request is from.
    pub fn identity_headers(&self) -> impl Iterator<Item = &str> {
        self.all.iter().flat_map(|security| security.authentication.identity_headers())
    }

    /// The one policy for a listener.
    #[must_use]
    pub fn to_listener(&self, gateway: &ResourceId, listener: &str) -> Option<usize> {
        self.applied.to_listener(gateway, listener)
    }
}

/// Reads one policy.
struct Reader<'r> {
    id: &'r ResourceId,
    set: &'r Set,
    backends: &'r Backends,
    report: &'r mut Report,
}

impl Reader<'_> {
    fn policy(&mut self, policy: &Resource<SecurityPolicySpec>) -> Security {
        let spec = &policy.spec;
        let authentication = Authentication {
            ext_auth: spec.ext_auth.as_ref().and_then(|spec| self.ext_auth(spec)),
            api_key: spec.api_key_auth.as_ref().map(|spec| self.api_key(spec)),
            basic: spec.basic_auth.as_ref().and_then(|spec| self.basic(spec)),
            jwt: spec.jwt.as_ref().map(|spec| self.jwt(spec)),
        };
        let authorization =
            spec.authorization.as_ref().map(|rules| self.authorization(rules, spec.jwt.as_ref()));
        let cors = spec.cors.as_ref().map(|spec| self.cors(spec));
        let security = Security { name: self.id.full_name(), authentication, authorization, cors };
        let asks_for_something = security.authentication != Authentication::default()
            || security.authorization.is_some()
            || security.cors.is_some();
        if !asks_for_something && !self.report.has_error(self.id, "spec") {
            let message = "asks for nothing; give it `apiKeyAuth`, `basicAuth`, `jwt`, `extAuth`, `authorization` or `cors`";
            self.error("spec", message);
        }
        security
    }

    fn error(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.report.error(self.id, field, message);
    }

    /// A header's name, in lower case.
    fn header(&mut self, field: &str, name: &str) -> String {
        let lower = name.to_ascii_lowercase();
        if name != MISSING && !is_name(&lower) {
            self.error(field, format!("`{name}` is not a header name"));
        }
        lower
    }

    /// The name of a header that says who a request is from, in lower case. A client's own is taken off.
    fn identity_header(&mut self, field: &str, name: &str) -> String {
        let lower = self.header(field, name);
        const TAKEN: [&str; 8] = [
            "authorization",
            "connection",
            "content-length",
            "content-type",
            "cookie",
            "host",
            "te",
            "transfer-encoding",
        ];
        if TAKEN.contains(&lower.as_str()) || weir_core::headers::is_internal(&lower) {
            let message = format!("`{lower}` means something else; choose a header that nothing else has");
            self.error(field, message);
        }
        lower
    }

    /// Reports a list that must not be empty.
    fn must_have<T>(&mut self, field: &str, list: &[T], advice: &str) {
        if list.is_empty() && !self.report.has_error(self.id, field) {
            self.error(field, format!("is empty; {advice}"));
        }
    }

    /// The backends that `field` names.
    fn members(&mut self, field: &str, references: &[HttpBackendRef]) -> Option<Vec<Member>> {
        let members: Vec<Option<Member>> = references
            .iter()
            .enumerate()
            .map(|(i, reference)| {
                let field = format!("{field}[{i}]");
                super::plain::backend(self.set, self.backends, self.id, &field, reference, self.report)
            })
            .collect();
        members.into_iter().collect()
    }
}
