//! AzureCredentials: a token, or an application or an identity of Entra ID that gets one.

use weir_core::auth::{AzureApp, AzureDefault, AzureManaged, AzureProof, ManagedServer, Source};
use weir_core::config::Auth;

use super::{
    Credential, Way, api_key, has_key, hosts, is_elsewhere, oidc, secret_name, secret_source, written,
};
use crate::check::environment::Environment;
use crate::plan::SecretValue;
use crate::resources::backend_security::{
    AzureCredentialsSpec, BackendSecurityPolicySpec, ManagedIdentitySpec,
};
use crate::resources::gateway::ObjectRef;
use crate::resources::set::Resource;
use crate::resources::{Report, ResourceId, Set};

/// The key of a Secret that has a token of Entra ID, and what its name begins with: where Envoy AI Gateway's controller
/// puts the tokens that it gets for a policy.
const TOKEN: &str = "azureAccessToken";
const TOKEN_SECRET: &str = "ai-eg-bsp-";

/// Where Entra ID is, and what Azure OpenAI is called there, by the end of the former: public, US Government, China.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud>
const PUBLIC: &str = "https://login.microsoftonline.com";
const RESOURCES: [(&str, &str); 3] = [
    (".us", "https://cognitiveservices.azure.us"),
    (".cn", "https://cognitiveservices.azure.cn"),
    ("", "https://cognitiveservices.azure.com"),
];

/// Where virtual machines ask for their identity.
const IMDS: &str = "http://169.254.169.254";

const FIELD: &str = "spec.azureCredentials";

pub(super) fn read(
    policy: &Resource<BackendSecurityPolicySpec>,
    spec: &AzureCredentialsSpec,
    set: &Set,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credential> {
    let id = &policy.id;
    let way = match token_in_secret(id, spec, set) {
        Some(reference) => {
            let secret = api_key(id, FIELD, &reference, TOKEN, set, report)?;
            Way::of(secret_source(id, &reference, TOKEN), Some(secret))
        }
        None => way(id, spec, set, environment, report)?,
    };
    Some(way.credential(policy, Auth::Bearer { credential: id.full_name() }))
}

/// The Secret with the policy's token, where there is one, or there is nothing to get one with.
fn token_in_secret(id: &ResourceId, spec: &AzureCredentialsSpec, set: &Set) -> Option<ObjectRef> {
    let reference = ObjectRef {
        group: None,
        kind: None,
        name: format!("{TOKEN_SECRET}{}", id.name),
        namespace: Some(id.namespace.clone()),
    };
    let has_way = spec.client_secret_ref.is_some()
        || spec.oidc_exchange_token.is_some()
        || spec.managed_identity.is_some();
    let is_there = has_key(id, &reference, TOKEN, set) || !has_way && is_elsewhere(id, &reference, set);
    is_there.then_some(reference)
}

fn way(
    id: &ResourceId,
    spec: &AzureCredentialsSpec,
    set: &Set,
    environment: &Environment,
    report: &mut Report,
) -> Option<Way> {
    let places = Places::of(environment);
    match (&spec.client_secret_ref, &spec.oidc_exchange_token, &spec.managed_identity) {
        (Some(reference), None, None) => {
            let app = app(id, spec, &places, report);
            let field = format!("{FIELD}.clientSecretRef");
            let secret = api_key(id, &field, reference, oidc::CLIENT_SECRET, set, report)?;
            let (name, key) = (secret_name(id, reference), oidc::CLIENT_SECRET.to_owned());
            let source = places.app(id, app?, AzureProof::Secret { name, key }, &[], report)?;
            Some(Way::of(source, Some(secret)))
        }
        (None, Some(exchange), None) => {
            let app = app(id, spec, &places, report);
            let client = oidc::read(id, &format!("{FIELD}.oidcExchangeToken"), exchange, set, report)?;
            let urls: Vec<&str> = client.urls.iter().map(String::as_str).collect();
            let source = places.app(id, app?, AzureProof::Oidc(client.oidc), &urls, report)?;
            Some(Way::of(source, Some(client.secret)))
        }
        (None, None, Some(identity)) => {
            for (field, value) in [("clientID", &spec.client_id), ("tenantID", &spec.tenant_id)] {
                if value.is_some() {
                    let message = "does not belong to a managed identity, which has its own in `managedIdentity`; remove it";
                    report.error(id, format!("{FIELD}.{field}"), message);
                }
            }
            if environment.platform.is_cluster() {
                return of_pod(id, identity, &places, report);
            }
            of_machine(id, identity, &places, environment, report)
        }
        (None, None, None) => {
            let fields = ["clientSecretRef", "oidcExchangeToken", "managedIdentity"];
            if !fields.iter().any(|field| report.has_error(id, &format!("{FIELD}.{field}"))) {
                let message = format!(
                    "has no way to a token; say one of `clientSecretRef`, `oidcExchangeToken` and `managedIdentity`, or put \
                     a token into the Secret {}/{TOKEN_SECRET}{}, key `{TOKEN}`",
                    id.namespace, id.name
                );
                report.error(id, FIELD, message);
            }
            None
        }
        _ => {
            let message = "has several sources; say one of `clientSecretRef`, `oidcExchangeToken` and `managedIdentity`";
            report.error(id, FIELD, message);
            None
        }
    }
}

/// The clouds of Azure are apart.
struct Places {
    entra: String,
    resource: &'static str,
    imds: String,
}

/// An application: its ID, and where its tokens are.
struct App {
    client_id: String,
    token_url: String,
}

impl Places {
    fn of(environment: &Environment) -> Self {
        let server = |variable, usual: &str| {
            let own = environment.variable(variable).unwrap_or(usual).trim_end_matches('/');
            if own.contains("://") { own.to_owned() } else { format!("https://{own}") }
        };
        let entra = server("AZURE_AUTHORITY_HOST", PUBLIC);
        let resource = RESOURCES.iter().find(|(end, _)| entra.ends_with(end)).map_or("", |(_, name)| name);
        Self { entra, resource, imds: server("AZURE_POD_IDENTITY_AUTHORITY_HOST", IMDS) }
    }

    fn token_url(&self, tenant: &str) -> String {
        format!("{}/{tenant}/oauth2/v2.0/token", self.entra)
    }

    /// The way of an application that also calls `urls`.
    fn app(
        &self,
        id: &ResourceId,
        App { client_id, token_url }: App,
        proof: AzureProof,
        urls: &[&str],
        report: &mut Report,
    ) -> Option<Source> {
        let urls: Vec<&str> = urls.iter().copied().chain([token_url.as_str()]).collect();
        let hosts = hosts(id, FIELD, &urls, report)?;
        let resource = self.resource.to_owned();
        Some(Source::AzureApp(AzureApp { token_url, client_id, resource, proof, hosts }))
    }
}

fn app(id: &ResourceId, spec: &AzureCredentialsSpec, places: &Places, report: &mut Report) -> Option<App> {
    let mut text = |name: &str, value: &Option<String>| match value {
        Some(value) => written(id, format!("{FIELD}.{name}"), value, report).map(str::to_owned),
        None => {
            report.error(id, format!("{FIELD}.{name}"), "is missing; an application is known by it");
            None
        }
    };
    let (client_id, tenant) = (text("clientID", &spec.client_id), text("tenantID", &spec.tenant_id));
    let tenant = tenant?;
    // It becomes part of a path.
    if !tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        report.error(id, format!("{FIELD}.tenantID"), "is neither the ID nor the domain of a directory");
        return None;
    }
    Some(App { client_id: client_id?, token_url: places.token_url(&tenant) })
}

