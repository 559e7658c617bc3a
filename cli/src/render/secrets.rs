//! Secrets: SDS files that Envoy watches, and the cluster that brings them to the filter as headers.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Options, SECRETS_SOCKET, proto, short_digest};
use crate::plan::{Plan, SecretValue};

/// The cluster that the filter calls for its secrets.
pub(super) const SECRETS_CLUSTER: &str = "weir_secrets";
/// The cluster of the container credentials endpoint; the filter's configuration names it too.
pub const CONTAINER_CLUSTER: &str = "weir_aws_container";

/// The endpoint of `AWS_CONTAINER_CREDENTIALS_FULL_URI` and the token it wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerCredentials {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What goes into `authorization`, if anything.
    pub token: Option<ContainerToken>,
}

/// The token for the container credentials endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum ContainerToken {
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`, which rotates.
    File(PathBuf),
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    Value(SecretValue),
}

/// The header in which a secret travels to the filter.
fn header(name: &str) -> String {
    format!("x-weir-secret-{}", short_digest(name.as_bytes()))
}

pub(super) fn sds_path(name: &str) -> String {
    format!("sds/{}.json", short_digest(name.as_bytes()))
}

pub(super) fn container_sds_path() -> String {
    "sds/aws-container.json".to_owned()
}

/// The SDS resource of a secret; base64, because a header holds no line breaks and a credentials file does.
pub(super) fn resource(name: &str, value: &str) -> Value {
    generic_secret(&short_digest(name.as_bytes()), json!({"inline_string": STANDARD.encode(value)}))
}

/// The SDS resource of the container token. Envoy reads the token file itself and watches its folder, so that a rotated
/// token is seen.
pub(super) fn container_token(container: &ContainerCredentials) -> Value {
    let source = match &container.token {
        Some(ContainerToken::File(path)) => {
            let folder = path.parent().unwrap_or(std::path::Path::new("/"));
            json!({"filename": path, "watched_directory": {"path": folder}})
        }
        Some(ContainerToken::Value(SecretValue(value))) => json!({"inline_string": value}),
        None => json!({"inline_string": ""}),
    };
    generic_secret("aws-container", source)
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
        .map(|name| injector(options, &short_digest(name.as_bytes()), &sds_path(name), &header(name)));
    let address = proto::pipe(&options.dir.join(SECRETS_SOCKET));
    super::clusters::injecting(SECRETS_CLUSTER, &address, "STATIC", filters.collect())
}

/// The cluster of the container credentials endpoint, which adds the token.
pub(super) fn container_cluster(container: &ContainerCredentials, options: &Options) -> Value {
    let filters = container
        .token
        .iter()
        .map(|_| injector(options, "aws-container", &container_sds_path(), "authorization"))
        .collect();
    let kind = proto::discovery_type([container.host.as_str()].into_iter());
    let address = proto::socket(&container.host, container.port);
    super::clusters::injecting(CONTAINER_CLUSTER, &address, kind, filters)
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
