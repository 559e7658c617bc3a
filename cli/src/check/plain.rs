//! What a plain reference to a backend leads to, in HTTPRoutes and policies.

use super::backends::Backends;
use crate::plan::{Endpoint, Member};
use crate::resources::decode::MISSING;
use crate::resources::gateway::HttpBackendRef;
use crate::resources::kinds::ENVOY_GATEWAY;
use crate::resources::set::Found;
use crate::resources::{Report, ResourceId, Set};

/// Whether a reference is to a kind that can be a backend.
#[must_use]
pub fn is_known(reference: &HttpBackendRef) -> bool {
    matches!(group_and_kind(reference), ("", "Service") | (ENVOY_GATEWAY, "Backend"))
}

fn group_and_kind(reference: &HttpBackendRef) -> (&str, &str) {
    (reference.group.as_deref().unwrap_or_default(), reference.kind.as_deref().unwrap_or("Service"))
}

/// The backend that `field` of `id` names.
pub fn backend(
    set: &Set,
    backends: &Backends,
    id: &ResourceId,
    field: &str,
    reference: &HttpBackendRef,
    report: &mut Report,
) -> Option<Member> {
    let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
    match group_and_kind(reference) {
        ("", "Service") => service(set, backends, id, field, namespace, reference, report),
        (ENVOY_GATEWAY, "Backend") => {
            let found = match set.backends.find(namespace, &reference.name) {
                Found::Broken => return None,
                Found::Nothing(others) => {
                    let message = format!("Backend {namespace}/{} does not exist, {others}", reference.name);
                    report.error(id, format!("{field}.name"), message);
                    return None;
                }
                Found::One(found) => found,
            };
            let addresses = backends.backend(&found.id.full_name())?;
            Some(Member {
                backend: found.id.full_name(),
                priority: u32::from(addresses.fallback),
                weight: reference.weight,
                endpoints: addresses.endpoints.clone(),
                tls: addresses.tls.clone(),
            })
        }
        (group, kind) => {
            let message = format!(
                "{kind} of group `{group}` cannot be a backend of {id}; it must be Service, or Backend of \
                 `{ENVOY_GATEWAY}`"
            );
            report.error(id, field, message);
            None
        }
    }
}

fn service(
    set: &Set,
    backends: &Backends,
    id: &ResourceId,
    field: &str,
    namespace: &str,
    reference: &HttpBackendRef,
    report: &mut Report,
) -> Option<Member> {
    let name = &reference.name;
    if name == MISSING {
        return None;
    }
    let full_name = format!("{namespace}/{name}");
    let mut host = format!("{name}.{namespace}.svc.cluster.local");
    let Some(port) = reference.port else {
        if !report.has_error(id, &format!("{field}.port")) {
            report.error(id, format!("{field}.port"), "is missing; a Service needs it");
        }
        return None;
    };
    match set.services.find(namespace, name) {
        Found::One(service) => {
            if let Some(external) = &service.spec.external_name {
                host.clone_from(external);
            } else if !service.spec.ports.contains(&u64::from(port)) {
                let ports: Vec<String> = service.spec.ports.iter().map(u64::to_string).collect();
                let message = format!("{} has no port {port}; it has {}", service.id, ports.join(", "));
                report.error(id, format!("{field}.port"), message);
            }
        }
        Found::Nothing(_) if set.platform.is_cluster() => {}
        Found::Nothing(_) | Found::Broken => {
            let message = format!("Service {full_name} is not in these files; {host} is used");
            report.warning(id, format!("{field}.name"), message);
        }
    }
    Some(Member {
        tls: backends.service_tls(&full_name).cloned(),
        backend: full_name,
        priority: 0,
        weight: reference.weight,
        endpoints: vec![Endpoint { host, port }],
    })
}
