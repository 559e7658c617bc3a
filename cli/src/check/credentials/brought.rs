//! Credentials that come with the requests.

use weir_core::config::{Auth, CredentialOverride};

use super::Credential;
use crate::resources::ai::{BackendSecurityPolicySpec, CredentialOverrideSpec, SecurityKind};
use crate::resources::set::Resource;
use crate::resources::{Report, ResourceId};

/// Where requests have the credential.
pub(super) fn read(
    id: &ResourceId,
    kind: SecurityKind,
    spec: &CredentialOverrideSpec,
    report: &mut Report,
) -> Option<CredentialOverride> {
    let field = "spec.credentialOverride";
    let Some(from) = &spec.from_request_headers else {
        if !report.has_error(id, &format!("{field}.fromDynamicMetadata")) {
            report.error(id, field, "is empty; say `fromRequestHeaders`");
        }
        return None;
    };
    let usual = match kind {
        SecurityKind::APIKey => "x-aigw-api-key",
        SecurityKind::AnthropicAPIKey => "x-aigw-anthropic-api-key",
        SecurityKind::AzureAPIKey => "x-aigw-azure-api-key",
        SecurityKind::AzureCredentials => "x-aigw-azure-access-token",
        SecurityKind::GCPCredentials => "x-aigw-gcp-access-token",
        SecurityKind::AWSCredentials => "x-aigw-aws",
    };
    let header = from.header.as_deref().filter(|header| !header.is_empty()).unwrap_or(usual);
    let is_token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    if !header.chars().all(is_token) {
        let message = format!("`{header}` is no name of a header");
        report.error(id, format!("{field}.fromRequestHeaders.header"), message);
        return None;
    }
    Some(CredentialOverride { header: header.to_ascii_lowercase(), falls_back: from.fallback_to_configured })
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
        container: None,
    })
}
