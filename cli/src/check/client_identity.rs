//! Who a client is: the certificate that it shows, and the headers that say it.

use weir_core::headers::is_name;

use super::pem;
use crate::plan::{ClientCertificates, ClientHeaders, ForwardedCertificate, HeaderChange, NameCondition};
use crate::resources::client_traffic::{
    CertificateDetail, ClientTrafficPolicySpec, ClientValidation, EarlyHeaders, ForwardMode, HeaderValue,
    StringMatch, StringMatchType, ValidationMode,
};
use crate::resources::set::Resource;
use crate::resources::{Report, ResourceId, Set};

/// What clients must show. `None` where they are not asked, where another asks them, or where something is wrong.
pub(super) fn certificates(
    policy: &Resource<ClientTrafficPolicySpec>,
    set: &Set,
    report: &mut Report,
) -> Option<ClientCertificates> {
    let validation = policy.spec.tls.as_ref()?.client_validation.as_ref()?;
    if set.platform.is_cluster() {
        return None;
    }
    let id = &policy.id;
    let field = "spec.tls.clientValidation";
    let mode = validation.mode.unwrap_or(match validation.optional {
        true => ValidationMode::VerifyIfGiven,
        false => ValidationMode::RequireAndVerify,
    });
    let (required, accept_untrusted) = match mode {
        ValidationMode::Request => (false, true),
        ValidationMode::RequireAny => (true, true),
        ValidationMode::VerifyIfGiven => (false, false),
        ValidationMode::RequireAndVerify => (true, false),
    };
    let field_of_cas = format!("{field}.caCertificateRefs");
    if validation.ca_certificate_refs.is_empty() && !accept_untrusted && !report.has_error(id, &field_of_cas)
    {
        let message = "is empty; name a ConfigMap or Secret that has the clients' CA under `ca.crt`";
        report.error(id, &field_of_cas, message);
    }
    let cas =
        validation.ca_certificate_refs.iter().enumerate().map(|(i, reference)| {
            pem::certificates(id, &format!("{field_of_cas}[{i}]"), reference, set, report)
        });
    let ca_pem = cas.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?.join("\n");
    let lists = validation.crl.iter().flat_map(|crl| &crl.refs).enumerate().map(|(i, reference)| {
        pem::revocations(id, &format!("{field}.crl.refs[{i}]"), reference, set, report)
    });
    let crl_pem = lists.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?.join("\n");
    Some(ClientCertificates {
        policy: id.full_name(),
        required,
        accept_untrusted,
        accept_expired: validation.allow_expired_certificate,
        ca_pem,
        crl_pem,
        crl_of_leaf_only: validation.crl.as_ref().is_some_and(|crl| crl.only_verify_leaf_certificate),
        key_hashes: hashes(
            id,
            &format!("{field}.spkiHashes"),
            &validation.spki_hashes,
            is_base64_digest,
            report,
        ),
        hashes: hashes(
            id,
            &format!("{field}.certificateHashes"),
            &validation.certificate_hashes,
            is_hex_digest,
            report,
        ),
        names: names(validation),
    })
}

