//! ReferenceGrants: what is in another namespace may be referred to where that namespace says so.
//!
//! A reference that its own namespace has not agreed to would let whoever writes resources in one namespace use the
//! credentials and servers of all others. Source: ReferenceGrant of Gateway API.

use crate::resources::backend_security::BackendSecurityPolicySpec;
use crate::resources::gateway::{GrantFrom, GrantTo, HttpBackendRef, ObjectRef, ReferenceGrantSpec};
use crate::resources::kinds::{AI_GATEWAY, ENVOY_GATEWAY, GATEWAY_API, group_of};
use crate::resources::security::SecurityPolicySpec;
use crate::resources::set::Resource;
use crate::resources::{Report, ResourceId, Set};

/// A reference, and where it is written.
struct Reference<'a> {
    field: String,
    group: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl<'a> Reference<'a> {
    /// To a Secret, where it does not say.
    fn new(field: String, object: &'a ObjectRef) -> Self {
        Reference {
            field,
            group: object.group.as_deref().unwrap_or_default(),
            kind: object.kind.as_deref().unwrap_or("Secret"),
            namespace: object.namespace.as_deref(),
            name: &object.name,
        }
    }
}

/// Reports references to other namespaces that those have not agreed to.
pub(super) fn check(set: &Set, report: &mut Report) {
    let mut look = |id: &ResourceId, references: Vec<Reference<'_>>| {
        for reference in references {
            permit(set, id, &reference, report);
        }
    };
    for Resource { id, spec, .. } in set.gateways.iter() {
        let listeners = spec.listeners.iter().enumerate();
        let of_listener = listeners.flat_map(|(i, listener)| {
            let certificates = listener.tls.iter().flat_map(|tls| &tls.certificate_refs).enumerate();
            certificates.map(move |(j, certificate)| {
                let field = format!("spec.listeners[{i}].tls.certificateRefs[{j}]");
                Reference::new(field, certificate)
            })
        });
        look(id, of_listener.collect());
    }
    for Resource { id, spec, .. } in set.client_traffic_policies.iter() {
        let validation = spec.tls.as_ref().and_then(|tls| tls.client_validation.as_ref());
        let cas = validation.iter().flat_map(|validation| &validation.ca_certificate_refs);
        let lists = validation.iter().flat_map(|validation| &validation.crl).flat_map(|crl| &crl.refs);
        let at = |name: &'static str| {
            move |(i, object)| Reference::new(format!("spec.tls.clientValidation.{name}[{i}]"), object)
        };
        let cas = cas.enumerate().map(at("caCertificateRefs"));
        look(id, cas.chain(lists.enumerate().map(at("crl.refs"))).collect());
    }
    for Resource { id, spec, .. } in set.ai_gateway_routes.iter() {
        let backends = spec.rules.iter().enumerate().flat_map(|(i, rule)| {
            rule.backend_refs.iter().enumerate().map(move |(j, backend)| Reference {
                field: format!("spec.rules[{i}].backendRefs[{j}]"),
                group: backend.group.as_deref().unwrap_or(AI_GATEWAY),
                kind: backend.kind.as_deref().unwrap_or("AIServiceBackend"),
                namespace: backend.namespace.as_deref(),
                name: &backend.name,
            })
        });
        look(id, backends.collect());
    }
    for Resource { id, spec, .. } in set.http_routes.iter() {
        let backends = spec.rules.iter().enumerate().flat_map(|(i, rule)| {
            rule.backend_refs.iter().enumerate().map(move |(j, backend)| Reference {
                field: format!("spec.rules[{i}].backendRefs[{j}]"),
                group: backend.group.as_deref().unwrap_or_default(),
                kind: backend.kind.as_deref().unwrap_or("Service"),
                namespace: backend.namespace.as_deref(),
                name: &backend.name,
            })
        });
        look(id, backends.collect());
    }
    for Resource { id, spec, .. } in set.ai_service_backends.iter() {
        let backend = &spec.backend_ref;
        let reference = Reference {
            field: "spec.backendRef".to_owned(),
            group: ENVOY_GATEWAY,
            kind: "Backend",
            namespace: backend.namespace.as_deref(),
            name: &backend.name,
        };
        look(id, vec![reference]);
    }
    for Resource { id, spec, .. } in set.backend_security_policies.iter() {
        let keys = [
            ("apiKey", &spec.api_key),
            ("anthropicAPIKey", &spec.anthropic_api_key),
            ("azureAPIKey", &spec.azure_api_key),
        ];
        let keys = keys.into_iter().filter_map(|(field, key)| Some((field, &key.as_ref()?.secret_ref)));
        let aws =
            spec.aws_credentials.as_ref().and_then(|aws| Some(&aws.credentials_file.as_ref()?.secret_ref));
        let gcp =
            spec.gcp_credentials.as_ref().and_then(|gcp| Some(&gcp.credentials_file.as_ref()?.secret_ref));
        let files = [("awsCredentials.credentialsFile", aws), ("gcpCredentials.credentialsFile", gcp)];
        let files = files.into_iter().filter_map(|(field, file)| Some((field, file?)));
        let of_keys = keys.chain(files).map(|(field, key)| (format!("{field}.secretRef"), key));
        let references = of_keys.chain(of_clients(spec));
        look(id, references.map(|(field, object)| Reference::new(format!("spec.{field}"), object)).collect());
    }
    for Resource { id, spec, .. } in set.security_policies.iter() {
        look(id, of_security(spec));
    }
}

