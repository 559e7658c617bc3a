//! Which pages may have a browser send requests: `cors`.
//!
//! What a browser asks beforehand names no model, so all models of a host name have the same answer, and a route that
//! takes what no other does has them asked at all.

use serde_json::{Map, Value, json};

use super::super::proto;
use super::CORS;
use crate::plan::{Cors, Listener, Plan, Security, ValueMatch, VirtualHost};

const POLICY: &str = "envoy.extensions.filters.http.cors.v3.CorsPolicy";

/// What the models of a host name have.
fn of_models<'a>(plan: &'a Plan, listener: &Listener, host: &VirtualHost) -> Option<&'a Cors> {
    let mut models = host.rules.iter().filter(|matched| matched.rule.ai);
    let security = models.next().map_or(listener.security, |matched| matched.rule.security);
    plan.security.get(security?)?.cors.as_ref()
}

/// What a virtual host says for the filter, by its name, and the route that takes what no other does.
pub(in super::super) fn of_host(
    plan: &Plan,
    listener: &Listener,
    host: &VirtualHost,
) -> Option<(Map<String, Value>, Value)> {
    let fields = Map::from_iter([(CORS.to_owned(), policy(of_models(plan, listener, host)?))]);
    // The filter looks at no route that answers by itself.
    let nowhere = json!({"cluster": "weir.nowhere", "cluster_not_found_response_code": "NOT_FOUND"});
    let rest = json!({"name": "weir.nowhere", "match": {"prefix": "/"}, "route": nowhere});
    Some((fields, rest))
}

/// What the route of a plain rule says for the filter. `None` where it says nothing.
pub(super) fn of_route(plan: &Plan, listener: &Listener, security: Option<&Security>) -> Option<Value> {
    let others = || listener.virtual_hosts.iter().any(|host| of_models(plan, listener, host).is_some());
    match security.and_then(|security| security.cors.as_ref()) {
        Some(cors) => Some(policy(cors)),
        // What the models have is not for it.
        None if others() => {
            let never = json!({"default_value": {"numerator": 0, "denominator": "HUNDRED"}});
            Some(proto::any(POLICY, json!({"filter_enabled": never})))
        }
        None => None,
    }
}

fn policy(cors: &Cors) -> Value {
    let origin = |origin: &ValueMatch| match origin {
        ValueMatch::Exact(origin) => json!({"exact": origin}),
        ValueMatch::Regex(regex) => json!({"safe_regex": {"regex": regex}}),
    };
    // To Envoy `*` stands for all of them only where it stands alone.
    let list = |names: &[String]| match names.iter().any(|name| name == "*") {
        true => "*".to_owned(),
        false => names.join(", "),
    };
    let mut fields = json!({
        "allow_origin_string_match": cors.origins.iter().map(origin).collect::<Vec<_>>(),
        "allow_methods": list(&cors.methods),
        "allow_headers": list(&cors.headers),
        "expose_headers": cors.exposed.join(", "),
        "allow_credentials": cors.credentials,
        "forward_not_matching_preflights": false,
    });
    if let (Some(age), Value::Object(fields)) = (cors.max_age, &mut fields) {
        fields.insert("max_age".to_owned(), age.as_secs().to_string().into());
    }
    proto::any(POLICY, fields)
}
