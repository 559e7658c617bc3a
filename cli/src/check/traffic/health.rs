//! `healthCheck`: how it is found out which endpoints can serve.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::check::names::hostname_mistake;
use crate::plan::{ActiveCheck, HttpProbe, PassiveCheck, Probe, Traffic};
use crate::resources::decode::MISSING;
use crate::resources::health::{
    ActiveHealthCheck, CheckKind, HealthCheck, HttpCheck, PassiveHealthCheck, Payload, PayloadKind,
};
use crate::resources::values::GatewayDuration;
use crate::resources::{Report, ResourceId};

const ACTIVE: &str = "spec.healthCheck.active";
const HTTP: &str = "spec.healthCheck.active.http";
const PASSIVE: &str = "spec.healthCheck.passive";

/// The methods that Envoy asks with.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"];

/// Takes over what is said about health.
pub(super) fn health_check(id: &ResourceId, spec: &HealthCheck, traffic: &mut Traffic, report: &mut Report) {
    traffic.active_check = spec.active.as_ref().and_then(|active| active_check(id, active, report));
    traffic.passive_check = spec.passive.as_ref().map(|passive| passive_check(id, passive, report));
    let percent = spec.panic_threshold.unwrap_or_default();
    traffic.panic_threshold = check_percent(id, "spec.healthCheck.panicThreshold", percent, report);
}

fn active_check(id: &ResourceId, spec: &ActiveHealthCheck, report: &mut Report) -> Option<ActiveCheck> {
    let probe = probe(id, spec, report);
    let threshold = |field: &str, number: Option<u32>, default: u32, report: &mut Report| {
        if number == Some(0) {
            report.error(id, format!("{ACTIVE}.{field}"), "is 0; it must be 1 or more");
        }
        number.unwrap_or(default)
    };
    let port = spec.overrides.as_ref().and_then(|overrides| overrides.port);
    if port == Some(0) {
        report.error(id, format!("{ACTIVE}.overrides.port"), "is 0; it must be from 1 to 65535");
    }
    Some(ActiveCheck {
        timeout: duration(id, &format!("{ACTIVE}.timeout"), spec.timeout, 1, report),
        interval: duration(id, &format!("{ACTIVE}.interval"), spec.interval, 3, report),
        initial_jitter: spec.initial_jitter.and_then(GatewayDuration::unless_zero),
        unhealthy_threshold: threshold("unhealthyThreshold", spec.unhealthy_threshold, 3, report),
        healthy_threshold: threshold("healthyThreshold", spec.healthy_threshold, 1, report),
        port,
        probe: probe?,
    })
}

/// `None` when there is none, which was reported.
fn probe(id: &ResourceId, spec: &ActiveHealthCheck, report: &mut Report) -> Option<Probe> {
    let fields =
        [(CheckKind::Http, "http", spec.http.is_some()), (CheckKind::Tcp, "tcp", spec.tcp.is_some())];
    for (kind, field, is_there) in fields {
        let name = field.to_ascii_uppercase();
        let place = format!("{ACTIVE}.{field}");
        if is_there && kind != spec.kind && !report.has_error(id, &format!("{ACTIVE}.type")) {
            report.error(id, place, format!("belongs to type {name}; write that, or remove it"));
        } else if !is_there && kind == spec.kind && !report.has_error(id, ACTIVE) {
            let message = format!("is missing; type {name} needs it");
            let end = if kind == CheckKind::Tcp { ", `{}` for nothing but a connection" } else { "" };
            report.error(id, place, format!("{message}{end}"));
        }
    }
    match spec.kind {
        CheckKind::Http => Some(Probe::Http(http_probe(id, spec.http.as_ref()?, report))),
        CheckKind::Tcp => {
            let tcp = spec.tcp.as_ref()?;
            let mut bytes = |field: &str, payload: Option<&Payload>| {
                payload
                    .map(|payload| bytes(id, &format!("{ACTIVE}.tcp.{field}"), payload, report))
                    .unwrap_or_default()
            };
            Some(Probe::Tcp {
                send: bytes("send", tcp.send.as_ref()),
                receive: bytes("receive", tcp.receive.as_ref()),
            })
        }
        CheckKind::Grpc => None,
    }
}

