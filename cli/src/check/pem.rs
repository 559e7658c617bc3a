//! Texts in PEM that a ConfigMap or Secret has.

use crate::resources::diagnostic::hint;
use crate::resources::gateway::ObjectRef;
use crate::resources::set::Found;
use crate::resources::{Report, ResourceId, Set};

/// The certificates of CAs that `reference` of `id` leads to; empty where they are in the cluster alone.
pub(super) fn certificates(
    id: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    set: &Set,
    report: &mut Report,
) -> Option<String> {
    text(id, field, reference, ("ca.crt", "CERTIFICATE", "is not a PEM certificate"), set, report)
}

/// The list of certificates that are called back that `reference` of `id` leads to; empty where it is in the cluster
/// alone.
pub(super) fn revocations(
    id: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    set: &Set,
    report: &mut Report,
) -> Option<String> {
    text(id, field, reference, ("ca.crl", "X509 CRL", "is not a list of revocations in PEM"), set, report)
}

fn text(
    id: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    (key, label, mistake): (&str, &str, &str),
    set: &Set,
    report: &mut Report,
) -> Option<String> {
    let kind = reference.kind.as_deref().unwrap_or("Secret");
    let resources = match kind {
        "ConfigMap" => &set.config_maps,
        "Secret" => &set.secrets,
        _ => {
            report.error(id, format!("{field}.kind"), "must be `ConfigMap` or `Secret`");
            return None;
        }
    };
    let namespace = reference.namespace.as_deref().unwrap_or(&id.namespace);
    match resources.find(namespace, &reference.name) {
        Found::Broken => None,
        // A renderer for that place passes the reference on.
        Found::Nothing(_) if set.platform.is_cluster() => Some(String::new()),
        Found::Nothing(others) => {
            let message = format!("{kind} {namespace}/{} does not exist, {others}", reference.name);
            report.error(id, format!("{field}.name"), message);
            None
        }
        Found::One(found) => match found.spec.get(key) {
            Some(pem) if pem.0.contains(&format!("-----BEGIN {label}-----")) => Some(pem.0.trim().to_owned()),
            Some(_) => {
                report.error(&found.id, key, mistake);
                None
            }
            None => {
                let others = hint(key, found.spec.keys());
                report.error(&found.id, "data", format!("{id} needs the key `{key}`, {others}"));
                None
            }
        },
    }
}
