//! ClientTrafficPolicies: what a listener makes of its clients' connections.

use std::collections::HashMap;

use super::client_identity;
use super::listeners::{REQUEST_RECEIVED_TIMEOUT, conflict, gateway_exists, targets_reported};
use crate::plan::{self, ServerTls, TlsParameters};
use crate::resources::client_traffic::{Alpn, ClientTls, ClientTrafficPolicySpec, TlsVersion};
use crate::resources::diagnostic::hint;
use crate::resources::gateway::GatewayListener;
use crate::resources::kinds::GATEWAY_API;
use crate::resources::set::{Found, Resource};
use crate::resources::{Platform, Report, ResourceId, Set};

/// Bytes of one request or answer that Envoy may hold, unless a policy says otherwise: prompts with images are large.
const BUFFER_LIMIT: u32 = 32 << 20;

/// The cipher suites of TLS up to 1.2 that Envoy knows. Source: `cipher_suites` of Envoy's `TlsParameters`.
const CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
];

/// Policies by what they apply to; that of a listener wins over that of its Gateway.
pub(super) struct ClientPolicies<'a> {
    by_target: HashMap<(String, Option<String>), &'a Resource<ClientTrafficPolicySpec>>,
}

impl<'a> ClientPolicies<'a> {
    pub(super) fn new(set: &'a Set, report: &mut Report) -> Self {
        let mut by_target: HashMap<_, &'a Resource<ClientTrafficPolicySpec>> = HashMap::new();
        for policy in set.client_traffic_policies.iter() {
            let id = &policy.id;
            check(policy, set.platform, report);
            let targets = policy.spec.targets();
            if targets.refs.is_empty() && !targets_reported(id, report) {
                report.error(id, "spec.targetRefs", "is empty; name the Gateway it is for");
            }
            let mut has_tls = false;
            for (field, target) in targets.refs {
                if (target.group.as_str(), target.kind.as_str()) != (GATEWAY_API, "Gateway") {
                    if !report.has_error(id, &field) {
                        let message = format!("must be `kind: Gateway` with `group: {GATEWAY_API}`");
                        report.error(id, field, message);
                    }
                    continue;
                }
                let section = target.section_name.as_deref();
                if !gateway_exists(id, &field, &target.name, section, set, report) {
                    continue;
                }
                has_tls |= reaches_tls(set, id, &target.name, section);
                let name = format!("{}/{}", id.namespace, target.name);
                if let Some(first) = by_target.get(&(name.clone(), target.section_name.clone())) {
                    report.error(id, field, conflict(&format!("Gateway {name}"), section, &first.id));
                    continue;
                }
                by_target.insert((name, target.section_name.clone()), policy);
            }
            if policy.spec.tls.is_some() && !has_tls && !set.platform.is_cluster() {
                report.warning(id, "spec.tls", "has no effect: no listener it is for has `protocol: HTTPS`");
            }
        }
        ClientPolicies { by_target }
    }

    /// The policy of a listener.
    pub(super) fn of(
        &self,
        gateway: &ResourceId,
        section: &str,
    ) -> Option<&'a Resource<ClientTrafficPolicySpec>> {
        let gateway = gateway.full_name();
        self.by_target
            .get(&(gateway.clone(), Some(section.to_owned())))
            .or_else(|| self.by_target.get(&(gateway, None)))
            .copied()
    }
}

/// A listener with all but its virtual hosts.
pub(super) fn listener(
    name: String,
    listener: &GatewayListener,
    policy: Option<&ClientTrafficPolicySpec>,
    tls: Option<ServerTls>,
) -> plan::Listener {
    let headers = policy.map(client_identity::headers).unwrap_or_default();
    let timeouts = policy.map(|spec| spec.timeout.http.clone()).unwrap_or_default();
    plan::Listener {
        name,
        port: listener.port,
        hostname: listener.hostname.clone(),
        tls,
        headers,
        buffer_limit: policy
            .and_then(|spec| u32::try_from(spec.connection.buffer_limit?.0).ok())
            .unwrap_or(BUFFER_LIMIT),
        request_received_timeout: timeouts
            .request_received_timeout
            .map_or(Some(REQUEST_RECEIVED_TIMEOUT), |timeout| timeout.unless_zero()),
        idle_timeout: timeouts.idle_timeout.map(|timeout| timeout.0),
        stream_idle_timeout: timeouts.stream_idle_timeout.map(|timeout| timeout.0),
        security: None,
        virtual_hosts: Vec::new(),
    }
}

