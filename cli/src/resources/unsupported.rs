//! Fields that the resources have and Weir cannot do: the one list of them.
//!
//! To leave such a field aside would run something else than what was written, so each is a mistake. The few that
//! ask for nothing here are warnings. A feature that arrives takes its line out of this table and gets a field in
//! the types beside it.

use serde_json::Value;

use super::decode::Mistake;
use super::kinds::Kind;
use super::platform::Platform;

/// A line of the table.
struct Field {
    kind: Kind,
    /// Its path; `[]` stands for every place of a list.
    path: &'static str,
    /// Only this value of it.
    value: Option<&'static str>,
    /// What else to do, if there is something.
    advice: &'static str,
}

const fn field(kind: Kind, path: &'static str, advice: &'static str) -> Field {
    Field { kind, path, value: None, advice }
}

const fn value(kind: Kind, path: &'static str, value: &'static str, advice: &'static str) -> Field {
    Field { kind, path, value: Some(value), advice }
}

const PROTOCOLS: &str = "write `HTTP` or `HTTPS`";
const ROUTE_ONLY: &str = "name each resource in `targetRefs`";
const WHOLE_POLICY: &str =
    "write everything into the policy of the route, which replaces that of the Gateway";
const BALANCERS: &str = "use RoundRobin, Random, LeastRequest or ConsistentHash";
const COST: &str =
    "each request counts 1; for tokens use `global`, which counts locally where there is no Redis";
const SELECTORS: &str = "select by `headers` with the types Exact and Distinct";

