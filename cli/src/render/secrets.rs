//! Secrets: files that the filter reads, or SDS files that Envoy watches and the cluster that brings them to the filter
//! as headers.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_core::auth::secret_header;

use super::form::SecretsBy;
use super::version::Versions;
use super::{Files, Options, SDS, SECRETS, SECRETS_SOCKET, clusters, discovery, proto, short_digest};
use crate::plan::{AwsContainer, ContainerToken, Plan, SecretValue, Tls};

/// The cluster that the filter calls for its secrets.
pub const SECRETS_CLUSTER: &str = "weir_secrets";
/// The name of the container token's secret.
const CONTAINER_SECRET: &str = "aws-container";

/// Adds the files of all secrets.
pub(super) fn insert(plan: &Plan, options: &Options, files: &mut Files) {
    let versions = Versions::of(plan, options);
    for (name, SecretValue(value)) in &plan.secrets {
        let name = &versions.named(name);
        match options.filter.form.secrets() {
            SecretsBy::Callout => {
                files.insert_secret(sds_path(name), &discovery(vec![resource(name, value)]))
            }
            SecretsBy::Files => files.insert_secret_text(file_path(name), value.clone()),
        }
    }
    if options.filter.form.secrets() == SecretsBy::Callout {
        for (path, SecretValue(value)) in &plan.files {
            files.insert_secret(sds_path(path), &discovery(vec![resource(path, value)]));
        }
    }
    if let Some(token) = plan.aws_container.as_ref().and_then(|container| container.token.as_ref()) {
        files.insert_secret(container_sds_path(), &discovery(vec![container_token(token)]));
    }
}

/// Where the filter reads its secrets; empty when it cannot.
pub(super) fn files_by_name(plan: &Plan, options: &Options) -> BTreeMap<String, String> {
    let versions = Versions::of(plan, options);
    let absolute = |name: &String| options.dir.join(file_path(name)).to_string_lossy().into_owned();
    match options.filter.form.secrets() {
        SecretsBy::Callout => BTreeMap::new(),
        SecretsBy::Files => {
            let names = plan.secrets.keys().map(|name| versions.named(name));
            names.map(|name| (name.clone(), absolute(&name))).collect()
        }
    }
}

fn file_path(name: &str) -> String {
    format!("{SECRETS}/{}", short_digest(name.as_bytes()))
}

pub(super) fn sds_path(name: &str) -> String {
    format!("{SDS}/{}.json", short_digest(name.as_bytes()))
}

pub(super) fn container_sds_path() -> String {
    format!("{SDS}/{CONTAINER_SECRET}.json")
}

/// The SDS resource of a secret; base64, because a header holds no line breaks and a credentials file does.
fn resource(name: &str, value: &str) -> Value {
    generic_secret(&short_digest(name.as_bytes()), json!({"inline_string": STANDARD.encode(value)}))
}

/// The SDS resource of the container token. A file is read by Envoy itself, which watches the folder: a rotated token
/// is seen when it is moved into its place or, as in Kubernetes, a link to its folder is.
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

/// The cluster in front of the private listener, with one injector per secret. `None` when secrets do not come that
/// way.
pub(super) fn cluster(plan: &Plan, options: &Options) -> Option<Value> {
    if options.filter.form.secrets() != SecretsBy::Callout {
        return None;
    }
    let versions = Versions::of(plan, options);
    let named = plan.secrets.keys().map(|name| versions.named(name));
    let filters = named
        .chain(plan.files.keys().cloned())
        .map(|name| {
            (
                proto::config_source(options, &sds_path(&name)),
                short_digest(name.as_bytes()),
                secret_header(&name),
            )
        })
        .map(|(source, secret, header)| injector(&secret, &source, &header));
    let address = proto::pipe(&options.dir.join(SECRETS_SOCKET));
    Some(clusters::injecting(SECRETS_CLUSTER, &address, "STATIC", filters.collect()))
}

/// The cluster of the container credentials endpoint, which adds the token of the file `sds`.
pub(super) fn container_cluster(container: &AwsContainer, sds: &Path, system_ca: &Path) -> Value {
    let injector = || injector(CONTAINER_SECRET, &proto::watched_file(sds), "authorization");
    let filters = container.token.iter().map(|_| injector()).collect();
    let kind = proto::discovery_type([container.host.as_str()].into_iter());
    let address = proto::socket(&container.host, container.port);
    let mut cluster = clusters::injecting(AwsContainer::CLUSTER, &address, kind, filters);
    if container.tls
        && let Value::Object(fields) = &mut cluster
    {
        let tls = Tls { hostname: container.host.clone(), ca_pem: None };
        fields.insert("transport_socket".to_owned(), clusters::tls(&tls, system_ca));
    }
    cluster
}

fn injector(secret: &str, sds_config: &Value, header: &str) -> Value {
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
                    "credential": {"name": secret, "sds_config": sds_config},
                    "header": header,
                }),
            ),
        }),
    )
}
