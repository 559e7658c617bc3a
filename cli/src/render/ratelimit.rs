//! Budgets in the ratelimit service: what Envoy asks for each route, and the service's own configuration.
//!
//! Both sides must name the same descriptors in the same order, so both are made from [`descriptors`].

use serde_json::{Value, json};

use super::{Error, Files, Form, proto};
use crate::plan::{Plan, Rule};
use weir_core::config::{Budget, Selector};

/// One entry of a descriptor.
enum Entry<'a> {
    /// Always there.
    Fixed(&'static str, &'a str),
    /// There when the header is; each of its values has its own count.
    Header(&'a str),
    /// There when the header has this value.
    HeaderValue(&'a str, &'a str),
}

/// The descriptor of a budget on a route: the route unless all routes share one count, the budget, and what its
/// selectors see.
fn descriptors<'a>(budget: &'a Budget, rule: &'a Rule) -> Vec<Entry<'a>> {
    let route = (!budget.shared).then_some(Entry::Fixed("route", &rule.name));
    let selectors = budget.selectors.iter().map(|Selector { header, exact }| match exact {
        None => Entry::Header(header),
        Some(value) => Entry::HeaderValue(header, value),
    });
    route.into_iter().chain([Entry::Fixed("budget", &budget.name)]).chain(selectors).collect()
}

impl Entry<'_> {
    fn action(&self) -> Value {
        match self {
            Entry::Fixed(key, value) => {
                json!({"generic_key": {"descriptor_key": key, "descriptor_value": value}})
            }
            Entry::Header(name) => json!({"request_headers": {"header_name": name, "descriptor_key": name}}),
            Entry::HeaderValue(name, value) => json!({"header_value_match": {
                "descriptor_key": name,
                "descriptor_value": named(value),
                "headers": [{"name": name, "string_match": {"exact": value}}],
            }}),
        }
    }

    fn key(&self) -> (&str, Option<&str>) {
        match self {
            Entry::Fixed(key, value) => (key, Some(value)),
            Entry::Header(name) => (name, None),
            Entry::HeaderValue(name, value) => (name, Some(named(value))),
        }
    }
}

/// A descriptor's value must not be empty; a header's may be.
fn named(value: &str) -> &str {
    if value.is_empty() { "(empty)" } else { value }
}

/// The rate limits of a route, in the one place where Envoy heeds `hits_addend`. `None` when it has none.
pub(super) fn per_route(plan: &Plan, rule: &Rule, form: Form) -> Option<Value> {
    let mut limits = Vec::new();
    for budget in rule.limits.iter().filter_map(|limit| plan.filter.budgets.get(limit.budget)) {
        let actions: Vec<Value> = descriptors(budget, rule).iter().map(Entry::action).collect();
        // With 0 this only looks whether the budget is used up.
        limits.push(json!({"actions": actions, "hits_addend": {"number": budget.request_hits}}));
        if let Some(cost) = &budget.response_cost {
            limits.push(json!({
                "actions": actions,
                "apply_on_stream_done": true,
                "hits_addend": {"format": form.cost(cost)},
            }));
        }
    }
    (!limits.is_empty()).then(|| {
        proto::any(
            "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
            json!({"rate_limits": limits}),
        )
    })
}

/// One file per listener, which is a domain of its own. JSON is YAML.
pub(super) fn service_configuration(plan: &Plan, files: &mut Files) -> Result<(), Error> {
    for (index, listener) in plan.listeners.iter().enumerate() {
        let mut tree = Tree::default();
        for rule in listener.virtual_hosts.iter().flat_map(|host| &host.rules).map(|matched| &matched.rule) {
            for budget in rule.limits.iter().filter_map(|limit| plan.filter.budgets.get(limit.budget)) {
                let path = descriptors(budget, rule);
                let path: Vec<_> = path.iter().map(Entry::key).collect();
                tree.insert(&path, &limit(budget)?);
            }
        }
        let path = match index {
            0 => format!("{}/config/config/weir.yaml", super::RATELIMIT_ROOT),
            _ => format!("{}/config/config/weir-{index}.yaml", super::RATELIMIT_ROOT),
        };
        files.insert(path, &json!({"domain": listener.name, "descriptors": tree.rendered()}));
    }
    Ok(())
}

fn limit(budget: &Budget) -> Result<Value, Error> {
    const DAY: u64 = 24 * 60 * 60;
    let unit = match budget.window {
        1 => "second",
        60 => "minute",
        3600 => "hour",
        DAY => "day",
        604_800 => "week",
        2_592_000 => "month",
        31_536_000 => "year",
        seconds => return Err(Error::Window { budget: budget.name.clone(), seconds }),
    };
    let limit = u32::try_from(budget.limit)
        .map_err(|_| Error::LimitTooLarge { budget: budget.name.clone(), limit: budget.limit })?;
    Ok(json!({"unit": unit, "requests_per_unit": limit}))
}

/// The service's nested descriptors: a key with a value (or any value) may hold a limit and further descriptors.
#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
}

struct Node {
    key: String,
    value: Option<String>,
    limit: Option<Value>,
    below: Tree,
}

impl Tree {
    fn insert(&mut self, path: &[(&str, Option<&str>)], limit: &Value) {
        let Some(((key, value), below)) = path.split_first() else { return };
        let found = self.nodes.iter().position(|node| node.key == *key && node.value.as_deref() == *value);
        let position = found.unwrap_or_else(|| {
            let (key, value) = ((*key).to_owned(), value.map(str::to_owned));
            self.nodes.push(Node { key, value, limit: None, below: Tree::default() });
            self.nodes.len() - 1
        });
        let Some(node) = self.nodes.get_mut(position) else { return };
        if below.is_empty() {
            node.limit = Some(limit.clone());
        }
        node.below.insert(below, limit);
    }

    fn rendered(&self) -> Vec<Value> {
        self.nodes
            .iter()
            .map(|node| {
                let mut fields = serde_json::Map::new();
                fields.insert("key".to_owned(), node.key.clone().into());
                if let Some(value) = &node.value {
                    fields.insert("value".to_owned(), value.clone().into());
                }
                if let Some(limit) = &node.limit {
                    fields.insert("rate_limit".to_owned(), limit.clone());
                }
                if !node.below.nodes.is_empty() {
                    fields.insert("descriptors".to_owned(), node.below.rendered().into());
                }
                Value::Object(fields)
            })
            .collect()
    }
}