/// What is refused.
const REFUSED: &[Field] = &[
    field(Kind::Gateway, "spec.addresses", "choose the address when starting `weir run`"),
    field(Kind::Gateway, "spec.allowedListeners", ""),
    field(Kind::Gateway, "spec.defaultScope", "name the Gateway in the routes' `parentRefs`"),
    field(
        Kind::Gateway,
        "spec.tls",
        "use a ClientTrafficPolicy for TLS with clients, a BackendTLSPolicy for TLS to backends",
    ),
    field(Kind::Gateway, "spec.backendTLS", "use a BackendTLSPolicy"),
    value(
        Kind::Gateway,
        "spec.listeners[].tls.mode",
        "Passthrough",
        "nothing in such a connection can be read; write `Terminate`",
    ),
    field(
        Kind::Gateway,
        "spec.listeners[].tls.frontendValidation",
        "use `tls.clientValidation` of a ClientTrafficPolicy",
    ),
    field(Kind::Gateway, "spec.listeners[].tls.options", "use `tls` of a ClientTrafficPolicy"),
    value(Kind::Gateway, "spec.listeners[].protocol", "TLS", PROTOCOLS),
    value(Kind::Gateway, "spec.listeners[].protocol", "TCP", PROTOCOLS),
    value(Kind::Gateway, "spec.listeners[].protocol", "UDP", PROTOCOLS),
    value(Kind::Gateway, "spec.listeners[].allowedRoutes.namespaces.from", "Selector", "use `All` or `Same`"),
    field(
        Kind::Gateway,
        "spec.listeners[].allowedRoutes.namespaces.selector",
        "use `from: All` or `from: Same`",
    ),
    field(Kind::HTTPRoute, "spec.useDefaultGateways", "name the Gateway in `parentRefs`"),
    field(
        Kind::HTTPRoute,
        "spec.rules[].filters",
        "change headers with `headerMutation` of an AIServiceBackend",
    ),
    field(Kind::HTTPRoute, "spec.rules[].backendRefs[].filters", ""),
    field(Kind::HTTPRoute, "spec.rules[].retry", "use `retry` of a BackendTrafficPolicy"),
    field(Kind::HTTPRoute, "spec.rules[].sessionPersistence", ""),
    field(Kind::BackendTLSPolicy, "spec.options", ""),
    field(Kind::BackendTLSPolicy, "spec.validation.subjectAltNames", "the certificate must carry `hostname`"),
    field(Kind::AIGatewayRoute, "spec.targetRefs", "it became `parentRefs`"),
    field(Kind::AIGatewayRoute, "spec.rateLimitsFromHeaders", ""),
    value(
        Kind::AIGatewayRoute,
        "spec.rules[].backendRefs[].kind",
        "InferencePool",
        "name an AIServiceBackend whose Backend is the pool's Service",
    ),
    field(Kind::AIServiceBackend, "spec.responseBodyMutation", ""),
    field(Kind::AIServiceBackend, "spec.timeouts", "set `timeouts` in the rule of the AIGatewayRoute"),
    field(
        Kind::AIServiceBackend,
        "spec.backendSecurityPolicyRef",
        "name this backend in `targetRefs` of the BackendSecurityPolicy",
    ),
    value(Kind::AIServiceBackend, "spec.schema.name", "TypeSafe", ""),
    field(
        Kind::BackendSecurityPolicy,
        "spec.gcpCredentials.isPassthrough",
        "let requests bring a token: `credentialOverride` with `fallbackToConfigured: false`",
    ),
    field(Kind::BackendSecurityPolicy, "spec.openAICredentials", "use APIKey"),
    value(Kind::BackendSecurityPolicy, "spec.type", "OpenAICredentials", "use APIKey"),
    value(Kind::Backend, "spec.type", "DynamicResolver", "list the `endpoints`"),
    field(Kind::Backend, "spec.appProtocols", ""),
    field(Kind::Backend, "spec.tls", "use a BackendTLSPolicy"),
    field(Kind::Backend, "spec.endpoints[].unix", "use `fqdn` or `ip`"),
    field(Kind::Backend, "spec.endpoints[].hostname", ""),
    field(Kind::Backend, "spec.endpoints[].zone", ""),
    field(Kind::BackendTrafficPolicy, "spec.targetSelectors", ROUTE_ONLY),
    field(Kind::BackendTrafficPolicy, "spec.mergeType", WHOLE_POLICY),
    field(Kind::BackendTrafficPolicy, "spec.admissionControl", ""),
    field(Kind::BackendTrafficPolicy, "spec.bandwidthLimit", ""),
    field(Kind::BackendTrafficPolicy, "spec.compression", ""),
    field(Kind::BackendTrafficPolicy, "spec.compressor", ""),
    field(
        Kind::BackendTrafficPolicy,
        "spec.connection",
        "set `connection.bufferLimit` in a ClientTrafficPolicy",
    ),
    field(Kind::BackendTrafficPolicy, "spec.dns", ""),
    field(Kind::BackendTrafficPolicy, "spec.faultInjection", ""),
    value(Kind::BackendTrafficPolicy, "spec.healthCheck.active.type", "GRPC", "use HTTP or TCP"),
    field(Kind::BackendTrafficPolicy, "spec.healthCheck.active.grpc", "use `http` or `tcp`"),
    field(
        Kind::BackendTrafficPolicy,
        "spec.healthCheck.active.healthCheckLog",
        "watch `cluster.*.health_check` in `/stats` on the admin address",
    ),
    field(Kind::BackendTrafficPolicy, "spec.http2", ""),
    field(Kind::BackendTrafficPolicy, "spec.httpUpgrade", ""),
    value(Kind::BackendTrafficPolicy, "spec.loadBalancer.type", "BackendUtilization", BALANCERS),
    field(Kind::BackendTrafficPolicy, "spec.loadBalancer.backendUtilization", BALANCERS),
    value(Kind::BackendTrafficPolicy, "spec.loadBalancer.type", "DynamicModule", BALANCERS),
    field(Kind::BackendTrafficPolicy, "spec.loadBalancer.dynamicModule", BALANCERS),
    field(
        Kind::BackendTrafficPolicy,
        "spec.loadBalancer.endpointOverride",
        "a client must not choose the backend; use `consistentHash` to send it to the same one again",
    ),
    field(
        Kind::BackendTrafficPolicy,
        "spec.loadBalancer.zoneAware",
        "give the backends of a rule `weight` and `priority`",
    ),
    field(Kind::BackendTrafficPolicy, "spec.proxyProtocol", ""),
    field(Kind::BackendTrafficPolicy, "spec.requestBuffer", ""),
    field(Kind::BackendTrafficPolicy, "spec.responseOverride", ""),
    field(Kind::BackendTrafficPolicy, "spec.routingType", ""),
    field(Kind::BackendTrafficPolicy, "spec.tcpKeepalive", ""),
    field(Kind::BackendTrafficPolicy, "spec.telemetry", ""),
    field(Kind::BackendTrafficPolicy, "spec.useClientProtocol", ""),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.local.rules[].cost", COST),
    field(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.local.rules[].shared",
        "use `global`, which counts locally where there is no Redis",
    ),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.global.rules[].shadowMode", ""),
    value(Kind::BackendTrafficPolicy, "spec.rateLimit.global.rules[].xRateLimitHeaders", "Off", ""),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.global.rules[].limit.fromMetadata", ""),
    field(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.global.rules[].clientSelectors[].sourceCIDR",
        SELECTORS,
    ),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.global.rules[].clientSelectors[].methods", SELECTORS),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.global.rules[].clientSelectors[].path", SELECTORS),
    field(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.global.rules[].clientSelectors[].queryParams",
        SELECTORS,
    ),
    field(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.global.rules[].clientSelectors[].headers[].invert",
        SELECTORS,
    ),
    value(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.global.rules[].clientSelectors[].headers[].type",
        "RegularExpression",
        SELECTORS,
    ),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.local.rules[].shadowMode", ""),
    value(Kind::BackendTrafficPolicy, "spec.rateLimit.local.rules[].xRateLimitHeaders", "Off", ""),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.local.rules[].limit.fromMetadata", ""),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.local.rules[].clientSelectors[].sourceCIDR", SELECTORS),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.local.rules[].clientSelectors[].methods", SELECTORS),
    field(Kind::BackendTrafficPolicy, "spec.rateLimit.local.rules[].clientSelectors[].path", SELECTORS),
    field(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.local.rules[].clientSelectors[].queryParams",
        SELECTORS,
    ),
    field(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.local.rules[].clientSelectors[].headers[].invert",
        SELECTORS,
    ),
    value(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.local.rules[].clientSelectors[].headers[].type",
        "RegularExpression",
        SELECTORS,
    ),
    value(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.global.rules[].cost.request.from",
        "Metadata",
        "give a `number`",
    ),
    value(
        Kind::BackendTrafficPolicy,
        "spec.rateLimit.global.rules[].cost.response.from",
        "Number",
        "give it as `cost.request`",
    ),
    field(Kind::BackendTrafficPolicy, "spec.timeout.http.connectionIdleTimeout", ""),
    field(Kind::BackendTrafficPolicy, "spec.timeout.http.maxConnectionDuration", ""),
    field(Kind::BackendTrafficPolicy, "spec.timeout.http.maxStreamDuration", "use `requestTimeout`"),
    field(
        Kind::BackendTrafficPolicy,
        "spec.timeout.http.streamIdleTimeout",
        "set `streamIdleTimeout` in the rule of the AIGatewayRoute, or in a ClientTrafficPolicy",
    ),
    field(Kind::ClientTrafficPolicy, "spec.targetSelectors", ROUTE_ONLY),
    field(Kind::ClientTrafficPolicy, "spec.clientIPDetection", ""),
    field(Kind::ClientTrafficPolicy, "spec.connection.connectionLimit", ""),
    field(Kind::ClientTrafficPolicy, "spec.connection.maxAcceptPerSocketEvent", ""),
    field(Kind::ClientTrafficPolicy, "spec.connection.socketBufferLimit", ""),
    field(Kind::ClientTrafficPolicy, "spec.enableProxyProtocol", ""),
    field(Kind::ClientTrafficPolicy, "spec.grpc", ""),
    field(Kind::ClientTrafficPolicy, "spec.headers.disableRateLimitHeaders", ""),
    field(
        Kind::ClientTrafficPolicy,
        "spec.headers.earlyRequestHeaders.removeOnMatch",
        "name each header in `remove`",
    ),
    field(Kind::ClientTrafficPolicy, "spec.headers.enableEnvoyHeaders", ""),
    field(Kind::ClientTrafficPolicy, "spec.headers.host", ""),
    field(Kind::ClientTrafficPolicy, "spec.headers.lateResponseHeaders", ""),
    field(Kind::ClientTrafficPolicy, "spec.headers.preserveXRequestID", ""),
    field(Kind::ClientTrafficPolicy, "spec.headers.requestID", ""),
    field(Kind::ClientTrafficPolicy, "spec.headers.withUnderscoresAction", ""),
    field(Kind::ClientTrafficPolicy, "spec.healthCheck", "ask `/ready` on the admin address"),
    field(Kind::ClientTrafficPolicy, "spec.http1", ""),
    field(Kind::ClientTrafficPolicy, "spec.http2", ""),
    field(Kind::ClientTrafficPolicy, "spec.http3", "HTTPS listeners speak HTTP/2 and HTTP/1.1"),
    field(Kind::ClientTrafficPolicy, "spec.path", ""),
    field(Kind::ClientTrafficPolicy, "spec.proxyProtocol", ""),
    field(Kind::ClientTrafficPolicy, "spec.scheme", ""),
    field(Kind::ClientTrafficPolicy, "spec.tcpKeepalive", ""),
    field(Kind::ClientTrafficPolicy, "spec.timeout.tcp", "use `timeout.http.idleTimeout`"),
    field(
        Kind::ClientTrafficPolicy,
        "spec.timeout.http.requestHeadersReceivedTimeout",
        "use `requestReceivedTimeout`",
    ),
    field(
        Kind::ClientTrafficPolicy,
        "spec.tls.clientValidation.subjectAltNames.otherNames",
        "compare `dnsNames`, `emailAddresses`, `ipAddresses` or `uris`",
    ),
    field(Kind::ClientTrafficPolicy, "spec.tls.fingerprints", ""),
    field(Kind::SecurityPolicy, "spec.targetSelectors", ROUTE_ONLY),
    field(Kind::SecurityPolicy, "spec.mergeType", WHOLE_POLICY),
    field(Kind::SecurityPolicy, "spec.oidc", "log in elsewhere, and take the tokens by `jwt`"),
    field(Kind::SecurityPolicy, "spec.csrf", "browsers send no keys by themselves; use `cors`"),
    field(Kind::SecurityPolicy, "spec.jwt.providers[].remoteJWKS.backendRef", "use `backendRefs`"),
    field(Kind::SecurityPolicy, "spec.jwt.providers[].remoteJWKS.backendSettings", ""),
    field(Kind::SecurityPolicy, "spec.extAuth.contextExtensions", ""),
    field(Kind::SecurityPolicy, "spec.extAuth.includeRouteMetadata", ""),
    field(Kind::SecurityPolicy, "spec.extAuth.grpc.backendSettings", "set `timeout` of `extAuth`"),
    field(Kind::SecurityPolicy, "spec.extAuth.http.backendSettings", "set `timeout` of `extAuth`"),
    field(
        Kind::SecurityPolicy,
        "spec.extAuth.http.pathOverride",
        "use `path`, which stands before the request's own",
    ),
    field(Kind::SecurityPolicy, "spec.authorization.rules[].cel", "use `principal` and `operation`"),
    field(
        Kind::SecurityPolicy,
        "spec.authorization.rules[].principal.clientIPGeoLocations",
        "use `clientCIDRs`",
    ),
];