/// What DefaultAzureCredential finds on this machine, in its order.
fn of_machine(
    id: &ResourceId,
    identity: &ManagedIdentitySpec,
    places: &Places,
    environment: &Environment,
    report: &mut Report,
) -> Option<Way> {
    let variable = |name| environment.variable(name).map(str::to_owned);
    let place = |name: &str| ("of this environment".to_owned(), name.to_owned());
    let wanted = identity.client_id.clone().filter(|id| !id.is_empty());
    let tenant = variable("AZURE_TENANT_ID");
    let token_url = tenant.map(|tenant| places.token_url(&tenant));
    let app = wanted.clone().or_else(|| variable("AZURE_CLIENT_ID")).zip(token_url);
    if let Some((client_id, token_url)) = app {
        let app = App { client_id, token_url };
        let secret = variable("AZURE_CLIENT_SECRET").filter(|_| wanted.is_none());
        if let Some(secret) = secret {
            let (name, key) = place("AZURE_CLIENT_SECRET");
            let source = places.app(id, app, AzureProof::Secret { name, key }, &[], report)?;
            return Some(Way::of(source, Some(SecretValue(secret))));
        }
        if let Some(path) = variable("AZURE_FEDERATED_TOKEN_FILE") {
            let source = places.app(id, app, AzureProof::File(path.clone()), &[], report)?;
            return Some(Way { file: Some(path), ..Way::of(source, None) });
        }
    }
    let (client_id, resource) = (wanted.or_else(|| variable("AZURE_CLIENT_ID")), places.resource.to_owned());
    if let (Some(endpoint), Some(header)) = (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER")) {
        let hosts = hosts(id, FIELD, &[&endpoint], report)?;
        let (name, key) = place("IDENTITY_HEADER");
        let server = ManagedServer::AppService { endpoint, name, key };
        let source = AzureManaged { server, client_id, resource, hosts };
        return Some(Way::of(Source::AzureManaged(source), Some(SecretValue(header))));
    }
    let hosts = hosts(id, FIELD, &[&places.imds], report)?;
    let server = ManagedServer::Imds(places.imds.clone());
    Some(Way::of(Source::AzureManaged(AzureManaged { server, client_id, resource, hosts }), None))
}

/// What a pod will find: the token of its workload identity, else what its node has.
fn of_pod(
    id: &ResourceId,
    identity: &ManagedIdentitySpec,
    places: &Places,
    report: &mut Report,
) -> Option<Way> {
    let hosts = hosts(id, FIELD, &[&places.imds, &places.entra], report)?;
    let source = AzureDefault {
        entra: places.entra.clone(),
        imds: places.imds.clone(),
        client_id: identity.client_id.clone().filter(|id| !id.is_empty()),
        resource: places.resource.to_owned(),
        hosts,
    };
    Some(Way::of(Source::AzureDefault(source), None))
}
