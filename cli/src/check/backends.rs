//! Backends: the API, the addresses, TLS and the credential of each, joined from four kinds of resources.

use std::collections::HashMap;
use std::net::IpAddr;

use weir_core::config::{self, AuthKind, BodyMutation, HeaderMutation, SchemaName};
use weir_core::headers::BETA_HEADER;

use super::credentials::{Attached, Credential, attach};
use super::environment::Environment;
use super::mutations;
use super::names::hostname_mistake;
use super::pem;
use crate::plan::{Endpoint, Tls, authority};
use crate::resources::ai::{AiServiceBackendSpec, FilterMode, HeaderValueFilter, SchemaSpec};
use crate::resources::backend_security::SecurityKind;
use crate::resources::decode::MISSING;
use crate::resources::envoy::{BackendEndpoint, BackendKind, BackendSpec};
use crate::resources::gateway::{BackendTlsPolicySpec, ObjectRef, TargetRef};
use crate::resources::kinds::ENVOY_GATEWAY;
use crate::resources::set::{Found, Resource};
use crate::resources::{Report, ResourceId, Set};

/// An AIServiceBackend with everything that belongs to it.
#[derive(Debug)]
pub struct AiBackend {
    /// For the filter.
    pub config: config::Backend,
    /// For Envoy.
    pub addresses: Addresses,
    /// Its own changes, under those of the route.
    pub headers: HeaderMutation,
    /// Its own changes, under those of the route.
    pub body: BodyMutation,
    /// The credential that `config.auth` names.
    pub credential: Option<Credential>,
}

/// Where a Backend or Service is.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Never empty.
    pub endpoints: Vec<Endpoint>,
    /// TLS to all of them.
    pub tls: Option<Tls>,
    /// Whether it only steps in for others.
    pub fallback: bool,
}

/// Everything that rules can send to. Where an entry is `None`, its mistakes were reported.
#[derive(Debug)]
pub struct Backends {
    /// By `namespace/name` of the AIServiceBackend.
    pub ai: HashMap<String, Option<AiBackend>>,
    plain: HashMap<String, Option<Addresses>>,
    service_tls: HashMap<String, (ResourceId, Option<Tls>)>,
}

impl Backends {
    /// Reads them all, also those that no route names.
    pub fn compile(set: &Set, environment: &Environment, report: &mut Report) -> Backends {
        let mut backend_tls = HashMap::new();
        let mut service_tls = HashMap::new();
        for policy in set.backend_tls_policies.iter() {
            let tls = tls(policy, set, report);
            for (i, target) in policy.spec.target_refs.iter().enumerate() {
                let field = format!("spec.targetRefs[{i}]");
                let index = match tls_target(policy, target, &field, set, report) {
                    Some(TlsTarget::Backend) => &mut backend_tls,
                    Some(TlsTarget::Service) => &mut service_tls,
                    None => continue,
                };
                let name = format!("{}/{}", policy.id.namespace, target.name);
                if let Some((first, _)) = index.insert(name.clone(), (policy.id.clone(), tls.clone())) {
                    let message = format!(
                        "{} {name} has a policy already, {first} in {}; remove it from one of the two",
                        target.kind, first.file
                    );
                    report.error(&policy.id, field, message);
                }
            }
        }
        let mut plain = HashMap::new();
        for backend in set.backends.iter() {
            let name = backend.id.full_name();
            let tls = backend_tls.get(&name).map(|(_, tls)| tls.clone());
            let addresses = addresses(backend, tls.as_ref(), report);
            plain.insert(name, addresses);
        }
        let mut attached = attach(set, environment, report);
        let mut ai = HashMap::new();
        for backend in set.ai_service_backends.iter() {
            let name = backend.id.full_name();
            let compiled = ai_backend(backend, attached.remove(&name), &plain, set, report);
            ai.insert(name, compiled);
        }
        Backends { ai, plain, service_tls }
    }

    /// The addresses of a Backend; `None` also when it does not exist.
    #[must_use]
    pub fn backend(&self, full_name: &str) -> Option<&Addresses> {
        self.plain.get(full_name).and_then(Option::as_ref)
    }

    /// TLS to a Service.
    #[must_use]
    pub fn service_tls(&self, full_name: &str) -> Option<&Tls> {
        self.service_tls.get(full_name).and_then(|(_, tls)| tls.as_ref())
    }
}

enum TlsTarget {
    Backend,
    Service,
}

