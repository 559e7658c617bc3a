//! BackendSecurityPolicies: which backend authenticates how, and where the credential comes from.

mod aws;
mod azure;
mod brought;
mod google;
mod oidc;

use std::collections::HashMap;
use std::net::IpAddr;

use weir_core::auth::{Hosts, Source, Url};
use weir_core::config::{Auth, CredentialOverride};

use super::environment::Environment;
use crate::plan::{AwsContainer, SecretValue};
use crate::resources::backend_security::{BackendSecurityPolicySpec, SecurityKind};
use crate::resources::decode::MISSING;
use crate::resources::gateway::ObjectRef;
use crate::resources::kinds::AI_GATEWAY;
use crate::resources::secret::KeyedValues;
use crate::resources::set::{Found, Resource};
use crate::resources::{Report, ResourceId, Set};

/// How a backend authenticates.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The policy; its `namespace/name` is the name of the credential.
    pub policy: ResourceId,
    /// `spec.type`
    pub kind: SecurityKind,
    /// For the filter's configuration.
    pub auth: Auth,
    /// Where requests may have one of their own.
    pub brought: Option<CredentialOverride>,
    /// For the filter's configuration; `None` where requests bring it.
    pub source: Option<Source>,
    /// The value of the Secret.
    pub secret: Option<SecretValue>,
    /// The path of a file that it takes besides.
    pub file: Option<String>,
    /// The endpoint that the source names.
    pub container: Option<AwsContainer>,
}

/// A policy on a backend: what it comes to, unless it is at fault.
#[derive(Debug)]
pub struct Attached {
    /// The policy.
    pub policy: ResourceId,
    /// `None` when it is at fault, which was reported.
    pub credential: Option<Credential>,
}

/// Reads all policies. The key is `namespace/name` of the AIServiceBackend.
pub fn attach(set: &Set, environment: &Environment, report: &mut Report) -> HashMap<String, Attached> {
    let mut attached: HashMap<String, Attached> = HashMap::new();
    for policy in set.backend_security_policies.iter() {
        let credential = credential(policy, set, environment, report);
        if policy.spec.target_refs.is_empty() && !report.has_error(&policy.id, "spec.targetRefs") {
            report.error(&policy.id, "spec.targetRefs", "is empty; name the AIServiceBackends it is for");
        }
        for (i, target) in policy.spec.target_refs.iter().enumerate() {
            let field = format!("spec.targetRefs[{i}]");
            let is_kind = ["AIServiceBackend", MISSING].contains(&target.kind.as_str());
            if !is_kind || ![AI_GATEWAY, MISSING].contains(&target.group.as_str()) {
                let message = format!(
                    "{} of group `{}` cannot be a target; it must be AIServiceBackend of `{AI_GATEWAY}`",
                    target.kind, target.group
                );
                report.error(&policy.id, field, message);
                continue;
            }
            match set.ai_service_backends.find(&policy.id.namespace, &target.name) {
                Found::Broken => {}
                Found::Nothing(others) => {
                    let message = format!(
                        "AIServiceBackend {}/{} does not exist, {others}",
                        policy.id.namespace, target.name
                    );
                    report.error(&policy.id, format!("{field}.name"), message);
                }
                Found::One(backend) => {
                    let name = backend.id.full_name();
                    if let Some(first) = attached.get(&name) {
                        let message = format!(
                            "AIServiceBackend {name} has a policy already, {} in {}; remove it from one of the two",
                            first.policy, first.policy.file
                        );
                        report.error(&policy.id, field, message);
                        continue;
                    }
                    attached
                        .insert(name, Attached { policy: policy.id.clone(), credential: credential.clone() });
                }
            }
        }
    }
    attached
}

