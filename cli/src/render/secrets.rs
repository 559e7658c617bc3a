//! Secrets: SDS files that Envoy watches, and the cluster that brings them to the filter as headers.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_core::auth::secret_header;

use super::{Options, SECRETS_SOCKET, clusters, proto, short_digest};
use crate::plan::{AwsContainer, ContainerToken, Plan, SecretValue, Tls};

/// The cluster that the filter calls for its secrets.
pub(super) const SECRETS_CLUSTER: &str = "weir_secrets";
/// The name of the container token's secret.
const CONTAINER_SECRET: &str = "aws-container";

pub(super) fn sds_path(name: &str) -> String {
    format!("sds/{}.json", short_digest(name.as_bytes()))
}

pub(super) fn container_sds_path() -> String {
    format!("sds/{CONTAINER_SECRET}.json")
}

/// The SDS resource of a secret; base64, because a header holds no line breaks and a credentials file does.
pub(super) fn resource(name: &str, value: &str) -> Value {
    generic_secret(&short_digest(name.as_bytes()), json!({"inline_string": STANDARD.encode(value)}))
}

/// The SDS resource of the container token. A file is read by Envoy itself, which watches the folder: a rotated token is seen when it is
/// moved into its place or, as in Kubernetes, a link to its folder is.
pub(super) fn container_token(token: &ContainerToken) -> Value {
    let source = match token {
        ContainerToken::Value(SecretValue(value)) => json!({"inline_string": value}),
        ContainerToken::File(file) => {
            let folder = Path::new(file).parent().unwrap_or(Path::new("/"));
            json!({"filename": file, "watched_directory": {"path": folder}})
        }
    };
    generic_secret(CONTAINER_SECRET, source)
}

fn generic_secret(name: &str, source: Value) -> Value {
    proto::any(
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        json!({"name": name, "generic_secret": {"secret": source}}),
    )
}

/// The cluster in front of the private listener, with one injector per secret.
pub(super) fn cluster(plan: &Plan, options: &Options) -> Value {
    let filters = plan
        .secrets
        .keys()
        .map(|name| injector(options, &short_digest(name.as_bytes()), &sds_path(name), &secret_header(name)));
    let address = proto::pipe(&options.dir.join(SECRETS_SOCKET));
    clusters::injecting(SECRETS_CLUSTER, &address, "STATIC", filters.collect())
}

/// The cluster of the container credentials endpoint, which adds the token.
pub(super) fn container_cluster(container: &AwsContainer, options: &Options) -> Value {
    let injector = || injector(options, CONTAINER_SECRET, &container_sds_path(), "authorization");
    let filters = container.token.iter().map(|_| injector()).collect();
    let kind = proto::discovery_type([container.host.as_str()].into_iter());
    let address = proto::socket(&container.host, container.port);
    let mut cluster = clusters::injecting(AwsContainer::CLUSTER, &address, kind, filters);
    if container.tls
        && let Value::Object(fields) = &mut cluster
    {
        let tls = Tls { hostname: container.host.clone(), ca_pem: None };
        fields.insert("transport_socket".to_owned(), clusters::tls(&tls, options));
    }
    cluster
}

fn injector(options: &Options, secret: &str, path: &str, header: &str) -> Value {
    proto::extension(
        "envoy.filters.http.credential_injector",
        "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        json!({
            "overwrite": true,
            // A secret that cannot be read must not keep the others from arriving.
            "allow_request_without_credential": true,
            "credential": proto::extension(
                "envoy.http.injected_credentials.generic",
                "envoy.extensions.http.injected_credentials.generic.v3.Generic",
                json!({
                    "credential": {"name": secret, "sds_config": proto::config_source(options, path)},
                    "header": header,
                }),
            ),
        }),
    )
}
