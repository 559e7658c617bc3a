//! `rateLimit.local`: Envoy's own token buckets.
//!
//! All buckets of a listener are in one filter, which knows a rule by the name of its routes: those that a rule has in
//! Envoy share its buckets. The filter's configuration is an ECDS file of its own, so that a change of anything else
//! leaves what is in the buckets.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use weir_core::config::Selector;

use super::{Options, proto};
use crate::plan::{LocalLimit, Plan, Rule};

/// The filter in the chain, and its ECDS resource.
const NAME: &str = "weir.local_limits";
/// The name of the ECDS file among those of the roles.
pub(super) const FILE: &str = "local-limits";
const MESSAGE: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
/// Values of Distinct headers that a limit counts at a time; who was not seen for longest is forgotten.
const COUNTED_AT_A_TIME: u32 = 10_000;

/// The place of the filter in a chain.
pub(super) fn discovered(options: &Options) -> Value {
    json!({
        "name": NAME,
        "config_discovery": {
            "config_source": proto::config_source(options, &super::ecds_path(FILE)),
            "type_urls": [format!("type.googleapis.com/{MESSAGE}")],
        },
    })
}

/// The ECDS resource.
pub(super) fn resource(plan: &Plan) -> Value {
    proto::any("envoy.config.core.v3.TypedExtensionConfig", http_filter(plan))
}

/// The filter itself: every limit of every rule.
pub(super) fn http_filter(plan: &Plan) -> Value {
    let hosts = plan.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
    let mut rules: Vec<&Rule> =
        hosts.flat_map(|host| &host.rules).map(|matched| matched.rule.as_ref()).collect();
    rules.sort_by(|one, other| one.name.cmp(&other.name));
    rules.dedup_by(|one, other| one.name == other.name);
    let (mut buckets, mut limits, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for rule in rules {
        for limit in &rule.local_limits {
            buckets.push(bucket(rule, limit));
            if known.insert(&limit.name) {
                limits.push(actions(rule, limit));
            }
        }
    }
    let mut fields = json!({"stat_prefix": "weir_local_limits"});
    if !buckets.is_empty()
        && let Value::Object(fields) = &mut fields
    {
        let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
        fields.insert("filter_enabled".to_owned(), always.clone());
        fields.insert("filter_enforced".to_owned(), always);
        fields.insert("enable_x_ratelimit_headers".to_owned(), "DRAFT_VERSION_03".into());
        fields.insert("max_dynamic_descriptors".to_owned(), COUNTED_AT_A_TIME.into());
        fields.insert("rate_limits".to_owned(), limits.into());
        fields.insert("descriptors".to_owned(), buckets.into());
    }
    proto::extension(NAME, MESSAGE, fields)
}

/// Full at first, and filled all the time at the rate of the limit.
fn bucket(rule: &Rule, limit: &LocalLimit) -> Value {
    let mut entries = vec![json!({"key": "limit", "value": limit.name})];
    entries.extend(limit.selectors.iter().map(|selector| match &selector.exact {
        // Without a value each value has a bucket of its own.
        None => json!({"key": selector.header}),
        Some(_) => json!({"key": selector.header, "value": "selected"}),
    }));
    if limit.selectors.is_empty() {
        entries.extend(others(rule).map(|other| json!({"key": other.name, "value": "not selected"})));
    }
    entries.push(json!({"key": "rule", "value": rule.name}));
    json!({
        "entries": entries,
        "token_bucket": {
            "max_tokens": limit.limit,
            "tokens_per_fill": limit.limit,
            "fill_interval": format!("{}s", limit.window),
        },
    })
}

/// From a request to its bucket. Where one of these does not apply, the request takes from none.
fn actions(rule: &Rule, limit: &LocalLimit) -> Value {
    let mut actions =
        vec![json!({"generic_key": {"descriptor_key": "limit", "descriptor_value": limit.name}})];
    actions.extend(limit.selectors.iter().map(|selector| match &selector.exact {
        None => {
            json!({"request_headers": {"header_name": selector.header, "descriptor_key": selector.header}})
        }
        Some(_) => json!({"header_value_match": {
            "descriptor_key": selector.header,
            "descriptor_value": "selected",
            "headers": [condition(selector)],
        }}),
    }));
    if limit.selectors.is_empty() {
        // For what no other limit selects.
        actions.extend(others(rule).map(|other| {
            json!({"header_value_match": {
                "descriptor_key": other.name,
                "descriptor_value": "not selected",
                "expect_match": false,
                "headers": other.selectors.iter().map(condition).collect::<Vec<_>>(),
            }})
        }));
    }
    actions.push(json!({"extension": route_name()}));
    json!({"actions": actions})
}

/// A route is called after its rule. Not the metadata of the route: where a request has none, Envoy 1.36 ends when it
/// looks there.
fn route_name() -> Value {
    proto::extension(
        "envoy.rate_limit_descriptors.expr",
        "envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor",
        json!({"descriptor_key": "rule", "skip_if_error": true, "text": "xds.route_name"}),
    )
}

/// The limits besides the one without selectors.
fn others(rule: &Rule) -> impl Iterator<Item = &LocalLimit> {
    rule.local_limits.iter().filter(|limit| !limit.selectors.is_empty())
}

fn condition(selector: &Selector) -> Value {
    match &selector.exact {
        None => json!({"name": selector.header, "present_match": true}),
        Some(value) => json!({"name": selector.header, "string_match": {"exact": value}}),
    }
}
