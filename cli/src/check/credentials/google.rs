//! GCPCredentials: a token, a key of a service account, another provider's token, or Application Default Credentials.

use weir_core::auth::{GoogleFederation, GoogleFile, GoogleMetadata, Source};
use weir_core::config::Auth;

use super::{
    Credential, Way, api_key, has_key, hosts, is_elsewhere, oidc, secret_name, secret_source, secret_value,
    written,
};
use crate::check::environment::Environment;
use crate::plan::SecretValue;
use crate::resources::backend_security::{
    BackendSecurityPolicySpec, GcpCredentialsSpec, SecretKeySpec, WorkloadIdentityFederationSpec,
};
use crate::resources::set::Resource;
use crate::resources::{Report, ResourceId, Set};

/// The key of a Secret that has an access token: where Envoy AI Gateway's controller puts those that it gets.
const TOKEN: &str = "gcpAccessToken";
/// The key of a Secret that has the key of a service account.
const FILE: &str = "service_account.json";
/// Where that of a file that nobody has seen is exchanged for a token.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// Where Google has its metadata server, in every network.
const METADATA: &str = "169.254.169.254";

pub(super) fn read(
    policy: &Resource<BackendSecurityPolicySpec>,
    spec: &GcpCredentialsSpec,
    set: &Set,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credential> {
    let id = &policy.id;
    let field = "spec.gcpCredentials";
    for (member, value) in [("projectName", &spec.project_name), ("region", &spec.region)] {
        if value.is_empty() {
            report.error(id, format!("{field}.{member}"), "is empty; requests have it in their path");
        }
    }
    let way = match (&spec.credentials_file, &spec.workload_identity_federation_config) {
        (Some(_), Some(_)) => {
            let message =
                "has two sources; say one of `credentialsFile` and `workloadIdentityFederationConfig`";
            report.error(id, field, message);
            return None;
        }
        (Some(file), None) => of_secret(id, file, set, report)?,
        (None, Some(federation)) => federated(id, federation, &spec.project_name, set, environment, report)?,
        // What was written was at fault, and is not what it seems to be.
        (None, None) if report.has_error(id, field) => return None,
        (None, None) => by_default(id, field, environment, report)?,
    };
    let auth = Auth::Gcp {
        credential: id.full_name(),
        project: spec.project_name.clone(),
        region: spec.region.clone(),
    };
    Some(way.credential(policy, auth))
}

fn of_secret(id: &ResourceId, file: &SecretKeySpec, set: &Set, report: &mut Report) -> Option<Way> {
    let reference = &file.secret_ref;
    let field = "spec.gcpCredentials.credentialsFile.secretRef";
    if has_key(id, reference, TOKEN, set) {
        let secret = api_key(id, field, reference, TOKEN, set, report)?;
        return Some(Way::of(secret_source(id, reference, TOKEN), Some(secret)));
    }
    let (name, key) = (secret_name(id, reference), FILE.to_owned());
    if is_elsewhere(id, reference, set) {
        let hosts = hosts(id, field, &[TOKEN_URL], report)?;
        return Some(Way::of(
            Source::GoogleFile(GoogleFile { name, key, hosts }),
            Some(SecretValue(String::new())),
        ));
    }
    let (secret, value) = secret_value(id, field, reference, FILE, set, report)?;
    of_file(secret, FILE, (name, key), value, report)
}

/// The way of a credentials file, the text `value` at `field` of `id`.
fn of_file(
    id: &ResourceId,
    field: &str,
    (name, key): (String, String),
    value: &SecretValue,
    report: &mut Report,
) -> Option<Way> {
    let needs = match GoogleFile::needs(&value.0) {
        Ok(needs) => needs,
        Err(error) => {
            report.error(id, field, error.to_string());
            return None;
        }
    };
    let urls: Vec<&str> = needs.urls.iter().map(String::as_str).collect();
    let hosts = hosts(id, field, &urls, report)?;
    let source = Source::GoogleFile(GoogleFile { name, key, hosts });
    Some(Way { file: needs.file, ..Way::of(source, Some(value.clone())) })
}

fn federated(
    id: &ResourceId,
    spec: &WorkloadIdentityFederationSpec,
    project: &str,
    set: &Set,
    environment: &Environment,
    report: &mut Report,
) -> Option<Way> {
    let field = "spec.gcpCredentials.workloadIdentityFederationConfig";
    let mut text =
        |member: &str, text: &str| written(id, format!("{field}.{member}"), text, report).map(str::to_owned);
    let number = text("projectID", &spec.project_id);
    let pool = text("workloadIdentityPoolName", &spec.workload_identity_pool_name);
    let provider = text("workloadIdentityProviderName", &spec.workload_identity_provider_name);
    let account = match &spec.service_account_impersonation {
        Some(wanted) => {
            let name = text("serviceAccountImpersonation.serviceAccountName", &wanted.service_account_name)?;
            Some(format!("{name}@{project}.iam.gserviceaccount.com"))
        }
        None => None,
    };
    let client =
        oidc::read(id, &format!("{field}.oidcExchangeToken"), &spec.oidc_exchange_token, set, report)?;
    let audience = format!(
        "//iam.googleapis.com/projects/{}/locations/global/workloadIdentityPools/{}/providers/{}",
        number?, pool?, provider?
    );
    // gcloud's own variables for private endpoints.
    let server = |service: &str, variable| {
        let own = environment.variable(variable).map(|url| url.trim_end_matches('/').to_owned());
        own.unwrap_or_else(|| format!("https://{service}.googleapis.com"))
    };
    let token_url = format!("{}/v1/token", server("sts", "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS"));
    let impersonation_url = account.map(|account| {
        let server = server("iamcredentials", "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS");
        format!("{server}/v1/projects/-/serviceAccounts/{account}:generateAccessToken")
    });
    let mut urls: Vec<&str> = client.urls.iter().map(String::as_str).collect();
    urls.push(&token_url);
    urls.extend(impersonation_url.as_deref());
    let hosts = hosts(id, field, &urls, report)?;
    let oidc = client.oidc;
    let source = GoogleFederation { oidc, audience, token_url, impersonation_url, hosts };
    Some(Way::of(Source::GoogleFederation(source), Some(client.secret)))
}

/// Application Default Credentials: a file, else the metadata server.
fn by_default(id: &ResourceId, field: &str, environment: &Environment, report: &mut Report) -> Option<Way> {
    if let Some(text) = &environment.google_credentials_file {
        let place = ("of this environment".to_owned(), "application_default_credentials.json".to_owned());
        return of_file(id, field, place, text, report);
    }
    if let Some(path) = environment.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        // The metadata server would know somebody else.
        report.error(id, field, format!("GOOGLE_APPLICATION_CREDENTIALS names {path}, which cannot be read"));
        return None;
    }
    let own = environment.variable("GCE_METADATA_HOST");
    if !environment.is_on_google && own.is_none() && !environment.platform.is_cluster() {
        let message = "this machine has no Application Default Credentials, and seems not to be Google's: set \
                       GOOGLE_APPLICATION_CREDENTIALS, or name a Secret in `credentialsFile`";
        report.warning(id, field, message);
    }
    let server = format!("http://{}", own.unwrap_or(METADATA));
    let hosts = hosts(id, field, &[&server], report)?;
    Some(Way::of(Source::GoogleMetadata(GoogleMetadata { server, hosts }), None))
}
