//! Whether a request may pass: `rbac`, by a matcher whose first rule that matches decides.

use serde_json::{Value, json};

use super::super::proto;
use super::{POLICY_HEADER, matcher};
use crate::plan::{Authorization, AuthorizationRule, Claim, PathMatch, Token};

const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
/// Where `jwt_authn` puts what tokens say.
const TOKENS: &str = "envoy.filters.http.jwt_authn";
/// The claims that may have scopes.
const SCOPES: [&str; 2] = ["scope", "scp"];

/// The filter itself.
pub(super) fn filter(authorization: &Authorization) -> Value {
    proto::any(RBAC, json!({"matcher": rules(authorization, Vec::new())}))
}

/// A filter that lets nobody pass.
pub(super) fn nobody() -> Value {
    proto::any(RBAC, json!({"matcher": {"on_no_match": decision("weir.security.nobody", false)}}))
}

/// What a route says for the filter: also that a request must have been let in by `policy`. `None` where it says
/// nothing.
pub(super) fn per_route(authorization: Option<&Authorization>, policy: Option<&str>) -> Option<Value> {
    let of_another = policy.map(|policy| {
        let same = matcher::header(POLICY_HEADER, &json!({"exact": policy}));
        json!({"predicate": {"not_matcher": same}, "on_match": decision("weir.security.policy", false)})
    });
    let first: Vec<Value> = of_another.into_iter().collect();
    let matcher = match authorization {
        Some(authorization) => rules(authorization, first),
        None if first.is_empty() => return None,
        None => matcher::first_of(first, Some(decision("default", true))),
    };
    Some(proto::any(
        "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
        json!({"rbac": {"matcher": matcher}}),
    ))
}

fn decision(name: &str, allows: bool) -> Value {
    let (word, action) = if allows { ("ALLOW", "ALLOW") } else { ("DENY", "DENY") };
    matcher::action(name, "envoy.config.rbac.v3.Action", json!({"name": word, "action": action}))
}

fn rules(authorization: &Authorization, first: Vec<Value>) -> Value {
    let mut matchers = first;
    matchers.extend(authorization.rules.iter().filter_map(|rule| {
        Some(json!({"predicate": predicate(rule)?, "on_match": decision(&rule.name, rule.allows)}))
    }));
    matcher::first_of(matchers, Some(decision("default", authorization.allows_others)))
}

fn predicate(rule: &AuthorizationRule) -> Option<Value> {
    let methods = rule.methods.iter();
    let methods =
        methods.map(|method| matcher::header(":method", &json!({"exact": method, "ignore_case": true})));
    let headers = rule.headers.iter().filter_map(|(name, values)| {
        matcher::any_of(values.iter().map(|value| matcher::header(name, &json!({"exact": value}))).collect())
    });
    let mut all: Vec<Value> = matcher::any_of(methods.collect()).into_iter().collect();
    all.extend(rule.path.as_ref().map(path));
    if !rule.networks.is_empty() {
        all.push(networks(&rule.networks));
    }
    if let Some(token) = &rule.token {
        all.extend(self::token(token));
    }
    all.extend(headers);
    matcher::all_of(all)
}

/// The path without its query, as routes compare it.
fn path(path: &PathMatch) -> Value {
    let regex = match path {
        PathMatch::Exact(path) => regex::escape(path),
        PathMatch::Prefix(path) => match path.trim_end_matches('/') {
            "" => "/[^?]*".to_owned(),
            path => format!("{}(/[^?]*)?", regex::escape(path)),
        },
        PathMatch::Regex(regex) => format!("({regex})"),
    };
    matcher::header(":path", &json!({"safe_regex": matcher::regex(&format!(r"{regex}(\?.*)?"))}))
}

fn networks(networks: &[(String, u8)]) -> Value {
    let range = |(address, length): &(String, u8)| json!({"address_prefix": address, "prefix_len": length});
    matcher::custom(
        proto::extension(
            "client_ip",
            "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput",
            json!({}),
        ),
        proto::extension(
            "networks",
            "envoy.extensions.matching.input_matchers.ip.v3.Ip",
            json!({"stat_prefix": "client_ip", "cidr_ranges": networks.iter().map(range).collect::<Vec<_>>()}),
        ),
    )
}

/// All of it.
fn token(token: &Token) -> Vec<Value> {
    let scopes = token.scopes.iter().filter_map(|scope| {
        let in_claim = |claim: &str| said(&token.provider, &[claim], true, scope);
        matcher::any_of(SCOPES.map(in_claim).into())
    });
    let claims = token.claims.iter().filter_map(|Claim { path, is_list, values }| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        matcher::any_of(values.iter().map(|value| said(&token.provider, &path, *is_list, value)).collect())
    });
    scopes.chain(claims).collect()
}

/// Whether a claim is `value`, or has it in its list.
fn said(provider: &str, claim: &[&str], is_list: bool, value: &str) -> Value {
    let path: Vec<Value> = [provider].iter().chain(claim).map(|key| json!({"key": key})).collect();
    let text = json!({"string_match": {"exact": value}});
    let value = if is_list { json!({"list_match": {"one_of": text}}) } else { text };
    matcher::custom(
        proto::extension(
            "claim",
            "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput",
            json!({"filter": TOKENS, "path": path}),
        ),
        proto::extension(
            "claim",
            "envoy.extensions.matching.input_matchers.metadata.v3.Metadata",
            json!({"value": value}),
        ),
    )
}