/// What is refused besides where Istio has the listeners.
const REFUSED_BY_ISTIO: &[Field] = &[
    value(
        Kind::Gateway,
        "spec.listeners[].protocol",
        "HTTPS",
        "write `HTTP` here, and a Gateway of Istio's own with `tls.credentialName`",
    ),
    field(Kind::Gateway, "spec.listeners[].tls", "write a Gateway of Istio's own with `tls.credentialName`"),
    field(Kind::ClientTrafficPolicy, "spec.tls", "write a Gateway of Istio's own with `tls`"),
    field(Kind::ClientTrafficPolicy, "spec.headers", ""),
];

/// What older versions of the resources have and nothing depends on any more.
const WITHOUT_EFFECT: &[Field] = &[
    field(Kind::AIGatewayRoute, "spec.schema", "the API of a request is known from its path"),
    field(Kind::AIGatewayRoute, "spec.filterConfig", "there is no external processor"),
];

/// Takes the fields of the table out of a resource. Returns what is refused and what is only without effect; what the
/// platform does is neither.
pub fn remove(kind: Kind, resource: &mut Value, platform: Platform) -> (Vec<Mistake>, Vec<Mistake>) {
    let take = |table: &[Field], beginning: &str, resource: &mut Value| {
        let mut found = Vec::new();
        for field in table.iter().filter(|field| field.kind == kind) {
            let mut hits = Vec::new();
            let steps: Vec<&str> = field.path.split('.').collect();
            visit(resource, &steps, String::new(), field.value, &mut hits);
            if platform.does(kind, field.path) {
                continue;
            }
            let end = if field.advice.is_empty() { String::new() } else { format!("; {}", field.advice) };
            found.extend(hits.into_iter().map(|path| {
                let what = field.value.map(|value| format!("`{value}` ")).unwrap_or_default();
                Mistake { field: path, message: format!("{what}{beginning}{end}") }
            }));
        }
        found
    };
    let mut refused = take(REFUSED, "is not supported yet", resource);
    if platform == Platform::Istio {
        refused.extend(take(REFUSED_BY_ISTIO, "is not supported yet for Istio", resource));
    }
    let without_effect = take(WITHOUT_EFFECT, "has no effect", resource);
    (refused, without_effect)
}