/// The Secrets by which the gateway is a client of who gives tokens.
fn of_clients(spec: &BackendSecurityPolicySpec) -> Vec<(String, &ObjectRef)> {
    let aws = spec.aws_credentials.as_ref().and_then(|aws| aws.oidc_exchange_token.as_ref());
    let azure = spec.azure_credentials.as_ref();
    let google =
        spec.gcp_credentials.as_ref().and_then(|gcp| gcp.workload_identity_federation_config.as_ref());
    let exchanges = [
        ("awsCredentials", aws.map(|exchange| &exchange.oidc)),
        (
            "azureCredentials",
            azure.and_then(|azure| azure.oidc_exchange_token.as_ref()).map(|exchange| &exchange.oidc),
        ),
        (
            "gcpCredentials.workloadIdentityFederationConfig",
            google.map(|google| &google.oidc_exchange_token.oidc),
        ),
    ];
    let secrets = exchanges.into_iter().filter_map(|(field, oidc)| {
        Some((format!("{field}.oidcExchangeToken.oidc.clientSecret"), &oidc?.client_secret))
    });
    let secret = azure.and_then(|azure| azure.client_secret_ref.as_ref());
    secret
        .map(|secret| ("azureCredentials.clientSecretRef".to_owned(), secret))
        .into_iter()
        .chain(secrets)
        .collect()
}

/// What a SecurityPolicy refers to: keys and passwords, and the servers that are asked.
fn of_security(spec: &SecurityPolicySpec) -> Vec<Reference<'_>> {
    let keys = spec.api_key_auth.iter().flat_map(|auth| &auth.credential_refs).enumerate();
    let keys = keys.map(|(i, key)| Reference::new(format!("spec.apiKeyAuth.credentialRefs[{i}]"), key));
    let users = spec.basic_auth.iter();
    let users = users.map(|auth| Reference::new("spec.basicAuth.users".to_owned(), &auth.users));
    let providers = spec.jwt.iter().flat_map(|jwt| &jwt.providers).enumerate();
    let jwks = providers.clone().flat_map(|(i, provider)| {
        let field = format!("spec.jwt.providers[{i}].remoteJWKS");
        provider.remote_jwks.iter().flat_map(move |jwks| of_servers(&field, None, &jwks.backend_refs))
    });
    let maps = providers.filter_map(|(i, provider)| {
        let field = format!("spec.jwt.providers[{i}].localJWKS.valueRef");
        let object = provider.local_jwks.as_ref()?.value_ref.as_ref()?;
        Some(Reference {
            kind: object.kind.as_deref().unwrap_or("ConfigMap"),
            ..Reference::new(field, object)
        })
    });
    let http = spec.ext_auth.iter().filter_map(|auth| auth.http.as_ref());
    let http =
        http.flat_map(|http| of_servers("spec.extAuth.http", http.backend_ref.as_ref(), &http.backend_refs));
    let grpc = spec.ext_auth.iter().filter_map(|auth| auth.grpc.as_ref());
    let grpc =
        grpc.flat_map(|grpc| of_servers("spec.extAuth.grpc", grpc.backend_ref.as_ref(), &grpc.backend_refs));
    keys.chain(users).chain(jwks).chain(maps).chain(http).chain(grpc).collect()
}