fn hashes(
    id: &ResourceId,
    field: &str,
    hashes: &[String],
    is_digest: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Vec<String> {
    for (i, _) in hashes.iter().enumerate().filter(|(_, hash)| !is_digest(hash)) {
        report.error(id, format!("{field}[{i}]"), "is no SHA-256");
    }
    hashes.to_vec()
}

fn is_base64_digest(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// OpenSSL writes colons between the bytes.
fn is_hex_digest(text: &str) -> bool {
    hex::decode(text.replace(':', "")).is_ok_and(|bytes| bytes.len() == 32)
}

fn names(validation: &ClientValidation) -> Vec<NameCondition> {
    let names = &validation.subject_alt_names;
    let kinds = [
        ("DNS", &names.dns_names),
        ("EMAIL", &names.email_addresses),
        ("IP_ADDRESS", &names.ip_addresses),
        ("URI", &names.uris),
    ];
    let condition =
        |kind: &'static str, StringMatch { kind: comparison, value }: &StringMatch| NameCondition {
            kind,
            comparison: match comparison {
                StringMatchType::Exact => "exact",
                StringMatchType::Prefix => "prefix",
                StringMatchType::Suffix => "suffix",
                StringMatchType::RegularExpression => "safe_regex",
            },
            value: value.clone(),
        };
    let of_kind = |(kind, list): (&'static str, &Vec<StringMatch>)| {
        list.iter().map(|one| condition(kind, one)).collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(of_kind).collect()
}

/// What becomes of the headers of requests.
pub(super) fn headers(policy: &ClientTrafficPolicySpec) -> ClientHeaders {
    let changes = policy.headers.early_request_headers.as_ref().map(changes).unwrap_or_default();
    let certificate = policy.headers.x_forwarded_client_cert.as_ref().map(|forwarded| ForwardedCertificate {
        mode: match forwarded.mode {
            ForwardMode::Sanitize => "SANITIZE",
            ForwardMode::ForwardOnly => "FORWARD_ONLY",
            ForwardMode::AppendForward => "APPEND_FORWARD",
            ForwardMode::SanitizeSet => "SANITIZE_SET",
            ForwardMode::AlwaysForwardOnly => "ALWAYS_FORWARD_ONLY",
        },
        details: forwarded
            .cert_details_to_add
            .iter()
            .map(|detail| match detail {
                CertificateDetail::Subject => "subject",
                CertificateDetail::Cert => "cert",
                CertificateDetail::Chain => "chain",
                CertificateDetail::Dns => "dns",
                CertificateDetail::Uri => "uri",
            })
            .collect(),
    });
    ClientHeaders { certificate, changes }
}

/// In Envoy Gateway's order.
fn changes(early: &EarlyHeaders) -> Vec<HeaderChange> {
    let mut changes = Vec::new();
    for header in &early.set {
        // A client without a certificate has no subject, and Envoy writes no header without a value: what the client
        // said itself must not stay in its place.
        if !header.value.contains("%REQ(") {
            changes.push(HeaderChange::Remove(header.name.clone()));
        }
        changes.push(write(header, "OVERWRITE_IF_EXISTS_OR_ADD"));
    }
    changes.extend(early.add.iter().map(|header| write(header, "APPEND_IF_EXISTS_OR_ADD")));
    changes.extend(early.add_if_absent.iter().map(|header| write(header, "ADD_IF_ABSENT")));
    changes.extend(early.remove.iter().cloned().map(HeaderChange::Remove));
    changes
}

fn write(HeaderValue { name, value }: &HeaderValue, action: &'static str) -> HeaderChange {
    HeaderChange::Write { name: name.clone(), value: value.clone(), action }
}

/// Mistakes in what is to become of the headers of requests.
pub(super) fn check_headers(policy: &Resource<ClientTrafficPolicySpec>, report: &mut Report) {
    let Resource { id, spec, .. } = policy;
    if let Some(forwarded) = &spec.headers.x_forwarded_client_cert
        && !forwarded.cert_details_to_add.is_empty()
        && ![ForwardMode::AppendForward, ForwardMode::SanitizeSet].contains(&forwarded.mode)
    {
        let message = "has no effect but with `mode: AppendForward` or `SanitizeSet`";
        report.error(id, "spec.headers.xForwardedClientCert.certDetailsToAdd", message);
    }
    let Some(early) = &spec.headers.early_request_headers else { return };
    let field = "spec.headers.earlyRequestHeaders";
    let lists = [("set", &early.set), ("add", &early.add), ("addIfAbsent", &early.add_if_absent)];
    for (list, headers) in lists {
        for (i, header) in headers.iter().enumerate() {
            let field = format!("{field}.{list}[{i}]");
            check_name(id, &format!("{field}.name"), &header.name, report);
            if header.value.chars().any(char::is_control) {
                report.error(id, format!("{field}.value"), "has a line break or another control character");
            } else if header.value.matches('%').count() % 2 == 1 {
                let message = "has a `%` that begins no command of Envoy; write `%%` for the sign itself";
                report.error(id, format!("{field}.value"), message);
            }
        }
    }
    for (i, name) in early.remove.iter().enumerate() {
        check_name(id, &format!("{field}.remove[{i}]"), name, report);
    }
}

fn check_name(id: &ResourceId, field: &str, name: &str, report: &mut Report) {
    if name.eq_ignore_ascii_case("host") || name.starts_with(':') {
        report.error(id, field, "is what the request is for, which is not changed here");
    } else if !is_name(name) && name != crate::resources::decode::MISSING {
        report.error(id, field, format!("`{name}` is no name of a header"));
    }
}
