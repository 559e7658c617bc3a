//! EKS Pod Identity: the pods have a token in a file, which wasm cannot read. Envoy reads it, and adds it when the
//! filter asks for credentials.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use weir_core::auth::{ContainerEndpoint, Source};

use super::{Options, places};
use crate::plan::{AwsContainer, ContainerToken, Plan};
use crate::render::{discovery, secrets};

/// Where the agent of EKS listens, on every node.
const HOST: &str = "169.254.170.23";
const PORT: u16 = 80;
const PATH: &str = "/v1/credentials";
/// Where EKS puts the token.
const TOKEN: &str = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token";

/// The ConfigMap that tells Envoy of the token, the file in it and the folder it is mounted at.
const NAME: &str = "weir-pod-identity";
const FILE: &str = "token.json";
const FOLDER: &str = "/etc/weir";

fn container() -> AwsContainer {
    AwsContainer {
        host: HOST.to_owned(),
        port: PORT,
        tls: false,
        path: PATH.to_owned(),
        token: Some(ContainerToken::File(TOKEN.to_owned())),
    }
}

/// Whether credentials come from where the AWS SDKs look when they are told nothing.
pub(super) fn is_wanted(plan: &Plan) -> bool {
    plan.filter.credentials.values().any(|source| matches!(source, Source::AwsDefault(_)))
}

/// Names the endpoint to the filter, which asks there when its environment has no keys.
pub(super) fn add(credentials: &mut BTreeMap<String, Source>) {
    for source in credentials.values_mut() {
        if let Source::AwsDefault(calls) = source {
            calls.container = Some(ContainerEndpoint {
                cluster: AwsContainer::CLUSTER.to_owned(),
                authority: HOST.to_owned(),
                path: PATH.to_owned(),
                token_from_environment: false,
                if_announced: true,
            });
        }
    }
}

/// The cluster of the endpoint, which adds the token.
pub(super) fn cluster() -> Value {
    let file = Path::new(FOLDER).join(FILE);
    places::add_cluster(&secrets::container_cluster(&container(), &file, Path::new(places::SYSTEM_CA)))
}

/// Where the token is, as a file that Envoy reads.
pub(super) fn configuration(options: &Options) -> Value {
    let token = container().token.iter().map(secrets::container_token).collect();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": options.namespace},
        "data": {FILE: discovery(token).to_string()},
    })
}

/// What mounts it.
pub(super) fn values() -> Map<String, Value> {
    let mut values = Map::new();
    values.insert("volumes".to_owned(), json!([{"name": NAME, "configMap": {"name": NAME}}]));
    values.insert("volumeMounts".to_owned(), json!([{"name": NAME, "mountPath": FOLDER, "readOnly": true}]));
    values
}
