//! Mistakes in policies and plain routes.

use super::Case;

pub(super) const CASES: &[Case] = &[
    // Policies
    (
        "two budgets on one Gateway",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: demo}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n  rateLimit: {global: {rules: [{limit: {requests: 1, unit: Hour}}]}}",
    ),
    (
        "two buffer limits",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: more}\nspec:\n  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: edge}",
    ),
    (
        "versions of TLS the wrong way round",
        &[("connection: {bufferLimit: 50Mi}", "tls: {maxVersion: '1.1'}")],
        "",
    ),
    (
        "ciphers that nothing uses",
        &[("connection: {bufferLimit: 50Mi}", "tls: {minVersion: '1.3', ciphers: [ECDHE-RSA-AES128-SHA]}")],
        "",
    ),
    (
        "unknown cipher",
        &[("connection: {bufferLimit: 50Mi}", "tls: {ciphers: ['[ECDHE-RSA-AES128-SHA|RC4-MD5]']}")],
        "",
    ),
    ("TLS where there is none", &[("connection: {bufferLimit: 50Mi}", "tls: {ecdhCurves: [X25519]}")], ""),
    (
        "fields of TLS that are not supported",
        &[(
            "connection: {bufferLimit: 50Mi}",
            "tls: {fingerprints: [JA3], clientValidation: {caCertificateRefs: [{name: keys}], subjectAltNames: {otherNames: [{oid: '1.2', value: a}]}}}\n  http3: {}",
        )],
        "",
    ),
    (
        "details of a certificate that are not sent",
        &[(
            "connection: {bufferLimit: 50Mi}",
            "headers: {xForwardedClientCert: {mode: ForwardOnly, certDetailsToAdd: [Subject]}}",
        )],
        "",
    ),
    (
        "bad early headers",
        &[(
            "connection: {bufferLimit: 50Mi}",
            "headers: {earlyRequestHeaders: {set: [{name: host, value: a}, {name: a b, value: 100%}], remove: [':path']}}",
        )],
        "",
    ),
    (
        "other changes of headers",
        &[(
            "connection: {bufferLimit: 50Mi}",
            "headers: {requestID: Preserve, earlyRequestHeaders: {removeOnMatch: [{value: a}]}}",
        )],
        "",
    ),
    (
        "Secret of another namespace",
        &[("apiKey: {secretRef: {name: keys}}", "apiKey: {secretRef: {name: keys, namespace: vault}}")],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: vault}\nstringData: {apiKey: sk-hush}",
    ),
    (
        "policy for no route",
        &[("kind: Gateway, name: edge}]\n  rateLimit", "kind: HTTPRoute, name: chats}]\n  rateLimit")],
        "",
    ),
    (
        "policy for no rule",
        &[(
            "kind: Gateway, name: edge}]\n  rateLimit",
            "kind: HTTPRoute, name: chat, sectionName: rule-2}]\n  rateLimit",
        )],
        "",
    ),
    (
        "policy for a backend",
        &[("kind: Gateway, name: edge}]\n  rateLimit", "kind: Service, name: edge}]\n  rateLimit")],
        "",
    ),
    (
        "policy for nothing",
        &[(
            "  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n  rateLimit",
            "  rateLimit",
        )],
        "",
    ),
    (
        "fields that are not supported",
        &[(
            "  retry: {retryOn",
            "  faultInjection: {abort: {}}\n  mergeType: StrategicMerge\n  retry: {retryOn",
        )],
        "",
    ),
    ("limits of a type that are not there", &[("    global:\n", "    type: Local\n    global:\n")], ""),
    (
        "selector by address",
        &[("[{headers: [{name: x-user-id, type: Distinct}]}]", "[{sourceCIDR: {value: 10.0.0.0/8}}]")],
        "",
    ),
    ("selector by pattern", &[("type: Distinct", "type: RegularExpression, value: a.*, invert: true")], ""),
    ("selector without value", &[("type: Distinct", "type: Exact")], ""),
    ("cost key that no route has", &[("key: tokens}", "key: llm_total_token}")], ""),
    ("other metadata", &[("namespace: io.envoy.ai_gateway", "namespace: envoy.lb")], ""),
    ("request cost is missing", &[("            request: {from: Number, number: 0}\n", "")], ""),
    ("limit beyond", &[("requests: 100", "requests: 5000000000")], ""),
    ("trigger that does not exist", &[("triggers: [5xx]", "triggers: [5XX]")], ""),
    ("statuses without their trigger", &[("triggers: [5xx]", "triggers: [5xx], httpStatusCodes: [429]")], ""),
    ("no status", &[("triggers: [5xx]", "triggers: [retriable-status-codes], httpStatusCodes: [42]")], ""),
    ("buffer limit", &[("bufferLimit: 50Mi", "bufferLimit: plenty")], ""),
    ("small buffer limit", &[("bufferLimit: 50Mi", "bufferLimit: 32Ki")], ""),
    // Plain routes
    (
        "plain route",
        &[],
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec:\n  parentRefs: [{name: edge}]\n  rules:\n  - filters: [{type: URLRewrite}]\n    matches: [{path: {value: app}}]\n    backendRefs: [{name: web}, {name: other, port: 80}, {kind: Backend, group: gateway.envoyproxy.io, name: openai}]",
    ),
    (
        "limits of a plain route alone",
        &[("kind: Gateway, name: edge}]\n  rateLimit", "kind: HTTPRoute, name: web}]\n  rateLimit")],
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec:\n  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{kind: Backend, group: gateway.envoyproxy.io, name: openai-servers}]}]",
    ),
    (
        "plain route of an AI route's name",
        &[],
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: chat}\nspec:\n  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{kind: Backend, group: gateway.envoyproxy.io, name: openai-servers}]}]",
    ),
];
