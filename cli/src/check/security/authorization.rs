//! `authorization`: who may do what.

use std::net::IpAddr;

use super::super::routes::matches;
use super::Reader;
use crate::plan::{Authorization, AuthorizationRule, Claim, Token};
use crate::resources::decode::MISSING;
use crate::resources::gateway::Method;
use crate::resources::security::{
    Action, AuthorizationRule as RuleSpec, AuthorizationSpec, ClaimType, JwtPrincipal, JwtSpec, Principal,
};

impl Reader<'_> {
    pub(super) fn authorization(&mut self, spec: &AuthorizationSpec, jwt: Option<&JwtSpec>) -> Authorization {
        let rules = spec.rules.iter().enumerate();
        Authorization {
            rules: rules
                .map(|(i, rule)| self.rule(&format!("spec.authorization.rules[{i}]"), i, rule, jwt))
                .collect(),
            allows_others: spec.default_action == Some(Action::Allow),
        }
    }

    fn rule(
        &mut self,
        field: &str,
        index: usize,
        spec: &RuleSpec,
        jwt: Option<&JwtSpec>,
    ) -> AuthorizationRule {
        let default_name = || format!("{}/rule/{index}", self.id.full_name());
        let name = spec.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(default_name);
        let mut rule = AuthorizationRule {
            name,
            allows: spec.action == Action::Allow,
            methods: Vec::new(),
            path: None,
            networks: Vec::new(),
            token: None,
            headers: Vec::new(),
        };
        if let Some(operation) = &spec.operation {
            let place = format!("{field}.operation");
            if operation.methods.is_empty()
                && operation.path.is_none()
                && !self.report.has_error(self.id, &place)
            {
                self.error(&place, "is empty; say `methods` or `path`, or leave it out");
            }
            rule.methods = operation.methods.iter().map(|method| Method::name(*method).to_owned()).collect();
            let path = operation.path.as_ref();
            rule.path = path.map(|path| matches::path(self.id, &format!("{place}.path"), path, self.report));
        }
        match &spec.principal {
            Some(principal) => self.principal(&format!("{field}.principal"), principal, jwt, &mut rule),
            None if self.report.has_error(self.id, field) => {}
            None => self.error(format!("{field}.principal"), "is missing; say whom the rule is for"),
        }
        rule
    }

    fn principal(
        &mut self,
        field: &str,
        spec: &Principal,
        jwt: Option<&JwtSpec>,
        rule: &mut AuthorizationRule,
    ) {
        let says_nothing = spec.client_cidrs.is_empty() && spec.jwt.is_none() && spec.headers.is_empty();
        if says_nothing && !self.report.has_error(self.id, field) {
            self.error(field, "is empty; say `clientCIDRs`, `jwt` or `headers`");
        }
        for (i, text) in spec.client_cidrs.iter().enumerate() {
            match network(text) {
                Some(network) => rule.networks.push(network),
                None if text == MISSING => {}
                None => {
                    let message =
                        format!("`{text}` is not a network; write it as `10.0.0.0/8` or `fd00::/8`");
                    self.error(format!("{field}.clientCIDRs[{i}]"), message);
                }
            }
        }
        for (i, header) in spec.headers.iter().enumerate() {
            let place = format!("{field}.headers[{i}]");
            let name = self.header(&format!("{place}.name"), &header.name);
            self.must_have(&format!("{place}.values"), &header.values, "write what it may be");
            rule.headers.push((name, header.values.clone()));
        }
        rule.token = spec.jwt.as_ref().map(|spec| self.token(&format!("{field}.jwt"), spec, jwt));
    }

    fn token(&mut self, field: &str, spec: &JwtPrincipal, jwt: Option<&JwtSpec>) -> Token {
        let mut providers = jwt.iter().flat_map(|jwt| &jwt.providers).map(|provider| provider.name.as_str());
        if spec.provider != MISSING && !providers.any(|name| name == spec.provider) {
            let message = format!("`{}` is no provider of `jwt` in this policy", spec.provider);
            self.error(format!("{field}.provider"), message);
        }
        if spec.claims.is_empty() && spec.scopes.is_empty() && !self.report.has_error(self.id, field) {
            self.error(field, "is empty; say `claims` or `scopes`");
        }
        let mut claims = Vec::new();
        for (i, claim) in spec.claims.iter().enumerate() {
            let place = format!("{field}.claims[{i}]");
            if claim.name.split('.').any(str::is_empty) {
                self.error(format!("{place}.name"), "must be names with dots between them");
            }
            self.must_have(&format!("{place}.values"), &claim.values, "write what it may be");
            claims.push(Claim {
                path: claim.name.split('.').map(str::to_owned).collect(),
                is_list: claim.value_type == ClaimType::StringArray,
                values: claim.values.clone(),
            });
        }
        Token { provider: spec.provider.clone(), scopes: spec.scopes.clone(), claims }
    }
}

/// An address and the length of its prefix.
fn network(text: &str) -> Option<(String, u8)> {
    let (address, length) = text.split_once('/')?;
    let parsed: IpAddr = address.parse().ok()?;
    let longest = if parsed.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length| *length <= longest)?;
    Some((parsed.to_string(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(network("10.0.0.0/8"), Some(("10.0.0.0".to_owned(), 8)));
        assert_eq!(network("fd00::/128"), Some(("fd00::".to_owned(), 128)));
        for bad in ["10.0.0.0", "10.0.0/8", "10.0.0.0/33", "fd00::/129", "a/8", "10.0.0.0/-1", "10.0.0.0/"] {
            assert_eq!(network(bad), None, "{bad}");
        }
    }
}