fn tls_target(
    policy: &Resource<BackendTlsPolicySpec>,
    target: &TargetRef,
    field: &str,
    set: &Set,
    report: &mut Report,
) -> Option<TlsTarget> {
    let id = &policy.id;
    if target.section_name.is_some() {
        report.error(id, format!("{field}.sectionName"), "is not supported yet: TLS is for the whole target");
        return None;
    }
    let (found, kind) = match (target.group.as_str(), target.kind.as_str()) {
        (ENVOY_GATEWAY, "Backend") => {
            (nothing(set.backends.find(&id.namespace, &target.name)), TlsTarget::Backend)
        }
        // Services are often made elsewhere.
        ("", "Service") => (None, TlsTarget::Service),
        (group, kind) => {
            if group != MISSING && kind != MISSING {
                let message = format!(
                    "{kind} of group `{group}` cannot be a target; it must be Backend of `{ENVOY_GATEWAY}` or Service \
                     of group ``"
                );
                report.error(id, field, message);
            }
            return None;
        }
    };
    if let Some(others) = found {
        let message = format!("Backend {}/{} does not exist, {others}", id.namespace, target.name);
        report.error(id, format!("{field}.name"), message);
        return None;
    }
    Some(kind)
}

fn nothing<T>(found: Found<'_, T>) -> Option<String> {
    match found {
        Found::Nothing(others) => Some(others),
        Found::One(_) | Found::Broken => None,
    }
}

fn tls(policy: &Resource<BackendTlsPolicySpec>, set: &Set, report: &mut Report) -> Option<Tls> {
    let id = &policy.id;
    let validation = &policy.spec.validation;
    let field = "spec.validation";
    if let Some(mistake) = hostname_mistake(&validation.hostname) {
        report.error(id, format!("{field}.hostname"), mistake);
    } else if validation.hostname.starts_with('*') {
        report.error(id, format!("{field}.hostname"), "cannot be a wildcard: it is sent as SNI");
    }
    let well_known = validation.well_known_ca_certificates.as_deref().filter(|name| !name.is_empty());
    let ca_pem = match (well_known, validation.ca_certificate_refs.as_slice()) {
        (None, []) => {
            if !report.has_error(id, field) {
                let message = "needs `wellKnownCACertificates: System` or `caCertificateRefs`";
                report.error(id, field, message);
            }
            return None;
        }
        (Some("System"), []) => None,
        (Some(_), []) => {
            report.error(id, format!("{field}.wellKnownCACertificates"), "must be `System`");
            return None;
        }
        (Some(_), _) => {
            let message = "has both `wellKnownCACertificates` and `caCertificateRefs`; remove one of the two";
            report.error(id, field, message);
            return None;
        }
        (None, references) => {
            let certificates: Vec<Option<String>> = references
                .iter()
                .enumerate()
                .map(|(i, reference)| {
                    // These name their own namespace alone, and say which kind.
                    let reference = ObjectRef {
                        namespace: None,
                        kind: Some(reference.kind.clone().unwrap_or_default()),
                        ..reference.clone()
                    };
                    let field = format!("{field}.caCertificateRefs[{i}]");
                    pem::certificates(id, &field, &reference, set, report)
                })
                .collect();
            Some(certificates.into_iter().collect::<Option<Vec<_>>>()?.join("\n"))
        }
    };
    Some(Tls { hostname: validation.hostname.clone(), ca_pem })
}

/// `tls` is `None` without a policy and `Some(None)` with one that is at fault.
fn addresses(
    backend: &Resource<BackendSpec>,
    tls: Option<&Option<Tls>>,
    report: &mut Report,
) -> Option<Addresses> {
    let Resource { id, spec, .. } = backend;
    if spec.kind == BackendKind::DynamicResolver {
        return None;
    }
    if spec.endpoints.is_empty() && !report.has_error(id, "spec.endpoints") {
        report.error(id, "spec.endpoints", "is empty; name an address, as `fqdn` or `ip`");
    }
    let endpoints: Vec<Option<Endpoint>> = spec
        .endpoints
        .iter()
        .enumerate()
        .map(|(i, endpoint)| address(id, &format!("spec.endpoints[{i}]"), endpoint, report))
        .collect();
    let endpoints = endpoints.into_iter().collect::<Option<Vec<_>>>()?;
    let tls = match tls {
        Some(Some(tls)) => Some(tls.clone()),
        Some(None) => return None,
        None => None,
    };
    if let (None, Some(endpoint)) = (&tls, endpoints.iter().find(|endpoint| endpoint.port == 443)) {
        let message = format!("{}:443 is spoken to in plain HTTP; add a BackendTLSPolicy", endpoint.host);
        report.warning(id, "spec.endpoints", message);
    }
    (!endpoints.is_empty()).then_some(Addresses { endpoints, tls, fallback: spec.fallback })
}