fn credential(
    policy: &Resource<BackendSecurityPolicySpec>,
    set: &Set,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credential> {
    let Resource { id, spec, .. } = policy;
    let Some(wanted) = &spec.credential_override else {
        return configured(policy, set, environment, report);
    };
    let brought = brought::read(id, spec.kind, wanted, environment.platform, report)?;
    if !brought.falls_back {
        return brought::alone(policy, brought, report);
    }
    let configured = configured(policy, set, environment, report)?;
    Some(Credential { brought: Some(brought), ..configured })
}

fn configured(
    policy: &Resource<BackendSecurityPolicySpec>,
    set: &Set,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credential> {
    let Resource { id, spec, .. } = policy;
    let wanted = match spec.kind {
        SecurityKind::APIKey => "apiKey",
        SecurityKind::AnthropicAPIKey => "anthropicAPIKey",
        SecurityKind::AWSCredentials => "awsCredentials",
        SecurityKind::AzureAPIKey => "azureAPIKey",
        SecurityKind::AzureCredentials => "azureCredentials",
        SecurityKind::GCPCredentials => "gcpCredentials",
    };
    let given = [
        ("apiKey", spec.api_key.is_some()),
        ("anthropicAPIKey", spec.anthropic_api_key.is_some()),
        ("awsCredentials", spec.aws_credentials.is_some()),
        ("azureAPIKey", spec.azure_api_key.is_some()),
        ("azureCredentials", spec.azure_credentials.is_some()),
        ("gcpCredentials", spec.gcp_credentials.is_some()),
    ];
    for (field, _) in given.iter().filter(|(field, given)| *given && *field != wanted) {
        let message = format!("does not belong to type {:?}, which reads `{wanted}`; remove it", spec.kind);
        report.error(id, format!("spec.{field}"), message);
    }
    if given.contains(&(wanted, false)) && !report.has_error(id, &format!("spec.{wanted}")) {
        let unless = match spec.credential_override {
            Some(_) => ", or `fallbackToConfigured: false` in `credentialOverride`",
            None => "",
        };
        report.error(
            id,
            format!("spec.{wanted}"),
            format!("is missing; type {:?} needs it{unless}", spec.kind),
        );
    }
    let credential = id.full_name();
    let (auth, given) = match spec.kind {
        SecurityKind::AWSCredentials => {
            return aws::read(policy, spec.aws_credentials.as_ref()?, set, environment, report);
        }
        SecurityKind::AzureCredentials => {
            return azure::read(policy, spec.azure_credentials.as_ref()?, set, environment, report);
        }
        SecurityKind::GCPCredentials => {
            return google::read(policy, spec.gcp_credentials.as_ref()?, set, environment, report);
        }
        SecurityKind::AzureAPIKey => (Auth::AzureKey { credential }, &spec.azure_api_key),
        SecurityKind::AnthropicAPIKey => (Auth::AnthropicKey { credential }, &spec.anthropic_api_key),
        SecurityKind::APIKey => (Auth::Bearer { credential }, &spec.api_key),
    };
    let reference = &given.as_ref()?.secret_ref;
    let secret = api_key(id, &format!("spec.{wanted}.secretRef"), reference, API_KEY, set, report)?;
    Some(Way::of(secret_source(id, reference, API_KEY), Some(secret)).credential(policy, auth))
}

/// The key of a Secret that has an API key.
const API_KEY: &str = "apiKey";

/// The Secret that `reference` of `id` names.
pub(super) fn secret_name(id: &ResourceId, reference: &ObjectRef) -> String {
    format!("{}/{}", reference.namespace.as_deref().unwrap_or(&id.namespace), reference.name)
}

fn secret_source(id: &ResourceId, reference: &ObjectRef, key: &str) -> Source {
    Source::Secret { name: secret_name(id, reference), key: key.to_owned() }
}

/// Where a credential comes from, and what that takes.
struct Way {
    source: Source,
    secret: Option<SecretValue>,
    /// The path of a file.
    file: Option<String>,
}

impl Way {
    fn of(source: Source, secret: Option<SecretValue>) -> Self {
        Self { source, secret, file: None }
    }

    /// Where `policy` gets what `auth` shows.
    fn credential(self, policy: &Resource<BackendSecurityPolicySpec>, auth: Auth) -> Credential {
        Credential {
            policy: policy.id.clone(),
            kind: policy.spec.kind,
            auth,
            brought: None,
            source: Some(self.source),
            secret: self.secret,
            file: self.file,
            container: None,
        }
    }
}

/// A text that must be there. What was missing altogether has been reported.
fn written<'t>(id: &ResourceId, field: String, text: &'t str, report: &mut Report) -> Option<&'t str> {
    if text.is_empty() {
        report.error(id, field, "is empty");
    }
    (!["", MISSING].contains(&text)).then_some(text)
}

/// The servers of `urls`, which are as `field` has them.
fn hosts(id: &ResourceId, field: &str, urls: &[&str], report: &mut Report) -> Option<Hosts> {
    for url in urls {
        let Some(parts) = Url::parse(url) else {
            report.error(id, field, format!("`{url}` is no URL such as https://example.com/token"));
            return None;
        };
        if !parts.is_tls && !is_near(&parts.host) {
            let message =
                format!("what is sent to {} is not encrypted, and secrets are among it", parts.origin);
            report.warning(id, field, message);
        }
    }
    Hosts::of(urls)
}