fn http_probe(id: &ResourceId, spec: &HttpCheck, report: &mut Report) -> HttpProbe {
    let is_path = spec.path.starts_with('/') && spec.path.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_path && spec.path != MISSING {
        let message = format!("`{}` is not a path; it begins with `/` and has no spaces", spec.path);
        report.error(id, format!("{HTTP}.path"), message);
    }
    if let Some(hostname) = &spec.hostname
        && (hostname_mistake(hostname).is_some() || hostname.starts_with('*'))
    {
        let message = format!("`{hostname}` is not a host name: lower case letters, digits and `-`");
        report.error(id, format!("{HTTP}.hostname"), message);
    }
    let method = spec.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    if !METHODS.contains(&method.as_str()) {
        let message =
            format!("`{method}` is no method that Envoy asks with; it must be one of {}", METHODS.join(", "));
        report.error(id, format!("{HTTP}.method"), message);
    }
    if spec.request_body.is_some() && !matches!(method.as_str(), "POST" | "PUT") {
        let message = format!("does not belong to a {method}; write `method: POST` or `PUT`, or remove it");
        report.error(id, format!("{HTTP}.requestBody"), message);
    }
    let mut expected_statuses = statuses(id, "expectedStatuses", &spec.expected_statuses, report);
    if expected_statuses.is_empty() {
        expected_statuses.push(200);
    }
    let mut bytes = |field: &str, payload: Option<&Payload>| {
        payload.map(|payload| bytes(id, &format!("{HTTP}.{field}"), payload, report)).unwrap_or_default()
    };
    let expected_body = bytes("expectedResponse", spec.expected_response.as_ref());
    let body = bytes("requestBody", spec.request_body.as_ref());
    let retriable_statuses = statuses(id, "retriableStatuses", &spec.retriable_statuses, report);
    HttpProbe {
        hostname: spec.hostname.clone(),
        path: spec.path.clone(),
        method,
        expected_statuses,
        retriable_statuses,
        expected_body,
        body,
    }
}

/// In ascending order, each once.
fn statuses(id: &ResourceId, field: &str, given: &[u16], report: &mut Report) -> Vec<u16> {
    for (i, status) in given.iter().enumerate() {
        let place = format!("{HTTP}.{field}[{i}]");
        if !(100..600).contains(status) && !report.has_error(id, &place) {
            report.error(id, place, format!("{status} is not an HTTP status; it must be from 100 to 599"));
        }
    }
    let mut statuses = given.to_vec();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn bytes(id: &ResourceId, field: &str, payload: &Payload, report: &mut Report) -> Vec<u8> {
    let (name, other) = match payload.kind {
        PayloadKind::Text => ("text", payload.binary.is_some()),
        PayloadKind::Binary => ("binary", payload.text.is_some()),
    };
    if other {
        let message = format!(
            "has something else than `{name}` besides it; type {:?} takes nothing else",
            payload.kind
        );
        report.error(id, field, message);
    }
    let bytes = match payload.kind {
        PayloadKind::Text => payload.text.clone().map(String::into_bytes),
        PayloadKind::Binary => payload.binary.as_ref().map(|binary| {
            STANDARD.decode(binary).unwrap_or_else(|_| {
                report.error(id, format!("{field}.binary"), "is not base64");
                Vec::new()
            })
        }),
    };
    let bytes = bytes.unwrap_or_default();
    if bytes.is_empty() && !report.has_error(id, field) {
        report.error(id, format!("{field}.{name}"), "is empty; write the bytes, or remove what is around it");
    }
    bytes
}

fn passive_check(id: &ResourceId, spec: &PassiveHealthCheck, report: &mut Report) -> PassiveCheck {
    let apart = spec.split_external_local_origin_errors;
    if spec.consecutive_local_origin_failures.is_some() && !apart {
        let message = "has no effect without `splitExternalLocalOriginErrors: true`";
        report.warning(id, format!("{PASSIVE}.consecutiveLocalOriginFailures"), message);
    }
    let mut percent =
        |field: &str, percent: u32| check_percent(id, &format!("{PASSIVE}.{field}"), percent, report);
    let max_ejection_percent = percent("maxEjectionPercent", spec.max_ejection_percent.unwrap_or(10));
    let failure_percentage_threshold =
        spec.failure_percentage_threshold.map(|threshold| percent("failurePercentageThreshold", threshold));
    PassiveCheck {
        interval: duration(id, &format!("{PASSIVE}.interval"), spec.interval, 3, report),
        base_ejection_time: duration(
            id,
            &format!("{PASSIVE}.baseEjectionTime"),
            spec.base_ejection_time,
            30,
            report,
        ),
        consecutive_5xx: spec.consecutive_5xx_errors.unwrap_or(5),
        consecutive_gateway_errors: spec.consecutive_gateway_errors,
        consecutive_local_origin_failures: apart.then(|| spec.consecutive_local_origin_failures.unwrap_or(5)),
        max_ejection_percent,
        failure_percentage_threshold,
        always_eject_one: spec.always_eject_one_endpoint,
    }
}

fn duration(
    id: &ResourceId,
    field: &str,
    given: Option<GatewayDuration>,
    default_seconds: u64,
    report: &mut Report,
) -> Duration {
    let given = given.map(|given| given.0);
    if given.is_some_and(|given| given.is_zero()) {
        report.error(id, field, "is 0; it must be longer");
    }
    given.unwrap_or(Duration::from_secs(default_seconds))
}

fn check_percent(id: &ResourceId, field: &str, percent: u32, report: &mut Report) -> u32 {
    if percent > 100 {
        report.error(id, field, format!("{percent} is more than 100 percent"));
    }
    percent
}