fn address(
    id: &ResourceId,
    field: &str,
    endpoint: &BackendEndpoint,
    report: &mut Report,
) -> Option<Endpoint> {
    let (host, port, part) = match (&endpoint.fqdn, &endpoint.ip) {
        (Some(fqdn), None) => {
            if let Some(mistake) = hostname_mistake(&fqdn.hostname) {
                report.error(id, format!("{field}.fqdn.hostname"), mistake);
                return None;
            }
            (fqdn.hostname.clone(), fqdn.port, "fqdn")
        }
        (None, Some(ip)) => {
            if ip.address != MISSING && ip.address.parse::<IpAddr>().is_err() {
                let message = format!("`{}` is not an IP address; for a host name use `fqdn`", ip.address);
                report.error(id, format!("{field}.ip.address"), message);
                return None;
            }
            (ip.address.clone(), ip.port, "ip")
        }
        (Some(_), Some(_)) => {
            report.error(id, field, "has both `fqdn` and `ip`; make two endpoints of it");
            return None;
        }
        (None, None) => {
            if !report.has_error(id, field) {
                report.error(id, field, "has no address; give it `fqdn` or `ip`");
            }
            return None;
        }
    };
    if host == MISSING || report.has_error(id, &format!("{field}.{part}.port")) {
        return None;
    }
    if port == 0 {
        report.error(id, format!("{field}.{part}.port"), "must be from 1 to 65535");
        return None;
    }
    Some(Endpoint { host, port })
}

fn ai_backend(
    backend: &Resource<AiServiceBackendSpec>,
    attached: Option<Attached>,
    plain: &HashMap<String, Option<Addresses>>,
    set: &Set,
    report: &mut Report,
) -> Option<AiBackend> {
    let Resource { id, spec, .. } = backend;
    let headers = mutations::headers(spec.header_mutation.as_ref(), "spec.headerMutation", id, report);
    let body = mutations::body(spec.body_mutation.as_ref(), "spec.bodyMutation", id, report);
    let schema = schema(id, &spec.schema, report);
    let addresses = backend_reference(backend, plain, set, report);
    let betas = schema.as_ref().and_then(|schema| betas(id, &spec.header_value_filters, schema.name, report));
    if let Some(attached) = &attached
        && let (Some(schema), Some(credential)) = (&schema, &attached.credential)
    {
        check_fit(id, schema.name, credential, report);
    }
    if let (None, Some(schema)) = (&attached, &schema)
        && let Some(outcome) = schema.name.schema().fits().without_auth
    {
        report.warning(id, "", format!("no BackendSecurityPolicy names it, so that {outcome}"));
    }
    let credential = match attached {
        Some(Attached { credential: None, .. }) => return None,
        Some(Attached { credential, .. }) => credential,
        None => None,
    };
    let (mut schema, addresses) = (schema?, addresses?);
    if set.settings.chat_only.contains(&id.full_name()) {
        if schema.name == SchemaName::OpenAI {
            schema.name = SchemaName::OpenAIChat;
        } else {
            let message = format!("has no effect on schema {:?}, only on OpenAI", schema.name);
            report.warning(id, "metadata.annotations[weir.dev/chat-only]", message);
        }
    }
    let cache_marks = set.settings.cache_marks.contains(&id.full_name());
    if cache_marks && !schema.name.schema().fits().marked {
        let message = format!("has no effect on schema {:?}: its models cache without marks", schema.name);
        report.warning(id, "metadata.annotations[weir.dev/cache-marks]", message);
    }
    let hosts = addresses
        .endpoints
        .iter()
        .map(|endpoint| authority(&endpoint.host, endpoint.port, addresses.tls.is_some()))
        .collect();
    let auth = credential.as_ref().map(|credential| credential.auth.clone());
    let credential_override = credential.as_ref().and_then(|credential| credential.brought.clone());
    Some(AiBackend {
        config: config::Backend {
            schema,
            hosts,
            address: None,
            auth,
            betas,
            credential_override,
            cache_marks,
        },
        addresses,
        headers,
        body,
        credential,
    })
}

