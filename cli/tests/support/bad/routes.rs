//! Mistakes in the frame of resources, in Gateways, and in rules of AIGatewayRoutes.

use super::Case;

pub(super) const CASES: &[Case] = &[
    // YAML and the frame of a resource
    ("broken YAML", &[("metadata: {name: chat}", "metadata: {name: chat")], ""),
    ("duplicate key", &[("metadata: {name: chat}", "metadata: {name: chat}\nmetadata: {name: chat}")], ""),
    ("no resource", &[], "just: text"),
    (
        "unknown kind",
        &[(
            "kind: AIServiceBackend\nmetadata: {name: openai}",
            "kind: AIServiceBackends\nmetadata: {name: openai}",
        )],
        "",
    ),
    (
        "kind of another group",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: AIServiceBackend\nmetadata: {name: x}\nspec: {}",
    ),
    (
        "kind that is not supported",
        &[],
        "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: MCPRoute\nmetadata: {name: tools}\nspec: {}",
    ),
    (
        "unknown version",
        &[],
        "apiVersion: aigateway.envoyproxy.io/v1\nkind: AIGatewayRoute\nmetadata: {name: x}\nspec: {}",
    ),
    ("foreign kind", &[], "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {}"),
    ("no name", &[("metadata: {name: clients}", "metadata: {}")], ""),
    ("slip in metadata", &[("metadata: {name: clients}", "metadata: {name: clients, namspace: a}")], ""),
    ("name in capitals", &[("metadata: {name: clients}", "metadata: {name: Clients}")], ""),
    ("twice the same", &[], "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: default}"),
    ("unknown field", &[("gatewayClassName: envoy\n", "gatewayClassName: envoy\n  listners: []\n")], ""),
    (
        "several mistakes at once",
        &[("priority: 0}", "priority: first, wieght: 2}"), ("unit: Hour", "unit: hour")],
        "",
    ),
    ("no spec", &[("spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}", "")], ""),
    // Gateways
    (
        "no Gateway",
        &[(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}",
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}",
        )],
        "",
    ),
    ("class elsewhere", &[("gatewayClassName: envoy", "gatewayClassName: envoi")], ""),
    (
        "missing EnvoyProxy",
        &[(
            "gatewayclass-controller}",
            "gatewayclass-controller, parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: proxy}}",
        )],
        "",
    ),
    (
        "HTTPS without a certificate",
        &[("protocol: HTTP, port: 8080", "protocol: HTTPS, port: 8080, tls: {mode: Terminate}")],
        "",
    ),
    (
        "TLS that is passed through",
        &[("protocol: HTTP, port: 8080", "protocol: HTTPS, port: 8080, tls: {mode: Passthrough}")],
        "",
    ),
    (
        "TLS of an HTTP listener",
        &[(
            "protocol: HTTP, port: 8080",
            "protocol: HTTP, port: 8080, tls: {certificateRefs: [{name: keys}]}",
        )],
        "",
    ),
    (
        "HTTPS listener",
        &[(
            "protocol: HTTP, port: 8080",
            "protocol: HTTPS, port: 8080, tls: {certificateRefs: [{name: cert}]}",
        )],
        "",
    ),
    ("no such protocol", &[("protocol: HTTP, port: 8080", "protocol: HTPT, port: 8080")], ""),
    ("port twice", &[("port: 8080}", "port: 8080}, {name: other, protocol: HTTP, port: 8080}")], ""),
    ("listener twice", &[("port: 8080}", "port: 8080}, {name: http, protocol: HTTP, port: 8081}")], ""),
    ("port beyond", &[("port: 8080}", "port: 80800}")], ""),
    (
        "namespaces by label",
        &[("port: 8080}", "port: 8080, allowedRoutes: {namespaces: {from: Selector, selector: {}}}}")],
        "",
    ),
    // Attaching
    ("no parent", &[("  parentRefs: [{name: edge}]\n", "")], ""),
    ("no such Gateway", &[("parentRefs: [{name: edge}]", "parentRefs: [{name: egde}]")], ""),
    (
        "no such listener",
        &[("parentRefs: [{name: edge}]", "parentRefs: [{name: edge, sectionName: https}]")],
        "",
    ),
    ("no such port", &[("parentRefs: [{name: edge}]", "parentRefs: [{name: edge, port: 443}]")], ""),
    ("not admitted", &[("port: 8080}", "port: 8080, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}")], ""),
    (
        "other host name",
        &[
            ("port: 8080}", "port: 8080, hostname: a.com}"),
            ("parentRefs: [{name: edge}]", "parentRefs: [{name: edge}]\n  hostnames: [b.com]"),
        ],
        "",
    ),
    (
        "bad host name",
        &[("parentRefs: [{name: edge}]", "parentRefs: [{name: edge}]\n  hostnames: ['https://b.com']")],
        "",
    ),
    // What passes as it is
    ("nothing passes", PASSED[0], ""),
    ("passed to nobody", PASSED[1], ""),
    ("passed to an unknown backend", PASSED[2], ""),
    ("passed twice", PASSED[3], ""),
    ("prefixes that overlap", PASSED[4], ""),
    ("passed for no model", PASSED[8], ""),
    ("prefix of the gateway's own", PASSED[5], ""),
    ("prefix of a model", PASSED[6], ""),
    ("prefix with a slash at its end", PASSED[7], ""),
    // Rules
    (
        "backend that nothing defines",
        &[("{name: bedrock, priority: 1}", "{name: bedrock-aws, priority: 1}")],
        "",
    ),
    (
        "backend of another namespace",
        &[("{name: bedrock, priority: 1}", "{name: bedrock, namespace: prod, priority: 1}")],
        "",
    ),
    ("no backends", &[("backendRefs: [{name: openai}]", "backendRefs: []")], ""),
    (
        "InferencePool",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: pool}]",
        )],
        "",
    ),
    ("no weight", &[("backendRefs: [{name: openai}]", "backendRefs: [{name: openai, weight: 0}]")], ""),
    (
        "negative weight",
        &[("backendRefs: [{name: openai}]", "backendRefs: [{name: openai, weight: -1}]")],
        "",
    ),
    (
        "bad pattern",
        &[(
            "{name: x-ai-eg-model, value: one}",
            "{name: x-ai-eg-model, type: RegularExpression, value: '(a'}",
        )],
        "",
    ),
    (
        "look-ahead",
        &[(
            "{name: x-ai-eg-model, value: one}",
            "{name: x-ai-eg-model, type: RegularExpression, value: '(?=a)b'}",
        )],
        "",
    ),
    ("header twice", &[("value: one}", "value: one}, {name: X-AI-EG-Model, value: two}")], ""),
    ("same model twice", &[("value: two", "value: one")], ""),
    (
        "timeout without unit",
        &[("backendRefs: [{name: openai}]", "timeouts: {request: 60}\n      backendRefs: [{name: openai}]")],
        "",
    ),
    (
        "timeouts upside down",
        &[(
            "backendRefs: [{name: openai}]",
            "timeouts: {request: 10s, backendRequest: 1m}\n      backendRefs: [{name: openai}]",
        )],
        "",
    ),
    (
        "rules of one name",
        &[
            (
                "- matches: [{headers: [{name: x-ai-eg-model, value: one}]}]",
                "- name: a\n      matches: [{headers: [{name: x-ai-eg-model, value: one}]}]",
            ),
            (
                "- matches: [{headers: [{name: x-ai-eg-model, value: two}]}]",
                "- name: a\n      matches: [{headers: [{name: x-ai-eg-model, value: two}]}]",
            ),
        ],
        "",
    ),
    (
        "no time",
        &[(
            "backendRefs: [{name: openai}]",
            "modelsCreatedAt: yesterday\n      backendRefs: [{name: openai}]",
        )],
        "",
    ),
    (
        "reserved header",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{name: openai, headerMutation: {set: [{name: Host, value: a}], remove: ['a b']}}]",
        )],
        "",
    ),
    (
        "body value that is no JSON",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{name: openai, bodyMutation: {set: [{path: service_tier, value: scale}]}}]",
        )],
        "",
    ),
    (
        "set and removed",
        &[(
            "backendRefs: [{name: openai}]",
            "backendRefs: [{name: openai, bodyMutation: {set: [{path: a, value: '1'}], remove: [a]}}]",
        )],
        "",
    ),
    ("cost by CEL without it", &[("type: TotalToken", "type: CEL")], ""),
    ("cost of no expression", &[("type: TotalToken", "type: CEL, cel: input_tokens * 2")], ""),
    ("cost of nothing by nothing", &[("type: TotalToken", "type: CEL, cel: 1u / input_tokens")], ""),
    ("expression of a plain cost", &[("type: TotalToken", "type: TotalToken, cel: input_tokens")], ""),
    (
        "cost twice",
        &[("type: TotalToken}", "type: TotalToken}, {metadataKey: tokens, type: InputToken}")],
        "",
    ),
    ("cost of no kind", &[("type: TotalToken", "type: TotalTokens")], ""),
];

/// The base with this annotation on its AIGatewayRoute.
macro_rules! passing {
    ($value:literal) => {
        &[(
            "metadata: {name: chat}",
            concat!("metadata: {name: chat, annotations: {weir.dev/pass-through: \"", $value, "\"}}"),
        )]
    };
}

const PASSED: [&[(&str, &str)]; 9] = [
    passing!(""),
    passing!("/bedrock"),
    passing!("/bedrock=bedrok"),
    passing!("/a=openai, /a=openai/b"),
    passing!("/a/b=openai, /a=bedrock"),
    passing!("/v1=openai"),
    passing!("/v1/models/one=openai"),
    passing!("/bedrock/=bedrock"),
    passing!("/a=openai, /a=bedrock"),
];
