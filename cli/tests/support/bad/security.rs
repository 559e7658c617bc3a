//! Mistakes in SecurityPolicies.

use super::Case;

macro_rules! policy {
    ($spec:literal) => {
        concat!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: who}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n",
            $spec
        )
    };
}

pub(super) const CASES: &[Case] = &[
    ("policy that asks for nothing", &[], policy!("")),
    (
        "two policies on one Gateway",
        &[],
        policy!(
            "  cors: {allowOrigins: [\"*\"]}\n---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: more}\nspec:\n  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: edge}\n  cors: {allowOrigins: [\"*\"]}"
        ),
    ),
    (
        "policy for no listener",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: who}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https}]\n  cors: {allowOrigins: [\"*\"]}",
    ),
    (
        "what no policy can do",
        &[],
        policy!(
            "  oidc: {provider: {issuer: x}}\n  csrf: {additionalOrigins: [x]}\n  mergeType: StrategicMerge\n  extAuth: {grpc: {backendRefs: [{name: x, port: 1}], backendSettings: {retry: {}}}, contextExtensions: [{name: a}]}\n  authorization: {rules: [{action: Allow, cel: \"true\"}]}"
        ),
    ),
    (
        "field with a slip",
        &[],
        policy!("  apiKeyAuth: {credentialRefs: [{name: keys}], extractFrom: [{header: [x]}]}"),
    ),
    (
        "keys of no Secret, from two places",
        &[],
        policy!(
            "  apiKeyAuth: {credentialRefs: [{name: kes}], extractFrom: [{headers: [x], params: [team]}, {headers: [\"a b\"]}], forwardClientIDHeader: Authorization}"
        ),
    ),
    (
        "keys that are alike, empty, or have a line break",
        &[],
        policy!(
            "  apiKeyAuth: {credentialRefs: [{name: clients}, {name: more}], extractFrom: [{headers: [x]}]}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: clients}\nstringData: {a: hush, b: hush, c: \"\", d: \"hush2\\n\"}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: more}\nstringData: {a: hush3}"
        ),
    ),
    (
        "users in another format",
        &[],
        policy!(
            "  basicAuth: {users: {name: users}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: users}\nstringData: {.htpasswd: \"ann:$apr1$hush\"}"
        ),
    ),
    (
        "users of a Secret without them",
        &[],
        policy!("  basicAuth: {users: {name: keys}, forwardUsernameHeader: x-weir-user}"),
    ),
    (
        "tokens of nobody",
        &[],
        policy!(
            "  jwt: {optional: true, failOpen: true, providers: [{name: a}, {name: a, localJWKS: {inline: \"{}\"}}, {name: b, remoteJWKS: {uri: issuer.example}, recomputeRoute: true}, {name: c, localJWKS: {type: ValueRef, valueRef: {kind: ConfigMap, name: none}}}]}"
        ),
    ),
    (
        "rules about nobody",
        &[],
        policy!(
            "  authorization: {rules: [{action: Allow}, {action: Deny, operation: {}, principal: {}}, {action: Allow, principal: {clientCIDRs: [10.0.0.0/40], headers: [{name: x, values: []}]}}, {action: Allow, principal: {jwt: {provider: none, claims: [{name: \"a..b\", values: []}]}}}]}"
        ),
    ),
    (
        "a service that is nowhere",
        &[],
        policy!(
            "  extAuth: {http: {path: auth, backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: none}]}, statusOnError: 200, bodyToExtAuth: {maxRequestBytes: 0}}"
        ),
    ),
    ("two services, or none", &[], policy!("  extAuth: {http: {backendRefs: []}, grpc: {}}")),
    ("pages of nowhere", &[], policy!("  cors: {allowOrigins: [example.com, \"https://a/\"]}")),
    (
        "models of one host with other pages",
        &[],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: who}\nspec:\n  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIGatewayRoute, name: chat, sectionName: rule-0}]\n  cors: {allowOrigins: [\"*\"]}",
    ),
    (
        "a route by what only its policy can know",
        &[(
            "[{headers: [{name: x-ai-eg-model, value: one}]}]",
            "[{headers: [{name: x-ai-eg-model, value: one}, {name: x-client-id, value: a}]}]",
        )],
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: who}\nspec:\n  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIGatewayRoute, name: chat, sectionName: rule-0}]\n  apiKeyAuth: {credentialRefs: [{name: keys}], extractFrom: [{headers: [x-key]}], forwardClientIDHeader: x-client-id}",
    ),
];
