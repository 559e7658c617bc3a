//! The wasm filter: one module in four roles, told apart by `root_id`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Error, Options, proto};
use crate::plan::Plan;

const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// Names the VM and, with it, the shared data that all roles and all workers see.
const VM_ID: &str = "weir";

/// What the filter may read of Envoy's environment: AWS's default credentials. Keys that are not set are left out by Envoy.
const ENVIRONMENT: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// The name of a role's filter in a chain, and of its ECDS resource.
fn name(role: &str) -> String {
    format!("weir.{role}")
}

/// The place of a role in a filter chain; what stands there comes by ECDS.
pub(super) fn discovered(options: &Options, role: &str) -> Value {
    json!({
        "name": name(role),
        "config_discovery": {
            "config_source": proto::config_source(options, &super::ecds_path(role)),
            "type_urls": [format!("type.googleapis.com/{WASM}")],
        },
    })
}

/// The ECDS resource of a role. The configuration is byte-identical for all of them.
pub(super) fn resource(plan: &Plan, options: &Options, role: &str) -> Result<Value, Error> {
    let wasm = json!({
        "config": {
            "name": name(role),
            "root_id": role,
            "vm_config": {
                "vm_id": VM_ID,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": options.wasm}},
                "environment_variables": {"host_env_keys": ENVIRONMENT},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration(plan, options)?,
            },
            // Without it a pause in the header callback never delivers the body.
            "allow_on_headers_stop_iteration": true,
            // Fail open would let requests pass without the filter for good, fail closed would refuse all of them for good.
            "failure_policy": "FAIL_RELOAD",
        },
    });
    Ok(proto::any(
        "envoy.config.core.v3.TypedExtensionConfig",
        json!({"name": name(role), "typed_config": proto::any(WASM, wasm)}),
    ))
}

/// The filter's own JSON. Where the ratelimit service counts, the filter must not count too.
fn configuration(plan: &Plan, options: &Options) -> Result<String, Error> {
    let mut config = plan.filter.clone();
    if options.rate_limit_service.is_some() {
        config.budgets.clear();
        for route in config.routes.values_mut() {
            let route = Arc::make_mut(route);
            let budgets = route.budgets.drain(..).filter_map(|index| plan.filter.budgets.get(index));
            let headers: BTreeSet<&String> =
                budgets.flat_map(|budget| &budget.selectors).map(|selector| &selector.header).collect();
            route.limit_headers = headers.into_iter().cloned().collect();
        }
    }
    serde_json::to_string(&config).map_err(|error| Error::Filter(error.to_string()))
}
