//! The filter in the gateway's Envoy: where its code and its configuration come from.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Gateway, Options, pod_identity};
use crate::plan::Plan;
use crate::render::filter::without_budgets;
use crate::render::form::{self, Form};
use crate::render::kubernetes::{Names, secret_keys, slug};
use crate::render::{Error, proto};

/// The role in the listeners' chains.
pub(super) const EDGE: &str = "edge";
/// The role in upstream chains.
pub(super) const BACKEND: &str = "backend";

/// Where the gateway's pods get the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The proxy's agent fetches it: `oci://`, `https://` or `http://`.
    Remote {
        /// Its URL.
        url: String,
        /// SHA-256: of the image's manifest for `oci://`, else of the file.
        sha256: Option<String>,
    },
    /// It is a file in the pod.
    File(String),
}

impl Code {
    fn rendered(&self) -> Value {
        match self {
            Code::Remote { url, sha256 } => json!({"remote": {
                // Envoy wants a cluster here; the agent, which fetches it, does not.
                "http_uri": {"uri": url, "timeout": "30s", "cluster": "_"},
                // `nil` is Istio's word for none.
                "sha256": sha256.as_deref().unwrap_or("nil"),
            }}),
            Code::File(path) => json!({"local": {"filename": path}}),
        }
    }
}

fn name(role: &str) -> String {
    format!("weir.{role}")
}

/// The place of a role in a filter chain; what stands there comes from Istiod.
pub(super) fn discovered(role: &str) -> Value {
    let mut types = vec![type_url(Form::Wasm.message())];
    // What the agent puts in its place while it cannot fetch the code. There is no such filter for upstream chains.
    if role == EDGE {
        types.push(type_url("envoy.extensions.filters.http.rbac.v3.RBAC"));
    }
    json!({
        "name": name(role),
        "config_discovery": {
            "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "type_urls": types,
        },
    })
}

fn type_url(message: &str) -> String {
    format!("type.googleapis.com/{message}")
}

/// The patches that make the configurations of all roles known to Istiod. They are byte-identical.
pub(super) fn configurations(gateway: &Gateway<'_>) -> Result<Vec<Value>, Error> {
    let configuration = configuration(gateway)?;
    let code = gateway.options.code.rendered();
    let secrets = variables(gateway.plan);
    let secrets = secrets.iter().map(|variable| variable.name.as_str());
    let environment: Vec<&str> = form::ENVIRONMENT.into_iter().chain(secrets).collect();
    let roles = [EDGE].into_iter().chain(gateway.needs_role().then_some(BACKEND));
    let patch = |role| {
        let fields = form::wasm(&name(role), role, &code, &environment, &configuration);
        let value = json!({"name": name(role), "typed_config": proto::any(Form::Wasm.message(), fields)});
        json!({
            "applyTo": "EXTENSION_CONFIG",
            "match": {"context": "GATEWAY"},
            "patch": {"operation": "ADD", "value": value},
        })
    };
    Ok(roles.map(patch).collect())
}

/// The filter's own JSON. Where the ratelimit service counts, the filter must not count too.
fn configuration(gateway: &Gateway<'_>) -> Result<String, Error> {
    let mut config = gateway.plan.filter.clone();
    config.direct = gateway.direct_ways();
    let secrets = variables(gateway.plan).into_iter();
    config.secret_env = secrets.map(|variable| (variable.credential.to_owned(), variable.name)).collect();
    pod_identity::add(&mut config.credentials);
    // Nothing reads the line.
    config.access_log = false;
    if gateway.options.rate_limit_service.is_some() {
        without_budgets(&mut config);
    }
    serde_json::to_string(&config).map_err(|error| Error::Filter(error.to_string()))
}

/// A secret that the pods have in their environment.
struct Variable<'a> {
    /// Its name there.
    name: String,
    /// The credential, by its name in the filter's configuration.
    credential: &'a str,
    /// The Secret's name, and the key in it.
    secret: (&'a str, &'a str),
}

/// What the pods' environment must hold.
fn variables(plan: &Plan) -> Vec<Variable<'_>> {
    let mut names = Names::default();
    let mut variables = Vec::new();
    for source in secret_keys(&plan.filter) {
        let name = names.unique("variable", "", &format!("weir-{}", slug(source.credential)));
        let name = name.replace('-', "_").to_ascii_uppercase();
        // A pod reads Secrets of its own namespace.
        let secret = (source.name(), source.key);
        variables.push(Variable { name, credential: source.credential, secret });
    }
    variables
}

/// The variables of the pods that hold secrets.
pub(super) fn environment(plan: &Plan) -> Vec<Value> {
    let variable = |Variable { name, secret: (secret, key), .. }: Variable<'_>| {
        // Without `optional` no pod of the gateway starts as long as one Secret is missing.
        let reference = json!({"name": secret, "key": key, "optional": true});
        json!({"name": name, "valueFrom": {"secretKeyRef": reference}})
    };
    variables(plan).into_iter().map(variable).collect()
}

/// The Secrets that must be where the pods are.
pub(super) fn notes(plan: &Plan, options: &Options) -> Vec<String> {
    let secrets: BTreeSet<(&str, &str)> = variables(plan).iter().map(|variable| variable.secret).collect();
    let namespace = &options.namespace;
    let note = |(secret, key)| format!("Secret {namespace}/{secret} must be there, with the key `{key}`");
    secrets.into_iter().map(note).collect()
}
