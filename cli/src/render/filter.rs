//! The filter: one module in several roles, each with an ECDS resource of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_core::config::Config;
use weir_core::headers::PREFIX_KEY_HEADER;

use super::address::Addresses;
use super::direct::Direct;
use super::version::Versions;
use super::{Error, Form, Options, kept, proto, secrets, security};
use crate::plan::Plan;

/// The name of a role's filter in a chain, and of its ECDS resource.
pub(super) fn name(role: &str) -> String {
    format!("weir.{role}")
}

/// The place of a role in a filter chain; what stands there comes by ECDS.
pub(super) fn discovered(options: &Options, role: &str) -> Value {
    json!({
        "name": name(role),
        "config_discovery": {
            "config_source": proto::config_source(options, &super::ecds_path(role)),
            "type_urls": [format!("type.googleapis.com/{}", options.filter.form.message())],
        },
    })
}

/// The ECDS resource of a role. The configuration is byte-identical for all of them.
pub(super) fn resource(
    plan: &Plan,
    direct: &Direct<'_>,
    options: &Options,
    role: &str,
) -> Result<Value, Error> {
    let name = name(role);
    let fields = options.filter.fields(&name, role, &configuration(plan, direct, options)?);
    Ok(proto::any(
        "envoy.config.core.v3.TypedExtensionConfig",
        json!({"name": name, "typed_config": proto::any(options.filter.form.message(), fields)}),
    ))
}

/// The filter's own JSON. Where the ratelimit service counts, the filter must not count too.
fn configuration(plan: &Plan, direct: &Direct<'_>, options: &Options) -> Result<String, Error> {
    options.filter.form.check(&plan.filter)?;
    let mut config = plan.filter.clone();
    config.direct = direct.configuration(plan);
    config.direct_streams = options.filter.form != Form::Module;
    config.prefix_key = plan.hashes(PREFIX_KEY_HEADER);
    for (name, timeout) in direct.answer_timeouts() {
        if let Some(route) = config.routes.get_mut(name) {
            Arc::make_mut(route).answer_timeout_ms = Some(timeout);
        }
    }
    config.kept_key = kept::key(plan, options);
    config.admin_token = options.admin_token.clone();
    config.late_identity = security::late_identity_headers(plan);
    config.late_proofs = security::by_route(plan).values().any(|by_route| *by_route);
    config.access_log = options.access_log.is_some();
    config.secret_files = secrets::files_by_name(plan, options);
    let addresses = Addresses::of(plan);
    let versions = Versions::of(plan, options);
    config.credentials =
        config.credentials.into_iter().map(|(name, source)| (versions.named(&name), source)).collect();
    for (name, backend) in &mut config.backends {
        let backend = Arc::make_mut(backend);
        backend.address = addresses.of_backend(name).map(str::to_owned);
        if let Some(auth) = &mut backend.auth {
            let credential = versions.named(auth.credential());
            *auth.credential_mut() = credential;
        }
    }
    without_unread_costs(&mut config);
    if options.rate_limit_service.is_some() {
        without_budgets(&mut config);
    }
    serde_json::to_string(&config).map_err(|error| Error::Filter(error.to_string()))
}

/// Leaves out the costs that no budget charges. All of Envoy's configuration is written here, so nothing else reads
/// them, and each is a call of Envoy for each request.
fn without_unread_costs(config: &mut Config) {
    for route in config.routes.values_mut() {
        let route = Arc::make_mut(route);
        let budgets: Vec<_> = route.budgets.iter().filter_map(|index| config.budgets.get(*index)).collect();
        route
            .costs
            .retain(|cost| budgets.iter().any(|budget| budget.response_cost.as_ref() == Some(&cost.key)));
    }
}

/// Leaves the counting of budgets to Envoy's rate limit, which reads the headers that they select by once more when it
/// charges.
pub(super) fn without_budgets(config: &mut Config) {
    let all = std::mem::take(&mut config.budgets);
    for route in config.routes.values_mut() {
        let route = Arc::make_mut(route);
        let budgets: Vec<_> = route.budgets.drain(..).filter_map(|index| all.get(index)).collect();
        route.counted_ahead = budgets.iter().any(|budget| budget.request_hits > 0);
        let headers: BTreeSet<&String> =
            budgets.iter().flat_map(|budget| &budget.selectors).map(|selector| &selector.header).collect();
        route.limit_headers = headers.into_iter().cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use weir_core::config::{Budget, Cost, CostType, Route};

    use super::*;

    #[test]
    fn only_costs_that_a_budget_of_their_route_charges_are_computed() {
        let budget = |cost: Option<&str>| Budget {
            name: "b".to_owned(),
            shared: false,
            selectors: vec![],
            limit: 1,
            window: 1,
            request_hits: 1,
            response_cost: cost.map(str::to_owned),
        };
        let costs = ["input", "total"].map(|key| Cost { key: key.to_owned(), kind: CostType::TotalToken });
        let route = |budgets: &[usize]| {
            Arc::new(Route { costs: costs.to_vec(), budgets: budgets.to_vec(), ..Route::default() })
        };
        let routes = [("none", route(&[])), ("requests", route(&[0])), ("tokens", route(&[0, 1]))];
        let mut config = Config {
            budgets: vec![budget(None), budget(Some("total"))],
            routes: routes.map(|(name, route)| (name.to_owned(), route)).into(),
            ..Config::default()
        };
        without_unread_costs(&mut config);
        let left: BTreeMap<&str, Vec<&str>> = config
            .routes
            .iter()
            .map(|(name, route)| (name.as_str(), route.costs.iter().map(|cost| cost.key.as_str()).collect()))
            .collect();
        assert_eq!(left, BTreeMap::from([("none", vec![]), ("requests", vec![]), ("tokens", vec!["total"])]));
    }
}