/// Whether a value of a field is one that is refused.
pub fn is_refused(kind: Kind, path: &str, value: &str) -> bool {
    REFUSED.iter().any(|field| field.kind == kind && field.path == path && field.value == Some(value))
}

fn visit(value: &mut Value, steps: &[&str], path: String, wanted: Option<&str>, hits: &mut Vec<String>) {
    let Some((step, rest)) = steps.split_first() else { return };
    let name = step.trim_end_matches("[]");
    let Some(members) = value.as_object_mut() else { return };
    let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if !rest.is_empty() {
        match members.get_mut(name) {
            Some(Value::Array(items)) if step.ends_with("[]") => {
                for (index, item) in items.iter_mut().enumerate() {
                    visit(item, rest, format!("{path}[{index}]"), wanted, hits);
                }
            }
            Some(member) if !step.ends_with("[]") => visit(member, rest, path, wanted, hits),
            _ => {}
        }
        return;
    }
    match wanted {
        // A value stays: the types know it, and the field may be required.
        Some(wanted) => {
            if members.get(name).and_then(Value::as_str) == Some(wanted) {
                hits.push(path);
            }
        }
        // What is switched off asks for nothing.
        None => match members.shift_remove(name) {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Array(items)) if items.is_empty() => {}
            Some(_) => hits.push(path),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_occurrence_is_named_and_taken_out() {
        let mut resource = json!({"spec": {"listeners": [
            {"name": "a", "protocol": "HTTP"},
            {"name": "b", "protocol": "TLS", "tls": {"mode": "Passthrough", "options": {"a": "b"}}},
        ], "addresses": []}});
        let (refused, without_effect) = remove(Kind::Gateway, &mut resource, Platform::Here);
        let fields: Vec<_> = refused.iter().map(|mistake| mistake.field.as_str()).collect();
        let listener = "spec.listeners[1]";
        assert_eq!(
            fields,
            ["tls.mode", "tls.options", "protocol"].map(|field| format!("{listener}.{field}"))
        );
        assert!(refused[2].message.starts_with("`TLS` is not supported yet; "), "{:?}", refused[2]);
        assert!(without_effect.is_empty());
        assert_eq!(
            resource,
            json!({"spec": {"listeners": [
                {"name": "a", "protocol": "HTTP"},
                {"name": "b", "protocol": "TLS", "tls": {"mode": "Passthrough"}},
            ]}})
        );
    }

    #[test]
    fn what_is_off_is_no_mistake() {
        let mut resource = json!({"spec": {"useClientProtocol": false, "faultInjection": {}}});
        let (refused, _) = remove(Kind::BackendTrafficPolicy, &mut resource, Platform::Here);
        assert_eq!(refused.len(), 1);
        assert_eq!(resource, json!({"spec": {}}));
    }

    #[test]
    fn what_envoy_gateway_does_is_no_mistake_there() {
        let policy = json!({"spec": {"faultInjection": {}, "mergeType": "StrategicMerge"}});
        let mut resource = policy.clone();
        let (refused, _) = remove(Kind::BackendTrafficPolicy, &mut resource, Platform::EnvoyGateway);
        let fields: Vec<_> = refused.iter().map(|mistake| mistake.field.as_str()).collect();
        assert_eq!(fields, ["spec.mergeType"]);
        assert_eq!(resource, json!({"spec": {}}));
    }
}