/// Whether a host is this machine, or a metadata server, which has no certificate.
fn is_near(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
        }
        Err(_) => ["localhost", "metadata.google.internal"].contains(&host),
    }
}

/// Whether a Secret is among the files and has `key`.
fn has_key(id: &ResourceId, reference: &ObjectRef, key: &str, set: &Set) -> bool {
    let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
    match set.secrets.find(namespace, &reference.name) {
        Found::One(secret) => secret.spec.get(key).is_some(),
        Found::Broken | Found::Nothing(_) => false,
    }
}

/// A key or token that is sent as it is.
fn api_key(
    id: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    name: &str,
    set: &Set,
    report: &mut Report,
) -> Option<SecretValue> {
    if is_elsewhere(id, reference, set) {
        return Some(SecretValue(String::new()));
    }
    let (secret, value) = secret_value(id, field, reference, name, set, report)?;
    // `echo KEY | base64` leaves a line break at the end.
    let key = value.0.trim();
    if key.is_empty() {
        report.error(secret, name, "is empty; put the key there");
        return None;
    }
    if key.chars().any(|c| c.is_control() || c.is_whitespace()) {
        report.error(secret, name, "has a blank or line break within; it cannot be sent in a header");
        return None;
    }
    Some(SecretValue(key.to_owned()))
}

/// Whether a Secret may be where the resources go to: it is not in the files, and a renderer for that place only names
/// it.
pub(super) fn is_elsewhere(id: &ResourceId, reference: &ObjectRef, set: &Set) -> bool {
    let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
    set.platform.is_cluster() && matches!(set.secrets.find(namespace, &reference.name), Found::Nothing(_))
}

/// The Secret that a reference leads to.
pub(super) fn secret_of<'a>(
    id: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    set: &'a Set,
    report: &mut Report,
) -> Option<&'a Resource<KeyedValues>> {
    if reference.group.as_deref().is_some_and(|group| !group.is_empty())
        || reference.kind.as_deref().is_some_and(|kind| kind != "Secret")
    {
        report.error(id, field, "must name a Secret");
        return None;
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
    match set.secrets.find(namespace, &reference.name) {
        Found::Broken => None,
        Found::Nothing(others) => {
            let message = format!("Secret {namespace}/{} does not exist, {others}", reference.name);
            report.error(id, format!("{field}.name"), message);
            None
        }
        Found::One(secret) => Some(secret),
    }
}

/// The value that a reference leads to.
pub(super) fn secret_value<'a>(
    id: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    key: &str,
    set: &'a Set,
    report: &mut Report,
) -> Option<(&'a ResourceId, &'a SecretValue)> {
    let (secret, value) = secret_text(id, field, reference, key, set, report)?;
    if looks_like_a_placeholder(&value.0) {
        report.warning(secret, key, "looks like a placeholder; put the real value there");
    }
    Some((secret, value))
}

/// The value that a reference leads to, whatever it looks like.
pub(super) fn secret_text<'a>(
    id: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    key: &str,
    set: &'a Set,
    report: &mut Report,
) -> Option<(&'a ResourceId, &'a SecretValue)> {
    let secret = secret_of(id, field, reference, set, report)?;
    match secret.spec.get(key) {
        Some(value) => Some((&secret.id, value)),
        None if report.has_error(&secret.id, "data") || report.has_error(&secret.id, "stringData") => None,
        None => {
            let keys: Vec<String> = secret.spec.keys().map(|key| format!("`{key}`")).collect();
            let keys =
                if keys.is_empty() { "is empty".to_owned() } else { format!("has only {}", keys.join(", ")) };
            let message = format!("{id} needs the key `{key}`, and the Secret {keys}");
            report.error(&secret.id, "stringData", message);
            None
        }
    }
}

fn looks_like_a_placeholder(value: &str) -> bool {
    const SIGNS: &[&str] =
        &["changeme", "change-me", "change_me", "replace", "your-", "your_", "placeholder", "xxxx"];
    let lower = value.to_lowercase();
    SIGNS.iter().any(|sign| lower.contains(sign))
        || lower.lines().any(|line| {
            let value = line.rsplit('=').next().unwrap_or_default().trim();
            value.starts_with('<') && value.ends_with('>')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for value in ["<API_KEY>", "REPLACE_ME", "your-api-key", "[default]\naws_access_key_id = <id>\n"] {
            assert!(looks_like_a_placeholder(value), "{value}");
        }
        for value in ["sk-abc123", "[default]\naws_access_key_id = AKIA\naws_secret_access_key = a/b+c=\n"] {
            assert!(!looks_like_a_placeholder(value), "{value}");
        }
    }
}
