//! The certificates of HTTPS listeners.

use std::time::Duration;

use rustls::InconsistentKeys;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::client_identity;
use super::client_traffic::parameters;
use super::credentials::{is_elsewhere, secret_name, secret_text};
use crate::plan::{Certificate, ServerTls};
use crate::resources::client_traffic::ClientTrafficPolicySpec;
use crate::resources::gateway::{GatewayListener, ObjectRef};
use crate::resources::{Report, Resource, ResourceId, Set};

/// The keys of a Secret of type `kubernetes.io/tls`.
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

/// How long before its end a certificate that lasts long is warned of.
const SOON: Duration = Duration::from_secs(14 * DAY);
const DAY: u64 = 24 * 60 * 60;

/// RFC 5480, section 2.1.1.1. Envoy takes this curve; the library that compares keys here does not.
const P_521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// Reads the certificates of a listener. `None` where it has no TLS, or something is wrong with it.
pub(super) fn of_listener(
    gateway: &ResourceId,
    listener: &GatewayListener,
    field: &str,
    policy: Option<&Resource<ClientTrafficPolicySpec>>,
    now: Option<Duration>,
    set: &Set,
    report: &mut Report,
) -> Option<ServerTls> {
    let field = format!("{field}.tls");
    if listener.protocol != "HTTPS" {
        if listener.tls.is_some() && listener.protocol == "HTTP" {
            report.error(gateway, field, "is for `protocol: HTTPS`; write that, or remove it");
        }
        return None;
    }
    let references = listener.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
    if let Some(mode) = listener.tls.as_ref().and_then(|tls| tls.mode.as_deref())
        && !["Terminate", "Passthrough"].contains(&mode)
    {
        report.error(gateway, format!("{field}.mode"), format!("`{mode}` is no mode; write `Terminate`"));
    }
    if references.is_empty() && !report.has_error(gateway, &field) {
        let message = "names no certificate; add a Secret of type `kubernetes.io/tls`";
        report.error(gateway, format!("{field}.certificateRefs"), message);
    }
    let mut certificates = Vec::new();
    let mut names = Vec::new();
    for (i, reference) in references.iter().enumerate() {
        let field = format!("{field}.certificateRefs[{i}]");
        if is_elsewhere(gateway, reference, set) {
            continue;
        }
        let Some(read) = certificate(gateway, &field, reference, now, set, report) else { continue };
        certificates.push(read.certificate);
        names.extend(read.names);
    }
    if let Some(hostname) = &listener.hostname
        && certificates.len() == references.len()
        && !names.is_empty()
        && !names.iter().any(|name| is_for(name, hostname))
    {
        let message = format!("no certificate of these is for `{hostname}`, but for {}", names.join(", "));
        report.warning(gateway, format!("{field}.certificateRefs"), message);
    }
    Some(ServerTls {
        certificates,
        parameters: parameters(policy.and_then(|policy| policy.spec.tls.as_ref())),
        clients: policy.and_then(|policy| client_identity::certificates(policy, set, report)),
    })
}

struct Read {
    certificate: Certificate,
    /// The host names it is for.
    names: Vec<String>,
}

fn certificate(
    gateway: &ResourceId,
    field: &str,
    reference: &ObjectRef,
    now: Option<Duration>,
    set: &Set,
    report: &mut Report,
) -> Option<Read> {
    let (secret, chain) = secret_text(gateway, field, reference, CHAIN, set, report)?;
    let key = secret_text(gateway, field, reference, KEY, set, report)?.1;
    let parsed = pem_certificates(&chain.0);
    let Some(ders) = parsed.filter(|certificates| !certificates.is_empty()) else {
        report.error(secret, CHAIN, "is no certificate in PEM");
        return None;
    };
    let leaf = ders.first().and_then(|first| x509_cert::Certificate::from_der(first).ok());
    let Some(leaf) = leaf else {
        report.error(secret, CHAIN, "begins with a certificate that cannot be read");
        return None;
    };
    let der = match PrivateKeyDer::from_pem_slice(key.0.as_bytes()) {
        Ok(key) => key,
        Err(_) if key.0.contains("ENCRYPTED") => {
            report.error(secret, KEY, "is encrypted; Envoy has no password for it");
            return None;
        }
        Err(_) => {
            report.error(secret, KEY, "is no private key in PEM");
            return None;
        }
    };
    if let Some(mistake) = key_mistake(&leaf, ders, der) {
        report.error(secret, KEY, mistake);
        return None;
    }
    if let Some(now) = now
        && let Some(warning) = age(&leaf, now)
    {
        report.warning(secret, CHAIN, warning);
    }
    let certificate =
        Certificate { secret: secret_name(gateway, reference), chain: chain.0.clone(), key: key.clone() };
    Some(Read { certificate, names: names(&leaf) })
}

/// The certificates of a text; `None` when one of them cannot be read.
fn pem_certificates(text: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    certificates.ok()
}

/// Why Envoy would not take a certificate with this key.
fn key_mistake(
    leaf: &x509_cert::Certificate,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Option<&'static str> {
    let algorithm = &leaf.tbs_certificate().subject_public_key_info().algorithm;
    let curve = algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    if curve == Some(P_521) {
        return None;
    }
    match CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()) {
        Ok(pair) if pair.key.algorithm() == rustls::SignatureAlgorithm::ED25519 => {
            Some("is of Ed25519, which Envoy does not take; use ECDSA or RSA")
        }
        Ok(_) => None,
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Some("does not belong to the certificate in `tls.crt`")
        }
        Err(_) => Some("is not a key that Envoy takes: RSA of 2048 bits or more, or ECDSA"),
    }
}

/// What is to be said about when a certificate is good: nothing while it has a while to go.
fn age(leaf: &x509_cert::Certificate, now: Duration) -> Option<String> {
    let validity = leaf.tbs_certificate().validity();
    let (begin, end) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    if now < begin {
        return Some("is of a certificate that is not good yet".to_owned());
    }
    let Some(left) = end.checked_sub(now) else {
        let days = now.saturating_sub(end).as_secs() / DAY;
        return Some(format!("is of a certificate that ended {days} days ago; clients refuse it"));
    };
    // A certificate of a few days is renewed late in them.
    let soon = SOON.min(end.saturating_sub(begin) / 4);
    let days = left.as_secs() / DAY;
    (left < soon).then(|| format!("is of a certificate that ends in {days} days; renew it"))
}

/// The host names in a certificate. Clients look at nothing else (RFC 9525, section 6.1).
fn names(leaf: &x509_cert::Certificate) -> Vec<String> {
    let found = leaf.tbs_certificate().get_extension::<SubjectAltName>();
    let names = found.ok().flatten().map(|(_, SubjectAltName(names))| names).unwrap_or_default();
    let dns_name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    };
    names.iter().filter_map(dns_name).collect()
}

/// Whether a name in a certificate is good for a host name, or for all that a wildcard takes of one more label.
fn is_for(name: &str, hostname: &str) -> bool {
    name == hostname
        || name.strip_prefix("*.").is_some_and(|rest| {
            hostname.split_once('.').is_some_and(|(label, parent)| label != "*" && parent == rest)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_for_one_label() {
        for (name, hostname, is) in [
            ("a.example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", "*.example.com", true),
            ("a.example.com", "*.example.com", false),
        ] {
            assert_eq!(is_for(name, hostname), is, "{name} {hostname}");
        }
    }
}
