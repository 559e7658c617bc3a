//! Credentials that come with the requests.

use weir_core::config::{Auth, CredentialOverride, CredentialPlace};
use weir_core::headers::is_name;

use super::Credential;
use crate::resources::backend_security::{
    BackendSecurityPolicySpec, CredentialOverrideSpec, FromDynamicMetadata, FromRequestHeaders, SecurityKind,
};
use crate::resources::decode::MISSING;
use crate::resources::set::Resource;
use crate::resources::{Platform, Report, ResourceId};

/// Where requests have the credential.
pub(super) fn read(
    id: &ResourceId,
    kind: SecurityKind,
    spec: &CredentialOverrideSpec,
    platform: Platform,
    report: &mut Report,
) -> Option<CredentialOverride> {
    let field = "spec.credentialOverride";
    match (&spec.from_request_headers, &spec.from_dynamic_metadata) {
        (Some(from), None) => headers(id, kind, from, report),
        (None, Some(from)) => metadata(id, kind, from, platform, report),
        (Some(_), Some(_)) => {
            report.error(
                id,
                field,
                "has two sources; say one of `fromRequestHeaders` and `fromDynamicMetadata`",
            );
            None
        }
        (None, None) => {
            let written = ["fromRequestHeaders", "fromDynamicMetadata"];
            if !written.iter().any(|source| report.has_error(id, &format!("{field}.{source}"))) {
                report.error(id, field, "is empty; say `fromRequestHeaders` or `fromDynamicMetadata`");
            }
            None
        }
    }
}

fn headers(
    id: &ResourceId,
    kind: SecurityKind,
    from: &FromRequestHeaders,
    report: &mut Report,
) -> Option<CredentialOverride> {
    let usual = if kind == SecurityKind::AWSCredentials { "x-aigw-aws" } else { usual(kind) };
    let header = from.header.as_deref().filter(|header| !header.is_empty()).unwrap_or(usual);
    if !is_name(header) {
        let message = format!("`{header}` is no name of a header");
        report.error(id, "spec.credentialOverride.fromRequestHeaders.header", message);
        return None;
    }
    let from_header = CredentialPlace::Header(header.to_ascii_lowercase());
    Some(CredentialOverride { from: from_header, falls_back: from.fallback_to_configured })
}

fn metadata(
    id: &ResourceId,
    kind: SecurityKind,
    from: &FromDynamicMetadata,
    platform: Platform,
    report: &mut Report,
) -> Option<CredentialOverride> {
    let field = "spec.credentialOverride.fromDynamicMetadata";
    if [MISSING, ""].contains(&from.namespace.as_str()) {
        if from.namespace.is_empty() {
            report.error(
                id,
                format!("{field}.namespace"),
                "is empty; name the filter that sets the credential",
            );
        }
        return None;
    }
    if !platform.is_cluster() {
        let message = "no filter that Weir starts sets metadata: put one that does before it in what `weir render` writes";
        report.warning(id, field, message);
    }
    if kind == SecurityKind::AWSCredentials && platform != Platform::Istio {
        let message =
            "AWS credentials are a struct, which Envoy shows to no native module: take `--filter wasm`";
        report.warning(id, field, message);
    }
    let key = from.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(usual(kind));
    let place = CredentialPlace::Metadata { namespace: from.namespace.clone(), key: key.to_owned() };
    Some(CredentialOverride { from: place, falls_back: from.fallback_to_configured })
}

/// The header or the key that has it unless the policy says another.
fn usual(kind: SecurityKind) -> &'static str {
    match kind {
        SecurityKind::APIKey => "x-aigw-api-key",
        SecurityKind::AnthropicAPIKey => "x-aigw-anthropic-api-key",
        SecurityKind::AzureAPIKey => "x-aigw-azure-api-key",
        SecurityKind::AzureCredentials => "x-aigw-azure-access-token",
        SecurityKind::GCPCredentials => "x-aigw-gcp-access-token",
        SecurityKind::AWSCredentials => "x-aigw-aws-credentials",
    }
}

/// How to authenticate with what requests bring, and nothing else: no Secret is asked for.
pub(super) fn alone(
    policy: &Resource<BackendSecurityPolicySpec>,
    brought: CredentialOverride,
    report: &mut Report,
) -> Option<Credential> {
    let Resource { id, spec, .. } = policy;
    let credential = id.full_name();
    let missing = |field: &str, report: &mut Report| {
        report.error(
            id,
            format!("spec.{field}"),
            "is missing; requests have what it says in their path or signature",
        );
    };
    let auth = match spec.kind {
        SecurityKind::APIKey | SecurityKind::AzureCredentials => Auth::Bearer { credential },
        SecurityKind::AnthropicAPIKey => Auth::AnthropicKey { credential },
        SecurityKind::AzureAPIKey => Auth::AzureKey { credential },
        SecurityKind::AWSCredentials => match &spec.aws_credentials {
            Some(aws) if !aws.region.is_empty() => Auth::AwsSigv4 { credential, region: aws.region.clone() },
            _ => {
                missing("awsCredentials.region", report);
                return None;
            }
        },
        SecurityKind::GCPCredentials => match &spec.gcp_credentials {
            Some(gcp) if !gcp.project_name.is_empty() && !gcp.region.is_empty() => {
                Auth::Gcp { credential, project: gcp.project_name.clone(), region: gcp.region.clone() }
            }
            _ => {
                missing("gcpCredentials", report);
                return None;
            }
        },
    };
    let (policy, kind) = (id.clone(), spec.kind);
    Some(Credential {
        policy,
        kind,
        auth,
        brought: Some(brought),
        source: None,
        secret: None,
        file: None,
        container: None,
    })
}