fn backend_reference(
    backend: &Resource<AiServiceBackendSpec>,
    plain: &HashMap<String, Option<Addresses>>,
    set: &Set,
    report: &mut Report,
) -> Option<Addresses> {
    let Resource { id, spec, .. } = backend;
    let reference = &spec.backend_ref;
    let (group, kind) = (reference.group.as_deref(), reference.kind.as_deref());
    if report.has_error(id, "spec.backendRef") {
        return None;
    }
    if group != Some(ENVOY_GATEWAY) || kind != Some("Backend") {
        let message = format!("must be `kind: Backend` with `group: {ENVOY_GATEWAY}`");
        report.error(id, "spec.backendRef", message);
        return None;
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
    match set.backends.find(namespace, &reference.name) {
        Found::Broken => None,
        Found::Nothing(others) => {
            let message = format!("Backend {namespace}/{} does not exist, {others}", reference.name);
            report.error(id, "spec.backendRef.name", message);
            None
        }
        Found::One(found) => plain.get(&found.id.full_name()).cloned().flatten(),
    }
}

fn schema(id: &ResourceId, spec: &SchemaSpec, report: &mut Report) -> Option<config::Schema> {
    // What is not there yet was reported already.
    let name = spec.name.known()?;
    let fits = name.schema().fits();
    let given = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let (mut version, mut prefix) = (given(&spec.version), given(&spec.prefix));
    // The others have their version in the prefix of their paths, or in a header that clients set.
    if version.is_some() && !fits.version {
        let message = format!("has no effect on schema {name:?}; for other paths than /v1 set `prefix`");
        report.warning(id, "spec.schema.version", message);
        version = None;
    }
    if prefix.is_some() && !fits.prefix {
        report.warning(id, "spec.schema.prefix", format!("has no effect on schema {name:?}"));
        prefix = None;
    }
    let prefix = prefix.map(|prefix| prefix.trim_matches('/').to_owned());
    if prefix.as_deref().is_some_and(|prefix| prefix.contains(['?', '#', ' ', '%']) || prefix.contains("//"))
    {
        report.error(id, "spec.schema.prefix", "must be plain path segments, such as `v1beta/openai`");
    }
    Some(config::Schema { name, prefix, version })
}

/// Only one header is filtered. That of others has no effect in Envoy AI Gateway either.
fn betas(
    id: &ResourceId,
    filters: &[HeaderValueFilter],
    schema: SchemaName,
    report: &mut Report,
) -> Option<config::Betas> {
    let field = "spec.headerValueFilters";
    if !filters.is_empty() && !schema.schema().fits().filtered {
        report.error(id, field, format!("is for Claude in a cloud, not for schema {schema:?}"));
    }
    let mut betas = None;
    for (index, filter) in filters.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if !filter.name.eq_ignore_ascii_case(BETA_HEADER) {
            report.warning(
                id,
                format!("{field}.name"),
                format!("has no effect; only `{BETA_HEADER}` is filtered"),
            );
            continue;
        }
        if betas.is_some() {
            report.error(id, format!("{field}.name"), "is there twice");
        }
        let values: Vec<String> = filter.values.iter().map(|value| value.trim().to_owned()).collect();
        betas = match (values.is_empty(), filter.mode) {
            // It changes nothing.
            (true, _) => continue,
            (false, FilterMode::Denylist) => Some(config::Betas::Except(values)),
            (false, FilterMode::Allowlist) => Some(config::Betas::Only(values)),
        };
    }
    betas
}

/// Which ways to authenticate a schema's servers understand.
fn check_fit(id: &ResourceId, schema: SchemaName, credential: &Credential, report: &mut Report) {
    if report.has_error(id, "spec.schema") || report.has_error(&credential.policy, "spec.type") {
        return;
    }
    let fits = schema.schema().fits();
    let kind = credential.auth.kind();
    if fits.auth.contains(&kind) {
        return;
    }
    let usual = fits.auth.first().map_or("none", |usual| SecurityKind::word(*usual));
    if let Some((_, whose)) = fits.unusual.iter().find(|(unusual, _)| *unusual == kind) {
        let message =
            format!("sends {} to {id}, which has schema {schema:?}; {whose} type {usual}", sent(kind));
        report.warning(&credential.policy, "spec.type", message);
        return;
    }
    let message = format!(
        "{:?} does not fit {id}, which has schema {schema:?}; use {usual}, or take it out of `targetRefs`",
        credential.kind
    );
    report.error(&credential.policy, "spec.type", message);
}

/// How a request shows who it is from.
fn sent(kind: AuthKind) -> &'static str {
    match kind {
        AuthKind::Bearer => "`authorization: Bearer`",
        AuthKind::AnthropicKey => "`x-api-key`",
        AuthKind::AwsSigv4 => "a signature of AWS",
        AuthKind::AzureKey => "`api-key`",
        AuthKind::Gcp => "an access token of Google Cloud",
    }
}