/// What is negotiated, with Envoy Gateway's defaults.
pub(super) fn parameters(tls: Option<&ClientTls>) -> TlsParameters {
    let Some(tls) = tls else { return TlsParameters::default() };
    TlsParameters {
        min_version: tls.min_version.map_or(TlsParameters::default().min_version, envoys_version),
        max_version: tls.max_version.map_or(TlsParameters::default().max_version, envoys_version),
        ciphers: tls.ciphers.clone(),
        curves: tls.ecdh_curves.clone(),
        signature_algorithms: tls.signature_algorithms.clone(),
        alpn: match &tls.alpn_protocols {
            None => TlsParameters::default().alpn,
            Some(versions) => versions.iter().copied().map(Alpn::name).collect(),
        },
        tickets: tls.session.resumption.stateless.is_some(),
        session_ids: tls.session.resumption.stateful.is_some(),
    }
}

fn envoys_version(version: TlsVersion) -> Option<&'static str> {
    match version {
        TlsVersion::Auto => None,
        TlsVersion::V1_0 => Some("TLSv1_0"),
        TlsVersion::V1_1 => Some("TLSv1_1"),
        TlsVersion::V1_2 => Some("TLSv1_2"),
        TlsVersion::V1_3 => Some("TLSv1_3"),
    }
}

fn reaches_tls(set: &Set, policy: &ResourceId, gateway: &str, section: Option<&str>) -> bool {
    let Found::One(gateway) = set.gateways.find(&policy.namespace, gateway) else { return false };
    let mut listeners = gateway.spec.listeners.iter();
    listeners.any(|one| section.is_none_or(|section| one.name == section) && one.protocol == "HTTPS")
}

fn check(policy: &Resource<ClientTrafficPolicySpec>, platform: Platform, report: &mut Report) {
    let id = &policy.id;
    let field = "spec.connection.bufferLimit";
    match policy.spec.connection.buffer_limit {
        Some(limit) if u32::try_from(limit.0).is_err() => {
            report.error(id, field, "is more than Envoy can hold; at most `4095Mi`");
        }
        Some(limit) if limit.0 == 0 => {
            report.error(id, field, "is 0, which lets no request pass; write a number such as `50Mi`");
        }
        Some(limit) if limit.0 < 1 << 20 => {
            report.warning(id, field, "is below 1Mi: prompts of that size are refused with 413");
        }
        _ => {}
    }
    // What is done elsewhere is checked there.
    if platform.is_cluster() {
        return;
    }
    if let Some(tls) = &policy.spec.tls {
        check_tls(id, tls, report);
    }
    client_identity::check_headers(policy, report);
}

fn check_tls(id: &ResourceId, tls: &ClientTls, report: &mut Report) {
    // `Auto` is 1.2 as the lowest version and 1.3 as the highest.
    let min = tls.min_version.filter(|version| *version != TlsVersion::Auto).unwrap_or(TlsVersion::V1_2);
    let max = tls.max_version.filter(|version| *version != TlsVersion::Auto).unwrap_or(TlsVersion::V1_3);
    if min > max {
        report.error(id, "spec.tls.maxVersion", "is below the lowest version, `minVersion` (1.2 by default)");
    }
    if min == TlsVersion::V1_3 && !tls.ciphers.is_empty() {
        report.error(id, "spec.tls.ciphers", "has no effect on TLS 1.3, and `minVersion` takes no other");
    }
    for (i, group) in tls.ciphers.iter().enumerate() {
        // `[A|B]`: of the same worth, the client chooses.
        for cipher in group.trim_start_matches('[').trim_end_matches(']').split('|') {
            if !CIPHERS.contains(&cipher) {
                let message = format!(
                    "`{cipher}` is no cipher that Envoy knows, {}",
                    hint(cipher, CIPHERS.iter().copied())
                );
                report.error(id, format!("spec.tls.ciphers[{i}]"), message);
            }
        }
    }
}