fn of_servers<'a>(
    field: &str,
    one: Option<&'a HttpBackendRef>,
    several: &'a [HttpBackendRef],
) -> Vec<Reference<'a>> {
    let several = several.iter().enumerate().map(|(i, server)| (format!("{field}.backendRefs[{i}]"), server));
    let all = one.map(|server| (format!("{field}.backendRef"), server)).into_iter().chain(several);
    let reference = |(field, server): (String, &'a HttpBackendRef)| Reference {
        field,
        group: server.group.as_deref().unwrap_or_default(),
        kind: server.kind.as_deref().unwrap_or("Service"),
        namespace: server.namespace.as_deref(),
        name: &server.name,
    };
    all.map(reference).collect()
}

fn permit(set: &Set, id: &ResourceId, reference: &Reference<'_>, report: &mut Report) {
    let Some(namespace) = reference.namespace.filter(|namespace| **namespace != id.namespace) else { return };
    // What is not there is no matter of grants.
    if report.has_error(id, &reference.field) {
        return;
    }
    let grants = || set.reference_grants.iter().filter(|grant| grant.id.namespace == namespace);
    if grants().any(|grant| is_permitted(&grant.spec, id, reference)) {
        return;
    }
    let (from, to) = (group_of(&id.kind), if reference.group.is_empty() { "\"\"" } else { reference.group });
    let message = format!(
        "no ReferenceGrant in namespace {namespace} lets {id} refer to {kind} {name} there; add one with \
         `from: [{{group: {from}, kind: {from_kind}, namespace: {own}}}]` and \
         `to: [{{group: {to}, kind: {kind}, name: {name}}}]`",
        kind = reference.kind,
        name = reference.name,
        from_kind = id.kind,
        own = id.namespace,
    );
    let field = format!("{}.namespace", reference.field);
    // The cluster may have some where the files have none.
    if set.platform.is_cluster() && grants().next().is_none() {
        return report.warning(id, field, format!("{message}, unless the cluster has it"));
    }
    report.error(id, field, message);
}

fn is_permitted(grant: &ReferenceGrantSpec, id: &ResourceId, reference: &Reference<'_>) -> bool {
    let is_from = |from: &GrantFrom| {
        let is_kind = (from.group.as_str(), from.kind.as_str()) == (group_of(&id.kind), &*id.kind);
        // Envoy AI Gateway makes an HTTPRoute of what leads to the backend, and Envoy Gateway wants the grant for that.
        let is_made = (from.group.as_str(), from.kind.as_str(), &*id.kind)
            == (GATEWAY_API, "HTTPRoute", "AIServiceBackend");
        from.namespace == id.namespace && (is_kind || is_made)
    };
    let is_to = |to: &GrantTo| {
        (to.group.as_str(), to.kind.as_str()) == (reference.group, reference.kind)
            && to.name.as_deref().is_none_or(|name| name.is_empty() || name == reference.name)
    };
    grant.from.iter().any(is_from) && grant.to.iter().any(is_to)
}
